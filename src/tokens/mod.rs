//! Age tokens: what a relying party gets in hand, and the tokens by which relying parties are known ([`callers`]).
//!
//! A token is made from a [`Grant`] only, which only the policy can make. It says `age_over_NN` and how that is known,
//! for one subject and one relying party; there is no claim that could hold a date of birth, a name or a number, and
//! no way to add one. The same inputs give the same claims. Besides, it signs consent receipts ([`receipts`]), disposal
//! receipts ([`disposal`]) and the links by which guardians answer ([`links`]). Only this module and its files name `jsonwebtoken`.

pub mod callers;
pub mod disposal;
pub mod files;
mod jws;
pub mod keys;
pub mod links;
pub mod receipts;
mod rights;
mod ring;
mod rsa;
#[cfg(test)]
mod tests;

pub use jws::{MAX_TOKEN, Rejected, SKEW};
pub use links::{Link, MAX_LINK_LIFETIME};
pub use receipts::MAX_RECEIPT;
pub use rights::{MAX_RIGHTS_LIFETIME, RightsProof};

use crate::policy::Grant;
use crate::source::Source;
use crate::terms::{
    AssuranceLevel, ConsentId, DecisionId, Jurisdiction, PolicyDigest, RelyingParty, RuleId, SubjectRef,
};
use jiff::{SignedDuration, Timestamp};
use jws::{Checked, Period};
use keys::{KeyError, KeyRing};
use quick_cache::sync::Cache;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// The type of our tokens, so that no other token of ours can be taken for one.
const TYPE: &str = "age+jwt";
/// The longest life of an age token.
pub const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// When a key that is retired at `now` has no valid token any more. Links live longest.
fn retirement(now: Timestamp) -> Timestamp {
    let longest = MAX_LIFETIME.max(MAX_LINK_LIFETIME).saturating_add(SKEW).saturating_add(SKEW);
    now.checked_add(longest).unwrap_or(Timestamp::MAX)
}

/// No token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The lifetime is not between one second and the longest allowed.
    #[error("a token must live between one second and its longest lifetime")]
    Lifetime,
    /// The issuer's or audience's name cannot be used.
    #[error("an issuer or audience is named by 1 to 256 visible ASCII characters")]
    Name,
    /// Signing failed.
    #[error("the token could not be signed")]
    Signing,
    /// It would be longer than what is looked at.
    #[error("the receipt would be too long")]
    TooLarge,
}

/// A signed token. Whoever holds it can use it, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    expires_at: Timestamp,
}

impl Token {
    /// The token as it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// From then on it is not valid.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token([redacted], until {})", self.expires_at)
    }
}

/// Whom a token is for and about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The service that asked.
    pub relying_party: RelyingParty,
    /// The person, by that service's own name.
    pub subject: SubjectRef,
}

/// What a valid age token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeClaims {
    /// Whom it is for and about.
    pub audience: Audience,
    /// The decision it comes from.
    pub decision: DecisionId,
    /// For each age limit of the rule, whether it is reached.
    pub age_over: BTreeMap<u8, bool>,
    /// How well that is witnessed.
    pub assurance: AssuranceLevel,
    /// Where the rule comes from.
    pub jurisdiction: Jurisdiction,
    /// The digest of the rule table.
    pub policy: PolicyDigest,
    /// The row of the rule table.
    pub rule: RuleId,
    /// The guardian's consent that it rests on, if it needs one.
    pub consent: Option<ConsentId>,
    /// When it was decided.
    pub issued_at: Timestamp,
    /// From then on it is not valid.
    pub expires_at: Timestamp,
}

/// Makes and verifies age tokens under one name.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    /// Replaced as a whole when somebody has changed the keys where they lie.
    keys: RwLock<Arc<KeyRing>>,
    /// Where they lie, if they are to be read again.
    place: Option<Source>,
    /// Receipts that were signed lately, by the SHA-256 of the key's name and their own: they are read often and change seldom.
    receipts: Cache<[u8; 32], Arc<str>>,
    /// Tokens of ours that were made or shown lately: most are shown again.
    checked: Checked,
}

/// How many receipts are remembered: of each the text.
const RECEIPTS: usize = 2048;
/// How many tokens are remembered, of each a digest: those that are shown again stay longest.
const TOKENS: usize = 18_000;

impl Issuer {
    /// An issuer with this `iss`.
    pub fn new(name: &str, keys: KeyRing) -> Result<Self, TokenError> {
        let keys = RwLock::new(Arc::new(keys));
        Ok(Self {
            name: checked_name(name)?,
            keys,
            place: None,
            receipts: Cache::new(RECEIPTS),
            checked: Checked::new(TOKENS),
        })
    }

