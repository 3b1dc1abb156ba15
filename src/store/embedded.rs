//! The store in one file (redb), for one process.
//!
//! Every change goes through one writer thread: it takes what is waiting, applies all of it in one transaction, syncs
//! once, and only then answers, so that many callers share one sync (group commit) and none is answered early. A
//! request that is refused changes nothing and disturbs no other. The queue is bounded: when it is full the caller is
//! told [`StoreError::Busy`] at once. Reads see the last synced state and never wait for the writer.
//!
//! The directory is made 0700 and the file 0600; a lock keeps a second process out. A transaction writes
//! beside the old state (copy on write) and switches over with checksummed commit slots, so a killed process or a torn
//! write falls back to the last answered state. A store that failed while running opens itself
//! again, and reads go on meanwhile (in `base`). What this does not give: redb frees the pages of deleted values but does not overwrite them at
//! once, so their bytes can remain in the file until reused. Nothing personal may therefore be stored unsealed; erasing
//! is done by destroying a key that lies in a file of its own (`shred`).

mod base;
mod disk;
mod export;
mod place;
mod reads;
mod shred;
mod tables;
#[cfg(test)]
mod tests;

pub use place::is_there;

use super::{Attempts, Batch, CommitError, FILED, Key, KeyId, Limit, Partition, Receipt, ShredKey};
use super::{Store, StoreError, Stored};
use crate::audit::{Head, Link};
use async_trait::async_trait;
use base::{Base, Ground};
use jiff::Timestamp;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend};
use shred::ShredKeys;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tables::Tables;
use tokio::sync::{mpsc, oneshot};

/// The layout of the tables. Another layout gets another number and a migration.
const FORMAT: u64 = 1;
/// The name of the file in the directory.
const FILE: &str = "idgate.redb";
/// The name of the file whose lock says that a process has the store.
const LOCK: &str = "lock";
/// The name of the file of keys that can be destroyed.
const KEYS: &str = "shred.keys";
/// The most requests that share one sync.
const GROUP: usize = 512;
/// The most links that one read of the audit chain returns.
const TRAIL: usize = 4096;

/// Where the store lies and how much it may take.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The directory, made if it is missing.
    pub directory: PathBuf,
    /// How many changes may wait before callers are told that the store is busy.
    pub queue: usize,
    /// The most memory for cached pages, in bytes.
    pub cache_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { directory: PathBuf::from("data"), queue: 4096, cache_bytes: 64 * 1024 * 1024 }
    }
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the store is in use by another process; one embedded store serves one process")]
    InUse,
    /// It was written in a layout that this version does not know.
    #[error("the store has a format that this version does not know")]
    Format,
    /// The audit chain and its recorded end differ.
    #[error("the store is damaged: an audit chain does not end where it should")]
    Damaged,
    /// Others may get at the file.
    #[error("the store's directory or file can be changed or read by others; set it to 0700 and 0600")]
    Permissions,
    /// The file of keys is missing, or it is not this store's.
    #[error(
        "the store's file shred.keys is missing or belongs to another store; bring it back, or give up all that is sealed by putting an empty file in its place"
    )]
    ShredKeys,
    /// The store did not answer while it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system refused.
    #[error("the store's directory or file cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The database refused.
    #[error("the store's file cannot be used: {0}")]
    Database(#[from] redb::Error),
}

