//! One rights request and its steps.

use super::{FAILURES, REMINDER, Shown, Standing, TOKEN};
use crate::terms::{
    ActingAs, DecisionId, EventKind, ExtensionReason, IdDocument, Jurisdiction, Missing, PolicyDigest, ProofLevel,
    ProofMethod, RefusalBasis, Regime, RelyingParty, RequestId, RequestState, Right, RightsNotPossible, StaffRef,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

use RightsNotPossible as No;

/// What is asked, and under which terms. Frozen: it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What.
    pub right: Right,
    /// Under which law.
    pub regime: Regime,
    /// Where.
    pub jurisdiction: Jurisdiction,
    /// For whom the requester acts.
    pub acting_as: ActingAs,
    /// Whether the person has an account.
    pub account: bool,
    /// Over which ways the relying party knew the person before: a session, contacts that were confirmed.
    pub vouched: BTreeSet<ProofMethod>,
    /// The decision that is to be explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// The level that is required.
    pub level: ProofLevel,
    /// Whether a session counts only if it was begun or renewed just before.
    pub fresh_session: bool,
    /// Whether an identity card may be asked for.
    pub id_document: IdDocument,
    /// The digest of the rights table.
    pub table: PolicyDigest,
    /// When the request came in.
    pub received_at: Timestamp,
    /// How often this person has asked this within 12 months, this time included.
    pub times: u16,
    /// Whether that is unusual: a person should look at it. Never a ground by itself.
    pub repeated: bool,
}

/// Until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The last day for the answer, by the calendar of the place.
    pub due: Date,
    /// The end of that day, in the first of the place's time zones.
    pub due_at: Timestamp,
}

/// An answer takes longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extended {
    /// Since when that is told.
    pub at: Timestamp,
    /// Why.
    pub reason: ExtensionReason,
    /// Who decided it.
    pub staff: StaffRef,
}

/// That the requester was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The name of its token.
    pub jti: Uuid,
    /// When.
    pub at: Timestamp,
    /// Whether its token can be used only once.
    pub single_use: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// Who decided it; nobody where the requester took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<StaffRef>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<RefusalBasis>,
}

/// One rights request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightsRequest {
    id: RequestId,
    relying_party: RelyingParty,
    asked: Asked,
    state: RequestState,
    event: EventKind,
    changed_at: Timestamp,
    clock: Clock,
    acknowledge_by: Option<Date>,
    acknowledged_at: Option<Timestamp>,
    extensions: Vec<Extended>,
    shown: Vec<Shown>,
    failures: u8,
    proof: Option<Proof>,
    ending: Option<Ending>,
    reminded: bool,
    overdue: bool,
}

/// That something did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What was tried.
    pub method: ProofMethod,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The requester was told that it came in.
    Acknowledged,
    /// Something is about to be looked at that could be guessed: it counts as a failure until it holds.
    Tried,
    /// Something was shown and holds.
    Shown {
        /// What.
        shown: Shown,
        /// The name of the token, if the requester is verified by it.
        jti: Uuid,
        /// Whether the token can be used only once.
        single_use: bool,
    },
    /// Something was shown and does not hold. It was counted by [`Event::Tried`].
    Failed(Failure),
    /// The answer takes longer.
    Extended {
        /// Why.
        reason: ExtensionReason,
        /// Who decided it.
        staff: StaffRef,
        /// Until when then; `None` where the table allows no more.
        until: Option<Clock>,
    },
    /// Answered as asked.
    Done {
        /// Who says so.
        staff: StaffRef,
    },
    /// Refused.
    Refused {
        /// Who decided it.
        staff: StaffRef,
        /// Why.
        basis: RefusalBasis,
        /// The reasons that the regime knows.
        allowed: Vec<RefusalBasis>,
    },
    /// The requester takes it back.
    Withdrawn,
    /// Time passed.
    TimePassed,
}

impl RightsRequest {
    /// A request that came in. One that needs no proof is verified from the start; `proof` is then its token.
    pub fn opened(
        (id, relying_party): (RequestId, RelyingParty),
        asked: Asked,
        (clock, acknowledge_by): (Clock, Option<Date>),
        proof: Proof,
        now: Timestamp,
    ) -> Self {
        let free = asked.level == ProofLevel::L0;
        Self {
            id,
            relying_party,
            asked,
            state: if free { RequestState::Verified } else { RequestState::Open },
            event: EventKind::RightsOpened,
            changed_at: now,
            clock,
            acknowledge_by,
            acknowledged_at: None,
            extensions: Vec::new(),
            shown: Vec::new(),
            failures: 0,
            proof: free.then_some(proof),
            ending: None,
            reminded: false,
            overdue: false,
        }
    }

