//! Looking at what a requester shows. What could be guessed is counted first, looked at then, and recorded last; what a
//! relying party vouches for is recorded. Nothing that was shown is kept but its kind and its time.

use super::super::idempotency::digest;
use super::super::once::{Done, Once};
use super::super::subject::Subject;
use super::super::{App, Call, Error};
use super::meter::Charged;
use super::{ATTEMPTS, RightsNote, told};
use crate::age::BirthDate;
use crate::audit::{Entry, ImageLife, LockChanged};
use crate::evidence::validate::Verdict as Seen;
use crate::policy;
use crate::rights::{Event, Failure, RightsRequest, Shown};
use crate::secret::Sensitive;
use crate::store::{Batch, Expect, Space, StoreError};
use crate::terms::{
    ConsentId, DataPointKind, EventKind, IdempotencyKey, Malformed, ProofMethod, RelyingParty, RequestId,
    RightsNotPossible, StaffRef, SubjectRef,
};
use aws_lc_rs::{constant_time, hmac, rand};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How far a relying party's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// What is shown, for which request.
pub struct ProveAsk {
    /// Which request.
    pub request: RequestId,
    /// Whose.
    pub subject: SubjectRef,
    /// What is shown.
    pub offered: Offered,
    /// Whether the token can be used only once.
    pub single_use: bool,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
}

/// What a requester shows.
pub enum Offered {
    /// A session that was begun or renewed then.
    Session(Timestamp),
    /// A code.
    Code(Sensitive<String>),
    /// Values, beside those on file.
    DataPoints(Vec<DataPoint>),
    /// A signed declaration that this member of staff has.
    Declaration(StaffRef),
    /// A picture of an identity card, and the date of birth that it must show.
    IdCard(Sensitive<Vec<u8>>, BirthDate),
    /// A person has looked at it.
    HumanReview(StaffRef),
    /// A guardian's consent.
    Guardian(ConsentId),
    /// An agent's signed permission.
    AgentPermission(StaffRef),
    /// A power of attorney.
    PowerOfAttorney(StaffRef),
}

/// One value that the requester says, beside what is on file.
pub struct DataPoint {
    /// What it is.
    pub kind: DataPointKind,
    /// What the requester says.
    pub claimed: Sensitive<String>,
    /// What is on file; nothing where there is nothing.
    pub on_file: Sensitive<String>,
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Accepted,
    /// It does not hold.
    NotAccepted,
    /// It was not looked at.
    NotPossible(RightsNotPossible),
}

/// The request after it, and what it came to.
pub struct Proved {
    /// The request.
    pub request: RightsRequest,
    /// What it came to.
    pub verdict: Verdict,
}

/// Something that was looked at.
struct Looked {
    holds: bool,
    method: ProofMethod,
    points: BTreeSet<DataPointKind>,
    fresh_since: Option<Timestamp>,
    staff: Option<StaffRef>,
    image: Option<ImageLife>,
}

impl Looked {
    fn new(method: ProofMethod, holds: bool) -> Self {
        Self { holds, method, points: BTreeSet::new(), fresh_since: None, staff: None, image: None }
    }

    fn vouched(method: ProofMethod, staff: StaffRef) -> Self {
        Self { staff: Some(staff), ..Self::new(method, true) }
    }

    fn shown(&self, at: Timestamp) -> Shown {
        let shown = match self.fresh_since {
            Some(since) => Shown::session(since, at),
            None => Shown::new(self.method, at),
        };
        Shown { points: self.points.clone(), staff: self.staff.clone(), ..shown }
    }
}

impl Offered {
    /// A picture of a card, and the date of birth that it must show: `YYYY-MM-DD` and nothing else.
    pub fn id_card(image: Sensitive<Vec<u8>>, expected: &Sensitive<String>) -> Result<Self, Malformed> {
        super::super::verify::stated_birth(expected).map(|birth| Self::IdCard(image, birth))
    }

