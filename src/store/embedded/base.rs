//! The open database, and opening it again after it failed.
//!
//! After one failed access (a full disk, say) redb refuses everything until it is opened anew. So a failure closes the
//! file, is logged once, and makes the store unhealthy; whoever asks for its health or for a change has the writer try
//! to open it again, now and then. It counts as open again only when room was found to write in.

use super::{OpenError, tables};
use crate::store::StoreError;
use redb::{Database, TableDefinition};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long after a failed attempt the next one is made.
const PAUSE: Duration = Duration::from_secs(1);
/// How much is written, and removed again, to see whether there is room.
const ROOM: usize = 1024 * 1024;
/// Where it is written.
const PROBE: TableDefinition<u8, &[u8]> = TableDefinition::new("probe");

/// Opens the database file.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// The database, while it is open.
pub(super) struct Base {
    open: RwLock<Option<Database>>,
    opener: Opener,
    failed: AtomicBool,
    tried: Mutex<Option<Instant>>,
    pause: Duration,
}

impl Base {
    /// Opens the database for the first time.
    pub fn open(opener: Opener) -> Result<Self, OpenError> {
        let database = ready(opener()?)?;
        Ok(Self {
            open: RwLock::new(Some(database)),
            opener,
            failed: AtomicBool::new(false),
            tried: Mutex::new(None),
            pause: PAUSE,
        })
    }

    /// Without a pause between attempts.
    #[cfg(test)]
    pub fn impatient(self) -> Self {
        Self { pause: Duration::ZERO, ..self }
    }

    /// Whether an access has failed since the database was last opened.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Works with the open database. A failure is remembered and logged.
    pub fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_ref().filter(|_| !self.failed()).ok_or(StoreError::Unavailable)?;
        work(database).map_err(|error| {
            let meaning = super::corrupt_ref(&error);
            if !self.failed.swap(true, Ordering::Relaxed) {
                tracing::error!(cause = cause(&error), "the store has failed; nothing is decided until it is back");
            }
            meaning
        })
    }

    /// Opens the database again if it has failed, unless that was tried a moment ago. Whether it is open. Only the
    /// writer calls this, between transactions.
    pub fn mend(&self) -> bool {
        if !self.failed() {
            return true;
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.is_some_and(|at| at.elapsed() < self.pause) {
            return false;
        }
        // Closed first: the file is locked as long as it is open. Readers end before this goes on.
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
        let opened = (self.opener)().and_then(ready).and_then(|database| {
            probe(&database)?;
            Ok(database)
        });
        *tried = Some(Instant::now());
        let Ok(database) = opened else { return false };
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        self.failed.store(false, Ordering::Relaxed);
        tracing::warn!("the store is back");
        true
    }
}

/// Makes or checks the tables.
fn ready(database: Database) -> Result<Database, OpenError> {
    let transaction = super::begin(&database)?;
    tables::prepare(&transaction)?;
    transaction.commit().map_err(redb::Error::from)?;
    Ok(database)
}

/// Writes a little more than most changes need, and takes it back.
fn probe(database: &Database) -> Result<(), redb::Error> {
    for bytes in [ROOM, 0] {
        let transaction = super::begin(database)?;
        transaction.open_table(PROBE)?.insert(0, vec![0xA5; bytes].as_slice())?;
        transaction.commit()?;
    }
    Ok(())
}

/// What went wrong, in words that name no data.
fn cause(error: &redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.kind().to_string(),
        redb::Error::Corrupted(_) => "the file is damaged".to_owned(),
        _ => "the database refused".to_owned(),
    }
}
