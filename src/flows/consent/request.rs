//! Asking for a consent: the reading behind the decision moves from the decision to the consent.

use super::super::once::Done;
use super::super::records::{DecisionRecord, decode};
use super::super::subject::Subject;
use super::super::{App, Error, later};
use super::change::Loaded;
use super::course::{ConsentRecord, Course};
use crate::consent::{Consent, Notice, Request};
use crate::policy::Outcome;
use crate::seal::Sealed;
use crate::store::{Batch, Expect, Key, KeyId, Partition};
use crate::terms::{
    ConsentId, ConsentPurpose, DecisionId, GuardianRef, IdempotencyKey, NotPossible, Purpose, RelyingParty, SubjectRef,
    VerificationMethod,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Korea: what was collected to ask is destroyed within five days (표준 개인정보 보호지침 art. 13).
const KOREA: SignedDuration = SignedDuration::from_hours(5 * 24);

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
        let decided = self.decided(party, &ask.decision, now).await?;
        if Partition::of(&ask.decision) != subject.partition {
            return Err(Error::UnknownDecision);
        }
        let id = ConsentId(subject.partition.mark(Uuid::now_v7()));
        let key = self.consent_key(party, &id);
        self.count_party(party, now).await?;
        let held = self.held(&self.held_key(party, &ask.decision), now).await?;
        // What was collected for a request that is refused or not answered is gone five days later at the latest.
        let collected = if held.is_some() { decided.decided_at } else { now };
        let request = self.asked(&ask, &decided, (now, collected))?;
        let consent = match Consent::requested(id, party.clone(), request, Some(Uuid::new_v4())) {
            Ok(consent) => consent,
            Err(why) => return Ok(Err(why)),
        };
        let source = self.source(&subject, &ask.decision, &key, now).await?;
        if let Err(refused) = self.count_scan(party, &format!("consent:{}", ask.subject), now).await {
            if source.made {
                self.store.shred(source.own).await?;
            }
            return Err(refused);
        }
        let memory = self.recall(&key, &source.sealed, &source.own).await?;
        let guardian = ask.guardian.as_ref().map(|guardian| self.guardian(party, guardian));
        let record = ConsentRecord {
            consent,
            purpose: source.purpose,
            subject: Some(subject.handle.clone()),
            guardian: guardian.clone(),
            sealed: Some(source.sealed),
            key: Some(source.own),
            shred: None,
        };
        let rule = self.rules.rule(decided.decision.jurisdiction(), source.purpose);
        let course = Course::begun(record, &rule, memory.as_ref());

        let subject_key = self.subject_key(party, &subject.handle, subject.partition);
        let done = Done::Requested { consent: id };
        let mut batch = source.batch.require(key, Expect::Absent).file(subject_key, key);
        if let Some(guardian) = &guardian {
            batch = batch.file(self.guardian_key(party, guardian, subject.partition), key);
        }
        batch = self.put_course(batch, key, None, &course, now)?;
        batch = self.settle(batch, &once, &done, now)?;
        let others: Vec<Loaded> = self.siblings(party, &subject.handle, subject.partition).await?;
        let (batch, shreds) = self.supersede(batch, others, (&course.record, &id), now, Vec::new())?;
        if !self.write(batch, now).await? {
            if source.made {
                self.store.shred(source.own).await?;
            }
            return Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) });
        }
        for key in shreds {
            self.store.shred(key).await?;
        }
        Ok(Ok(course.record.consent))
    }

    /// What is remembered of the person: it moves here from the decision, or is copied from the consent in force that
    /// was asked for with that decision.
    async fn source(
        &self,
        subject: &Subject,
        decision: &DecisionId,
        to: &Key,
        now: Timestamp,
    ) -> Result<Source, Error> {
        let held_key = self.held_key(&subject.party, decision);
        let subject_key = self.subject_key(&subject.party, &subject.handle, subject.partition);
        let batch = Batch::new(subject.partition);
        if let Some((held, version)) = self.held(&held_key, now).await? {
            if held.subject != subject.handle {
                return Err(Error::UnknownDecision);
            }
            if held.gone || held.until <= now {
                return Err(Error::DecisionTooOld);
            }
            let sealed = self.move_sealed(&held_key, &held, to).await?;
            let batch = batch.require(held_key, Expect::Version(version)).delete(held_key);
            let batch = batch.unfile(subject_key, held_key);
            return Ok(Source { purpose: held.purpose, sealed, own: held.key, made: false, batch });
        }
        for loaded in self.siblings(&subject.party, &subject.handle, subject.partition).await? {
            let consent = &loaded.record.consent;
            let asked_with = consent.request().map(|request| request.decision);
            if let (true, true, Some(memory)) =
                (loaded.in_force(now), asked_with == Some(*decision), loaded.memory.as_ref())
            {
                let (sealed, own) = self.remember(to, memory).await?;
                let batch = batch.require(loaded.key, Expect::Version(loaded.version));
                return Ok(Source { purpose: loaded.record.purpose, sealed, own, made: true, batch });
            }
        }
        Err(Error::DecisionTooOld)
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

    fn asked(
        &self,
        ask: &ConsentAsk,
        decided: &DecisionRecord,
        (now, collected): (Timestamp, Timestamp),
    ) -> Result<Request, Error> {
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
            answer_by: later(now, SignedDuration::from_hours(i64::from(self.consent.answer_hours)))
                .min(later(collected, KOREA)),
        })
    }

    fn controller(&self, party: &RelyingParty) -> Result<crate::consent::Controller, Error> {
        let set = self.consent.controllers.get(party).cloned();
        set.or_else(|| self.consent.stand_in.clone()).ok_or(Error::ControllerMissing)
    }
}

/// What a new consent starts from.
struct Source {
    purpose: Purpose,
    sealed: Sealed,
    own: KeyId,
    /// Whether the key was made for this.
    made: bool,
    /// What must hold for it, and what becomes of where it came from.
    batch: Batch,
}

/// The partition that a consent's name tells.
pub(in crate::flows) fn partition_of(id: &ConsentId) -> Partition {
    Partition::of_uuid(&id.0)
}
