//! The store's contract: one suite against `&dyn Store`, run on every store there is, and what only the file must do.

use idgate::audit::{DocumentRead, Entry, Field, Head, verify_chain};
use idgate::secret::Sensitive;
use idgate::store::embedded::{Embedded, OpenError, Settings};
use idgate::store::{
    Batch, CommitError, Expect, Handles, Key, KeyId, Limit, Partition, Space, Store, StoreError, Version,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn partition(number: u8) -> Partition {
    Partition::new(number).unwrap()
}

pub fn key(space: Space, number: u8, name: &str) -> Key {
    Handles::new(Sensitive::new([7; 32])).key(space, partition(number), &"shop".parse().unwrap(), name)
}

pub fn entry(second: i64) -> Entry {
    Entry::DocumentRead(Box::new(DocumentRead {
        at: at(second),
        decision_id: partition(0).stamp(uuid::Uuid::nil()),
        relying_party: "shop".parse().unwrap(),
        fields: vec![Field::DateOfBirth],
        document: None,
        assurance: None,
        reasons: vec![],
        image: None,
    }))
}

fn put(name: &str, value: &str) -> Batch {
    Batch::new(partition(0)).put(key(Space::Decision, 0, name), value.into(), None)
}

async fn value(store: &dyn Store, key: &Key, second: i64) -> Option<String> {
    let stored = store.get(key, at(second)).await.unwrap()?;
    Some(String::from_utf8(stored.value).unwrap())
}

/// Who removes what has expired.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sweeping {
    /// The store, when it is told to.
    Told,
    /// The store by itself, some time after.
    ByItself,
}

/// The whole contract, for a store that is reached in two ways: from two processes, where it can be. Each part uses names
/// and partitions of its own, so that one store serves them all.
pub async fn contract(store: Arc<dyn Store>, other: Arc<dyn Store>, sweeping: Sweeping) {
    a_batch_is_applied_as_a_whole_or_not_at_all(&*store).await;
    a_version_is_good_for_one_change(&*store).await;
    versions_never_repeat(&*store, &*other).await;
    a_batch_stays_within_its_bounds(&*store).await;
    the_largest_batch_is_taken(&*store).await;
    a_value_is_any_bytes(&*store).await;
    an_expired_value_is_absent_and_is_swept(&*store, sweeping).await;
    an_expiry_is_exact_by_the_clock_of_whoever_asks(&*store).await;
    what_is_filed_is_told_in_order_until_it_is_taken_back(&*store).await;
    one_name_holds_a_value_and_filings(&*store).await;
    a_refused_batch_files_nothing(&*store).await;
    a_limit_slides_and_forgets(&*store).await;
    a_limit_holds_when_clocks_differ(&*store, &*other).await;
    what_was_taken_is_gone(&*store, &*other).await;
    of_racing_writers_one_wins(&store, &other).await;
    of_many_takers_one_gets_it(&store, &other).await;
    a_burst_never_gets_more_than_the_limit(&store, &other).await;
    a_chain_is_read_in_parts(&*store).await;
    the_chain_holds_across_racing_batches(&store, &other).await;
    a_key_is_found_until_it_is_shredded(&store, &*other).await;
    store.health().await.unwrap();
}

async fn versions_never_repeat(store: &dyn Store, other: &dyn Store) {
    let (a, b) = (key(Space::Decision, 7, "versions-a"), key(Space::Decision, 7, "versions-b"));
    let mut last = Version(0);
    // Whichever process writes, whatever its clock says, and whether the value was removed meanwhile.
    for (round, second) in [1_000, 0, 1_000, -1_000_000_000, 2_000_000_000, 0].into_iter().enumerate() {
        let store = if round % 2 == 0 { store } else { other };
        for k in [a, b, a] {
            let version =
                store.commit(Batch::new(partition(7)).put(k, vec![], None), at(second)).await.unwrap().version;
            assert!(version > last, "{version:?} after {last:?}");
            last = version;
        }
        store.commit(Batch::new(partition(7)).delete(a), at(second)).await.unwrap();
        let late = Batch::new(partition(7)).put(a, vec![], None).require(a, Expect::Version(last));
        assert_eq!(store.commit(late, at(second)).await, Err(CommitError::Conflict));
    }
}

