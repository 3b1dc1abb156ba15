//! Entries about rights requests. They name requests, rights and dates of the legal clock, never a person.

use super::ImageLife;
use crate::terms::{
    ActingAs, EventKind, ExtensionReason, ProofLevel, ProofMethod, RefusalBasis, Regime, RelyingParty, RequestId,
    RequestState, Right, StaffRef,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A rights request moved, or something about it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsMoved {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The request.
    pub request_id: RequestId,
    /// The service that it was made to.
    pub relying_party: RelyingParty,
    /// What is asked.
    pub right: Right,
    /// Under which law.
    pub regime: Regime,
    /// For whom the requester acts.
    pub acting_as: ActingAs,
    /// Where it stands now.
    pub state: RequestState,
    /// The level that is required.
    pub required: ProofLevel,
    /// The level that is reached.
    pub reached: ProofLevel,
    /// The last day for the answer.
    pub due: Date,
    /// What was shown or tried. Of an identity card this is all that is kept: that one was checked, when, and whether it
    /// agreed (EDPB 01/2022 para 79).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ProofMethod>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<RefusalBasis>,
    /// Why it takes longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionReason>,
    /// Who of the relying party's staff decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<StaffRef>,
    /// Whether the person has asked the same unusually often.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The life of the picture of the card, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageLife>,
}

/// An account was locked after too many failures, or unlocked by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockChanged {
    /// When.
    pub at: Timestamp,
    /// The service whose account it is.
    pub relying_party: RelyingParty,
    /// Whether it is locked now.
    pub locked: bool,
    /// The request at which it was locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Who has unlocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<StaffRef>,
}

/// A date of birth was corrected: tokens are not good until a document shows the age again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeRecheckRequired {
    /// When.
    pub at: Timestamp,
    /// The service whose account it is.
    pub relying_party: RelyingParty,
    /// The request by which it was corrected.
    pub request_id: RequestId,
}
