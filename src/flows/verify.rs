//! Checking an age: from what was shown to a recorded decision and, if it allows, a signed token.

use super::decide::Found;
use super::held::Held;
use super::idempotency::{Earlier, InHand, Slip};
use super::records::{DecisionRecord, KeptNothing, encode};
use super::subject::{Slot, Subject};
use super::{App, Call, Error, Picture, later, unexpected};
use crate::age::BirthDate;
use crate::audit::{Entry, Occasion};
use crate::evidence::{Extraction, validate::Verdict};
use crate::policy::{self, Remembered};
use crate::secret::Sensitive;
use crate::store::{Batch, CommitError, Expect, Key, KeyId};
use crate::terms::{
    AssuranceLevel, ConsentId, DecisionId, IdempotencyKey, Jurisdiction, Malformed, PolicyDigest, Purpose, Reason,
    RelyingParty, RuleId, Signal, SubjectRef,
};
use crate::tokens::{Audience, Token};
use jiff::{SignedDuration, Timestamp};

/// What is asked.
pub struct Ask {
    /// Whose age, by the relying party's own name for them.
    pub subject: SubjectRef,
    /// Where.
    pub jurisdiction: Jurisdiction,
    /// What for.
    pub purpose: Purpose,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
    /// What shows the age.
    pub shown: Shown,
}

/// What shows an age.
pub enum Shown {
    /// A picture of a document.
    Image(Picture),
    /// The date of birth as the person stated it.
    Declared(BirthDate),
    /// A guardian's consent that is in force: the document behind it is remembered.
    Consent(ConsentId),
}

impl Shown {
    /// A stated date of birth: `YYYY-MM-DD` and nothing else.
    pub fn declared(text: &Sensitive<String>) -> Result<Self, Malformed> {
        super::stated::birth(text).map(Self::Declared)
    }
}

/// The answer.
pub struct Answer {
    /// The decision's name.
    pub decision: DecisionId,
    /// The rule that was applied.
    pub rule: RuleId,
    /// The rules that were in force.
    pub policy: PolicyDigest,
    /// How well the date of birth was witnessed.
    pub assurance: Option<AssuranceLevel>,
    /// Remarks about the document.
    pub signals: Vec<Signal>,
    /// What was decided.
    pub outcome: Outcome,
}

