//! Keys and secrets by their configured places: made, rotated, shown (public parts only), and used to mint bearer
//! tokens for development.

use super::Settings;
use crate::secret::Sensitive;
use crate::source::Source;
use crate::terms::{Purpose, RelyingParty, Scope, hex};
use crate::tokens::callers::{self, Mint};
use crate::tokens::keys::{Algorithm, SigningKey, VerifyingKey};
use crate::tokens::{Token, disposal, files, receipts};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

pub use crate::tokens::TokenError;
pub use crate::tokens::keys::{KeyError, Standing};

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
    jwks(&directory.to_owned().into())
}

/// Rotates a directory of signing keys: the next key signs, the current one is retired. The next one must have been there
/// for `lead`, so that every server and everybody who keeps a copy of the key set knows it.
pub fn rotate(directory: &Path, lead: SignedDuration) -> Result<String, KeyError> {
    files::rotate_when_known(directory, lead, Timestamp::now())?;
    jwks(&directory.to_owned().into())
}

/// Takes a key out of a directory at once; what it signed is not accepted any more.
pub fn retire(directory: &Path, kid: &str) -> Result<String, KeyError> {
    files::retire(directory, kid)?;
    jwks(&directory.to_owned().into())
}

/// The public keys of a place, as JSON.
pub fn jwks(place: &Source) -> Result<String, KeyError> {
    let now = Timestamp::now();
    let ring = files::load_from(place)?;
    Ok(crate::tokens::keys::jwks(ring.verifying(now)))
}

/// A signing key as it is listed; nothing secret.
pub struct Listed {
    /// Its name.
    pub kid: String,
    /// `EdDSA` or `ES256`.
    pub algorithm: &'static str,
    /// Its part.
    pub standing: Standing,
    /// When it was made, where that is known.
    pub made: Option<Timestamp>,
}

