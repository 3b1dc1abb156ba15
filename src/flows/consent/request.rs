//! Asking for a consent: the reading behind the decision moves from the decision to the consent.

use super::super::once::Done;
use super::super::records::{DecisionRecord, decode};
use super::super::{App, Error, later};
use super::change::Loaded;
use super::course::{ConsentRecord, Course};
use crate::consent::{Consent, Notice, Request};
use crate::policy::Outcome;
use crate::store::{Batch, Expect, Partition};
use crate::terms::{
    ConsentId, ConsentPurpose, DecisionId, GuardianRef, IdempotencyKey, NotPossible, RelyingParty, SubjectRef,
    VerificationMethod,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// What is asked.
pub struct ConsentAsk {
    /// The person.
    pub subject: SubjectRef,
    /// The decision that asked for a guardian.
    pub decision: DecisionId,
    /// What for.
    pub purposes: Vec<ConsentPurpose>,
    /// What the guardian is shown.
    pub notice: Notice,
    /// How a guardian may be checked.
    pub methods: Vec<VerificationMethod>,
    /// Who the guardian is, by the relying party's own name.
    pub guardian: Option<GuardianRef>,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
}

impl ConsentAsk {
    fn digest(&self) -> Vec<u8> {
        let list = |texts: Vec<&str>| texts.join(",");
        [
            self.subject.as_str(),
            &self.decision.to_string(),
            &list(self.purposes.iter().map(|purpose| purpose.as_str()).collect()),
            &list(self.methods.iter().map(|method| method.as_str()).collect()),
            self.notice.version.as_str(),
            &self.notice.digest.to_string(),
            self.notice.language.as_str(),
            self.guardian.as_ref().map_or("", GuardianRef::as_str),
        ]
        .join("\0")
        .into_bytes()
    }
}

impl App {
    /// Asks for a guardian's consent; or why it cannot be asked for like this.
    pub async fn request_consent(
        &self,
        ask: ConsentAsk,
        party: &RelyingParty,
    ) -> Result<Result<Consent, NotPossible>, Error> {
        let now = self.now();
        let subject = self.subject(party, &ask.subject);
        let once = self.once(party, subject.partition, &ask.key, &[b"request-consent", &ask.digest()]);
        if let Some(Done::Requested { consent }) = self.replay(&once, now).await? {
            let loaded = self.load(party, &consent).await?;
            return Ok(Ok(loaded.record.consent));
        }
        let held_key = self.held_key(party, &ask.decision);
        let decided = self.decided(party, &ask.decision, now).await?;
        if held_key.partition() != subject.partition {
            return Err(Error::UnknownDecision);
        }
        let (held, version) = self.held(&held_key, now).await?.ok_or(Error::DecisionTooOld)?;
        if held.until <= now {
            return Err(Error::DecisionTooOld);
        }
        if held.subject != subject.handle {
            return Err(Error::UnknownDecision);
        }
        let id = ConsentId(subject.partition.mark(Uuid::now_v7()));
        let consent =
            match Consent::requested(id, party.clone(), self.asked(&ask, &decided, now)?, Some(Uuid::new_v4())) {
                Ok(consent) => consent,
                Err(why) => return Ok(Err(why)),
            };
        let key = self.consent_key(party, &id);
        let sealed = self.move_sealed(&held_key, &held, &key).await?;
        let memory = self.recall(&key, &sealed, &held.key).await?;
        let guardian = ask.guardian.as_ref().map(|guardian| self.guardian(party, guardian));
        let record = ConsentRecord::new(consent, &held, sealed, guardian.clone());
        let rule = self.rules.rule(decided.decision.jurisdiction(), held.purpose);
        let course = Course::begun(record, &rule, memory.as_ref());

        let subject_key = self.subject_key(party, &subject.handle, subject.partition);
        let done = Done::Requested { consent: id };
        let mut batch = Batch::new(subject.partition)
            .require(held_key, Expect::Version(version))
            .require(key, Expect::Absent)
            .delete(held_key)
            .unfile(subject_key, held_key)
            .file(subject_key, key);
        if let Some(guardian) = &guardian {
            batch = batch.file(self.guardian_key(party, guardian, subject.partition), key);
        }
        batch = self.put_course(batch, key, None, &course, now)?;
        batch = self.settle(batch, &once, &done, now)?;
        let others: Vec<Loaded> = self.siblings(party, &subject.handle, subject.partition).await?;
        let (batch, shreds) = self.supersede(batch, others, (&course.record, &id), now, Vec::new())?;
        if !self.write(batch, now).await? {
            return Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) });
        }
        for key in shreds {
            self.store.shred(key).await?;
        }
        Ok(Ok(course.record.consent))
    }

    /// The decision, if it asked for a guardian.
    async fn decided(&self, party: &RelyingParty, id: &DecisionId, now: Timestamp) -> Result<DecisionRecord, Error> {
        let stored = self.store.get(&self.decision_key(party, id), now).await?.ok_or(Error::UnknownDecision)?;
        let record: DecisionRecord = decode(&stored.value)?;
        match record.decision.outcome() {
            Outcome::ConsentRequired { .. } => Ok(record),
            Outcome::Allowed | Outcome::Blocked | Outcome::Unreadable { .. } | Outcome::Inconsistent { .. } => {
                Err(Error::ConsentNotRequired)
            }
        }
    }

    fn asked(&self, ask: &ConsentAsk, decided: &DecisionRecord, now: Timestamp) -> Result<Request, Error> {
        let decision = &decided.decision;
        let Outcome::ConsentRequired { guardian_min_age, legal_guardian } = *decision.outcome() else {
            return Err(Error::ConsentNotRequired);
        };
        Ok(Request {
            jurisdiction: decision.jurisdiction(),
            decision: ask.decision,
            legal_guardian,
            guardian_min_age,
            principal: Uuid::new_v4(),
            requested: ask.purposes.clone(),
            allowed_methods: ask.methods.clone(),
            notice: ask.notice.clone(),
            rule: decision.rule().clone(),
            policy: decision.policy(),
            controller: self.controller(&decided.relying_party)?,
            requested_at: now,
            answer_by: later(now, SignedDuration::from_hours(i64::from(self.consent.answer_hours))),
        })
    }

    fn controller(&self, party: &RelyingParty) -> Result<crate::consent::Controller, Error> {
        let set = self.consent.controllers.get(party).cloned();
        set.or_else(|| self.consent.stand_in.clone()).ok_or(Error::ControllerMissing)
    }
}

/// The partition that a consent's name tells.
pub(in crate::flows) fn partition_of(id: &ConsentId) -> Partition {
    Partition::of_uuid(&id.0)
}