    /// The same, with keys that can be read again from where they lie.
    pub fn at(self, place: Source) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The keys as they are now.
    pub(crate) fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys again from where they lie, and tells whether they have changed. Keys that cannot be read, and keys of
    /// another kind than those from before (made for development, or not), change nothing. Blocks.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let Some(place) = &self.place else { return Ok(false) };
        let (before, ring) = (self.keys(), files::load_steadily(place)?);
        if ring.same(&before) {
            return Ok(false);
        }
        if ring.development() != before.development() {
            return Err(KeyError::Occupied);
        }
        let signs = ring.current().public().kid();
        if !before.has(signs) {
            tracing::warn!(kid = signs, "the key that signs now was not published before");
        }
        tracing::info!(kid = signs, "the signing keys have changed");
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(true)
    }

    /// Signs a grant, as decided at `iat`. Consumes the grant: one decision, one token (and its identical re-issues).
    pub fn issue(
        &self,
        grant: Grant,
        to: &Audience,
        jti: DecisionId,
        iat: Timestamp,
        ttl: SignedDuration,
    ) -> Result<Token, TokenError> {
        if ttl.as_secs() < 1 || ttl > MAX_LIFETIME {
            return Err(TokenError::Lifetime);
        }
        let exp = iat.as_second().saturating_add(ttl.as_secs());
        let expires_at = Timestamp::from_second(exp).map_err(|_| TokenError::Lifetime)?;
        let claims = Claims {
            iss: self.name.clone(),
            aud: to.relying_party.clone(),
            sub: to.subject.clone(),
            jti,
            iat: iat.as_second(),
            exp,
            assurance: grant.assurance(),
            jurisdiction: grant.jurisdiction(),
            policy: grant.policy(),
            rule: grant.rule().clone(),
            consent: grant.consent(),
            age_over: Ages(grant.thresholds().iter().map(|answer| (answer.years, answer.reached)).collect()),
        };
        self.sign(TYPE, &claims, expires_at)
    }

    /// Signs claims that may be shown to us again.
    fn sign<C: Serialize>(&self, typ: &str, claims: &C, expires_at: Timestamp) -> Result<Token, TokenError> {
        let keys = self.keys();
        let text = jws::sign(keys.current(), typ, claims)?;
        self.checked.made(&text, keys.current(), typ);
        Ok(Token { text, expires_at })
    }

    /// Verifies one of our tokens for `audience`.
    pub fn verify(&self, token: &str, audience: &RelyingParty, now: Timestamp) -> Result<AgeClaims, Rejected> {
        let claims: Claims = self.open(token, TYPE, now)?;
        if claims.iss != self.name {
            return Err(Rejected::WrongIssuer);
        }
        if claims.aud != *audience {
            return Err(Rejected::WrongAudience);
        }
        let period = Period { issued: Some(claims.iat), not_before: None, expires: claims.exp };
        let expires_at = period.check(MAX_LIFETIME, now)?;
        let issued_at = Timestamp::from_second(claims.iat).map_err(|_| Rejected::BadClaim)?;
        Ok(AgeClaims {
            audience: Audience { relying_party: claims.aud, subject: claims.sub },
            decision: claims.jti,
            age_over: claims.age_over.0,
            assurance: claims.assurance,
            jurisdiction: claims.jurisdiction,
            policy: claims.policy,
            rule: claims.rule,
            consent: claims.consent,
            issued_at,
            expires_at,
        })
    }

    /// The claims of a token of this type that a key of ours signed which verifies at `now`. Whose it is, for whom and when it
    /// holds is not looked at.
    fn open<C: DeserializeOwned>(&self, text: &str, typ: &str, now: Timestamp) -> Result<C, Rejected> {
        let keys = self.keys();
        let find = |kid: &str| keys.verifying(now).find(|key| key.kid() == kid);
        jws::open(text, &[Some(typ)], find, Some(&self.checked)).map(|(claims, _)| claims)
    }

    /// The JWKS document of all keys that verify at `now`.
    pub fn jwks(&self, now: Timestamp) -> String {
        keys::jwks(self.keys().verifying(now))
    }

    /// Whether its keys were made for development. Production settings must refuse that.
    pub fn development(&self) -> bool {
        self.keys().development()
    }
}

/// A name for `iss` or `aud`.
fn checked_name(name: &str) -> Result<String, TokenError> {
    let fits = (1..=256).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(name.to_owned()) } else { Err(TokenError::Name) }
}

/// All claims of an age token. Closed: another claim makes a token invalid.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: RelyingParty,
    sub: SubjectRef,
    jti: DecisionId,
    iat: i64,
    exp: i64,
    assurance: AssuranceLevel,
    jurisdiction: Jurisdiction,
    policy: PolicyDigest,
    rule: RuleId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentId>,
    #[serde(flatten)]
    age_over: Ages,
}

/// The `age_over_NN` claims.
struct Ages(BTreeMap<u8, bool>);

impl Serialize for Ages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (years, reached) in &self.0 {
            map.serialize_entry(&format!("age_over_{years:02}"), reached)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Ages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AgesVisitor)
    }
}

struct AgesVisitor;

impl<'de> Visitor<'de> for AgesVisitor {
    type Value = Ages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("age_over claims and nothing else")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ages, A::Error> {
        const BAD: &str = "a claim that is not known or is repeated";
        let mut ages = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let years: u8 = name.strip_prefix("age_over_").and_then(|n| n.parse().ok()).ok_or(A::Error::custom(BAD))?;
            if name != format!("age_over_{years:02}") || ages.insert(years, map.next_value()?).is_some() {
                return Err(A::Error::custom(BAD));
            }
        }
        Ok(Ages(ages))
    }
}