/// What was decided, with what the relying party needs to go on.
pub enum Outcome {
    /// Old enough.
    Allowed {
        /// For the relying party.
        token: Token,
        /// The guardian's consent that it rests on.
        consent: Option<ConsentId>,
    },
    /// A guardian must consent first.
    ConsentRequired {
        /// How old the guardian must be at least.
        guardian_min_age: u8,
        /// Whether the law asks for it.
        legal_guardian: bool,
        /// What the rule rests on.
        legal_basis: Vec<String>,
    },
    /// Too young.
    Blocked,
    /// No date of birth was accepted.
    Unreadable {
        /// Why.
        reasons: Vec<Reason>,
    },
    /// The document contradicts itself.
    Inconsistent {
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// What is held behind a decision that asks for a guardian.
struct Hold {
    remembered: Remembered,
    purpose: Purpose,
}

impl App {
    /// Checks an age.
    pub async fn check_age(&self, ask: Ask, call: Call) -> Result<Answer, Error> {
        let now = self.now();
        let rule = self.rules.rule(ask.jurisdiction, ask.purpose);
        if matches!(ask.shown, Shown::Image(_)) {
            rule.may_read_document(&self.facts(&call.relying_party))?;
        }
        let slip = self.slip(&call.relying_party, &ask)?;
        let of = self.subject(&call.relying_party, &ask.subject);
        let epoch = self.epoch(&of, now).await?;
        let free = match self.earlier(&of, &slip, now).await? {
            Earlier::Decided(id, record) => {
                self.still_in_force(&record).await?;
                return self.answer(id, &record, &ask.subject);
            }
            Earlier::KeptNothing(id, kept) => return Ok(kept_nothing(id, kept)),
            Earlier::Free(id, expect) => (id, expect),
        };
        let place = match ask.shown {
            Shown::Image(_) => Some(self.pool.admit(&call.relying_party, call.deadline)?),
            Shown::Declared(_) | Shown::Consent(_) => None,
        };
        // Reserved first: of duplicates that come at once, only the one that is worked on is an attempt.
        let in_hand = self.reserve(&slip, free, now).await?;
        // A consent shows nothing that could be tried: it counts as a call only.
        let counted = match ask.shown {
            Shown::Consent(_) => self.count_party(&call.relying_party, now).await,
            Shown::Image(_) | Shown::Declared(_) => self.count_attempt(&call.relying_party, &ask.subject, now).await,
        };
        if let Err(refused) = counted {
            self.release(&slip, &in_hand).await;
            return Err(refused);
        }

        let Ask { subject, shown, purpose, .. } = ask;
        let decided = match (shown, place) {
            (Shown::Image(image), Some(place)) => self.decide_by_document(&rule, image, place, &call, &of).await,
            (Shown::Declared(birth), _) => self.decide_by_declaration(&rule, birth, &of).await,
            (Shown::Consent(consent), _) => self.decide_by_consent(&rule, &consent, &of).await,
            (Shown::Image(_), None) => Err(Error::Broken),
        };
        let mut decided = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.release(&slip, &in_hand).await;
                return Err(error);
            }
        };
        self.metrics.decided(super::OutcomeKind::of(decided.decision.outcome()).as_str());
        if decided.decision.keeps_nothing() {
            // First, so that a retry after a fault does it too. Not for a statement, nor for a document in doubt.
            if decided.decision.suffices() && *decided.decision.outcome() == policy::Outcome::Blocked {
                let erased = self.below_block_age(&of, decided.at).await;
                if let Err(error) = erased {
                    self.release(&slip, &in_hand).await;
                    return Err(error);
                }
            }
            return self.keep_nothing(&slip, &in_hand, decided, &call.relying_party).await;
        }
        let hold = decided.remember.take().map(|remembered| Hold { remembered, purpose });
        let kept = self.keep_and_answer(&in_hand, decided, hold, (&of, epoch), &subject).await;
        if matches!(kept, Err(Error::InProgress { .. })) {
            // What it rested on has changed: the retry need not wait for the lease.
            self.release(&slip, &in_hand).await;
        }
        kept
    }

    /// What must still hold of the person when something about them is recorded.
    async fn epoch(&self, of: &Subject, now: Timestamp) -> Result<(Key, Expect), Error> {
        let key = self.epoch_key(&of.party, &of.handle, of.partition);
        let stored = self.store.get(&key, now).await?;
        Ok((key, stored.map_or(Expect::Absent, |stored| Expect::Version(stored.version))))
    }

    /// A retry of an answer that rested on a consent is not answered once that is not in force.
    async fn still_in_force(&self, record: &DecisionRecord) -> Result<(), Error> {
        match record.decision.consent() {
            Some(consent) if !self.consent_in_force(&record.relying_party, &consent).await? => {
                Err(Error::ConsentNotInForce)
            }
            _ => Ok(()),
        }
    }