    /// The request after `event`, or why it cannot be.
    pub fn step(&self, event: Event, now: Timestamp) -> Result<Self, No> {
        if !self.is_open() {
            return Err(No::Closed);
        }
        let mut next = Self { changed_at: now, ..self.clone() };
        next.event = match event {
            Event::Acknowledged => next.acknowledge(now)?,
            Event::Tried => {
                next.failures = next.failures.saturating_add(1);
                return Ok(next);
            }
            Event::Shown { shown, jti, single_use } => next.show(shown, Proof { jti, at: now, single_use })?,
            Event::Failed(_) => next.fail(),
            Event::Extended { reason, staff, until } => next.extend(Extended { at: now, reason, staff }, until)?,
            Event::Done { staff } => {
                if next.state != RequestState::Verified {
                    return Err(No::NotVerified);
                }
                next.end(RequestState::Done, EventKind::RightsDone, Ending { at: now, staff: Some(staff), basis: None })
            }
            Event::Refused { staff, basis, allowed } => {
                if !allowed.contains(&basis) {
                    return Err(No::BasisNotAllowed);
                }
                let ending = Ending { at: now, staff: Some(staff), basis: Some(basis) };
                next.end(RequestState::Refused, EventKind::RightsRefused, ending)
            }
            Event::Withdrawn => {
                let ending = Ending { at: now, staff: None, basis: None };
                next.end(RequestState::Withdrawn, EventKind::RightsWithdrawn, ending)
            }
            Event::TimePassed => next.pass(now).ok_or(No::TooLate)?,
        };
        Ok(next)
    }

    /// Whether something may be shown at all, before anything of it is looked at. A person's look is always possible.
    pub fn may_show(&self, method: ProofMethod, now: Timestamp) -> Result<(), No> {
        if !self.is_open() {
            return Err(No::Closed);
        }
        if self.asked.level == ProofLevel::L0 {
            return Err(if method == ProofMethod::IdCard { No::IdForbidden } else { No::NoProofNeeded });
        }
        if method != ProofMethod::HumanReview && self.in_review() {
            return Err(No::InReview);
        }
        match method {
            ProofMethod::Session | ProofMethod::PhoneCode | ProofMethod::EmailCode | ProofMethod::PostCode => {
                if self.asked.vouched.contains(&method) { Ok(()) } else { Err(No::ChannelNotConfirmed) }
            }
            ProofMethod::IdCard if self.asked.id_document == IdDocument::Forbidden => Err(No::IdForbidden),
            ProofMethod::IdCard if !self.standing(now).all_but_the_card() => Err(No::OtherProofFirst),
            ProofMethod::GuardianConsent if self.asked.acting_as != ActingAs::Guardian => Err(No::NotForActing),
            ProofMethod::AgentPermission | ProofMethod::PowerOfAttorney if self.asked.acting_as != ActingAs::Agent => {
                Err(No::NotForActing)
            }
            ProofMethod::IdCard
            | ProofMethod::GuardianConsent
            | ProofMethod::AgentPermission
            | ProofMethod::PowerOfAttorney
            | ProofMethod::DataPoints
            | ProofMethod::SignedDeclaration
            | ProofMethod::HumanReview => Ok(()),
        }
    }

    fn acknowledge(&mut self, now: Timestamp) -> Result<EventKind, No> {
        if self.acknowledged_at.is_some() {
            return Err(No::AlreadyAcknowledged);
        }
        self.acknowledged_at = Some(now);
        Ok(EventKind::RightsAcknowledged)
    }

    fn show(&mut self, shown: Shown, proof: Proof) -> Result<EventKind, No> {
        // `Tried` may have counted the very attempt that holds: being in review is decided by who calls, before.
        let reviewed = shown.method == ProofMethod::HumanReview;
        if self.asked.level == ProofLevel::L0 {
            return Err(No::NoProofNeeded);
        }
        if !reviewed && self.state == RequestState::InReview {
            return Err(No::InReview);
        }
        if shown.method == ProofMethod::IdCard && self.asked.id_document == IdDocument::Forbidden {
            return Err(No::IdForbidden);
        }
        // The same again takes the place of what was shown before, so that a request cannot grow without end.
        let mut shown = shown;
        for old in self.shown.iter().filter(|old| old.method == shown.method) {
            shown.points.extend(&old.points);
        }
        self.shown.retain(|old| old.method != shown.method);
        self.shown.push(shown);
        self.failures = 0;
        let standing = self.standing(proof.at);
        let verified = standing.level() >= self.required() && standing.authority(self.asked.acting_as);
        if verified {
            self.proof = Some(proof);
        }
        let already = self.state == RequestState::Verified;
        if verified || already {
            self.state = RequestState::Verified;
        } else {
            self.state = RequestState::Open;
        }
        Ok(if verified { EventKind::RightsVerified } else { EventKind::RightsProofShown })
    }

