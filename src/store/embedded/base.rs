//! The open database, and opening it again after it failed.
//!
//! After one failed access (a full disk, say) redb refuses everything until it is opened anew. So a failure is logged
//! once, makes the store unhealthy, and closes the file. Then, and now and again when somebody asks for its health or
//! for a change, the writer tries to open it. It counts as open again only when room was found to write in; until then
//! it is opened for reading, with what opening would write held in memory (`disk`), so that reads go on.

use super::disk::{Disk, Overlay, Tracked, Unsynced};
use super::{OpenError, opened, tables};
use crate::store::StoreError;
use redb::{Database, StorageBackend, TableDefinition};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long after a failed attempt the next one is made.
const PAUSE: Duration = Duration::from_secs(1);
/// How much is written, and removed again, to see whether there is room.
pub(super) const ROOM: usize = 1024 * 1024;
/// Where it is written.
const PROBE: TableDefinition<u8, &[u8]> = TableDefinition::new("probe");

/// Where the database lies.
pub(super) struct Ground {
    /// Opens the file.
    pub file: Box<dyn Fn() -> Result<Box<dyn StorageBackend>, OpenError> + Send + Sync>,
    /// Whether there is room, found without touching the file.
    pub room: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// The most memory for cached pages, in bytes.
    pub cache_bytes: usize,
}

/// The database, while it is open.
pub(super) struct Base {
    open: RwLock<Option<Database>>,
    ground: Ground,
    unsynced: Unsynced,
    /// No change is taken: an access failed, and room to write in was not found since.
    failed: AtomicBool,
    /// Nothing is read either: an access to what is open now failed.
    broken: AtomicBool,
    tried: Mutex<Option<Instant>>,
    pause: Duration,
}

impl Base {
    /// Opens the database for the first time.
    pub fn open(ground: Ground) -> Result<Self, OpenError> {
        let unsynced = Unsynced::default();
        let database = ready(ground.open(&unsynced)?)?;
        Ok(Self {
            open: RwLock::new(Some(database)),
            ground,
            unsynced,
            failed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            tried: Mutex::new(None),
            pause: PAUSE,
        })
    }

    /// Without a pause between attempts.
    #[cfg(test)]
    pub fn impatient(self) -> Self {
        Self { pause: Duration::ZERO, ..self }
    }

    /// Whether an access has failed since the database could last be written.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Works with the open database. A failure is remembered and logged.
    pub fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let readable = !self.broken.load(Ordering::Relaxed);
        let database = open.as_ref().filter(|_| readable).ok_or(StoreError::Unavailable)?;
        work(database).map_err(|error| {
            let meaning = super::corrupt_ref(&error);
            self.broken.store(true, Ordering::Relaxed);
            if !self.failed.swap(true, Ordering::Relaxed) {
                tracing::error!(cause = cause(&error), "the store has failed; nothing is decided until it is back");
            }
            meaning
        })
    }

    /// Opens the database again if it has failed, unless that was tried a moment ago. Whether changes can be made. Only
    /// the writer calls this, between transactions.
    pub fn mend(&self) -> bool {
        if !self.failed() {
            return true;
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.is_some_and(|at| at.elapsed() < self.pause) {
            if self.broken.load(Ordering::Relaxed) {
                self.put(None);
                self.read_on();
            }
            return false;
        }
        let back = self.open_again();
        *tried = Some(Instant::now());
        back
    }

    fn open_again(&self) -> bool {
        // Whoever reads is not disturbed as long as it can be told without that there is no use in trying.
        let reading = !self.broken.load(Ordering::Relaxed);
        if reading && (self.ground.room)().is_err() {
            return false;
        }
        // Closed first: the file is locked as long as it is open. Readers end before this goes on.
        self.put(None);
        let written = self.ground.open(&self.unsynced).and_then(ready).and_then(|database| {
            probe(&database)?;
            Ok(database)
        });
        match written {
            Ok(database) => {
                self.put(Some(database));
                self.broken.store(false, Ordering::Relaxed);
                self.failed.store(false, Ordering::Relaxed);
                tracing::warn!("the store is back");
                true
            }
            Err(_) => {
                self.read_on();
                false
            }
        }
    }

    /// Opens the closed database to be read, if that can be done.
    fn read_on(&self) {
        if let Ok(database) = self.ground.open_to_read() {
            self.put(Some(database));
            self.broken.store(false, Ordering::Relaxed);
        }
    }

    fn put(&self, database: Option<Database>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *open, database);
        drop(open);
        drop(before);
    }
}

impl Ground {
    /// Opens the database to be read and written.
    fn open(&self, unsynced: &Unsynced) -> Result<Database, OpenError> {
        let disk = Tracked::open((self.file)()?, unsynced.clone())?;
        self.builder().create_with_backend(disk).map_err(opened)
    }

    /// Opens the database to be read only: nothing of the file is changed.
    fn open_to_read(&self) -> Result<Database, OpenError> {
        let disk = Overlay::new(Disk((self.file)()?))?;
        self.builder().create_with_backend(disk).map_err(opened)
    }

    fn builder(&self) -> redb::Builder {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        builder
    }
}

/// Makes or checks the tables.
pub(super) fn ready(database: Database) -> Result<Database, OpenError> {
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