    /// Records the decision with its audit entry; only then is the token signed. If a guardian is asked for, what was
    /// read is held, sealed, for as long as a consent can be asked for; if a consent was used, it must still stand.
    async fn keep_and_answer(
        &self,
        in_hand: &InHand,
        found: Found,
        hold: Option<Hold>,
        (of, epoch): (&Subject, (Key, Expect)),
        subject: &SubjectRef,
    ) -> Result<Answer, Error> {
        let relying_party = &of.party;
        let entry = entry(&found, in_hand.decision, relying_party);
        let Found { decision, at, image, consent, contradicted, .. } = found;
        let record = DecisionRecord {
            decided_at: at,
            relying_party: relying_party.clone(),
            token_seconds: self.settings.token_minutes.saturating_mul(60),
            whose: Some(self.whose(relying_party, &in_hand.decision, &of.handle)),
            decision,
        };
        let key = self.decision_key(relying_party, &in_hand.decision);
        let until = later(at, SignedDuration::from_hours(24 * i64::from(self.settings.decision_days)));
        let mut batch = Batch::new(of.partition)
            .require(epoch.0, epoch.1)
            .require(key, Expect::Absent)
            .put(key, encode(&record)?, Some(until))
            .record(entry);
        let shows_age =
            matches!(record.decision.outcome(), policy::Outcome::Allowed | policy::Outcome::ConsentRequired { .. });
        if image.is_some() && shows_age && record.decision.suffices() {
            batch = self.answer_report(batch, of, at).await?;
            if let (Some(recheck), key, expect) = self.recheck(of, at).await?
                && recheck.open
            {
                batch = self.shown_again(batch.require(key, expect), key, at)?;
            }
        }
        let mut shreds = Vec::new();
        for other in contradicted {
            (batch, shreds) = self.end_contradicted(batch, &other, at, shreds)?;
        }
        if let (Some(_), Some(consent)) = (record.decision.consent(), consent) {
            batch = batch.require(consent.key, Expect::Version(consent.version));
            if image.is_none() {
                let report = self.report_key(&of.party, &of.handle, of.partition);
                let (recheck, key, expect) = self.recheck(of, at).await?;
                if recheck.is_some_and(|recheck| recheck.open) {
                    return Err(Error::ConsentNotInForce);
                }
                batch = batch.require(report, Expect::Absent).require(key, expect);
            }
        }
        let mut made = None;
        if let Some(hold) = hold {
            let (with, own) = self.hold(batch, hold, &in_hand.decision, of, at).await?;
            (batch, made) = (with, Some(own));
        }
        // Whoever is late leaves it to the one who took the request over.
        let committed =
            if self.now() < in_hand.lease { self.store.commit(batch, at).await } else { Err(CommitError::Conflict) };
        match (committed, made) {
            (Ok(_), _) => {
                for own in shreds {
                    self.store.shred(own).await?;
                }
                self.answer(in_hand.decision, &record, subject)
            }
            (Err(error), Some(own)) if error == CommitError::Conflict => {
                self.store.shred(own).await?;
                self.outrun(error)
            }
            (Err(error), _) => self.outrun(error),
        }
    }

    /// Adds to a batch what is remembered of the reading.
    async fn hold(
        &self,
        batch: Batch,
        hold: Hold,
        id: &DecisionId,
        of: &Subject,
        at: Timestamp,
    ) -> Result<(Batch, KeyId), Error> {
        let key = self.held_key(&of.party, id);
        let (sealed, own) = self.remember(&key, &hold.remembered).await?;
        let until = later(at, SignedDuration::from_hours(i64::from(self.consent.answer_hours)));
        let held = Held {
            relying_party: of.party.clone(),
            subject: of.handle.clone(),
            purpose: hold.purpose,
            sealed,
            key: own,
            until,
            gone: false,
        };
        let batch = batch
            .put(key, encode(&held)?, None)
            .file(self.subject_key(&of.party, &of.handle, of.partition), key)
            .file(self.due_key(of.partition, Slot::of(until, at)), key);
        Ok((batch, own))
    }

    /// Records one event without personal data, and what a retry is told.
    async fn keep_nothing(
        &self,
        slip: &Slip,
        in_hand: &InHand,
        found: Found,
        relying_party: &RelyingParty,
    ) -> Result<Answer, Error> {
        let event = entry(&found, in_hand.decision, relying_party);
        let Found { decision, at, .. } = found;
        let kept = KeptNothing {
            rule: decision.rule().clone(),
            policy: decision.policy(),
            inconsistent: match decision.outcome() {
                policy::Outcome::Inconsistent { reasons } => reasons.clone(),
                policy::Outcome::Allowed
                | policy::Outcome::ConsentRequired { .. }
                | policy::Outcome::Blocked
                | policy::Outcome::Unreadable { .. } => Vec::new(),
            },
        };
        let answered = encode(&slip.answered(in_hand.decision, kept.clone()))?;
        let batch = Batch::new(slip.partition)
            .require(slip.key, Expect::Version(in_hand.version))
            .put(slip.key, answered, Some(self.forgotten_at(at)))
            .record(event);
        match self.store.commit(batch, at).await {
            Ok(_) => Ok(kept_nothing(in_hand.decision, kept)),
            Err(error) => self.outrun(error),
        }
    }

