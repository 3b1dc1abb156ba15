//! What happens to Redis while it is used: its master is killed, restarted, paused and failed over, its replicas are
//! paused and killed, one thing after the other, at random by a seed.

#![allow(clippy::disallowed_methods, reason = "faults take their time")]

use super::redis::{Redis, until};
use std::fmt;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// For how long something is tried: as the environment says, or this.
pub fn seconds(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number of seconds"))
}

/// The seed of everything random, from `IDGATE_CHAOS_SEED`.
pub fn seeded() -> u64 {
    seconds("IDGATE_CHAOS_SEED", 20_261_123)
}

/// How often what happened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Happened {
    pub kills: u32,
    pub restarts: u32,
    pub pauses: u32,
    pub failovers: u32,
    pub replicas: u32,
    /// How often another node was the master afterwards.
    pub switches: u32,
}

impl Happened {
    pub fn total(&self) -> u32 {
        self.kills + self.restarts + self.pauses + self.failovers + self.replicas
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, restarts, pauses, failovers, replicas, switches } = self;
        write!(
            f,
            "{} (master killed {kills}, restarted {restarts}, paused {pauses}, failed over {failovers}; replica {replicas}; \
             {switches} new masters)",
            self.total()
        )
    }
}

/// Goes on beside the test until its time is over.
pub struct Faults(JoinHandle<(Redis, Happened)>);

impl Faults {
    pub fn start(redis: Redis, seed: u64, until: Instant) -> Self {
        Self(std::thread::spawn(move || go_on(redis, seed, until)))
    }

    /// Waits for the last fault to be over: the servers, all well, and what happened to them.
    pub fn end(self) -> (Redis, Happened) {
        self.0.join().expect("the servers come back from every fault")
    }
}

fn go_on(mut redis: Redis, seed: u64, end: Instant) -> (Redis, Happened) {
    let (mut random, mut happened) = (fastrand::Rng::with_seed(seed), Happened::default());
    while Instant::now() < end {
        sleep(Duration::from_millis(random.u64(300..2_000)));
        let master = redis.master().expect("all is well");
        let replica = (master + 1 + random.usize(0..2)) % 3;
        // Mostly quick, so that much happens; now and then as Redis has it, with a replaced master that takes itself for
        // one for some seconds.
        let quick = random.u8(0..4) > 0;
        let (asked, told) = if quick { (200, 200) } else { (10_000, 2_000) };
        redis.sentinels_look_every(Duration::from_millis(asked), Duration::from_millis(told));
        // Some shorter than Sentinel's patience, some longer.
        let a_while = Duration::from_millis(random.u64(50..3_500));
        match random.u8(0..10) {
            0..3 => {
                happened.kills += 1;
                redis.nodes[master].kill();
                sleep(a_while);
                redis.nodes[master].start_again();
            }
            3 => {
                happened.restarts += 1;
                redis.nodes[master].stop();
                sleep(a_while / 4);
                redis.nodes[master].start_again();
            }
            4..7 => {
                happened.pauses += 1;
                redis.nodes[master].pause();
                sleep(a_while);
                redis.nodes[master].resume();
            }
            7 | 8 => {
                happened.failovers += 1;
                redis.fail_over();
                until("another is the master", || redis.master().is_some_and(|now| now != master));
            }
            _ => {
                happened.replicas += 1;
                if random.bool() {
                    redis.nodes[replica].pause();
                    sleep(a_while);
                    redis.nodes[replica].resume();
                } else {
                    redis.nodes[replica].kill();
                    redis.nodes[replica].start_again();
                }
            }
        }
        if quick {
            redis.until_well();
        } else {
            sleep(Duration::from_millis(random.u64(0..6_000)));
            redis.sentinels_look_every(Duration::from_millis(200), Duration::from_millis(200));
            redis.until_well();
        }
        happened.switches += u32::from(redis.master() != Some(master));
    }
    (redis, happened)
}
