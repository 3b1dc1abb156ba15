//! One rights request and its steps.

use super::{FAILURES, Shown, Standing, TOKEN};
use crate::terms::{
    ActingAs, DecisionId, EventKind, ExtensionReason, IdDocument, Jurisdiction, Missing, PolicyDigest, ProofLevel,
    ProofMethod, RefusalBasis, Regime, RelyingParty, RequestId, RequestState, Right, StaffRef,
};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What must be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The level that is required.
    pub level: ProofLevel,
    /// Whether an identity card may be asked for.
    pub id_document: IdDocument,
    /// What may be asked for; anything else would be more than is needed.
    pub may_ask: BTreeSet<ProofMethod>,
}

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
    /// Over which ways the relying party knew the person before: a session, contacts that were confirmed.
    pub vouched: BTreeSet<ProofMethod>,
    /// The decision that is to be explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// Whether a session counts only if it was begun or renewed just before.
    pub fresh_session: bool,
    /// What holds for whoever has an account, as long as a session stands: an account that nobody logs in to shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_session: Option<Terms>,
    /// What holds otherwise.
    pub terms: Terms,
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
    /// The level that was reached.
    pub level: ProofLevel,
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
    pub(super) id: RequestId,
    pub(super) relying_party: RelyingParty,
    pub(super) asked: Asked,
    pub(super) state: RequestState,
    pub(super) event: EventKind,
    pub(super) changed_at: Timestamp,
    pub(super) clock: Clock,
    pub(super) acknowledge_by: Option<Clock>,
    pub(super) acknowledged_at: Option<Timestamp>,
    pub(super) extensions: Vec<Extended>,
    pub(super) shown: Vec<Shown>,
    pub(super) failures: u8,
    pub(super) proof: Option<Proof>,
    /// Whether a session stood when the requester was verified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) by_session: bool,
    pub(super) ending: Option<Ending>,
    pub(super) reminded: bool,
    pub(super) overdue: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) acknowledge_overdue: bool,
}

impl RightsRequest {
    /// The same, of one that was taken before it could be recorded and counted: it is now.
    pub fn counted(self, (times, repeated): (u16, bool), now: Timestamp) -> Self {
        let proof = self.proof.map(|proof| Proof { at: now, ..proof });
        Self { asked: Asked { times, repeated, ..self.asked }, proof, changed_at: now, ..self }
    }

    /// When time does something to it next.
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.is_open() {
            return None;
        }
        let answer = if self.reminded { self.clock.due_at } else { self.remind_at() };
        let answer = (!self.overdue).then_some(answer);
        [answer, self.acknowledge_due()].into_iter().flatten().min()
    }

    /// When it is too late to acknowledge, if that is still to come or to be told.
    pub(super) fn acknowledge_due(&self) -> Option<Timestamp> {
        let pending = self.acknowledged_at.is_none() && !self.acknowledge_overdue;
        self.acknowledge_by.filter(|_| pending).map(|clock| clock.due_at)
    }

    /// Whether no proof is needed, and none may be asked for.
    pub fn is_free(&self) -> bool {
        self.asked.terms.level == ProofLevel::L0
    }

    /// Whether it may be refused on this ground. Who is verified is not refused for want of a proof.
    pub(super) fn may_refuse(&self, basis: RefusalBasis, allowed: &[RefusalBasis]) -> bool {
        let verified = self.state == RequestState::Verified;
        allowed.contains(&basis) && !(verified && basis == RefusalBasis::IdentityNotShown)
    }

    /// What must be shown: the way that asks for least, by a session where there is an account. Of a verified request, what
    /// held for it.
    pub fn terms(&self, now: Timestamp) -> &Terms {
        let verified = self.proof.filter(|_| !matches!(self.state, RequestState::Open | RequestState::InReview));
        match (verified, &self.asked.with_session) {
            (Some(_), Some(terms)) if self.by_session => terms,
            (Some(_), _) => &self.asked.terms,
            (None, Some(terms)) => terms,
            (None, None) => self.terms_at(now),
        }
    }

    /// What holds at a time: less only while a session stands. An account that nobody logs in to shows nothing.
    pub(super) fn terms_at(&self, now: Timestamp) -> &Terms {
        match &self.asked.with_session {
            Some(terms) if self.standing(now).session() => terms,
            Some(_) | None => &self.asked.terms,
        }
    }

    /// Whether something of this kind is taken, now or with a session.
    pub(super) fn takes(&self, method: ProofMethod, now: Timestamp) -> bool {
        let session = self.asked.with_session.as_ref().filter(|_| method == ProofMethod::Session);
        session.is_some() || self.terms_at(now).may_ask.contains(&method)
    }

    /// How far what was shown goes.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let reachable = !self.asked.vouched.is_empty();
        Standing::of(&self.shown, self.asked.fresh_session, reachable, now)
    }

    /// The level that is required; acting for another takes at least the second.
    pub fn required(&self, now: Timestamp) -> ProofLevel {
        self.raised(self.terms(now).level)
    }

    pub(super) fn raised(&self, level: ProofLevel) -> ProofLevel {
        match (level, self.asked.acting_as) {
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
                let terms = self.terms(now);
                let standing = self.standing(now);
                let mut missing = standing.missing(self.required(now), self.asked.acting_as, terms.id_document);
                let asks = [Missing::SessionOrCode, Missing::FreshSession];
                if self.asked.with_session.is_some() && !standing.session() && !asks.iter().any(|a| missing.contains(a))
                {
                    missing.insert(0, Missing::FreshSession);
                }
                missing
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
        self.acknowledge_by.map(|clock| clock.due)
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
        match (self.state, self.proof) {
            (RequestState::Open | RequestState::InReview, _) | (_, None) => self.standing(now).level(),
            (_, Some(proof)) => proof.level,
        }
    }

    /// Whether the time for the answer is over.
    pub fn is_overdue(&self) -> bool {
        self.overdue
    }
}
