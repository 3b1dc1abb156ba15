//! What was decided and why, without a date of birth, an exact age, a name or a number; and the proof that a token may
//! be signed.
//!
//! A [`Decision`] is safe to store and to show. Its fields are private: it comes from [`super::decide`], or from a
//! record of one. A [`Grant`] comes only from a decision that allows.

use super::rules::{Citation, Rule};
use super::step::Step;
use crate::terms::{
    AssuranceLevel, ConsentId, DocumentKind, Jurisdiction, PolicyDigest, Purpose, Reason, RuleId, Signal,
};
use serde::{Deserialize, Serialize};

/// What a decision came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Old enough, and the evidence suffices.
    Allowed,
    /// A guardian has to consent first.
    ConsentRequired {
        /// How old the guardian must be at least.
        guardian_min_age: u8,
        /// Whether the law asks for it (and may limit how), not only the service's policy.
        legal_guardian: bool,
    },
    /// Too young, and no consent changes that.
    Blocked,
    /// The evidence does not suffice.
    Unreadable {
        /// Why, without repetition, in the order of [`Reason`].
        reasons: Vec<Reason>,
        /// Whether another picture of the same document can help.
        retryable: bool,
    },
    /// The evidence contradicts itself.
    Inconsistent {
        /// Why, without repetition, in the order of [`Reason`].
        reasons: Vec<Reason>,
    },
}

impl Outcome {
    /// No usable evidence, for these reasons. Another picture helps only if it can mend every one of them.
    pub(super) fn unreadable(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_unstable();
        reasons.dedup();
        let retryable = reasons.iter().all(|reason| reason.retryable());
        Self::Unreadable { reasons, retryable }
    }

    /// A contradiction, for these reasons.
    pub(super) fn inconsistent(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_unstable();
        reasons.dedup();
        Self::Inconsistent { reasons }
    }
}

/// One `age_over_NN` answer, in full years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeOver {
    /// The `NN`.
    pub years: u8,
    /// Whether it is reached.
    pub reached: bool,
}

/// What was decided under which rule, and how. Holds nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    outcome: Outcome,
    rule: RuleId,
    rows: Vec<RuleId>,
    citations: Vec<Citation>,
    policy: PolicyDigest,
    jurisdiction: Jurisdiction,
    purpose: Purpose,
    thresholds: Vec<AgeOver>,
    assurance: Option<AssuranceLevel>,
    document: Option<DocumentKind>,
    signals: Vec<Signal>,
    steps: Vec<Step>,
    keeps_nothing: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    suffices: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent: Option<ConsentId>,
}

/// What `decide` found out besides what the rule already says.
pub(super) struct Findings {
    pub outcome: Outcome,
    pub thresholds: Vec<AgeOver>,
    pub assurance: Option<AssuranceLevel>,
    pub document: Option<DocumentKind>,
    pub signals: Vec<Signal>,
    pub steps: Vec<Step>,
    pub keeps_nothing: bool,
    pub suffices: bool,
    pub consent: Option<ConsentId>,
}

impl Decision {
    pub(super) fn new(rule: &Rule, found: Findings) -> Self {
        Self {
            outcome: found.outcome,
            rule: rule.id.clone(),
            rows: rule.rows.clone(),
            citations: rule.citations.clone(),
            policy: rule.digest,
            jurisdiction: rule.jurisdiction,
            purpose: rule.purpose,
            thresholds: found.thresholds,
            assurance: found.assurance,
            document: found.document,
            signals: found.signals,
            steps: found.steps,
            keeps_nothing: found.keeps_nothing,
            suffices: found.suffices,
            consent: found.consent,
        }
    }

    /// What it came to.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The rule that was applied.
    pub fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// The rows of the table that the rule was merged from.
    pub fn rows(&self) -> &[RuleId] {
        &self.rows
    }

    /// What the rule rests on.
    pub fn citations(&self) -> &[Citation] {
        &self.citations
    }

