//! Checking an age: from what was shown to a recorded decision and, if it allows, a signed token.

use super::idempotency::{Earlier, InHand, Slip};
use super::records::{DecisionRecord, KeptNothing, OutcomeKind, encode};
use super::{App, Call, Error, later, unexpected};
use crate::age::BirthDate;
use crate::audit::{Entry, ImageLife, Occasion};
use crate::evidence::{Extraction, validate::Verdict};
use crate::policy::{self, Basis, Decision, Rule};
use crate::secret::Sensitive;
use crate::store::{Batch, CommitError, Expect};
use crate::terms::{
    AssuranceLevel, DecisionId, IdempotencyKey, Jurisdiction, Malformed, PolicyDigest, Purpose, Reason, RelyingParty,
    RuleId, Signal, SubjectRef,
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
    Image(Sensitive<Vec<u8>>),
    /// The date of birth as the person stated it.
    Declared(BirthDate),
}

impl Shown {
    /// A stated date of birth: `YYYY-MM-DD` and nothing else.
    pub fn declared(text: &Sensitive<String>) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("date");
        let text = text.expose();
        let fits = |(i, b): (usize, u8)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
        if text.len() != 10 || !text.bytes().enumerate().all(fits) {
            return Err(BAD);
        }
        text.parse().map(|date| Self::Declared(BirthDate::new(date))).map_err(|_| BAD)
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

/// A decision that is not recorded yet.
struct Found {
    decision: Decision,
    at: Timestamp,
    image: Option<ImageLife>,
}

impl App {
    /// Checks an age.
    pub async fn check_age(&self, ask: Ask, call: Call) -> Result<Answer, Error> {
        let now = self.now();
        let rule = self.rules.rule(ask.jurisdiction, ask.purpose);
        if matches!(ask.shown, Shown::Image(_)) {
            rule.may_read_document(&self.facts(&call.relying_party))?;
        }
        let slip = self.slip(&call.relying_party, &ask);
        let free = match self.earlier(&call.relying_party, &slip, now).await? {
            Earlier::Decided(id, record) => return self.answer(id, &record, &ask.subject),
            Earlier::KeptNothing(id, kept) => return Ok(kept_nothing(id, kept)),
            Earlier::Free(id, expect) => (id, expect),
        };
        let place = match ask.shown {
            Shown::Image(_) => Some(self.pool.admit(call.deadline)?),
            Shown::Declared(_) => None,
        };
        // Reserved first: of duplicates that come at once, only the one that is worked on is an attempt.
        let in_hand = self.reserve(&slip, free, now).await?;
        if let Err(refused) = self.count_attempt(&call.relying_party, &ask.subject, now).await {
            self.release(&slip, &in_hand).await;
            return Err(refused);
        }

        let Ask { subject, shown, .. } = ask;
        let decided = match (shown, place) {
            (Shown::Image(image), Some(place)) => self.decide_by_document(&rule, image, place, &call, now).await,
            (Shown::Declared(birth), _) => self.decide_by_declaration(&rule, &birth, &call.relying_party),
            (Shown::Image(_), None) => Err(Error::Broken),
        };
        let decided = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.release(&slip, &in_hand).await;
                return Err(error);
            }
        };
        self.metrics.decided(OutcomeKind::of(decided.decision.outcome()).as_str());
        if decided.decision.keeps_nothing() {
            self.keep_nothing(&slip, &in_hand, decided, &call.relying_party).await
        } else {
            self.keep_and_answer(&slip, &in_hand, decided, &call.relying_party, &subject).await
        }
    }

    async fn decide_by_document(
        &self,
        rule: &Rule,
        image: Sensitive<Vec<u8>>,
        place: super::pool::Place,
        call: &Call,
        received_at: Timestamp,
    ) -> Result<Found, Error> {
        let today = rule.today_for_expiry(received_at);
        let waits = (call.deadline, call.watch.clone());
        let read = self.pool.read(place, image, today, self.image_bytes, waits).await?;
        let disposed_at = self.now();
        self.observe(&read);
        let basis = match &read.verdict {
            Verdict::Read(evidence) => Basis::Document(evidence),
            Verdict::Unreadable(why) => {
                let youngest = why.youngest.as_ref();
                Basis::Unreadable { reasons: &why.reasons, kind: why.kind, signals: &why.signals, youngest }
            }
        };
        let decision = policy::decide(rule, basis, &self.facts(&call.relying_party), disposed_at)?;
        Ok(Found { decision, at: disposed_at, image: Some(ImageLife { received_at, disposed_at }) })
    }

    fn decide_by_declaration(
        &self,
        rule: &Rule,
        birth: &BirthDate,
        relying_party: &RelyingParty,
    ) -> Result<Found, Error> {
        let now = self.now();
        let decision = policy::decide(rule, Basis::Declared(birth), &self.facts(relying_party), now)?;
        if let policy::Outcome::Unreadable { reasons, .. } = decision.outcome() {
            reasons.iter().for_each(|reason| self.metrics.unreadable(reason.as_str()));
        }
        Ok(Found { decision, at: now, image: None })
    }

    /// Records the decision with its audit entry; only then is the token signed.
    async fn keep_and_answer(
        &self,
        slip: &Slip,
        in_hand: &InHand,
        found: Found,
        relying_party: &RelyingParty,
        subject: &SubjectRef,
    ) -> Result<Answer, Error> {
        let entry = entry(&found, in_hand.decision, relying_party);
        let record = DecisionRecord {
            decided_at: found.at,
            relying_party: relying_party.clone(),
            token_seconds: self.settings.token_minutes.saturating_mul(60),
            decision: found.decision,
        };
        let key = self.decision_key(relying_party, &in_hand.decision);
        let until = later(found.at, SignedDuration::from_hours(24 * i64::from(self.settings.decision_days)));
        let batch = Batch::new(slip.partition)
            .require(slip.key, Expect::Version(in_hand.version))
            .require(key, Expect::Absent)
            .put(key, encode(&record)?, Some(until))
            .record(entry);
        match self.store.commit(batch, found.at).await {
            Ok(_) => self.answer(in_hand.decision, &record, subject),
            Err(error) => self.outrun(error),
        }
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
            policy::Outcome::Allowed => Outcome::Allowed { token: self.sign(id, record, subject)? },
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
            Ok(Shown::Image(_)) | Err(_) => None,
        };
        assert_eq!(parsed("2008-02-29").as_deref(), Some("2008-02-29"));
        for wrong in ["", "2009-02-29", "2008-2-29", "+002008-02-29", "2008-02-29T00:00", "20080229", "2008-02-29[u"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
