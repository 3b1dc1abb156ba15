//! One change of a consent: read, catch up with time, take the step, write all of it or nothing.
//!
//! Every write is a compare-and-set on the version that was read. Who comes second reads again and is told what the
//! consent has become. What was destroyed is destroyed after the write that says so; if the process is killed between
//! the two, the timers find the mark and finish.

use super::super::once::{Done, Once};
use super::super::records::{decode, encode};
use super::super::subject::{Handle, Slot};
use super::super::{App, Error, later, unexpected};
use super::course::{ConsentRecord, Course, Standing, StepNote};
use crate::consent::{Consent, Event, Purge};
use crate::policy::{Remembered, Rule};
use crate::store::{Batch, CommitError, Expect, Key, KeyId, Partition, Space, StoreError, Version};
use crate::terms::{ConsentId, ConsentState, NotPossible, RelyingParty};
use jiff::{SignedDuration, Timestamp};

/// How often a change is begun anew when somebody else was first.
const ATTEMPTS: usize = 64;

/// A consent as it was read.
pub(in crate::flows) struct Loaded {
    pub record: ConsentRecord,
    pub version: Version,
    pub key: Key,
    pub rule: Rule,
    pub memory: Option<Remembered>,
}

impl Loaded {
    /// Whether the consent is in force. One of which nothing is remembered is not: nobody could tell when it ends.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.record.consent.in_force(now) && self.memory.is_some()
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing<'_> {
        Standing::new(&self.record, &self.rule, self.memory.as_ref())
    }
}

/// A consent after a change, and what the change came to.
pub struct Changed {
    /// The consent as it stands.
    pub consent: Consent,
    /// What was done, or why nothing was.
    pub outcome: Result<Done, NotPossible>,
}

/// The step that is asked for, with what a retry is told and what the audit says.
pub(in crate::flows) struct Wanted {
    pub event: Event,
    pub done: Done,
    pub note: StepNote,
}

impl Wanted {
    pub fn new(event: Event, done: Done) -> Self {
        Self { event, done, note: StepNote::default() }
    }
}

impl App {
    /// The consent with this name, if this relying party asked for it.
    pub(in crate::flows) async fn load(&self, party: &RelyingParty, id: &ConsentId) -> Result<Loaded, Error> {
        self.load_at(self.consent_key(party, id)).await?.ok_or(Error::UnknownConsent)
    }

