//! What is written to the store, as JSON. No record can hold a subject reference, a date of birth or a picture.

use super::Error;
use crate::policy::{self, Decision};
use crate::terms::{DecisionId, PolicyDigest, Reason, RelyingParty, RuleId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The kinds of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// Old enough.
    Allowed,
    /// A guardian must consent first.
    ConsentRequired,
    /// Too young.
    Blocked,
    /// No date of birth was accepted.
    Unreadable,
    /// The document contradicts itself.
    Inconsistent,
}

impl OutcomeKind {
    /// The kind of a decision's outcome.
    pub fn of(outcome: &policy::Outcome) -> Self {
        match outcome {
            policy::Outcome::Allowed => Self::Allowed,
            policy::Outcome::ConsentRequired { .. } => Self::ConsentRequired,
            policy::Outcome::Blocked => Self::Blocked,
            policy::Outcome::Unreadable { .. } => Self::Unreadable,
            policy::Outcome::Inconsistent { .. } => Self::Inconsistent,
        }
    }

    /// The one spelling, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ConsentRequired => "consent_required",
            Self::Blocked => "blocked",
            Self::Unreadable => "unreadable",
            Self::Inconsistent => "inconsistent",
        }
    }
}

/// A decision that can be looked up.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionRecord {
    pub decided_at: Timestamp,
    pub relying_party: RelyingParty,
    pub token_seconds: u32,
    /// Whose it is, in a form that only they can be found by; see `App::whose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whose: Option<String>,
    pub decision: Decision,
}

/// That a request was taken in hand under an idempotency key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reservation {
    /// A keyed digest of the whole request; see `idempotency`.
    pub fingerprint: String,
    /// The name that its decision has, or will have.
    pub decision: DecisionId,
    /// Until when nobody else takes it in hand.
    pub lease: Timestamp,
    /// The answer, where no decision is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_nothing: Option<KeptNothing>,
}

/// The answer for a person of whom nothing is kept: what a retry must be told again, and nothing else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptNothing {
    pub rule: RuleId,
    pub policy: PolicyDigest,
    /// Empty for a block.
    pub inconsistent: Vec<Reason>,
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(record).map_err(|_| Error::Broken)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| Error::Broken)
}
