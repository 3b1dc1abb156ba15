//! Whether single use (`take`) and compare-and-set (`commit` with an expectation) are linearizable on a real Redis while
//! it is killed, restarted, paused and failed over: many callers in three processes' view use a few values at once, write
//! down when each call began and what it answered, and a checker looks for an order of all calls that one correct value
//! in one place could have had.
//!
//! What this shows and what not:
//! - A call whose answer was lost may have had its effect at any time after it began, or never; it stays open. The more of
//!   them, the more orders pass, so callers wait for the store to come back instead of adding to them.
//! - Values are checked apart (linearizability is local, so nothing is missed by that); that a batch changes several values
//!   together is for the contract suite.
//! - Reads are checked as well, but apart: a master that was deposed while it was paused may answer reads from before for
//!   the second until its clients hear of it. Such histories are counted and shown, and changes alone must hold always.
//! - It is a search over the histories that happened to be made; it proves nothing about others. Time is that of one
//!   machine's memory order: a call counts as begun before it is sent and as ended after its answer was read.
//! - It holds with the recommended settings (deploy/redis.conf) and every replica acknowledging.

#![allow(clippy::disallowed_methods, reason = "calls come at random times")]

use crate::store::{at, entry, verified};
use crate::support::faults::{Faults, seconds, seeded};
use crate::support::redis::Redis;
use async_trait::async_trait;
use idgate::audit::{Head, Link};
use idgate::secret::Sensitive;
use idgate::store::embedded::{self, Embedded};
use idgate::store::shared::Shared;
use idgate::store::{
    Attempts, Batch, CommitError, Expect, Handles, Key, KeyId, Limit, Partition, Receipt, ShredKey, Space, Store,
    StoreError, Stored,
};
use jiff::Timestamp;
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// What is called. Values are numbers that are never used twice, so a number stands for the version it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Take,
    /// Puts `to` if `from` is still there (or nothing, for `None`).
    Set {
        from: Option<u64>,
        to: u64,
    },
    Get,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Found(Option<u64>),
    Done,
    Conflict,
}

/// One correct value in one place.
#[derive(Clone, Debug)]
struct Place(Option<u64>);

impl SequentialSpec for Place {
    type Op = Op;
    type Ret = Answer;

    fn invoke(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Take => Answer::Found(self.0.take()),
            Op::Get => Answer::Found(self.0),
            Op::Set { from, to } if from == self.0 => {
                self.0 = Some(to);
                Answer::Done
            }
            Op::Set { .. } => Answer::Conflict,
        }
    }
}

/// A call began, or ended.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Began(u64, Op),
    Ended(u64, Answer),
    /// The store said that it did nothing.
    Refused(u64),
}

type History = Vec<Moment>;

/// Whether there is an order; of the changes alone, or of the reads as well.
fn linearizable(history: &History, reads: bool) -> bool {
    let leave_out: Vec<u64> = history
        .iter()
        .filter_map(|moment| match moment {
            Moment::Refused(call) => Some(*call),
            Moment::Began(call, Op::Get) if !reads => Some(*call),
            _ => None,
        })
        .collect();
    // Each call is a thread of its own, so that one that never ended holds up no other.
    let mut tester = LinearizabilityTester::new(Place(None));
    for moment in history {
        match *moment {
            Moment::Began(call, op) if !leave_out.contains(&call) => drop(tester.on_invoke(call, op).unwrap()),
            Moment::Ended(call, answer) if !leave_out.contains(&call) => drop(tester.on_return(call, answer).unwrap()),
            _ => {}
        }
    }
    tester.is_consistent()
}

/// Writes histories down, by value.
#[derive(Default)]
struct Recorder {
    histories: Mutex<BTreeMap<u64, History>>,
    calls: AtomicU64,
    numbers: AtomicU64,
    unknown: AtomicU64,
}

impl Recorder {
    fn note(&self, place: u64, moment: Moment) {
        self.histories.lock().unwrap().entry(place).or_default().push(moment);
    }

