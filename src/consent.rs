//! Guardian consent as a pure machine: a [`Consent`] and an [`Event`] at a time give the next [`Consent`], or the reason
//! why not. No clock, no I/O; what holds is decided here and nowhere else.
//!
//! ```text
//! Requested -> NoticeSent -> (InReview) -> GuardianVerified -> Given -> Withdrawn | Expired | Superseded | AgedOut
//!      \____________\____________\_________________\-> Refused | TimedOut | Superseded | AgedOut
//! ```
//!
//! What always holds: a state from `Given` on has a request, sufficient checks and a grant within the request that
//! includes collection. An ended consent stays as it ended; only erasing its subject takes away what it still says.
//! After a refusal, a time-out, an erasure, or whatever else ends a request that was never answered, nothing is left but
//! that it happened. Nothing personal is in here: no
//! name, no contact, no date of birth, not the relying party's name for the subject. Every transition is an entry of a
//! chain: it names the hash of the receipt before it, and a receipt is always made of the same bytes.

mod controller;
mod event;
mod kantara;
pub mod methods;
mod receipt;
mod step;
#[cfg(test)]
mod tests;

pub use controller::Controller;
pub use event::{Check, Event, Happened};
pub use kantara::{Kantara, kantara};
pub use receipt::{Receipt, SCHEMA};

use crate::terms::{
    AttestationId, ConsentActor, ConsentId, ConsentPurpose, ConsentState, DecisionId, EventKind, Jurisdiction,
    LanguageTag, NotPossible, NoticeVersion, PolicyDigest, Relationship, RelyingParty, ReviewReason, RuleId,
    TextDigest, VerificationMethod,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most entries that a consent can have.
pub const MAX_EVENTS: usize = 64;
/// From this many entries on, nothing that can be repeated at will is accepted: the rest is kept for a review, the
/// answer, age lines and the end, which must always fit.
const LAST_REPEATABLE: usize = MAX_EVENTS - 8;

/// The notice that was shown or sent: the exact text is told by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Its version.
    pub version: NoticeVersion,
    /// SHA-256 of the exact text.
    pub digest: TextDigest,
    /// Its language.
    pub language: LanguageTag,
    /// The text by which the guardian declares to be one, if it was chosen beforehand.
    pub attestation: Option<AttestationId>,
}

/// What is asked for, on which ground and under which rule. Frozen: it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The place whose rules hold.
    pub jurisdiction: Jurisdiction,
    /// The decision that asked for a guardian.
    pub decision: DecisionId,
    /// Whether the law asks for the guardian, not only the service's policy.
    pub legal_guardian: bool,
    /// How old the guardian must be at least.
    pub guardian_min_age: u8,
    /// A random name for the person concerned, used in receipts only.
    pub principal: Uuid,
    /// What is asked for, each on its own.
    pub requested: Vec<ConsentPurpose>,
    /// How a guardian may be checked.
    pub allowed_methods: Vec<VerificationMethod>,
    /// The notice.
    pub notice: Notice,
    /// The rule that was applied.
    pub rule: RuleId,
    /// The digest of the whole rule table.
    pub policy: PolicyDigest,
    /// Who is responsible, as receipts tell it.
    pub controller: Controller,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// From then on it cannot be answered.
    pub answer_by: Timestamp,
}

/// What was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    at: Timestamp,
    lapses_at: Timestamp,
    purposes: Vec<ConsentPurpose>,
    relationship: Relationship,
    attestation: Option<AttestationId>,
    methods: RuleId,
}

/// What has to be destroyed besides this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// Nothing: it is not over.
    Nothing,
    /// What was sealed for it (the birthday steps, the guardian's commitment); the record stays as proof.
    Sealed,
    /// All that is held about child and guardian for it.
    Everything,
}

/// One guardian consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    id: ConsentId,
    relying_party: RelyingParty,
    state: ConsentState,
    event: EventKind,
    changed_at: Timestamp,
    request: Option<Box<Request>>,
    link: Option<Uuid>,
    checks: Vec<Check>,
    review: Vec<ReviewReason>,
    given: Option<Given>,
    reached: Option<u8>,
    events: Vec<Happened>,
}

impl Consent {
    /// A consent that is asked for, with the name of the guardian's first link. It must ask for collection, and what
    /// it allows must be able to suffice for that.
    pub fn requested(
        id: ConsentId,
        relying_party: RelyingParty,
        mut request: Request,
        link: Option<Uuid>,
    ) -> Result<Self, NotPossible> {
        request.requested = set(request.requested);
        request.allowed_methods = set(request.allowed_methods);
        if request.answer_by <= request.requested_at {
            return Err(NotPossible::Ended);
        }
        if !request.requested.contains(&ConsentPurpose::Collection) {
            return Err(NotPossible::CollectionRequired);
        }
        let row = methods::row(request.jurisdiction, request.legal_guardian);
        if !row.suffices(&request.allowed_methods, &[ConsentPurpose::Collection]) {
            return Err(NotPossible::MethodInsufficient);
        }
        let at = request.requested_at;
        let consent = Self {
            id,
            relying_party,
            state: ConsentState::Requested,
            event: EventKind::ConsentRequested,
            changed_at: at,
            request: Some(Box::new(request)),
            link,
            checks: Vec::new(),
            review: Vec::new(),
            given: None,
            reached: None,
            events: Vec::new(),
        };
        Ok(consent.record(ConsentState::Requested, EventKind::ConsentRequested, ConsentActor::RelyingParty, None, at))
    }

