//! Keys on disk: private files that only their owner can read, replaced whole or not at all.
//!
//! A key directory holds `current.pem`, `next.pem` and, public parts only, `retired-<kid>.json`; for development the
//! names of the private files begin with `dev-`, so that such keys stay marked. Rotation can be cut off anywhere: what
//! is on disk is a usable ring at every step, and the next rotation finishes what is missing. Servers read the directory
//! again now and then, so the next key has to lie there for a while before it signs: that is the lead of a rotation.
//!
//! A ring can also come from where an operator's platform puts secrets: a mounted directory, systemd's credentials, or
//! one text with all keys in a variable or a file. Such rings are read here and changed where they come from.

use super::keys::{self, Algorithm, KeyError, KeyRing, Retired, SigningKey, VerifyingKey};
use crate::secret::Sensitive;
use crate::source::{self, Readers, Source};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read; a key takes a few hundred bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// What the names of development's private files begin with.
pub const DEVELOPMENT: &str = "dev-";

/// A retired key as it lies on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredFile {
    until: Timestamp,
    jwk: serde_json::Value,
}

/// Makes a ring of new keys in `directory`, which must not hold any.
pub fn create(directory: &Path, algorithm: Algorithm, development: bool) -> Result<KeyRing, KeyError> {
    make_private_directory(directory)?;
    let folder = Folder::own(directory);
    let places = [folder.place(false), folder.place(true)];
    if places.iter().any(|place| place.current.exists() || place.next.exists()) {
        return Err(KeyError::Occupied);
    }
    let [production, dev] = places;
    let place = if development { dev } else { production };
    let current = create_key(&place.current, algorithm)?;
    let next = create_key(&place.next, algorithm)?;
    KeyRing::new(current, Some(next), Vec::new())
}

/// Loads the ring in `directory`.
pub fn load(directory: &Path) -> Result<KeyRing, KeyError> {
    load_in(&Folder::own(directory))
}

/// Loads the ring that lies at a place: a directory, credentials whose names begin with the place's (what systemd makes of
/// a directory), or one text with all keys.
pub fn load_from(source: &Source) -> Result<KeyRing, KeyError> {
    match source.path() {
        Ok((path, readers)) if path.is_dir() => load_in(&Folder { directory: path, prefix: String::new(), readers }),
        Ok((path, readers)) if matches!(source, Source::Credential(_)) && !path.exists() => {
            let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
            load_in(&Folder { directory, prefix: format!("{}_", source.name()), readers })
        }
        Ok(_) | Err(_) => KeyRing::from_bundle(&source.read()?),
    }
}

/// How often a ring is read to see it twice the same.
const LOOKS: usize = 4;

/// Loads the ring at a place that somebody may be changing: what was seen twice is not half of a rotation.
pub fn load_steadily(source: &Source) -> Result<KeyRing, KeyError> {
    let mut ring = load_from(source)?;
    for _ in 0..LOOKS {
        let again = load_from(source)?;
        if again.same(&ring) {
            return Ok(again);
        }
        ring = again;
    }
    Err(KeyError::File(std::io::ErrorKind::ResourceBusy))
}

fn load_in(folder: &Folder) -> Result<KeyRing, KeyError> {
    let place = folder.find()?;
    let load = |path: &Path| load_as(path, folder.readers);
    let current = load(&place.current)?;
    let next = if place.next.exists() { Some(load(&place.next)?) } else { None };
    // A rotation that was cut off may have retired the key that still signs.
    let signing = [Some(current.public().kid()), next.as_ref().map(|key| key.public().kid())];
    let mut retired = retired(folder)?;
    retired.retain(|(_, one)| !signing.contains(&Some(one.key.kid())));
    KeyRing::new(current, next, retired.into_iter().map(|(_, one)| one).collect())
}

/// Rotates the ring in `directory` if its next key has been there for `lead`, so that everybody knows it.
pub fn rotate_when_known(directory: &Path, lead: SignedDuration, now: Timestamp) -> Result<KeyRing, KeyError> {
    // Two at once would let a key sign that the first of them has just made.
    let _alone = alone(directory)?;
    match load(directory)?.may_rotate(lead) {
        Some(from) if from > now => Err(KeyError::TooEarly(from)),
        Some(_) | None => rotate_alone(directory, now),
    }
}

/// Rotates the ring in `directory`: the next key signs, the current one is retired and its private part is replaced.
pub fn rotate(directory: &Path, now: Timestamp) -> Result<KeyRing, KeyError> {
    let _alone = alone(directory)?;
    rotate_alone(directory, now)
}

/// Keeps other commands that change the keys waiting until what it gives back is dropped.
fn alone(directory: &Path) -> Result<File, KeyError> {
    let lock = File::open(directory)?;
    lock.lock()?;
    Ok(lock)
}

fn rotate_alone(directory: &Path, now: Timestamp) -> Result<KeyRing, KeyError> {
    let folder = Folder::own(directory);
    let place = folder.find()?;
    let current = load_key(&place.current)?;
    let algorithm = current.public().algorithm();
    if place.next.exists() {
        let until = super::retirement(now);
        let jwk = serde_json::to_value(current.public().jwk()).map_err(|_| KeyError::Malformed)?;
        let file = serde_json::to_vec(&RetiredFile { until, jwk }).map_err(|_| KeyError::Malformed)?;
        let name = format!("retired-{}.json", current.public().kid());
        write_private(&directory.join(name), &Sensitive::new(file))?;
        fs::rename(&place.next, &place.current)?;
        sync_directory(directory)?;
    }
    create_key(&place.next, algorithm)?;
    for (path, one) in retired(&folder)? {
        if one.until <= now {
            fs::remove_file(path)?;
        }
    }
    load(directory)
}

