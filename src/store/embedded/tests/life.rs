//! What callers do with a store, what they were answered, and whether a disk still has it.

use super::super::*;
use super::recorder::{Image, Recorder, Which};
use crate::audit::{DocumentRead, Entry, Field, verify_chain};
use crate::secret::Sensitive;
use crate::store::{Expect, Handles, Space};
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// Partitions that are used.
const PARTITIONS: u8 = 3;

pub fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn partition(number: usize) -> Partition {
    Partition::new(u8::try_from(number).unwrap() % PARTITIONS).unwrap()
}

fn key(space: Space, at: usize, name: &str) -> Key {
    Handles::new(Sensitive::new([7; 32])).key(space, partition(at), &"shop".parse().unwrap(), name)
}

fn entry() -> Entry {
    Entry::DocumentRead(Box::new(DocumentRead {
        at: now(),
        decision_id: partition(0).stamp(uuid::Uuid::nil()),
        relying_party: "shop".parse().unwrap(),
        fields: vec![Field::DateOfBirth],
        document: None,
        assurance: None,
        reasons: vec![],
        image: None,
    }))
}

/// A store on recorded disks.
pub fn open(disks: &Recorder) -> Result<Embedded, OpenError> {
    let (disk, room) = (disks.clone(), disks.clone());
    let base = Base::open(Ground {
        file: Box::new(move || Ok(Box::new(disk.drive(Which::Base)))),
        room: Box::new(move || room.room()),
        cache_bytes: 1 << 20,
    })?;
    let known = known_keys(&base)?;
    Embedded::start(base.impatient(), known, disks.drive(Which::Keys), 64)
}

/// What a caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done,
    /// It is refused, or nobody had time for it, and nothing was done.
    Refused,
    /// It is not known whether it was done.
    Unknown,
}

#[derive(Debug, Clone)]
enum Act {
    /// Two values, a filing and an entry, in one batch.
    Put(usize),
    /// A batch that must be refused.
    Misput(usize),
    /// Takes the first value of a batch.
    Take(usize),
    Count,
    Forge,
    /// Destroys the key that this deed made.
    Shred(usize),
}

/// Something that was asked for, between two positions of the disks.
#[derive(Debug)]
struct Deed {
    act: Act,
    from: usize,
    to: usize,
    told: Told,
    forged: Option<(KeyId, [u8; 32])>,
}

/// Everything that was done with a store.
pub struct Life {
    pub store: Arc<Embedded>,
    pub disks: Recorder,
    /// When the store was made.
    pub begun: usize,
    deeds: Vec<Deed>,
    taken: BTreeSet<usize>,
    shredded: BTreeSet<usize>,
}

/// The first value of a batch, of different lengths.
fn value(name: usize) -> Vec<u8> {
    vec![u8::try_from(name % 251).unwrap(); name * 977 % 9000]
}

fn first(name: usize) -> Key {
    key(Space::SingleUse, name, &format!("first {name}"))
}

fn second(name: usize) -> Key {
    key(Space::Decision, name, &format!("second {name}"))
}

fn misput(name: usize) -> Key {
    key(Space::Decision, name, &format!("refused {name}"))
}

fn list(at: usize) -> Key {
    key(Space::Due, at, "list")
}

fn counted() -> Key {
    key(Space::Attempts, 0, "counted")
}

impl Life {
    pub fn begin(disks: Recorder) -> Self {
        let store = Arc::new(open(&disks).unwrap());
        let begun = disks.position();
        Self { store, disks, begun, deeds: Vec::new(), taken: BTreeSet::new(), shredded: BTreeSet::new() }
    }

    fn done(&self, wanted: impl Fn(&Act) -> bool) -> Vec<usize> {
        let deeds = self.deeds.iter().enumerate();
        deeds.filter(|(_, deed)| deed.told == Told::Done && wanted(&deed.act)).map(|(index, _)| index).collect()
    }

