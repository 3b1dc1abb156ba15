//! Copying everything from the embedded store to another one, and showing that all of it arrived.
//!
//! The source is read in one state, and is not changed. The destination must hold nothing; it is marked as unfinished
//! before the first thing is written, and the mark goes only when everything was read back and compared: until then no
//! server uses it. Versions, expiries, the audit chains and the names of keys that can be destroyed stay what they are.
//! What has expired is left behind.

use super::embedded::Embedded;
use super::{Key, KeyId, Partition, ShredKey, Store, StoreError, Version};
use crate::audit::{Head, Link, verify_chain};
use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many things go at once.
pub const PAGE: usize = 128;
/// How many pages are read ahead.
const AHEAD: usize = 4;
/// How many links are verified at once.
const TRAIL: usize = 1024;

/// One thing that a store keeps.
#[derive(Clone)]
pub enum Item {
    /// A value.
    Value {
        /// Its name.
        key: Key,
        /// Its bytes.
        value: Vec<u8>,
        /// Its version.
        version: Version,
        /// When it counts as absent.
        expires_at: Option<Timestamp>,
    },
    /// The attempts that are counted under a name.
    Attempts {
        /// The name.
        key: Key,
        /// When they were made, in microseconds, in order.
        times: Vec<i64>,
        /// When the last of them leaves its window.
        expires_at: Option<Timestamp>,
    },
    /// A key that is filed under another.
    Filed {
        /// The other.
        under: Key,
        /// The key.
        key: Key,
    },
    /// An entry of an audit chain. They come in the order of the chain.
    Link {
        /// The chain.
        partition: Partition,
        /// The entry in its place.
        link: Link,
    },
    /// A key that can be destroyed.
    ShredKey {
        /// Its name.
        id: KeyId,
        /// The key.
        key: Arc<ShredKey>,
    },
}

/// How many things of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values.
    pub values: u64,
    /// Names under which attempts are counted.
    pub attempts: u64,
    /// Filings.
    pub filed: u64,
    /// Entries of the audit chains.
    pub entries: u64,
    /// Keys that can be destroyed.
    pub keys: u64,
}

impl Counts {
    fn add(&mut self, item: &Item) {
        let count = match item {
            Item::Value { .. } => &mut self.values,
            Item::Attempts { .. } => &mut self.attempts,
            Item::Filed { .. } => &mut self.filed,
            Item::Link { .. } => &mut self.entries,
            Item::ShredKey { .. } => &mut self.keys,
        };
        *count = count.saturating_add(1);
    }
}

/// A store that everything can be copied to.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Whether it holds nothing at all, not even an unfinished copy.
    async fn is_empty(&self) -> Result<bool, StoreError>;

    /// Marks it as unfinished. From here on no server uses it.
    async fn begin(&self) -> Result<(), StoreError>;

    /// Writes things as they are. Each is written once; the links of a chain in its order.
    async fn import(&self, items: Vec<Item>, now: Timestamp) -> Result<(), StoreError>;

    /// What it holds, page by page, in any order, from a cursor on (none at first): the things, and the next cursor if there
    /// is more. A thing may be told twice.
    async fn export(&self, cursor: Option<String>) -> Result<(Vec<Item>, Option<String>), StoreError>;

    /// The end of an audit chain.
    async fn head(&self, partition: Partition) -> Result<Head, StoreError>;

    /// Up to `at_most` links of a chain after number `after`.
    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError>;

    /// Takes the mark away.
    async fn finish(&self) -> Result<(), StoreError>;
}

/// Nothing was copied, or what was copied cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The destination holds something.
    #[error("the destination is not empty, or an earlier copy was not finished; empty it, or name another namespace")]
    NotEmpty,
    /// An audit chain of the source does not hold.
    #[error("the audit chain of partition {0} does not hold in the source; nothing was copied")]
    BrokenSource(u8),
    /// An audit chain of the destination does not hold or ends elsewhere.
    #[error("the audit chain of partition {0} did not arrive as it was; the destination stays unusable")]
    BrokenCopy(u8),
    /// Something is missing, another, or too much.
    #[error("{missing} things did not arrive as they were and {more} were not sent; the destination stays unusable")]
    Differs {
        /// Things of the source that the destination does not have.
        missing: usize,
        /// Things of the destination that the source does not have.
        more: usize,
    },
    /// The source cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(StoreError),
    /// The destination did not answer.
    #[error("the destination did not answer or cannot be written: {0}; if anything was copied, it stays unusable")]
    Destination(StoreError),
}

/// What would be copied: everything is read and the chains are verified.
pub async fn survey(from: &Arc<Embedded>, now: Timestamp) -> Result<Counts, CopyError> {
    heads(Side::From(from)).await.map_err(|broken| broken.map_or_else(CopyError::Source, CopyError::BrokenSource))?;
    let mut counts = Counts::default();
    let mut pages = pages(from, now);
    while let Some(page) = pages.recv().await {
        page.map_err(CopyError::Source)?.iter().for_each(|item| counts.add(item));
    }
    Ok(counts)
}

