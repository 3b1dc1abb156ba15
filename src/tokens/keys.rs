//! Keys that sign and verify, and their rotation.
//!
//! A key serves one algorithm and is named by its RFC 7638 thumbprint, so that a name cannot be chosen by anybody.
//! Keys made for development carry the prefix `dev-` and say so; production settings refuse them. The private part is
//! overwritten when dropped, is never shown, and never leaves this module but into a private file.

use super::rsa;
use crate::secret::Sensitive;
use crate::source::ReadError;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use std::fmt;

pub use super::ring::{KeyRing, Retired, Standing};

/// The prefix of the names of keys made for development.
const DEVELOPMENT: &str = "dev-";
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// What stands before the uncompressed point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480).
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// The signature algorithms that idgate makes and accepts. There are no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// RSA with PKCS#1 padding and SHA-256: accepted from others, never used to sign.
    Rs256,
}

impl Algorithm {
    /// Its name in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    pub(super) const fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A key, or the file it lies in, cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is missing or cannot be read or written.
    #[error("a key file cannot be read or written: {0}")]
    File(std::io::ErrorKind),
    /// Others may read the file.
    #[error("a private key file can be read by others; set it to 0600")]
    Permissions,
    /// The place that is set cannot be read.
    #[error("{0}")]
    Place(ReadError),
    /// The next key was made too lately for everybody to know it.
    #[error(
        "the next key is not known to everybody before {0}; rotate then, or with --now if the current one was stolen"
    )]
    TooEarly(Timestamp),
    /// There is no key of this name.
    #[error("there is no key of this name here")]
    Unknown,
    /// The one key that could sign would be taken away.
    #[error("there is no next key that could sign; rotate first")]
    NoNext,
    /// Keys that lie in a variable, a bundle or a mount are changed where they come from.
    #[error("these keys are not in a directory of their own; change them where they come from")]
    NotHere,
    /// It is no key in a form that idgate reads.
    #[error("not a key that idgate reads: Ed25519, P-256 or public RSA of 2048 to 4096 bits; PEM, JWK or JWKS")]
    Malformed,
    /// A private or shared secret key where a public one belongs.
    #[error("a private key was given where a public key belongs")]
    PrivateInPublic,
    /// Two keys have one name.
    #[error("two keys have the same key id")]
    Duplicate,
    /// There are keys already, or keys for development and production in one place.
    #[error("the directory holds other keys already")]
    Occupied,
    /// More keys in one place than are read.
    #[error("more keys in one place than are read")]
    TooMany,
    /// A key that was made for development, in production.
    #[error("a key that was made for development")]
    Development,
    /// Keys of that algorithm sign nothing here.
    #[error("idgate signs with Ed25519 or P-256 keys only")]
    VerifiesOnly,
    /// The system gave no randomness.
    #[error("no key could be generated")]
    Generation,
}

impl From<std::io::Error> for KeyError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error.kind())
    }
}

impl From<ReadError> for KeyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::File(kind) => Self::File(kind),
            ReadError::Permissions => Self::Permissions,
            other => Self::Place(other),
        }
    }
}

/// A public key with its name.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    jwk: Jwk,
}

impl VerifyingKey {
    /// Reads every public key of a text with any number of PEM sections.
    pub(super) fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, KeyError> {
        let read =
            |der: Result<SubjectPublicKeyInfoDer<'_>, _>| Self::from_spki(&der.map_err(|_| KeyError::Malformed)?);
        SubjectPublicKeyInfoDer::pem_slice_iter(pem).map(read).collect()
    }