async fn the_largest_batch_is_taken(store: &dyn Store) {
    let p = partition(8);
    let keys: Vec<Key> = (0..Batch::MAX_ITEMS).map(|i| key(Space::Decision, 8, &format!("largest-{i}"))).collect();
    let value = |i: usize| vec![u8::try_from(i).unwrap(); Batch::MAX_VALUE];
    let before = store.head(p).await.unwrap().seq;
    let whole = |expect: &dyn Fn(Key) -> Expect| {
        keys.iter().enumerate().fold(Batch::new(p), |batch, (i, k)| {
            batch.require(*k, expect(*k)).put(*k, value(i), Some(at(1_000))).record(entry(0))
        })
    };
    let receipt = store.commit(whole(&|_| Expect::Absent), at(0)).await.unwrap();
    assert_eq!(receipt.head.seq, before + 64);
    for (i, k) in keys.iter().enumerate() {
        let stored = store.get(k, at(0)).await.unwrap().unwrap();
        assert!(stored.value == value(i) && stored.version == receipt.version);
    }
    assert_eq!(store.commit(whole(&|_| Expect::Absent), at(0)).await, Err(CommitError::Conflict));
    store.commit(whole(&|_| Expect::Version(receipt.version)), at(0)).await.unwrap();
    let gone = keys.iter().fold(Batch::new(p), |batch, k| batch.delete(*k));
    store.commit(gone, at(0)).await.unwrap();
    assert_eq!(verified(store, p).await, before + 128);
}

async fn a_value_is_any_bytes(store: &dyn Store) {
    let k = key(Space::Decision, 7, "bytes");
    let all: Vec<u8> = (0..=255).collect();
    for value in [vec![], all, b"\r\n$3\r\n'\\".to_vec(), vec![0; 8], vec![0xff; 16]] {
        store.commit(Batch::new(partition(7)).put(k, value.clone(), None), at(0)).await.unwrap();
        assert_eq!(store.get(&k, at(0)).await.unwrap().unwrap().value, value);
    }
    let stored = store.take(&k, at(0)).await.unwrap().unwrap();
    assert_eq!((stored.value, stored.expires_at), (vec![0xff; 16], None));
}

async fn a_batch_is_applied_as_a_whole_or_not_at_all(store: &dyn Store) {
    let (a, b) = (key(Space::Decision, 0, "whole-a"), key(Space::Idempotency, 0, "whole-b"));
    let batch = || Batch::new(partition(0)).put(a, b"1".into(), None).put(b, b"2".into(), None).record(entry(0));
    let before = store.head(partition(0)).await.unwrap();
    let receipt = store.commit(batch().require(a, Expect::Absent), at(0)).await.unwrap();
    assert_eq!(receipt.head.seq, before.seq + 1);
    assert_eq!(value(store, &a, 0).await.as_deref(), Some("1"));
    assert_eq!(store.get(&b, at(0)).await.unwrap().unwrap().version, receipt.version);

    let other = key(Space::Decision, 0, "whole-c");
    let refused = batch().put(other, b"3".into(), None).delete(b).require(a, Expect::Absent).require(b, Expect::Absent);
    assert_eq!(store.commit(refused, at(1)).await, Err(CommitError::Conflict));
    assert_eq!(value(store, &b, 1).await.as_deref(), Some("2"), "a refused batch deleted something");
    assert_eq!(value(store, &other, 1).await, None, "a refused batch put something");
    assert_eq!(store.head(partition(0)).await.unwrap(), receipt.head, "a refused batch recorded something");

    let both = Batch::new(partition(0)).delete(a).delete(b);
    store.commit(both, at(2)).await.unwrap();
    assert_eq!((value(store, &a, 2).await, value(store, &b, 2).await), (None, None));
}

async fn a_version_is_good_for_one_change(store: &dyn Store) {
    let k = key(Space::Decision, 0, "version");
    let first = store.commit(put("version", "1"), at(0)).await.unwrap().version;
    let second = put("version", "2").require(k, Expect::Version(first));
    store.commit(second.clone(), at(0)).await.unwrap();
    assert_eq!(store.commit(second.clone(), at(0)).await, Err(CommitError::Conflict));
    // Neither does a value that was removed and made again take up an old version.
    store.commit(Batch::new(partition(0)).delete(k), at(0)).await.unwrap();
    assert_eq!(store.commit(second, at(0)).await, Err(CommitError::Conflict));
    let third = store.commit(put("version", "3").require(k, Expect::Absent), at(0)).await.unwrap().version;
    assert!(third > first);
}

async fn a_batch_stays_within_its_bounds(store: &dyn Store) {
    let elsewhere = Batch::new(partition(0)).put(key(Space::Decision, 1, "x"), b"1".into(), None);
    assert_eq!(store.commit(elsewhere, at(0)).await, Err(CommitError::WrongPartition));
    let long = put("long", &"x".repeat(Batch::MAX_VALUE + 1));
    assert_eq!(store.commit(long, at(0)).await, Err(CommitError::TooLarge));
    let many = (0..=Batch::MAX_ITEMS).fold(Batch::new(partition(0)), |batch, _| batch.record(entry(0)));
    assert_eq!(store.commit(many, at(0)).await, Err(CommitError::TooLarge));
    store.commit(put("long", &"x".repeat(Batch::MAX_VALUE)), at(0)).await.unwrap();
}

