//! From what was shown to a decision that is not recorded yet: by a document, by a statement, or by the consent of a
//! guardian and the document behind it.

use super::consent::{Course, Loaded, StepNote};
use super::subject::Subject;
use super::{App, Call, Error, Picture};
use crate::age::BirthDate;
use crate::audit::ImageLife;
use crate::consent::{Event, Purge};
use crate::evidence::validate::Verdict;
use crate::policy::{self, Basis, Consented, Decision, Facts, Remembered, Rule};
use crate::store::{Batch, Expect, Key, KeyId, Space, Version};
use crate::terms::{ConsentActor, ConsentId};
use jiff::Timestamp;

/// How many consents one decision ends at once; a person has one or two.
const AT_ONCE: usize = 5;

/// A decision that is not recorded yet.
pub(super) struct Found {
    pub decision: Decision,
    pub at: Timestamp,
    pub image: Option<ImageLife>,
    /// The consent that was in force when it was decided.
    pub consent: Option<InForce>,
    /// What a consent that is asked for next has to know.
    pub remember: Option<Remembered>,
    /// The person's consents that were asked for with another date of birth than a sufficient document shows.
    pub contradicted: Vec<Loaded>,
}

/// A consent that is in force, as it was read.
pub(super) struct InForce {
    pub what: Consented,
    pub key: Key,
    pub version: Version,
}

impl App {
    pub(super) async fn decide_by_document(
        &self,
        rule: &Rule,
        image: Picture,
        place: super::pool::Place,
        call: &Call,
        of: &Subject,
    ) -> Result<Found, Error> {
        let received_at = image.received_at();
        let today = rule.today_for_expiry(received_at);
        let waits = (call.deadline, call.watch.clone());
        let read = self.pool.read(place, image, today, self.image_bytes, waits).await?;
        let life = self.life_of(received_at, &read.verdict);
        let disposed_at = life.disposed_at;
        self.observe(&read);
        let consent = match &read.verdict {
            Verdict::Read(evidence) => self.find_consent(rule, of, &evidence.birth).await?,
            Verdict::Unreadable(_) => None,
        };
        let basis = match &read.verdict {
            Verdict::Read(evidence) => Basis::Document(evidence),
            Verdict::Unreadable(why) => {
                let youngest = why.youngest.as_ref();
                Basis::Unreadable { reasons: &why.reasons, kind: why.kind, signals: &why.signals, youngest }
            }
        };
        let facts = Facts { consent: consent.as_ref().map(|consent| consent.what), ..self.facts(&of.party) };
        let decision = policy::decide(rule, basis, &facts, disposed_at)?;
        let contradicted = match &read.verdict {
            Verdict::Read(evidence) if decision.suffices() && !decision.keeps_nothing() => {
                self.contradicted(of, &evidence.birth).await?
            }
            Verdict::Read(_) | Verdict::Unreadable(_) => Vec::new(),
        };
        let remember = match read.verdict {
            Verdict::Read(evidence) if asks_for_guardian(&decision) => Some(Remembered {
                birth: evidence.birth,
                assurance: Some(evidence.assurance),
                kind: Some(evidence.kind),
                suffices: decision.suffices(),
            }),
            Verdict::Read(_) | Verdict::Unreadable(_) => None,
        };
        Ok(Found { decision, at: disposed_at, image: Some(life), consent, remember, contradicted })
    }

    pub(super) async fn decide_by_declaration(
        &self,
        rule: &Rule,
        birth: BirthDate,
        of: &Subject,
    ) -> Result<Found, Error> {
        let now = self.now();
        let decision = policy::decide(rule, Basis::Declared(&birth), &self.facts(&of.party), now)?;
        if let policy::Outcome::Unreadable { reasons, .. } = decision.outcome() {
            reasons.iter().for_each(|reason| self.metrics.unreadable(reason.as_str()));
        }
        let remember =
            asks_for_guardian(&decision).then_some(Remembered { birth, assurance: None, kind: None, suffices: false });
        Ok(Found { decision, at: now, image: None, consent: None, remember, contradicted: Vec::new() })
    }