    /// All of it, for telling a retry from another request.
    fn digest(&self) -> String {
        let (name, said): (&[u8], &[u8]) = match self {
            Self::Session(at) => return digest(&[b"session", at.to_string().as_bytes()]),
            Self::Guardian(id) => return digest(&[b"guardian", id.0.as_bytes()]),
            Self::DataPoints(points) => {
                let parts = points.iter().flat_map(|point| {
                    [
                        point.kind.as_str().as_bytes(),
                        point.claimed.expose().as_bytes(),
                        point.on_file.expose().as_bytes(),
                    ]
                });
                return digest(&parts.collect::<Vec<_>>());
            }
            Self::IdCard(image, birth) => {
                let date = birth.expose();
                let (y, m, d) = (date.year().to_be_bytes(), date.month().to_be_bytes(), date.day().to_be_bytes());
                return digest(&[b"id-card", image.expose(), &y, &m, &d]);
            }
            Self::Code(code) => (b"code", code.expose().as_bytes()),
            Self::Declaration(staff) => (b"declaration", staff.as_str().as_bytes()),
            Self::HumanReview(staff) => (b"human-review", staff.as_str().as_bytes()),
            Self::AgentPermission(staff) => (b"agent-permission", staff.as_str().as_bytes()),
            Self::PowerOfAttorney(staff) => (b"power-of-attorney", staff.as_str().as_bytes()),
        };
        digest(&[name, said])
    }
}

impl App {
    /// Looks at what a requester shows.
    pub async fn prove_requester(&self, ask: ProveAsk, call: Call) -> Result<Proved, Error> {
        let ProveAsk { request: id, subject, offered, single_use, key } = ask;
        let party = call.relying_party.clone();
        let subject = self.subject(&party, &subject);
        let once = if single_use { "once" } else { "" };
        let said = offered.digest();
        let parts: [&[u8]; 4] = [b"prove", id.0.as_bytes(), once.as_bytes(), said.as_bytes()];
        let once = self.once(&party, subject.partition, &key, &parts);
        let before = self.load_request_of(&party, &id, &subject).await?;
        if let Some(proved) = self.proved_before(&party, &id, &once).await? {
            return Ok(proved);
        }
        self.count_party(&party, self.now()).await?;
        let (looked, charged) = match offered {
            Offered::Session(since) => {
                let now = self.now();
                let since = if since > now && now.duration_until(since) <= AHEAD { now } else { since };
                let known = Looked { fresh_since: Some(since), ..Looked::new(ProofMethod::Session, since <= now) };
                (known, None)
            }
            Offered::Declaration(staff) => (Looked::vouched(ProofMethod::SignedDeclaration, staff), None),
            Offered::HumanReview(staff) => (Looked::vouched(ProofMethod::HumanReview, staff), None),
            Offered::AgentPermission(staff) => (Looked::vouched(ProofMethod::AgentPermission, staff), None),
            Offered::PowerOfAttorney(staff) => (Looked::vouched(ProofMethod::PowerOfAttorney, staff), None),
            Offered::Guardian(consent) => {
                let holds = self.acts_for(&party, &consent, &before.record).await?;
                (Looked::new(ProofMethod::GuardianConsent, holds), None)
            }
            Offered::Code(guess) => {
                let method = self.code_method(&party, &id).await?;
                let method = method.unwrap_or_else(|| any_code(&before.record.request));
                let charged = match self.charge(&subject, &id, (method, true)).await? {
                    Ok(charged) => charged,
                    Err(why) => return self.not_possible(&party, &id, why).await,
                };
                let code = charged.code.as_ref().map(|(_, _, code)| code);
                let method = code.map_or(method, super::code::Code::method);
                (Looked::new(method, self.is_code(&party, &id, code, &guess)), Some(charged))
            }
            Offered::DataPoints(points) => {
                let charged = match self.charge(&subject, &id, (ProofMethod::DataPoints, false)).await? {
                    Ok(charged) => charged,
                    Err(why) => return self.not_possible(&party, &id, why).await,
                };
                let holds = agree(&points)?;
                let points = if holds { points.iter().map(|point| point.kind).collect() } else { BTreeSet::new() };
                (Looked { points, ..Looked::new(ProofMethod::DataPoints, holds) }, Some(charged))
            }
            Offered::IdCard(image, expected) => {
                if let Err(why) = before.record.request.may_show(ProofMethod::IdCard, self.now()) {
                    return self.not_possible(&party, &id, why).await;
                }
                let place = self.pool.admit(call.deadline)?;
                let charged = match self.charge(&subject, &id, (ProofMethod::IdCard, false)).await? {
                    Ok(charged) => charged,
                    Err(why) => return self.not_possible(&party, &id, why).await,
                };
                let asked = before.record.request.asked();
                (self.look_at_card(asked.jurisdiction, (image, expected), place, &call).await?, Some(charged))
            }
        };
        self.record_proof(&subject, &id, (looked, charged, single_use), &once).await
    }

