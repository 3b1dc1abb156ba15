//! What can happen to a consent, and the entry that is kept of what did.

use crate::terms::{
    AttestationId, ConsentActor, ConsentPurpose, ConsentState, DocumentKind, EventKind, Relationship, ReviewReason,
    StaffRef, TextDigest, VerificationMethod,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One check of a guardian: exactly what was checked, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How. All but [`VerificationMethod::IdScan`] are attested by the relying party.
    pub method: VerificationMethod,
    /// When.
    pub at: Timestamp,
    /// Who of the relying party's staff did it, if anybody.
    pub staff: Option<StaffRef>,
    /// The kind of document, for an identity card. Receipts do not tell it.
    pub evidence: Option<DocumentKind>,
    /// Whether the document showed the guardian's age to suffice. Means something for an identity card only.
    pub guardian_age_ok: bool,
}

/// One entry of the chain: what happened, and what held from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// Its place in the chain, from 0, without gaps.
    pub seq: u32,
    /// What happened.
    pub kind: EventKind,
    /// Where the consent stood from then on.
    pub state: ConsentState,
    /// When. For an age that was reached, the first of the month: the day would tell the birthday.
    pub at: Timestamp,
    /// Who did it.
    pub actor: ConsentActor,
    /// Who of the relying party's staff looked at it, if that was it.
    pub staff: Option<StaffRef>,
    /// How many checks there were.
    pub checks: usize,
    /// What was granted.
    pub granted: Vec<ConsentPurpose>,
    /// When it would lapse, once given.
    pub lapses_at: Option<Timestamp>,
    /// SHA-256 of the receipt before it; none for the first.
    pub prev: Option<TextDigest>,
}

/// What happens to a consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guardian was given the notice, perhaps with a new link; then the old one is void.
    NoticeSent {
        /// The name of the new link.
        new_link: Option<Uuid>,
    },
    /// A guardian was checked.
    Checked {
        /// What exactly was checked.
        check: Check,
        /// Why a person has to look at it; none if nobody has to.
        review: Vec<ReviewReason>,
    },
    /// A person of the relying party looked at it and found it in order.
    ReviewCleared {
        /// Who.
        staff: StaffRef,
    },
    /// The guardian said yes, by their link.
    Granted {
        /// The name of the link.
        link: Uuid,
        /// To what.
        purposes: Vec<ConsentPurpose>,
        /// What they claim to be.
        relationship: Relationship,
        /// The text by which they declared it; without it, the one that the notice names.
        attestation: Option<AttestationId>,
        /// When it lapses unless reaffirmed.
        lapses_at: Timestamp,
    },
    /// The guardian said no, by their link.
    Refused {
        /// The name of the link.
        link: Uuid,
    },
    /// What is consented to is to be this.
    ScopeChanged {
        /// Who asks.
        actor: ConsentActor,
        /// All that is consented to from now on.
        purposes: Vec<ConsentPurpose>,
    },
    /// Taken back. Before an answer, that is a refusal.
    Withdrawn {
        /// Who asks.
        actor: ConsentActor,
    },
    /// Confirmed for longer.
    Reaffirmed {
        /// Who confirms.
        actor: ConsentActor,
        /// When it lapses now.
        lapses_at: Timestamp,
    },
    /// A later consent takes its place.
    Superseded,
    /// The person reached an age from which they may act alone.
    AgeReached {
        /// The age.
        line: u8,
        /// Whether no guardian is needed any more.
        last: bool,
    },
    /// Time passed.
    TimePassed,
    /// The subject is erased.
    Erased,
}