/// Copies everything, reads it back, and compares.
pub async fn copy(
    from: &Arc<Embedded>,
    to: &dyn Destination,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Counts, CopyError> {
    let start = clock();
    let known = heads(Side::From(from))
        .await
        .map_err(|broken| broken.map_or_else(CopyError::Source, CopyError::BrokenSource))?;
    if !to.is_empty().await.map_err(CopyError::Destination)? {
        return Err(CopyError::NotEmpty);
    }
    to.begin().await.map_err(CopyError::Destination)?;
    let (mut counts, mut sent) = (Counts::default(), Sent::default());
    let mut pages = pages(from, start);
    while let Some(page) = pages.recv().await {
        let page = page.map_err(CopyError::Source)?;
        for item in &page {
            counts.add(item);
            sent.add(item);
        }
        to.import(page, clock()).await.map_err(CopyError::Destination)?;
    }
    compare(to, sent, clock).await?;
    let arrived = heads(Side::To(to))
        .await
        .map_err(|broken| broken.map_or_else(CopyError::Destination, CopyError::BrokenCopy))?;
    let differs = (0u8..).zip(known.iter().zip(&arrived)).find(|(_, (known, arrived))| known != arrived);
    if let Some((partition, _)) = differs {
        return Err(CopyError::BrokenCopy(partition));
    }
    to.finish().await.map_err(CopyError::Destination)?;
    Ok(counts)
}

/// The source, page by page, read on a thread of its own.
fn pages(from: &Arc<Embedded>, now: Timestamp) -> mpsc::Receiver<Result<Vec<Item>, StoreError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let from = Arc::clone(from);
    tokio::task::spawn_blocking(move || {
        let read = from.export(PAGE, now, |page| sender.blocking_send(Ok(page)).is_ok());
        if let Err(error) = read {
            // Whoever does not listen any more has failed already.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// Where the chains are read.
enum Side<'a> {
    From(&'a Embedded),
    To(&'a dyn Destination),
}

impl Side<'_> {
    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        match self {
            Self::From(store) => store.head(partition).await,
            Self::To(store) => store.head(partition).await,
        }
    }

    async fn trail(&self, partition: Partition, after: u64) -> Result<Vec<Link>, StoreError> {
        match self {
            Self::From(store) => store.trail(partition, after, TRAIL).await,
            Self::To(store) => store.trail(partition, after, TRAIL).await,
        }
    }
}

/// Verifies every chain of a store and tells where it ends; or the first that does not hold, or why that cannot be told.
async fn heads(store: Side<'_>) -> Result<Vec<Head>, Result<u8, StoreError>> {
    let mut heads = Vec::new();
    for partition in Partition::all() {
        let known = store.head(partition).await.map_err(Err)?;
        let mut end = Head::GENESIS;
        loop {
            let links = store.trail(partition, end.seq).await.map_err(Err)?;
            if links.is_empty() {
                break;
            }
            end = verify_chain(partition.number(), end, &links, None).map_err(|_| Ok(partition.number()))?;
        }
        if end != known {
            return Err(Ok(partition.number()));
        }
        heads.push(end);
    }
    Ok(heads)
}

/// The short digest by which a thing is compared.
type Mark = [u8; 16];

/// What was sent: when it expires, and whether it was found again.
#[derive(Default)]
struct Sent(HashMap<Mark, (Option<Timestamp>, bool)>);

impl Sent {
    fn add(&mut self, item: &Item) {
        let expires_at = match item {
            Item::Value { expires_at, .. } | Item::Attempts { expires_at, .. } => *expires_at,
            Item::Filed { .. } | Item::Link { .. } | Item::ShredKey { .. } => None,
        };
        self.0.insert(mark(item), (expires_at, false));
    }
}

/// Reads everything back. What has expired meanwhile may be gone.
async fn compare(
    to: &dyn Destination,
    mut sent: Sent,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<(), CopyError> {
    let (mut cursor, mut more) = (None, 0usize);
    loop {
        let (page, next) = to.export(cursor).await.map_err(CopyError::Destination)?;
        for item in &page {
            match sent.0.get_mut(&mark(item)) {
                Some((_, found)) => *found = true,
                None => more = more.saturating_add(1),
            }
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let now = clock();
    let over = |expires_at: &Option<Timestamp>| expires_at.is_some_and(|time| time <= now);
    let missing = sent.0.values().filter(|(expires_at, found)| !found && !over(expires_at)).count();
    if missing == 0 && more == 0 { Ok(()) } else { Err(CopyError::Differs { missing, more }) }
}

/// SHA-256 over all that a thing is, cut to 16 bytes. When attempts are forgotten follows from when they were made.
fn mark(item: &Item) -> Mark {
    let mut sha = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        sha.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(bytes);
    };
    match item {
        Item::Value { key, value, version, expires_at } => {
            part(b"value");
            part(&key.bytes());
            part(value);
            part(&version.0.to_be_bytes());
            part(&expires_at.map_or(i64::MAX, Timestamp::as_microsecond).to_be_bytes());
        }
        Item::Attempts { key, times, .. } => {
            part(b"attempts");
            part(&key.bytes());
            times.iter().for_each(|time| part(&time.to_be_bytes()));
        }
        Item::Filed { under, key } => {
            part(b"filed");
            part(&under.bytes());
            part(&key.bytes());
        }
        Item::Link { partition, link } => {
            part(b"link");
            part(&[partition.number()]);
            part(&link.seq.to_be_bytes());
            part(&link.prev.0);
            part(&link.hash.0);
            part(link.body.as_bytes());
        }
        Item::ShredKey { id, key } => {
            part(b"key");
            part(id.to_string().as_bytes());
            part(key.expose());
        }
    }
    *sha.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}
