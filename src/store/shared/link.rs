//! The connections to Redis, kept by one task: it makes them, asks again and again whether the server is still there and
//! still the master, and makes new ones when it is not.
//!
//! While they are down every call is refused at once, so that nobody waits for a server that is away, and no call comes
//! back with the others when it returns: the task alone tries, with a random wait between.

use super::Settings;
use super::connect::{Connection, Connector};
use super::names::{FIRST, slot};
use crate::store::{Partition, StoreError};
use aws_lc_rs::rand;
use redis::{Cmd, RedisError, RedisResult, Value, cmd, from_redis_value};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// How often the server is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_millis(200);
/// How long it may take to say so; asked twice before it counts as away, so that one hitch does not.
const PROBE_TIME: Duration = Duration::from_millis(300);
/// Every how many probes Sentinel is asked who is master.
const SENTINEL_EVERY: u32 = 5;
/// The longest wait between two tries to connect, before it is made random.
const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// Why the store is away, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("Redis does not answer")]
    Away,
    #[error("Redis refuses the user or the password")]
    Refused,
    #[error("Redis is a replica, not the master")]
    Replica,
    #[error("Redis may evict keys (maxmemory-policy is not noeviction); it would lose records")]
    Evicts,
    #[error("the store in Redis has a format that this version does not know, or is being copied to")]
    Format,
    #[error("Sentinel names another master")]
    Switched,
}

/// Connections of one round; all are given up together.
pub(super) struct Lanes {
    control: Connection,
    reads: Vec<Connection>,
    changes: Vec<Connection>,
    next: AtomicUsize,
    /// One of them was lost.
    broken: AtomicBool,
    /// Fewer replicas are there than changes must be acknowledged by.
    short: AtomicBool,
}

impl Lanes {
    /// A connection for a call that changes nothing.
    pub(super) fn read(&self) -> Result<Connection, StoreError> {
        pick(&self.reads, &self.next)
    }

    /// A connection for a change; behind another that may be waiting for replicas.
    pub(super) fn change(&self) -> Result<Connection, StoreError> {
        if self.short.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable);
        }
        pick(&self.changes, &self.next)
    }
}

fn pick(lanes: &[Connection], next: &AtomicUsize) -> Result<Connection, StoreError> {
    let turn = next.fetch_add(1, Ordering::Relaxed).checked_rem(lanes.len()).unwrap_or_default();
    lanes.get(turn).cloned().ok_or(StoreError::Unavailable)
}

#[derive(Clone)]
enum State {
    Starting,
    Up(Arc<Lanes>),
    Down,
}

/// The connections, now and later.
pub(super) struct Link {
    connector: Connector,
    /// The key of the store's layout, and what it must say.
    format: (String, &'static str),
    lanes: usize,
    replicas: u8,
    patience: Duration,
    state: watch::Sender<State>,
    trouble: Notify,
    keeper: OnceLock<()>,
}

impl Link {
    pub(super) fn new(connector: Connector, key: String, settings: &Settings, format: &'static str) -> Self {
        Self {
            connector,
            format: (key, format),
            lanes: settings.connections.max(1),
            replicas: settings.acknowledged_replicas,
            patience: Duration::from_millis(settings.connect_ms.into()).saturating_mul(2),
            state: watch::Sender::new(State::Starting),
            trouble: Notify::new(),
            keeper: OnceLock::new(),
        }
    }

    /// The connections; the first call begins to make them and waits for them a while.
    pub(super) async fn lanes(self: &Arc<Self>) -> Result<Arc<Lanes>, StoreError> {
        self.keeper.get_or_init(|| {
            tokio::spawn(keep(Arc::downgrade(self)));
        });
        let now = self.state.borrow().clone();
        match now {
            State::Up(lanes) => Ok(lanes),
            State::Down => Err(StoreError::Unavailable),
            State::Starting => {
                let mut state = self.state.subscribe();
                let begun = state.wait_for(|state| !matches!(state, State::Starting));
                match timeout(self.patience, begun).await.map(|begun| begun.map(|state| state.clone())) {
                    Ok(Ok(State::Up(lanes))) => Ok(lanes),
                    _ => Err(StoreError::Unavailable),
                }
            }
        }
    }

