//! The steps of a rights request.

use super::request::{Asked, Clock, Ending, Extended, Proof};
use super::{FAILURES, REMINDER, RightsRequest, Shown};
use crate::terms::{
    ActingAs, EventKind, ExtensionReason, IdDocument, ProofLevel, ProofMethod, RefusalBasis, RelyingParty, RequestId,
    RequestState, RightsNotPossible, StaffRef,
};
use jiff::Timestamp;
use uuid::Uuid;

use RightsNotPossible as No;

/// That something did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What was tried.
    pub method: ProofMethod,
    /// Whether it contradicts what is known, so that a person has to look at it at once.
    pub contradicts: bool,
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
        /// Whether [`Event::Tried`] counted it before: that count, and no other, is taken back.
        tried: bool,
    },
    /// An attempt was counted and came to nothing, through no fault of the requester.
    Undone,
    /// The authority that was shown does not stand any more.
    AuthorityGone,
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
    /// Answered as asked, wholly or in part.
    Done {
        /// Who says so.
        staff: StaffRef,
        /// Why a part was refused.
        partly: Option<RefusalBasis>,
        /// The reasons that the regime knows.
        allowed: Vec<RefusalBasis>,
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
    Withdrawn {
        /// Who says so.
        staff: StaffRef,
    },
    /// Time passed.
    TimePassed,
}

impl RightsRequest {
    /// A request that came in. One that needs no proof is verified from the start; `proof` is then its token.
    pub fn opened(
        (id, relying_party): (RequestId, RelyingParty),
        asked: Asked,
        (clock, acknowledge_by): (Clock, Option<Clock>),
        proof: Proof,
        now: Timestamp,
    ) -> Self {
        let free = asked.terms.level == ProofLevel::L0;
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
            by_session: false,
            ending: None,
            reminded: false,
            overdue: false,
            acknowledge_overdue: false,
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
            Event::Undone => {
                next.failures = next.failures.saturating_sub(1);
                return Ok(next);
            }
            Event::AuthorityGone => {
                next.shown.retain(|shown| shown.method != ProofMethod::GuardianConsent);
                if next.asked.acting_as == ActingAs::Guardian && !next.is_free() {
                    next.proof = None;
                    if next.state == RequestState::Verified {
                        next.state = RequestState::Open;
                    }
                }
                return Ok(next);
            }
            Event::Shown { shown, jti, single_use, tried } => {
                let proof = Proof { jti, at: now, level: ProofLevel::L0, single_use };
                next.show(shown, proof, tried)?
            }
            Event::Failed(failure) => next.fail(failure),
            Event::Extended { reason, staff, until } => next.extend(Extended { at: now, reason, staff }, until)?,
            Event::Done { staff, partly, allowed } => {
                if next.state != RequestState::Verified {
                    return Err(No::NotVerified);
                }
                if partly.is_some_and(|basis| !next.may_refuse(basis, &allowed)) {
                    return Err(No::BasisNotAllowed);
                }
                let ending = Ending { at: now, staff: Some(staff), basis: partly };
                next.end(RequestState::Done, EventKind::RightsDone, ending)
            }
            Event::Refused { staff, basis, allowed } => {
                if !next.may_refuse(basis, &allowed) {
                    return Err(No::BasisNotAllowed);
                }
                let ending = Ending { at: now, staff: Some(staff), basis: Some(basis) };
                next.end(RequestState::Refused, EventKind::RightsRefused, ending)
            }
            Event::Withdrawn { staff } => {
                let ending = Ending { at: now, staff: Some(staff), basis: None };
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
        if self.is_free() {
            return Err(if method == ProofMethod::IdCard { No::IdForbidden } else { No::NoProofNeeded });
        }
        if method == ProofMethod::HumanReview {
            return Ok(());
        }
        if self.in_review() {
            return Err(No::InReview);
        }
        match method {
            ProofMethod::Session | ProofMethod::PhoneCode | ProofMethod::EmailCode | ProofMethod::PostCode
                if !self.asked.vouched.contains(&method) =>
            {
                Err(No::ChannelNotConfirmed)
            }
            ProofMethod::IdCard if self.terms(now).id_document == IdDocument::Forbidden => Err(No::IdForbidden),
            ProofMethod::IdCard if !self.standing(now).all_but_the_card() => Err(No::OtherProofFirst),
            ProofMethod::GuardianConsent if self.asked.acting_as != ActingAs::Guardian => Err(No::NotForActing),
            ProofMethod::AgentPermission | ProofMethod::PowerOfAttorney if self.asked.acting_as != ActingAs::Agent => {
                Err(No::NotForActing)
            }
            _ if !self.takes(method, now) => Err(No::NotNeeded),
            _ => Ok(()),
        }
    }

    fn acknowledge(&mut self, now: Timestamp) -> Result<EventKind, No> {
        if self.acknowledged_at.is_some() {
            return Err(No::AlreadyAcknowledged);
        }
        self.acknowledged_at = Some(now);
        Ok(EventKind::RightsAcknowledged)
    }

    fn show(&mut self, mut shown: Shown, proof: Proof, tried: bool) -> Result<EventKind, No> {
        // `Tried` may have counted the very attempt that holds: being in review is decided by who calls, before.
        let reviewed = shown.method == ProofMethod::HumanReview;
        if self.is_free() {
            return Err(No::NoProofNeeded);
        }
        if !reviewed && self.state == RequestState::InReview {
            return Err(No::InReview);
        }
        if shown.method == ProofMethod::IdCard && self.terms(proof.at).id_document == IdDocument::Forbidden {
            return Err(No::IdForbidden);
        }
        // The same again takes the place of what was shown before, so that a request cannot grow without end.
        // Points that agreed in two calls do not add up, and an older session takes nothing from a younger one.
        for old in self.shown.iter().filter(|old| old.method == shown.method) {
            if old.points.len() > shown.points.len() {
                shown.points.clone_from(&old.points);
            }
            shown.since = shown.since.max(old.since);
        }
        let present = matches!(
            shown.method,
            ProofMethod::Session | ProofMethod::PhoneCode | ProofMethod::EmailCode | ProofMethod::PostCode
        );
        self.shown.retain(|old| old.method != shown.method);
        self.shown.push(shown);
        self.failures = if reviewed { 0 } else { self.failures.saturating_sub(u8::from(tried)) };
        let standing = self.standing(proof.at);
        let already = self.state == RequestState::Verified;
        let needed = self.raised(self.terms_at(proof.at).level);
        let reached = standing.level() >= needed && standing.authority(self.asked.acting_as);
        // Who was verified before gets another token only by showing again that they are there.
        let verified = reached && (!already || present || reviewed);
        if verified {
            self.proof = Some(Proof { level: standing.level(), ..proof });
            self.by_session = standing.session();
        }
        if verified || already {
            self.state = RequestState::Verified;
        } else {
            self.state = RequestState::Open;
        }
        Ok(if verified { EventKind::RightsVerified } else { EventKind::RightsProofShown })
    }

    fn fail(&mut self, failure: Failure) -> EventKind {
        if failure.contradicts {
            self.failures = FAILURES;
        }
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
        if self.acknowledge_due().is_some_and(|at| at <= now) {
            self.acknowledge_overdue = true;
            return Some(EventKind::RightsAcknowledgeOverdue);
        }
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

    pub(super) fn remind_at(&self) -> Timestamp {
        self.clock.due_at.checked_sub(REMINDER).unwrap_or(self.clock.due_at)
    }
}
