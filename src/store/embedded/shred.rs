//! Keys that can be destroyed: a file of fixed slots, each overwritten in place.
//!
//! The database does not overwrite what it frees, so what is sealed stays in its file for a while; what makes it
//! unreadable is that its key, which lies only here, is gone. A slot is written, and zeroed, at its own place and synced
//! before that is answered. One thread writes; callers that wait at the same time share a sync; the queue is bounded.
//!
//! A slot that does not hold (a torn write, a damaged file) counts as destroyed and is zeroed on opening. A slot whose
//! write or sync failed is zeroed again before it counts as free, since what the disk has of it is not known. A key that
//! was forged for a record that then was not committed stays behind: 64 bytes that open nothing.
//!
//! What this does not give: a file system that copies on write or keeps a journal of contents, a disk that moves blocks
//! by itself (as flash does), a snapshot or a backup may keep an old copy of a slot outside this file. The keys of the
//! sealing ring are needed as well to open anything with it.

#[cfg(test)]
mod tests;

use super::{OpenError, enqueue, next_group};
use crate::secret::Sensitive;
use crate::store::{KeyId, ShredKey, StoreError};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use redb::StorageBackend;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// The length of a slot: magic, tag, key, checksum. It never straddles a sector.
const SLOT: usize = 64;
/// What a slot in use begins with.
const MAGIC: [u8; 4] = *b"igk1";
/// What the file begins with; the mark of its store follows, then zeros. It takes the place of slot 0.
const HEADER: [u8; 20] = *b"idgate shred keys 1\0";
/// Prefix of what is hashed for a slot's checksum.
const CHECKSUM: &[u8] = b"idgate shred slot 1\0";
/// The number of slots that the file grows by. They are written out, so that using one later changes no metadata.
const GROWTH: u32 = 1024;
/// The most slots: 4 GiB.
const MOST: u32 = 1 << 26;

type Slot = [u8; SLOT];
type Disk = Arc<dyn StorageBackend>;

/// What the writer is asked for. Who gets no answer takes that for [`StoreError::Unavailable`].
enum Job {
    Forge(oneshot::Sender<(KeyId, ShredKey)>),
    Shred(KeyId, oneshot::Sender<()>),
    /// Try again what failed.
    Wake,
}

/// The open file. Dropping it waits for what was already accepted.
pub(super) struct ShredKeys {
    disk: Disk,
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
}

impl ShredKeys {
    /// Opens the file, or makes it if it is empty. `known` is the mark that the store has for its file, if it ever had
    /// one. Returns the file's mark as well. Blocks: every slot is read.
    pub fn open(disk: impl StorageBackend, known: Option<u64>, queue: usize) -> Result<(Self, u64), OpenError> {
        let disk: Disk = Arc::new(disk);
        let mark = header(&*disk, known)?;
        let (count, free) = survey(&*disk)?;
        let failed = Arc::new(AtomicBool::new(false));
        let writer =
            Writer { disk: Arc::clone(&disk), count, free, doubtful: BTreeSet::new(), failed: Arc::clone(&failed) };
        let (queue, waiting) = mpsc::channel(queue.max(1));
        let writer = std::thread::Builder::new().name("store-keys".into()).spawn(move || writer.run(waiting))?;
        Ok((Self { disk, queue: Some(queue), writer: Some(writer), failed }, mark))
    }

    /// Makes a key. It is on disk when this answers.
    pub async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        let (answer, answered) = oneshot::channel();
        enqueue(self.queue.as_ref(), Job::Forge(answer))?;
        answered.await.map_err(|_| StoreError::Unavailable)
    }

    /// The key, unless it was destroyed.
    pub async fn find(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        let disk = Arc::clone(&self.disk);
        let found = tokio::task::spawn_blocking(move || match read(&*disk, id.slot)? {
            Read::Holds(tag, key) if tag == id.tag => Ok(Some(key)),
            Read::Holds(..) | Read::Empty | Read::Broken => Ok(None),
        });
        found.await.map_err(|_| StoreError::Unavailable)?.map_err(|_: io::Error| StoreError::Unavailable)
    }

    /// Destroys the key. Its bytes are overwritten on disk when this answers.
    pub async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        enqueue(self.queue.as_ref(), Job::Shred(id, answer))?;
        answered.await.map_err(|_| StoreError::Unavailable)
    }

    /// Tells every key there is, until `tell` says no. Blocks.
    pub fn each(&self, mut tell: impl FnMut(KeyId, ShredKey) -> bool) -> Result<(), StoreError> {
        let length = self.disk.len().map_err(|_| StoreError::Unavailable)?;
        let count = u32::try_from(length / offset(1)).map_err(|_| StoreError::Corrupt)?;
        for slot in 1..count {
            let found = read(&*self.disk, slot).map_err(|_| StoreError::Unavailable)?;
            if let Read::Holds(tag, key) = found
                && !tell(KeyId { slot, tag }, key)
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether everything could be written. If not, asking makes the writer try again.
    pub fn health(&self) -> Result<(), StoreError> {
        if self.queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            return Err(StoreError::Unavailable);
        }
        if self.failed.load(Ordering::Relaxed) {
            enqueue(self.queue.as_ref(), Job::Wake)?;
            return Err(StoreError::Unavailable);
        }
        Ok(())
    }
}

