//! Keys on disk: private files that only their owner can read, replaced whole or not at all.
//!
//! A key directory holds `current.pem`, `next.pem` and, public parts only, `retired-<kid>.json`; for development the
//! names of the private files begin with `dev-`, so that such keys stay marked. Rotation can be cut off anywhere: what
//! is on disk is a usable ring at every step, and the next rotation finishes what is missing.

use super::keys::{Algorithm, KeyError, KeyRing, Retired, SigningKey, VerifyingKey};
use crate::secret::Sensitive;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read; a key takes a few hundred bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// What the private files of development keys begin with.
const DEVELOPMENT: &str = "dev-";

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
    let places = [Place::new(directory, false), Place::new(directory, true)];
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
    let place = Place::find(directory)?;
    let current = load_key(&place.current)?;
    let next = if place.next.exists() { Some(load_key(&place.next)?) } else { None };
    // A rotation that was cut off may have retired the key that still signs.
    let signing = [Some(current.public().kid()), next.as_ref().map(|key| key.public().kid())];
    let mut retired = retired(directory)?;
    retired.retain(|(_, one)| !signing.contains(&Some(one.key.kid())));
    KeyRing::new(current, next, retired.into_iter().map(|(_, one)| one).collect())
}

/// Rotates the ring in `directory`: the next key signs, the current one is retired and its private part is replaced.
pub fn rotate(directory: &Path, now: Timestamp) -> Result<KeyRing, KeyError> {
    let place = Place::find(directory)?;
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
    for (path, one) in retired(directory)? {
        if one.until <= now {
            fs::remove_file(path)?;
        }
    }
    load(directory)
}

/// Makes a new private key in a file that must not exist. A name that begins with `dev-` marks it for development.
pub fn create_key(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let (key, pem) = SigningKey::generate(algorithm, is_development(path))?;
    if path.exists() {
        return Err(KeyError::Occupied);
    }
    write_private(path, &pem)?;
    Ok(key)
}

/// Loads a private key from a PKCS#8 PEM file that only its owner can read.
pub fn load_key(path: &Path) -> Result<SigningKey, KeyError> {
    SigningKey::from_pem(&read_private(path)?, is_development(path))
}

/// Reads a file that only its owner can read.
pub fn read_private(path: &Path) -> Result<Sensitive<Vec<u8>>, KeyError> {
    let file = File::open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Permissions);
        }
    }
    Ok(Sensitive::new(read(file)?))
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

fn retired(directory: &Path) -> Result<Vec<(PathBuf, Retired)>, KeyError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with("retired-") || !name.ends_with(".json") {
            continue;
        }
        let file: RetiredFile = serde_json::from_slice(&read_public(&path)?).map_err(|_| KeyError::Malformed)?;
        let jwk = serde_json::to_vec(&file.jwk).map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_jwks(&jwk)?.into_iter().next().ok_or(KeyError::Malformed)?;
        found.push((path, Retired { key, until: file.until }));
    }
    Ok(found)
}

/// The private files of a ring.
struct Place {
    current: PathBuf,
    next: PathBuf,
}

impl Place {
    fn new(directory: &Path, development: bool) -> Self {
        let prefix = if development { DEVELOPMENT } else { "" };
        let path = |name: &str| directory.join(format!("{prefix}{name}.pem"));
        Self { current: path("current"), next: path("next") }
    }

    /// The files that are there; development and production keys do not mix.
    fn find(directory: &Path) -> Result<Self, KeyError> {
        let (production, dev) = (Self::new(directory, false), Self::new(directory, true));
        match (production.current.exists(), dev.current.exists()) {
            (true, true) => Err(KeyError::Occupied),
            (false, true) => Ok(dev),
            _ => Ok(production),
        }
    }
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
