//! The OCR pool: a fixed number of threads of its own behind a bounded queue that is fair by relying party.
//!
//! Reading is CPU bound, so it never runs on the threads that serve the network, and its threads give way to them. A
//! place is asked for before anything else is done ([`Pool::admit`]); when there is none for this relying party (see
//! [`fair`]), or when the caller's deadline would pass before the picture was read, the caller is refused at once. A
//! picture whose caller has left, whose deadline has passed when its turn comes, or whose place went to somebody with
//! less, is not read and stays in its call's custody, which overwrites it. What was begun is finished. A panic ends one
//! reading, not the thread.

pub mod fair;
mod priority;

pub use priority::give_way;

use super::custody::Picture;
use super::deadline::{Deadline, Watch};
use crate::evidence::{Extraction, Limits, STACK};
use crate::secret::{Sensitive, wiped};
use crate::telemetry::Metrics;
use crate::terms::RelyingParty;
use fair::{Fair, Ticket, Weights};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Turns a picture into evidence. Blocking; `evidence::extract` with a reader, or a script in tests.
pub type ReadImage = dyn Fn(Sensitive<Vec<u8>>, Date, &Limits) -> Extraction + Send + Sync;

/// How much is read at once.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Threads that read; 0 takes as many as the machine has cores.
    pub workers: usize,
    /// Pictures that may wait; one more is refused.
    pub queue: usize,
    /// Seconds after which reading one picture is given up.
    pub read_seconds: u32,
    /// By how many steps of niceness the threads that read give way to those that serve the network.
    pub nice: u8,
    /// How many shares of the queue a relying party gets.
    pub weights: Weights,
}

impl Settings {
    /// The number of threads that this comes to on this machine.
    pub fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

/// Why a picture was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Every place is taken, or this one went to a caller that has fewer.
    #[error("too many pictures are waiting to be read")]
    Full {
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// The caller's deadline would pass before the picture was read.
    #[error("the picture cannot be read before the deadline; try again later, or allow more time")]
    NoTime {
        /// When the same time is likely to be enough.
        retry_after: Duration,
    },
    /// The caller's deadline has passed.
    #[error("the deadline passes before the picture can be read")]
    Late,
    /// The caller has left.
    #[error("the caller has left")]
    Abandoned,
    /// Reading failed in a way that it must not.
    #[error("reading failed")]
    Crashed,
}

impl Unread {
    /// The name in metrics.
    fn label(self, displaced: bool) -> &'static str {
        match self {
            Self::Full { .. } if displaced => "displaced",
            Self::Full { .. } => "queue_full",
            Self::NoTime { .. } => "no_time",
            Self::Late => "late",
            Self::Abandoned => "abandoned",
            Self::Crashed => "crashed",
        }
    }
}

/// A place in the queue. Given back if no picture comes for it.
pub struct Place {
    shared: Arc<Shared>,
    party: RelyingParty,
    ticket: Ticket,
    /// Whether it is read whatever was estimated: it found the pool idle.
    sure: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.state().queue.give_back(&self.party, self.ticket);
    }
}

struct Job {
    image: Picture,
    today: Date,
    max_bytes: usize,
    deadline: Deadline,
    watch: Watch,
    sure: bool,
    reply: oneshot::Sender<Result<Extraction, Unread>>,
}

impl Job {
    /// Why it need not be read any more.
    fn in_vain(&self) -> Option<Unread> {
        if self.watch.gone() || self.reply.is_closed() {
            Some(Unread::Abandoned)
        } else {
            self.deadline.passed().then_some(Unread::Late)
        }
    }

    /// Lets go of the picture and tells why.
    fn refuse(self, why: Unread) {
        drop(self.image);
        drop(self.reply.send(Err(why))); // nobody waits any more: there is nobody to tell
    }
}

/// How long reading one picture takes: the running mean and the running mean deviation from it, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// 0 until the first.
    mean: u64,
    deviation: u64,
}

impl Times {
    fn add(&mut self, sample: u64) {
        if self.mean == 0 {
            (self.mean, self.deviation) = (sample.max(1), sample / 4);
            return;
        }
        self.deviation = self.deviation - self.deviation / 8 + sample.abs_diff(self.mean) / 8;
        self.mean = (self.mean - self.mean / 8 + sample / 8).max(1);
    }