/// Applies itself to the tables of a transaction and returns what to do when that transaction has ended.
type Job = Box<dyn FnOnce(&mut Tables<'_>) -> Applied + Send>;

/// A job that has been applied, not yet synced.
struct Applied {
    /// Why the transaction must not be committed, if so.
    failed: Option<StoreError>,
    /// Answers the caller, with the error of the commit if it failed.
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// The open store. Dropping it waits for the changes that were already accepted.
pub struct Embedded {
    base: Arc<Base>,
    keys: ShredKeys,
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store, or makes it. Blocks: after a crash the file is checked first.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        // Before anything is looked at; until the database is closed.
        let lock = place::locked_file(&settings.directory, LOCK)?;
        if !place::is_there(&settings.directory) {
            place::make(&settings.directory)?;
        }
        let (directory, beside) = (settings.directory.clone(), settings.directory.clone());
        let base = Base::open(Ground {
            file: Box::new(move || {
                let _held = &lock;
                Ok(Box::new(FileBackend::new(place::private_file(&directory, FILE)?).map_err(opened)?))
            }),
            room: Box::new(move || place::room(&beside, base::ROOM)),
            cache_bytes: settings.cache_bytes,
        })?;
        let known = known_keys(&base)?;
        if known.is_some() && !settings.directory.join(KEYS).exists() {
            return Err(OpenError::ShredKeys);
        }
        let file = FileBackend::new(place::locked_file(&settings.directory, KEYS)?).map_err(opened)?;
        Self::start(base, known, file, settings.queue)
    }

    /// Opens the file of keys and starts the writers.
    fn start(base: Base, known: Option<u64>, file: impl StorageBackend, queue: usize) -> Result<Self, OpenError> {
        let (keys, mark) = ShredKeys::open(file, known, queue)?;
        if known != Some(mark) {
            know_keys(&base, mark)?;
        }
        let base = Arc::new(base);
        let (queue, waiting) = mpsc::channel(queue.max(1));
        let shared = Arc::clone(&base);
        let writer = std::thread::Builder::new().name("store".into()).spawn(move || write_all(&shared, waiting))?;
        Ok(Self { base, keys, queue: Some(queue), writer: Some(writer) })
    }

    /// Has the writer do `work` and waits until it is synced.
    async fn change<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Into<CommitError> + Copy + Send + 'static,
        W: FnOnce(&mut Tables<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            let result = work(tables);
            let failed = result.as_ref().err().and_then(|error| match (*error).into() {
                CommitError::Store(error) => Some(error),
                CommitError::Conflict | CommitError::TooLarge | CommitError::WrongPartition => None,
            });
            let answer = move |synced: Result<(), StoreError>| {
                // A caller that no longer waits needs no answer.
                let _ = answer.send(synced.map_err(E::from).and(result));
            };
            Applied { failed, answer: Box::new(answer) }
        });
        enqueue(self.queue.as_ref(), job)?;
        answered.await.map_err(|_| E::from(StoreError::Unavailable))?
    }
}

/// Lets a job wait for its writer, if there is room.
fn enqueue<J>(queue: Option<&mpsc::Sender<J>>, job: J) -> Result<(), StoreError> {
    queue.ok_or(StoreError::Unavailable)?.try_send(job).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => StoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => StoreError::Unavailable,
    })
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered nobody; there is nothing left to do for it.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        // One descent of a tree that is mostly cached: cheaper than a hop to another thread.
        let stored = self.base.with(|database| {
            let values = database.begin_read()?.open_table(tables::VALUES)?;
            Ok(values.get(&key.bytes())?.map(|guard| tables::stored(guard.value())))
        })?;
        Ok(stored.transpose()?.filter(|stored| !tables::expired(stored.expires_at, now)))
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        batch.check()?;
        self.change(move |tables| tables.apply(&batch, now)).await
    }

    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let key = *key;
        self.change(move |tables| tables.take(&key, now)).await
    }

    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        let (base, under, after) = (Arc::clone(&self.base), *under, after.copied());
        let read = move || reads::filed(&base, &under, after.as_ref(), at_most.min(FILED));
        tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Unavailable)?
    }

    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        let key = *key;
        self.change(move |tables| tables.count(&key, limit, now)).await
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        let base = Arc::clone(&self.base);
        let read = move || reads::trail(&base, partition.number(), after, at_most.min(TRAIL));
        tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Unavailable)?
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        self.base.with(|database| {
            let heads = database.begin_read()?.open_table(tables::HEADS)?;
            Ok(heads.get(partition.number())?.map_or(Head::GENESIS, |guard| tables::head(guard.value())))
        })
    }

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        self.keys.forge().await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        self.keys.find(id).await
    }

    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        self.keys.shred(id).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut total = 0u64;
        loop {
            let (swept, more) = self.change(move |tables| tables.sweep(now)).await?;
            total = total.saturating_add(u64::try_from(swept).unwrap_or(u64::MAX));
            if !more {
                return Ok(total);
            }
        }
    }

    async fn health(&self) -> Result<(), StoreError> {
        if self.queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            return Err(StoreError::Unavailable);
        }
        if self.base.failed() {
            // Wakes the writer, which then tries to open the database for changes again.
            let nothing: Job = Box::new(|_| Applied { failed: None, answer: Box::new(|_| ()) });
            enqueue(self.queue.as_ref(), nothing)?;
            return Err(StoreError::Unavailable);
        }
        self.keys.health()?;
        let format = self.base.with(|database| {
            let meta = database.begin_read()?.open_table(tables::META)?;
            Ok(meta.get("format")?.map(|guard| guard.value()))
        })?;
        if format == Some(FORMAT) { Ok(()) } else { Err(StoreError::Corrupt) }
    }
}

