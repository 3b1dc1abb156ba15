//! Who calls: relying parties are known by a bearer token that a trusted key has signed.
//!
//! A key is trusted for something ([`Trust`]): the key of one relying party speaks for that party alone and never for
//! the operator, so that no party can name itself another. Two sources may use one name for their keys: each key is
//! tried, and speaks for its own source only, so that none can shut out another. Scopes and purposes that are not known
//! grant nothing. A token that is bound to a client certificate (RFC 8705), or whose key is, holds on connections with
//! that certificate only.

mod mint;
mod trusted;

pub use mint::{Mint, mint};
pub use trusted::{Source, Trust, Trusted};

use super::jws::{self, Period, Rejected};
use super::keys::{KeyError, VerifyingKey};
use super::{SKEW, checked_name};
use crate::terms::{Purpose, RelyingParty, Scope};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use trusted::{Held, MAX_KEYS, Set};

type Digest = [u8; 32];

/// The type of the tokens that [`mint()`] makes.
const TYPE: &str = "JWT";
/// The types that are accepted (RFC 7519, RFC 9068). Our age tokens are not among them.
const TYPES: &[Option<&str>] = &[None, Some(TYPE), Some("jwt"), Some("at+jwt"), Some("application/at+jwt")];

/// A caller whose token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub relying_party: RelyingParty,
    /// What it may do.
    pub scopes: Arc<BTreeSet<Scope>>,
    /// What it may do that for, where an RPC asks.
    pub purposes: Arc<BTreeSet<Purpose>>,
    /// From then on the token is not valid.
    pub expires_at: Timestamp,
}

/// The client certificate of a connection, after it was verified.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// SHA-256 of the certificate itself (DER).
    pub sha256: &'a [u8; 32],
    /// The names in it (DNS in small letters, and URIs).
    pub names: &'a [String],
}

/// How many tokens are remembered whose signatures hold.
const REMEMBERED: usize = 4096;

/// A token that was accepted once: what it says, and when that holds. Nothing else about it can change while the keys
/// stay the same, so its signature is not checked at every call.
#[derive(Debug)]
struct Known {
    caller: Caller,
    period: Period,
    /// The keys that it was accepted with.
    round: u64,
    /// Whose key signed it.
    source: usize,
    /// The certificate that it is bound to.
    thumbprint: Option<Digest>,
}

/// Accepts or rejects bearer tokens.
#[derive(Debug)]
pub struct Callers {
    audience: String,
    longest: SignedDuration,
    skew: SignedDuration,
    production: bool,
    sources: Vec<Source>,
    held: RwLock<Arc<Held>>,
    /// By the SHA-256 of the token. Only what was accepted gets in, so that nobody without a token can fill it.
    known: Cache<Digest, Arc<Known>>,
}

impl Callers {
    /// Accepts tokens for `audience` that live no longer than `longest`, signed by one of `trusted`.
    pub fn new(audience: &str, longest: SignedDuration, trusted: Vec<Trusted>) -> Result<Self, KeyError> {
        let audience = checked_name(audience).map_err(|_| KeyError::Malformed)?;
        let mut held = Held::default();
        let mut sources = Vec::with_capacity(trusted.len());
        for Trusted { key, trust } in trusted {
            sources.push(Source { trust, certificate: None });
            held.sets.push(Set { keys: Arc::new([key]), until: Some(Timestamp::MAX) });
        }
        let callers = Self {
            audience,
            longest,
            skew: SKEW,
            production: false,
            sources,
            held: RwLock::new(Arc::new(held)),
            known: Cache::new(REMEMBERED),
        };
        callers.distinct().map(|()| callers)
    }

    /// Lets clocks be that far apart.
    pub fn with_skew(self, skew: SignedDuration) -> Self {
        Self { skew, ..self }
    }

    /// Takes no keys that were made for development.
    pub fn for_production(self) -> Self {
        Self { production: true, ..self }
    }

    /// Trusts what a source says once its keys are known ([`Callers::renew`]). Its number.
    pub fn trust(&mut self, source: Source) -> usize {
        self.sources.push(source);
        self.replace(|held| held.sets.push(Set::default()));
        self.sources.len().saturating_sub(1)
    }

