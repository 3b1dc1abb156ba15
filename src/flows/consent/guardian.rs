//! Checking a guardian: their card goes the way of every card, and nothing is kept but what it came to.

use super::super::once::Done;
use super::super::records::decode;
use super::super::{App, Call, Error, Picture, Unread};
use super::change::{Changed, Loaded, Wanted};
use super::course::{ConsentRecord, Course, StepNote};
use super::request::partition_of;
use crate::audit::{Entry, GuardianRefused, ImageLife};
use crate::consent::{Check, Event};
use crate::evidence::validate::{Evidence, Verdict};
use crate::policy;
use crate::store::{Batch, Partition};
use crate::terms::{
    ConsentId, GuardianProblem, IdempotencyKey, NotPossible, Reason, RelyingParty, ReviewReason, StaffRef,
    VerificationMethod,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// How many years a guardian must be older than the child, or a person looks at it (domain 5.5).
const AGE_GAP: u8 = 15;

/// What is asked.
pub struct GuardianAsk {
    /// Which consent.
    pub consent: ConsentId,
    /// What shows the guardian.
    pub proof: Proof,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
}

/// What shows a guardian.
pub enum Proof {
    /// A picture of their identity card.
    Image(Picture),
    /// A method that the relying party carried out.
    Attested {
        /// Which; never the scan.
        method: VerificationMethod,
        /// Who carried it out.
        staff: Option<StaffRef>,
    },
    /// A person of the relying party has looked at it.
    ReviewAccepted {
        /// Who.
        staff: StaffRef,
    },
}

/// What a guardian's card showed.
struct Seen {
    problems: Vec<GuardianProblem>,
    reasons: Vec<Reason>,
    review: Vec<ReviewReason>,
}

impl App {
    /// Checks a guardian.
    pub async fn verify_guardian(&self, ask: GuardianAsk, call: Call) -> Result<Changed, Error> {
        let (id, party) = (ask.consent, call.relying_party.clone());
        let place = partition_of(&id);
        match ask.proof {
            Proof::Attested { method, staff } => {
                let said = format!("{method}\0{}", staff.as_ref().map_or("", StaffRef::as_str));
                let parts: [&[u8]; 3] = [b"attested", id.0.as_bytes(), said.as_bytes()];
                let once = self.once(&party, place, &ask.key, &parts);
                if self.replay(&once, self.now()).await?.is_none() {
                    self.count_party(&party, self.now()).await?;
                }
                let many = self.stands_for_many(&party, &id).await?;
                self.change(&party, &id, &once, |loaded, at| {
                    let review: Vec<ReviewReason> = many.into_iter().collect();
                    let done = verified(loaded, &review);
                    let staff = staff.clone();
                    let check = Check { method, at, staff, evidence: None, guardian_age_ok: false };
                    let note = StepNote { method: Some(method), ..StepNote::default() };
                    Ok(Wanted { event: Event::Checked { check, review }, done, note })
                })
                .await
            }
            Proof::ReviewAccepted { staff } => {
                let parts: [&[u8]; 3] = [b"review", id.0.as_bytes(), staff.as_str().as_bytes()];
                let once = self.once(&party, place, &ask.key, &parts);
                self.change(&party, &id, &once, |_, _| {
                    Ok(Wanted::new(Event::ReviewCleared { staff: staff.clone() }, Done::Verified))
                })
                .await
            }
            Proof::Image(image) => self.scan_guardian(&id, image, &ask.key, call).await,
        }
    }

    async fn scan_guardian(
        &self,
        id: &ConsentId,
        image: Picture,
        key: &IdempotencyKey,
        call: Call,
    ) -> Result<Changed, Error> {
        let (party, received_at) = (call.relying_party.clone(), image.received_at());
        let once = |bytes: &[u8]| self.once(&party, partition_of(id), key, &[b"scan", id.0.as_bytes(), bytes]);
        let once = image.with(once).ok_or(Unread::Abandoned)?;
        let before = self.current(self.consent_key(&party, id)).await?.ok_or(Error::UnknownConsent)?;
        if let Some(done) = self.replay(&once, received_at).await? {
            return Ok(Changed { consent: before.record.consent, outcome: Ok(done) });
        }
        // Before a picture is read that could not be used.
        if let Err(why) = may_scan(&before) {
            return Ok(Changed { consent: before.record.consent, outcome: Err(why) });
        }
        let waits = (call.deadline, call.watch.clone());
        let place = self.pool.admit(&call.relying_party, call.deadline)?;
        self.count_guardian(&party, id, received_at).await?;
        let today = before.rule.today_for_expiry(received_at);
        let read = self.pool.read(place, image, today, self.image_bytes, waits).await?;
        self.observe(&read);
        let life = self.life_of(received_at, &read.verdict);

        // Read again: what happened meanwhile wins, and what was purged is not looked at.
        let loaded = self.current(self.consent_key(&party, id)).await?.ok_or(Error::UnknownConsent)?;
        let many = self.stands_for_many(&party, id).await?;
        let (kind, seen) = match &read.verdict {
            Verdict::Unreadable(why) => (None, refused(why.reasons.clone())),
            Verdict::Read(evidence) => (Some(evidence.kind), self.look_at(&loaded, evidence, many)?),
        };
        // Of somebody below the block age who was shown, only the hour is kept.
        let child = match &read.verdict {
            Verdict::Read(evidence) => before.rule.below_block(&evidence.birth, life.disposed_at),
            Verdict::Unreadable(why) => {
                why.youngest.as_ref().is_some_and(|birth| before.rule.below_block(birth, life.disposed_at))
            }
        };
        let life = if child { life.by_the_hour() } else { life };
        if !seen.problems.is_empty() || !seen.reasons.is_empty() {
            return self.refuse_guardian(&party, loaded, seen, life, &once).await;
        }
        self.change(&party, id, &once, |loaded, at| {
            let method = VerificationMethod::IdScan;
            let done = verified(loaded, &seen.review);
            let check = Check { method, at, staff: None, evidence: kind, guardian_age_ok: true };
            let note = StepNote { method: Some(method), image: Some(life), ..StepNote::default() };
            Ok(Wanted { event: Event::Checked { check, review: seen.review.clone() }, done, note })
        })
        .await
    }

    /// What the guardian's card says against them, beside the child's.
    fn look_at(&self, loaded: &Loaded, evidence: &Evidence, many: Option<ReviewReason>) -> Result<Seen, Error> {
        let now = self.now();
        let party = loaded.record.consent.relying_party();
        let reasons = policy::guardian_obstacles(&loaded.rule, evidence, &self.facts(party), now);
        let mut problems = Vec::new();
        if !loaded.rule.guardian_of_age(&evidence.birth, now) {
            problems.push(GuardianProblem::GuardianTooYoung);
        }
        // Where nothing is remembered of the child there is nothing to compare with: a person has to look.
        let child = loaded.memory.as_ref();
        if child.is_some_and(|child| evidence.birth == child.birth) {
            problems.push(GuardianProblem::SamePerson);
        }
        let gap = child.is_none_or(|child| !loaded.rule.older_by(&evidence.birth, &child.birth, AGE_GAP));
        let review = gap.then_some(ReviewReason::AgeGap).into_iter().chain(many).collect();
        Ok(Seen { problems, reasons, review })
    }

    /// Records that a guardian was not accepted; the consent stays as it is.
    async fn refuse_guardian(
        &self,
        party: &RelyingParty,
        loaded: Loaded,
        seen: Seen,
        image: ImageLife,
        once: &super::super::once::Once,
    ) -> Result<Changed, Error> {
        let now = self.now();
        let consent = loaded.record.consent;
        if !consent.is_open() {
            return Ok(Changed { consent, outcome: Err(NotPossible::Ended) });
        }
        let done = Done::GuardianRefused { problems: seen.problems.clone(), reasons: seen.reasons.clone() };
        let entry = Entry::GuardianRefused(Box::new(GuardianRefused {
            at: image.disposed_at,
            consent_id: consent.id(),
            relying_party: party.clone(),
            problems: seen.problems,
            reasons: seen.reasons,
            image,
        }));
        let batch = Batch::new(loaded.key.partition()).record(entry);
        if self.write(self.settle(batch, once, &done, now)?, now).await? {
            return Ok(Changed { consent, outcome: Ok(done) });
        }
        // The same request was answered meanwhile.
        let done = self.replay(once, now).await?.ok_or(Error::Broken)?;
        Ok(Changed { consent, outcome: Ok(done) })
    }

    /// Whether the guardian stands for more children than is usual.
    async fn stands_for_many(&self, party: &RelyingParty, id: &ConsentId) -> Result<Option<ReviewReason>, Error> {
        let Some(guardian) = self.load(party, id).await?.record.guardian else { return Ok(None) };
        let (most, now) = (usize::from(self.consent.children_per_guardian), self.now());
        let mut children = BTreeSet::new();
        for partition in Partition::all() {
            for key in self.filed_under(&self.guardian_key(party, &guardian, partition)).await? {
                let Some(stored) = self.store.get(&key, now).await? else { continue };
                let record: ConsentRecord = decode(&stored.value)?;
                if let (Some(_), Some(subject)) = (&record.guardian, &record.subject) {
                    children.insert(subject.text().to_owned());
                }
                if children.len() > most {
                    return Ok(Some(ReviewReason::ManyChildren));
                }
            }
        }
        Ok(None)
    }

    /// Counts one picture of a guardian.
    async fn count_guardian(&self, party: &RelyingParty, id: &ConsentId, now: Timestamp) -> Result<(), Error> {
        self.count_party(party, now).await?;
        self.count_scan(party, &format!("guardian:{id}"), now).await
    }
}

/// What a check comes to: a question that is open already stays open.
fn verified(loaded: &Loaded, review: &[ReviewReason]) -> Done {
    if review.is_empty() && loaded.record.consent.review().is_empty() { Done::Verified } else { Done::InReview }
}

fn refused(reasons: Vec<Reason>) -> Seen {
    Seen { problems: Vec::new(), reasons, review: Vec::new() }
}

/// Whether a guardian's card can be of use as the consent stands.
fn may_scan(loaded: &Loaded) -> Result<(), NotPossible> {
    let check = Check {
        method: VerificationMethod::IdScan,
        at: loaded.record.consent.changed_at(),
        staff: None,
        evidence: None,
        guardian_age_ok: false,
    };
    let mut course = Course::new(loaded.record.clone(), &loaded.rule, loaded.memory.as_ref());
    let at = loaded.record.consent.changed_at();
    course.take(Event::Checked { check, review: Vec::new() }, at, &StepNote::default())
}