async fn an_expired_value_is_absent_and_is_swept(store: &dyn Store, sweeping: Sweeping) {
    let (k, kept) = (key(Space::SingleUse, 0, "expiry"), key(Space::SingleUse, 0, "expiry-kept"));
    let until = |k, second| Batch::new(partition(0)).put(k, b"v".into(), Some(at(second)));
    store.commit(until(k, 10), at(0)).await.unwrap();
    store.commit(until(kept, 30), at(0)).await.unwrap();
    assert!(value(store, &k, 9).await.is_some());
    assert_eq!(value(store, &k, 10).await, None);
    assert_eq!(store.take(&k, at(10)).await.unwrap(), None, "an expired value was handed out");

    store.commit(until(k, 10), at(0)).await.unwrap();
    store.commit(until(k, 20).require(k, Expect::Absent), at(10)).await.unwrap();
    assert!(value(store, &k, 11).await.is_some(), "the second life was cut short by the first expiry");
    store.sweep(at(19)).await.unwrap();
    assert!(value(store, &k, 0).await.is_some(), "swept too early");
    let swept = u64::from(sweeping == Sweeping::Told);
    assert_eq!(store.sweep(at(20)).await.unwrap(), swept);
    if sweeping == Sweeping::Told {
        assert_eq!(value(store, &k, 0).await, None, "not swept");
    }
    assert_eq!(value(store, &k, 20).await, None);
    assert!(value(store, &kept, 20).await.is_some());
    assert_eq!(store.sweep(at(30)).await.unwrap(), swept);
}

/// The clock of the server (if there is one) stands somewhere else in each of these times, and changes nothing.
async fn an_expiry_is_exact_by_the_clock_of_whoever_asks(store: &dyn Store) {
    let k = key(Space::SingleUse, 7, "exact");
    for start in ["1999-12-31T23:59:59.999999Z", "2026-02-03T04:05:06.000001Z", "2100-01-01T00:00:00.5Z"] {
        let start: Timestamp = start.parse().unwrap();
        let after = |micros: i64| start + SignedDuration::from_micros(micros);
        for life in [1, 999, 1_000, 1_001, 10_000_001] {
            let until = after(life) + SignedDuration::from_nanos(999);
            let batch = || Batch::new(partition(7)).put(k, b"v".into(), Some(until));
            let version = store.commit(batch().require(k, Expect::Absent), start).await.unwrap().version;
            let stored = store.get(&k, after(life - 1)).await.unwrap().expect("it lives");
            assert_eq!(stored.expires_at, Some(after(life)), "kept to the microsecond");
            assert!(store.get(&k, after(life)).await.unwrap().is_none(), "a microsecond too long");
            let late = Batch::new(partition(7)).require(k, Expect::Version(version));
            assert_eq!(store.commit(late.clone(), after(life)).await, Err(CommitError::Conflict));
            store.commit(late, after(life - 1)).await.unwrap();
            let early = Batch::new(partition(7)).require(k, Expect::Absent);
            assert_eq!(store.commit(early.clone(), after(life - 1)).await, Err(CommitError::Conflict));
            store.commit(early, after(life)).await.unwrap();
            assert_eq!(store.take(&k, after(life - 1)).await.unwrap().expect("it lives").version, version);
        }
        // What is put after its time is never there.
        store.commit(Batch::new(partition(7)).put(k, b"v".into(), Some(start)), after(5)).await.unwrap();
        assert!(store.get(&k, after(5)).await.unwrap().is_none());
        store.commit(Batch::new(partition(7)).delete(k), after(5)).await.unwrap();
    }
}

