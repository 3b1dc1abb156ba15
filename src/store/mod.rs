//! Where state rests: one small contract, kept by an embedded file for one process and by Redis for many.
//!
//! Values are opaque bytes with a version and, mostly, an expiry; keys carry no personal data ([`Handles`]). What a
//! call answered is on disk: a killed process loses nothing it acknowledged. A batch takes effect as a whole or not at
//! all, together with its audit entries. Time is an argument everywhere; an expired value counts as absent from the
//! instant of its expiry, swept or not. When the store cannot answer, the caller must refuse (no entry, no token).

pub mod copy;
pub mod embedded;
pub mod journal;
mod key;
pub mod shared;
mod shred;
mod stirring;

pub use key::{Handles, Key, Partition, Space};
pub use shred::{KeyId, ShredKey};
pub use stirring::{Heads, Stirred, Stirring};

use crate::audit::{Entry, Head, Link};
use crate::terms::Malformed;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// The contract. Every verb is atomic; every verb that changes something is durable when it answers.
///
/// Dropping a call's future does not undo it: a caller that gave up must read to learn what happened.
#[async_trait]
pub trait Store: Send + Sync {
    /// The value, unless it is absent or expired.
    async fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError>;

    /// Applies the whole batch if all its preconditions hold, and appends its entries to the partition's audit chain.
    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError>;

    /// Removes the value and returns it. Of any number of callers at once, one gets it.
    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError>;

    /// The keys that are filed under a key, in byte order, from after `after` on: up to `at_most`, and never more than
    /// [`FILED`] at once.
    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError>;

    /// Counts one more attempt if the limit allows it. Refused attempts are not counted. Deleting the key forgets all.
    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError>;

    /// Up to `at_most` links of the partition's audit chain that follow number `after` (0: from the start).
    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError>;

    /// The end of the partition's audit chain.
    async fn head(&self, partition: Partition) -> Result<Head, StoreError>;

    /// Makes a key that can be destroyed. If what it was made for is not recorded after all, it is to be shredded; one that
    /// is forgotten opens nothing and takes 64 bytes.
    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError>;

    /// The key of this name, unless it was destroyed.
    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError>;

    /// Destroys the key, if it is there: when this answers, its bytes are overwritten where they lay.
    async fn shred(&self, id: KeyId) -> Result<(), StoreError>;

    /// Removes what has expired and tells how many values it removed; a store that forgets by itself says 0.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Whether the store can be read and can take changes.
    async fn health(&self) -> Result<(), StoreError>;
}

/// The most keys that one call of [`Store::filed`] returns.
pub const FILED: usize = 1024;

/// Changes with every write of a value. A number is never used twice, also not after a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A value as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bytes that were put.
    pub value: Vec<u8>,
    /// To be used in [`Expect::Version`].
    pub version: Version,
    /// From when on it counts as absent (to the microsecond).
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes, version {})", self.value.len(), self.version.0)
    }
}

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no such value (or it has expired).
    Absent,
    /// The value still has this version.
    Version(Version),
}

/// One write of a batch.
#[derive(Clone)]
pub(crate) enum Write {
    /// Puts the bytes, until the expiry if there is one.
    Put(Vec<u8>, Option<Timestamp>),
    /// Removes the value, if it is there.
    Delete,
    /// Files a key under the one written to.
    File(Key),
    /// Takes a key from under the one written to.
    Unfile(Key),
}

/// Changes of one partition that take effect together or not at all.
#[derive(Clone)]
pub struct Batch {
    pub(crate) partition: Partition,
    pub(crate) expects: Vec<(Key, Expect)>,
    pub(crate) writes: Vec<(Key, Write)>,
    pub(crate) entries: Vec<Entry>,
}

impl Batch {
    /// The most preconditions, writes and entries in one batch, each.
    pub const MAX_ITEMS: usize = 64;
    /// The most bytes of one value.
    pub const MAX_VALUE: usize = 64 * 1024;

    /// An empty batch for one partition.
    pub fn new(partition: Partition) -> Self {
        Self { partition, expects: Vec::new(), writes: Vec::new(), entries: Vec::new() }
    }