    /// Does some things at once. Returns what was told.
    pub async fn go_on(&mut self, random: &mut fastrand::Rng) -> Vec<Told> {
        let (puts, forges) = (self.done(|act| matches!(act, Act::Put(_))), self.done(|act| matches!(act, Act::Forge)));
        let mut tasks = Vec::new();
        for _ in 0..random.usize(1..=6) {
            let name = self.deeds.len() + tasks.len();
            let act = match random.u8(0..10) {
                0..4 => Act::Put(name),
                4 if !puts.is_empty() => Act::Misput(puts[random.usize(..puts.len())]),
                5 | 6 => match puts.iter().find(|put| !self.taken.contains(put)) {
                    Some(put) => {
                        self.taken.insert(*put);
                        Act::Take(*put)
                    }
                    None => Act::Count,
                },
                7 => Act::Forge,
                8 => match forges.iter().find(|forge| !self.shredded.contains(forge)) {
                    Some(forge) => {
                        self.shredded.insert(*forge);
                        Act::Shred(*forge)
                    }
                    None => Act::Forge,
                },
                _ => Act::Count,
            };
            let id = match &act {
                Act::Shred(forge) => self.deeds[*forge].forged.map(|(id, _)| id),
                _ => None,
            };
            let (store, disks) = (Arc::clone(&self.store), self.disks.clone());
            tasks.push(tokio::spawn(async move {
                let from = disks.position();
                let (told, forged) = act.carry_out(&store, id).await;
                Deed { act, from, to: disks.position(), told, forged }
            }));
        }
        let mut told = Vec::new();
        for task in tasks {
            let deed = task.await.unwrap();
            told.push(deed.told);
            self.deeds.push(deed);
        }
        told
    }