    /// Somebody took the request over because its lease had lapsed: the answer is theirs to give.
    fn outrun(&self, error: CommitError) -> Result<Answer, Error> {
        match error {
            CommitError::Conflict => Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) }),
            CommitError::TooLarge | CommitError::WrongPartition | CommitError::Store(_) => Err(unexpected(error)),
        }
    }

    /// The answer that a recorded decision gives, now and on every retry.
    fn answer(&self, id: DecisionId, record: &DecisionRecord, subject: &SubjectRef) -> Result<Answer, Error> {
        let decision = &record.decision;
        let outcome = match decision.outcome() {
            policy::Outcome::Allowed => {
                Outcome::Allowed { token: self.sign(id, record, subject)?, consent: decision.consent() }
            }
            policy::Outcome::ConsentRequired { guardian_min_age, legal_guardian } => Outcome::ConsentRequired {
                guardian_min_age: *guardian_min_age,
                legal_guardian: *legal_guardian,
                legal_basis: decision.citations().iter().map(|citation| citation.text.clone()).collect(),
            },
            policy::Outcome::Blocked => Outcome::Blocked,
            policy::Outcome::Unreadable { reasons, .. } => Outcome::Unreadable { reasons: reasons.clone() },
            policy::Outcome::Inconsistent { reasons } => Outcome::Inconsistent { reasons: reasons.clone() },
        };
        Ok(Answer {
            decision: id,
            rule: decision.rule().clone(),
            policy: decision.policy(),
            assurance: decision.assurance(),
            signals: decision.signals().to_vec(),
            outcome,
        })
    }

    fn sign(&self, id: DecisionId, record: &DecisionRecord, subject: &SubjectRef) -> Result<Token, Error> {
        let grant = record.decision.grant().ok_or(Error::Broken)?;
        let to = Audience { relying_party: record.relying_party.clone(), subject: subject.clone() };
        let lifetime = SignedDuration::from_secs(i64::from(record.token_seconds));
        self.issuer.issue(grant, &to, id, record.decided_at, lifetime).map_err(|_| Error::Signing)
    }

    /// Counts what reading came to.
    pub(super) fn observe(&self, read: &Extraction) {
        let t = &read.timings;
        let steps =
            [("decode", t.decode), ("locate", t.locate), ("read", t.read), ("parse", t.parse), ("total", t.total)];
        steps.into_iter().for_each(|(step, took)| self.metrics.read_step(step, took));
        if let Verdict::Unreadable(why) = &read.verdict {
            why.reasons.iter().for_each(|reason| self.metrics.unreadable(reason.as_str()));
        }
    }
}

/// The audit entry; of a decision that keeps nothing it names neither the decision nor the moment.
fn entry(found: &Found, decision_id: DecisionId, relying_party: &RelyingParty) -> Entry {
    let occasion = Occasion { at: found.at, decision_id, relying_party: relying_party.clone(), image: found.image };
    Entry::decided(&found.decision, occasion)
}

/// The answer for a person of whom nothing is kept.
fn kept_nothing(decision: DecisionId, kept: KeptNothing) -> Answer {
    let outcome = if kept.inconsistent.is_empty() {
        Outcome::Blocked
    } else {
        Outcome::Inconsistent { reasons: kept.inconsistent }
    };
    Answer { decision, rule: kept.rule, policy: kept.policy, assurance: None, signals: Vec::new(), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_date_is_ten_characters_of_a_date_that_exists() {
        let parsed = |text: &str| match Shown::declared(&Sensitive::new(text.to_owned())) {
            Ok(Shown::Declared(birth)) => Some(birth.expose().to_string()),
            Ok(Shown::Image(_) | Shown::Consent(_)) | Err(_) => None,
        };
        assert_eq!(parsed("2008-02-29").as_deref(), Some("2008-02-29"));
        for wrong in ["", "2009-02-29", "2008-2-29", "+002008-02-29", "2008-02-29T00:00", "20080229", "2008-02-29[u"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
