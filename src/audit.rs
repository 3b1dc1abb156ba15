//! What idgate did, as a chain of hash-linked entries that hold no personal data.
//!
//! An entry names a service, a rule and an outcome; no type in here can hold a person's name, number, date of birth,
//! subject reference, image or page text. What is kept of a person below the block age is narrower still
//! ([`Untraced`]): no decision id, and only the hour (domain 5.7; COPPA "never collected"; PIPA 22-2). Which of the two
//! it is, is told by the decision alone: entries about decisions have one maker, [`Entry::decided`]. Each [`Link`] is bound by SHA-256 to its chain,
//! its place and its predecessor, so that a change, removal, insertion, reorder or truncation shows. Pure: no clock,
//! no I/O. The hash covers the bytes of the body as they were written, so links stay valid when entries gain fields.

mod moved;
mod rights;

pub use moved::{ConsentMoved, ErasureRequired, GuardianRefused, ReportClosed, Reported, SubjectErased};
pub use rights::{AgeRecheckRequired, LockChanged, RightsMoved};

use crate::policy::{Decision, Outcome};
use crate::terms::{
    AssuranceLevel, DecisionId, DocumentKind, Jurisdiction, PolicyDigest, Purpose, Reason, RelyingParty, RuleId,
    Signal, Statute, show_hex,
};
use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Prefix of every hashed link; a new encoding gets a new prefix.
const ENCODING: &[u8] = b"idgate audit chain, encoding 1\0";

/// The SHA-256 of a link; shown as 64 lower-case hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing that happened. Closed: what is not listed cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", deny_unknown_fields)]
pub enum Entry {
    /// An age was decided.
    #[serde(rename = "age.decided")]
    Decided(Box<Decided>),
    /// A person below the block age was turned away.
    #[serde(rename = "age.untraced")]
    Untraced(Untraced),
    /// The fields of a document were handed to a caller with the purpose to read them.
    #[serde(rename = "document.read")]
    DocumentRead(Box<DocumentRead>),
    /// A guardian's consent moved.
    #[serde(rename = "consent.moved")]
    ConsentMoved(Box<ConsentMoved>),
    /// A guardian was not accepted.
    #[serde(rename = "consent.guardian_refused")]
    GuardianRefused(Box<GuardianRefused>),
    /// An account was reported as a child's.
    #[serde(rename = "report.made")]
    Reported(Reported),
    /// A document showed that the account is no child's, or the report was moot.
    #[serde(rename = "report.closed")]
    ReportClosed(ReportClosed),
    /// A service has to erase what it holds about a person.
    #[serde(rename = "erasure.required")]
    ErasureRequired(ErasureRequired),
    /// A person was erased here.
    #[serde(rename = "subject.erased")]
    SubjectErased(SubjectErased),
    /// A rights request moved.
    #[serde(rename = "rights.moved")]
    RightsMoved(Box<RightsMoved>),
    /// An account was locked or unlocked for rights requests.
    #[serde(rename = "rights.lock")]
    LockChanged(LockChanged),
    /// A date of birth was corrected: the age must be checked anew.
    #[serde(rename = "age.recheck")]
    AgeRecheckRequired(AgeRecheckRequired),
}

/// What a decision came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The person may go on.
    Allowed,
    /// A guardian has to consent first.
    ConsentRequired,
    /// Too young.
    Blocked,
    /// There was no usable evidence.
    Unreadable,
    /// The evidence contradicts itself.
    Inconsistent,
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Allowed => Self::Allowed,
            Outcome::ConsentRequired { .. } => Self::ConsentRequired,
            Outcome::Blocked => Self::Blocked,
            Outcome::Unreadable { .. } => Self::Unreadable,
            Outcome::Inconsistent { .. } => Self::Inconsistent,
        }
    }
}

/// The circumstances of a decision that the decision itself does not know.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// When it was decided.
    pub at: Timestamp,
    /// The name that idgate made for the decision.
    pub decision_id: DecisionId,
    /// The service that asked.
    pub relying_party: RelyingParty,
    /// The life of the image, if there was one.
    pub image: Option<ImageLife>,
}

