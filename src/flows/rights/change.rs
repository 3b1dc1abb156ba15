//! What a relying party does with a request: acknowledge, extend, close. And what time does.

use super::super::consent::ScopeChange;
use super::super::once::{Done, Once};
use super::super::{App, Error};
use super::{ATTEMPTS, LoadedRequest, RightsNote, RightsRecord, partition_of};
use crate::audit::{AgeRecheckRequired, Entry, ErasureRequired, SubjectErased};
use crate::rights::{Event, RightsRequest};
use crate::store::{Batch, Expect, Key, Partition, StoreError};
use crate::terms::{
    ActingAs, ConsentActor, ErasureReason, ExtensionReason, IdempotencyKey, RefusalBasis, RelyingParty, RequestId,
    RequestState, Right, RightsNotPossible, StaffRef,
};
use jiff::Timestamp;

/// How a request is closed.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answered as asked, but for a part that was refused.
    Done(StaffRef, Option<RefusalBasis>),
    /// Refused.
    Refused(StaffRef, RefusalBasis),
    /// The requester takes it back.
    Withdrawn(StaffRef),
}

/// A request after a change, or why it was not changed.
pub struct RightsChanged {
    /// The request as it stands.
    pub request: RightsRequest,
    /// What the change came to.
    pub outcome: Result<(), RightsNotPossible>,
}

/// The step that is asked for, with what the audit says of it.
type Step = (Event, RightsNote);

impl App {
    /// Records that the requester was told that the request came in.
    pub async fn acknowledge_request(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        key: &IdempotencyKey,
    ) -> Result<RightsChanged, Error> {
        let once = self.once(party, partition_of(id), key, &[b"acknowledge", id.0.as_bytes()]);
        self.change_request(party, id, &once, |_, _| (Event::Acknowledged, RightsNote::default())).await
    }

    /// Records that the answer takes longer.
    pub async fn extend_request(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        (reason, staff): (ExtensionReason, StaffRef),
        key: &IdempotencyKey,
    ) -> Result<RightsChanged, Error> {
        let said = format!("{reason}\0{}", staff.as_str());
        let once = self.once(party, partition_of(id), key, &[b"extend", id.0.as_bytes(), said.as_bytes()]);
        self.change_request(party, id, &once, |record, _| {
            let request = &record.request;
            let plan = self.plan_of(request);
            let place = request.asked().jurisdiction;
            let used = u8::try_from(request.extensions().len()).unwrap_or(u8::MAX);
            let allowed = plan.extension.as_ref().is_some_and(|extension| extension.reasons.contains(&reason));
            let due = plan.extended(request.clock().due, used, self.calendars.of(place)).filter(|_| allowed);
            let until = due.map(|due| self.clock(&self.zones_of(place), due));
            let note = RightsNote { extension: Some(reason), staff: Some(staff.clone()), ..RightsNote::default() };
            (Event::Extended { reason, staff: staff.clone(), until }, note)
        })
        .await
    }

    /// Ends a request.
    pub async fn close_request(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        answer: &Answer,
        key: &IdempotencyKey,
    ) -> Result<RightsChanged, Error> {
        let said = match answer {
            Answer::Done(staff, partly) => {
                format!("done\0{}\0{}", staff.as_str(), partly.map_or("", RefusalBasis::as_str))
            }
            Answer::Refused(staff, basis) => format!("refused\0{basis}\0{}", staff.as_str()),
            Answer::Withdrawn(staff) => format!("withdrawn\0{}", staff.as_str()),
        };
        let once = self.once(party, partition_of(id), key, &[b"close", id.0.as_bytes(), said.as_bytes()]);
        let changed = self
            .change_request(party, id, &once, |record, _| match answer.clone() {
                Answer::Done(staff, partly) => {
                    let allowed = self.plan_of(&record.request).refusals;
                    let note = RightsNote { staff: Some(staff.clone()), basis: partly, ..RightsNote::default() };
                    (Event::Done { staff, partly, allowed }, note)
                }
                Answer::Refused(staff, basis) => {
                    let allowed = self.plan_of(&record.request).refusals;
                    let note = RightsNote { staff: Some(staff.clone()), basis: Some(basis), ..RightsNote::default() };
                    (Event::Refused { staff, basis, allowed }, note)
                }
                Answer::Withdrawn(staff) => {
                    let note = RightsNote { staff: Some(staff.clone()), ..RightsNote::default() };
                    (Event::Withdrawn { staff }, note)
                }
            })
            .await?;
        // What was granted is carried out here too. If the server dies before, the timers do it.
        if changed.request.state() == RequestState::Done {
            self.rights_due(self.request_key(party, id)).await?;
        }
        Ok(changed)
    }

