//! Who calls: relying parties are known by a bearer token that a configured key has signed.
//!
//! A key is trusted for something ([`Trust`]): the key of one relying party speaks for that party alone and never for
//! the operator, so that no party can name itself another. Scopes and purposes that are not known grant nothing.

use super::jws::{self, Period, Rejected};
use super::keys::{KeyError, SigningKey, VerifyingKey};
use super::{Token, TokenError, checked_name, files};
use crate::terms::{Purpose, RelyingParty, Scope};
use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

type Digest = [u8; 32];

/// The type of the tokens that [`mint`] makes.
const TYPE: &str = "JWT";
/// The types that are accepted (RFC 7519, RFC 9068). Our age tokens are not among them.
const TYPES: &[Option<&str>] = &[None, Some(TYPE), Some("jwt"), Some("at+jwt"), Some("application/at+jwt")];

/// What a PEM file has before a key; there may be remarks above it (RFC 7468, 2). In JSON it does not occur: a JWK with
/// a certificate holds it in another form (RFC 7517, 4.7).
const PEM: &[u8] = b"-----BEGIN";

/// What a key may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The operator's own token service: any relying party, any scope.
    Issuer,
    /// The key of this relying party: itself only, and never the scope `admin`.
    Party(RelyingParty),
}

/// A key that signs bearer tokens, and what it may say.
#[derive(Debug, Clone)]
pub struct Trusted {
    key: VerifyingKey,
    trust: Trust,
}

impl Trusted {
    /// Trusts one key.
    pub fn new(key: VerifyingKey, trust: Trust) -> Self {
        Self { key, trust }
    }

    /// Trusts the keys in a file: one public key as PEM, or a JWK or JWKS. The content tells which, not the name.
    pub fn load(path: &Path, trust: &Trust) -> Result<Vec<Self>, KeyError> {
        let bytes = files::read_public(path)?;
        let is_pem = bytes.windows(PEM.len()).any(|window| window == PEM);
        let keys = if is_pem { vec![VerifyingKey::from_pem(&bytes)?] } else { VerifyingKey::from_jwks(&bytes)? };
        Ok(keys.into_iter().map(|key| Self::new(key, trust.clone())).collect())
    }
}

/// A caller whose token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub relying_party: RelyingParty,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// What it may do that for, where an RPC asks.
    pub purposes: BTreeSet<Purpose>,
    /// From then on the token is not valid.
    pub expires_at: Timestamp,
}

/// How many tokens are remembered whose signatures hold.
const REMEMBERED: usize = 4096;

/// A token that was accepted once: what it says, and when that holds. Nothing else about it can change while the server
/// runs, so its signature is not checked at every call.
#[derive(Debug)]
struct Known {
    caller: Caller,
    period: Period,
}

/// Accepts or rejects bearer tokens.
#[derive(Debug)]
pub struct Callers {
    audience: String,
    longest: SignedDuration,
    trusted: Vec<Trusted>,
    /// By the SHA-256 of the token. Only what was accepted gets in, so that nobody without a token can fill it.
    known: Cache<Digest, Arc<Known>>,
}

impl Callers {
    /// Accepts tokens for `audience` that live no longer than `longest`, signed by one of `trusted`.
    pub fn new(audience: &str, longest: SignedDuration, trusted: Vec<Trusted>) -> Result<Self, KeyError> {
        let audience = checked_name(audience).map_err(|_| KeyError::Malformed)?;
        let names: BTreeSet<&str> = trusted.iter().map(|one| one.key.kid()).collect();
        if names.len() != trusted.len() {
            return Err(KeyError::Duplicate);
        }
        Ok(Self { audience, longest, trusted, known: Cache::new(REMEMBERED) })
    }

    /// Whether a trusted key was made for development. Production settings must refuse that.
    pub fn development(&self) -> bool {
        self.trusted.iter().any(|one| one.key.development())
    }

    /// The caller that this bearer token (without the word `Bearer`) speaks for.
    pub fn verify(&self, bearer: &str, now: Timestamp) -> Result<Caller, Rejected> {
        let name: Digest = Sha256::digest(bearer).into();
        if let Some(known) = self.known.get(&name) {
            known.period.check(self.longest, now)?;
            return Ok(known.caller.clone());
        }
        let known = self.open(bearer, now)?;
        let caller = known.caller.clone();
        self.known.insert(name, Arc::new(known));
        Ok(caller)
    }

    fn open(&self, bearer: &str, now: Timestamp) -> Result<Known, Rejected> {
        let named = |kid: &str| self.trusted.iter().find(|one| one.key.kid() == kid);
        let (claims, key) = jws::open::<Claims>(bearer, TYPES, |kid| named(kid).map(|one| &one.key))?;
        let trust = &named(key.kid()).ok_or(Rejected::UnknownKey)?.trust;
        if !claims.aud.ok_or(Rejected::MissingClaim)?.names(&self.audience) {
            return Err(Rejected::WrongAudience);
        }
        let expires = claims.exp.ok_or(Rejected::MissingClaim)?;
        let period = Period { issued: claims.iat, not_before: claims.nbf, expires };
        let expires_at = period.check(self.longest, now)?;
        let relying_party: RelyingParty =
            claims.sub.ok_or(Rejected::MissingClaim)?.parse().map_err(|_| Rejected::BadClaim)?;
        let scopes: BTreeSet<Scope> = claims.scope.split(' ').filter_map(|word| word.parse().ok()).collect();
        if let Trust::Party(party) = trust
            && (relying_party != *party || scopes.contains(&Scope::Admin))
        {
            return Err(Rejected::BadClaim);
        }
        let purposes = claims.purposes.iter().filter_map(|word| word.parse().ok()).collect();
        Ok(Known { caller: Caller { relying_party, scopes, purposes, expires_at }, period })
    }
}

/// The claims that are looked at; others are passed over.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    aud: Option<OneOrMore>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    purposes: Vec<String>,
}

/// `aud` is one name or a list of names (RFC 7519, 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(name) => name == audience,
            Self::More(names) => names.iter().any(|name| name == audience),
        }
    }
}

/// What a bearer token is to say.
#[derive(Debug, Clone)]
pub struct Mint {
    /// Whom it speaks for.
    pub relying_party: RelyingParty,
    /// The audience that the server is configured with.
    pub audience: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// What it allows that for.
    pub purposes: Vec<Purpose>,
    /// How long it lives.
    pub ttl: SignedDuration,
}

/// Makes a bearer token: for development, and for operators without a token service of their own.
pub fn mint(key: &SigningKey, mint: &Mint, now: Timestamp) -> Result<Token, TokenError> {
    #[derive(Serialize)]
    struct Minted<'a> {
        sub: &'a RelyingParty,
        aud: &'a str,
        iat: i64,
        exp: i64,
        scope: String,
        #[serde(skip_serializing_if = "<[Purpose]>::is_empty")]
        purposes: &'a [Purpose],
    }
    let iat = now.as_second();
    let exp = iat.saturating_add(mint.ttl.as_secs());
    let expires_at = Timestamp::from_second(exp).map_err(|_| TokenError::Lifetime)?;
    if exp <= iat {
        return Err(TokenError::Lifetime);
    }
    let scope = mint.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let audience = checked_name(&mint.audience)?;
    let claims = Minted { sub: &mint.relying_party, aud: &audience, iat, exp, scope, purposes: &mint.purposes };
    Ok(Token { text: jws::sign(key, TYPE, &claims)?, expires_at })
}
