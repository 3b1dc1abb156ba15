//! Rights proofs: for a quarter of an hour they show to a service that whoever makes a rights request may make it.
//!
//! They name a request, a right, a level and the relying party's own name for the person: nothing else about anybody.
//! Whether one was used before is kept in the store, not here.

use super::jws::Period;
use super::{Audience, Issuer, Rejected, Token, TokenError};
use crate::terms::{ActingAs, ProofLevel, Regime, RelyingParty, RequestId, Right, SubjectRef};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The type of a rights proof.
const TYPE: &str = "rights+jwt";
/// The longest life of a rights proof.
pub const MAX_RIGHTS_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// What a rights proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsProof {
    /// Whom it is for and about.
    pub audience: Audience,
    /// The request.
    pub request: RequestId,
    /// What is asked.
    pub right: Right,
    /// Under which law.
    pub regime: Regime,
    /// The level that was reached.
    pub level: ProofLevel,
    /// For whom the requester acts.
    pub acting_as: ActingAs,
    /// Its own name.
    pub jti: Uuid,
    /// Whether it can be used only once.
    pub single_use: bool,
}

/// All claims of a rights proof. Closed: another claim makes it invalid.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: RelyingParty,
    sub: SubjectRef,
    jti: Uuid,
    request: RequestId,
    right: Right,
    regime: Regime,
    level: ProofLevel,
    acting_as: ActingAs,
    single_use: bool,
    iat: i64,
    exp: i64,
}

impl Issuer {
    /// Makes a rights proof that holds for `lifetime` from `iat` on.
    pub fn issue_rights(
        &self,
        proof: &RightsProof,
        iat: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Token, TokenError> {
        if lifetime.as_secs() < 1 || lifetime > MAX_RIGHTS_LIFETIME {
            return Err(TokenError::Lifetime);
        }
        let iat = iat.as_second();
        let exp = iat.saturating_add(lifetime.as_secs());
        let claims = Claims {
            iss: self.name.clone(),
            aud: proof.audience.relying_party.clone(),
            sub: proof.audience.subject.clone(),
            jti: proof.jti,
            request: proof.request,
            right: proof.right,
            regime: proof.regime,
            level: proof.level,
            acting_as: proof.acting_as,
            single_use: proof.single_use,
            iat,
            exp,
        };
        let expires_at = Timestamp::from_second(exp).map_err(|_| TokenError::Lifetime)?;
        self.sign(TYPE, &claims, expires_at)
    }

    /// Opens a rights proof of ours for `audience`, and tells from when on it is not valid.
    pub fn open_rights(
        &self,
        text: &str,
        audience: &RelyingParty,
        now: Timestamp,
    ) -> Result<(RightsProof, Timestamp), Rejected> {
        let claims: Claims = self.open(text, TYPE, now)?;
        if claims.iss != self.name {
            return Err(Rejected::WrongIssuer);
        }
        if claims.aud != *audience {
            return Err(Rejected::WrongAudience);
        }
        let period = Period { issued: Some(claims.iat), not_before: None, expires: claims.exp };
        period.check(MAX_RIGHTS_LIFETIME, now)?;
        let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Rejected::Malformed)?;
        let proof = RightsProof {
            audience: Audience { relying_party: claims.aud, subject: claims.sub },
            request: claims.request,
            right: claims.right,
            regime: claims.regime,
            level: claims.level,
            acting_as: claims.acting_as,
            jti: claims.jti,
            single_use: claims.single_use,
        };
        Ok((proof, expires_at))
    }
}