    /// Takes one step, once.
    async fn change_request(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        once: &Once,
        want: impl Fn(&RightsRecord, Timestamp) -> Step,
    ) -> Result<RightsChanged, Error> {
        for attempt in 0..ATTEMPTS {
            let now = self.now();
            let replayed = self.replay(once, now).await?.is_some();
            let loaded = self.load_request(party, id).await?;
            let mut record = loaded.record.clone();
            let mut entries = record.catch_up(now);
            if replayed {
                return Ok(RightsChanged { request: record.request, outcome: Ok(()) });
            }
            if attempt == 0 {
                self.count_party(party, now).await?;
            }
            let (event, note) = want(&record, now);
            let (stands, rests_on) = self.authority(&record).await?;
            if !stands && matches!(event, Event::Done { .. }) {
                return Ok(RightsChanged { request: record.request, outcome: Err(RightsNotPossible::NotVerified) });
            }
            match record.take(event, now, &note) {
                Ok(entry) => entries.push(entry),
                // Another copy of the same request may have been first, between the two looks.
                Err(_) if self.replay(once, now).await?.is_some() => continue,
                Err(why) => return Ok(RightsChanged { request: record.request, outcome: Err(why) }),
            }
            let mut batch = Batch::new(loaded.key.partition()).require(loaded.key, Expect::Version(loaded.version));
            if !record.request.is_open() {
                batch = batch.delete(self.code_key(party, id));
            }
            if let Some((key, version)) = rests_on.filter(|_| record.request.state() == RequestState::Done) {
                batch = batch.require(key, Expect::Version(version));
            }
            batch = self.granted(batch, &mut record, &mut entries, now)?;
            batch = self.put_request(batch, loaded.key, Some(&loaded.record), &record, now)?;
            batch = entries.into_iter().fold(batch, Batch::record);
            batch = self.settle(batch, once, &Done::Changed, now)?;
            if self.write(batch, now).await? {
                return Ok(RightsChanged { request: record.request, outcome: Ok(()) });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// What follows when something was granted: others have to erase as well, or an age must be shown again.
    fn granted(
        &self,
        batch: Batch,
        record: &mut RightsRecord,
        entries: &mut Vec<Entry>,
        now: Timestamp,
    ) -> Result<Batch, Error> {
        let request = &record.request;
        if request.state() != RequestState::Done {
            return Ok(batch);
        }
        let (party, id) = (request.relying_party().clone(), request.id());
        match request.asked().right {
            Right::Delete | Right::CancelAccount => {
                entries.push(Entry::ErasureRequired(ErasureRequired {
                    at: now,
                    relying_party: party,
                    reason: ErasureReason::RightsRequest,
                    report_id: None,
                    consent_id: None,
                    request_id: Some(id),
                }));
                record.carry_out = true;
                Ok(batch)
            }
            Right::WithdrawConsent => {
                record.carry_out = true;
                Ok(batch)
            }
            Right::CorrectBirthDate => {
                let marked = self.recheck_key(&party, &record.subject, partition_of(&id));
                let entry = AgeRecheckRequired { at: now, relying_party: party, request_id: id };
                entries.push(Entry::AgeRecheckRequired(entry));
                self.ask_again(batch, marked, now)
            }
            Right::Access
            | Right::KnowCategories
            | Right::KnowSpecific
            | Right::Correct
            | Right::CorrectName
            | Right::Restrict
            | Right::Object
            | Right::Portability
            | Right::ChangeScope
            | Right::OptOut
            | Right::LimitSensitive
            | Right::ExplainDecision => Ok(batch),
        }
    }

    /// What time does to a request, and what was granted and not carried out here yet. True if something was done.
    pub(in crate::flows) async fn rights_due(&self, key: Key) -> Result<bool, Error> {
        let Some(loaded) = self.load_request_at(key).await? else { return Ok(false) };
        if loaded.record.carry_out {
            return self.carry_out(loaded).await;
        }
        let now = self.now();
        let mut record = loaded.record.clone();
        let entries = record.catch_up(now);
        if entries.is_empty() {
            return Ok(false);
        }
        let batch = Batch::new(key.partition()).require(key, Expect::Version(loaded.version));
        let batch = self.put_request(batch, key, Some(&loaded.record), &record, now)?;
        self.write(entries.into_iter().fold(batch, Batch::record), now).await
    }

    /// Carries out here what was granted: the person's consents are taken back, or what is held about them is erased. A
    /// report about the account, and that an age must be shown again, stay: they are no part of what the person can have
    /// erased to get around them.
    async fn carry_out(&self, loaded: LoadedRequest) -> Result<bool, Error> {
        let (record, key) = (&loaded.record, loaded.key);
        let (party, partition) = (record.request.relying_party(), key.partition());
        let at = record.request.ending().map_or_else(|| self.now(), |ending| ending.at);
        if record.request.asked().right == Right::WithdrawConsent {
            self.withdraw_consents(record, partition).await?;
        } else {
            let erased = Entry::SubjectErased(SubjectErased { at, relying_party: party.clone() });
            self.forget(party, &record.subject, partition, (at, Some(erased))).await?;
        }
        let now = self.now();
        let carried_out = RightsRecord { carry_out: false, ..record.clone() };
        let batch = Batch::new(partition).require(key, Expect::Version(loaded.version));
        let batch = self.put_request(batch, key, Some(record), &carried_out, now)?;
        self.write(batch, now).await
    }

    /// Takes back every consent that is in force for a person: by the guardian if one asks, else by the person.
    async fn withdraw_consents(&self, record: &RightsRecord, partition: Partition) -> Result<(), Error> {
        let party = record.request.relying_party();
        let actor = match record.request.asked().acting_as {
            ActingAs::Guardian => ConsentActor::Guardian,
            ActingAs::Myself | ActingAs::Agent => ConsentActor::Subject,
        };
        for loaded in self.siblings(party, &record.subject, partition).await? {
            let (now, id) = (self.now(), loaded.record.consent.id());
            if loaded.in_force(now) {
                let key: IdempotencyKey =
                    format!("rights-{}-{id}", record.request.id()).parse().map_err(|_| Error::Broken)?;
                // Who may not take it back alone yet is told so by the consent's own answer: it stays.
                self.change_consent(party, &id, actor, &ScopeChange::Withdraw, &key).await?;
            }
        }
        Ok(())
    }
}
