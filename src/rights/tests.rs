//! Random steps against a model that shares no line with the machine: it says beforehand what must come out of each.
//! Written from the issue and from domain 6.2, 6.3 and 7.1.

use super::plan::Asked as Question;
use super::table::RightsTable;
use super::*;
use crate::terms::{
    ActingAs, DataPointKind, EventKind, ExtensionReason, IdDocument, Missing, PolicyDigest, ProofLevel, ProofMethod,
    RefusalBasis, Regime, RequestId, RequestState, Right, RightsNotPossible, StaffRef,
};
use ProofMethod::*;
use RightsNotPossible as Not;
use fastrand::Rng;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const RUNS: u64 = 5_000;
const STEPS: usize = 30;
/// Ways over which the relying party can have known the person.
const WAYS: [ProofMethod; 4] = [Session, PhoneCode, EmailCode, PostCode];
/// What can be guessed: it is counted before it is looked at.
const GUESSED: [ProofMethod; 5] = [PhoneCode, EmailCode, PostCode, DataPoints, IdCard];

fn start() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

fn staff() -> StaffRef {
    "agent-7".parse().unwrap()
}

fn shown(shown: Shown, jti: Uuid) -> Event {
    Event::Shown { shown, jti, single_use: false, tried: false }
}

fn done() -> Event {
    Event::Done { staff: staff(), partly: None, allowed: Vec::new() }
}

fn clock(due_at: Timestamp) -> Clock {
    Clock { due: due_at.to_zoned(jiff::tz::TimeZone::UTC).date(), due_at }
}

/// A request as a rights table could have it, or one that is like it.
fn asked(rng: &mut Rng, table: &RightsTable) -> Asked {
    let vouched: BTreeSet<ProofMethod> = WAYS.into_iter().filter(|_| rng.u8(0..5) < 3).collect();
    let (right, regime) = (one(rng, Right::ALL), one(rng, Regime::ALL));
    let acting_as = if rng.bool() { ActingAs::Myself } else { one(rng, ActingAs::ALL) };
    let with_session = acting_as == ActingAs::Myself && vouched.contains(&Session);
    let ask = |account| Question { right, regime, acting_as, account };
    let plans = [true, false].map(|account| table.plan(&ask(account)));
    let mut fresh_session = plans[0].fresh_session;
    let mut terms = plans.map(|plan| terms(plan.level, plan.id_document, plan.may_ask));
    if rng.u8(0..4) == 0 && terms[1].level > ProofLevel::L0 {
        fresh_session = rng.bool();
        let mut levels = [one(rng, &ProofLevel::ALL[1..]), one(rng, &ProofLevel::ALL[1..])];
        levels.sort();
        for (terms, (level, account)) in terms.iter_mut().zip(levels.into_iter().zip([true, false])) {
            let last = level == ProofLevel::L3;
            let id_document = if last { one(rng, IdDocument::ALL) } else { IdDocument::Forbidden };
            *terms = self::terms(level, id_document, plan::methods(level, id_document, &ask(account)));
        }
    }
    let [with, without] = terms;
    Asked {
        right,
        regime,
        jurisdiction: "KR".parse().unwrap(),
        acting_as,
        vouched,
        decision: None,
        fresh_session,
        with_session: with_session.then_some(with),
        terms: without,
        table: PolicyDigest([9; 32]),
        received_at: start(),
        times: 1,
        repeated: false,
    }
}

fn terms(level: ProofLevel, id_document: IdDocument, may_ask: Vec<ProofMethod>) -> Terms {
    Terms { level, id_document, may_ask: may_ask.into_iter().collect() }
}

fn opened(asked: Asked, (due_at, told_by): (Timestamp, Option<Timestamp>), jti: Uuid) -> RightsRequest {
    let proof = Proof { jti, at: start(), level: ProofLevel::L0, single_use: false };
    let id = (RequestId(Uuid::from_u128(7)), "rp".parse().unwrap());
    RightsRequest::opened(id, asked, (clock(due_at), told_by.map(clock)), proof, start())
}

/// What must be shown, by hand.
#[derive(Clone)]
struct Needs {
    level: u8,
    card: bool,
    may: BTreeSet<ProofMethod>,
}

/// Somebody who was verified.
#[derive(Clone, Copy)]
struct Verified {
    jti: Uuid,
    at: Timestamp,
    reached: u8,
    needed: u8,
    logged_in: bool,
}

/// What must hold, by hand.
#[derive(Clone)]
struct Book {
    acting: ActingAs,
    fresh: bool,
    vouched: BTreeSet<ProofMethod>,
    /// With an account and without one.
    logged_in: Option<Needs>,
    otherwise: Needs,
    /// When each was shown last, and since when the youngest session is.
    seen: BTreeMap<ProofMethod, (Timestamp, Timestamp)>,
    /// Points that agreed in the one call that had the most: they do not add up.
    points: BTreeSet<DataPointKind>,
    wrong: u32,
    handed_over: bool,
    verified: Option<Verified>,
    told: bool,
    told_by: Option<Timestamp>,
    told_late: bool,
    due: Timestamp,
    reminded: bool,
    late: bool,
    longer: usize,
    end: Option<RequestState>,
}

