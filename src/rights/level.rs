//! What was shown, and how far that goes.

use super::{FRESH, POINTS_L2, POINTS_L3, PRESENCE};
use crate::terms::{ActingAs, DataPointKind, IdDocument, Missing, ProofLevel, ProofMethod, StaffRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Something that was shown: what kind of thing and when, and nothing of what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// What.
    pub method: ProofMethod,
    /// When.
    pub at: Timestamp,
    /// Whether a session was begun or renewed just before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Which data points agreed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub points: BTreeSet<DataPointKind>,
    /// Who of the relying party's staff looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staff: Option<StaffRef>,
}

impl Shown {
    /// Something that was shown.
    pub fn new(method: ProofMethod, at: Timestamp) -> Self {
        Self { method, at, fresh: false, points: BTreeSet::new(), staff: None }
    }

    /// A session that was begun or renewed at `since`.
    pub fn session(since: Timestamp, at: Timestamp) -> Self {
        let fresh = since <= at && at.duration_since(since) <= FRESH;
        Self { fresh, ..Self::new(ProofMethod::Session, at) }
    }

    /// Whether it still says who is there.
    fn counts(&self, now: Timestamp) -> bool {
        match self.method {
            ProofMethod::Session | ProofMethod::PhoneCode | ProofMethod::EmailCode => {
                now.duration_since(self.at) <= PRESENCE
            }
            ProofMethod::PostCode
            | ProofMethod::DataPoints
            | ProofMethod::SignedDeclaration
            | ProofMethod::IdCard
            | ProofMethod::HumanReview
            | ProofMethod::GuardianConsent
            | ProofMethod::AgentPermission
            | ProofMethod::PowerOfAttorney => true,
        }
    }
}

/// How far what was shown goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    session: bool,
    stale_session: bool,
    base: bool,
    second: bool,
    third: bool,
    guardian: bool,
    agent: bool,
}

impl Standing {
    /// Adds up what was shown. `fresh` is whether a session must be; `reachable` whether there is a session or a contact
    /// at all: where there is none, only a person can say who asks.
    pub fn of(shown: &[Shown], fresh: bool, reachable: bool, now: Timestamp) -> Self {
        let live = || shown.iter().filter(|shown| shown.counts(now));
        let has = |method: ProofMethod| live().any(|shown| shown.method == method);
        let any_session = has(ProofMethod::Session);
        let session = live().any(|shown| {
            shown.method == ProofMethod::Session && (!fresh || (shown.fresh && now.duration_since(shown.at) <= FRESH))
        });
        let codes = [ProofMethod::PhoneCode, ProofMethod::EmailCode, ProofMethod::PostCode];
        let factors = usize::from(session) + codes.into_iter().filter(|code| has(*code)).count();
        let points = live().flat_map(|shown| shown.points.iter()).collect::<BTreeSet<_>>().len();
        let review = has(ProofMethod::HumanReview);
        Self {
            session,
            stale_session: any_session && !session,
            base: factors > 0 || (review && !reachable),
            second: factors > 1 || points >= POINTS_L2 || review,
            third: (points >= POINTS_L3 && has(ProofMethod::SignedDeclaration)) || has(ProofMethod::IdCard) || review,
            guardian: has(ProofMethod::GuardianConsent),
            agent: has(ProofMethod::AgentPermission) || has(ProofMethod::PowerOfAttorney),
        }
    }

    /// The level that is reached. Each rests on the one below.
    pub fn level(&self) -> ProofLevel {
        match (self.base, self.second, self.third) {
            (false, ..) => ProofLevel::L0,
            (true, false, _) => ProofLevel::L1,
            (true, true, false) => ProofLevel::L2,
            (true, true, true) => ProofLevel::L3,
        }
    }

    /// Whether whoever acts for another may.
    pub fn authority(&self, acting: ActingAs) -> bool {
        match acting {
            ActingAs::Myself => true,
            ActingAs::Guardian => self.guardian,
            ActingAs::Agent => self.agent,
        }
    }

    /// Whether an identity card would be the last thing missing.
    pub fn all_but_the_card(&self) -> bool {
        self.base && self.second && !self.third
    }

    /// What can still be shown to reach a level.
    pub fn missing(&self, level: ProofLevel, acting: ActingAs, card: IdDocument) -> Vec<Missing> {
        let mut missing = Vec::new();
        if level >= ProofLevel::L1 && !self.base {
            missing.push(if self.stale_session { Missing::FreshSession } else { Missing::SessionOrCode });
        }
        if level >= ProofLevel::L2 && !self.second {
            missing.push(Missing::SecondFactor);
        }
        if level >= ProofLevel::L3 && !self.third {
            missing.push(Missing::DataPointsAndDeclaration);
            if card == IdDocument::LastResort && self.all_but_the_card() {
                missing.push(Missing::MaskedIdCard);
            }
            missing.push(Missing::HumanReview);
        }
        if level > ProofLevel::L0 && !self.authority(acting) {
            match acting {
                ActingAs::Myself => {}
                ActingAs::Guardian => missing.push(Missing::GuardianConsent),
                ActingAs::Agent => missing.push(Missing::AgentAuthority),
            }
        }
        missing
    }
}
