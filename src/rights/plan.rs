//! What holds for one request: which proof, by when, how much longer at most, and on which grounds it may be refused.
//!
//! A [`Plan`] is made by [`RightsTable::plan`](super::table::RightsTable::plan) from the rows of the policy and of the
//! regime. Always: where no proof may be asked for, nothing is asked for; a picture of an identity card is the last
//! resort to reach the highest level, and forbidden everywhere else; the answer is due on the earliest day that any row
//! names; an extended day is never later than what the law of the regime allows from the day of receipt.

use super::clock::{Calendar, Span};
use crate::policy::rules::Citation;
use crate::terms::{
    ActingAs, ExtensionReason, IdDocument, NeverAsk, PolicyDigest, ProofLevel, ProofMethod, RefusalBasis, Regime,
    Right, RuleId,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What is asked, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The right.
    pub right: Right,
    /// Under which law.
    pub regime: Regime,
    /// For whom the requester acts.
    pub acting_as: ActingAs,
    /// Whether the person has an account that they can log in to.
    pub account: bool,
}

/// How much longer an answer may take, from the day that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// By how much each time.
    pub by: Span,
    /// How many times.
    pub times: u8,
    /// For which reasons.
    pub reasons: Vec<ExtensionReason>,
}

/// What holds for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The rows that were merged: the policy's, then the regime's.
    pub rows: Vec<RuleId>,
    /// How sure it must be that the requester is the person concerned, or may act for them.
    pub level: ProofLevel,
    /// A session counts only if it was begun or renewed lately.
    pub fresh_session: bool,
    /// Whether a picture of an identity card may be asked for.
    pub id_document: IdDocument,
    /// What the requester may be offered to show: each can lead to the level, alone or with others.
    pub may_ask: Vec<ProofMethod>,
    /// What must never be demanded. What is also in `may_ask` is taken if it is offered.
    pub never_ask: Vec<NeverAsk>,
    /// When receipt must be acknowledged; the earliest holds.
    pub acknowledge: Vec<Span>,
    /// When the answer is due, by the policy and by the regime; the earliest holds.
    pub answer: Vec<Span>,
    /// How much longer it may take. The policy alone knows no extension.
    pub extension: Option<Extension>,
    /// On which grounds it may be refused.
    pub refusals: Vec<RefusalBasis>,
    /// What all this rests on.
    pub citations: Vec<Citation>,
    /// The digest of the whole table.
    pub digest: PolicyDigest,
}

impl Plan {
    /// The last day for the answer: the earliest that any row names.
    pub fn due(&self, received: Date, calendar: &Calendar) -> Date {
        // A table without a period for the answer is refused; if there were none, it would be due at once.
        earliest(&self.answer, received, calendar).unwrap_or(received)
    }

    /// The last day to acknowledge receipt; never after the answer is due.
    pub fn acknowledge_by(&self, received: Date, calendar: &Calendar) -> Option<Date> {
        let day = earliest(&self.acknowledge, received, calendar)?;
        Some(day.min(self.due(received, calendar)))
    }

    /// The last day after one more extension, where `due` is the day that stands and `used` counts the extensions that
    /// were taken. `None` if it may not be extended (any more).
    pub fn extended(&self, due: Date, used: u8, calendar: &Calendar) -> Option<Date> {
        let extension = self.extension.as_ref().filter(|extension| used < extension.times)?;
        Some(extension.by.after(due, calendar)).filter(|day| *day > due)
    }
}

fn earliest(spans: &[Span], from: Date, calendar: &Calendar) -> Option<Date> {
    spans.iter().map(|span| span.after(from, calendar)).min()
}

/// What can lead to a level.
pub(super) fn methods(level: ProofLevel, id_document: IdDocument, asked: &Asked) -> Vec<ProofMethod> {
    use ProofMethod::{
        AgentPermission, DataPoints, EmailCode, GuardianConsent, HumanReview, IdCard, PhoneCode, PostCode,
        PowerOfAttorney, Session, SignedDeclaration,
    };
    if level == ProofLevel::L0 {
        return Vec::new();
    }
    let mut methods = vec![PhoneCode, EmailCode, PostCode];
    if asked.account {
        methods.push(Session);
    }
    if level >= ProofLevel::L2 {
        methods.push(DataPoints);
    }
    if level == ProofLevel::L3 {
        methods.extend([SignedDeclaration, HumanReview]);
    }
    if id_document == IdDocument::LastResort {
        methods.push(IdCard);
    }
    match asked.acting_as {
        ActingAs::Myself => {}
        ActingAs::Guardian => methods.push(GuardianConsent),
        ActingAs::Agent => methods.extend([AgentPermission, PowerOfAttorney]),
    }
    methods.sort_unstable();
    methods
}