/// Everything under a key, read in pages.
async fn filed(store: &dyn Store, under: &Key, page: usize) -> Vec<Key> {
    let mut all: Vec<Key> = Vec::new();
    loop {
        let next = store.filed(under, all.last(), page).await.unwrap();
        assert!(next.len() <= page);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

async fn what_is_filed_is_told_in_order_until_it_is_taken_back(store: &dyn Store) {
    let (p, under) = (partition(6), key(Space::Subject, 6, "filed"));
    assert_eq!(filed(store, &under, 10).await, []);
    let mut keys: Vec<Key> = (0..1_100).map(|i| key(Space::Consent, 6, &format!("filed-{i}"))).collect();
    for keys in keys.chunks(Batch::MAX_ITEMS) {
        let batch = keys.iter().fold(Batch::new(p), |batch, key| batch.file(under, *key));
        store.commit(batch, at(0)).await.unwrap();
    }
    let neighbours = ["filed-before", "filed-after", "another"].map(|name| key(Space::Subject, 6, name));
    let batch =
        neighbours.iter().fold(Batch::new(p), |batch, other| batch.file(*other, keys[0]).put(*other, vec![], None));
    store.commit(batch.file(under, keys[0]).file(under, keys[0]), at(0)).await.unwrap();
    keys.sort_by_key(Key::bytes);
    assert_eq!(filed(store, &under, 7).await, keys, "each once, in byte order, and nothing of another key");
    assert_eq!(store.filed(&under, None, usize::MAX).await.unwrap(), keys[..1024], "never more at once");
    assert_eq!(store.filed(&under, Some(&keys[1099]), 1).await.unwrap(), []);
    assert_eq!(store.filed(&under, None, 0).await.unwrap(), []);
    // `after` need not be filed itself.
    let gone = Batch::new(p).unfile(under, keys[3]).unfile(under, keys[3]);
    store.commit(gone, at(0)).await.unwrap();
    assert_eq!(store.filed(&under, Some(&keys[3]), 1).await.unwrap(), [keys[4]]);
    assert_eq!(store.get(&keys[4], at(0)).await.unwrap(), None, "a filing is no value");
    // In the order in which a batch says them; deleting a value of the same name leaves the filings alone.
    let batch = Batch::new(p).file(under, keys[3]).unfile(under, keys[3]).unfile(under, keys[4]).file(under, keys[4]);
    store.commit(batch.delete(under), at(0)).await.unwrap();
    keys.remove(3);
    assert_eq!(filed(store, &under, 1024).await, keys);
    for keys in keys.chunks(Batch::MAX_ITEMS) {
        let batch = keys.iter().fold(Batch::new(p), |batch, key| batch.unfile(under, *key));
        store.commit(batch, at(0)).await.unwrap();
    }
    assert_eq!(filed(store, &under, 10).await, []);
    assert_eq!(filed(store, &neighbours[0], 10).await.len(), 1);
}

/// A value, filings of many kinds of keys, and attempts never get in each other's way.
async fn one_name_holds_a_value_and_filings(store: &dyn Store) {
    let (p, k) = (partition(7), key(Space::Due, 7, "both"));
    let spaces = [Space::Rights, Space::Consent, Space::Held, Space::Report, Space::Code, Space::Attempts];
    let mut keys: Vec<Key> = spaces.iter().flat_map(|space| (0..5).map(|i| key(*space, 7, &i.to_string()))).collect();
    let batch = keys.iter().fold(Batch::new(p).put(k, b"v".into(), Some(at(10))), |batch, filed| batch.file(k, *filed));
    store.commit(batch, at(0)).await.unwrap();
    keys.sort_by_key(Key::bytes);
    assert_eq!(filed(store, &k, 4).await, keys, "in the order of their bytes, whatever they are for");
    assert_eq!(store.take(&k, at(0)).await.unwrap().unwrap().value, b"v");
    assert_eq!(filed(store, &k, 4).await, keys, "taking the value leaves what is filed");
    assert!(store.get(&k, at(0)).await.unwrap().is_none());
    store.commit(Batch::new(p).require(k, Expect::Absent).unfile(k, keys[0]), at(0)).await.unwrap();
    assert_eq!(filed(store, &k, 100).await, keys[1..]);
}

async fn a_refused_batch_files_nothing(store: &dyn Store) {
    let (p, under, k) = (partition(6), key(Space::Due, 6, "refused"), key(Space::Consent, 6, "refused"));
    let elsewhere = key(Space::Consent, 7, "refused");
    for batch in [
        Batch::new(p).file(under, k).file(under, elsewhere),
        Batch::new(p).file(under, k).file(elsewhere, k),
        Batch::new(p).file(under, k).unfile(under, elsewhere),
    ] {
        assert_eq!(store.commit(batch, at(0)).await, Err(CommitError::WrongPartition));
    }
    let many = (0..=Batch::MAX_ITEMS).fold(Batch::new(p), |batch, _| batch.file(under, k));
    assert_eq!(store.commit(many, at(0)).await, Err(CommitError::TooLarge));
    let (first, second) = (key(Space::Consent, 6, "a"), key(Space::Consent, 6, "b"));
    let full = (0..Batch::MAX_ITEMS / 2).fold(Batch::new(p), |batch, _| batch.put(first, vec![], None).delete(second));
    assert_eq!(store.commit(full.file(under, k), at(0)).await, Err(CommitError::TooLarge), "filings count as writes");
    let late = Batch::new(p).file(under, k).require(k, Expect::Version(Version(1)));
    assert_eq!(store.commit(late, at(0)).await, Err(CommitError::Conflict));
    assert_eq!(filed(store, &under, 10).await, []);
}

async fn a_limit_slides_and_forgets(store: &dyn Store) {
    let k = key(Space::Attempts, 0, "slide");
    let limit = Limit::new(2, SignedDuration::from_secs(60)).unwrap();
    let count = async |second| store.count(&k, limit, at(second)).await.unwrap();
    assert_eq!((count(0).await.count, count(30).await.count), (1, 2));
    let refused = count(40).await;
    assert_eq!((refused.allowed, refused.retry_after), (false, Some(SignedDuration::from_secs(20))));
    assert!(!count(59).await.allowed);
    assert!(count(60).await.allowed, "the first attempt has left the window");
    assert!(!count(61).await.allowed, "the second has not");
    assert!(!count(5).await.allowed, "a clock that goes back gives no new attempts");
    let lowered = Limit::new(1, SignedDuration::from_secs(60)).unwrap();
    let refused = store.count(&k, lowered, at(61)).await.unwrap();
    assert_eq!(refused.retry_after, Some(SignedDuration::from_secs(59)), "both have to leave first");
    assert!(count(1_000).await.allowed);
    store.commit(Batch::new(partition(0)).delete(k), at(1_000)).await.unwrap();
    assert_eq!(count(1_000).await.count, 1, "deleting forgets all attempts");
}

/// Two processes count for one limit; the clock of one is behind.
async fn a_limit_holds_when_clocks_differ(store: &dyn Store, behind: &dyn Store) {
    let k = key(Space::Attempts, 7, "clocks");
    let limit = Limit::new(3, SignedDuration::from_secs(60)).unwrap();
    assert_eq!(store.count(&k, limit, at(100)).await.unwrap().count, 1);
    assert_eq!(behind.count(&k, limit, at(70)).await.unwrap().count, 2, "what lies ahead counts");
    assert_eq!(store.count(&k, limit, at(100)).await.unwrap().count, 3, "twice at one instant are two");
    let refused = behind.count(&k, limit, at(71)).await.unwrap();
    assert_eq!((refused.allowed, refused.count), (false, 3));
    assert_eq!(refused.retry_after, Some(SignedDuration::from_secs(59)));
    let exactly = at(130) - SignedDuration::from_micros(1);
    assert_eq!(store.count(&k, limit, exactly).await.unwrap().retry_after, Some(SignedDuration::from_micros(1)));
    assert_eq!(store.count(&k, limit, at(130)).await.unwrap().count, 3, "the earliest has left the window");
    assert!(!store.count(&k, limit, at(159)).await.unwrap().allowed);
    let after = store.count(&k, limit, at(160)).await.unwrap();
    assert_eq!((after.allowed, after.count), (true, 2), "both of one instant have left");
    let widest = Limit::new(Limit::MAX, SignedDuration::from_hours(9600)).unwrap();
    assert_eq!(behind.count(&k, widest, at(160)).await.unwrap().count, 3, "what has left is not counted again");
}

async fn what_was_taken_is_gone(store: &dyn Store, other: &dyn Store) {
    let k = key(Space::SingleUse, 7, "gone");
    let put = || Batch::new(partition(7)).put(k, b"v".into(), Some(at(60)));
    let version = store.commit(put(), at(0)).await.unwrap().version;
    assert_eq!(other.take(&k, at(0)).await.unwrap().unwrap().version, version);
    assert_eq!((store.take(&k, at(0)).await.unwrap(), other.get(&k, at(0)).await.unwrap()), (None, None));
    let late = put().require(k, Expect::Version(version));
    assert_eq!(store.commit(late, at(0)).await, Err(CommitError::Conflict));
    let again = store.commit(put().require(k, Expect::Absent), at(0)).await.unwrap().version;
    assert_eq!(other.take(&k, at(0)).await.unwrap().unwrap().version, again);
}

async fn a_chain_is_read_in_parts(store: &dyn Store) {
    let p = partition(9);
    assert_eq!(store.head(p).await.unwrap(), Head::GENESIS);
    assert!(store.trail(p, 0, 10).await.unwrap().is_empty());
    for i in 0..5 {
        store.commit(Batch::new(p).record(entry(2 * i)).record(entry(2 * i + 1)), at(0)).await.unwrap();
    }
    let numbers = async |after, at_most| -> Vec<u64> {
        store.trail(p, after, at_most).await.unwrap().iter().map(|link| link.seq).collect()
    };
    assert_eq!(numbers(0, usize::MAX).await, (1..=10).collect::<Vec<u64>>());
    assert_eq!(numbers(3, 2).await, [4, 5]);
    assert_eq!(numbers(9, 2).await, [10]);
    assert_eq!((numbers(0, 0).await, numbers(10, 5).await, numbers(u64::MAX, 5).await), (vec![], vec![], vec![]));
    assert_eq!(verified(store, p).await, 10);
}

async fn of_racing_writers_one_wins(store: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let k = key(Space::Decision, 0, "race");
    let race = (0..100).map(|i| {
        let store = Arc::clone(if i % 2 == 0 { store } else { other });
        tokio::spawn(async move { store.commit(put("race", &i.to_string()).require(k, Expect::Absent), at(0)).await })
    });
    let (mut won, mut lost) = (Vec::new(), 0);
    for task in race.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(receipt) => won.push(receipt.version),
            Err(CommitError::Conflict) => lost += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((won.len(), lost), (1, 99));
    assert_eq!(store.get(&k, at(0)).await.unwrap().unwrap().version, won[0]);
}

async fn of_many_takers_one_gets_it(store: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let k = key(Space::SingleUse, 2, "take");
    store.commit(Batch::new(partition(2)).put(k, b"once".into(), Some(at(60))), at(0)).await.unwrap();
    let takers = (0..200).map(|i| {
        let store = Arc::clone(if i % 2 == 0 { store } else { other });
        tokio::spawn(async move { store.take(&k, at(1)).await.unwrap() })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].value, b"once");
}

async fn a_burst_never_gets_more_than_the_limit(store: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let k = key(Space::Attempts, 3, "burst");
    let limit = Limit::new(25, SignedDuration::from_hours(24)).unwrap();
    let burst = (0..1_000).map(|i| {
        let store = Arc::clone(if i % 2 == 0 { store } else { other });
        tokio::spawn(async move { store.count(&k, limit, at(0)).await.unwrap() })
    });
    let (mut allowed, mut refused) = (0, 0);
    for task in burst.collect::<Vec<_>>() {
        let attempts = task.await.unwrap();
        assert!(attempts.count <= 25);
        *(if attempts.allowed { &mut allowed } else { &mut refused }) += 1;
        assert_eq!(attempts.allowed, attempts.retry_after.is_none());
    }
    assert_eq!((allowed, refused), (25, 975));
}

async fn the_chain_holds_across_racing_batches(store: &Arc<dyn Store>, other: &Arc<dyn Store>) {
    let p = partition(4);
    let writers = (0..64).map(|i| {
        let store = Arc::clone(if i % 2 == 0 { store } else { other });
        tokio::spawn(async move { store.commit(Batch::new(p).record(entry(i)).record(entry(i)), at(i)).await.unwrap() })
    });
    let mut ends = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        ends.push(writer.await.unwrap().head.seq);
    }
    ends.sort_unstable();
    assert_eq!(ends, (1..=64).map(|i| i * 2).collect::<Vec<u64>>(), "each batch has a place of its own");
    assert_eq!(verified(&**store, p).await, 128);
}

async fn a_key_is_found_until_it_is_shredded(store: &Arc<dyn Store>, other: &dyn Store) {
    let forge = async || {
        let forges = (0..200).map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.forge().await.unwrap() })
        });
        let mut forged = Vec::new();
        for task in forges.collect::<Vec<_>>() {
            let (id, key) = task.await.unwrap();
            forged.push((id, *key.expose()));
        }
        forged
    };
    let find = async |id: &KeyId| {
        let found = store.find_key(*id).await.unwrap().map(|key| *key.expose());
        assert_eq!(other.find_key(*id).await.unwrap().map(|key| *key.expose()), found, "another process finds another");
        found
    };
    let first = forge().await;
    let names: BTreeSet<String> = first.iter().map(|(id, _)| id.to_string()).collect();
    let keys: BTreeSet<[u8; 32]> = first.iter().map(|(_, key)| *key).collect();
    assert_eq!((names.len(), keys.len()), (200, 200), "no name and no key twice");
    for (id, key) in &first {
        assert_eq!(find(&id.to_string().parse().unwrap()).await, Some(*key));
    }
    let (gone, kept) = first.split_at(100);
    let shreds = gone.iter().chain(gone).map(|(id, _)| {
        let (store, id) = (Arc::clone(store), *id);
        tokio::spawn(async move { store.shred(id).await.unwrap() })
    });
    for task in shreds.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let later = forge().await;
    for (id, _) in gone {
        assert_eq!(find(id).await, None);
        store.shred(*id).await.unwrap();
    }
    for (id, key) in kept.iter().chain(&later) {
        assert_eq!(find(id).await, Some(*key), "shredding took another key");
    }
    let never: KeyId = "AAAAAQAAAAAAAAAAAAAAAA".parse().unwrap();
    store.shred(never).await.unwrap();
    assert_eq!(find(&never).await, None);
}