    /// Its name.
    pub fn id(&self) -> ConsentId {
        self.id
    }

    /// Whose it is.
    pub fn relying_party(&self) -> &RelyingParty {
        &self.relying_party
    }

    /// Where it stands.
    pub fn state(&self) -> ConsentState {
        self.state
    }

    /// What happened last.
    pub fn event(&self) -> EventKind {
        self.event
    }

    /// When that was (for an age that was reached, the first of the month).
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// What was asked; none once it is forgotten.
    pub fn request(&self) -> Option<&Request> {
        self.request.as_deref()
    }

    /// The name of the live link.
    pub fn link(&self) -> Option<Uuid> {
        self.link
    }

    /// What was checked.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Why a person has to look at it.
    pub fn review(&self) -> &[ReviewReason] {
        &self.review
    }

    /// What was granted, in the order of [`ConsentPurpose`].
    pub fn granted(&self) -> &[ConsentPurpose] {
        self.given.as_ref().map_or(&[], |given| &given.purposes)
    }

    /// What the guardian claims to be.
    pub fn relationship(&self) -> Option<Relationship> {
        self.given.as_ref().map(|given| given.relationship)
    }

    /// The text by which the guardian declared it.
    pub fn attestation(&self) -> Option<&AttestationId> {
        self.given.as_ref()?.attestation.as_ref()
    }

    /// When it was given.
    pub fn given_at(&self) -> Option<Timestamp> {
        self.given.as_ref().map(|given| given.at)
    }

    /// When it lapses.
    pub fn lapses_at(&self) -> Option<Timestamp> {
        self.given.as_ref().map(|given| given.lapses_at)
    }

    /// Which row of [`methods`] its checks satisfied.
    pub fn methods_rule(&self) -> Option<&RuleId> {
        self.given.as_ref().map(|given| &given.methods)
    }

    /// Whether an age was reached from which the subject acts alone: the guardian's access has ended.
    pub fn subject_acts(&self) -> bool {
        self.reached.is_some()
    }

    /// The highest age line that was reached.
    pub fn line_reached(&self) -> Option<u8> {
        self.reached
    }

    /// What happened, in order; empty once it is forgotten.
    pub fn events(&self) -> &[Happened] {
        &self.events
    }

    /// Whether it can still be answered, but for the time.
    pub fn is_open(&self) -> bool {
        matches!(
            self.state,
            ConsentState::Requested
                | ConsentState::NoticeSent
                | ConsentState::InReview
                | ConsentState::GuardianVerified
        )
    }

    /// Whether it is given and has not lapsed at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.state == ConsentState::Given && !self.is_due(now)
    }

    /// Whether what was checked suffices for what is granted where the law asks for the guardian.
    pub fn satisfies_law(&self) -> bool {
        self.request().is_some_and(|request| {
            methods::row(request.jurisdiction, true).suffices(&self.methods_that_count(), self.granted())
        })
    }

    /// The checks that count.
    fn methods_that_count(&self) -> Vec<VerificationMethod> {
        let counts = |check: &&Check| check.method != VerificationMethod::IdScan || check.guardian_age_ok;
        self.checks.iter().filter(counts).map(|check| check.method).collect()
    }

    /// When [`Event::TimePassed`] changes something. Age lines are not in here: no record of ours knows them.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.is_open() {
            self.request.as_ref().map(|request| request.answer_by)
        } else if self.state == ConsentState::Given {
            self.lapses_at()
        } else {
            None
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|due| now >= due)
    }

    /// What has to be destroyed besides this record.
    pub fn purge(&self) -> Purge {
        match self.state {
            ConsentState::Requested
            | ConsentState::NoticeSent
            | ConsentState::InReview
            | ConsentState::GuardianVerified
            | ConsentState::Given => Purge::Nothing,
            // What was never given leaves nothing to prove.
            ConsentState::Superseded | ConsentState::AgedOut if self.request.is_none() => Purge::Everything,
            ConsentState::Withdrawn | ConsentState::Expired | ConsentState::Superseded | ConsentState::AgedOut => {
                Purge::Sealed
            }
            ConsentState::Refused | ConsentState::TimedOut | ConsentState::Erased => Purge::Everything,
        }
    }
}

/// In order, each once.
fn set<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