fn minutes(from: Timestamp, until: Timestamp) -> i64 {
    // Rounded up: a second more than a quarter of an hour is more.
    (until.as_second() - from.as_second() + 59).div_euclid(60)
}

impl Book {
    fn of(asked: &Asked, (due, told_by): (Timestamp, Option<Timestamp>), jti: Uuid) -> Self {
        let needs = |terms: &Terms| {
            let level = ProofLevel::ALL.iter().position(|level| *level == terms.level).unwrap() as u8;
            // Acting for another takes two factors at least.
            let level = if asked.acting_as == ActingAs::Myself || level == 0 { level } else { level.max(2) };
            Needs { level, card: terms.id_document == IdDocument::LastResort, may: terms.may_ask.clone() }
        };
        let otherwise = needs(&asked.terms);
        let free = Verified { jti, at: start(), reached: 0, needed: 0, logged_in: false };
        Self {
            acting: asked.acting_as,
            fresh: asked.fresh_session,
            vouched: asked.vouched.clone(),
            logged_in: asked.with_session.as_ref().map(needs),
            verified: (otherwise.level == 0).then_some(free),
            otherwise,
            seen: BTreeMap::new(),
            points: BTreeSet::new(),
            wrong: 0,
            handed_over: false,
            told: false,
            told_by,
            told_late: false,
            due,
            reminded: false,
            late: false,
            longer: 0,
            end: None,
        }
    }

    fn free(&self) -> bool {
        self.otherwise.level == 0
    }

    /// Who logged in or read a message a day ago may have left since.
    fn today(&self, way: ProofMethod, now: Timestamp) -> bool {
        self.seen.get(&way).is_some_and(|(at, _)| minutes(*at, now) <= 24 * 60)
    }

    /// Whether it says who is there now.
    fn here(&self, way: ProofMethod, now: Timestamp) -> bool {
        let young = |since: Timestamp| since <= now && minutes(since, now) <= 15;
        self.today(way, now) && (way != Session || !self.fresh || young(self.seen[&Session].1))
    }

    /// What counts: an account helps whoever is logged in to it.
    fn needs(&self, now: Timestamp) -> &Needs {
        self.logged_in.as_ref().filter(|_| self.here(Session, now)).unwrap_or(&self.otherwise)
    }

    /// What is asked for: the shortest way, which begins with logging in where there is an account.
    fn offers(&self, now: Timestamp) -> &Needs {
        let logged_in = self.verified.is_none_or(|verified| verified.logged_in);
        match &self.logged_in {
            Some(needs) if logged_in => needs,
            Some(_) => &self.otherwise,
            None => self.needs(now),
        }
    }

    /// First, second and third step of the ladder (domain 6.3).
    fn steps(&self, now: Timestamp) -> [bool; 3] {
        let ways = WAYS.iter().filter(|way| self.here(**way, now)).count();
        let person = self.seen.contains_key(&HumanReview);
        // Whoever reads the mail knows the address.
        let itself = |point: &DataPointKind| match point {
            DataPointKind::EmailAddress => self.today(EmailCode, now),
            DataPointKind::PhoneNumber => self.today(PhoneCode, now),
            DataPointKind::PostalAddress => self.today(PostCode, now),
            DataPointKind::Username => self.today(Session, now),
            _ => false,
        };
        let points = self.points.iter().filter(|point| !itself(point)).count();
        let declared = points > 2 && self.seen.contains_key(&SignedDeclaration);
        [
            // A person's look stands for all that has no other way.
            ways > 0 || (person && self.vouched.is_empty()),
            ways > 1 || points > 1 || person,
            person || self.seen.contains_key(&IdCard) || declared,
        ]
    }

    fn reached(&self, now: Timestamp) -> u8 {
        self.steps(now).iter().take_while(|there| **there).count() as u8
    }

    fn may_act(&self) -> bool {
        let has = |method| self.seen.contains_key(&method);
        match self.acting {
            ActingAs::Myself => true,
            ActingAs::Guardian => has(GuardianConsent),
            ActingAs::Agent => has(AgentPermission) || has(PowerOfAttorney),
        }
    }

    fn state(&self) -> RequestState {
        match self.end {
            Some(end) => end,
            None if self.verified.is_some() => RequestState::Verified,
            None if self.handed_over || self.wrong >= 5 => RequestState::InReview,
            None => RequestState::Open,
        }
    }