/// Reads a chain in pages, checks it against its head, and tells how long it is.
pub async fn verified(store: &dyn Store, p: Partition) -> u64 {
    let mut end = Head::GENESIS;
    loop {
        let page = store.trail(p, end.seq, 50).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 50);
        end = verify_chain(p.number(), end, &page, None).unwrap();
    }
    assert_eq!(end, store.head(p).await.unwrap());
    end.seq
}

fn open(directory: &Path) -> Embedded {
    Embedded::open(&settings(directory)).unwrap()
}

fn settings(directory: &Path) -> Settings {
    Settings { directory: directory.to_owned(), cache_bytes: 4 << 20, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn embedded_keeps_the_contract() {
    let home = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(&home.path().join("store")));
    contract(Arc::clone(&store), store, Sweeping::Told).await;
}

#[tokio::test]
async fn embedded_keeps_everything_across_a_restart_and_goes_on_with_the_chain() {
    let home = tempfile::tempdir().unwrap();
    let k = key(Space::Decision, 0, "kept");
    let limit = Limit::new(1, SignedDuration::from_hours(1)).unwrap();
    let attempts = key(Space::Attempts, 0, "kept");
    let version = {
        let store = open(home.path());
        store.count(&attempts, limit, at(0)).await.unwrap();
        store.commit(put("kept", "v").file(attempts, k).record(entry(0)), at(0)).await.unwrap().version
    };
    let store = open(home.path());
    assert_eq!(store.filed(&attempts, None, 10).await.unwrap(), [k]);
    let stored = store.get(&k, at(0)).await.unwrap().unwrap();
    assert_eq!((stored.value.as_slice(), stored.version), (b"v".as_slice(), version));
    assert!(!store.count(&attempts, limit, at(1)).await.unwrap().allowed);
    let receipt = store.commit(put("kept", "w").record(entry(1)), at(1)).await.unwrap();
    assert_eq!(receipt.head.seq, 2);
    assert!(receipt.version > version);
    assert_eq!(verified(&store, partition(0)).await, 2);
}

#[tokio::test]
async fn embedded_accepted_changes_are_finished_when_it_is_closed() {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(open(home.path()));
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(put(&format!("close-{i}"), "v"), at(0)).await })
        })
        .collect();
    drop(store);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = open(home.path());
    for i in 0..50 {
        assert!(value(&store, &key(Space::Decision, 0, &format!("close-{i}")), 0).await.is_some());
    }
}