impl Drop for ShredKeys {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered nobody; there is nothing left to do for it.
            let _ = writer.join();
        }
    }
}

/// The only one that writes.
struct Writer {
    disk: Disk,
    /// How many slots the file has, the header's included.
    count: u32,
    /// Slots that are zero on disk.
    free: BTreeSet<u32>,
    /// Slots that must be zeroed (again) before they are free.
    doubtful: BTreeSet<u32>,
    failed: Arc<AtomicBool>,
}

/// What one group has done so far, not yet synced.
#[derive(Default)]
struct Round {
    written: BTreeSet<u32>,
    freed: BTreeSet<u32>,
    answers: Vec<Box<dyn FnOnce()>>,
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(group) = next_group(&mut waiting) {
            self.settle(group);
        }
    }

    /// Writes what a group asks for, syncs once, and answers. After a failed sync nobody is answered and nothing that
    /// was written counts.
    fn settle(&mut self, group: Vec<Job>) {
        let mut round = Round::default();
        for slot in std::mem::take(&mut self.doubtful) {
            self.zero(slot, &mut round);
        }
        for job in group {
            // Who is refused is told at the end as well. A caller that no longer waits needs no answer.
            match job {
                Job::Forge(answer) => {
                    let forged = self.forge(&mut round);
                    round.answers.push(Box::new(move || drop(forged.map(|forged| answer.send(forged)))));
                }
                Job::Shred(id, answer) => {
                    let gone = self.shred(id, &mut round);
                    round.answers.push(Box::new(move || {
                        let _ = gone.then(|| answer.send(()));
                    }));
                }
                Job::Wake => {}
            }
        }
        let synced = round.written.is_empty() || self.disk.sync_data().is_ok();
        if synced {
            self.free.append(&mut round.freed);
        } else {
            self.free.retain(|slot| !round.written.contains(slot));
            self.doubtful.append(&mut round.written);
        }
        // Before anyone is answered, so that whoever then asks for the health is told the truth.
        self.tell(!self.doubtful.is_empty());
        if synced {
            round.answers.into_iter().for_each(|answer| answer());
        }
    }

    /// Makes a key in a free slot. `None` if there is no room or the write failed.
    fn forge(&mut self, round: &mut Round) -> Option<(KeyId, ShredKey)> {
        let (mut tag, mut key) = ([0u8; KeyId::TAG], Sensitive::new([0u8; 32]));
        rand::fill(&mut tag).ok()?;
        rand::fill(key.expose_mut()).ok()?;
        if self.free.is_empty() {
            self.grow()?;
        }
        let slot = self.free.pop_first()?;
        if self.disk.write(offset(slot), encode(slot, &tag, &key).expose()).is_err() {
            self.doubtful.insert(slot);
            return None;
        }
        round.written.insert(slot);
        Some((KeyId { slot, tag }, key))
    }

    /// Overwrites a key if it is still there. An empty slot is zeroed again: the write that emptied it may have failed
    /// in an earlier life of this process. False if that did not succeed.
    fn shred(&mut self, id: KeyId, round: &mut Round) -> bool {
        match read(&*self.disk, id.slot) {
            // A slot is used again only after the zeros were on disk.
            Ok(Read::Holds(tag, _)) if tag != id.tag => true,
            Ok(_) if !(1..self.count).contains(&id.slot) => true,
            Ok(_) => self.zero(id.slot, round),
            Err(_) => false,
        }
    }

    fn zero(&mut self, slot: u32, round: &mut Round) -> bool {
        if self.disk.write(offset(slot), &[0; SLOT]).is_err() {
            self.free.remove(&slot);
            self.doubtful.insert(slot);
            return false;
        }
        round.written.insert(slot);
        if !self.free.contains(&slot) {
            round.freed.insert(slot);
        }
        true
    }

    /// Adds free slots at the end.
    fn grow(&mut self) -> Option<()> {
        let end = self.count.checked_add(GROWTH).filter(|end| *end <= MOST);
        let Some(end) = end else {
            tracing::error!("the store has no room for more keys; nothing more can be sealed until some are destroyed");
            return None;
        };
        let zeros = vec![0u8; SLOT * usize::try_from(GROWTH).ok()?];
        let grown = self.disk.set_len(offset(end)).and_then(|()| self.disk.write(offset(self.count), &zeros));
        grown.ok()?;
        self.free.extend(self.count..end);
        self.count = end;
        Some(())
    }

    fn tell(&self, failed: bool) {
        match (self.failed.swap(failed, Ordering::Relaxed), failed) {
            (false, true) => {
                tracing::error!("the store's keys cannot be written; nothing is sealed or erased until then")
            }
            (true, false) => tracing::warn!("the store's keys can be written again"),
            (true, true) | (false, false) => {}
        }
    }
}