    fn gate(&self, method: ProofMethod, now: Timestamp) -> Result<(), Not> {
        if self.end.is_some() {
            return Err(Not::Closed);
        }
        if self.free() {
            return Err(if method == IdCard { Not::IdForbidden } else { Not::NoProofNeeded });
        }
        if method == HumanReview {
            return Ok(());
        }
        if self.handed_over || self.wrong >= 5 {
            return Err(Not::InReview);
        }
        let ([first, second, third], card) = (self.steps(now), self.offers(now).card);
        match method {
            way if WAYS.contains(&way) && !self.vouched.contains(&way) => Err(Not::ChannelNotConfirmed),
            IdCard if !card => Err(Not::IdForbidden),
            IdCard if third || !(first && second) => Err(Not::OtherProofFirst),
            GuardianConsent if self.acting != ActingAs::Guardian => Err(Not::NotForActing),
            AgentPermission | PowerOfAttorney if self.acting != ActingAs::Agent => Err(Not::NotForActing),
            Session if self.logged_in.is_some() => Ok(()),
            method if !self.needs(now).may.contains(&method) => Err(Not::NotNeeded),
            _ => Ok(()),
        }
    }

    fn shown(&mut self, shown: &Shown, since: Timestamp, jti: Uuid, tried: bool, now: Timestamp) -> EventKind {
        let since = self.seen.get(&shown.method).map_or(since, |(_, before)| since.max(*before));
        self.seen.insert(shown.method, (now, since));
        if shown.points.len() >= self.points.len() {
            self.points.clone_from(&shown.points);
        }
        let person = shown.method == HumanReview;
        // What holds takes back its own count and no other; a person's look begins anew.
        self.wrong = if person { 0 } else { self.wrong.saturating_sub(tried.into()) };
        self.handed_over = false;
        let (reached, needed) = (self.reached(now), self.needs(now).level);
        // Another token is for whoever shows again that they are there.
        let there = person || WAYS.contains(&shown.method) || self.verified.is_none();
        if reached < needed || !self.may_act() || !there {
            return EventKind::RightsProofShown;
        }
        self.verified = Some(Verified { jti, at: now, reached, needed, logged_in: self.here(Session, now) });
        EventKind::RightsVerified
    }

    fn apply(&mut self, event: &Event, since: Timestamp, before: EventKind, now: Timestamp) -> Result<EventKind, Not> {
        if self.end.is_some() {
            return Err(Not::Closed);
        }
        let not_for = |basis: RefusalBasis, allowed: &[RefusalBasis]| {
            !allowed.contains(&basis) || (basis == RefusalBasis::IdentityNotShown && self.verified.is_some())
        };
        match event {
            Event::Acknowledged if self.told => Err(Not::AlreadyAcknowledged),
            Event::Acknowledged => {
                self.told = true;
                Ok(EventKind::RightsAcknowledged)
            }
            Event::Tried => {
                self.wrong += 1;
                Ok(before)
            }
            Event::Undone => {
                self.wrong = self.wrong.saturating_sub(1);
                Ok(before)
            }
            Event::AuthorityGone => {
                // Whoever acted by it may not any more, verified or not.
                self.seen.remove(&GuardianConsent);
                self.verified = self.verified.filter(|_| self.acting != ActingAs::Guardian || self.free());
                Ok(before)
            }
            Event::Shown { .. } if self.free() => Err(Not::NoProofNeeded),
            Event::Shown { shown, .. } if self.handed_over && shown.method != HumanReview => Err(Not::InReview),
            Event::Shown { shown, .. } if shown.method == IdCard && !self.offers(now).card => Err(Not::IdForbidden),
            Event::Shown { shown, jti, tried, .. } => Ok(self.shown(shown, since, *jti, *tried, now)),
            Event::Failed(failure) => {
                self.wrong = if failure.contradicts { 5 } else { self.wrong };
                if self.wrong < 5 {
                    return Ok(EventKind::RightsProofFailed);
                }
                self.handed_over = self.handed_over || self.verified.is_none();
                Ok(EventKind::RightsInReview)
            }
            Event::Extended { .. } if now >= self.due => Err(Not::TooLate),
            Event::Extended { until: None, .. } => Err(Not::NoExtension),
            Event::Extended { until: Some(until), .. } => {
                (self.due, self.reminded, self.longer) = (until.due_at, false, self.longer + 1);
                Ok(EventKind::RightsExtended)
            }
            Event::Done { .. } if self.verified.is_none() => Err(Not::NotVerified),
            Event::Done { partly: Some(basis), allowed, .. } if not_for(*basis, allowed) => Err(Not::BasisNotAllowed),
            Event::Done { .. } => self.ends(RequestState::Done, EventKind::RightsDone),
            Event::Refused { basis, allowed, .. } if not_for(*basis, allowed) => Err(Not::BasisNotAllowed),
            Event::Refused { .. } => self.ends(RequestState::Refused, EventKind::RightsRefused),
            Event::Withdrawn { .. } => self.ends(RequestState::Withdrawn, EventKind::RightsWithdrawn),
            Event::TimePassed if self.tell_due().is_some_and(|by| now >= by) => {
                self.told_late = true;
                Ok(EventKind::RightsAcknowledgeOverdue)
            }
            Event::TimePassed if !self.late && now >= self.due => {
                (self.late, self.reminded) = (true, true);
                Ok(EventKind::RightsOverdue)
            }
            Event::TimePassed if !self.reminded && minutes(now, self.due) <= 3 * 24 * 60 => {
                self.reminded = true;
                Ok(EventKind::RightsDueSoon)
            }
            Event::TimePassed => Err(Not::TooLate),
        }
    }