#[tokio::test]
async fn embedded_says_so_when_too_much_is_waiting() {
    let home = tempfile::tempdir().unwrap();
    let store = Embedded::open(&Settings { queue: 1, ..settings(home.path()) }).unwrap();
    // Polled in turn without giving the writer's answers a chance: far more than one can wait.
    let burst: Vec<_> = (0..500).map(|i| store.commit(put(&format!("busy-{i}"), "v"), at(0))).collect();
    let mut busy = 0;
    for result in all(burst).await {
        match result {
            Ok(_) => {}
            Err(CommitError::Store(StoreError::Busy)) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy > 0, "a queue of one took 500 changes at once");
    store.commit(put("busy-after", "v"), at(0)).await.unwrap();
}

/// Polls all futures once before waiting for any.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn embedded_lets_no_second_process_in_and_is_private() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("new");
    let store = open(&directory);
    let before = std::fs::read(directory.join("idgate.redb")).unwrap();
    for _ in 0..3 {
        assert!(matches!(Embedded::open(&settings(&directory)), Err(OpenError::InUse)));
    }
    let after = std::fs::read(directory.join("idgate.redb")).unwrap();
    assert!(before == after, "who is kept out wrote something");
    // Also without the file that is locked first, which somebody may have removed.
    std::fs::remove_file(directory.join("lock")).unwrap();
    assert!(matches!(Embedded::open(&settings(&directory)), Err(OpenError::InUse)));
    assert!(before == std::fs::read(directory.join("idgate.redb")).unwrap());
    drop(store);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = directory.join("idgate.redb");
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Embedded::open(&settings(&directory)), Err(OpenError::Permissions)));
    }
}