    /// Applies the batch only if this holds.
    pub fn require(mut self, key: Key, expect: Expect) -> Self {
        self.expects.push((key, expect));
        self
    }

    /// Puts a value, in place of what is there.
    pub fn put(mut self, key: Key, value: Vec<u8>, expires_at: Option<Timestamp>) -> Self {
        self.writes.push((key, Write::Put(value, expires_at)));
        self
    }

    /// Removes a value, if it is there.
    pub fn delete(mut self, key: Key) -> Self {
        self.writes.push((key, Write::Delete));
        self
    }

    /// Files `key` under `under`, if it is not there already. A filing is neither a value nor bound to one: it stays until
    /// it is taken back. (On Redis: a sorted set under `under` whose members all have the score 0.)
    pub fn file(mut self, under: Key, key: Key) -> Self {
        self.writes.push((under, Write::File(key)));
        self
    }

    /// Takes `key` from under `under`, if it is there.
    pub fn unfile(mut self, under: Key, key: Key) -> Self {
        self.writes.push((under, Write::Unfile(key)));
        self
    }

    /// Appends an entry to the partition's audit chain.
    pub fn record(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Whether every key lies in the batch's partition and nothing is over its limit. Every store checks this first.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        let written = self.writes.iter().flat_map(|(key, write)| match write {
            Write::Put(..) | Write::Delete => [Some(key), None],
            Write::File(filed) | Write::Unfile(filed) => [Some(key), Some(filed)],
        });
        let mut keys = self.expects.iter().map(|(key, _)| key).chain(written.flatten());
        if keys.any(|key| key.partition() != self.partition) {
            return Err(CommitError::WrongPartition);
        }
        let longest = [self.expects.len(), self.writes.len(), self.entries.len()].into_iter().max().unwrap_or(0);
        let fits = |write: &Write| !matches!(write, Write::Put(value, _) if value.len() > Self::MAX_VALUE);
        if longest > Self::MAX_ITEMS || !self.writes.iter().all(|(_, write)| fits(write)) {
            return Err(CommitError::TooLarge);
        }
        Ok(())
    }
}

/// A batch was applied and will survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The version of every value that the batch put.
    pub version: Version,
    /// The end of the partition's audit chain with the batch's entries.
    pub head: Head,
}

/// At most `max` attempts within any span of `window` (a sliding window, exact).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub(crate) max: u16,
    pub(crate) window: SignedDuration,
}

impl Limit {
    /// The highest limit; each counted attempt within the window takes eight bytes.
    pub const MAX: u16 = 4096;

    /// A limit of 1 to [`Limit::MAX`] attempts within more than nothing and at most 400 days.
    pub fn new(max: u16, window: SignedDuration) -> Result<Self, Malformed> {
        let fits = (1..=Self::MAX).contains(&max) && window.is_positive() && window <= SignedDuration::from_hours(9600);
        if fits { Ok(Self { max, window }) } else { Err(Malformed("Limit")) }
    }
}

/// What counting an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Whether this attempt may go on (and was counted).
    pub allowed: bool,
    /// How many are counted within the window, this one included if it was allowed.
    pub count: u16,
    /// When refused: how long until the next attempt can be allowed.
    pub retry_after: Option<SignedDuration>,
}

/// The store did not answer. Nothing may be signed or granted on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting already; nothing was done. Try again later.
    #[error("the store is busy; try again later")]
    Busy,
    /// The store failed or is shut down. It is not known whether the change was made.
    #[error("the store is not available")]
    Unavailable,
    /// What was read does not make sense: the file was damaged or made by something else.
    #[error("the store holds something that cannot be read")]
    Corrupt,
}

/// A batch was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A precondition does not hold: somebody else was first. Read again and decide anew.
    #[error("the stored state has changed meanwhile")]
    Conflict,
    /// The batch or one of its values is over its limit.
    #[error("the change is too large for one batch")]
    TooLarge,
    /// A key lies in another partition than the batch.
    #[error("a batch may change one partition only")]
    WrongPartition,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
