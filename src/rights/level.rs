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
    /// When a session was begun or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
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
        Self { method, at, since: None, points: BTreeSet::new(), staff: None }
    }

    /// A session that was begun or renewed at `since`.
    pub fn session(since: Timestamp, at: Timestamp) -> Self {
        Self { since: Some(since), ..Self::new(ProofMethod::Session, at) }
    }

    /// Whether it still says who is there.
    fn counts(&self, now: Timestamp) -> bool {
        match self.method {
            ProofMethod::Session | ProofMethod::PhoneCode | ProofMethod::EmailCode | ProofMethod::PostCode => {
                now.duration_since(self.at) <= PRESENCE
            }
            ProofMethod::DataPoints
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
    reachable: bool,
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
        let young = |since: Timestamp| since <= now && now.duration_since(since) <= FRESH;
        let session =
            live().any(|shown| shown.method == ProofMethod::Session && (!fresh || shown.since.is_some_and(young)));
        let codes = [ProofMethod::PhoneCode, ProofMethod::EmailCode, ProofMethod::PostCode];
        let factors = usize::from(session) + codes.into_iter().filter(|code| has(*code)).count();
        // What the mailbox or the telephone knows itself is no second factor beside it.
        let known = [
            (ProofMethod::EmailCode, DataPointKind::EmailAddress),
            (ProofMethod::PhoneCode, DataPointKind::PhoneNumber),
            (ProofMethod::PostCode, DataPointKind::PostalAddress),
            (ProofMethod::Session, DataPointKind::Username),
        ];
        let own = |point: &DataPointKind| known.iter().any(|(method, same)| same == point && has(*method));
        let points = live().flat_map(|shown| shown.points.iter()).filter(|point| !own(point)).count();
        let review = has(ProofMethod::HumanReview);
        Self {
            session,
            stale_session: any_session && !session,
            reachable,
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

    /// Whether a session stands, as young as it must be.
    pub fn session(&self) -> bool {
        self.session
    }

    /// Whether an identity card would be the last thing missing.
    pub fn all_but_the_card(&self) -> bool {
        self.base && self.second && !self.third
    }

    /// What can still be shown to reach a level.
    pub fn missing(&self, level: ProofLevel, acting: ActingAs, card: IdDocument) -> Vec<Missing> {
        let mut missing = Vec::new();
        if level >= ProofLevel::L1 && !self.base {
            missing.push(match (self.reachable, self.stale_session) {
                (false, _) => Missing::HumanReview,
                (true, true) => Missing::FreshSession,
                (true, false) => Missing::SessionOrCode,
            });
        }
        if level >= ProofLevel::L2 && !self.second {
            missing.push(Missing::SecondFactor);
        }
        if level >= ProofLevel::L3 && !self.third {
            missing.push(Missing::DataPointsAndDeclaration);
            if card == IdDocument::LastResort && self.all_but_the_card() {
                missing.push(Missing::MaskedIdCard);
            }
            if !missing.contains(&Missing::HumanReview) {
                missing.push(Missing::HumanReview);
            }
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
