//! The transitions: one function for each kind of event, each readable as a list of what must hold.

use super::{Check, Consent, Event, Given, Happened, LAST_REPEATABLE, MAX_EVENTS, Request, methods, set};
use crate::terms::{
    AttestationId, ConsentActor, ConsentPurpose, ConsentState, EventKind, NotPossible, Relationship, ReviewReason,
    StaffRef, VerificationMethod,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Who may act once a consent is given.
fn may_change(actor: ConsentActor, subject_acts: bool) -> Result<(), NotPossible> {
    match (actor, subject_acts) {
        (ConsentActor::Subject, true) => Ok(()),
        (ConsentActor::Subject, false) => Err(NotPossible::SubjectTooYoung),
        (ConsentActor::Guardian | ConsentActor::RelyingParty | ConsentActor::System, true) => {
            Err(NotPossible::GuardianAccessEnded)
        }
        (ConsentActor::Guardian | ConsentActor::RelyingParty | ConsentActor::System, false) => Ok(()),
    }
}

/// The first of the month: a receipt that tells the day on which somebody came of age tells their birthday.
fn month_of(at: Timestamp) -> Timestamp {
    let first = at.to_zoned(TimeZone::UTC).date().first_of_month();
    first.to_zoned(TimeZone::UTC).map_or(at, |first| first.timestamp())
}

impl Consent {
    /// What it becomes when `event` happens at `now`, or why it cannot happen.
    pub fn step(&self, event: Event, now: Timestamp) -> Result<Self, NotPossible> {
        if event == Event::Erased {
            return self.erased(now);
        }
        let (true, Some(request)) = (self.is_open() || self.state == ConsentState::Given, self.request()) else {
            return Err(self.too_late(&event));
        };
        if self.is_due(now) {
            return match event {
                Event::TimePassed => self.time_passed(now),
                _ => Err(NotPossible::Ended),
            };
        }
        match event {
            Event::NoticeSent { new_link } => self.notice_sent(new_link, now),
            Event::Checked { check, review } => self.checked(request, check, review, now),
            Event::ReviewCleared { staff } => self.review_cleared(staff, now),
            Event::Granted { link, purposes, relationship, attestation, lapses_at } => {
                self.may_grant(link)?;
                let methods = self.sufficient(request, &purposes)?;
                self.grant(methods, purposes, relationship, attestation, lapses_at, now)
            }
            Event::Refused { link } => {
                self.is_unanswered()?;
                self.holds(link)?;
                Ok(self.forgotten(ConsentState::Refused, EventKind::ConsentRefused, now))
            }
            Event::ScopeChanged { actor, purposes } => self.scope_changed(request, actor, purposes, now),
            Event::Withdrawn { actor } => self.withdrawn(actor, now),
            Event::Reaffirmed { actor, lapses_at } => self.reaffirmed(actor, lapses_at, now),
            Event::Superseded if self.is_open() => {
                Ok(self.forgotten(ConsentState::Superseded, EventKind::ConsentSuperseded, now))
            }
            Event::Superseded => {
                Ok(self.ended(ConsentState::Superseded, EventKind::ConsentSuperseded, ConsentActor::RelyingParty, now))
            }
            Event::AgeReached { line, last } => self.age_reached(line, last, now),
            Event::TimePassed | Event::Erased => Err(NotPossible::NothingChanges),
        }
    }

    /// Why an event cannot happen to a consent that is over.
    fn too_late(&self, event: &Event) -> NotPossible {
        let answer = matches!(event, Event::Granted { .. } | Event::Refused { .. });
        if answer && self.state == ConsentState::Refused { NotPossible::AlreadyAnswered } else { NotPossible::Ended }
    }

    fn is_unanswered(&self) -> Result<(), NotPossible> {
        if self.is_open() { Ok(()) } else { Err(NotPossible::AlreadyAnswered) }
    }

    fn is_given(&self) -> Result<&Given, NotPossible> {
        self.given.as_ref().filter(|_| self.state == ConsentState::Given).ok_or(NotPossible::NotGiven)
    }

    fn holds(&self, link: Uuid) -> Result<(), NotPossible> {
        if self.link == Some(link) { Ok(()) } else { Err(NotPossible::LinkInvalid) }
    }

    /// Whether there is room for what can be repeated at will.
    fn has_room(&self) -> Result<(), NotPossible> {
        if self.events.len() < LAST_REPEATABLE { Ok(()) } else { Err(NotPossible::TooManyChanges) }
    }

    fn notice_sent(&self, new_link: Option<Uuid>, now: Timestamp) -> Result<Self, NotPossible> {
        self.is_unanswered()?;
        self.has_room()?;
        let state = if self.state == ConsentState::Requested { ConsentState::NoticeSent } else { self.state };
        let mut next = self.clone();
        next.link = new_link.or(self.link);
        Ok(next.record(state, EventKind::ConsentNoticeSent, ConsentActor::RelyingParty, None, now))
    }

    /// A check that asks for a review keeps asking until a person has looked: another check does not answer it.
    fn checked(
        &self,
        request: &Request,
        check: Check,
        review: Vec<ReviewReason>,
        now: Timestamp,
    ) -> Result<Self, NotPossible> {
        self.is_unanswered()?;
        if !request.allowed_methods.contains(&check.method) {
            return Err(NotPossible::MethodNotAllowed);
        }
        self.has_room()?;
        let actor = match check.method {
            VerificationMethod::IdScan => ConsentActor::System,
            _ => ConsentActor::RelyingParty,
        };
        let mut next = self.clone();
        next.checks.push(check);
        next.review = set([self.review.as_slice(), &review].concat());
        let (state, kind) = if next.review.is_empty() {
            (ConsentState::GuardianVerified, EventKind::ConsentGuardianVerified)
        } else {
            (ConsentState::InReview, EventKind::ConsentInReview)
        };
        Ok(next.record(state, kind, actor, None, now))
    }

    fn review_cleared(&self, staff: StaffRef, now: Timestamp) -> Result<Self, NotPossible> {
        if self.state != ConsentState::InReview {
            return Err(NotPossible::NotInReview);
        }
        let mut next = self.clone();
        next.review.clear();
        let (state, kind) = (ConsentState::GuardianVerified, EventKind::ConsentGuardianVerified);
        Ok(next.record(state, kind, ConsentActor::RelyingParty, Some(staff), now))
    }

    fn may_grant(&self, link: Uuid) -> Result<(), NotPossible> {
        match self.state {
            ConsentState::InReview => Err(NotPossible::InReview),
            ConsentState::Requested | ConsentState::NoticeSent => Err(NotPossible::GuardianNotVerified),
            ConsentState::GuardianVerified => self.holds(link),
            _ => Err(NotPossible::AlreadyAnswered),
        }
    }

    /// The row of the table by which what was checked suffices for these purposes, all of which were asked for.
    fn sufficient(&self, request: &Request, purposes: &[ConsentPurpose]) -> Result<&'static methods::Row, NotPossible> {
        if !purposes.contains(&ConsentPurpose::Collection) {
            return Err(NotPossible::CollectionRequired);
        }
        if !purposes.iter().all(|purpose| request.requested.contains(purpose)) {
            return Err(NotPossible::PurposeNotRequested);
        }
        let row = methods::row(request.jurisdiction, request.legal_guardian);
        if row.suffices(&self.methods_that_count(), purposes) { Ok(row) } else { Err(NotPossible::MethodInsufficient) }
    }

    fn grant(
        &self,
        row: &methods::Row,
        purposes: Vec<ConsentPurpose>,
        relationship: Relationship,
        attestation: Option<AttestationId>,
        lapses_at: Timestamp,
        now: Timestamp,
    ) -> Result<Self, NotPossible> {
        if lapses_at <= now {
            return Err(NotPossible::Ended);
        }
        let mut next = self.clone();
        next.link = None;
        next.given = Some(Given {
            at: now,
            lapses_at,
            purposes: set(purposes),
            relationship,
            attestation: attestation.or_else(|| self.request().and_then(|request| request.notice.attestation.clone())),
            methods: row.id.parse().expect("a test parses every name of the table"),
        });
        Ok(next.record(ConsentState::Given, EventKind::ConsentGiven, ConsentActor::Guardian, None, now))
    }

    fn scope_changed(
        &self,
        request: &Request,
        actor: ConsentActor,
        purposes: Vec<ConsentPurpose>,
        now: Timestamp,
    ) -> Result<Self, NotPossible> {
        let given = self.is_given()?;
        may_change(actor, self.subject_acts())?;
        let purposes = set(purposes);
        if purposes == given.purposes {
            return Err(NotPossible::NothingChanges);
        }
        // More than the guardian said yes to takes another yes: a new consent, by a link of its own.
        if !purposes.iter().all(|purpose| given.purposes.contains(purpose)) {
            return Err(NotPossible::PurposeNotRequested);
        }
        self.sufficient(request, &purposes)?;
        self.has_room()?;
        let mut next = self.clone();
        next.given = Some(Given { purposes, ..given.clone() });
        Ok(next.record(ConsentState::Given, EventKind::ConsentChanged, actor, None, now))
    }

    /// As easy as giving: the subject may at any time, the guardian (and who speaks for them) as long as they may act.
    fn withdrawn(&self, actor: ConsentActor, now: Timestamp) -> Result<Self, NotPossible> {
        if self.is_open() {
            return Ok(self.forgotten(ConsentState::Refused, EventKind::ConsentRefused, now));
        }
        if actor != ConsentActor::Subject {
            may_change(actor, self.subject_acts())?;
        }
        Ok(self.ended(ConsentState::Withdrawn, EventKind::ConsentWithdrawn, actor, now))
    }

    fn reaffirmed(&self, actor: ConsentActor, lapses_at: Timestamp, now: Timestamp) -> Result<Self, NotPossible> {
        let given = self.is_given()?;
        may_change(actor, self.subject_acts())?;
        // Nobody confirms their own permission.
        if actor == ConsentActor::RelyingParty {
            return Err(NotPossible::ActorNotAllowed);
        }
        if lapses_at <= now {
            return Err(NotPossible::Ended);
        }
        self.has_room()?;
        let mut next = self.clone();
        next.given = Some(Given { lapses_at, ..given.clone() });
        Ok(next.record(ConsentState::Given, EventKind::ConsentReaffirmed, actor, None, now))
    }

    /// Each line once. A line that is not the last ends the guardian's access; the consent stays as it is until the
    /// subject changes it (EDPB Guidelines 05/2020, 147-149), and an open request may still be answered.
    fn age_reached(&self, line: u8, last: bool, now: Timestamp) -> Result<Self, NotPossible> {
        // The last place is kept for the end; by then the subject acts alone anyway.
        let no_room = !last && self.subject_acts() && self.events.len() + 1 >= MAX_EVENTS;
        if self.reached.is_some_and(|reached| line <= reached) || no_room {
            return Err(NotPossible::NothingChanges);
        }
        let mut next = self.clone();
        next.reached = Some(line);
        let (kind, at) = (EventKind::ConsentAgedOut, month_of(now));
        if last && self.is_open() {
            return Ok(self.forgotten(ConsentState::AgedOut, kind, at));
        }
        if last {
            return Ok(next.ended(ConsentState::AgedOut, kind, ConsentActor::System, at));
        }
        Ok(next.record(self.state, kind, ConsentActor::System, None, at))
    }

    fn time_passed(&self, now: Timestamp) -> Result<Self, NotPossible> {
        if self.is_open() {
            return Ok(self.forgotten(ConsentState::TimedOut, EventKind::ConsentTimedOut, now));
        }
        Ok(self.ended(ConsentState::Expired, EventKind::ConsentExpired, ConsentActor::System, now))
    }

    /// What ended with a record loses it; where nothing is left, nothing changes.
    fn erased(&self, now: Timestamp) -> Result<Self, NotPossible> {
        if self.request.is_none() {
            return Err(NotPossible::NothingChanges);
        }
        Ok(self.forgotten(ConsentState::Erased, EventKind::SubjectErased, now))
    }

    /// The end of a consent whose record stays.
    fn ended(&self, state: ConsentState, kind: EventKind, actor: ConsentActor, at: Timestamp) -> Self {
        let mut next = self.clone();
        next.link = None;
        next.review.clear();
        next.record(state, kind, actor, None, at)
    }

    /// The end of a consent of which nothing is left but that it ended, how and when.
    fn forgotten(&self, state: ConsentState, kind: EventKind, at: Timestamp) -> Self {
        Self {
            id: self.id,
            relying_party: self.relying_party.clone(),
            state,
            event: kind,
            changed_at: at,
            request: None,
            link: None,
            checks: Vec::new(),
            review: Vec::new(),
            given: None,
            reached: None,
            events: Vec::new(),
        }
    }

    /// Moves to `state` and adds the entry that says so, linked to the receipt of the entry before.
    pub(super) fn record(
        mut self,
        state: ConsentState,
        kind: EventKind,
        actor: ConsentActor,
        staff: Option<StaffRef>,
        at: Timestamp,
    ) -> Self {
        let prev = self.events.len().checked_sub(1).and_then(|last| self.receipt(last)).map(|before| before.digest());
        self.state = state;
        self.event = kind;
        self.changed_at = at;
        self.events.push(Happened {
            seq: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
            kind,
            state,
            at,
            actor,
            staff,
            checks: self.checks.len(),
            granted: self.granted().to_vec(),
            lapses_at: self.lapses_at(),
            prev,
        });
        self
    }
}

/// From one time to another, as a duration of ISO 8601 in seconds; none is negative.
pub(super) fn duration(from: Timestamp, until: Timestamp) -> String {
    let length = until.duration_since(from).max(SignedDuration::ZERO);
    format!("PT{}S", length.as_secs())
}
