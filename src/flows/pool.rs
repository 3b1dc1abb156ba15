//! The OCR pool: a fixed number of threads of its own behind a bounded queue.
//!
//! Reading is CPU bound, so it never runs on the threads that serve the network. A place is asked for before anything
//! else is done ([`Pool::admit`]); when none is free, or when the caller's deadline would pass first, the caller is
//! refused at once. A picture whose caller has left, or whose deadline has passed when its turn comes, is overwritten
//! and not read. What was begun is finished. A panic ends one reading, not the thread.

use super::deadline::{Deadline, Watch};
use crate::evidence::{Extraction, Limits};
use crate::secret::Sensitive;
use crate::telemetry::Metrics;
use jiff::civil::Date;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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

/// Why a picture was not read. Nothing of the picture is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Every place is taken.
    #[error("too many pictures are waiting to be read")]
    Full {
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// The caller's deadline has passed, or would before the picture's turn.
    #[error("the deadline passes before the picture can be read")]
    Late,
    /// The caller has left.
    #[error("the caller has left")]
    Abandoned,
    /// Reading failed in a way that it must not.
    #[error("reading failed")]
    Crashed,
}

/// A place in the queue, held until the picture was read.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

struct Job {
    image: Sensitive<Vec<u8>>,
    today: Date,
    max_bytes: usize,
    deadline: Deadline,
    watch: Watch,
    reply: oneshot::Sender<Result<Extraction, Unread>>,
    _place: Place,
}

/// What the threads and the callers both see.
struct Load {
    metrics: Arc<Metrics>,
    waiting: AtomicUsize,
    running: AtomicUsize,
    /// How long one picture may take.
    read_time: Duration,
    /// The running mean of the time that one picture takes, in microseconds; 0 until the first.
    mean_micros: AtomicU64,
}

impl Load {
    fn show(&self) {
        self.metrics.reads(self.waiting.load(Ordering::Relaxed), self.running.load(Ordering::Relaxed));
    }

    fn took(&self, elapsed: Duration) {
        let sample = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let old = self.mean_micros.load(Ordering::Relaxed);
        let new = if old == 0 { sample } else { old - old / 8 + sample / 8 };
        self.mean_micros.store(new.max(1), Ordering::Relaxed);
    }
}

/// The threads and their queue. Dropping it lets the threads finish what was admitted and end.
pub struct Pool {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
    load: Arc<Load>,
    threads: u32,
}

impl Pool {
    /// Starts the threads.
    pub fn start(settings: &Settings, read: Arc<ReadImage>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let threads = settings.threads();
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let load = Arc::new(Load {
            metrics,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            read_time: Duration::from_secs(settings.read_seconds.into()),
            mean_micros: AtomicU64::new(0),
        });
        for n in 0..threads {
            let (queue, load, read) = (Arc::clone(&queue), Arc::clone(&load), Arc::clone(&read));
            std::thread::Builder::new().name(format!("read-{n}")).spawn(move || work(&queue, &load, &*read))?;
        }
        Ok(Self {
            jobs,
            places: Arc::new(Semaphore::new(threads.saturating_add(settings.queue).min(Semaphore::MAX_PERMITS))),
            load,
            threads: u32::try_from(threads).unwrap_or(u32::MAX).max(1),
        })
    }

    /// Takes a place, or refuses at once.
    pub fn admit(&self, deadline: Deadline) -> Result<Place, Unread> {
        let wait = self.expected_wait();
        if deadline.passes_within(wait) {
            return Err(Unread::Late);
        }
        let retry_after = wait.clamp(Duration::from_millis(200), Duration::from_secs(30));
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Unread::Full { retry_after })?;
        Ok(Place { _permit: permit })
    }

    /// Reads the picture when its turn comes.
    pub async fn read(
        &self,
        place: Place,
        image: Sensitive<Vec<u8>>,
        today: Date,
        max_bytes: usize,
        call: (Deadline, Watch),
    ) -> Result<Extraction, Unread> {
        let (deadline, watch) = call;
        let (reply, answer) = oneshot::channel();
        let job = Job { image, today, max_bytes, deadline, watch, reply, _place: place };
        self.load.waiting.fetch_add(1, Ordering::Relaxed);
        self.load.show();
        self.jobs.send(job).map_err(|_| Unread::Crashed)?;
        answer.await.unwrap_or(Err(Unread::Crashed))
    }

    /// How long a picture that comes now is likely to wait for its turn.
    fn expected_wait(&self) -> Duration {
        let waiting = u32::try_from(self.load.waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let mean = Duration::from_micros(self.load.mean_micros.load(Ordering::Relaxed));
        mean.saturating_mul(waiting) / self.threads
    }
}