/// The signing keys of a place, the one that signs first, without those whose time is over.
pub fn list(place: &Source, now: Timestamp) -> Result<Vec<Listed>, KeyError> {
    let ring = files::load_from(place)?;
    let mut listed = Vec::new();
    for (key, made, standing) in ring.standing() {
        if matches!(standing, Standing::Retired { until } if until <= now) {
            continue;
        }
        listed.push(Listed { kid: key.kid().to_owned(), algorithm: key.algorithm().as_str(), standing, made });
    }
    Ok(listed)
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
pub fn place(settings: &Settings) -> Source {
    let set = &settings.tokens.keys;
    if set.is_unset() { settings.data_dir.join("keys").into() } else { set.clone() }
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
    place: &Source,
    token: &str,
    audience: &RelyingParty,
) -> Result<serde_json::Value, VerifyError> {
    let now = Timestamp::now();
    let ring = files::load_from(place).map_err(|error| VerifyError::Place(place.clone(), error))?;
    let issuer = crate::tokens::Issuer::new(&settings.tokens.issuer, ring)?;
    issuer.verify(token, audience, now)?;
    claims(token).ok_or(VerifyError::Rejected(crate::tokens::Rejected::Malformed))
}

/// Whether a text says of itself that it is a consent receipt.
pub fn is_receipt(text: &str) -> bool {
    receipts::looks_like_one(text)
}

/// A receipt whose signature holds.
pub struct Receipt {
    /// What it says.
    pub payload: serde_json::Value,
    /// SHA-256 of its payload, as the next receipt of the same consent names it.
    pub sha256: String,
}

/// Verifies a consent receipt with a file of public keys, and nothing else.
pub fn receipt_by_jwks(jwks: &Path, text: &str) -> Result<Receipt, VerifyError> {
    let keys = files::read_public(jwks).and_then(|json| VerifyingKey::from_jwks(&json));
    let keys = keys.map_err(|error| VerifyError::Key(jwks.to_owned(), error))?;
    receipt(receipts::open(text, &keys)?)
}

/// Verifies a consent receipt with the signing keys at a place.
pub fn receipt_by_keys(place: &Source, text: &str) -> Result<Receipt, VerifyError> {
    let ring = files::load_from(place).map_err(|error| VerifyError::Place(place.clone(), error))?;
    receipt(receipts::open(text, ring.verifying(Timestamp::now()))?)
}

fn receipt(payload: Vec<u8>) -> Result<Receipt, VerifyError> {
    let sha256 = hex(&Sha256::digest(&payload));
    let payload = serde_json::from_slice(&payload).map_err(|_| crate::tokens::Rejected::Malformed)?;
    Ok(Receipt { payload, sha256 })
}

/// The keys that a disposal receipt is checked with.
#[derive(Debug, Clone, Copy)]
pub enum DisposalKeys<'a> {
    /// A file of public keys.
    Jwks(&'a Path),
    /// A directory of signing keys.
    Directory(&'a Path),
}

/// What a disposal receipt says, if its signature holds.
pub fn disposal(by: DisposalKeys<'_>, text: &str) -> Result<disposal::Claims, VerifyError> {
    match by {
        DisposalKeys::Jwks(file) => {
            let keys = files::read_public(file).and_then(|json| VerifyingKey::from_jwks(&json));
            let keys = keys.map_err(|error| VerifyError::Key(file.to_owned(), error))?;
            Ok(disposal::open(text, &keys)?)
        }
        DisposalKeys::Directory(directory) => {
            let ring = files::load(directory).map_err(|error| VerifyError::Key(directory.to_owned(), error))?;
            Ok(disposal::open(text, ring.verifying(Timestamp::now()))?)
        }
    }
}

/// Reads the opening of a disposal receipt: 64 hexadecimal digits, base64 or base64url.
pub fn opening(text: &Sensitive<String>) -> Option<disposal::Opening> {
    let text = text.expose().trim();
    let hex = Sensitive::from_hex(&Sensitive::new(text.as_bytes().to_vec()));
    let bytes = match hex {
        Some(bytes) => Sensitive::new(bytes.expose().to_vec()),
        None => {
            let bare = text.trim_end_matches('=');
            let bytes = URL_SAFE_NO_PAD.decode(bare).or_else(|_| STANDARD_NO_PAD.decode(bare)).ok()?;
            Sensitive::new(bytes)
        }
    };
    disposal::Opening::from_bytes(bytes.expose())
}

/// An age token or a receipt was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The keys cannot be read.
    #[error("{0}: {1}")]
    Key(PathBuf, KeyError),
    /// The signing keys cannot be read.
    #[error("{0}: {1}")]
    Place(Source, KeyError),
    /// The issuer's name cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It does not hold.
    #[error(transparent)]
    Rejected(#[from] crate::tokens::Rejected),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_read_in_each_of_its_forms() {
        let bytes: Vec<u8> = (0..32).map(|n| n * 8 + 7).collect();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let padded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for text in [hex, padded, STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let read = opening(&Sensitive::new(format!("{text}\n"))).unwrap();
            assert_eq!(read.expose().as_slice(), bytes);
        }
        for wrong in [String::new(), "00".repeat(31), STANDARD_NO_PAD.encode([1; 33]), "?".repeat(43)] {
            assert!(opening(&Sensitive::new(wrong)).is_none());
        }
    }

    #[test]
    fn a_receipt_is_checked_with_a_file_of_public_keys_alone() {
        let home = tempfile::tempdir().unwrap();
        let (own, other) = (home.path().join("own"), home.path().join("other"));
        for directory in [&own, &other] {
            std::fs::write(directory.with_extension("jwks"), generate(directory, Signature::EdDsa).unwrap()).unwrap();
        }
        let issuer = crate::tokens::Issuer::new("https://gate.example", files::load(&own).unwrap()).unwrap();
        let text = issuer.sign_receipt(b"{\"a\":1}").unwrap();
        assert!(is_receipt(&text));
        let good = receipt_by_jwks(&own.with_extension("jwks"), &text).unwrap();
        assert_eq!(good.payload, serde_json::json!({"a": 1}));
        assert_eq!(good.sha256, "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
        assert_eq!(receipt_by_keys(&own.clone().into(), &text).unwrap().sha256, good.sha256);
        let refused = |jwks: &Path, text: &str| receipt_by_jwks(jwks, text).map(|_| ()).unwrap_err().to_string();
        let unknown = refused(&other.with_extension("jwks"), &text);
        assert_eq!(unknown, crate::tokens::Rejected::UnknownKey.to_string());
        let changed = text.replace(&URL_SAFE_NO_PAD.encode(b"{\"a\":1}"), &URL_SAFE_NO_PAD.encode(b"{\"a\":2}"));
        let broken = refused(&own.with_extension("jwks"), &changed);
        assert_eq!(broken, crate::tokens::Rejected::BadSignature.to_string());
        assert!(refused(&home.path().join("none"), &text).contains("none"), "names the file");
    }
}
