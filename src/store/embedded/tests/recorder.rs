//! Disks that record every write and sync, fail when told to, and tell what could be on them after the power went.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex};

/// The unit that a disk writes as a whole.
const SECTOR: usize = 512;

/// Which of a store's two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Base,
    Keys,
}

/// What both files hold.
pub type Image = [Vec<u8>; 2];

#[derive(Debug, Clone)]
enum Op {
    Write {
        at: usize,
        data: Vec<u8>,
    },
    SetLen(usize),
    Sync,
    /// As on Linux, what was written before never gets to the disk by a later sync.
    SyncFailed,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: a part of one write, then no write and no growth.
    NoRoom,
    /// Syncs fail, and writes do not.
    NoSync,
}

#[derive(Debug, Default)]
struct Log {
    start: Image,
    ops: Vec<(Which, Op)>,
    now: Image,
    /// After so many more operations.
    fault: Option<(usize, Fault)>,
    failing: Option<Fault>,
}

/// Both disks of a store.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Log>>);

/// One of them, open.
#[derive(Debug)]
pub struct Drive(Recorder, Which);

impl Recorder {
    /// Disks with this on them.
    pub fn holding(image: Image) -> Self {
        Self(Arc::new(Mutex::new(Log { start: image.clone(), now: image, ..Log::default() })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    pub fn drive(&self, which: Which) -> Drive {
        Drive(self.clone(), which)
    }

    /// How much was done so far.
    pub fn position(&self) -> usize {
        self.with(|log| log.ops.len())
    }

    /// From the given number of operations on, everything of this kind fails.
    pub fn fail(&self, after: usize, fault: Fault) {
        self.with(|log| log.fault = Some((after, fault)));
    }

    /// Whether something fails now.
    pub fn failing(&self) -> bool {
        self.with(|log| log.failing.is_some())
    }

    /// From now on nothing fails.
    pub fn repair(&self) {
        self.with(|log| (log.fault, log.failing) = (None, None));
    }

    /// Whether there is room.
    pub fn room(&self) -> io::Result<()> {
        self.with(|log| if log.failing == Some(Fault::NoRoom) { Err(full()) } else { Ok(()) })
    }

    /// What could be on the disks if the power went after `position` operations: everything synced, and of the rest what
    /// chance leaves.
    pub fn after_power_cut(&self, position: usize, random: &mut fastrand::Rng) -> Image {
        self.with(|log| {
            let ops = &log.ops[..position.min(log.ops.len())];
            [(Which::Base, 0), (Which::Keys, 1)].map(|(which, index)| {
                let own = ops.iter().filter(|(of, _)| *of == which).map(|(_, op)| op);
                platter(log.start[index].clone(), own, random)
            })
        })
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// What is on one disk after these operations and a power cut.
fn platter<'a>(start: Vec<u8>, ops: impl Iterator<Item = &'a Op>, random: &mut fastrand::Rng) -> Vec<u8> {
    let (mut length, mut disk, mut pending) = (start.len(), start, Vec::new());
    for op in ops {
        match op {
            Op::Write { .. } => pending.push(op),
            Op::SetLen(to) => {
                length = *to;
                pending.push(op);
            }
            Op::Sync => {
                pending.drain(..).for_each(|op| apply(&mut disk, op));
                // The length is the system's own to keep: a failed sync does not make it forget that.
                disk.resize(length, 0);
            }
            Op::SyncFailed => {
                let some = std::mem::take(&mut pending);
                disk = survivors(disk, &some, random);
            }
        }
    }
    survivors(disk, &pending, random)
}

fn apply(disk: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { at, data } => {
            disk.resize(disk.len().max(at + data.len()), 0);
            disk[*at..at + data.len()].copy_from_slice(data);
        }
        Op::SetLen(length) => disk.resize(*length, 0),
        Op::Sync | Op::SyncFailed => {}
    }
}

/// What is left of what was not synced.
fn survivors(disk: Vec<u8>, pending: &[&Op], random: &mut fastrand::Rng) -> Vec<u8> {
    match random.u8(0..5) {
        // Nothing, or everything.
        0 => disk,
        1 => pending.iter().fold(disk, |mut disk, op| {
            apply(&mut disk, op);
            disk
        }),
        // What was written first, and some sectors of the write that was under way.
        2 => {
            let whole = random.usize(0..=pending.len());
            let mut disk = disk;
            pending[..whole].iter().for_each(|op| apply(&mut disk, op));
            if let Some(Op::Write { at, data }) = pending.get(whole) {
                let length = disk.len();
                disk.resize(length.max(at + data.len()), 0);
                in_sectors(*at, data, |at, part| {
                    if random.bool() {
                        disk[at..at + part.len()].copy_from_slice(part);
                    }
                });
                disk.truncate(length);
            }
            disk
        }
        // Some writes, in any order; or some sectors of some writes.
        torn => {
            let share = random.f64();
            let longest = pending.iter().fold(disk.len(), |longest, op| match op {
                Op::SetLen(length) => longest.max(*length),
                Op::Write { at, data } => longest.max(at + data.len()),
                Op::Sync | Op::SyncFailed => longest,
            });
            let mut length = disk.len();
            let mut disk = disk;
            disk.resize(longest, 0);
            for op in pending {
                match op {
                    Op::SetLen(to) if random.f64() < share => length = *to,
                    Op::Write { at, data } if torn == 3 => {
                        if random.f64() < share {
                            disk[*at..at + data.len()].copy_from_slice(data);
                        }
                    }
                    Op::Write { at, data } => in_sectors(*at, data, |at, part| {
                        if random.f64() < share {
                            disk[at..at + part.len()].copy_from_slice(part);
                        }
                    }),
                    Op::SetLen(_) | Op::Sync | Op::SyncFailed => {}
                }
            }
            disk.truncate(length);
            disk
        }
    }
}

fn in_sectors(at: usize, data: &[u8], mut each: impl FnMut(usize, &[u8])) {
    let mut done = 0;
    while done < data.len() {
        let size = (SECTOR - (at + done) % SECTOR).min(data.len() - done);
        each(at + done, &data[done..done + size]);
        done += size;
    }
}

impl Log {
    /// Counts an operation and tells what goes wrong with it.
    fn next(&mut self) -> Option<Fault> {
        match self.fault {
            Some((0, fault)) => {
                self.fault = None;
                self.failing = Some(fault);
            }
            Some((after, fault)) => self.fault = Some((after - 1, fault)),
            None => {}
        }
        self.failing
    }
}

impl Drive {
    fn index(&self) -> usize {
        if self.1 == Which::Base { 0 } else { 1 }
    }

    fn done(&self, log: &mut Log, op: Op) {
        apply(&mut log.now[self.index()], &op);
        log.ops.push((self.1, op));
    }
}

impl StorageBackend for Drive {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.with(|log| log.now[self.index()].len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.0.with(|log| {
            let part = log.now[self.index()].get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(part);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.0.with(|log| {
            if log.next() == Some(Fault::NoRoom) && len > log.now[self.index()].len() {
                return Err(full());
            }
            self.done(log, Op::SetLen(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.with(|log| {
            if log.next() == Some(Fault::NoSync) {
                self.done(log, Op::SyncFailed);
                return Err(io::Error::other("the disk did not take it"));
            }
            self.done(log, Op::Sync);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.0.with(|log| {
            let before = log.failing;
            let (part, result) = match (log.next(), before) {
                (Some(Fault::NoRoom), None) => (data.len() / 2 / SECTOR * SECTOR, Err(full())),
                (Some(Fault::NoRoom), Some(_)) => (0, Err(full())),
                _ => (data.len(), Ok(())),
            };
            self.done(log, Op::Write { at, data: data[..part].to_vec() });
            result
        })
    }
}
