//! What was decided and why, without a date of birth, an exact age, a name or a number; and the proof that a token may
//! be signed.
//!
//! A [`Decision`] is safe to store and to show. Its fields are private: it comes from [`super::decide`], or from a
//! record of one. A [`Grant`] comes only from a decision that allows.

use super::rules::{Citation, Rule, SelfDeclaration};
use crate::age::{AgeThreshold, LeapDay};
use crate::terms::{
    AssuranceLevel, ConsentId, DocumentKind, Jurisdiction, PolicyDigest, Purpose, Reason, RuleId, Signal, Statute,
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

/// A kind of data that a decision used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// The picture of an identity document.
    DocumentImage,
    /// The date of birth on the document.
    BirthDate,
    /// The expiry date of the document.
    ExpiryDate,
    /// The date of birth as the person stated it.
    DeclaredBirthDate,
    /// The date of birth that an earlier decision about the person rested on.
    RememberedBirthDate,
}

/// One step of how a rule led to an outcome, in the order they were taken (PIPA decree 44-3(2): kinds of data, main
/// criteria, procedure). Says on which side of a line a person is, never how far from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// This kind of data was used.
    Used {
        /// Which.
        data: DataKind,
    },
    /// The document's resident number was processed (and masked at once) under this statute.
    ByStatute {
        /// Which.
        statute: Statute,
    },
    /// No date of birth was accepted from the document.
    NothingRead,
    /// Two places of the document contradict each other.
    Contradiction {
        /// Which.
        signal: Signal,
    },
    /// Age is counted on the date it is in the place of the rule, with its rule for 29 February.
    Counted {
        /// Where a birthday on 29 February falls in a common year.
        leap_day: LeapDay,
        /// Whether the latest of several time zones was taken (the place has several, or is unknown).
        latest_of_zones: bool,
    },
    /// Below the line under which nobody is let in.
    BelowBlock {
        /// The line.
        line: AgeThreshold,
    },
    /// Not below the line under which nobody is let in.
    BlockReached {
        /// The line.
        line: AgeThreshold,
    },
    /// Below the line under which a guardian consents.
    BelowGuardian {
        /// The line.
        line: AgeThreshold,
    },
    /// Not below the line under which a guardian consents.
    GuardianReached {
        /// The line.
        line: AgeThreshold,
    },
    /// Whether the law, too, asks for the guardian.
    LegalGuardian {
        /// The law's line.
        line: AgeThreshold,
        /// Whether the person is below it.
        below: bool,
    },
    /// A guardian's consent for this is in force.
    ConsentInForce {
        /// Which.
        consent: ConsentId,
    },
    /// A declared date of birth cannot show that somebody is old enough.
    DeclarationCannotAllow {
        /// What the rule accepts a declaration for.
        accepted: SelfDeclaration,
    },
    /// The document is a published specimen, and those are not accepted here.
    SpecimenRefused,
    /// The document is a published specimen, and this service was set up to accept those.
    SpecimenAccepted,
    /// The document has expired, or may have by the earliest time zone.
    DocumentExpired,
    /// The date of birth is not witnessed well enough.
    AssuranceTooLow {
        /// What there is.
        have: AssuranceLevel,
        /// What the rule asks for.
        need: AssuranceLevel,
    },
    /// The date of birth is witnessed well enough.
    AssuranceSuffices {
        /// What there is.
        have: AssuranceLevel,
        /// What the rule asks for.
        need: AssuranceLevel,
    },
    /// A remark about the document that rules out relying on it for more than a denial.
    CannotAllow {
        /// Which.
        signal: Signal,
    },
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