    /// What a reading is worth beginning for: with less time left it is likely to be for nothing, and others wait.
    fn worth(self) -> Duration {
        Duration::from_micros(self.mean.saturating_add(self.deviation))
    }

    /// What most readings stay under.
    fn likely(self) -> Duration {
        Duration::from_micros(self.mean.saturating_add(self.deviation.saturating_mul(2)))
    }
}

/// What the threads and the callers both see.
struct State {
    queue: Fair<Job>,
    /// When each thread began what it reads.
    running: BTreeMap<usize, Instant>,
    times: Times,
    open: bool,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do, or nothing will come any more.
    ready: Condvar,
    metrics: Arc<Metrics>,
    /// How long one picture may take.
    read_time: Duration,
    threads: u32,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The queue changes in one step each, and readings panic without the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, state: &State) {
        self.metrics.reads(state.queue.waiting(), state.queue.running());
    }

    /// How long a picture of this party that comes now is likely to wait for its turn.
    fn wait(&self, state: &State, party: &RelyingParty) -> Duration {
        let ahead = u32::try_from(state.queue.ahead(party, state.times.mean)).unwrap_or(u32::MAX);
        let idle = self.threads.saturating_sub(u32::try_from(state.running.len()).unwrap_or(u32::MAX));
        if ahead < idle {
            return Duration::ZERO;
        }
        // Rather too long than too short: a queue that is never empty answers as many calls as a longer one, but what is
        // read too late was read for nothing.
        let each = state.times.worth();
        let left = state.running.values().map(|begun| each.saturating_sub(begun.elapsed())).sum::<Duration>();
        left.saturating_add(each.saturating_mul(ahead)) / self.threads
    }

    /// Why a picture of this party would not be read now.
    fn obstacle(&self, state: &State, party: &RelyingParty, deadline: Deadline) -> Option<Unread> {
        if deadline.passed() {
            return Some(Unread::Late);
        }
        let wait = self.wait(state, party);
        let (needed, left) = (wait.saturating_add(state.times.likely()), deadline.left());
        // An idle pool tries, whatever it thinks: that is how it learns that readings have become faster.
        if needed >= left && !state.queue.is_empty() {
            return Some(Unread::NoTime { retry_after: soon(needed.saturating_sub(left)) });
        }
        (!state.queue.admits(party)).then(|| Unread::Full { retry_after: soon(wait) })
    }

    /// Takes out what waits in vain, if there is no room.
    fn purge(&self, state: &mut State) -> Vec<Job> {
        if state.queue.is_full() { state.queue.purge(|job| job.in_vain().is_some()) } else { Vec::new() }
    }

    /// Lets go of pictures that are not read. Not under the lock: one that nobody waits for is overwritten by that.
    fn refuse(&self, job: Job, why: Unread) {
        self.metrics.refused(why.label(true));
        job.refuse(why);
    }

    fn bury(&self, purged: Vec<Job>) {
        for job in purged {
            let why = job.in_vain().unwrap_or(Unread::Late);
            self.refuse(job, why);
        }
    }
}

/// When to try again.
fn soon(wait: Duration) -> Duration {
    wait.clamp(Duration::from_millis(200), Duration::from_secs(30))
}

