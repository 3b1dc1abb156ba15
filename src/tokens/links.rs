//! Guardian links: what a guardian gets in hand to answer for one consent, through one relying party.
//!
//! A link names its consent and has a name of its own; that it is used once is kept with the consent, not here. It says
//! nothing about the child or the guardian.

use super::jws::Period;
use super::{Issuer, Rejected, Token, TokenError};
use crate::terms::{ConsentId, RelyingParty};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The type of a link.
const TYPE: &str = "guardian-link+jwt";
/// The longest life of a link. Retired keys verify for as long.
pub const MAX_LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 31);

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Through whom the guardian answers.
    pub relying_party: RelyingParty,
    /// For what.
    pub consent: ConsentId,
    /// The name of this link: another one for the same consent has another name.
    pub jti: Uuid,
}

/// All claims of a link. Closed: another claim makes it invalid.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: RelyingParty,
    consent: ConsentId,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl Issuer {
    /// Makes a link that holds from `iat` until `exp` (whole seconds of both).
    pub fn issue_link(&self, link: &Link, iat: Timestamp, exp: Timestamp) -> Result<Token, TokenError> {
        let (iat, exp) = (iat.as_second(), exp.as_second());
        if !(1..=MAX_LINK_LIFETIME.as_secs()).contains(&exp.saturating_sub(iat)) {
            return Err(TokenError::Lifetime);
        }
        let claims = Claims {
            iss: self.name.clone(),
            aud: link.relying_party.clone(),
            consent: link.consent,
            jti: link.jti,
            iat,
            exp,
        };
        let expires_at = Timestamp::from_second(exp).map_err(|_| TokenError::Lifetime)?;
        self.sign(TYPE, &claims, expires_at)
    }

    /// Opens a link of ours that `audience` passes on.
    pub fn open_link(&self, text: &str, audience: &RelyingParty, now: Timestamp) -> Result<Link, Rejected> {
        let claims: Claims = self.open(text, TYPE, now)?;
        if claims.iss != self.name {
            return Err(Rejected::WrongIssuer);
        }
        if claims.aud != *audience {
            return Err(Rejected::WrongAudience);
        }
        let period = Period { issued: Some(claims.iat), not_before: None, expires: claims.exp };
        period.check(MAX_LINK_LIFETIME, now)?;
        Ok(Link { relying_party: claims.aud, consent: claims.consent, jti: claims.jti })
    }
}
