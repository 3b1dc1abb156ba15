//! Keys and secrets by their configured places: made, rotated, shown (public parts only), and used to mint bearer
//! tokens for development.

use super::Settings;
use crate::secret::Sensitive;
use crate::terms::{Purpose, RelyingParty, Scope};
use crate::tokens::callers::{self, Mint};
use crate::tokens::keys::{Algorithm, SigningKey};
use crate::tokens::{Token, files};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

pub use crate::tokens::TokenError;
pub use crate::tokens::keys::KeyError;

/// The signature algorithms, by their names on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256.
    Es256,
}

impl From<Signature> for Algorithm {
    fn from(signature: Signature) -> Self {
        match signature {
            Signature::EdDsa => Self::EdDsa,
            Signature::Es256 => Self::Es256,
        }
    }
}

/// A bearer token was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The key cannot be used.
    #[error("{0}: {1}")]
    Key(PathBuf, KeyError),
    /// There is none in production.
    #[error("in production there is no key to sign with here; give one with --key")]
    NoKey,
    /// The server would refuse it.
    #[error("the server accepts no token that lives longer than {0} minutes (callers.longest_minutes)")]
    TooLong(u32),
    /// The token cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Makes a directory of signing keys.
pub fn generate(directory: &Path, signature: Signature) -> Result<String, KeyError> {
    files::create(directory, signature.into(), false)?;
    jwks(directory)
}

/// Rotates a directory of signing keys: the next key signs, the current one is retired.
pub fn rotate(directory: &Path) -> Result<String, KeyError> {
    files::rotate(directory, Timestamp::now())?;
    jwks(directory)
}

/// The public keys of a directory, as JSON.
pub fn jwks(directory: &Path) -> Result<String, KeyError> {
    let now = Timestamp::now();
    let ring = files::load(directory)?;
    Ok(crate::tokens::keys::jwks(ring.verifying(now)))
}

/// Makes a secret for the store, or a sealing key.
pub fn secret(file: &Path) -> Result<(), KeyError> {
    if file.exists() {
        return Err(KeyError::Occupied);
    }
    let mut random = Sensitive::new([0u8; 32]);
    aws_lc_rs::rand::fill(random.expose_mut()).map_err(|_| KeyError::Generation)?;
    let mut hex = Sensitive::new(Vec::with_capacity(65));
    for byte in random.expose() {
        for digit in [byte >> 4, byte & 15] {
            hex.expose_mut().push(b"0123456789abcdef"[usize::from(digit)]);
        }
    }
    hex.expose_mut().push(b'\n');
    files::write_private(file, &hex)
}

/// Where the signing keys lie.
pub fn directory(settings: &Settings) -> PathBuf {
    if settings.tokens.keys.as_os_str().is_empty() {
        settings.data_dir.join("keys")
    } else {
        settings.tokens.keys.clone()
    }
}

/// Where the development key lies that bearer tokens are minted with.
pub fn caller_key(settings: &Settings) -> PathBuf {
    settings.data_dir.join("callers").join("dev-caller.pem")
}

/// Loads the development caller key, or makes it.
pub(super) fn development_caller(settings: &Settings) -> Result<SigningKey, KeyError> {
    let path = caller_key(settings);
    if path.exists() {
        return files::load_key(&path);
    }
    if let Some(parent) = path.parent() {
        private_directory(parent)?;
    }
    files::create_key(&path, Algorithm::EdDsa)
}

/// Makes a directory that only its owner can use, if it is missing.
pub(super) fn private_directory(path: &Path) -> Result<(), std::io::Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// What a bearer token is to say.
pub struct Bearer {
    /// Whom it speaks for.
    pub relying_party: RelyingParty,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// What it allows that for.
    pub purposes: Vec<Purpose>,
    /// For how long, in minutes.
    pub minutes: u32,
}

/// Mints a bearer token, with the development caller key or the one given. In development the key is made if missing,
/// so that a token can be minted before the server's first start.
pub fn mint(settings: &Settings, key: Option<&Path>, bearer: Bearer) -> Result<Token, MintError> {
    if bearer.minutes > settings.callers.longest_minutes {
        return Err(MintError::TooLong(settings.callers.longest_minutes));
    }
    let key = match key {
        Some(path) => files::load_key(path).map_err(|error| MintError::Key(path.to_owned(), error))?,
        None if settings.production() => return Err(MintError::NoKey),
        None => private_directory(&settings.data_dir)
            .map_err(KeyError::from)
            .and_then(|()| development_caller(settings))
            .map_err(|error| MintError::Key(caller_key(settings), error))?,
    };
    let mint = Mint {
        relying_party: bearer.relying_party,
        audience: settings.callers.audience.clone(),
        scopes: bearer.scopes,
        purposes: bearer.purposes,
        ttl: SignedDuration::from_mins(i64::from(bearer.minutes)),
    };
    Ok(callers::mint(&key, &mint, Timestamp::now())?)
}

/// What a token claims, as JSON, unverified: for reading, not for relying on.
pub fn claims(token: &str) -> Option<serde_json::Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// Verifies an age token with a key set, and says what it claims.
pub fn verify(
    settings: &Settings,
    directory: &Path,
    token: &str,
    audience: &RelyingParty,
) -> Result<serde_json::Value, VerifyError> {
    let now = Timestamp::now();
    let ring = files::load(directory).map_err(|error| VerifyError::Key(directory.to_owned(), error))?;
    let issuer = crate::tokens::Issuer::new(&settings.tokens.issuer, ring)?;
    issuer.verify(token, audience, now)?;
    claims(token).ok_or(VerifyError::Rejected(crate::tokens::Rejected::Malformed))
}

/// An age token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The keys cannot be read.
    #[error("{0}: {1}")]
    Key(PathBuf, KeyError),
    /// The issuer's name cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It does not hold.
    #[error(transparent)]
    Rejected(#[from] crate::tokens::Rejected),
}
