//! Where secrets come from: files, variables of the environment, credentials of systemd, files that a container platform
//! mounts. A setting names the place and never the secret; so it can be shown, logged and kept in version control.
//!
//! A file must be one that nobody but its owner can read. Two places have readers by design, and say so in their name:
//! a credential (systemd grants the service's user by an access list, which shows as the group's bits) and `mounted:`
//! (Kubernetes gives a volume to the pod's group). There the group may read; others never, and nobody may write.
//!
//! What was read is overwritten when dropped. A variable stays in the process's environment all the same: nothing in
//! safe Rust can take it out, and whoever runs as the same user can read it. Files are better; see [`Source::lingers`].

use crate::secret::Sensitive;
use crate::terms::Malformed;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The largest secret that is read, in bytes; a key takes a few hundred.
const LONGEST: u64 = 1024 * 1024;
/// The variable by which systemd tells where credentials lie.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// What a variable's name ends with that names a file instead of holding the secret.
const FILE_SUFFIX: &str = "_FILE";

/// A place where a secret lies. Written as a path, or as `file:`, `mounted:`, `env:` or `credential:` and a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// Not said.
    #[default]
    Unset,
    /// A file that only its owner can read.
    File(PathBuf),
    /// A file that a container platform mounts: its group may read it too.
    Mounted(PathBuf),
    /// A variable with the secret; or, under the same name and `_FILE`, with the path of a file as in [`Source::File`].
    Environment(String),
    /// A credential that systemd passes on (`LoadCredential=`, `SetCredentialEncrypted=`).
    Credential(String),
}

/// Who may read a file besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Owner,
    /// Its group.
    Group,
}

/// A secret was not read. Says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The file is missing or cannot be read.
    #[error("cannot be read: {0}")]
    File(std::io::ErrorKind),
    /// It is a directory, a device or a pipe.
    #[error("is no regular file")]
    NoFile,
    /// Others may read or change the file.
    #[error("can be read or changed by others; set it to 0600 (as `mounted:` or a credential, 0440 will do)")]
    Permissions,
    /// The variable is not there.
    #[error("the variable is not set")]
    NotSet,
    /// The variable with the secret and the one with a path are both there.
    #[error("the variable and the one with _FILE are both set; which one holds is not for idgate to guess")]
    Ambiguous,
    /// No service manager has passed credentials on.
    #[error("there are no credentials here: CREDENTIALS_DIRECTORY is not set")]
    NoCredentials,
    /// It is larger than any secret.
    #[error("is too large for a secret")]
    TooLarge,
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error.kind())
    }
}

/// The environment, or a test's.
type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Source {
    /// Whether no place is said.
    pub fn is_unset(&self) -> bool {
        *self == Self::Unset
    }

    /// Reads the secret.
    pub fn read(&self) -> Result<Sensitive<Vec<u8>>, ReadError> {
        self.read_with(&|name| std::env::var_os(name))
    }

    fn read_with(&self, variables: Variables) -> Result<Sensitive<Vec<u8>>, ReadError> {
        if let Self::Environment(name) = self
            && let Some(value) = variables(name)
        {
            // First of all, so that it is overwritten in every case.
            let value = Sensitive::new(value.into_encoded_bytes());
            return if variables(&format!("{name}{FILE_SUFFIX}")).is_none() {
                Ok(value)
            } else {
                Err(ReadError::Ambiguous)
            };
        }
        let (path, readers) = self.path_with(variables)?;
        read(&path, readers)
    }

    /// The file or directory that this place is, and who may read there. A variable that holds the secret is none.
    pub fn path(&self) -> Result<(PathBuf, Readers), ReadError> {
        self.path_with(&|name| std::env::var_os(name))
    }

    fn path_with(&self, variables: Variables) -> Result<(PathBuf, Readers), ReadError> {
        match self {
            Self::Unset => Err(ReadError::File(std::io::ErrorKind::NotFound)),
            Self::File(path) => Ok((path.clone(), Readers::Owner)),
            Self::Mounted(path) => Ok((path.clone(), Readers::Group)),
            Self::Environment(name) => {
                let path = variables(&format!("{name}{FILE_SUFFIX}")).ok_or(ReadError::NotSet)?;
                Ok((path.into(), Readers::Owner))
            }
            Self::Credential(name) => {
                let directory = variables(CREDENTIALS).ok_or(ReadError::NoCredentials)?;
                Ok((Path::new(&directory).join(name), Readers::Group))
            }
        }
    }

    /// Whether the secret stays where the process cannot overwrite it: in its own environment.
    pub fn lingers(&self) -> bool {
        matches!(self, Self::Environment(name) if std::env::var_os(name).is_some())
    }

    /// The last part of its name: what marks a key as made for development.
    pub fn name(&self) -> &str {
        match self {
            Self::Unset => "",
            Self::File(path) | Self::Mounted(path) => {
                path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
            }
            Self::Environment(name) | Self::Credential(name) => name,
        }
    }
}

/// Reads a file with a secret, if nobody may read it who should not.
pub fn read(path: &Path, readers: Readers) -> Result<Sensitive<Vec<u8>>, ReadError> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(ReadError::NoFile);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let forbidden = match readers {
            Readers::Owner => 0o077,
            Readers::Group => 0o037,
        };
        if about.permissions().mode() & forbidden != 0 {
            return Err(ReadError::Permissions);
        }
    }
    if about.len() > LONGEST {
        return Err(ReadError::TooLarge);
    }
    // Room for all of it at once: a vector that grows leaves copies behind.
    let room = usize::try_from(about.len()).map_err(|_| ReadError::TooLarge)?.saturating_add(1);
    let mut bytes = Sensitive::new(Vec::with_capacity(room));
    file.take(about.len()).read_to_end(bytes.expose_mut())?;
    Ok(bytes)
}

impl FromStr for Source {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const BAD: Malformed =
            Malformed("place of a secret: a path, or file:PATH, mounted:PATH, env:NAME or credential:NAME");
        if text.is_empty() {
            return Ok(Self::Unset);
        }
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| !scheme.contains(['/', '\\', '.'])) else {
            return Ok(Self::File(text.into()));
        };
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match scheme {
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "mounted" if !rest.is_empty() => Ok(Self::Mounted(rest.into())),
            "env" if (1..=64).contains(&rest.len()) && rest.chars().all(upper) && !rest.ends_with(FILE_SUFFIX) => {
                Ok(Self::Environment(rest.to_owned()))
            }
            // One file name, which cannot lead out of the directory.
            "credential" if (1..=200).contains(&rest.len()) && rest.chars().all(plain) && !rest.starts_with('.') => {
                Ok(Self::Credential(rest.to_owned()))
            }
            _ => Err(BAD),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str().is_empty() { Self::Unset } else { Self::File(path) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => Ok(()),
            Self::File(path) => {
                let text = path.to_string_lossy();
                // A path that looks like another kind of place is written out.
                let plain = matches!(text.parse(), Ok(Self::File(parsed)) if parsed == *path);
                if plain { f.write_str(&text) } else { write!(f, "file:{text}") }
            }
            Self::Mounted(path) => write!(f, "mounted:{}", path.display()),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