    fn ends(&mut self, end: RequestState, kind: EventKind) -> Result<EventKind, Not> {
        self.end = Some(end);
        Ok(kind)
    }

    fn tell_due(&self) -> Option<Timestamp> {
        self.told_by.filter(|_| !self.told && !self.told_late)
    }

    fn next_due(&self) -> Option<Timestamp> {
        let answer = if self.reminded { self.due } else { self.due - SignedDuration::from_hours(72) };
        let all = [Some(answer).filter(|_| !self.late), self.tell_due()];
        all.into_iter().flatten().min().filter(|_| self.end.is_none())
    }

    /// What can still be shown.
    fn missing(&self, now: Timestamp) -> BTreeSet<Missing> {
        match self.state() {
            RequestState::InReview => return [Missing::HumanReview].into(),
            RequestState::Open => {}
            _ => return BTreeSet::new(),
        }
        let ([first, second, third], needs) = (self.steps(now), self.offers(now));
        let level = needs.level;
        let begin = match (self.vouched.is_empty(), self.today(Session, now)) {
            (true, _) => Missing::HumanReview,
            (false, true) => Missing::FreshSession,
            (false, false) => Missing::SessionOrCode,
        };
        let authority =
            if self.acting == ActingAs::Guardian { Missing::GuardianConsent } else { Missing::AgentAuthority };
        let mut missing: BTreeSet<Missing> = [
            (!first, begin),
            (level > 1 && !second, Missing::SecondFactor),
            (level > 2 && !third, Missing::DataPointsAndDeclaration),
            (level > 2 && !third && needs.card && first && second, Missing::MaskedIdCard),
            (level > 2 && !third, Missing::HumanReview),
            (!self.may_act(), authority),
        ]
        .into_iter()
        .filter_map(|(lacks, what)| lacks.then_some(what))
        .collect();
        // The shortest way begins with logging in.
        if self.logged_in.is_some() && !self.here(Session, now) && first {
            missing.insert(Missing::FreshSession);
        }
        missing
    }
}

fn one<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(0..all.len())]
}

/// What the runs came across: a test that never gets anywhere proves nothing.
#[derive(Default)]
struct Seen {
    steps: usize,
    states: BTreeSet<RequestState>,
    kinds: BTreeSet<EventKind>,
    refusals: BTreeSet<Not>,
    missing: BTreeSet<Missing>,
    corners: BTreeMap<&'static str, u32>,
}

impl Seen {
    fn corner(&mut self, name: &'static str, met: bool) {
        *self.corners.entry(name).or_default() += u32::from(met);
    }
}

/// A request and its model on their way.
struct Run<'a> {
    rng: Rng,
    seen: &'a mut Seen,
    request: RightsRequest,
    book: Book,
    now: Timestamp,
    /// Attempts that were counted and have not been looked at yet.
    pending: Vec<ProofMethod>,
    names: u128,
}