    /// The consent at this place.
    pub(in crate::flows) async fn load_at(&self, key: Key) -> Result<Option<Loaded>, Error> {
        match self.record_at(key).await? {
            Some((record, version)) => self.with_memory(key, record, version).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is stored at this place.
    async fn record_at(&self, key: Key) -> Result<Option<(ConsentRecord, Version)>, Error> {
        let Some(stored) = self.store.get(&key, self.now()).await? else { return Ok(None) };
        Ok(Some((decode(&stored.value)?, stored.version)))
    }

    /// The rule and what is remembered, for what is stored.
    async fn with_memory(&self, key: Key, record: ConsentRecord, version: Version) -> Result<Loaded, Error> {
        let place =
            record.consent.request().map_or(crate::terms::Jurisdiction::UNKNOWN, |request| request.jurisdiction);
        let rule = self.rules.rule(place, record.purpose);
        let memory = match (&record.sealed, &record.key) {
            (Some(sealed), Some(own)) => self.recall(&key, sealed, own).await?,
            _ => None,
        };
        Ok(Loaded { record, version, key, rule, memory })
    }

    /// The consent as it stands now: what time has done to it is recorded before it is told.
    pub(in crate::flows) async fn current(&self, key: Key) -> Result<Option<Loaded>, Error> {
        match self.load_at(key).await? {
            Some(loaded) => self.caught_up(loaded).await,
            None => Ok(None),
        }
    }

    /// The same without what is remembered of the person, which then need not be opened where nothing is due.
    pub(super) async fn current_consent(&self, key: Key) -> Result<Option<Consent>, Error> {
        let now = self.now();
        let Some((record, version)) = self.record_at(key).await? else { return Ok(None) };
        if self.settled.covers(&key, version, now) {
            return Ok(Some(record.consent));
        }
        let loaded = self.with_memory(key, record, version).await?;
        let Some(loaded) = self.caught_up(loaded).await? else { return Ok(None) };
        self.settled.note(&loaded, now);
        Ok(Some(loaded.record.consent))
    }

    async fn caught_up(&self, mut loaded: Loaded) -> Result<Option<Loaded>, Error> {
        let key = loaded.key;
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let sealed_anew = match (&loaded.record.sealed, &loaded.record.key, &loaded.memory) {
                (Some(sealed), Some(own), Some(memory)) if !loaded.standing().is_due(now) => {
                    self.resealed(&key, memory, (sealed, own)).await?
                }
                _ => None,
            };
            if sealed_anew.is_none() && !loaded.standing().is_due(now) {
                return Ok(Some(loaded));
            }
            let mut course = Course::new(loaded.record.clone(), &loaded.rule, loaded.memory.as_ref());
            match sealed_anew {
                Some(sealed) => course.record.sealed = Some(sealed),
                None => course.catch_up(now),
            }
            // A step that is due and cannot be taken changes nothing.
            if course.entries.is_empty() && course.record.sealed == loaded.record.sealed {
                return Ok(Some(loaded));
            }
            let batch = self.batch(&loaded, &course, now)?;
            self.write(batch, now).await?;
            let Some(next) = self.load_at(key).await? else { return Ok(None) };
            loaded = next;
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Takes one step that `want` asks for, once.
    pub(in crate::flows) async fn change(
        &self,
        party: &RelyingParty,
        id: &ConsentId,
        once: &Once,
        want: impl Fn(&Loaded, Timestamp) -> Result<Wanted, NotPossible>,
    ) -> Result<Changed, Error> {
        for _ in 0..ATTEMPTS {
            let now = self.now();
            if let Some(done) = self.replay(once, now).await? {
                let loaded = self.current(self.consent_key(party, id)).await?.ok_or(Error::UnknownConsent)?;
                return Ok(Changed { consent: loaded.record.consent, outcome: Ok(done) });
            }
            let loaded = self.load(party, id).await?;
            let mut course = Course::new(loaded.record.clone(), &loaded.rule, loaded.memory.as_ref());
            course.catch_up(now);
            let wanted = want(&loaded, now);
            let taken = wanted.and_then(|wanted| {
                course.take(wanted.event, now, &wanted.note)?;
                Ok(wanted.done)
            });
            if taken.is_err() && course.entries.is_empty() {
                // Another copy of the same request may have been first, between the two looks.
                if self.replay(once, now).await?.is_some() {
                    continue;
                }
                return Ok(Changed { consent: loaded.record.consent, outcome: taken });
            }
            let mut batch = self.batch(&loaded, &course, now)?;
            if let Ok(done) = &taken {
                batch = self.settle(batch, once, done, now)?;
            }
            let is_given = |record: &ConsentRecord| record.consent.state() == ConsentState::Given;
            let given = is_given(&course.record) && !is_given(&loaded.record);
            let mut shreds = Vec::from_iter(course.record.shred);
            if let (true, Some(subject)) = (given, &course.record.subject) {
                let others = self.siblings(party, subject, Partition::of_uuid(&id.0)).await?;
                (batch, shreds) = self.supersede(batch, others, (&course.record, id), now, shreds)?;
            }
            if self.write(batch, now).await? {
                for key in shreds {
                    self.store.shred(key).await?;
                }
                return Ok(Changed { consent: course.record.consent, outcome: taken });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Writes a batch; false if somebody else was first.
    pub(in crate::flows) async fn write(&self, batch: Batch, now: Timestamp) -> Result<bool, Error> {
        match self.store.commit(batch, now).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(unexpected(error)),
        }
    }

    /// The batch that puts what a course has come to in the place of what was read.
    pub(in crate::flows) fn batch(&self, loaded: &Loaded, course: &Course<'_>, now: Timestamp) -> Result<Batch, Error> {
        let partition = loaded.key.partition();
        let batch = Batch::new(partition).require(loaded.key, Expect::Version(loaded.version));
        self.put_course(batch, loaded.key, Some(loaded), course, now)
    }

    /// Adds to a batch: the record, its entries, its timer, and the end of what is filed for it.
    pub(in crate::flows) fn put_course(
        &self,
        mut batch: Batch,
        key: Key,
        before: Option<&Loaded>,
        course: &Course<'_>,
        now: Timestamp,
    ) -> Result<Batch, Error> {
        let (record, partition) = (&course.record, key.partition());
        let party = record.consent.relying_party();
        let keep = match record.consent.purge() {
            Purge::Nothing => None,
            Purge::Sealed => Some(self.consent.proof_days),
            Purge::Everything => Some(self.settings.decision_days),
        };
        // Of an age that was reached only the month is known, also here: an expiry to the second would tell the birthday.
        let ended = if record.consent.state() == ConsentState::AgedOut { record.consent.changed_at() } else { now };
        let until = keep.map(|days| later(ended, SignedDuration::from_hours(24 * (31 + i64::from(days)))));
        batch = batch.put(key, encode(record)?, until);
        let due = if record.shred.is_some() { Some(now) } else { course.next_due() };
        if let Some(before) = before {
            // The timer that was set before tells when it was due: it does not outlive that.
            let was = before.standing().next_due();
            for slot in was.filter(|was| due != Some(*was)).map(Slot::all).into_iter().flatten() {
                batch = batch.unfile(self.due_key(partition, slot), key);
            }
        }
        if let Some(due) = due {
            batch = batch.file(self.due_key(partition, Slot::of(due, now)), key);
        }
        if let Some(before) = before.map(|loaded| &loaded.record) {
            if let (Some(guardian), None) = (&before.guardian, &record.guardian) {
                batch = batch.unfile(self.guardian_key(party, guardian, partition), key);
            }
            if let (Some(subject), None) = (&before.subject, &record.subject) {
                batch = batch.unfile(self.subject_key(party, subject, partition), key);
            }
        }
        for entry in &course.entries {
            batch = batch.record(entry.clone());
        }
        Ok(batch)
    }

    /// The consents of a person.
    pub(in crate::flows) async fn siblings(
        &self,
        party: &RelyingParty,
        subject: &Handle,
        partition: Partition,
    ) -> Result<Vec<Loaded>, Error> {
        let mut found = Vec::new();
        let under = self.subject_key(party, subject, partition);
        for key in self.filed_under(&under).await? {
            if key.space() != Space::Consent {
                continue;
            }
            match self.load_at(key).await? {
                Some(loaded) => found.push(loaded),
                // Its record has expired: what is filed for it goes as well.
                None => drop(self.write(Batch::new(partition).unfile(under, key), self.now()).await?),
            }
        }
        Ok(found)
    }

    /// All keys under a key.
    pub(in crate::flows) async fn filed_under(&self, under: &Key) -> Result<Vec<Key>, Error> {
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let page = self.store.filed(under, keys.last(), PAGE).await?;
            let full = page.len() == PAGE;
            keys.extend(page);
            if !full {
                return Ok(keys);
            }
        }
    }

    /// Ends the other consents of the person for the same place and purpose, in the same batch.
    pub(in crate::flows) fn supersede(
        &self,
        mut batch: Batch,
        others: Vec<Loaded>,
        (record, id): (&ConsentRecord, &ConsentId),
        now: Timestamp,
        mut shreds: Vec<KeyId>,
    ) -> Result<(Batch, Vec<KeyId>), Error> {
        let place = record.consent.request().map(|request| request.jurisdiction);
        for other in others {
            let same = other.record.purpose == record.purpose
                && other.record.consent.request().map(|request| request.jurisdiction) == place
                && other.record.consent.id() != *id;
            // One in force stays until the new one is given; an open one gives way to a new request at once.
            let gives_way = other.record.consent.is_open()
                || (other.record.consent.state() == ConsentState::Given
                    && record.consent.state() == ConsentState::Given);
            if !same || !gives_way {
                continue;
            }
            let mut course = Course::new(other.record.clone(), &other.rule, other.memory.as_ref());
            course.catch_up(now);
            // One that has ended by itself needs no other end.
            let _ = course.take(Event::Superseded, now, &StepNote::default());
            if course.entries.is_empty() {
                continue;
            }
            batch = batch.require(other.key, Expect::Version(other.version));
            batch = self.put_course(batch, other.key, Some(&other), &course, now)?;
            shreds.extend(course.record.shred);
        }
        Ok((batch, shreds))
    }
}

/// How many filed keys are read at once.
const PAGE: usize = 1024;