    fn fail(&mut self) -> EventKind {
        if self.failures < FAILURES {
            return EventKind::RightsProofFailed;
        }
        // Who is verified stays so: a stranger's guesses take nothing from them but the next token.
        if self.state == RequestState::Open {
            self.state = RequestState::InReview;
        }
        EventKind::RightsInReview
    }

    fn extend(&mut self, extended: Extended, until: Option<Clock>) -> Result<EventKind, No> {
        if extended.at >= self.clock.due_at {
            return Err(No::TooLate);
        }
        let until = until.ok_or(No::NoExtension)?;
        self.clock = until;
        self.extensions.push(extended);
        self.reminded = false;
        Ok(EventKind::RightsExtended)
    }

    fn end(&mut self, state: RequestState, event: EventKind, ending: Ending) -> EventKind {
        self.state = state;
        self.ending = Some(ending);
        event
    }

    fn pass(&mut self, now: Timestamp) -> Option<EventKind> {
        if !self.overdue && self.clock.due_at <= now {
            (self.overdue, self.reminded) = (true, true);
            return Some(EventKind::RightsOverdue);
        }
        if !self.reminded && self.remind_at() <= now {
            self.reminded = true;
            return Some(EventKind::RightsDueSoon);
        }
        None
    }

    fn remind_at(&self) -> Timestamp {
        self.clock.due_at.checked_sub(REMINDER).unwrap_or(self.clock.due_at)
    }

    /// When time does something to it next.
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.is_open() || self.overdue {
            return None;
        }
        Some(if self.reminded { self.clock.due_at } else { self.remind_at() })
    }

    /// How far what was shown goes.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let reachable = !self.asked.vouched.is_empty();
        Standing::of(&self.shown, self.asked.fresh_session, reachable, now)
    }

    /// The level that is required; acting for another takes at least the second.
    pub fn required(&self) -> ProofLevel {
        match (self.asked.level, self.asked.acting_as) {
            (ProofLevel::L0, _) => ProofLevel::L0,
            (level, ActingAs::Myself) => level,
            (level, ActingAs::Guardian | ActingAs::Agent) => level.max(ProofLevel::L2),
        }
    }

    /// What can still be shown.
    pub fn missing(&self, now: Timestamp) -> Vec<Missing> {
        match self.state {
            RequestState::Open if self.failures >= FAILURES => vec![Missing::HumanReview],
            RequestState::InReview => vec![Missing::HumanReview],
            RequestState::Open => {
                self.standing(now).missing(self.required(), self.asked.acting_as, self.asked.id_document)
            }
            RequestState::Verified | RequestState::Done | RequestState::Refused | RequestState::Withdrawn => Vec::new(),
        }
    }

    /// Whether attempts are used up. An attempt that was begun and never ended counts.
    pub fn in_review(&self) -> bool {
        self.failures >= FAILURES || self.state == RequestState::InReview
    }

    /// What shows that the requester is verified, while its token holds.
    pub fn token(&self, now: Timestamp) -> Option<Proof> {
        let proof = self.proof.filter(|_| self.state == RequestState::Verified)?;
        (now.duration_since(proof.at) < TOKEN).then_some(proof)
    }

    /// Whether the token of this name is the newest that shows its requester.
    pub fn holds(&self, jti: &Uuid) -> bool {
        self.proof.is_some_and(|proof| proof.jti == *jti)
    }

    /// Whether it has not been answered.
    pub fn is_open(&self) -> bool {
        matches!(self.state, RequestState::Open | RequestState::InReview | RequestState::Verified)
    }

    /// Its name.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Whose person asks.
    pub fn relying_party(&self) -> &RelyingParty {
        &self.relying_party
    }

    /// What is asked, and under which terms.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Where it stands.
    pub fn state(&self) -> RequestState {
        if self.state == RequestState::Open && self.in_review() { RequestState::InReview } else { self.state }
    }

    /// The last thing that happened.
    pub fn event(&self) -> EventKind {
        self.event
    }

    /// When.
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// Until when it must be answered.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The day by which the requester must be told that it came in.
    pub fn acknowledge_by(&self) -> Option<Date> {
        self.acknowledge_by
    }

    /// When they were told.
    pub fn acknowledged_at(&self) -> Option<Timestamp> {
        self.acknowledged_at
    }

    /// How often and why the answer took longer.
    pub fn extensions(&self) -> &[Extended] {
        &self.extensions
    }

    /// What was shown and holds.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// How it ended.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The level that was reached when the requester was verified, or is by what was shown.
    pub fn reached(&self, now: Timestamp) -> ProofLevel {
        let standing = self.standing(self.proof.map_or(now, |proof| proof.at));
        standing.level()
    }

    /// Whether the time for the answer is over.
    pub fn is_overdue(&self) -> bool {
        self.overdue
    }
}
