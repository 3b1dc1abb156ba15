//! Signing and opening: the one place where a token's envelope is made or judged.
//!
//! What a token says about itself decides nothing: its `kid` must be the exact name of a key we hold, and that key has
//! one algorithm. Header members that could bring a key or change the meaning (`jwk`, `jku`, `crit`, …) are refused,
//! as are repeated members. The clock is not read here; see [`Period`].

use super::keys::{SigningKey, VerifyingKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Header, crypto};
use quick_cache::sync::Cache;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The longest token that is looked at.
pub const MAX_TOKEN: usize = 8 * 1024;
/// How far the clocks of our own servers may be apart.
pub const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Why a token was not accepted. Says nothing of what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Longer than [`MAX_TOKEN`], or for a receipt than its own bound.
    #[error("the token is too long")]
    TooLarge,
    /// It is no signed token, or its header has members that are not accepted.
    #[error("the token is not well formed")]
    Malformed,
    /// Its type is another one.
    #[error("the token is of another type")]
    WrongType,
    /// No key of that name.
    #[error("the token names no known key")]
    UnknownKey,
    /// The key is not for that algorithm.
    #[error("the token's algorithm is not that of its key")]
    WrongAlgorithm,
    /// The signature does not hold.
    #[error("the token's signature does not hold")]
    BadSignature,
    /// A claim that must be there is not.
    #[error("the token lacks a required claim")]
    MissingClaim,
    /// A claim is repeated, has another form, or says what its key may not say.
    #[error("the token has a claim that is not accepted")]
    BadClaim,
    /// Made by somebody else.
    #[error("the token has another issuer")]
    WrongIssuer,
    /// Made for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It would be valid for longer than allowed.
    #[error("the token is valid for longer than allowed")]
    LifetimeTooLong,
    /// It, or its key, is bound to a client certificate that this connection does not have.
    #[error("the token is bound to a client certificate that this connection does not have")]
    WrongCertificate,
}

/// All that a header may hold. Certificate thumbprints are harmless and common; they are not used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(rename = "x5t")]
    _x5t: Option<IgnoredAny>,
    #[serde(rename = "x5t#S256")]
    _x5t_s256: Option<IgnoredAny>,
}

fn header(key: &SigningKey, typ: &str) -> Header {
    let mut header = Header::new(key.public().algorithm().jwt());
    header.typ = Some(typ.to_owned());
    header.kid = Some(key.public().kid().to_owned());
    header
}

/// Signs `claims` as a token of type `typ`.
pub(super) fn sign<C: Serialize>(key: &SigningKey, typ: &str, claims: &C) -> Result<String, super::TokenError> {
    jsonwebtoken::encode(&header(key, typ), claims, &key.encoding).map_err(|_| super::TokenError::Signing)
}

/// Signs exactly these bytes as a payload of type `typ`.
pub(super) fn sign_bytes(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, super::TokenError> {
    const FAILED: super::TokenError = super::TokenError::Signing;
    let head = serde_json::to_vec(&header(key, typ)).map_err(|_| FAILED)?;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
    let algorithm = key.public().algorithm().jwt();
    let signature = crypto::sign(message.as_bytes(), &key.encoding, algorithm).map_err(|_| FAILED)?;
    Ok(format!("{message}.{signature}"))
}

/// Texts whose signatures were made or found good lately, by their SHA-256. The name of the key is part of the text and no two keys
/// have one name, so nothing about a signature that held can change; whether its key still verifies is asked each time.
#[derive(Debug)]
pub(super) struct Checked(Cache<[u8; 32], Arc<Stated>>);

/// What the header of such a text states; its algorithm was that of its key.
#[derive(Debug)]
struct Stated {
    kid: String,
    typ: Option<String>,
}

impl Checked {
    pub(super) fn new(remembered: usize) -> Self {
        Self(Cache::new(remembered))
    }

    /// A text that was signed just now, with this key and as this type.
    pub(super) fn made(&self, text: &str, key: &SigningKey, typ: &str) {
        let stated = Stated { kid: key.public().kid().to_owned(), typ: Some(typ.to_owned()) };
        self.0.insert(Sha256::digest(text).into(), Arc::new(stated));
    }
}

/// Opens a payload whose type is among `types` (where `None` is "no type"), with the key that `find` finds, and gives back
/// exactly the bytes that were signed.
pub(super) fn open_bytes<'k>(
    text: &str,
    types: &[Option<&str>],
    longest: usize,
    find: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
    checked: Option<&Checked>,
) -> Result<(Vec<u8>, &'k VerifyingKey), Rejected> {
    if text.len() > longest {
        return Err(Rejected::TooLarge);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(Rejected::Malformed)?;
    let (_, payload) = message.split_once('.').ok_or(Rejected::Malformed)?;
    let payload = || URL_SAFE_NO_PAD.decode(payload).map_err(|_| Rejected::Malformed);
    let checked = checked.map(|checked| (checked, Sha256::digest(text).into()));
    if let Some(stated) = checked.and_then(|(checked, name)| checked.0.get(&name)) {
        let key = find(&stated.kid).ok_or(Rejected::UnknownKey)?;
        return if types.contains(&stated.typ.as_deref()) { Ok((payload()?, key)) } else { Err(Rejected::WrongType) };
    }
    let (key, typ) = key_of(text, types, longest, find)?;
    let payload = payload()?;
    match crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm().jwt()) {
        Ok(true) => {}
        Ok(false) => return Err(Rejected::BadSignature),
        Err(_) => return Err(Rejected::Malformed),
    }
    if let Some((checked, name)) = checked {
        checked.0.insert(name, Arc::new(Stated { kid: key.kid().to_owned(), typ }));
    }
    Ok((payload, key))
}

