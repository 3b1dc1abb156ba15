//! Looking up what was decided and why. Only the relying party that asked can find a decision.

use super::idempotency::hex;
use super::records::{DecisionRecord, OutcomeKind, decode};
use super::subject::Handle;
use super::{App, Error};
use crate::policy::{DataKind, Step};
use crate::store::{Partition, Space};
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
    /// The decision, if it is about this person. Not told of an older one that does not say whose it is.
    pub(super) async fn told_to(
        &self,
        relying_party: &RelyingParty,
        decision: DecisionId,
        subject: &Handle,
    ) -> Result<Option<Told>, Error> {
        let key = self.decision_key(relying_party, &decision);
        let Some(stored) = self.store.get(&key, self.now()).await? else { return Ok(None) };
        let record: DecisionRecord = decode(&stored.value)?;
        let whose = self.whose(relying_party, &decision, subject);
        if record.whose.as_ref() != Some(&whose) {
            return Ok(None);
        }
        self.told(relying_party, decision).await.map(Some)
    }

    /// Tells whose a decision is to whoever knows both, and to nobody else: two decisions about one person have nothing in
    /// common.
    pub(super) fn whose(&self, party: &RelyingParty, decision: &DecisionId, subject: &Handle) -> String {
        let text = format!("whose:{decision}:{}", subject.text());
        hex(&self.handles.key(Space::Decision, Partition::of(decision), party, &text).bytes())
    }

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