impl Run<'_> {
    /// Takes a step with both; true if it was possible.
    fn step(&mut self, event: Event, since: Timestamp) -> bool {
        let (before, was) = (self.request.event(), self.book.state());
        let mut next = self.book.clone();
        let expected = next.apply(&event, since, before, self.now);
        let came = self.request.step(event.clone(), self.now);
        self.seen.steps += 1;
        assert_eq!(came.as_ref().map(RightsRequest::event), expected.as_ref().copied(), "{event:?} in {was}");
        match came {
            Err(why) => _ = self.seen.refusals.insert(why),
            Ok(came) => {
                self.corners(&event, &came, &next);
                (self.request, self.book) = (came, next);
                self.seen.kinds.insert(self.request.event());
            }
        }
        self.holds();
        expected.is_ok()
    }

    fn corners(&mut self, event: &Event, came: &RightsRequest, next: &Book) {
        let kind = came.event();
        let shown = |method| next.seen.contains_key(&method);
        let earned = kind == EventKind::RightsVerified && self.book.verified.is_none();
        let needed = next.verified.map_or(0, |verified| verified.needed);
        let top = earned && needed == 3;
        let fifth = matches!(event, Event::Shown { .. }) && self.book.wrong >= 5 && !self.book.handed_over;
        for (name, met) in [
            ("a card was the last", top && shown(IdCard) && !shown(HumanReview)),
            ("three points and a declaration were enough", top && !shown(IdCard) && !shown(HumanReview)),
            ("a person was enough", top && shown(HumanReview)),
            ("a person stood for everything", earned && next.vouched.is_empty()),
            ("a guardian was verified", earned && next.acting == ActingAs::Guardian),
            ("an agent was verified", earned && next.acting == ActingAs::Agent),
            ("two ways were enough", earned && needed == 2 && next.points.is_empty() && !shown(HumanReview)),
            ("verified again", kind == EventKind::RightsVerified && self.book.verified.is_some()),
            ("shown after it was verified, and not enough by now", {
                kind == EventKind::RightsProofShown && next.verified.is_some()
            }),
            ("the fifth attempt held", fifth && !shown(HumanReview)),
            ("failed too often after it was verified", kind == EventKind::RightsInReview && next.verified.is_some()),
            ("a person ended a review", self.book.handed_over && !next.handed_over),
            ("the fifth attempt was undone", event == &Event::Undone && self.book.wrong == 5),
            ("a guardian's authority went", event == &Event::AuthorityGone && self.book.verified.is_some()),
            ("logging in lowered what is needed", earned && next.logged_in.is_some() && needed < next.otherwise.level),
            ("refused in part", matches!(event, Event::Done { partly: Some(_), .. })),
            ("extended twice", next.longer > 1),
            ("reminded again after it was extended", kind == EventKind::RightsDueSoon && next.longer > 0),
        ] {
            self.seen.corner(name, met);
        }
    }

    /// What holds for every request, whatever led to it.
    fn holds(&mut self) {
        let (request, book, now) = (&self.request, &self.book, self.now);
        let state = request.state();
        assert_eq!(state, book.state());
        let missing = request.missing(now);
        assert_eq!(missing.iter().copied().collect::<BTreeSet<_>>(), book.missing(now), "in {state}");
        assert_eq!(missing.len(), book.missing(now).len(), "named twice: {missing:?}");
        let name = |level: u8| format!("l{level}");
        let (reached, needed) = match book.verified {
            Some(verified) => (verified.reached, verified.needed),
            None => (book.reached(now), book.offers(now).level),
        };
        assert_eq!(request.required(now).as_str(), name(needed), "in {state}");
        assert_eq!(request.reached(now).as_str(), name(reached), "in {state}");
        assert!(state != RequestState::Verified || request.reached(now) >= request.required(now), "verified below");
        assert!(state != RequestState::Verified || book.free() || book.may_act(), "verified without authority");
        assert!(state != RequestState::Done || book.verified.is_some(), "done and not verified");
        let lives = |at: Timestamp| now.as_second() - at.as_second() < 15 * 60;
        let token = book.verified.filter(|verified| state == RequestState::Verified && lives(verified.at));
        assert_eq!(request.token(now).map(|proof| proof.jti), token.map(|verified| verified.jti));
        assert_eq!(request.ending().map(|_| state), book.end);
        assert_eq!(request.extensions().len(), book.longer);
        assert_eq!((request.clock().due_at, request.is_overdue()), (book.due, book.late));
        assert_eq!(request.next_due(), book.next_due());
        let kinds: BTreeSet<ProofMethod> = request.shown().iter().map(|shown| shown.method).collect();
        assert_eq!((kinds.len(), kinds), (request.shown().len(), book.seen.keys().copied().collect()));
        for method in ProofMethod::ALL {
            self.agrees(*method);
        }
        let (missing, state) = (self.request.missing(self.now), self.request.state());
        self.seen.missing.extend(missing);
        self.seen.states.insert(state);
    }

    /// Whether something may be shown is what the model says, and what may be shown is taken.
    fn agrees(&mut self, method: ProofMethod) {
        let (gate, expected) = (self.request.may_show(method, self.now), self.book.gate(method, self.now));
        assert_eq!(gate, expected, "{method} in {}", self.request.state());
        let shown = self::shown(Shown::new(method, self.now), Uuid::nil());
        if gate.is_ok() {
            let step = self.request.step(shown, self.now);
            assert!(step.is_ok(), "{method} may be shown and is not taken: {step:?}");
        }
        if let Err(why) = gate {
            self.seen.refusals.insert(why);
        }
    }

    /// What was shown, and since when if it is a session.
    fn shown(&mut self, method: ProofMethod) -> (Event, Timestamp) {
        let rng = &mut self.rng;
        let ago = one(rng, &[0, 1, 14 * 60, 15 * 60, 15 * 60 + 1, 3600]);
        let since = self.now - SignedDuration::from_secs(ago);
        let mut shown = match method {
            Session => Shown::session(since, self.now),
            method => Shown::new(method, self.now),
        };
        if method == DataPoints {
            shown.points = (0..rng.u8(2..4)).map(|_| one(rng, DataPointKind::ALL)).collect();
        }
        self.names += 1;
        let (jti, single_use) = (Uuid::from_u128(self.names), rng.bool());
        (Event::Shown { shown, jti, single_use, tried: GUESSED.contains(&method) }, since)
    }

    fn look(&mut self, method: ProofMethod, holds: bool) {
        let (event, since) = self.shown(method);
        let contradicts = method == IdCard && self.rng.u8(0..4) == 0;
        self.step(if holds { event } else { Event::Failed(Failure { method, contradicts }) }, since);
    }

    /// As the flow does it: asked first, counted if it can be guessed, looked at then or a little later.
    fn attempt(&mut self) {
        let method = match self.rng.u8(0..6) {
            0 => one(&mut self.rng, ProofMethod::ALL),
            1 => one(&mut self.rng, &[DataPoints, SignedDeclaration, IdCard]),
            _ => {
                let may: Vec<ProofMethod> = self.book.needs(self.now).may.iter().copied().collect();
                if may.is_empty() { HumanReview } else { one(&mut self.rng, &may) }
            }
        };
        if self.request.may_show(method, self.now).is_err() {
            return;
        }
        if GUESSED.contains(&method) {
            if !self.step(Event::Tried, self.now) {
                return;
            }
            if self.rng.u8(0..5) == 0 {
                return self.pending.push(method);
            }
        }
        let holds = self.rng.u8(0..10) < if GUESSED.contains(&method) { 5 } else { 9 };
        self.look(method, holds);
    }

    fn extend(&mut self) {
        let longer = SignedDuration::from_hours(24 * self.rng.i64(1..60));
        let until = (self.rng.u8(0..4) > 0).then(|| clock(self.book.due + longer));
        let reason = one(&mut self.rng, ExtensionReason::ALL);
        self.step(Event::Extended { reason, staff: staff(), until }, self.now);
    }

    fn answer(&mut self) {
        let rng = &mut self.rng;
        let allowed = RefusalBasis::ALL.iter().copied().filter(|_| rng.u8(0..3) == 0).collect();
        let any = one(rng, RefusalBasis::ALL);
        let basis = one(rng, &[RefusalBasis::IdentityNotShown, any]);
        let event = match rng.u8(0..6) {
            0 | 1 => Event::Refused { staff: staff(), basis, allowed },
            2 => Event::Withdrawn { staff: staff() },
            _ => Event::Done { staff: staff(), partly: rng.bool().then_some(basis), allowed },
        };
        self.step(event, self.now);
    }

    fn turn(&mut self) {
        let rng = &mut self.rng;
        let due = self.request.next_due().filter(|due| *due > self.now);
        self.now = match rng.u8(0..40) {
            // To the very second of a border, and one beyond.
            0 => self.now + SignedDuration::from_secs(15 * 60 + rng.i64(0..2)),
            1 => self.now + SignedDuration::from_secs(24 * 3600 + rng.i64(0..2)),
            2 | 3 => due.unwrap_or(self.now) + SignedDuration::from_secs(rng.i64(0..2)),
            4 => due.unwrap_or(self.now) - SignedDuration::from_secs(1),
            5 => self.now + SignedDuration::from_hours(rng.i64(1..50)),
            6..16 => self.now,
            _ => self.now + SignedDuration::from_secs(rng.i64(0..400)),
        }
        .max(self.now);
    }

    fn go(&mut self) {
        for _ in 0..STEPS {
            self.turn();
            match self.rng.u8(0..100) {
                0..70 => self.attempt(),
                70..80 if !self.pending.is_empty() => {
                    let method = self.pending.swap_remove(self.rng.usize(0..self.pending.len()));
                    match self.rng.u8(0..5) {
                        0 => _ = self.step(Event::Undone, self.now),
                        n => self.look(method, n > 2),
                    }
                }
                70..84 => _ = self.step(Event::TimePassed, self.now),
                84..89 => _ = self.step(Event::Acknowledged, self.now),
                89..94 => self.extend(),
                94 => _ = self.step(Event::AuthorityGone, self.now),
                // What nobody asked the gate about takes nobody further than the ladder does.
                95 => {
                    let method = one(&mut self.rng, ProofMethod::ALL);
                    self.look(method, true);
                }
                _ => self.answer(),
            }
        }
    }
}