/// One thread: takes the next picture until the pool is gone.
fn work(queue: &Mutex<mpsc::Receiver<Job>>, load: &Load, read: &ReadImage) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        load.waiting.fetch_sub(1, Ordering::Relaxed);
        load.running.fetch_add(1, Ordering::Relaxed);
        load.show();
        serve(job, load, read);
        load.running.fetch_sub(1, Ordering::Relaxed);
        load.show();
    }
}

/// Reads one picture, or overwrites it unread.
fn serve(job: Job, load: &Load, read: &ReadImage) {
    let Job { image, today, max_bytes, deadline, watch, reply, _place } = job;
    let answer = if watch.gone() || reply.is_closed() {
        Err(Unread::Abandoned)
    } else if deadline.passed() {
        Err(Unread::Late)
    } else {
        let begun = Instant::now();
        let limits = Limits { max_bytes, deadline: begun.checked_add(load.read_time), ..Limits::default() };
        let answer = catch_unwind(AssertUnwindSafe(|| read(image, today, &limits))).map_err(|_| Unread::Crashed);
        load.took(begun.elapsed());
        answer
    };
    drop(reply.send(answer)); // nobody waits any more: there is nobody to tell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Timings;
    use crate::evidence::validate::{Unreadable, Verdict};
    use crate::flows::deadline::Presence;
    use crate::terms::Reason;

    fn pool(queue: usize) -> Pool {
        let read = |_, _, _: &Limits| {
            let why = Unreadable { reasons: vec![Reason::NoDocument], signals: vec![], kind: None, youngest: None };
            Extraction { verdict: Verdict::Unreadable(why), timings: Timings::default() }
        };
        let settings = Settings { workers: 1, queue, read_seconds: 1 };
        Pool::start(&settings, Arc::new(read), Arc::default()).unwrap()
    }

    fn after(seconds: u64) -> Deadline {
        Deadline::after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_deadline_that_would_pass_before_the_turn_comes_is_refused_at_once() {
        let pool = pool(9);
        pool.load.mean_micros.store(20_000_000, Ordering::Relaxed);
        pool.load.waiting.store(3, Ordering::Relaxed);
        assert_eq!(pool.admit(after(30)).err(), Some(Unread::Late));
        assert!(pool.admit(after(3600)).is_ok());
        assert_eq!(pool.admit(after(0)).err(), Some(Unread::Late));
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let pool = pool(1);
        let held: Vec<Place> = (0..2).map(|_| pool.admit(after(60)).ok().unwrap()).collect();
        assert!(matches!(pool.admit(after(60)), Err(Unread::Full { .. })));
        drop(held);
        assert!(pool.admit(after(60)).is_ok());
    }

    #[tokio::test]
    async fn a_caller_who_has_left_and_a_deadline_that_has_passed_are_not_read_for() {
        let pool = pool(1);
        let today = jiff::civil::date(2026, 11, 22);
        let presence = Presence::new();
        let call = async |deadline, watch| {
            let place = pool.admit(after(60)).ok().unwrap();
            pool.read(place, Sensitive::new(vec![1]), today, 1, (deadline, watch)).await.map(drop)
        };
        assert_eq!(call(after(60), presence.watch()).await, Ok(()));
        assert_eq!(call(after(0), presence.watch()).await, Err(Unread::Late));
        let watch = presence.watch();
        drop(presence);
        assert_eq!(call(after(60), watch).await, Err(Unread::Abandoned));
    }
}
