//! Policy: from evidence and a rule to a decision. Pure: time is an argument, and nothing is read, kept or logged.
//!
//! What always holds:
//!
//! 1. Nobody is allowed whose date of birth does not reach every line of the rule, on the latest date of its zones.
//! 2. Only a document allows, only if its date of birth is witnessed well enough, it has not expired, it is no specimen
//!    (unless set up so), and nothing on it is contradicted. A declared date of birth may deny; it never allows.
//! 3. A date of birth below the block line blocks at any assurance, declared dates too. A document that contradicts
//!    itself shows no date of birth: it is `Inconsistent`, and below the block line nothing of it is kept either.
//! 4. A decision holds no date of birth and no exact age. Only a decision that allows gives a [`Grant`].
//!
//! When idgate must choose between refusing a person and exposing a person, it refuses.

mod decision;
mod guardian;
pub mod rules;
mod step;
mod summary;
mod table;
#[cfg(test)]
mod tests;

pub use decision::{AgeOver, Decision, Grant, Outcome};
pub use guardian::{Consented, Remembered};
pub use rules::{Rule, RuleSet};
pub use step::{DataKind, Step};
pub use summary::{OutcomeKind, Summary};

use crate::age::{AgeThreshold, BirthDate};
use crate::evidence::validate::Evidence;
use crate::terms::{AssuranceLevel, ConsentId, DocumentKind, Reason, Signal, Statute};
use decision::Findings;
use jiff::Timestamp;

/// What a decision rests on.
#[derive(Debug, Clone, Copy)]
pub enum Basis<'a> {
    /// A date of birth that was read from a document.
    Document(&'a Evidence),
    /// A date of birth as the person stated it.
    Declared(&'a BirthDate),
    /// A document from which no date of birth was accepted.
    Unreadable {
        /// Why.
        reasons: &'a [Reason],
        /// Its kind, if it was told.
        kind: Option<DocumentKind>,
        /// Remarks about it.
        signals: &'a [Signal],
        /// The youngest plausible date that was read, though none was accepted. Counts against the person only.
        youngest: Option<&'a BirthDate>,
    },
    /// The date of birth that an earlier decision about the same person rested on, kept sealed for a guardian's consent.
    Remembered(&'a Remembered),
}

/// What is true of the relying party and of this service, not of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The relying party also offers a way without a government document (Online Safety Act 2021 s 63DB).
    pub alternative_offered: bool,
    /// This service was set up to take published specimens for real documents: development only.
    pub specimens_accepted: bool,
    /// A guardian's consent that is in force for this person, this place and this purpose.
    pub consent: Option<Consented>,
    /// The statute under which this service processes resident numbers, if it relies on one.
    pub statute: Option<Statute>,
}

/// A question that must not be asked in this way. It is the relying party's to mend, not the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A document was sent where the rule wants an alternative, and the relying party offers none.
    #[error("a document may be asked for here only if another way is offered as well; configure the relying party")]
    AlternativeNotOffered,
    /// A declared date of birth was sent where the rule refuses it.
    #[error("a declared date of birth is not accepted here; send a document")]
    DeclarationRefused,
}

/// Two places of the document contradict each other, or the card cannot be this person's (domain 1.5: steps 4, 7).
const CONTRADICTIONS: [Signal; 3] =
    [Signal::PrintedDateConflict, Signal::NumberClassConflict, Signal::AgeAtIssueImplausible];

impl Rule {
    /// Whether a document may be read at all. Ask before reading: a picture that may not be used is not looked at.
    pub fn may_read_document(&self, facts: &Facts) -> Result<(), Misuse> {
        if self.gov_id_only_with_alternative && !facts.alternative_offered {
            return Err(Misuse::AlternativeNotOffered);
        }
        Ok(())
    }
}