    /// Reads one public key from PEM (SubjectPublicKeyInfo). Its name is its thumbprint.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        if PrivatePkcs8KeyDer::from_pem_slice(pem).is_ok() {
            return Err(KeyError::PrivateInPublic);
        }
        Self::from_spki(&SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::Malformed)?)
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        if let Some(raw) = der.strip_prefix(ED25519_SPKI) {
            return Self::from_raw(Algorithm::EdDsa, raw, None, "");
        }
        if let Some(raw) = der.strip_prefix(P256_SPKI) {
            return Self::from_raw(Algorithm::Es256, raw, None, "");
        }
        match rsa::parts(der) {
            Some((modulus, exponent)) if rsa::fit(modulus, exponent) => Self::from_rsa(modulus, exponent, None),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Reads the public keys of a JWK or JWKS document. Keys of other algorithms are passed over, but there must be one
    /// that can be used; private keys are refused.
    pub fn from_jwks(json: &[u8]) -> Result<Vec<Self>, KeyError> {
        Self::published(json).and_then(|keys| if keys.is_empty() { Err(KeyError::Malformed) } else { Ok(keys) })
    }

    /// The same where somebody may publish that they have no key any more.
    pub fn published(json: &[u8]) -> Result<Vec<Self>, KeyError> {
        let document: serde_json::Value = serde_json::from_slice(json).map_err(|_| KeyError::Malformed)?;
        let members = match document.get("keys") {
            Some(keys) => keys.as_array().ok_or(KeyError::Malformed)?.as_slice(),
            None => std::slice::from_ref(&document),
        };
        let mut keys = Vec::new();
        for member in members {
            if member.get("d").is_some() || member.get("k").is_some() {
                return Err(KeyError::PrivateInPublic);
            }
            let jwk: Jwk = serde_json::from_value(member.clone()).map_err(|_| KeyError::Malformed)?;
            keys.extend(Self::from_jwk(&jwk)?);
        }
        Ok(keys)
    }

    /// The key of a JWK, or nothing if it is for another use or algorithm.
    fn from_jwk(jwk: &Jwk) -> Result<Option<Self>, KeyError> {
        let part = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed)?;
            <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Malformed)
        };
        let for_signing = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let verifies = jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let named = |algorithm: Algorithm| jwk.common.key_algorithm.is_none_or(|named| named == algorithm.jwt().into());
        if !for_signing || !verifies {
            return Ok(None);
        }
        let (algorithm, raw) = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) if named(Algorithm::Rs256) => {
                let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed);
                let (modulus, exponent) = (bytes(&key.n)?, bytes(&key.e)?);
                if !rsa::fit(&modulus, &exponent) {
                    return Ok(None);
                }
                return Self::from_rsa(&modulus, &exponent, jwk.common.key_id.clone()).map(Some);
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDsa, part(&key.x)?.to_vec())
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::Es256, [&[4u8][..], &part(&key.x)?, &part(&key.y)?].concat())
            }
            _ => return Ok(None),
        };
        if !named(algorithm) {
            return Ok(None);
        }
        Self::from_raw(algorithm, &raw, jwk.common.key_id.clone(), "").map(Some)
    }

    fn from_raw(algorithm: Algorithm, raw: &[u8], name: Option<String>, prefix: &str) -> Result<Self, KeyError> {
        let (known, decoding): (&'static dyn signature::VerificationAlgorithm, _) = match algorithm {
            Algorithm::EdDsa => (&signature::ED25519, DecodingKey::from_ed_der(raw)),
            Algorithm::Es256 => (&ECDSA_P256_SHA256_FIXED, DecodingKey::from_ec_der(raw)),
            Algorithm::Rs256 => return Err(KeyError::Malformed),
        };
        // Refuses wrong lengths and points that are not on the curve.
        ParsedPublicKey::new(known, raw).map_err(|_| KeyError::Malformed)?;
        Self::called(algorithm, decoding, name, prefix)
    }

    fn from_rsa(modulus: &[u8], exponent: &[u8], name: Option<String>) -> Result<Self, KeyError> {
        Self::called(Algorithm::Rs256, DecodingKey::from_rsa_raw_components(modulus, exponent), name, "")
    }

    /// A key under its given name, or under its thumbprint.
    fn called(
        algorithm: Algorithm,
        decoding: DecodingKey,
        name: Option<String>,
        prefix: &str,
    ) -> Result<Self, KeyError> {
        let bare = Jwk::from_decoding_key(&decoding, Some(algorithm.jwt()));
        let mut jwk = bare.map_err(|_| KeyError::Malformed)?;
        let kid = match name {
            Some(name) if (1..=128).contains(&name.len()) => name,
            Some(_) => return Err(KeyError::Malformed),
            None => {
                let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Malformed)?;
                format!("{prefix}{thumbprint}")
            }
        };
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { kid, algorithm, decoding, jwk })
    }

    /// Its name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm it serves.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it was made for development.
    pub fn development(&self) -> bool {
        self.kid.starts_with(DEVELOPMENT)
    }

    pub(super) fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Whether it is the same key under the same name.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({}, {})", self.kid, self.algorithm.as_str())
    }
}