    /// Whether calls can be made and changes are taken.
    pub(super) async fn health(self: &Arc<Self>) -> Result<(), StoreError> {
        self.lanes().await?.change().map(drop)
    }

    /// Tells that a call on these connections failed.
    pub(super) fn failed(&self, lanes: &Lanes, error: &RedisError) {
        if error.is_connection_dropped() && !self.connector.is_cluster() {
            lanes.broken.store(true, Ordering::Relaxed);
        }
        self.trouble.notify_one();
    }

    /// Makes connections and looks whether what they lead to can be used.
    async fn connect(&self) -> Result<Arc<Lanes>, Trouble> {
        let count = self.lanes.saturating_mul(2).saturating_add(1);
        let made = timeout(self.patience, self.connector.connect(count)).await.map_err(|_| Trouble::Away)?;
        let mut made = made.map_err(|error| trouble(&error))?;
        let (changes, control) = (made.split_off(self.lanes.saturating_add(1)), made.pop().ok_or(Trouble::Away)?);
        let lanes = Lanes {
            control,
            reads: made,
            changes,
            next: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            short: AtomicBool::new(false),
        };
        let looked = timeout(self.patience, async {
            self.look(&lanes).await?;
            self.probe(&lanes).await
        });
        looked.await.map_err(|_| Trouble::Away)??;
        Ok(Arc::new(lanes))
    }

    /// Looks once what does not change while a connection lasts.
    async fn look(&self, lanes: &Lanes) -> Result<(), Trouble> {
        let mut control = lanes.control.clone();
        for partition in self.servers() {
            let memory = info(&mut control, "memory", slot(partition)).await?;
            // A server that does not say (a managed one may not) is taken at its operator's word.
            if field(&memory, "maxmemory_policy").is_some_and(|policy| policy != "noeviction") {
                return Err(Trouble::Evicts);
            }
        }
        let (name, format) = &self.format;
        // A replica refuses this; that it is one is told by the probe.
        drop(control.send(cmd("SET").arg(name).arg(format).arg("NX"), slot(FIRST)).await);
        let found: Option<String> = ask(&mut control, cmd("GET").arg(name).take(), slot(FIRST)).await?;
        match found.as_deref() {
            Some(found) if found == *format => Ok(()),
            Some(_) => Err(Trouble::Format),
            None => Err(Trouble::Replica),
        }
    }

    /// Asks whether the servers are there, are masters, and how many replicas they have.
    async fn probe(&self, lanes: &Lanes) -> Result<(), Trouble> {
        let mut control = lanes.control.clone();
        let mut short = false;
        for partition in self.servers() {
            let replication = info(&mut control, "replication", slot(partition)).await?;
            if field(&replication, "role").is_some_and(|role| role != "master") {
                return Err(Trouble::Replica);
            }
            let online = replication.lines().filter(|line| line.starts_with("slave") && line.contains("state=online"));
            short |= online.count() < usize::from(self.replicas);
        }
        lanes.short.store(short, Ordering::Relaxed);
        Ok(())
    }

    /// A partition for each server that there may be.
    fn servers(&self) -> impl Iterator<Item = Partition> + use<> {
        Partition::all().take(if self.connector.is_cluster() { usize::from(Partition::COUNT) } else { 1 })
    }

