//! Entries about guardian consent, reports and erasure. They name what idgate named itself, never a person.

use super::ImageLife;
use crate::terms::{
    ConsentActor, ConsentId, ConsentPurpose, ConsentState, DecisionId, ErasureReason, EventKind, GuardianProblem,
    PolicyDigest, Reason, RelyingParty, ReportId, Reporter, RequestId, RuleId, VerificationMethod,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A consent moved from one state to another, or was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentMoved {
    /// What happened.
    pub kind: EventKind,
    /// When. Of an age that was reached, the first of the month: the day would tell the birthday.
    pub at: Timestamp,
    /// The consent.
    pub consent_id: ConsentId,
    /// The service that asked for it.
    pub relying_party: RelyingParty,
    /// The decision that it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    /// Where it stands now.
    pub state: ConsentState,
    /// Who moved it.
    pub actor: ConsentActor,
    /// What is consented to now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<ConsentPurpose>,
    /// How the guardian was checked, if that is what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<VerificationMethod>,
    /// The age that was reached, in full years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u8>,
    /// Whether no guardian is needed from that age on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_line: bool,
    /// The rule that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// The digest of the whole rule table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyDigest>,
    /// The life of the guardian's picture, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageLife>,
}

/// A guardian showed a document and was not accepted. The consent has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianRefused {
    /// When.
    pub at: Timestamp,
    /// The consent.
    pub consent_id: ConsentId,
    /// The service that asked for it.
    pub relying_party: RelyingParty,
    /// What was wrong with the guardian.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<GuardianProblem>,
    /// What was wrong with the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The life of the picture.
    pub image: ImageLife,
}

/// Somebody said that an account belongs to a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// When.
    pub at: Timestamp,
    /// The report.
    pub report_id: ReportId,
    /// The service whose account it is.
    pub relying_party: RelyingParty,
    /// Who says so.
    pub reporter: Reporter,
    /// Whether a guardian who was checked stands behind it.
    pub guardian_verified: bool,
}

/// How a report ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportClosed {
    /// When.
    pub at: Timestamp,
    /// The report.
    pub report_id: ReportId,
    /// The service whose account it is.
    pub relying_party: RelyingParty,
}

/// What a service holds about a person must be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequired {
    /// When; of a person below the block age, only the hour.
    pub at: Timestamp,
    /// The service.
    pub relying_party: RelyingParty,
    /// Why.
    pub reason: ErasureReason,
    /// The report behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_id: Option<ReportId>,
    /// The consent behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_id: Option<ConsentId>,
    /// The rights request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// What was held about a person is erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectErased {
    /// When.
    pub at: Timestamp,
    /// The service that asked for it.
    pub relying_party: RelyingParty,
}