#[test]
fn a_hundred_thousand_random_steps_agree_with_the_model() {
    let (mut seen, table) = (Seen::default(), RightsTable::embedded().unwrap());
    for seed in 0..RUNS {
        let mut rng = Rng::with_seed(seed);
        let (asked, jti) = (asked(&mut rng, &table), Uuid::from_u128(1));
        let due = start() + SignedDuration::from_hours(24 * rng.i64(2..46));
        let told_by = rng.bool().then(|| start() + SignedDuration::from_hours(24 * rng.i64(1..15)));
        let clocks = (due, told_by.map(|by| by.min(due)));
        let (book, request) = (Book::of(&asked, clocks, jti), opened(asked, clocks, jti));
        seen.kinds.insert(request.event());
        let mut run = Run { rng, seen: &mut seen, request, book, now: start(), pending: Vec::new(), names: 1 };
        run.holds();
        run.go();
        let stored = serde_json::to_vec(&run.request).unwrap();
        assert_eq!(serde_json::from_slice::<RightsRequest>(&stored).unwrap(), run.request);
    }
    println!("{} steps, corners {:?}", seen.steps, seen.corners);
    assert!(seen.steps >= 100_000, "only {} steps", seen.steps);
    assert_eq!(seen.states.len(), RequestState::ALL.len(), "{:?}", seen.states);
    assert_eq!(seen.missing.len(), Missing::ALL.len(), "{:?}", seen.missing);
    // All but what codes, tokens and locks do beside the machine.
    let beside =
        [EventKind::RightsCodeMade, EventKind::RightsProofRedeemed, EventKind::RightsLocked, EventKind::RightsUnlocked];
    let all = EventKind::ALL.iter().filter(|kind| kind.as_str().starts_with("rights.") && !beside.contains(kind));
    assert_eq!(seen.kinds, all.copied().collect());
    let all = Not::ALL.iter().filter(|why| ![Not::Locked, Not::TooManyCodes].contains(why));
    assert_eq!(seen.refusals, all.copied().collect());
    assert!(seen.corners.values().all(|times| *times > 0), "{:?}", seen.corners);
}