/// Where a slot lies.
fn offset(slot: u32) -> u64 {
    u64::from(slot) * 64
}

/// What a slot says.
enum Read {
    /// A key with this tag.
    Holds([u8; KeyId::TAG], ShredKey),
    /// Nothing.
    Empty,
    /// Something that was not written here as a whole.
    Broken,
}

/// Reads a slot. One that the file does not have is empty, and so is the header's.
fn read(disk: &dyn StorageBackend, slot: u32) -> io::Result<Read> {
    if slot == 0 || disk.len()? < offset(slot) + offset(1) {
        return Ok(Read::Empty);
    }
    let mut bytes = Sensitive::new([0u8; SLOT]);
    disk.read(offset(slot), bytes.expose_mut())?;
    Ok(decode(slot, bytes.expose()))
}

fn encode(slot: u32, tag: &[u8; KeyId::TAG], key: &ShredKey) -> Sensitive<Slot> {
    let mut bytes = Sensitive::new([0u8; SLOT]);
    let (body, sum) = bytes.expose_mut().split_at_mut(SLOT - 16);
    body[..4].copy_from_slice(&MAGIC);
    body[4..16].copy_from_slice(tag);
    body[16..].copy_from_slice(key.expose());
    sum.copy_from_slice(&checksum(slot, body));
    bytes
}

fn decode(slot: u32, bytes: &Slot) -> Read {
    if bytes == &[0; SLOT] {
        return Read::Empty;
    }
    let (body, sum) = bytes.split_at(SLOT - 16);
    let (mut tag, mut key) = ([0u8; KeyId::TAG], Sensitive::new([0u8; 32]));
    tag.copy_from_slice(&body[4..16]);
    key.expose_mut().copy_from_slice(&body[16..]);
    if body[..4] == MAGIC && sum == checksum(slot, body) { Read::Holds(tag, key) } else { Read::Broken }
}

/// Tells a slot that was written as a whole, at this place, from any other.
fn checksum(slot: u32, body: &[u8]) -> [u8; 16] {
    let mut sha = Context::new(&SHA256);
    sha.update(CHECKSUM);
    sha.update(&slot.to_be_bytes());
    sha.update(body);
    *sha.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

/// The mark that binds the file to its store. An empty file gets one; a file that is not this store's is refused.
fn header(disk: &dyn StorageBackend, known: Option<u64>) -> Result<u64, OpenError> {
    let length = disk.len()?;
    let mut bytes = [0u8; SLOT];
    if length >= offset(1) {
        disk.read(0, &mut bytes)?;
    }
    // Nothing in it; or it was being made when the machine went down, and the store does not know it yet.
    if length == 0 || (known.is_none() && bytes == [0; SLOT]) {
        let mut mark = [0u8; 8];
        rand::fill(&mut mark).map_err(|_| io::Error::other("no random bytes"))?;
        bytes[..HEADER.len()].copy_from_slice(&HEADER);
        bytes[HEADER.len()..HEADER.len() + 8].copy_from_slice(&mark);
        disk.set_len(length.max(offset(1)))?;
        disk.write(0, &bytes)?;
        disk.sync_data()?;
        return Ok(u64::from_be_bytes(mark));
    }
    let mark = bytes.strip_prefix(&HEADER).and_then(<[u8]>::first_chunk).map(|mark| u64::from_be_bytes(*mark));
    mark.filter(|mark| known.is_none_or(|known| known == *mark)).ok_or(OpenError::ShredKeys)
}

/// Counts the slots, finds the free ones, and zeroes what does not hold.
fn survey(disk: &dyn StorageBackend) -> Result<(u32, BTreeSet<u32>), OpenError> {
    let length = disk.len()?;
    let count = u32::try_from(length.div_ceil(offset(1))).ok().filter(|count| *count <= MOST);
    let count = count.ok_or(OpenError::ShredKeys)?;
    if length < offset(count) {
        // The rest of a slot that was cut off: made whole, it does not hold.
        disk.set_len(offset(count))?;
    }
    let (mut free, mut broken) = (BTreeSet::new(), false);
    let mut bytes = Sensitive::new(vec![0u8; SLOT * 1024]);
    let mut slot = 0u32;
    while slot < count {
        let step = (count - slot).min(1024);
        let part = &mut bytes.expose_mut()[..usize::try_from(offset(step)).map_err(|_| OpenError::ShredKeys)?];
        disk.read(offset(slot), part)?;
        for (number, bytes) in (slot..).zip(part.as_chunks::<SLOT>().0).filter(|(number, _)| *number != 0) {
            match decode(number, bytes) {
                Read::Holds(..) => continue,
                Read::Empty => {}
                Read::Broken => {
                    disk.write(offset(number), &[0; SLOT])?;
                    broken = true;
                }
            }
            free.insert(number);
        }
        slot += step;
    }
    if broken {
        disk.sync_data()?;
        tracing::warn!("the store's file of keys was damaged; what the lost keys sealed can no longer be opened");
    }
    Ok((count, free))
}
