//! A small file of notes that wait to be carried into the store: bounded, synced before it answers, private.
//!
//! A note is bytes, which must hold nothing personal in the clear. Notes stay in order until they are taken off; a note
//! that was torn when it was written, or damaged, is left out, and no other one with it. What was taken off is marked,
//! and the file made anew without it now and then; after a failure to write it is made anew too, since what the disk has
//! of it is not known then. Several processes may share a directory: each writes a file of its own, and takes over what
//! one that is gone has left.

use aws_lc_rs::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// What a note begins with on disk.
const MAGIC: [u8; 4] = *b"igj1";
/// Magic, length, number, whether it is taken off, checksum.
const HEAD: usize = 4 + 4 + 8 + 1 + 16;
/// Prefix of what is hashed for a checksum.
const CHECKSUM: &[u8] = b"idgate journal 1\0";
/// The most processes that share a directory.
const PROCESSES: u32 = 64;
/// The most bytes of one note.
const LONGEST: usize = 64 * 1024;

/// How much the journal may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Notes.
    pub notes: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A note was not taken.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no room by the bounds that were set.
    #[error("the journal is full")]
    Full,
    /// The file system refused.
    #[error("the journal cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Held as long as the journal is open: the file itself is replaced now and then.
    _lock: File,
    bounds: Bounds,
    /// By number, which is the order.
    notes: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// How long the file is.
    length: u64,
    /// What the file has is not known, or it holds more that is taken off than it should.
    doubtful: bool,
}

impl Journal {
    /// Opens the journal in a directory, made if it is missing, with what processes that are gone have left there.
    pub fn open(directory: &Path, bounds: Bounds) -> io::Result<Self> {
        make_private(directory)?;
        let mut own: Option<Self> = None;
        for number in 0..PROCESSES {
            let path = directory.join(format!("{number}.journal"));
            let lock = directory.join(format!("{number}.lock"));
            if own.is_some() && !path.exists() {
                continue;
            }
            let lock = private(&lock)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => continue,
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
            let found = Self::open_one(path, lock, bounds)?;
            own = Some(match own {
                None => found,
                Some(mut own) => {
                    own.take_over(found)?;
                    own
                }
            });
        }
        own.ok_or_else(|| io::Error::other("too many processes share one data directory"))
    }

    fn open_one(path: PathBuf, lock: File, bounds: Bounds) -> io::Result<Self> {
        let mut file = private(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (notes, whole) = read(&bytes);
        if !whole {
            tracing::warn!("a note of the journal was torn or damaged, and is left out");
        }
        let next = notes.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Self { path, file, _lock: lock, bounds, notes, next, length, doubtful: !whole })
    }

    /// Takes over all notes of another file: they are here, and synced, before they are not there any more.
    fn take_over(&mut self, other: Self) -> io::Result<()> {
        if other.notes.is_empty() {
            return Ok(());
        }
        for note in other.notes.into_values() {
            self.notes.insert(self.next, note);
            self.next = self.next.saturating_add(1);
        }
        self.rewrite()?;
        other.file.set_len(0)?;
        other.file.sync_all()
    }

    /// Adds a note. It is on disk when this answers, and has its number.
    pub fn add(&mut self, note: Vec<u8>) -> Result<u64, JournalError> {
        let number = self.next;
        let bytes = encode(number, false, &note);
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left_out = note.len() > LONGEST || self.notes.len() >= self.bounds.notes;
        if left_out || self.live().saturating_add(size) > self.bounds.bytes {
            return Err(JournalError::Full);
        }
        if self.doubtful || self.length.saturating_add(size) > self.bounds.bytes {
            self.rewrite()?;
        }
        self.append(&bytes)?;
        self.notes.insert(number, note);
        self.next = number.saturating_add(1);
        Ok(number)
    }

    /// Takes a note off. If that is not on disk when the process ends, the note is there again.
    pub fn take_off(&mut self, number: u64) -> io::Result<()> {
        if self.notes.remove(&number).is_none() {
            return Ok(());
        }
        if self.notes.is_empty() || self.doubtful {
            return self.rewrite();
        }
        self.append(&encode(number, true, &[]))
    }

    /// Every note with its number, in order.
    pub fn notes(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.notes.iter().map(|(number, note)| (*number, note.as_slice()))
    }