#[test]
fn embedded_refuses_what_is_no_store() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let file = home.path().join("idgate.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..512].fill(0xaa);
    std::fs::write(&file, bytes).unwrap();
    assert!(Embedded::open(&settings(home.path())).is_err());
}

/// Whether any eight bytes of the key lie in any file of the directory.
fn lies_in(directory: &Path, key: &[u8; 32]) -> bool {
    let parts: BTreeSet<&[u8]> = key.windows(8).collect();
    std::fs::read_dir(directory).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(8).any(|window| parts.contains(window))
    })
}

#[tokio::test]
async fn embedded_keys_survive_a_restart_and_shredded_ones_leave_no_byte() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    let (kept, kept_key) = store.forge().await.unwrap();
    let (gone, gone_key) = store.forge().await.unwrap();
    let (kept_key, gone_key) = (*kept_key.expose(), *gone_key.expose());
    // The names are stored, the keys never are.
    let names = format!("{kept} {gone}");
    store.commit(put("names", &names), at(0)).await.unwrap();
    drop(store);
    let store = open(home.path());
    for (id, key) in [(kept, kept_key), (gone, gone_key)] {
        assert_eq!(*store.find_key(id).await.unwrap().unwrap().expose(), key);
        assert!(lies_in(home.path(), &key), "the search finds what is there");
    }
    store.shred(gone).await.unwrap();
    assert!(!lies_in(home.path(), &gone_key), "while the store is open");
    drop(store);
    assert!(!lies_in(home.path(), &gone_key));
    let store = open(home.path());
    assert!(store.find_key(gone).await.unwrap().is_none());
    assert_eq!(*store.find_key(kept).await.unwrap().unwrap().expose(), kept_key);
}

