//! Slots on a disk that loses what was not synced, fails when told to, and is damaged.

use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// A disk behind a cache: a write is on the platter after the next sync. As on Linux, a sync that fails forgets what it
/// should have written, so that the cache shows what the platter never got.
#[derive(Debug, Clone, Default)]
struct Platter(Arc<Mutex<State>>, Arc<AtomicUsize>);

#[derive(Debug, Default)]
struct State {
    cache: Vec<u8>,
    platter: Vec<u8>,
    dirty: BTreeMap<u64, usize>,
    no_sync: bool,
    no_write: bool,
}

impl Platter {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// What is left after the power went.
    fn after_power_cut(&self) -> Self {
        let platter = self.with(|state| state.platter.clone());
        Self(Arc::new(Mutex::new(State { cache: platter.clone(), platter, ..State::default() })), Arc::default())
    }

    fn has(&self, key: &[u8; 32]) -> bool {
        self.with(|state| state.platter.windows(32).any(|window| window == key))
    }

    fn syncs(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|state| state.cache.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.with(|state| out.copy_from_slice(&state.cache[at..at + out.len()]));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.with(|state| {
            state.cache.resize(len, 0);
            state.platter.resize(len, 0);
        });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.with(|state| {
            for (at, length) in std::mem::take(&mut state.dirty) {
                let at = usize::try_from(at).unwrap();
                if !state.no_sync {
                    state.platter[at..at + length].copy_from_slice(&state.cache[at..at + length]);
                }
            }
            if state.no_sync { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.with(|state| {
            if state.no_write {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.cache[at..at + data.len()].copy_from_slice(data);
            state.dirty.insert(offset, data.len());
            Ok(())
        })
    }
}

fn open(disk: &Platter) -> ShredKeys {
    ShredKeys::open(disk.clone(), None, 64).unwrap().0
}

async fn forge(keys: &ShredKeys) -> (KeyId, [u8; 32]) {
    let (id, key) = keys.forge().await.unwrap();
    (id, *key.expose())
}

async fn find(keys: &ShredKeys, id: KeyId) -> Option<[u8; 32]> {
    keys.find(id).await.unwrap().map(|key| *key.expose())
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut() {
    let disk = Platter::default();
    let keys = open(&disk);
    let (kept, gone) = (forge(&keys).await, forge(&keys).await);
    let again = open(&disk.after_power_cut());
    assert_eq!((find(&again, kept.0).await, find(&again, gone.0).await), (Some(kept.1), Some(gone.1)));
    keys.shred(gone.0).await.unwrap();
    assert!(!disk.has(&gone.1) && disk.has(&kept.1));
    let again = open(&disk.after_power_cut());
    assert_eq!((find(&again, kept.0).await, find(&again, gone.0).await), (Some(kept.1), None));
}

#[tokio::test]
async fn a_slot_that_is_used_again_is_not_taken_for_the_old_one() {
    let disk = Platter::default();
    let keys = open(&disk);
    let old = forge(&keys).await;
    keys.shred(old.0).await.unwrap();
    let new = forge(&keys).await;
    assert_eq!(old.0.slot, new.0.slot);
    assert_ne!(old.0, new.0);
    assert_eq!(find(&keys, old.0).await, None);
    keys.shred(old.0).await.unwrap();
    assert_eq!(find(&keys, new.0).await, Some(new.1), "shredding the old key took the new one");
    for slot in [0, 1_000_000, u32::MAX] {
        let nowhere = KeyId { slot, ..new.0 };
        keys.shred(nowhere).await.unwrap();
        assert_eq!(find(&keys, nowhere).await, None);
    }
    drop(keys);
    assert_eq!(find(&open(&disk), new.0).await, Some(new.1), "the header was overwritten");
}

#[tokio::test]
async fn a_key_whose_sync_failed_is_not_answered_and_is_zeroed_before_anything_else() {
    let disk = Platter::default();
    let keys = open(&disk);
    let (kept, gone) = (forge(&keys).await, forge(&keys).await);
    disk.with(|state| state.no_sync = true);
    assert_eq!(keys.shred(gone.0).await, Err(StoreError::Unavailable));
    assert_eq!(keys.forge().await.map(drop), Err(StoreError::Unavailable));
    assert_eq!(keys.health(), Err(StoreError::Unavailable));
    assert!(disk.has(&gone.1), "the cache shows zeros, the platter has the key");
    disk.with(|state| state.no_sync = false);
    while keys.health().is_err() {
        tokio::task::yield_now().await; // asking is what makes the writer try
    }
    assert!(!disk.has(&gone.1), "zeroed without being asked again");
    let (first, second) = (forge(&keys).await, forge(&keys).await);
    assert_ne!(first.0.slot, second.0.slot);
    assert_eq!(find(&keys, kept.0).await, Some(kept.1));
    assert_eq!(find(&open(&disk.after_power_cut()), first.0).await, Some(first.1));
}

#[tokio::test]
async fn a_shred_that_is_asked_again_after_a_restart_reaches_the_disk() {
    let disk = Platter::default();
    let keys = open(&disk);
    let gone = forge(&keys).await;
    disk.with(|state| state.no_sync = true);
    assert!(keys.shred(gone.0).await.is_err());
    drop(keys);
    disk.with(|state| state.no_sync = false);
    // The process starts again over the same cache, which shows zeros.
    let keys = open(&disk);
    assert!(disk.has(&gone.1));
    keys.shred(gone.0).await.unwrap();
    assert!(!disk.has(&gone.1));
}

#[tokio::test]
async fn a_write_that_fails_holds_up_nobody_else() {
    let disk = Platter::default();
    let keys = open(&disk);
    let gone = forge(&keys).await;
    disk.with(|state| state.no_write = true);
    assert_eq!(keys.forge().await.map(drop), Err(StoreError::Unavailable));
    assert_eq!(keys.shred(gone.0).await, Err(StoreError::Unavailable));
    disk.with(|state| state.no_write = false);
    keys.shred(gone.0).await.unwrap();
    assert!(!disk.has(&gone.1));
    assert_eq!(keys.health(), Ok(()));
}

#[tokio::test]
async fn a_slot_that_does_not_hold_is_destroyed_and_its_neighbours_are_not() {
    let disk = Platter::default();
    let keys = open(&disk);
    let forged = [forge(&keys).await, forge(&keys).await, forge(&keys).await];
    drop(keys);
    let [before, victim, after] = forged;
    let start = usize::try_from(offset(victim.0.slot)).unwrap();
    for at in start..start + SLOT {
        let damaged = disk.after_power_cut();
        damaged.with(|state| state.cache[at] ^= 0x20);
        let keys = open(&damaged);
        assert_eq!(find(&keys, victim.0).await, None, "byte {at}");
        assert_eq!((find(&keys, before.0).await, find(&keys, after.0).await), (Some(before.1), Some(after.1)));
        assert!(!damaged.has(&victim.1), "byte {at}");
    }
    // A whole slot in another's place does not hold either.
    let moved = disk.after_power_cut();
    moved.with(|state| state.cache.copy_within(start..start + SLOT, start + 10 * SLOT));
    let elsewhere = KeyId { slot: victim.0.slot + 10, ..victim.0 };
    let keys = open(&moved);
    assert_eq!((find(&keys, elsewhere).await, find(&keys, victim.0).await), (None, Some(victim.1)));
}

#[tokio::test]
async fn a_file_that_was_cut_off_keeps_what_is_whole() {
    let disk = Platter::default();
    let keys = open(&disk);
    let forged = [forge(&keys).await, forge(&keys).await, forge(&keys).await];
    drop(keys);
    for length in SLOT..=4 * SLOT {
        let cut = disk.after_power_cut();
        cut.set_len(length as u64).unwrap();
        let keys = open(&cut);
        for (id, key) in forged {
            // A checksum may end in zeros; what is cut off comes back as zeros.
            let end = usize::try_from(offset(id.slot + 1)).unwrap();
            let whole = disk.with(|state| state.platter[length.min(end)..end].iter().all(|byte| *byte == 0));
            assert_eq!(find(&keys, id).await, whole.then_some(key), "{length}");
            assert_eq!(cut.has(&key), whole, "{length}");
        }
        let (id, key) = forge(&keys).await;
        assert_eq!(find(&open(&cut.after_power_cut()), id).await, Some(key), "{length}");
    }
}

/// A writer that is called by hand, so that it is known what makes one group.
fn writer(disk: &Platter) -> Writer {
    header(disk, None).unwrap();
    let (count, free) = survey(disk).unwrap();
    Writer { disk: Arc::new(disk.clone()), count, free, doubtful: BTreeSet::new(), failed: Arc::default() }
}

#[test]
fn a_group_shares_one_sync_and_one_sync_only() {
    let disk = Platter::default();
    let mut writer = writer(&disk);
    let mut forge_all = |shreds: &[KeyId]| {
        let (mut jobs, mut forged, mut shredded) = (Vec::new(), Vec::new(), Vec::new());
        for id in shreds {
            let (answer, answered) = oneshot::channel();
            jobs.push(Job::Shred(*id, answer));
            shredded.push(answered);
        }
        for _ in 0..2_000 {
            let (answer, answered) = oneshot::channel();
            jobs.push(Job::Forge(answer));
            forged.push(answered);
        }
        let before = disk.syncs();
        writer.settle(jobs);
        assert_eq!(disk.syncs(), before + 1);
        shredded.iter_mut().for_each(|answer| answer.try_recv().unwrap());
        forged.iter_mut().map(|answer| answer.try_recv().unwrap().0).collect::<Vec<_>>()
    };
    let first = forge_all(&[]);
    assert_eq!(first.iter().map(|id| id.slot).collect::<BTreeSet<_>>().len(), 2_000);
    // Shredded twice in one group, while others are forged: no slot is given out before it is zero on disk, or twice.
    let twice = [&first[..100], &first[..100]].concat();
    let second = forge_all(&twice);
    let third = forge_all(&[]);
    let kept = first[100..].iter().chain(&second).chain(&third).map(|id| id.slot).collect::<BTreeSet<_>>();
    assert_eq!(kept.len(), 5_900);
}

#[test]
fn a_full_file_makes_no_key_and_still_destroys() {
    let disk = Platter::default();
    let mut writer = writer(&disk);
    let id = writer.forge(&mut Round::default()).unwrap().0;
    (writer.count, writer.free) = (MOST, BTreeSet::new());
    let mut round = Round::default();
    assert!(writer.forge(&mut round).is_none());
    assert!(writer.shred(id, &mut round));
    assert!(round.freed.contains(&id.slot));
}

#[test]
fn a_file_of_another_kind_or_store_is_refused_and_left_alone() {
    let disk = Platter::default();
    let mark = header(&disk, None).unwrap();
    assert_eq!(header(&disk, Some(mark)).unwrap(), mark);
    assert!(matches!(header(&disk, Some(mark ^ 1)), Err(OpenError::ShredKeys)));
    assert_eq!(header(&disk, None).unwrap(), mark, "made just before the power went");
    disk.with(|state| state.cache.fill(0));
    assert!(matches!(header(&disk, Some(mark)), Err(OpenError::ShredKeys)));
    assert!(header(&disk, None).is_ok(), "cut off while it was made");
    disk.with(|state| state.cache.fill(b'x'));
    assert!(matches!(header(&disk, None), Err(OpenError::ShredKeys)));
    assert!(disk.with(|state| state.cache.iter().all(|byte| *byte == b'x')));
}