/// A JWKS document of `keys`: public parts only.
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> String {
    let set = JwkSet { keys: keys.into_iter().map(|key| key.jwk.clone()).collect() };
    serde_json::to_string(&set).expect("a JWK set has only string keys")
}

/// A private key with its name.
pub struct SigningKey {
    pub(super) encoding: EncodingKey,
    public: VerifyingKey,
    /// When it was made, if its file tells.
    made: Option<Timestamp>,
}

/// What a private file says, above the key, of when it was made.
const MADE: &str = "Made: ";

impl SigningKey {
    /// Makes a new key, and its PKCS#8 PEM for a private file.
    pub fn generate(algorithm: Algorithm, development: bool) -> Result<(Self, Sensitive<Vec<u8>>), KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random),
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Rs256 => return Err(KeyError::VerifiesOnly),
        };
        let document = document.map_err(|_| KeyError::Generation)?;
        let body = Sensitive::new(STANDARD.encode(document.as_ref()));
        let mut pem = Sensitive::new(Vec::with_capacity(body.expose().len().saturating_mul(2).saturating_add(64)));
        pem.expose_mut().extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
        for line in body.expose().as_bytes().chunks(64) {
            pem.expose_mut().extend_from_slice(line);
            pem.expose_mut().push(b'\n');
        }
        pem.expose_mut().extend_from_slice(b"-----END PRIVATE KEY-----\n");
        Ok((Self::from_der(document.as_ref(), development)?, pem))
    }

    /// Reads a private key from PKCS#8 PEM.
    pub fn from_pem(pem: &Sensitive<Vec<u8>>, development: bool) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| KeyError::Malformed)?;
        let der = Sensitive::new(der);
        let key = Self::from_der(der.expose().secret_pkcs8_der(), development)?;
        Ok(Self { made: made(pem.expose()), ..key })
    }

    /// Reads every private key of a text with any number of PEM sections. They are none of development's.
    pub(super) fn all_from_pem(pem: &Sensitive<Vec<u8>>) -> Result<Vec<Self>, KeyError> {
        let read = |der: Result<PrivatePkcs8KeyDer<'static>, _>| {
            let der = Sensitive::new(der.map_err(|_| KeyError::Malformed)?);
            Self::from_der(der.expose().secret_pkcs8_der(), false)
        };
        PrivatePkcs8KeyDer::pem_slice_iter(pem.expose()).map(read).collect()
    }

    fn from_der(der: &[u8], development: bool) -> Result<Self, KeyError> {
        let prefix = if development { DEVELOPMENT } else { "" };
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            let public = VerifyingKey::from_raw(Algorithm::EdDsa, pair.public_key().as_ref(), None, prefix)?;
            return Ok(Self { encoding: EncodingKey::from_ed_der(der), public, made: None });
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| KeyError::Malformed)?;
        let public = VerifyingKey::from_raw(Algorithm::Es256, pair.public_key().as_ref(), None, prefix)?;
        Ok(Self { encoding: EncodingKey::from_ec_der(der), public, made: None })
    }

    /// Its public part.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// When it was made, as far as that is known.
    pub fn made(&self) -> Option<Timestamp> {
        self.made
    }

    /// The same, made at this time where its file does not tell.
    pub(super) fn made_by(mut self, time: Option<Timestamp>) -> Self {
        self.made = self.made.or(time);
        self
    }
}

/// A private file: when the key was made, above its PEM.
pub(super) fn dated(pem: &Sensitive<Vec<u8>>, made: Timestamp) -> Sensitive<Vec<u8>> {
    Sensitive::new([format!("{MADE}{made}\n").as_bytes(), pem.expose()].concat())
}

/// What is said above the key of when it was made.
fn made(pem: &[u8]) -> Option<Timestamp> {
    let line = pem.split(|byte| *byte == b'\n').next()?;
    str::from_utf8(line.strip_prefix(MADE.as_bytes())?).ok()?.trim_ascii_end().parse().ok()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.public.kid)
    }
}
