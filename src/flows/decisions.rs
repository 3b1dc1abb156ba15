//! Looking up what was decided and why. Only the relying party that asked can find a decision.

use super::records::{DecisionRecord, decode};
use super::subject::Handle;
use super::{App, Error};
use crate::policy::{Decision, Step, Summary};
use crate::store::{Partition, Space};
use crate::terms::{DecisionId, RelyingParty, hex};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A decision as it is told. Nothing in it is personal.
pub struct Told {
    /// Its name.
    pub decision: DecisionId,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// What was decided.
    pub what: Summary,
}

/// A decision as it is explained.
pub struct Explained {
    /// What is told of it otherwise.
    pub told: Told,
    of: Decision,
}

impl Explained {
    fn new(decision: DecisionId, record: DecisionRecord) -> Self {
        let what = Summary::of(&record.decision);
        Self { told: Told { decision, decided_at: record.decided_at, what }, of: record.decision }
    }

    /// What the rule rests on.
    pub fn citations(&self) -> impl Iterator<Item = String> {
        self.of.citations().iter().map(|of| format!("{} (in force {})", of.text, of.in_force))
    }

    /// How the rule led to the outcome.
    pub fn steps(&self) -> &[Step] {
        self.of.steps()
    }
}

/// What is read of a [`DecisionRecord`] to tell it.
#[derive(Deserialize)]
pub(super) struct Brief {
    decided_at: Timestamp,
    pub decision: Summary,
}

impl App {
    /// The decision, if it is about this person. Not told of an older one that does not say whose it is.
    pub(super) async fn told_to(
        &self,
        relying_party: &RelyingParty,
        decision: DecisionId,
        subject: &Handle,
    ) -> Result<Option<Explained>, Error> {
        let key = self.decision_key(relying_party, &decision);
        let Some(stored) = self.store.get(&key, self.now()).await? else { return Ok(None) };
        let record: DecisionRecord = decode(&stored.value)?;
        let whose = self.whose(relying_party, &decision, subject);
        if record.whose.as_ref() != Some(&whose) {
            return Ok(None);
        }
        Ok(Some(Explained::new(decision, record)))
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
        let Brief { decided_at, decision: what } = self.recorded(relying_party, &decision).await?;
        Ok(Told { decision, decided_at, what })
    }

    /// The same, with the way to the outcome.
    pub async fn explain(&self, relying_party: &RelyingParty, decision: DecisionId) -> Result<Explained, Error> {
        Ok(Explained::new(decision, self.recorded(relying_party, &decision).await?))
    }

    async fn recorded<T: DeserializeOwned>(&self, party: &RelyingParty, decision: &DecisionId) -> Result<T, Error> {
        let key = self.decision_key(party, decision);
        let stored = self.store.get(&key, self.now()).await?.ok_or(Error::UnknownDecision)?;
        decode(&stored.value)
    }
}
