//! Reports that an account belongs to a child, the state of tokens, and erasing a person.

use super::once::Done;
use super::records::{decode, encode};
use super::subject::{Handle, Slot, Subject};
use super::{App, Error, later};
use crate::audit::{Entry, ErasureRequired, ReportClosed, Reported, SubjectErased, hour_of};
use crate::consent::Event;
use crate::store::{Batch, Expect, Key, Partition, Space, StoreError, Version};
use crate::terms::{
    ConsentActor, ConsentId, ErasureReason, IdempotencyKey, RelyingParty, ReportId, Reporter, SubjectRef,
};
use crate::tokens::Rejected;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a change is begun anew when somebody else was first.
const ATTEMPTS: usize = 64;

/// An open report.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub id: ReportId,
    pub relying_party: RelyingParty,
    pub subject: Handle,
    pub deadline: Timestamp,
    pub guardian_verified: bool,
    /// Whether its time is over and it is being carried out: no document answers it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub due: bool,
}

/// What is reported.
pub struct ReportAsk {
    /// The person.
    pub subject: SubjectRef,
    /// Who says so.
    pub reporter: Reporter,
    /// A consent of this person by which a guardian was checked.
    pub consent: Option<ConsentId>,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
}

/// Whether a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It is.
    Active,
    /// Its time is over.
    Expired,
    /// The consent that it rests on is not in force.
    Revoked,
    /// The account was reported as a child's.
    ReverificationRequired,
    /// It is no token of ours for this relying party.
    Invalid,
}