    /// The digest of the whole rule table.
    pub fn policy(&self) -> PolicyDigest {
        self.policy
    }

    /// The place that was asked for.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction
    }

    /// The purpose that was asked for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The rule's `age_over_NN` answers, lowest first; empty unless the evidence suffices and the outcome is `Allowed`
    /// or `ConsentRequired`.
    pub fn thresholds(&self) -> &[AgeOver] {
        &self.thresholds
    }

    /// How well the date of birth was witnessed; none for a declared date, and when none was read.
    pub fn assurance(&self) -> Option<AssuranceLevel> {
        self.assurance
    }

    /// The kind of document, if it was told.
    pub fn document(&self) -> Option<DocumentKind> {
        self.document
    }

    /// Remarks about the document, without repetition.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// How the rule led to the outcome, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether nothing about the person may be kept but one event without personal data: no subject reference, no
    /// record to look up, no history. True for everyone below the block age, also where the outcome is `Inconsistent`.
    pub fn keeps_nothing(&self) -> bool {
        self.keeps_nothing
    }

    /// Whether the document sufficed to allow, but for the age.
    pub fn suffices(&self) -> bool {
        self.suffices
    }

    /// The guardian's consent that the way to the outcome led over.
    pub fn consent(&self) -> Option<ConsentId> {
        self.consent
    }

    /// The proof that a token may be signed: there is one only if the outcome is `Allowed`. A recorded decision gives
    /// the same proof again, so that a retry is answered with the same claims.
    pub fn grant(&self) -> Option<Grant> {
        match self.outcome {
            Outcome::Allowed => Some(Grant {
                rule: self.rule.clone(),
                policy: self.policy,
                jurisdiction: self.jurisdiction,
                purpose: self.purpose,
                assurance: self.assurance?,
                thresholds: self.thresholds.clone(),
                consent: self.consent,
            }),
            Outcome::ConsentRequired { .. }
            | Outcome::Blocked
            | Outcome::Unreadable { .. }
            | Outcome::Inconsistent { .. } => None,
        }
    }
}

/// The proof that a decision allows a token: it cannot be made, copied, changed or read from a file elsewhere.
///
/// ```compile_fail
/// use idgate::policy::Grant;
/// fn forge(from: Grant) -> Grant {
///     Grant { thresholds: Vec::new(), ..from } // the fields are private
/// }
/// ```
///
/// ```compile_fail
/// fn copy(grant: &idgate::policy::Grant) -> idgate::policy::Grant {
///     grant.clone() // there is no Clone
/// }
/// ```
///
/// ```compile_fail
/// let forged: idgate::policy::Grant = serde_json::from_str("{}").unwrap(); // there is no Deserialize
/// ```
///
/// What can be done is to read it:
///
/// ```
/// fn claims(grant: &idgate::policy::Grant) -> usize {
///     grant.thresholds().len()
/// }
/// ```
#[derive(Debug)]
pub struct Grant {
    rule: RuleId,
    policy: PolicyDigest,
    jurisdiction: Jurisdiction,
    purpose: Purpose,
    assurance: AssuranceLevel,
    thresholds: Vec<AgeOver>,
    consent: Option<ConsentId>,
}

impl Grant {
    /// The rule that was applied.
    pub fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// The digest of the whole rule table.
    pub fn policy(&self) -> PolicyDigest {
        self.policy
    }

    /// The place that was asked for.
    pub fn jurisdiction(&self) -> Jurisdiction {
        self.jurisdiction
    }

    /// The purpose that was asked for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// How well the date of birth was witnessed.
    pub fn assurance(&self) -> AssuranceLevel {
        self.assurance
    }

    /// The `age_over_NN` answers, lowest first, in full years.
    pub fn thresholds(&self) -> &[AgeOver] {
        &self.thresholds
    }

    /// The guardian's consent that it rests on; none if no guardian was needed.
    pub fn consent(&self) -> Option<ConsentId> {
        self.consent
    }
}