/// Decides. A negative answer is an `Ok`; [`Misuse`] is for a question that must not be asked in this way.
pub fn decide(rule: &Rule, basis: Basis<'_>, facts: &Facts, now: Timestamp) -> Result<Decision, Misuse> {
    let case = Case { rule, now, consent: facts.consent, steps: Vec::new() };
    let findings = match basis {
        Basis::Document(evidence) => {
            rule.may_read_document(facts)?;
            case.document(evidence, facts)
        }
        Basis::Declared(birth) => case.declared(birth)?,
        Basis::Unreadable { reasons, kind, signals, youngest } => {
            rule.may_read_document(facts)?;
            case.unreadable(reasons, kind, signals, youngest)
        }
        Basis::Remembered(remembered) => case.remembered(remembered),
    };
    Ok(Decision::new(rule, findings))
}

/// What was seen of a person's age, beside the outcome.
struct Seen<'a> {
    birth: &'a BirthDate,
    suffices: bool,
    assurance: Option<AssuranceLevel>,
    document: Option<DocumentKind>,
    signals: Vec<Signal>,
    below_block: bool,
}

/// Why a document does not show who a guardian is and how old: the same obstacles as to allowing a person.
pub fn guardian_obstacles(rule: &Rule, evidence: &Evidence, facts: &Facts, now: Timestamp) -> Vec<Reason> {
    let mut reasons = Case { rule, now, consent: None, steps: Vec::new() }.obstacles(evidence);
    if CONTRADICTIONS.iter().any(|signal| evidence.signals.contains(signal)) {
        reasons.push(Reason::Inconsistent);
    }
    if evidence.signals.contains(&Signal::Specimen) && !facts.specimens_accepted {
        reasons.push(Reason::Specimen);
    }
    reasons.sort_unstable();
    reasons
}

/// One decision in the making.
struct Case<'a> {
    rule: &'a Rule,
    now: Timestamp,
    consent: Option<Consented>,
    steps: Vec<Step>,
}