/// The threads and their queue. Dropping it lets the threads finish what was admitted and end.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts the threads.
    pub fn start(settings: &Settings, read: Arc<ReadImage>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let threads = settings.threads();
        let queue = Fair::new(threads.saturating_add(settings.queue), settings.weights.clone());
        let shared = Arc::new(Shared {
            state: Mutex::new(State { queue, running: BTreeMap::new(), times: Times::default(), open: true }),
            ready: Condvar::new(),
            metrics,
            read_time: Duration::from_secs(settings.read_seconds.into()),
            threads: u32::try_from(threads).unwrap_or(u32::MAX).max(1),
        });
        let pool = Self { shared };
        for n in 0..threads {
            let (shared, read, nice) = (Arc::clone(&pool.shared), Arc::clone(&read), settings.nice);
            std::thread::Builder::new().name(format!("read-{n}")).stack_size(2 * STACK).spawn(move || {
                give_way(nice);
                work(n, &shared, &*read);
            })?;
        }
        Ok(pool)
    }

    /// Takes a place for a picture of this relying party, or refuses at once.
    pub fn admit(&self, party: &RelyingParty, deadline: Deadline) -> Result<Place, Unread> {
        let mut state = self.shared.state();
        let purged = self.shared.purge(&mut state);
        let sure = state.queue.is_empty();
        let (wait, admitted) = match self.shared.obstacle(&state, party, deadline) {
            Some(why) => (Duration::ZERO, Err(why)),
            None => {
                let wait = soon(self.shared.wait(&state, party));
                (wait, state.queue.admit(party).map_err(|_| Unread::Full { retry_after: wait }))
            }
        };
        self.shared.show(&state);
        drop(state);
        self.shared.bury(purged);
        let (ticket, displaced) = admitted.inspect_err(|why| self.shared.metrics.refused(why.label(false)))?;
        if let Some(job) = displaced {
            self.shared.refuse(job, Unread::Full { retry_after: wait });
        }
        Ok(Place { shared: Arc::clone(&self.shared), party: party.clone(), ticket, sure })
    }

    /// Why a picture of this relying party would be refused now: asked before it is received.
    pub fn refuses(&self, party: &RelyingParty, deadline: Deadline) -> Option<Unread> {
        let mut state = self.shared.state();
        let purged = self.shared.purge(&mut state);
        let why = self.shared.obstacle(&state, party, deadline);
        drop(state);
        self.shared.bury(purged);
        why.inspect(|why| self.shared.metrics.refused(why.label(false)))
    }

    /// Reads the picture when its turn comes.
    pub async fn read(
        &self,
        place: Place,
        image: Picture,
        today: Date,
        max_bytes: usize,
        call: (Deadline, Watch),
    ) -> Result<Extraction, Unread> {
        let (deadline, watch) = call;
        let (reply, answer) = oneshot::channel();
        let job = Job { image, today, max_bytes, deadline, watch, sure: place.sure, reply };
        let (lost, retry_after) = {
            let mut state = self.shared.state();
            let lost = state.queue.wait(&place.party, place.ticket, job).err();
            self.shared.show(&state);
            (lost, soon(self.shared.wait(&state, &place.party)))
        };
        match lost {
            None => self.shared.ready.notify_one(),
            Some(job) => self.shared.refuse(job, Unread::Full { retry_after }),
        }
        answer.await.unwrap_or(Err(Unread::Crashed))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state().open = false;
        self.shared.ready.notify_all();
    }
}

/// One thread: takes the next picture until the pool is gone.
fn work(thread: usize, shared: &Shared, read: &ReadImage) {
    let mut state = shared.state();
    loop {
        let times = state.times;
        let estimate = times.mean;
        let Some((party, job)) = state.queue.next(estimate) else {
            if !state.open {
                return;
            }
            state = shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let begun = Instant::now();
        state.running.insert(thread, begun);
        shared.show(&state);
        drop(state);
        let (reply, answer) = serve(job, times, shared, read);
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        state = shared.state();
        state.running.remove(&thread);
        match answer {
            Ok(_) | Err(Unread::Crashed) => {
                state.times.add(took);
                state.queue.done(&party, estimate, took);
            }
            Err(why) => {
                state.queue.done(&party, estimate, 0);
                shared.metrics.refused(why.label(false));
            }
        }
        shared.show(&state);
        // Last: whoever hears the answer finds the place free.
        drop(reply.send(answer)); // nobody waits any more: there is nobody to tell
    }
}

type Reply = oneshot::Sender<Result<Extraction, Unread>>;

/// Reads one picture, or lets go of it unread. When this returns, the thread has nothing of it left.
fn serve(job: Job, times: Times, shared: &Shared, read: &ReadImage) -> (Reply, Result<Extraction, Unread>) {
    let hopeless = !job.sure && job.deadline.passes_within(times.worth());
    let in_vain = job.in_vain().or(hopeless.then_some(Unread::Late));
    let Job { image, today, max_bytes, reply, .. } = job;
    if let Some(why) = in_vain {
        return (reply, Err(why));
    }
    // Taken back meanwhile: the caller was told that it took too long, or has left.
    let Some((image, reading)) = image.open() else { return (reply, Err(Unread::Abandoned)) };
    let deadline = Instant::now().checked_add(shared.read_time);
    let limits = Limits { max_bytes, deadline, ..Limits::default() };
    let read = || catch_unwind(AssertUnwindSafe(|| read(image, today, &limits))).map_err(|_| Unread::Crashed);
    let answer = wiped::<STACK, _>(read);
    // Only now: the receipt says that nothing is left.
    drop(reading);
    (reply, answer)
}

#[cfg(test)]
mod tests;