impl Entry {
    /// The entry for a decision. Of a decision that keeps nothing, it keeps no name, no moment and no remark.
    pub fn decided(decision: &Decision, occasion: Occasion) -> Self {
        let (verdict, rule) = (Verdict::from(decision.outcome()), decision.rule().clone());
        let Occasion { at, decision_id, relying_party, image } = occasion;
        let (policy, document) = (decision.policy(), decision.document());
        if decision.keeps_nothing() || verdict == Verdict::Blocked {
            return Self::Untraced(Untraced { hour: hour_of(at), relying_party, rule, policy, verdict, document });
        }
        let reasons = match decision.outcome() {
            Outcome::Unreadable { reasons, .. } | Outcome::Inconsistent { reasons } => reasons.clone(),
            Outcome::Allowed | Outcome::ConsentRequired { .. } | Outcome::Blocked => Vec::new(),
        };
        Self::Decided(Box::new(Decided {
            at,
            decision_id,
            relying_party,
            jurisdiction: decision.jurisdiction(),
            purpose: decision.purpose(),
            verdict,
            rule,
            policy,
            document,
            assurance: decision.assurance(),
            signals: decision.signals().to_vec(),
            reasons,
            image,
        }))
    }
}

impl Decided {
    /// When, which decision, and whose.
    pub fn told(&self) -> (Timestamp, DecisionId, &RelyingParty) {
        (self.at, self.decision_id, &self.relying_party)
    }
}

impl Untraced {
    /// The hour, whose, and what it came to.
    pub fn told(&self) -> (Timestamp, &RelyingParty, Verdict) {
        (self.hour, &self.relying_party, self.verdict)
    }
}

/// The beginning of the hour that `at` lies in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(Timestamp::MIN)
}

/// When an image came in and when its last copy was overwritten (domain 7.3: image lifecycle timestamps).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLife {
    /// The last byte of the image arrived.
    pub received_at: Timestamp,
    /// The last copy was overwritten.
    pub disposed_at: Timestamp,
    /// The statute under which the resident number on it was processed, if one was shown and one is relied upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statute: Option<Statute>,
}

impl ImageLife {
    /// The hours only.
    pub fn by_the_hour(self) -> Self {
        Self { received_at: hour_of(self.received_at), disposed_at: hour_of(self.disposed_at), ..self }
    }
}

/// A decision about a person who is not below the block age, or whose age was not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    at: Timestamp,
    decision_id: DecisionId,
    relying_party: RelyingParty,
    jurisdiction: Jurisdiction,
    purpose: Purpose,
    verdict: Verdict,
    rule: RuleId,
    policy: PolicyDigest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<DocumentKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assurance: Option<AssuranceLevel>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<ImageLife>,
}

/// A decision about a person below the block age: nothing that leads to the person, and the time only to the hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untraced {
    hour: Timestamp,
    relying_party: RelyingParty,
    rule: RuleId,
    policy: PolicyDigest,
    verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<DocumentKind>,
}

/// The fields of a document that may be handed out (never a number).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The date of birth.
    DateOfBirth,
    /// The kind of the document.
    DocumentKind,
    /// The date of expiry.
    Expiry,
    /// How well the date of birth was witnessed.
    Assurance,
}

/// A document was read for a caller that may see its fields. Which fields, never what they said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRead {
    /// When it was read.
    pub at: Timestamp,
    /// The call, by the name that idgate made for it.
    pub decision_id: DecisionId,
    /// The service that asked.
    pub relying_party: RelyingParty,
    /// The fields that were handed out.
    pub fields: Vec<Field>,
    /// The kind of document, if one was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentKind>,
    /// How well the date of birth was witnessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<AssuranceLevel>,
    /// Why nothing could be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The life of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageLife>,
}

/// An entry in its place: its number, its predecessor's hash, the bytes it was written as, and the hash over all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The place in the chain, from 1 without a gap.
    pub seq: u64,
    /// The hash of the link before, or 32 zero bytes.
    pub prev: Digest,
    /// The entry as JSON, exactly as it was hashed.
    pub body: String,
    /// SHA-256 over the encoding, the chain, `seq`, `prev` and `body`.
    pub hash: Digest,
}