/// Takes a key out at once, for one that was stolen: it verifies nothing any more, whatever it signed. If it signs, the
/// next one does from now on; if it is the next, another is made.
pub fn retire(directory: &Path, kid: &str) -> Result<KeyRing, KeyError> {
    let _alone = alone(directory)?;
    let folder = Folder::own(directory);
    let (place, ring) = (folder.find()?, load(directory)?);
    let algorithm = ring.current().public().algorithm();
    let replace = || -> Result<(), KeyError> {
        let (_, pem) = SigningKey::generate(algorithm, is_development(&place.next))?;
        write_private(&place.next, &keys::dated(&pem, Timestamp::now()))
    };
    let mut found = true;
    if ring.current().public().kid() == kid {
        if ring.next().is_none() {
            return Err(KeyError::NoNext);
        }
        fs::rename(&place.next, &place.current)?;
        sync_directory(directory)?;
        replace()?;
    } else if ring.next().is_some_and(|key| key.public().kid() == kid) {
        replace()?;
    } else {
        found = false;
    }
    // Also what a rotation that was cut off has left of it.
    for (path, one) in retired(&folder)? {
        if one.key.kid() == kid {
            fs::remove_file(path)?;
            sync_directory(directory)?;
            found = true;
        }
    }
    if found { load(directory) } else { Err(KeyError::Unknown) }
}

/// Makes a new private key in a file that must not exist. A name that begins with `dev-` marks it for development.
pub fn create_key(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let (key, pem) = SigningKey::generate(algorithm, is_development(path))?;
    if path.exists() {
        return Err(KeyError::Occupied);
    }
    let now = Timestamp::now();
    write_private(path, &keys::dated(&pem, now))?;
    Ok(key.made_by(Some(now)))
}

/// Loads a private key from a PKCS#8 PEM file that only its owner can read.
pub fn load_key(path: &Path) -> Result<SigningKey, KeyError> {
    load_as(path, Readers::Owner)
}

fn load_as(path: &Path, readers: Readers) -> Result<SigningKey, KeyError> {
    let key = SigningKey::from_pem(&source::read(path, readers)?, is_development(path))?;
    let written = fs::metadata(path)?.modified()?;
    Ok(key.made_by(Timestamp::try_from(written).ok()))
}

/// Reads a file that only its owner can read.
pub fn read_private(path: &Path) -> Result<Sensitive<Vec<u8>>, KeyError> {
    Ok(source::read(path, Readers::Owner)?)
}

/// Writes a file that only its owner can read, replacing what is there as a whole; it is on disk when this returns.
pub fn write_private(path: &Path, bytes: &Sensitive<Vec<u8>>) -> Result<(), KeyError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One that was left behind may have other permissions.
        if beside.exists() {
            fs::remove_file(&beside)?;
        }
    }
    let mut file = options.open(&beside)?;
    file.write_all(bytes.expose())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Reads a file of public keys.
pub fn read_public(path: &Path) -> Result<Vec<u8>, KeyError> {
    read(File::open(path)?)
}

fn read(file: File) -> Result<Vec<u8>, KeyError> {
    let length = file.metadata()?.len();
    if length > MAX_FILE {
        return Err(KeyError::Malformed);
    }
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|_| KeyError::Malformed)?.saturating_add(1));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn retired(folder: &Folder) -> Result<Vec<(PathBuf, Retired)>, KeyError> {
    let mut found = Vec::new();
    let begins = format!("{}retired-", folder.prefix);
    for entry in fs::read_dir(&folder.directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(&begins) || !name.ends_with(".json") {
            continue;
        }
        let file: RetiredFile = serde_json::from_slice(&read_public(&path)?).map_err(|_| KeyError::Malformed)?;
        let jwk = serde_json::to_vec(&file.jwk).map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_jwks(&jwk)?.into_iter().next().ok_or(KeyError::Malformed)?;
        found.push((path, Retired { key, until: file.until }));
    }
    Ok(found)
}

/// Where a ring lies: a directory, or in one the files whose names begin with a prefix.
struct Folder {
    directory: PathBuf,
    prefix: String,
    readers: Readers,
}

impl Folder {
    /// A directory of our own.
    fn own(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), prefix: String::new(), readers: Readers::Owner }
    }

    fn place(&self, development: bool) -> Place {
        let prefix = if development { DEVELOPMENT } else { "" };
        let path = |name: &str| self.directory.join(format!("{}{prefix}{name}.pem", self.prefix));
        Place { current: path("current"), next: path("next") }
    }

    /// The files that are there; development and production keys do not mix.
    fn find(&self) -> Result<Place, KeyError> {
        let (production, dev) = (self.place(false), self.place(true));
        if !self.prefix.is_empty() {
            // Behind a prefix the mark of a development key would not be seen: they are not looked for there.
            return Ok(production);
        }
        match (production.current.exists(), dev.current.exists()) {
            (true, true) => Err(KeyError::Occupied),
            (false, true) => Ok(dev),
            _ => Ok(production),
        }
    }
}

/// The private files of a ring.
struct Place {
    current: PathBuf,
    next: PathBuf,
}

/// Whether a file's name marks what is in it as made for development.
pub fn is_development(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(DEVELOPMENT))
}

fn make_private_directory(directory: &Path) -> Result<(), KeyError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    Ok(builder.recursive(true).create(directory)?)
}

fn sync_directory(directory: &Path) -> Result<(), KeyError> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}