    /// What the same request came to before.
    async fn proved_before(&self, party: &RelyingParty, id: &RequestId, once: &Once) -> Result<Option<Proved>, Error> {
        let Some(Done::Proved { accepted }) = self.replay(once, self.now()).await? else { return Ok(None) };
        let verdict = if accepted { Verdict::Accepted } else { Verdict::NotAccepted };
        Ok(Some(Proved { request: self.rights_request(party, id).await?, verdict }))
    }

    async fn not_possible(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        why: RightsNotPossible,
    ) -> Result<Proved, Error> {
        Ok(Proved { request: self.rights_request(party, id).await?, verdict: Verdict::NotPossible(why) })
    }

    /// Records what was looked at.
    async fn record_proof(
        &self,
        subject: &Subject,
        id: &RequestId,
        (looked, charged, single_use): (Looked, Option<Charged>, bool),
        once: &Once,
    ) -> Result<Proved, Error> {
        let (party, mut holds) = (&subject.party, looked.holds);
        for _ in 0..ATTEMPTS {
            if let Some(proved) = self.proved_before(party, id, once).await? {
                return Ok(proved);
            }
            let now = self.now();
            let loaded = self.load_request_of(party, id, subject).await?;
            let mut record = loaded.record.clone();
            let mut entries = record.catch_up(now);
            // An attempt was allowed when it was counted; what nobody counted is looked at as things stand now.
            if charged.is_none()
                && let Err(why) = record.request.may_show(looked.method, now)
            {
                return self.not_possible(party, id, why).await;
            }
            let mut batch = Batch::new(subject.partition).require(loaded.key, Expect::Version(loaded.version));
            if holds && let Some(charged) = &charged {
                batch = self.set_back(batch, charged, now).await?;
                if let Some((key, version, _)) = &charged.code {
                    let same = self.store.get(key, now).await?.is_some_and(|stored| stored.version == *version);
                    if !same {
                        // Replaced by a newer code, or used by somebody else in this moment: this one is no code any more.
                        holds = false;
                        continue;
                    }
                    batch = batch.require(*key, Expect::Version(*version)).delete(*key);
                }
            }
            let event = if holds {
                Event::Shown { shown: looked.shown(now), jti: Uuid::new_v4(), single_use }
            } else {
                Event::Failed(Failure { method: looked.method })
            };
            let note = RightsNote {
                method: Some(looked.method),
                staff: looked.staff.clone(),
                image: looked.image,
                ..RightsNote::default()
            };
            match record.take(event, now, &note) {
                Ok(entry) => entries.push(entry),
                Err(why) => return self.not_possible(party, id, why).await,
            }
            if record.request.event() == EventKind::RightsInReview && !holds {
                entries.insert(entries.len() - 1, told(&record.request, EventKind::RightsProofFailed, now, &note));
            }
            if !holds && charged.as_ref().is_some_and(|charged| charged.last) {
                entries.push(Entry::LockChanged(LockChanged {
                    at: now,
                    relying_party: party.clone(),
                    locked: true,
                    request_id: Some(*id),
                }));
            }
            batch = self.put_request(batch, loaded.key, Some(&loaded.record), &record, now)?;
            batch = entries.into_iter().fold(batch, Batch::record);
            batch = self.settle(batch, once, &Done::Proved { accepted: holds }, now)?;
            if self.write(batch, now).await? {
                let verdict = if holds { Verdict::Accepted } else { Verdict::NotAccepted };
                return Ok(Proved { request: record.request, verdict });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Whether a consent lets this request's guardian act for its person.
    async fn acts_for(
        &self,
        party: &RelyingParty,
        consent: &ConsentId,
        record: &super::RightsRecord,
    ) -> Result<bool, Error> {
        let Some(loaded) = self.current(self.consent_key(party, consent)).await? else { return Ok(false) };
        let same = loaded.record.subject.as_ref() == Some(&record.subject)
            && record.guardian.is_some()
            && loaded.record.guardian == record.guardian;
        Ok(same && loaded.in_force(self.now()) && !loaded.record.consent.subject_acts())
    }

    /// Whether a card shows a date of birth. What it shows is not told.
    async fn look_at_card(
        &self,
        jurisdiction: crate::terms::Jurisdiction,
        (image, expected): (Sensitive<Vec<u8>>, BirthDate),
        place: super::super::pool::Place,
        call: &Call,
    ) -> Result<Looked, Error> {
        let (rule, received_at) = (self.zones_of(jurisdiction), self.now());
        let today = rule.today_for_expiry(received_at);
        let read = self.pool.read(place, image, today, self.image_bytes, (call.deadline, call.watch.clone())).await?;
        self.observe(&read);
        let life = ImageLife { received_at, disposed_at: self.now() };
        let holds = match &read.verdict {
            Seen::Read(evidence) => {
                let facts = self.facts(&call.relying_party);
                let obstacles = policy::guardian_obstacles(&rule, evidence, &facts, life.disposed_at);
                evidence.birth == expected && obstacles.is_empty()
            }
            Seen::Unreadable(_) => false,
        };
        Ok(Looked { image: Some(life), ..Looked::new(ProofMethod::IdCard, holds) })
    }

    /// Sets a person's failures back, as an operator asks.
    pub async fn unlock(&self, subject: &SubjectRef, party: &RelyingParty) -> Result<(), Error> {
        let subject = self.subject(party, subject);
        let now = self.now();
        let locked = self.is_locked(&subject, now).await?;
        let mut batch = self.forget_failures(Batch::new(subject.partition), &subject);
        if locked {
            let entry = LockChanged { at: now, relying_party: party.clone(), locked: false, request_id: None };
            batch = batch.record(Entry::LockChanged(entry));
        }
        self.write(batch, now).await.map(drop)
    }

    /// Where it stands that a token for one use was used.
    pub(super) fn used_key(&self, party: &RelyingParty, id: &RequestId, jti: &Uuid) -> crate::store::Key {
        self.handles.key(Space::SingleUse, super::partition_of(id), party, &format!("rights:{jti}"))
    }
}

/// A code that the request may be shown, where none was made: so that both are refused alike.
fn any_code(request: &RightsRequest) -> ProofMethod {
    let codes = [ProofMethod::EmailCode, ProofMethod::PhoneCode, ProofMethod::PostCode];
    codes.into_iter().find(|code| request.asked().vouched.contains(code)).unwrap_or(ProofMethod::EmailCode)
}

/// Whether all values agree with what is on file, in a time that tells neither which nor how far they agree.
fn agree(points: &[DataPoint]) -> Result<bool, Error> {
    let mut secret = [0u8; 32];
    rand::fill(&mut secret).map_err(|_| Error::Broken)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let mut all = !points.is_empty();
    for point in points {
        let (claimed, on_file) = (point.claimed.expose().trim(), point.on_file.expose().trim());
        let (a, b) = (hmac::sign(&key, claimed.as_bytes()), hmac::sign(&key, on_file.as_bytes()));
        let same = constant_time::verify_slices_are_equal(a.as_ref(), b.as_ref()).is_ok();
        all &= same & !on_file.is_empty();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(claimed: &str, on_file: &str) -> DataPoint {
        let text = |text: &str| Sensitive::new(text.to_owned());
        DataPoint { kind: DataPointKind::Reference, claimed: text(claimed), on_file: text(on_file) }
    }

    #[test]
    fn all_values_must_agree_and_nothing_agrees_with_nothing() {
        assert!(agree(&[point("a", "a"), point(" b ", "b")]).unwrap());
        for wrong in [
            vec![],
            vec![point("", "")],
            vec![point(" ", "")],
            vec![point("a", "")],
            vec![point("a", "b")],
            vec![point("a", "a"), point("b", "")],
            vec![point("a", "A"), point("b", "b")],
        ] {
            assert!(!agree(&wrong).unwrap());
        }
    }
}