impl Link {
    /// The entry that was recorded.
    pub fn entry(&self) -> Result<Entry, Broken> {
        serde_json::from_str(&self.body).map_err(|_| Broken { at: self.seq })
    }
}

/// The end of a chain: how many entries it has and the hash of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 when there is none.
    pub seq: u64,
    /// The hash of the last entry; zero when there is none.
    pub hash: Digest,
}

/// The chain does not hold: the link that should be number `at` is missing, changed or out of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain does not hold at entry {at}")]
pub struct Broken {
    /// The number of the first link that does not hold.
    pub at: u64,
}

impl Head {
    /// The head of a chain without entries.
    pub const GENESIS: Self = Self { seq: 0, hash: Digest([0; 32]) };

    /// The link that puts `entry` after this head, in the chain named `chain`.
    pub fn append(&self, chain: u8, entry: &Entry) -> Link {
        let body = serde_json::to_string(entry).expect("an entry has only string keys and no fallible serializer");
        let seq = self.seq.saturating_add(1);
        Link { seq, prev: self.hash, hash: hash(chain, seq, &self.hash, &body), body }
    }

    /// The head after `link`, if `link` is the very next one of the chain named `chain`.
    pub fn follow(&self, chain: u8, link: &Link) -> Result<Head, Broken> {
        let at = self.seq.saturating_add(1);
        let holds = link.seq == at && link.prev == self.hash && link.hash == hash(chain, at, &link.prev, &link.body);
        if holds { Ok(Head { seq: at, hash: link.hash }) } else { Err(Broken { at }) }
    }
}

/// Follows `links` from `from` and returns where they end. With `known`, they must end exactly there: that is what
/// shows a truncation.
pub fn verify_chain<'a>(
    chain: u8,
    from: Head,
    links: impl IntoIterator<Item = &'a Link>,
    known: Option<Head>,
) -> Result<Head, Broken> {
    let head = links.into_iter().try_fold(from, |head, link| head.follow(chain, link))?;
    match known {
        Some(known) if known != head => Err(Broken { at: head.seq.min(known.seq).saturating_add(1) }),
        _ => Ok(head),
    }
}