    /// Makes one call and writes it down; false if its answer was lost.
    async fn call(&self, place: u64, op: Op, call: impl Future<Output = Result<Answer, StoreError>>) -> Option<Answer> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        self.note(place, Moment::Began(number, op));
        match call.await {
            Ok(answer) => {
                self.note(place, Moment::Ended(number, answer));
                Some(answer)
            }
            Err(StoreError::Busy) => {
                self.note(place, Moment::Refused(number));
                None
            }
            Err(_) => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

fn number(stored: &Stored) -> u64 {
    u64::from_be_bytes(stored.value.as_slice().try_into().unwrap())
}

/// One caller: reads a value, takes it or sets it, a few times.
async fn caller(recorder: &Recorder, store: &dyn Store, place: u64, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let of = Partition::new(u8::try_from(place % 16).unwrap()).unwrap();
    let party = "shop".parse().unwrap();
    let key = Handles::new(Sensitive::new([7; 32])).key(Space::SingleUse, of, &party, &place.to_string());
    for _ in 0..3 {
        sleep(Duration::from_millis(random.u64(0..40))).await;
        let mut read = None;
        let get = async {
            read = store.get(&key, at(0)).await?;
            Ok(Answer::Found(read.as_ref().map(number)))
        };
        let mut known = recorder.call(place, Op::Get, get).await.is_some();
        if known && random.u8(0..3) > 0 {
            let to = recorder.numbers.fetch_add(1, Ordering::Relaxed);
            let from = read.as_ref().map(number);
            let expect = read.as_ref().map_or(Expect::Absent, |stored| Expect::Version(stored.version));
            let mut batch = Batch::new(of).require(key, expect).put(key, to.to_be_bytes().to_vec(), None);
            if random.bool() {
                batch = batch.record(entry(0));
            }
            let set = async {
                match store.commit(batch, at(0)).await {
                    Ok(_) => Ok(Answer::Done),
                    Err(CommitError::Conflict) => Ok(Answer::Conflict),
                    Err(CommitError::Store(error)) => Err(error),
                    Err(other) => panic!("{other}"),
                }
            };
            known = recorder.call(place, Op::Set { from, to }, set).await.is_some();
        } else if known {
            let take = async { Ok(Answer::Found(store.take(&key, at(0)).await?.as_ref().map(number))) };
            known = recorder.call(place, Op::Take, take).await.is_some();
        }
        if !known {
            back(store).await;
        }
    }
}

/// Waits until the store can be used again.
async fn back(store: &dyn Store) {
    while store.health().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Uses one value after the other, with as many callers in each store's view, until the time is over.
async fn use_values(recorder: &Arc<Recorder>, stores: &[Arc<dyn Store>], until: Instant, (lane, lanes): (u64, u64)) {
    let mut place = lane;
    while Instant::now() < until {
        let mut callers = JoinSet::new();
        for (number, store) in stores.iter().cycle().take(5).enumerate() {
            let (recorder, store) = (Arc::clone(recorder), Arc::clone(store));
            let seed = seeded() ^ (place << 8) ^ u64::try_from(number).unwrap();
            callers.spawn(async move { caller(&recorder, &*store, place, seed).await });
        }
        while let Some(done) = callers.join_next().await {
            done.unwrap();
        }
        place += lanes;
    }
}

struct Verdict {
    values: usize,
    open: usize,
    changes_wrong: Vec<History>,
    reads_wrong: usize,
    undecided: usize,
}

/// Looks at every history; one that takes too long is not decided.
async fn judge(recorder: &Recorder) -> Verdict {
    let histories = std::mem::take(&mut *recorder.histories.lock().unwrap());
    let mut verdict = Verdict { values: histories.len(), open: 0, changes_wrong: vec![], reads_wrong: 0, undecided: 0 };
    for history in histories.into_values() {
        let began = history.iter().filter(|moment| matches!(moment, Moment::Began(..))).count();
        verdict.open += usize::from(2 * began > history.len());
        let look = |reads| {
            let history = history.clone();
            timeout(Duration::from_secs(20), tokio::task::spawn_blocking(move || linearizable(&history, reads)))
        };
        match look(false).await.map(Result::unwrap) {
            Ok(true) => {}
            Ok(false) => {
                verdict.changes_wrong.push(history);
                continue;
            }
            Err(_) => verdict.undecided += 1,
        }
        match look(true).await.map(Result::unwrap) {
            Ok(holds) => verdict.reads_wrong += usize::from(!holds),
            Err(_) => verdict.undecided += 1,
        }
    }
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn single_use_and_compare_and_set_are_linearizable_while_redis_breaks() {
    let redis = Redis::sentinel();
    redis.impatient();
    let settings = redis.brisk_settings();
    let stores: Vec<Arc<dyn Store>> =
        (0..3).map(|_| Arc::new(Shared::new(&settings).unwrap()) as Arc<dyn Store>).collect();
    for store in &stores {
        back(&**store).await;
    }
    let until = Instant::now() + Duration::from_secs(seconds("IDGATE_HISTORIES_SECONDS", 20));
    let faults = Faults::start(redis, seeded(), until.into_std());
    let recorder = Arc::new(Recorder::default());
    let mut lanes = JoinSet::new();
    for lane in 0..8 {
        let (recorder, stores) = (Arc::clone(&recorder), stores.clone());
        lanes.spawn(async move { use_values(&recorder, &stores, until, (lane, 8)).await });
    }
    while let Some(done) = lanes.join_next().await {
        done.unwrap();
    }
    let (redis, faults) = faults.end();
    let calls = recorder.calls.load(Ordering::Relaxed);
    let unknown = recorder.unknown.load(Ordering::Relaxed);
    let verdict = judge(&recorder).await;
    println!(
        "histories: seed {}, {} values, {calls} calls, {unknown} answers lost ({} values with open calls), faults {faults}; \
         changes not linearizable: {}, with reads: {}, not decided: {}",
        seeded(),
        verdict.values,
        verdict.open,
        verdict.changes_wrong.len(),
        verdict.reads_wrong,
        verdict.undecided
    );
    for history in verdict.changes_wrong.iter().take(3) {
        println!("{history:#?}");
    }
    back(&*stores[0]).await;
    for partition in Partition::all() {
        verified(&*stores[0], partition).await;
    }
    drop(redis);
    assert!(verdict.changes_wrong.is_empty());
    assert_eq!(verdict.undecided, 0);
    assert!(verdict.values > 20 && faults.total() > 0 && unknown > 0, "nothing was tried");
}

/// Operations of callers that follow each other.
fn sequence(calls: &[(Op, Option<Answer>)]) -> History {
    let numbered = calls.iter().zip(0..);
    numbered
        .flat_map(|((op, answer), number)| {
            [Some(Moment::Began(number, *op)), answer.map(|answer| Moment::Ended(number, answer))]
        })
        .flatten()
        .collect()
}

#[test]
fn the_checker_refuses_what_no_correct_value_could_answer() {
    use Answer::{Conflict, Done, Found};
    let first = (Op::Set { from: None, to: 1 }, Some(Done));
    let taken = (Op::Take, Some(Found(Some(1))));
    let next = |to| (Op::Set { from: Some(1), to }, Some(Done));
    for (history, holds) in [
        (vec![first, taken], true),
        (vec![first, taken, taken], false),
        (vec![first, (Op::Take, Some(Found(None)))], false),
        (vec![first, next(2), next(3)], false),
        (vec![first, next(2), (Op::Set { from: Some(1), to: 3 }, Some(Conflict))], true),
        (vec![first, (Op::Set { from: Some(1), to: 3 }, Some(Conflict))], false),
        (vec![first, next(2), taken], false),
        // A call whose answer was lost happened, or not; but not before it began, and not twice.
        (vec![first, (Op::Take, None), (Op::Take, Some(Found(None)))], true),
        (vec![first, (Op::Take, None), taken], true),
        (vec![first, (Op::Take, None), taken, taken], false),
        (vec![first, (Op::Take, Some(Found(None))), (Op::Take, None)], false),
        (vec![first, (Op::Set { from: Some(1), to: 2 }, None), (Op::Take, Some(Found(Some(2))))], true),
    ] {
        assert_eq!(linearizable(&sequence(&history), false), holds, "{history:?}");
    }
    let stale = vec![first, next(2), (Op::Get, Some(Found(Some(1))))];
    assert!(linearizable(&sequence(&stale), false) && !linearizable(&sequence(&stale), true));
    // Two takers at the same time: one gets it.
    let [a, b] = [0, 1].map(|call: u64| Moment::Began(call + 10, Op::Take));
    let ended = |call: u64, found| Moment::Ended(call + 10, Found(found));
    let both = |second| [sequence(&[first]), vec![a, b, ended(0, Some(1)), ended(1, second)]].concat();
    assert!(linearizable(&both(None), false) && !linearizable(&both(Some(1)), false));
}

/// A store that does in two steps what must be one.
struct Torn(Embedded);

#[async_trait]
impl Store for Torn {
    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let found = self.0.get(key, now).await?;
        tokio::task::yield_now().await;
        if found.is_some() {
            self.0.commit(Batch::new(key.partition()).delete(*key), now).await.map_err(|_| StoreError::Unavailable)?;
        }
        Ok(found)
    }
    async fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        self.0.get(key, now).await
    }
    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        self.0.commit(batch, now).await
    }
    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        self.0.filed(under, after, at_most).await
    }
    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        self.0.count(key, limit, now).await
    }
    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        self.0.trail(partition, after, at_most).await
    }
    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        self.0.head(partition).await
    }
    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        self.0.forge().await
    }
    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        self.0.find_key(id).await
    }
    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        self.0.shred(id).await
    }
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.sweep(now).await
    }
    async fn health(&self) -> Result<(), StoreError> {
        self.0.health().await
    }
}