    /// The keys of a source from now on, which hold until then if nothing newer comes. Whether they are others than
    /// before: if so, every token is looked at anew.
    pub fn renew(&self, source: usize, keys: Vec<VerifyingKey>, until: Timestamp) -> Result<bool, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        if self.production && keys.iter().any(VerifyingKey::development) {
            return Err(KeyError::Development);
        }
        let names: BTreeSet<&str> = keys.iter().map(VerifyingKey::kid).collect();
        if names.len() != keys.len() {
            return Err(KeyError::Duplicate);
        }
        let changed = self.replace(|held| held.renew(source, keys, until));
        if changed {
            self.known.clear();
        }
        Ok(changed)
    }

    /// Whether no two keys have one name. Among sources that change by themselves nobody can promise that, so it is asked
    /// at the start only.
    pub fn distinct(&self) -> Result<(), KeyError> {
        let held = self.held();
        let names: Vec<&str> = held.sets.iter().flat_map(|set| set.keys.iter()).map(VerifyingKey::kid).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        if distinct.len() == names.len() { Ok(()) } else { Err(KeyError::Duplicate) }
    }

    /// Whether a trusted key was made for development. Production settings must refuse that.
    pub fn development(&self) -> bool {
        self.held().sets.iter().any(|set| set.keys.iter().any(VerifyingKey::development))
    }

    /// Whether a source has no keys that hold: they never came, or they are too old. A token of a key that is not known
    /// may then be a good one.
    pub fn incomplete(&self, now: Timestamp) -> bool {
        self.held().sets.iter().any(|set| !set.holds(now))
    }

    /// The caller that this bearer token (without the word `Bearer`) speaks for, on a connection with this client
    /// certificate.
    pub fn verify(
        &self,
        bearer: &str,
        certificate: Option<Certificate<'_>>,
        now: Timestamp,
    ) -> Result<Caller, Rejected> {
        let held = self.held();
        let name: Digest = Sha256::digest(bearer).into();
        let known = match self.known.get(&name).filter(|known| known.round == held.round) {
            Some(known) => known,
            None => {
                let known = Arc::new(self.open(&held, bearer, now)?);
                self.known.insert(name, Arc::clone(&known));
                known
            }
        };
        known.period.check_within(self.skew, self.longest, now)?;
        let (Some(source), Some(set)) = (self.sources.get(known.source), held.sets.get(known.source)) else {
            return Err(Rejected::UnknownKey);
        };
        if !set.holds(now) {
            return Err(Rejected::UnknownKey);
        }
        let shown = certificate.as_ref();
        let bound = known.thumbprint.is_none_or(|bound| shown.is_some_and(|shown| *shown.sha256 == bound));
        let named =
            source.certificate.as_ref().is_none_or(|name| shown.is_some_and(|shown| shown.names.contains(name)));
        if bound && named { Ok(known.caller.clone()) } else { Err(Rejected::WrongCertificate) }
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut held))
    }

    /// Opens a token with the key that it names; where several sources use that name, with each of them.
    fn open(&self, held: &Held, bearer: &str, now: Timestamp) -> Result<Known, Rejected> {
        let kid = jws::stated_key(bearer)?;
        let mut why = Rejected::UnknownKey;
        for (number, source) in self.sources.iter().enumerate() {
            let set = held.sets.get(number).filter(|set| set.holds(now));
            let Some(key) = set.and_then(|set| set.keys.iter().find(|key| key.kid() == kid)) else { continue };
            let opened = jws::open::<Claims>(bearer, TYPES, |_| Some(key), None).map(|(claims, _)| claims);
            match opened.and_then(|claims| self.judge(claims, &source.trust, now)) {
                Ok((caller, period, thumbprint)) => {
                    return Ok(Known { caller, period, round: held.round, source: number, thumbprint });
                }
                // What a key that did sign it was told is the better answer.
                Err(Rejected::BadSignature | Rejected::WrongAlgorithm) if why != Rejected::UnknownKey => {}
                Err(rejected) => why = rejected,
            }
        }
        Err(why)
    }

    fn judge(
        &self,
        claims: Claims,
        trust: &Trust,
        now: Timestamp,
    ) -> Result<(Caller, Period, Option<Digest>), Rejected> {
        if !claims.aud.ok_or(Rejected::MissingClaim)?.names(&self.audience) {
            return Err(Rejected::WrongAudience);
        }
        let expires = claims.exp.ok_or(Rejected::MissingClaim)?;
        let period = Period { issued: claims.iat, not_before: claims.nbf, expires };
        let expires_at = period.check_within(self.skew, self.longest, now)?;
        let relying_party: RelyingParty =
            claims.sub.ok_or(Rejected::MissingClaim)?.parse().map_err(|_| Rejected::BadClaim)?;
        let scopes: BTreeSet<Scope> = claims.scope.split(' ').filter_map(|word| word.parse().ok()).collect();
        if let Trust::Party(party) = trust
            && (relying_party != *party || scopes.contains(&Scope::Admin))
        {
            return Err(Rejected::BadClaim);
        }
        let thumbprint = claims.cnf.map(|cnf| cnf.sha256()).transpose()?;
        let purposes = claims.purposes.iter().filter_map(|word| word.parse().ok()).collect();
        let caller = Caller { relying_party, scopes: Arc::new(scopes), purposes: Arc::new(purposes), expires_at };
        Ok((caller, period, thumbprint))
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
    cnf: Option<Confirmation>,
    /// Decides nothing here, but may not stand twice: others might read the other one.
    #[serde(rename = "iss")]
    _iss: Option<IgnoredAny>,
}

/// What a token is bound to (RFC 7800). Another way of binding than by certificate cannot be checked here, and what is
/// bound must not pass as if it were not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// RFC 8705, 3.1.
    #[serde(rename = "x5t#S256")]
    certificate: String,
}

impl Confirmation {
    fn sha256(&self) -> Result<Digest, Rejected> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.certificate).map_err(|_| Rejected::BadClaim)?;
        bytes.try_into().map_err(|_| Rejected::BadClaim)
    }
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