/// Every request that the table can make, each time that it asks for no proof.
fn without_proof() -> impl Iterator<Item = (Question, plan::Plan)> {
    let table = RightsTable::embedded().unwrap();
    let mut all = Vec::new();
    for (right, regime) in Right::ALL.iter().flat_map(|right| Regime::ALL.iter().map(move |regime| (*right, *regime))) {
        for (acting_as, account) in ActingAs::ALL.iter().flat_map(|acting| [(*acting, true), (*acting, false)]) {
            let question = Question { right, regime, acting_as, account };
            all.push((question, table.plan(&question)));
        }
    }
    assert_eq!(all.len(), 16 * 4 * 3 * 2);
    for (question, plan) in &all {
        let free = [Right::OptOut, Right::LimitSensitive].contains(&question.right);
        assert!(!free || plan.level == ProofLevel::L0, "{question:?} asks for proof");
    }
    all.into_iter().filter(|(_, plan)| plan.level == ProofLevel::L0)
}

#[test]
fn what_needs_no_proof_takes_none_and_no_picture_under_any_law() {
    let mut tried = 0;
    for (question, plan) in without_proof() {
        assert_eq!(plan.id_document, IdDocument::Forbidden, "{question:?}");
        let mut rng = Rng::with_seed(tried);
        let Question { right, regime, acting_as, account } = question;
        // Whatever else a request says, and also what no table says.
        for id_document in IdDocument::ALL {
            let all = terms(plan.level, *id_document, ProofMethod::ALL.to_vec());
            let of = Asked {
                right,
                regime,
                acting_as,
                fresh_session: rng.bool(),
                with_session: account.then(|| all.clone()),
                terms: all,
                vouched: WAYS.into(),
                ..asked(&mut rng, &RightsTable::embedded().unwrap())
            };
            let due = start() + SignedDuration::from_hours(24 * 15);
            let mut request = opened(of, (due, Some(due)), Uuid::from_u128(1));
            let failed = || Some(Event::Failed(Failure { method: IdCard, contradicts: true }));
            for event in [
                None,
                Some(Event::Acknowledged),
                failed(),
                Some(Event::TimePassed),
                Some(Event::AuthorityGone),
                Some(Event::Undone),
                Some(Event::Tried),
                Some(Event::Tried),
                Some(Event::Tried),
                Some(Event::Tried),
                Some(Event::Tried),
                failed(),
            ] {
                if let Some(event) = event {
                    request = request.step(event, due).unwrap();
                }
                assert_eq!(request.state(), RequestState::Verified, "nobody has to prove anything");
                for method in ProofMethod::ALL {
                    let shown =
                        Shown { points: DataPointKind::ALL.iter().copied().collect(), ..Shown::new(*method, due) };
                    assert_eq!(
                        request.step(self::shown(shown, Uuid::nil()), due),
                        Err(Not::NoProofNeeded),
                        "{question:?} takes {method}"
                    );
                    let why = if *method == IdCard { Not::IdForbidden } else { Not::NoProofNeeded };
                    assert_eq!(request.may_show(*method, due), Err(why), "{question:?} takes {method}");
                    tried += 1;
                }
                assert!(request.missing(due).is_empty() && request.shown().is_empty(), "{question:?}");
            }
            assert!(request.step(done(), due).is_ok(), "{question:?} is not done");
        }
    }
    assert!(tried > 11 * 12 * 2 * 24, "only {tried}");
}

/// A request for a right of this level, by whoever is known over these ways, with an account that changes nothing.
fn plain(level: ProofLevel, fresh_session: bool, acting_as: ActingAs, vouched: &[ProofMethod]) -> RightsRequest {
    let mut rng = Rng::with_seed(1);
    let question = Question { right: Right::Access, regime: Regime::Gdpr, acting_as, account: true };
    let terms = terms(level, IdDocument::Forbidden, plan::methods(level, IdDocument::Forbidden, &question));
    let of = Asked {
        right: Right::Access,
        acting_as,
        vouched: vouched.iter().copied().collect(),
        fresh_session,
        with_session: None,
        terms,
        ..asked(&mut rng, &RightsTable::embedded().unwrap())
    };
    opened(of, (start() + SignedDuration::from_hours(24 * 30), None), Uuid::from_u128(1))
}