/// The type that a token states, unverified.
pub(super) fn stated_type(token: &str) -> Option<String> {
    let (head, _) = token.split_once('.')?;
    object::<Head>(&URL_SAFE_NO_PAD.decode(head).ok()?)?.typ
}

/// The name of the key that a token's header states, unverified; empty if it states none.
pub(super) fn stated_key(token: &str) -> Result<String, Rejected> {
    Ok(head_of(token, MAX_TOKEN)?.kid.unwrap_or_default())
}

fn head_of(token: &str, longest: usize) -> Result<Head, Rejected> {
    if token.len() > longest {
        return Err(Rejected::TooLarge);
    }
    let (head, _) = token.split_once('.').ok_or(Rejected::Malformed)?;
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| Rejected::Malformed)?;
    object(&head).ok_or(Rejected::Malformed)
}

/// What a JSON object says, in text all of which is UTF-8, also what is passed over unread: or others would read another
/// token (RFC 7519, 7.2). A list is none, though its members could be taken by their places.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = str::from_utf8(bytes).ok()?;
    if text.trim_ascii_start().starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

/// The key that a token's header names, if that header is in order, and the type that it states.
fn key_of<'k>(
    token: &str,
    types: &[Option<&str>],
    longest: usize,
    find: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
) -> Result<(&'k VerifyingKey, Option<String>), Rejected> {
    let head = head_of(token, longest)?;
    let key = find(head.kid.as_deref().unwrap_or_default()).ok_or(Rejected::UnknownKey)?;
    if head.alg != key.algorithm().as_str() {
        return Err(Rejected::WrongAlgorithm);
    }
    if types.contains(&head.typ.as_deref()) { Ok((key, head.typ)) } else { Err(Rejected::WrongType) }
}

/// Opens a token as [`open_bytes`] does, and reads its claims. Times and audience are judged by whoever calls this, against a
/// clock that is an argument.
pub(super) fn open<'k, C: DeserializeOwned>(
    token: &str,
    types: &[Option<&str>],
    find: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
    checked: Option<&Checked>,
) -> Result<(C, &'k VerifyingKey), Rejected> {
    let (payload, key) = open_bytes(token, types, MAX_TOKEN, find, checked)?;
    Ok((object(&payload).ok_or(Rejected::BadClaim)?, key))
}

/// When a token is valid, in whole seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) issued: Option<i64>,
    pub(super) not_before: Option<i64>,
    pub(super) expires: i64,
}

impl Period {
    /// Judges the period at `now`, with [`SKEW`] to the token's favour, and returns the end of it.
    pub(super) fn check(&self, longest: SignedDuration, now: Timestamp) -> Result<Timestamp, Rejected> {
        self.check_within(SKEW, longest, now)
    }

    /// Judges the period at `now`, with `skew` to the token's favour, and returns the end of it.
    pub(super) fn check_within(
        &self,
        skew: SignedDuration,
        longest: SignedDuration,
        now: Timestamp,
    ) -> Result<Timestamp, Rejected> {
        let instant = |second: i64| Timestamp::from_second(second).map_err(|_| Rejected::BadClaim);
        let expires = instant(self.expires)?;
        let issued = self.issued.map(instant).transpose()?;
        let not_before = self.not_before.map(instant).transpose()?;
        if now.duration_since(expires) >= skew {
            return Err(Rejected::Expired);
        }
        if [issued, not_before].into_iter().flatten().any(|start| start.duration_since(now) > skew) {
            return Err(Rejected::NotYetValid);
        }
        let start = issued.unwrap_or(now);
        if expires <= start && issued.is_some() {
            return Err(Rejected::BadClaim);
        }
        // Counted from the issue if it is stated; what is left may in no case be longer, whatever was stated.
        let longest_seen = expires.duration_since(start).max(expires.duration_since(now).saturating_sub(skew));
        if longest_seen > longest { Err(Rejected::LifetimeTooLong) } else { Ok(expires) }
    }
}