fn hash(chain: u8, seq: u64, prev: &Digest, body: &str) -> Digest {
    let mut sha = Context::new(&SHA256);
    sha.update(ENCODING);
    sha.update(&[chain]);
    sha.update(&seq.to_be_bytes());
    sha.update(&prev.0);
    sha.update(body.as_bytes());
    Digest(sha.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A recorded decision of this outcome.
    fn decision(outcome: &str, keeps_nothing: bool) -> Decision {
        let json = format!(
            r#"{{"outcome":{outcome},"rule":"default/signup","rows":[],"citations":[],"policy":"{}","jurisdiction":"KR",
                "purpose":"signup","thresholds":[],"assurance":"checked","document":"td3","signals":["number_masked"],
                "steps":[],"keeps_nothing":{keeps_nothing}}}"#,
            "09".repeat(32)
        );
        serde_json::from_str(&json).unwrap()
    }

    fn occasion(second: i64) -> Occasion {
        Occasion {
            at: at(second),
            decision_id: DecisionId(uuid::Uuid::from_u128(7)),
            relying_party: "shop".parse().unwrap(),
            image: Some(ImageLife { received_at: at(second - 1), disposed_at: at(second), statute: None }),
        }
    }

    fn decided(second: i64) -> Entry {
        Entry::decided(&decision(r#"{"kind":"allowed"}"#, false), occasion(second))
    }

    fn chain(n: i64) -> (Vec<Link>, Head) {
        let mut head = Head::GENESIS;
        let links: Vec<Link> = (0..n)
            .map(|i| {
                let link = head.append(3, &decided(1_800_000_000 + i));
                head = head.follow(3, &link).unwrap();
                link
            })
            .collect();
        (links, head)
    }

    #[test]
    fn an_untouched_chain_holds_and_gives_its_entries_back() {
        let (links, head) = chain(5);
        assert_eq!(verify_chain(3, Head::GENESIS, &links, Some(head)), Ok(head));
        assert_eq!(links[4].entry().unwrap(), decided(1_800_000_004));
        assert_eq!(verify_chain(3, Head::GENESIS, &[], None), Ok(Head::GENESIS));
    }

    #[test]
    fn every_kind_of_tampering_is_found_at_its_place() {
        let (links, head) = chain(6);
        let broken = |edit: &dyn Fn(&mut Vec<Link>)| {
            let mut copy = links.clone();
            edit(&mut copy);
            verify_chain(3, Head::GENESIS, &copy, Some(head)).unwrap_err().at
        };
        assert_eq!(broken(&|l| l[2].body = l[2].body.replace("allowed", "unreadable")), 3, "changed");
        assert_eq!(broken(&|l| drop(l.remove(2))), 3, "removed");
        assert_eq!(broken(&|l| l.swap(2, 3)), 3, "reordered");
        assert_eq!(broken(&|l| l.insert(3, l[2].clone())), 4, "inserted");
        assert_eq!(broken(&|l| l.truncate(4)), 5, "truncated");
        assert_eq!(broken(&|l| l.push(Head { seq: 6, hash: l[5].hash }.append(3, &decided(0)))), 7, "extended");
        assert_eq!(broken(&|l| l[0].prev = Digest([1; 32])), 1, "first");
        assert_eq!(verify_chain(4, Head::GENESIS, &links, None).unwrap_err().at, 1, "another chain");
    }

    #[test]
    fn a_rewritten_tail_does_not_meet_the_known_head() {
        let (links, head) = chain(3);
        let forged = Head { seq: 2, hash: links[1].hash }.append(3, &decided(42));
        let rewritten = [links[0].clone(), links[1].clone(), forged];
        assert!(verify_chain(3, Head::GENESIS, &rewritten, None).is_ok());
        assert!(verify_chain(3, Head::GENESIS, &rewritten, Some(head)).is_err());
    }

    #[test]
    fn below_the_block_age_the_hour_is_kept_and_nothing_else_about_the_moment_or_the_person() {
        for (outcome, verdict, keeps_nothing) in [
            (r#"{"kind":"blocked"}"#, "blocked", true),
            (r#"{"kind":"blocked"}"#, "blocked", false),
            (r#"{"kind":"inconsistent","reasons":["inconsistent"]}"#, "inconsistent", true),
        ] {
            let entry = |second| Entry::decided(&decision(outcome, keeps_nothing), occasion(second));
            assert_eq!(entry(1_800_000_001), entry(1_800_003_599));
            let json: serde_json::Value = serde_json::to_value(entry(1_800_000_001)).unwrap();
            let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["action", "document", "hour", "policy", "relying_party", "rule", "verdict"]);
            assert_eq!((&json["hour"], &json["verdict"]), (&"2027-01-15T08:00:00Z".into(), &verdict.into()));
        }
    }

    #[test]
    fn a_refusal_that_may_be_kept_says_why() {
        let outcome = r#"{"kind":"unreadable","reasons":["glare"],"retryable":true}"#;
        let json = serde_json::to_value(Entry::decided(&decision(outcome, false), occasion(0))).unwrap();
        assert_eq!((&json["verdict"], &json["reasons"]), (&"unreadable".into(), &serde_json::json!(["glare"])));
    }

    #[test]
    fn the_encoding_is_pinned() {
        let link = Head::GENESIS.append(3, &decided(1_800_000_000));
        assert_eq!(
            link.body,
            concat!(
                r#"{"action":"age.decided","at":"2027-01-15T08:00:00Z","#,
                r#""decision_id":"00000000-0000-0000-0000-000000000007","relying_party":"shop","jurisdiction":"KR","#,
                r#""purpose":"signup","verdict":"allowed","rule":"default/signup","#,
                r#""policy":"0909090909090909090909090909090909090909090909090909090909090909","#,
                r#""document":"td3","assurance":"checked","signals":["number_masked"],"#,
                r#""image":{"received_at":"2027-01-15T07:59:59Z","disposed_at":"2027-01-15T08:00:00Z"}}"#
            )
        );
        assert_eq!(link.hash.to_string(), "9fb2e1e258309f1f1307e4127b7f60b510346e4641537307da44c1acf997c6d6");
    }
}