impl Case<'_> {
    fn document(mut self, evidence: &Evidence, facts: &Facts) -> Findings {
        self.used(DataKind::DocumentImage);
        if let Some(statute) = facts.statute.filter(|_| evidence.kind.shows_resident_number()) {
            self.steps.push(Step::ByStatute { statute });
        }
        let mut signals = evidence.signals.clone();
        if self.expired(evidence) {
            signals.push(Signal::Expired);
        }
        let below_block = self.first_block_line_not_reached(&evidence.birth).is_some();
        let (outcome, suffices) = self.outcome_of(evidence, facts);
        self.found(
            outcome,
            Seen {
                birth: &evidence.birth,
                suffices,
                assurance: Some(evidence.assurance),
                document: Some(evidence.kind),
                signals: sorted(signals),
                below_block,
            },
        )
    }

    fn found(self, outcome: Outcome, seen: Seen<'_>) -> Findings {
        let answers = matches!(outcome, Outcome::Allowed | Outcome::ConsentRequired { .. });
        Findings {
            thresholds: if answers && seen.suffices { self.age_over(seen.birth) } else { Vec::new() },
            consent: self.consent_used(),
            outcome,
            assurance: seen.assurance,
            document: seen.document,
            signals: seen.signals,
            suffices: seen.suffices,
            steps: self.steps,
            keeps_nothing: seen.below_block,
        }
    }

    /// The consent, if the way to the outcome led over it.
    fn consent_used(&self) -> Option<ConsentId> {
        self.steps.iter().find_map(|step| match step {
            Step::ConsentInForce { consent } => Some(*consent),
            _ => None,
        })
    }

    /// From what an earlier decision rested on: the same lines, without a document. It allows only if that document
    /// sufficed.
    fn remembered(mut self, remembered: &Remembered) -> Findings {
        self.used(DataKind::RememberedBirthDate);
        let below_block = self.first_block_line_not_reached(&remembered.birth).is_some();
        let outcome = if self.blocks(&remembered.birth) {
            Outcome::Blocked
        } else {
            let required = self.asks_for_guardian(&remembered.birth);
            let obstacles = if remembered.suffices { Vec::new() } else { vec![Reason::DocumentRequired] };
            self.by_guardian_line(required, obstacles)
        };
        self.found(
            outcome,
            Seen {
                birth: &remembered.birth,
                suffices: remembered.suffices,
                assurance: remembered.assurance,
                document: remembered.kind,
                signals: Vec::new(),
                below_block,
            },
        )
    }

    /// Allowed, if nothing stands in the way and the person is old enough or a guardian has consented.
    fn by_guardian_line(&mut self, required: Option<Outcome>, obstacles: Vec<Reason>) -> Outcome {
        match (required, self.consent) {
            (Some(required), None) => required,
            // Given when the law did not ask for it, or the rule was milder: it does not reach as far as this.
            (Some(required), Some(consent)) if !consent.reaches(&required) => required,
            (Some(_), Some(consent)) => {
                self.steps.push(Step::ConsentInForce { consent: consent.id });
                if obstacles.is_empty() { Outcome::Allowed } else { Outcome::unreadable(obstacles) }
            }
            (None, _) if obstacles.is_empty() => Outcome::Allowed,
            (None, _) => Outcome::unreadable(obstacles),
        }
    }

    /// The outcome, and whether the evidence suffices to rely on its date of birth.
    fn outcome_of(&mut self, evidence: &Evidence, facts: &Facts) -> (Outcome, bool) {
        let contradictions = CONTRADICTIONS.into_iter().filter(|signal| evidence.signals.contains(signal));
        let before = self.steps.len();
        self.steps.extend(contradictions.map(|signal| Step::Contradiction { signal }));
        if self.steps.len() > before {
            return (Outcome::inconsistent(vec![Reason::Inconsistent]), false);
        }
        self.used(DataKind::BirthDate);
        let specimen = evidence.signals.contains(&Signal::Specimen);
        if self.blocks(&evidence.birth) {
            // It blocks whatever it is worth; what follows for what is stored already depends on that.
            let worth = Case { steps: Vec::new(), ..*self }.obstacles(evidence).is_empty();
            return (Outcome::Blocked, worth && (!specimen || facts.specimens_accepted));
        }
        if specimen && !facts.specimens_accepted {
            self.steps.push(Step::SpecimenRefused);
            return (Outcome::unreadable(vec![Reason::Specimen]), false);
        }
        if specimen {
            self.steps.push(Step::SpecimenAccepted);
        }
        let required = self.asks_for_guardian(&evidence.birth);
        let obstacles = self.obstacles(evidence);
        let suffices = obstacles.is_empty();
        (self.by_guardian_line(required, obstacles), suffices)
    }

    /// Why the evidence is not good enough to allow. A denial may still rest on it.
    fn obstacles(&mut self, evidence: &Evidence) -> Vec<Reason> {
        let mut obstacles = Vec::new();
        if evidence.expiry.is_some() {
            self.used(DataKind::ExpiryDate);
        }
        if self.expired(evidence) {
            self.steps.push(Step::DocumentExpired);
            obstacles.push(Reason::Expired);
        }
        // The composite covers the date: own digit and composite together still miss 6% of two wrong digits, the own
        // digit alone 11% (domain 2.3, gate rule).
        if evidence.signals.contains(&Signal::CheckDigitMismatch) {
            self.steps.push(Step::CannotAllow { signal: Signal::CheckDigitMismatch });
            obstacles.push(Reason::NumberUnreadable);
        }
        let (have, need) = (evidence.assurance, self.rule.min_assurance);
        if have < need {
            self.steps.push(Step::AssuranceTooLow { have, need });
            obstacles.push(Reason::NotWitnessed);
        } else {
            self.steps.push(Step::AssuranceSuffices { have, need });
        }
        obstacles
    }

    fn declared(mut self, birth: &BirthDate) -> Result<Findings, Misuse> {
        self.used(DataKind::DeclaredBirthDate);
        let accepted = self.rule.self_declaration;
        let outcome = if self.blocks(birth) {
            Outcome::Blocked
        } else if !self.rule.accepts_declaration() {
            return Err(Misuse::DeclarationRefused);
        } else if let Some(consent) = self.asks_for_guardian(birth) {
            consent
        } else {
            self.steps.push(Step::DeclarationCannotAllow { accepted });
            Outcome::unreadable(vec![Reason::DocumentRequired])
        };
        Ok(Findings {
            keeps_nothing: outcome == Outcome::Blocked,
            outcome,
            suffices: false,
            consent: None,
            thresholds: Vec::new(),
            assurance: None,
            document: None,
            signals: Vec::new(),
            steps: self.steps,
        })
    }

    fn unreadable(
        mut self,
        reasons: &[Reason],
        kind: Option<DocumentKind>,
        signals: &[Signal],
        youngest: Option<&BirthDate>,
    ) -> Findings {
        self.used(DataKind::DocumentImage);
        self.steps.push(Step::NothingRead);
        let outcome = if reasons.contains(&Reason::Inconsistent) {
            Outcome::inconsistent(reasons.to_vec())
        } else if reasons.is_empty() {
            Outcome::unreadable(vec![Reason::NoBirthDate])
        } else {
            Outcome::unreadable(reasons.to_vec())
        };
        // What may be a child's card leaves no record, also when it contradicts itself (domain 0, finding 2).
        let child = youngest.is_some_and(|birth| self.first_block_line_not_reached(birth).is_some());
        Findings {
            keeps_nothing: child && matches!(outcome, Outcome::Inconsistent { .. }),
            outcome,
            suffices: false,
            consent: None,
            thresholds: Vec::new(),
            assurance: None,
            document: kind,
            signals: sorted(signals.to_vec()),
            steps: self.steps,
        }
    }

    fn used(&mut self, data: DataKind) {
        self.steps.push(Step::Used { data });
    }

    fn first_block_line_not_reached(&self, birth: &BirthDate) -> Option<AgeThreshold> {
        self.rule.block_lines().find(|line| !self.rule.of_age(birth, *line, self.now))
    }

    fn blocks(&mut self, birth: &BirthDate) -> bool {
        self.steps
            .push(Step::Counted { leap_day: self.rule.leap_day, latest_of_zones: self.rule.zone_names().count() > 1 });
        match self.first_block_line_not_reached(birth) {
            Some(line) => {
                self.steps.push(Step::BelowBlock { line });
                true
            }
            None => {
                self.steps.extend(self.rule.block_lines().map(|line| Step::BlockReached { line }));
                false
            }
        }
    }

    fn asks_for_guardian(&mut self, birth: &BirthDate) -> Option<Outcome> {
        let line = AgeThreshold::full(self.rule.guardian_below);
        if self.rule.of_age(birth, line, self.now) {
            self.steps.push(Step::GuardianReached { line });
            return None;
        }
        self.steps.push(Step::BelowGuardian { line });
        let legal = self.rule.legal_guardian_below.filter(|years| *years > self.rule.block_below);
        let legal_guardian = legal.is_some_and(|years| {
            let line = AgeThreshold::full(years);
            let below = !self.rule.of_age(birth, line, self.now);
            self.steps.push(Step::LegalGuardian { line, below });
            below
        });
        Some(Outcome::ConsentRequired { guardian_min_age: self.rule.guardian_min_age, legal_guardian })
    }

    fn expired(&self, evidence: &Evidence) -> bool {
        let by_date = evidence.expiry.is_some_and(|last_day| last_day < self.rule.today_for_expiry(self.now));
        by_date || evidence.signals.contains(&Signal::Expired)
    }

    fn age_over(&self, birth: &BirthDate) -> Vec<AgeOver> {
        let reached = |years| self.rule.of_age(birth, AgeThreshold::full(years), self.now);
        self.rule.thresholds().into_iter().map(|years| AgeOver { years, reached: reached(years) }).collect()
    }
}

fn sorted(mut signals: Vec<Signal>) -> Vec<Signal> {
    signals.sort_unstable();
    signals.dedup();
    signals
}