    /// Decides by the document behind a consent that is in force for this person, place and purpose.
    pub(super) async fn decide_by_consent(&self, rule: &Rule, id: &ConsentId, of: &Subject) -> Result<Found, Error> {
        let loaded = self.current(self.consent_key(&of.party, id)).await?.ok_or(Error::UnknownConsent)?;
        if loaded.record.subject.as_ref() != Some(&of.handle) {
            return Err(Error::UnknownConsent);
        }
        let now = self.now();
        let (true, Some(memory)) = (covers(&loaded, rule, now), &loaded.memory) else {
            return Err(Error::ConsentNotInForce);
        };
        // What is in doubt is the very reading behind it.
        let report = self.report_key(&of.party, &of.handle, of.partition);
        let (recheck, ..) = self.recheck(of, now).await?;
        if self.store.get(&report, now).await?.is_some() || recheck.is_some_and(|recheck| recheck.open) {
            return Err(Error::ConsentNotInForce);
        }
        let consent = in_force(&loaded).ok_or(Error::ConsentNotInForce)?;
        let facts = Facts { consent: Some(consent.what), ..self.facts(&of.party) };
        let decision = policy::decide(rule, Basis::Remembered(memory), &facts, now)?;
        let consent = Some(consent);
        Ok(Found { decision, at: now, image: None, consent, remember: None, contradicted: Vec::new() })
    }

    /// The consents that live and were asked for with another date of birth, as many as one batch can end.
    async fn contradicted(&self, of: &Subject, birth: &BirthDate) -> Result<Vec<Loaded>, Error> {
        let mut found = Vec::new();
        for loaded in self.siblings(&of.party, &of.handle, of.partition).await? {
            let lives = loaded.record.consent.purge() == Purge::Nothing;
            if lives && loaded.memory.as_ref().is_some_and(|memory| memory.birth != *birth) && found.len() < AT_ONCE {
                found.push(loaded);
            }
        }
        Ok(found)
    }

    /// Adds to a batch the end of a consent that was asked for with another date of birth.
    pub(super) fn end_contradicted(
        &self,
        batch: Batch,
        loaded: &Loaded,
        now: Timestamp,
        mut shreds: Vec<KeyId>,
    ) -> Result<(Batch, Vec<KeyId>), Error> {
        let mut course = Course::new(loaded.record.clone(), &loaded.rule, loaded.memory.as_ref());
        course.catch_up(now);
        let note = StepNote { actor: Some(ConsentActor::System), ..StepNote::default() };
        // One that has ended by itself needs no other end.
        let _ = course.take(Event::Superseded, now, &note);
        let batch = batch.require(loaded.key, Expect::Version(loaded.version));
        let batch = self.put_course(batch, loaded.key, Some(loaded), &course, now)?;
        shreds.extend(course.record.shred);
        Ok((batch, shreds))
    }

    /// The consent that is in force for this person, place and purpose, and was asked for with the same date of birth: one
    /// for another date was checked against a child that is not this one.
    async fn find_consent(&self, rule: &Rule, of: &Subject, birth: &BirthDate) -> Result<Option<InForce>, Error> {
        for key in self.filed_under(&self.subject_key(&of.party, &of.handle, of.partition)).await? {
            if key.space() == Space::Consent
                && let Some(loaded) = self.current(key).await?
                && covers(&loaded, rule, self.now())
                && loaded.memory.as_ref().is_some_and(|memory| memory.birth == *birth)
            {
                return Ok(in_force(&loaded));
            }
        }
        Ok(None)
    }
}

/// What the policy has to know of a consent.
fn in_force(loaded: &Loaded) -> Option<InForce> {
    let consent = &loaded.record.consent;
    let what = Consented {
        id: consent.id(),
        guardian_min_age: consent.request()?.guardian_min_age,
        satisfies_law: consent.satisfies_law(),
    };
    Some(InForce { what, key: loaded.key, version: loaded.version })
}

fn asks_for_guardian(decision: &Decision) -> bool {
    matches!(decision.outcome(), policy::Outcome::ConsentRequired { .. }) && !decision.keeps_nothing()
}

/// Whether a consent is in force for the place and purpose of a rule.
fn covers(loaded: &Loaded, rule: &Rule, now: Timestamp) -> bool {
    let consent = &loaded.record.consent;
    let place = consent.request().map(|request| request.jurisdiction);
    loaded.in_force(now) && place == Some(rule.jurisdiction) && loaded.record.purpose == rule.purpose
}