    /// Whether the connections can still be used.
    async fn check(&self, lanes: &Lanes, ask_sentinel: bool, master: &Option<String>) -> Result<(), Trouble> {
        if lanes.broken.load(Ordering::Relaxed) {
            return Err(Trouble::Away);
        }
        match timeout(PROBE_TIME, self.probe(lanes)).await {
            Ok(probed) => probed?,
            Err(_) => timeout(PROBE_TIME, self.probe(lanes)).await.map_err(|_| Trouble::Away)??,
        }
        if ask_sentinel {
            // Sentinels that are away do not make a master that answers worse.
            let named = timeout(PROBE_TIME, self.connector.master()).await;
            if matches!(&named, Ok(Ok(named)) if named != master) {
                return Err(Trouble::Switched);
            }
        }
        Ok(())
    }
}

/// The task that keeps the connections, for as long as somebody has the store.
async fn keep(link: Weak<Link>) {
    let (mut told, mut tries) = (None, 0u32);
    loop {
        let Some(strong) = link.upgrade() else { return };
        let made = strong.connect().await;
        match made {
            Ok(lanes) => {
                tracing::info!("the store in Redis answers");
                (told, tries) = (None, 0);
                let master = timeout(strong.patience, strong.connector.master()).await;
                let master = master.ok().and_then(Result::ok).flatten();
                strong.state.send_replace(State::Up(Arc::clone(&lanes)));
                drop(strong);
                let Some(why) = watch_over(&link, &lanes, &master).await else { return };
                say(&mut told, why);
                let Some(strong) = link.upgrade() else { return };
                strong.state.send_replace(State::Down);
            }
            Err(why) => {
                say(&mut told, why);
                strong.state.send_replace(State::Down);
                drop(strong);
                sleep_until(Instant::now() + wait(tries)).await;
                tries = tries.saturating_add(1);
            }
        }
    }
}

/// Asks now and again; tells why the connections can no longer be used. `None` when nobody has the store any more.
async fn watch_over(link: &Weak<Link>, lanes: &Lanes, master: &Option<String>) -> Option<Trouble> {
    let mut turn = 0u32;
    loop {
        let strong = link.upgrade()?;
        turn = turn.wrapping_add(1);
        let ask_sentinel = master.is_some() && turn.is_multiple_of(SENTINEL_EVERY);
        if let Err(why) = strong.check(lanes, ask_sentinel, master).await {
            return Some(why);
        }
        drop(timeout(PROBE_EVERY, strong.trouble.notified()).await);
    }
}

fn say(told: &mut Option<Trouble>, why: Trouble) {
    if *told != Some(why) {
        tracing::warn!(%why, "the store in Redis cannot be used; trying again");
        *told = Some(why);
    }
}

/// A random wait, longer from try to try, so that many servers do not come back at the same instant.
fn wait(tries: u32) -> Duration {
    let longest = Duration::from_millis(25).saturating_mul(1 << tries.min(8)).min(LONGEST_WAIT);
    let mut byte = [0u8; 1];
    // Without random bytes all wait the same.
    let _ = rand::fill(&mut byte);
    longest / 2 + longest * u32::from(u8::from_be_bytes(byte)) / 255
}

fn trouble(error: &RedisError) -> Trouble {
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => Trouble::Refused,
        _ if matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM")) => Trouble::Refused,
        _ => Trouble::Away,
    }
}

async fn ask<T: redis::FromRedisValue>(connection: &mut Connection, command: Cmd, slot: u16) -> Result<T, Trouble> {
    let value = connection.send(&command, slot).await.map_err(|error| trouble(&error))?;
    from_redis_value(value).map_err(|_| Trouble::Away)
}

async fn info(connection: &mut Connection, section: &str, slot: u16) -> Result<String, Trouble> {
    ask(connection, cmd("INFO").arg(section).take(), slot).await
}

/// A field of what INFO answers.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// Whether the server refused before it did anything, because another one is to be asked.
pub(super) fn elsewhere(result: &RedisResult<Value>) -> bool {
    use redis::ServerErrorKind as Kind;
    let Err(error) = result else { return false };
    matches!(
        error.kind(),
        redis::ErrorKind::ClusterConnectionNotFound
            | redis::ErrorKind::Server(Kind::Moved | Kind::Ask | Kind::TryAgain | Kind::ClusterDown | Kind::ReadOnly)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let info = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(field(info, "maxmemory_policy"), Some("noeviction"));
        assert_eq!(field(info, "maxmemory"), Some("0"));
        assert_eq!(field(info, "role"), None);
    }

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        assert!((0..40).all(|tries| wait(tries) <= LONGEST_WAIT.saturating_mul(2)));
        let waits: std::collections::BTreeSet<Duration> = (0..64).map(|_| wait(9)).collect();
        assert!(waits.len() > 8, "everybody would come back at once");
    }
}
