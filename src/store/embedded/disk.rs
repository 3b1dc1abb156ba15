//! What lies between the database and its file.
//!
//! [`Tracked`] remembers what was written since the last sync that succeeded. After a sync that failed, the system may
//! take its pages for clean although the disk never got them: reads show what a power cut would lose, and the next sync
//! says that all is well. So whoever opens the file again first writes all of that anew and syncs it, before anything
//! is built on it. [`Overlay`] keeps what is written in memory, for reading on while nothing can be written.

use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much is written anew at once.
const STEP: usize = 1024 * 1024;
/// The unit in which [`Overlay`] keeps what was written.
const PAGE: u64 = 4096;
/// [`PAGE`] in memory.
type Page = Box<[u8; 4096]>;

/// A file of any kind.
#[derive(Debug)]
pub(super) struct Disk(pub Box<dyn StorageBackend>);

/// What was written and is not known to be on disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsynced(Arc<Mutex<Doubt>>);

#[derive(Debug, Default)]
struct Doubt {
    /// Offset and length, in the order of writing.
    ranges: Vec<(u64, u64)>,
    /// A sync failed: that a later one succeeds tells nothing.
    sync_failed: bool,
}

impl Unsynced {
    fn lock(&self) -> MutexGuard<'_, Doubt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, and what of it is not known to be on disk.
#[derive(Debug)]
pub(super) struct Tracked {
    disk: Disk,
    unsynced: Unsynced,
}

impl Tracked {
    /// Uses a file, once everything that was in doubt is known to be on disk.
    pub fn open(disk: Box<dyn StorageBackend>, unsynced: Unsynced) -> io::Result<Self> {
        let this = Self { disk: Disk(disk), unsynced };
        match this.settle() {
            Ok(()) => Ok(this),
            Err(error) => {
                // The lock goes with the file; the error before says more than one from closing.
                let _ = this.disk.0.close();
                Err(error)
            }
        }
    }

    /// Writes anew what is in doubt: as it is read now, so that what is read is what is on disk.
    fn settle(&self) -> io::Result<()> {
        let mut doubt = self.unsynced.lock();
        if doubt.ranges.is_empty() && !doubt.sync_failed {
            return Ok(());
        }
        let (length, mut bytes) = (self.disk.0.len()?, vec![0; STEP]);
        for (start, size) in &doubt.ranges {
            let (mut at, end) = (*start, start.saturating_add(*size).min(length));
            while at < end {
                let part = usize::try_from(end - at).unwrap_or(STEP).min(STEP);
                let part = &mut bytes[..part];
                self.disk.0.read(at, part)?;
                self.disk.0.write(at, part)?;
                at = at.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            }
        }
        self.disk.0.sync_data()?;
        *doubt = Doubt::default();
        Ok(())
    }
}

/// A backend that stands before the file must pass its locks on, or a second process gets at the file.
macro_rules! pass_locks_on {
    () => {
        fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
            self.disk.0.try_lock_range(start, end)
        }

        fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
            self.disk.0.try_lock_shared_range(start, end)
        }

        fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.disk.0.lock_range(start, end)
        }

        fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.disk.0.lock_shared_range(start, end)
        }

        fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
            self.disk.0.unlock_range(start, end)
        }

        fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
            self.disk.0.query_lock_range(start, end)
        }
    };
}

impl StorageBackend for Tracked {
    fn len(&self) -> io::Result<u64> {
        self.disk.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut doubt = self.unsynced.lock();
        let written = std::mem::take(&mut doubt.ranges);
        let failed = doubt.sync_failed;
        drop(doubt);
        let synced = if failed { Err(io::ErrorKind::Other.into()) } else { self.disk.0.sync_data() };
        if synced.is_err() {
            let mut doubt = self.unsynced.lock();
            doubt.sync_failed = true;
            doubt.ranges.extend(written);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let mut doubt = self.unsynced.lock();
        match doubt.ranges.last_mut() {
            Some((start, length)) if start.saturating_add(*length) == offset => *length = length.saturating_add(size),
            Some(_) | None => doubt.ranges.push((offset, size)),
        }
        drop(doubt);
        self.disk.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.disk.0.close()
    }

    pass_locks_on!();
}

/// A file that is not changed: what is written to it stays in memory and goes with it. Opening a database writes little.
#[derive(Debug)]
pub(super) struct Overlay {
    disk: Disk,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    length: u64,
    /// How much of the file still shows: what was cut off is zeros if it grows again.
    below: u64,
    pages: BTreeMap<u64, Page>,
}

impl Overlay {
    /// Lays memory over a file.
    pub fn new(disk: Disk) -> io::Result<Self> {
        let length = disk.0.len()?;
        Ok(Self { disk, memory: Mutex::new(Memory { length, below: length, pages: BTreeMap::new() }) })
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as the file has it; zeros beyond its end.
    fn below(&self, page: u64, end: u64) -> io::Result<Page> {
        let mut bytes = Box::new([0u8; 4096]);
        let start = page.saturating_mul(PAGE);
        let there = usize::try_from(end.saturating_sub(start).min(PAGE)).unwrap_or(0);
        if there > 0 {
            self.disk.0.read(start, &mut bytes[..there])?;
        }
        Ok(bytes)
    }
}

/// Page by page, where a range lies: the page, the place in it, and the place in the range.
fn pages(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0usize;
    std::iter::from_fn(move || {
        let at = offset.checked_add(u64::try_from(done).ok()?)?;
        let within = usize::try_from(at % PAGE).ok()?;
        let size = length.checked_sub(done).filter(|left| *left > 0)?.min(4096 - within);
        let part = done..done + size;
        done += size;
        Some((at / PAGE, within..within + size, part))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let memory = self.lock();
        for (page, within, part) in pages(offset, out.len()) {
            match memory.pages.get(&page) {
                Some(bytes) => out[part].copy_from_slice(&bytes[within]),
                None => out[part].copy_from_slice(&self.below(page, memory.below)?[within]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut memory = self.lock();
        memory.length = len;
        memory.below = memory.below.min(len);
        memory.pages.retain(|page, _| page.saturating_mul(PAGE) < len);
        let within = usize::try_from(len % PAGE).unwrap_or(0);
        if let Some(bytes) = memory.pages.get_mut(&(len / PAGE)) {
            bytes[within..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut memory = self.lock();
        let end = memory.below;
        for (page, within, part) in pages(offset, data.len()) {
            let bytes = match memory.pages.entry(page) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => free.insert(self.below(page, end)?),
            };
            bytes[within].copy_from_slice(&data[part]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.disk.0.close()
    }

    pass_locks_on!();
}