    /// That what was answered can be read.
    pub async fn reads_go_on(&self) {
        for put in self.done(|act| matches!(act, Act::Put(_))) {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            loop {
                match self.store.get(&second(put), now()).await {
                    Ok(found) => break assert!(found.is_some(), "read as absent while nothing can be written"),
                    // For the moment in which it is opened for reading.
                    Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// That a store has everything that was answered up to `position`, nothing that was asked for later, and nothing by
    /// halves.
    pub async fn check(&self, store: &Embedded, position: usize, image: &Image) {
        let mut entries = [0u64; PARTITIONS as usize];
        let mut filed = BTreeSet::new();
        for at in 0..usize::from(PARTITIONS) {
            filed.extend(store.filed(&list(at), None, FILED).await.unwrap().iter().map(Key::bytes));
        }
        let (mut least, mut most) = (0u16, 0u16);
        for (index, deed) in self.deeds.iter().enumerate() {
            let asked = deed.from < position;
            let sure = deed.told == Told::Done && deed.to <= position;
            match deed.act {
                Act::Put(name) => {
                    let there = store.get(&second(name), now()).await.unwrap().is_some();
                    assert!(there || !sure, "lost: {deed:?} at {position}");
                    assert!(asked || !there, "from the future: {deed:?} at {position}");
                    assert_eq!(filed.contains(&first(name).bytes()), there, "half a batch: {deed:?} at {position}");
                    entries[name % usize::from(PARTITIONS)] += u64::from(there);
                    let takes = self.deeds.iter().find(|deed| matches!(deed.act, Act::Take(of) if of == index));
                    let found = store.get(&first(name), now()).await.unwrap();
                    match takes {
                        Some(take) if take.told == Told::Done && take.to <= position => {
                            assert!(found.is_none(), "taken and there again: {take:?} at {position}");
                        }
                        Some(take) if take.from < position && found.is_none() => {}
                        _ => assert_eq!(found.is_some(), there, "half a batch: {deed:?} at {position}"),
                    }
                    assert!(found.is_none_or(|stored| stored.value == value(name)));
                }
                Act::Misput(name) => {
                    assert_ne!(deed.told, Told::Done);
                    assert!(store.get(&misput(name), now()).await.unwrap().is_none(), "refused and there: {deed:?}");
                }
                Act::Take(_) => {}
                Act::Count => {
                    least += u16::from(sure);
                    most += u16::from(asked && deed.told != Told::Refused);
                }
                Act::Forge => {
                    let Some((id, bytes)) = deed.forged else { continue };
                    let shred = self.deeds.iter().find(|deed| matches!(deed.act, Act::Shred(of) if of == index));
                    let found = store.find_key(id).await.unwrap();
                    assert!(found.as_ref().is_none_or(|found| *found.expose() == bytes));
                    match shred {
                        Some(shred) if shred.told == Told::Done && shred.to <= position => {
                            assert!(found.is_none(), "shredded and there again: {shred:?}");
                            // The other file never sees one.
                            let lies = image[1].windows(32).any(|window| window == bytes);
                            assert!(!lies, "a shredded key is on the disk: {shred:?} at {position}");
                        }
                        Some(shred) if shred.from < position => {}
                        _ => assert!(found.is_some() || !sure, "a key is lost: {deed:?} at {position}"),
                    }
                }
                Act::Shred(_) => {}
            }
        }
        // Eight bytes each; counting would add one.
        let count = store.get(&counted(), now()).await.unwrap().map_or(0, |stored| stored.value.len() / 8);
        let count = u16::try_from(count).unwrap();
        assert!((least..=most).contains(&count), "{count} of {least} to {most} counted at {position}");
        for (at, entries) in entries.into_iter().enumerate() {
            let (p, mut end) = (partition(at), Head::GENESIS);
            loop {
                let page = store.trail(p, end.seq, 100).await.unwrap();
                if page.is_empty() {
                    break;
                }
                end = verify_chain(p.number(), end, &page, None).unwrap();
            }
            assert_eq!((end, end.seq), (store.head(p).await.unwrap(), entries), "entries and values differ");
        }
        store.health().await.unwrap();
    }
}

impl Act {
    async fn carry_out(&self, store: &Embedded, id: Option<KeyId>) -> (Told, Option<(KeyId, [u8; 32])>) {
        let told = match self {
            Self::Put(name) => {
                let batch = Batch::new(partition(*name)).put(first(*name), value(*name), None);
                let batch = batch.put(second(*name), b"there".to_vec(), None).file(list(*name), first(*name));
                let batch = batch.require(second(*name), Expect::Absent).record(entry());
                of_commit(store.commit(batch, now()).await)
            }
            Self::Misput(name) => {
                let batch = Batch::new(partition(*name)).require(second(*name), Expect::Absent);
                of_commit(store.commit(batch.put(misput(*name), vec![1], None).record(entry()), now()).await)
            }
            Self::Take(put) => of(store.take(&first(*put), now()).await.map(|taken| {
                assert!(taken.is_some(), "what was answered was not there to be taken");
            })),
            Self::Count => {
                let limit = Limit::new(Limit::MAX, SignedDuration::from_hours(1)).unwrap();
                of(store.count(&counted(), limit, now()).await.map(drop))
            }
            Self::Forge => {
                let forged = store.forge().await;
                return (
                    of(forged.as_ref().map(drop).map_err(|e| *e)),
                    forged.ok().map(|(id, key)| (id, *key.expose())),
                );
            }
            Self::Shred(_) => of(store.shred(id.unwrap()).await),
        };
        (told, None)
    }
}

fn of(result: Result<(), StoreError>) -> Told {
    match result {
        Ok(()) => Told::Done,
        Err(StoreError::Unavailable) => Told::Unknown,
        // Too many had asked for its health.
        Err(StoreError::Busy) => Told::Refused,
        Err(error) => panic!("{error}"),
    }
}

fn of_commit(result: Result<Receipt, CommitError>) -> Told {
    match result {
        Ok(_) => Told::Done,
        Err(CommitError::Conflict) => Told::Refused,
        Err(CommitError::Store(error)) => of(Err(error)),
        Err(error) => panic!("{error}"),
    }
}
