//! Looking up what was decided and why. Only the relying party that asked can find a decision.

use super::records::{DecisionRecord, OutcomeKind, decode};
use super::{App, Error};
use crate::policy::{DataKind, Step};
use crate::terms::{DecisionId, PolicyDigest, RelyingParty, RuleId};
use jiff::Timestamp;

/// A decision as it is told. Nothing in it is personal.
pub struct Told {
    /// Its name.
    pub decision: DecisionId,
    /// What was decided.
    pub outcome: OutcomeKind,
    /// When.
    pub decided_at: Timestamp,
    /// The rule that was applied.
    pub rule: RuleId,
    /// The rules that were in force.
    pub policy: PolicyDigest,
    /// The kinds of data that were used, without repetition.
    pub data_used: Vec<DataKind>,
    /// What the rule rests on.
    pub citations: Vec<String>,
    /// How the rule led to the outcome.
    pub steps: Vec<Step>,
}

impl App {
    /// The decision with this name, if this relying party asked for it. What is not there, what nothing was kept of
    /// and what is another's are looked up and answered alike.
    pub async fn told(&self, relying_party: &RelyingParty, decision: DecisionId) -> Result<Told, Error> {
        let key = self.decision_key(relying_party, &decision);
        let stored = self.store.get(&key, self.now()).await?.ok_or(Error::UnknownDecision)?;
        let record: DecisionRecord = decode(&stored.value)?;
        let of = &record.decision;
        Ok(Told {
            decision,
            outcome: OutcomeKind::of(of.outcome()),
            decided_at: record.decided_at,
            rule: of.rule().clone(),
            policy: of.policy(),
            data_used: data_used(of.steps()),
            citations: of.citations().iter().map(|c| format!("{} (in force {})", c.text, c.in_force)).collect(),
            steps: of.steps().to_vec(),
        })
    }
}

fn data_used(steps: &[Step]) -> Vec<DataKind> {
    let mut kinds = Vec::new();
    for step in steps {
        if let Step::Used { data } = step
            && !kinds.contains(data)
        {
            kinds.push(*data);
        }
    }
    kinds
}