/// What is recorded of a store in some seconds.
async fn tried(store: Arc<dyn Store>, enough: impl Fn(&Verdict) -> bool) -> Verdict {
    let recorder = Arc::new(Recorder::default());
    let mut round = 0;
    loop {
        let until = Instant::now() + Duration::from_millis(500);
        let lanes = (0..8).map(|lane| {
            let (recorder, stores) = (Arc::clone(&recorder), vec![Arc::clone(&store)]);
            // Other values in each round.
            let lane = lane + round * 1_000_000 * 8;
            tokio::spawn(async move { use_values(&recorder, &stores, until, (lane, 8)).await })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.unwrap();
        }
        let verdict = judge(&recorder).await;
        round += 1;
        if enough(&verdict) || round == 40 {
            return verdict;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_takes_in_two_steps_is_found_out_and_ours_is_not() {
    let home = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let directory = home.path().join(name);
        Embedded::open(&embedded::Settings { directory, ..embedded::Settings::default() }).unwrap()
    };
    let torn = tried(Arc::new(Torn(open("torn"))), |verdict| !verdict.changes_wrong.is_empty()).await;
    assert!(!torn.changes_wrong.is_empty(), "a value was never taken twice, or nobody saw it");
    let whole = tried(Arc::new(open("whole")), |_| true).await;
    assert!(whole.values > 8);
    assert_eq!((whole.changes_wrong.len(), whole.reads_wrong, whole.undecided, whole.open), (0, 0, 0, 0));
}