fn show(request: &RightsRequest, shown: Shown) -> RightsRequest {
    let now = shown.at;
    request.may_show(shown.method, now).unwrap();
    request.step(self::shown(shown, Uuid::from_u128(2)), now).unwrap()
}

fn two_points(at: Timestamp) -> Shown {
    let points = [DataPointKind::Payment, DataPointKind::Reference].into();
    Shown { points, ..Shown::new(DataPoints, at) }
}

#[test]
fn a_fresh_session_is_a_quarter_of_an_hour_old_at_most_when_it_counts() {
    let after = |minutes| start() + SignedDuration::from_mins(minutes);
    for (shown, completed, verified) in
        [(0, 15, true), (15, 15, true), (0, 16, false), (14, 16, false), (15, 30, false)]
    {
        let request = plain(ProofLevel::L2, true, ActingAs::Myself, &[Session]);
        let request = show(&request, Shown::session(start(), after(shown)));
        let request = show(&request, two_points(after(completed)));
        let is = request.state() == RequestState::Verified;
        assert_eq!(is, verified, "logged in at 0, shown at {shown}, completed at {completed}");
    }
}

#[test]
fn the_level_at_which_somebody_was_verified_stays_whatever_is_shown_after() {
    let later = start() + SignedDuration::from_mins(1);
    let request = plain(ProofLevel::L2, true, ActingAs::Myself, &[Session]);
    let request = show(&show(&request, Shown::session(start(), start())), two_points(start()));
    assert_eq!((request.state(), request.reached(start())), (RequestState::Verified, ProofLevel::L2));
    let request = show(&request, Shown::session(later - SignedDuration::from_hours(2), later));
    assert_eq!((request.state(), request.reached(later)), (RequestState::Verified, ProofLevel::L2));
}

#[test]
fn what_was_required_of_somebody_who_was_verified_stays_when_they_log_in_again() {
    let mut of = plain(ProofLevel::L3, true, ActingAs::Myself, &[Session, EmailCode]).asked().clone();
    let methods = [Session, EmailCode, DataPoints].into();
    of.with_session = Some(terms(ProofLevel::L2, IdDocument::Forbidden, methods));
    let request = opened(of, (start() + SignedDuration::from_hours(24 * 30), None), Uuid::from_u128(1));
    let request = show(&show(&request, Shown::new(EmailCode, start())), Shown::session(start(), start()));
    assert_eq!((request.state(), request.required(start())), (RequestState::Verified, ProofLevel::L2));
    let tomorrow = start() + SignedDuration::from_hours(25);
    let request = show(&request, Shown::session(tomorrow, tomorrow));
    assert_eq!((request.state(), request.reached(tomorrow)), (RequestState::Verified, ProofLevel::L2));
    assert_eq!(request.required(tomorrow), ProofLevel::L2, "verified below what is required");
}

#[test]
fn whose_authority_is_gone_is_not_verified_any_more() {
    let request = plain(ProofLevel::L2, false, ActingAs::Guardian, &[EmailCode]);
    let request = show(&request, Shown::new(GuardianConsent, start()));
    let request = show(&show(&request, Shown::new(EmailCode, start())), two_points(start()));
    assert_eq!(request.state(), RequestState::Verified);
    let request = request.step(Event::AuthorityGone, start()).unwrap();
    assert_eq!(request.state(), RequestState::Open, "the consent was taken back");
    assert_eq!(request.missing(start()), [Missing::GuardianConsent]);
    assert!(request.token(start()).is_none());
    assert_eq!(request.step(done(), start()), Err(Not::NotVerified));
}

#[test]
fn what_is_said_to_be_missing_can_be_shown() {
    for level in &ProofLevel::ALL[1..] {
        for vouched in [&[][..], &[Session], &[EmailCode], &WAYS] {
            let request = plain(*level, false, ActingAs::Myself, vouched);
            let may = |methods: &[ProofMethod]| methods.iter().any(|m| request.may_show(*m, start()).is_ok());
            let ways = request.missing(start()).into_iter().filter(|what| match what {
                Missing::SessionOrCode => may(&WAYS),
                Missing::FreshSession => may(&[Session]),
                Missing::SecondFactor | Missing::DataPointsAndDeclaration => may(&[DataPoints]),
                Missing::MaskedIdCard => may(&[IdCard]),
                Missing::HumanReview => may(&[HumanReview]),
                Missing::GuardianConsent => may(&[GuardianConsent]),
                Missing::AgentAuthority => may(&[AgentPermission, PowerOfAttorney]),
            });
            let missing = request.missing(start());
            assert_eq!(ways.collect::<Vec<_>>(), missing, "{level}, known over {vouched:?}");
        }
    }
}