impl App {
    /// Takes a report.
    pub async fn report_underage(&self, ask: ReportAsk, party: &RelyingParty) -> Result<Done, Error> {
        let subject = self.subject(party, &ask.subject);
        let said = format!(
            "{}\0{}\0{}",
            ask.subject,
            ask.reporter,
            ask.consent.map_or_else(String::new, |consent| consent.to_string())
        );
        let once = self.once(party, subject.partition, &ask.key, &[b"report", said.as_bytes()]);
        let key = self.report_key(party, &subject.handle, subject.partition);
        for attempt in 0..ATTEMPTS {
            let now = self.now();
            if let Some(done) = self.replay(&once, now).await? {
                return Ok(done);
            }
            if attempt == 0 {
                self.count_party(party, now).await?;
            }
            let guardian_verified = self.guardian_stands_behind(&ask, &subject, party).await?;
            let open = self.open_report(&key, now).await?;
            let deadline = match &open {
                _ if guardian_verified => now,
                Some((report, _)) => report.deadline,
                None => later(now, SignedDuration::from_hours(24 * i64::from(self.consent.report_days))),
            };
            let id = open
                .as_ref()
                .map_or_else(|| ReportId(subject.partition.mark(uuid::Uuid::now_v7())), |(report, _)| report.id);
            let done = Done::Reported { report: id, deadline, guardian_verified };
            let report = Report {
                id,
                relying_party: party.clone(),
                subject: subject.handle.clone(),
                deadline,
                guardian_verified: guardian_verified || open.as_ref().is_some_and(|(open, _)| open.guardian_verified),
                due: open.as_ref().is_some_and(|(open, _)| open.due),
            };
            let joins = open.is_some() && !guardian_verified;
            let expect = open.map_or(Expect::Absent, |(_, version)| Expect::Version(version));
            let mut batch = Batch::new(subject.partition)
                .require(key, expect)
                .put(key, encode(&report)?, None)
                .file(self.due_key(subject.partition, Slot::of(deadline, now)), key);
            if !joins {
                batch = batch.record(Entry::Reported(Reported {
                    at: now,
                    report_id: id,
                    relying_party: party.clone(),
                    reporter: ask.reporter,
                    guardian_verified,
                }));
            }
            batch = self.settle(batch, &once, &done, now)?;
            if self.write(batch, now).await? {
                if guardian_verified {
                    self.report_due(key).await?;
                }
                return Ok(done);
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Whether the report is a guardian's who was checked and may still act for this person.
    async fn guardian_stands_behind(
        &self,
        ask: &ReportAsk,
        subject: &Subject,
        party: &RelyingParty,
    ) -> Result<bool, Error> {
        let Some(id) = ask.consent.filter(|_| ask.reporter == Reporter::Guardian) else { return Ok(false) };
        let Some(loaded) = self.current(self.consent_key(party, &id)).await? else { return Err(Error::UnknownConsent) };
        if loaded.record.subject.as_ref() != Some(&subject.handle) {
            return Err(Error::UnknownConsent);
        }
        let consent = &loaded.record.consent;
        Ok(loaded.in_force(self.now()) && !consent.subject_acts())
    }

    async fn open_report(&self, key: &Key, now: Timestamp) -> Result<Option<(Report, Version)>, Error> {
        let Some(stored) = self.store.get(key, now).await? else { return Ok(None) };
        Ok(Some((decode(&stored.value)?, stored.version)))
    }

    /// Adds to the batch of a decision by a document: an open report about the person is answered by it.
    pub(super) async fn answer_report(&self, batch: Batch, subject: &Subject, now: Timestamp) -> Result<Batch, Error> {
        let key = self.report_key(&subject.party, &subject.handle, subject.partition);
        let Some((report, version)) = self.open_report(&key, now).await? else { return Ok(batch) };
        if report.due {
            return Ok(batch);
        }
        let batch =
            self.shown_again(batch, self.recheck_key(&subject.party, &subject.handle, subject.partition), now)?;
        let closed = ReportClosed { at: now, report_id: report.id, relying_party: subject.party.clone() };
        Ok(batch.require(key, Expect::Version(version)).delete(key).record(Entry::ReportClosed(closed)))
    }

    /// A document shows that a person of whom something is kept is below the block age: the relying party has to erase,
    /// and nothing stays here. Where nothing was kept, nothing is written.
    pub(super) async fn below_block_age(&self, subject: &Subject, at: Timestamp) -> Result<(), Error> {
        let key = self.report_key(&subject.party, &subject.handle, subject.partition);
        let open = self.open_report(&key, at).await?;
        let under = self.subject_key(&subject.party, &subject.handle, subject.partition);
        let consents = self.siblings(&subject.party, &subject.handle, subject.partition).await?;
        let held = self.filed_under(&under).await?.iter().any(|key| key.space() == Space::Held);
        if open.is_none() && consents.is_empty() && !held {
            return Ok(());
        }
        let told = Entry::ErasureRequired(ErasureRequired {
            at: hour_of(at),
            relying_party: subject.party.clone(),
            reason: ErasureReason::BelowBlockAge,
            report_id: open.as_ref().map(|(report, _)| report.id),
            consent_id: consents.iter().map(|loaded| loaded.record.consent.id()).max(),
            request_id: None,
        });
        self.forget(&subject.party, &subject.handle, subject.partition, (hour_of(at), Some(told))).await?;
        self.write(Batch::new(subject.partition).delete(key), at).await.map(drop)
    }

    /// Erases what is held about a person.
    pub async fn erase_subject(
        &self,
        subject: &SubjectRef,
        party: &RelyingParty,
        key: &IdempotencyKey,
    ) -> Result<(), Error> {
        let of = self.subject(party, subject);
        let once = self.once(party, of.partition, key, &[b"erase", subject.as_str().as_bytes()]);
        let now = self.now();
        if self.replay(&once, now).await?.is_some() {
            return Ok(());
        }
        self.count_party(party, now).await?;
        let report = self.report_key(party, &of.handle, of.partition);
        let under = self.subject_key(party, &of.handle, of.partition);
        let nothing = self.filed_under(&under).await?.is_empty() && self.store.get(&report, now).await?.is_none();
        let erased = Entry::SubjectErased(SubjectErased { at: now, relying_party: party.clone() });
        self.forget(party, &of.handle, of.partition, (now, (!nothing).then_some(erased))).await?;
        // That an age must be shown again stays: erasing must be no way around it.
        let batch = Batch::new(of.partition).delete(report);
        self.write(self.settle(batch, &once, &Done::Erased, now)?, now).await?;
        Ok(())
    }

    /// Shrinks every consent of a person to its state and destroys what is sealed for them.
    /// What is being decided about them at this moment is not recorded any more. `at` is what the record says; what is
    /// to be told of it is recorded first, so that no fault in between loses it (it may then be told twice).
    pub(super) async fn forget(
        &self,
        party: &RelyingParty,
        of: &Handle,
        partition: Partition,
        (at, told): (Timestamp, Option<Entry>),
    ) -> Result<(), Error> {
        let under = self.subject_key(party, of, partition);
        let (epoch, now) = (self.epoch_key(party, of, partition), self.now());
        let until = later(now, SignedDuration::from_hours(1));
        let batch = Batch::new(partition).put(epoch, Vec::new(), Some(until));
        self.write(told.into_iter().fold(batch, Batch::record), now).await?;
        for _ in 0..ATTEMPTS {
            let filed = self.filed_under(&under).await?;
            if filed.is_empty() {
                return Ok(());
            }
            for key in filed {
                self.forget_one(under, key, at).await?;
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    async fn forget_one(&self, under: Key, key: Key, at: Timestamp) -> Result<(), Error> {
        let now = self.now();
        match key.space() {
            Space::Consent => {
                let Some(loaded) = self.load_at(key).await? else { return self.unfile(under, key).await };
                let mut course =
                    super::consent::Course::new(loaded.record.clone(), &loaded.rule, loaded.memory.as_ref());
                course.catch_up(now);
                // Where nothing is left to erase, what is filed is what is left.
                let note = super::consent::StepNote { actor: Some(ConsentActor::System), ..Default::default() };
                let _ = course.take(Event::Erased, at, &note);
                course.record.subject = None;
                let own = course.record.shred;
                let batch = self.batch(&loaded, &course, now)?.unfile(under, key);
                if self.write(batch, now).await?
                    && let Some(own) = own
                {
                    self.store.shred(own).await?;
                }
                Ok(())
            }
            Space::Held => match self.held(&key, now).await? {
                Some((held, version)) => self.drop_held(key, &held, version, now).await.map(drop),
                None => self.unfile(under, key).await,
            },
            _ => self.unfile(under, key).await,
        }
    }

    async fn unfile(&self, under: Key, key: Key) -> Result<(), Error> {
        self.write(Batch::new(key.partition()).unfile(under, key), self.now()).await.map(drop)
    }

    /// Whether a token is good.
    pub async fn token_state(&self, token: &str, party: &RelyingParty) -> Result<TokenState, Error> {
        let now = self.now();
        let claims = match self.issuer.verify(token, party, now) {
            Ok(claims) => claims,
            Err(Rejected::Expired) => return Ok(TokenState::Expired),
            Err(_) => return Ok(TokenState::Invalid),
        };
        if let Some(id) = claims.consent
            && !self.consent_in_force(party, &id).await?
        {
            return Ok(TokenState::Revoked);
        }
        let subject = self.subject(party, &claims.audience.subject);
        let key = self.report_key(party, &subject.handle, subject.partition);
        let (recheck, ..) = self.recheck(&subject, now).await?;
        let doubted = recheck.is_some_and(|recheck| recheck.doubts(claims.issued_at));
        if self.store.get(&key, now).await?.is_some() || doubted {
            return Ok(TokenState::ReverificationRequired);
        }
        Ok(TokenState::Active)
    }

    /// Whether a consent is in force.
    pub(super) async fn consent_in_force(&self, party: &RelyingParty, id: &ConsentId) -> Result<bool, Error> {
        let loaded = self.current(self.consent_key(party, id)).await?;
        Ok(loaded.is_some_and(|loaded| loaded.in_force(self.now())))
    }
}