/// The writer: until the last sender is gone, takes what waits, and settles it as one group.
fn write_all(base: &Base, mut waiting: mpsc::Receiver<Job>) {
    while let Some(group) = next_group(&mut waiting) {
        settle(base, group);
    }
}

/// Waits for a job, and takes what else is waiting by then. `None` when the last sender is gone.
fn next_group<J>(waiting: &mut mpsc::Receiver<J>) -> Option<Vec<J>> {
    let mut group = vec![waiting.blocking_recv()?];
    while group.len() < GROUP {
        match waiting.try_recv() {
            Ok(job) => group.push(job),
            Err(_) => break,
        }
    }
    Some(group)
}

/// Applies a group in one transaction, syncs it, and answers each. If the transaction fails, it fails for all of them;
/// who gets no answer takes that for [`StoreError::Unavailable`].
fn settle(base: &Base, group: Vec<Job>) {
    if !base.mend() {
        return;
    }
    let mut answers = Vec::with_capacity(group.len());
    let synced = base.with(|database| {
        let transaction = begin(database)?;
        let mut failed = None;
        let mut tables = Tables::open(&transaction)?;
        for job in group {
            let applied = job(&mut tables);
            failed = failed.or(applied.failed);
            answers.push(applied.answer);
        }
        let changed = tables.changed;
        drop(tables);
        if failed.is_some() || !changed {
            transaction.abort()?;
        } else {
            transaction.commit()?;
        }
        if failed == Some(StoreError::Unavailable) {
            // An access failed inside; this tells whether the database takes another.
            drop(begin(database)?);
        }
        Ok(failed)
    });
    let synced = match synced {
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => Err(StoreError::Unavailable),
    };
    for answer in answers {
        answer(synced);
    }
    // At once, so that reads go on.
    base.mend();
}

/// A write transaction whose commit is on disk when it returns.
///
/// redb's quick repair is left off: it makes each commit about three times as slow to spare a walk over the file after
/// a crash, which was measured at 0.6 s for 140 MB.
fn begin(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    Ok(transaction)
}

/// The mark of the file of keys, if the store ever had one.
fn known_keys(base: &Base) -> Result<Option<u64>, StoreError> {
    base.with(|database| {
        let meta = database.begin_read()?.open_table(tables::META)?;
        Ok(meta.get(KEYS)?.map(|guard| guard.value()))
    })
}

fn know_keys(base: &Base, mark: u64) -> Result<(), StoreError> {
    base.with(|database| {
        let transaction = begin(database)?;
        transaction.open_table(tables::META)?.insert(KEYS, mark)?;
        Ok(transaction.commit()?)
    })
}

/// What a failed access means to the caller. The database's own words are not passed on.
fn corrupt(error: impl Into<redb::Error>) -> StoreError {
    corrupt_ref(&error.into())
}

fn corrupt_ref(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_) => {
            StoreError::Corrupt
        }
        _ => StoreError::Unavailable,
    }
}

fn opened(error: redb::DatabaseError) -> OpenError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse,
        redb::DatabaseError::UpgradeRequired(_) => OpenError::Format,
        other => OpenError::Database(other.into()),
    }
}