    fn live(&self) -> u64 {
        self.notes.values().map(|note| u64::try_from(HEAD.saturating_add(note.len())).unwrap_or(u64::MAX)).sum()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.seek(io::SeekFrom::Start(self.length));
        let written = written.and_then(|_| self.file.write_all(bytes)).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(error) => {
                self.doubtful = true;
                // What was half written must not be found after a restart; if this fails too, it is left out there.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    /// Makes the file anew with what it should hold.
    fn rewrite(&mut self) -> io::Result<()> {
        self.doubtful = true;
        let fresh = self.path.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private(&fresh)?;
        let bytes: Vec<u8> = self.notes.iter().flat_map(|(number, note)| encode(*number, false, note)).collect();
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        (self.file, self.length) = (file, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if let Some(directory) = self.path.parent() {
            sync_directory(directory)?;
        }
        self.doubtful = false;
        Ok(())
    }
}

fn encode(number: u64, off: bool, note: &[u8]) -> Vec<u8> {
    let length = u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [&length[..], &number.to_be_bytes(), &[u8::from(off)]].concat();
    [&MAGIC, head.as_slice(), &checksum(&head, note), note].concat()
}

fn checksum(head: &[u8], note: &[u8]) -> [u8; 16] {
    let mut sha = Context::new(&SHA256);
    sha.update(CHECKSUM);
    sha.update(head);
    sha.update(note);
    *sha.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

/// The notes that are to be kept, and whether nothing else was found.
#[doc(hidden)] // for the fuzz targets
pub fn read(bytes: &[u8]) -> (BTreeMap<u64, Vec<u8>>, bool) {
    let (mut notes, mut whole, mut rest) = (BTreeMap::new(), true, bytes);
    while !rest.is_empty() {
        let Some((number, off, note, after)) = decode(rest) else {
            whole = false;
            let from = rest.get(1..).unwrap_or_default();
            rest = from.windows(4).position(|four| four == MAGIC).and_then(|at| from.get(at..)).unwrap_or_default();
            continue;
        };
        if off {
            notes.remove(&number);
        } else {
            notes.insert(number, note.to_vec());
        }
        rest = after;
    }
    (notes, whole)
}

/// The note at the beginning, if there is a whole one.
fn decode(bytes: &[u8]) -> Option<(u64, bool, &[u8], &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (head, rest) = rest.split_first_chunk::<13>()?;
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    let [a, b, c, d, number @ .., off] = head;
    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?;
    let (note, rest) = rest.split_at_checked(length)?;
    (*sum == checksum(head, note)).then(|| (u64::from_be_bytes(*number), *off != 0, note, rest))
}

fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A file that only its owner may touch, made if it is missing.
fn private(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others can read or change it; set it to 0600",
            ));
        }
        // A new name survives a power cut only once its directory is synced.
        path.parent().map_or(Ok(()), sync_directory)?;
    }
    Ok(file)
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds { notes: 100, bytes: 100_000 };

    fn open(home: &tempfile::TempDir) -> Journal {
        Journal::open(&home.path().join("journal"), WIDE).unwrap()
    }

    fn said(journal: &Journal) -> Vec<String> {
        journal.notes().map(|(_, note)| String::from_utf8(note.to_vec()).unwrap()).collect()
    }

    #[test]
    fn notes_stay_in_order_over_restarts_until_they_are_taken_off() {
        let home = tempfile::tempdir().unwrap();
        let mut journal = open(&home);
        let numbers: Vec<u64> = ["a", "b", "c"].map(|note| journal.add(note.into()).unwrap()).to_vec();
        drop(journal);
        let mut journal = open(&home);
        assert_eq!(said(&journal), ["a", "b", "c"]);
        journal.take_off(numbers[1]).unwrap();
        journal.take_off(numbers[1]).unwrap();
        journal.add("d".into()).unwrap();
        drop(journal);
        let mut journal = open(&home);
        assert_eq!(said(&journal), ["a", "c", "d"]);
        let all: Vec<u64> = journal.notes().map(|(number, _)| number).collect();
        all.into_iter().for_each(|number| journal.take_off(number).unwrap());
        drop(journal);
        assert_eq!(said(&open(&home)), [""; 0]);
        assert_eq!(fs::metadata(home.path().join("journal/0.journal")).unwrap().len(), 0, "nothing is left behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode("journal"), mode("journal/0.journal")), (0o700, 0o600));
            let path = home.path().join("journal/0.journal");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(Journal::open(&home.path().join("journal"), WIDE).is_err());
        }
    }

    #[test]
    fn it_is_bounded_and_what_is_taken_off_makes_room() {
        let home = tempfile::tempdir().unwrap();
        let bounds = Bounds { notes: 3, bytes: 600 };
        let mut journal = Journal::open(home.path(), bounds).unwrap();
        for i in 0..200u64 {
            let number = journal.add(vec![7; 100]).unwrap();
            assert_eq!(number, if i == 0 { 0 } else { number });
            assert!(fs::metadata(home.path().join("0.journal")).unwrap().len() <= 700);
            if i % 3 == 2 {
                assert!(matches!(journal.add(vec![]), Err(JournalError::Full)));
                let all: Vec<u64> = journal.notes().map(|(number, _)| number).collect();
                all.into_iter().for_each(|number| journal.take_off(number).unwrap());
            }
        }
        assert!(matches!(journal.add(vec![0; 600]), Err(JournalError::Full)));
    }

    #[test]
    fn whatever_of_the_last_write_is_there_no_other_note_is_lost_and_none_made_up() {
        let home = tempfile::tempdir().unwrap();
        let mut journal = open(&home);
        for note in ["first", "second", "third"] {
            journal.add(note.into()).unwrap();
        }
        drop(journal);
        let path = home.path().join("journal/0.journal");
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - HEAD - "third".len();
        for cut in last..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = open(&home);
            assert_eq!(said(&journal), ["first", "second"], "cut at {cut}");
            journal.add("later".into()).unwrap();
            drop(journal);
            assert_eq!(said(&open(&home)), ["first", "second", "later"], "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            fs::write(&path, &damaged).unwrap();
            let left = said(&open(&home));
            assert_eq!(left.len(), 2, "one is left out: {left:?}");
            assert!(left.iter().all(|note| ["first", "second", "third"].contains(&note.as_str())));
        }
    }

    #[test]
    fn processes_that_share_a_directory_do_not_meet_and_take_over_what_is_left() {
        let home = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (open(&home), open(&home));
        one.add("one".into()).unwrap();
        two.add("two".into()).unwrap();
        assert_eq!((said(&one), said(&two)), (vec!["one".to_owned()], vec!["two".to_owned()]));
        drop(two);
        drop(one);
        let both = open(&home);
        assert_eq!(said(&both), ["one", "two"]);
        assert_eq!(said(&open(&home)), [""; 0], "nobody else has it");
    }
}