#[tokio::test]
async fn embedded_refuses_to_go_on_without_its_keys_unless_told_so() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("shred.keys");
    let store = open(home.path());
    let id = store.forge().await.unwrap().0;
    assert!(std::fs::File::open(&file).unwrap().try_lock().is_err(), "a second process could write it");
    drop(store);
    let whole = std::fs::read(&file).unwrap();
    let refused = || matches!(Embedded::open(&settings(home.path())), Err(OpenError::ShredKeys));
    std::fs::remove_file(&file).unwrap();
    assert!(refused(), "missing");
    assert!(!file.exists(), "refusing made a file");

    let elsewhere = tempfile::tempdir().unwrap();
    drop(open(elsewhere.path()));
    std::fs::copy(elsewhere.path().join("shred.keys"), &file).unwrap();
    assert!(refused(), "another store's");
    let mut garbled = whole.clone();
    garbled[0] ^= 1;
    for bytes in [&garbled, &whole[..10]] {
        std::fs::write(&file, bytes).unwrap();
        assert!(refused());
        assert_eq!(std::fs::read(&file).unwrap(), *bytes, "what is refused is left as it is");
    }
    std::fs::write(&file, &whole).unwrap();
    assert!(open(home.path()).find_key(id).await.unwrap().is_some());
    std::fs::write(&file, "").unwrap();
    assert!(open(home.path()).find_key(id).await.unwrap().is_none(), "given up");
    std::fs::write(&file, &whole).unwrap();
    assert!(refused(), "given up for good");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Embedded::open(&settings(home.path())), Err(OpenError::Permissions)));
    }
}

const CHILD: &str = "IDGATE_TEST_STORE_CHILD";

/// Not a test by itself: what [`embedded_loses_nothing_it_acknowledged_when_it_is_killed`] runs as another process.
#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Arc::new(open(Path::new(&directory)));
    let first = store.head(partition(5)).await.unwrap().seq;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for i in 0.. {
                    let name = format!("{first}-{writer}-{i}");
                    let k = key(Space::Decision, 5, &name);
                    let batch = Batch::new(partition(5)).put(k, name.clone().into_bytes(), None).record(entry(i));
                    store.commit(batch.require(k, Expect::Absent), at(0)).await.unwrap();
                    println!("acknowledged {name}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn embedded_loses_nothing_it_acknowledged_when_it_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..10u32 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["child_that_commits_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, home.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The kill comes after a number of answers that differs from round to round, while others are under way.
        let until = 1 + (round * 37 + 11) % 90;
        let name = |line: String| line.split_once("acknowledged ").map(|(_, name)| name.to_owned());
        let mut seen = 0;
        while seen < until {
            let line = lines.next().expect("the child died by itself").unwrap();
            if let Some(name) = name(line) {
                acknowledged.push(name);
                seen += 1;
            }
        }
        child.kill().unwrap();
        // Whole lines that were still in the pipe were acknowledged as well; the child ends each with its line break.
        let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
        rest.pop();
        acknowledged.extend(rest.into_iter().filter_map(name));
        child.wait().unwrap();

        let store = open(home.path());
        for name in &acknowledged {
            let stored = value(&store, &key(Space::Decision, 5, name), 0).await;
            assert_eq!(stored.as_deref(), Some(name.as_str()), "lost in round {round}");
        }
        let entries = verified(&store, partition(5)).await;
        assert!(entries >= u64::try_from(acknowledged.len()).unwrap(), "an entry was lost in round {round}");
    }
    assert!(acknowledged.len() >= 300);
}
