//! Looking at what a requester shows. What could be guessed is counted first, looked at then, and recorded last; what a
//! relying party vouches for is recorded. Nothing that was shown is kept but its kind and its time.

use super::super::idempotency::digest;
use super::super::once::{Done, Once};
use super::super::records::decode;
use super::super::subject::Subject;
use super::super::{App, Call, Error, Picture};
use super::code::Code;
use super::look::agree;
use super::meter::Charged;
use super::{ATTEMPTS, RightsNote, told};
use crate::age::BirthDate;
use crate::audit::{Entry, ImageLife, LockChanged};
use crate::rights::{Event, Failure, RightsRequest, Shown};
use crate::secret::Sensitive;
use crate::store::{Batch, Expect, Space, StoreError};
use crate::terms::{
    ConsentId, DataPointKind, EventKind, IdempotencyKey, Malformed, ProofMethod, RelyingParty, RequestId,
    RightsNotPossible, StaffRef, SubjectRef,
};
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
    IdCard(Picture, BirthDate),
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
    /// Whether it is by this that the requester is verified: only then is there a token for it.
    pub verified: bool,
}

/// Something that was looked at.
pub(super) struct Looked {
    holds: bool,
    method: ProofMethod,
    points: BTreeSet<DataPointKind>,
    fresh_since: Option<Timestamp>,
    staff: Option<StaffRef>,
    image: Option<ImageLife>,
    /// The consent by which a guardian acts.
    consent: Option<ConsentId>,
    /// Whether it contradicts what is known.
    contradicts: bool,
}

impl Looked {
    fn new(method: ProofMethod, holds: bool) -> Self {
        Self {
            holds,
            method,
            points: BTreeSet::new(),
            fresh_since: None,
            staff: None,
            image: None,
            consent: None,
            contradicts: false,
        }
    }

    /// A card that was looked at.
    pub fn card(holds: bool, contradicts: bool, life: ImageLife) -> Self {
        Self { image: Some(life), contradicts, ..Self::new(ProofMethod::IdCard, holds) }
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
    pub fn id_card(image: Picture, expected: &Sensitive<String>) -> Result<Self, Malformed> {
        super::super::stated::birth(expected).map(|birth| Self::IdCard(image, birth))
    }

    /// Whether only a member of staff can vouch for it.
    pub fn takes_staff(&self) -> bool {
        matches!(self, Self::HumanReview(_) | Self::AgentPermission(_) | Self::PowerOfAttorney(_))
    }

    /// What a retry is told by. Of what is looked at it holds the kind only: a digest of a code, of data points or of a
    /// date of birth could be tested by whoever has the store and its secret.
    fn digest(&self) -> String {
        let (name, said): (&[u8], &[u8]) = match self {
            Self::Session(at) => return digest(&[b"session", at.to_string().as_bytes()]),
            Self::Guardian(id) => return digest(&[b"guardian", id.0.as_bytes()]),
            Self::DataPoints(_) => (b"data-points", b""),
            Self::IdCard(..) => (b"id-card", b""),
            Self::Code(_) => (b"code", b""),
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
                let holds = self.acts_for(&party, &consent, &before.record).await?.is_some();
                (Looked { consent: Some(consent), ..Looked::new(ProofMethod::GuardianConsent, holds) }, None)
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
                let place = self.pool.admit(&call.relying_party, call.deadline)?;
                let charged = match self.charge(&subject, &id, (ProofMethod::IdCard, false)).await? {
                    Ok(charged) => charged,
                    Err(why) => return self.not_possible(&party, &id, why).await,
                };
                let place_of = before.record.request.asked().jurisdiction;
                match self.look_at_card(&subject, place_of, (image, expected), place, &call).await {
                    Ok(looked) => (looked, Some(charged)),
                    Err(error) => {
                        // Nothing was read: that was no attempt. If this fails too, it counts.
                        self.undo(&subject, &id, &charged).await.ok();
                        return Err(error);
                    }
                }
            }
        };
        self.record_proof(&subject, &id, (looked, charged, single_use), &once).await
    }

    /// What the same request came to before.
    async fn proved_before(&self, party: &RelyingParty, id: &RequestId, once: &Once) -> Result<Option<Proved>, Error> {
        let Some(Done::Proved { accepted, jti }) = self.replay(once, self.now()).await? else { return Ok(None) };
        let verdict = if accepted { Verdict::Accepted } else { Verdict::NotAccepted };
        let request = self.rights_request(party, id).await?;
        let verified = jti.is_some_and(|jti| request.holds(&jti));
        Ok(Some(Proved { request, verdict, verified }))
    }

    async fn not_possible(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        why: RightsNotPossible,
    ) -> Result<Proved, Error> {
        let request = self.rights_request(party, id).await?;
        Ok(Proved { request, verdict: Verdict::NotPossible(why), verified: false })
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
                if let Some((key, _, code)) = &charged.code {
                    let stored = self.store.get(key, now).await?;
                    let same = stored.filter(|stored| decode::<Code>(&stored.value).is_ok_and(|now| now.is(code)));
                    let Some(same) = same else {
                        // Replaced by a newer code, or used by somebody else in this moment: this one is no code any more.
                        holds = false;
                        continue;
                    };
                    batch = batch.require(*key, Expect::Version(same.version)).delete(*key);
                }
                batch = self.take_back(batch, charged, now).await?;
            }
            if holds && looked.method == ProofMethod::HumanReview {
                (batch, _) = self.forget_failures(batch, subject, now).await?;
            }
            if holds && looked.consent.is_some() {
                record.consent = looked.consent;
            }
            // Whoever acts for a child may have lost that since it was shown. Which consent it was stays named, so that what
            // was verified by it is not done without it.
            let (stands, rests_on) = self.authority(&record).await?;
            if !stands {
                record.request = record.request.step(Event::AuthorityGone, now).map_err(|_| Error::Broken)?;
            }
            if let Some((key, version)) = rests_on {
                batch = batch.require(key, Expect::Version(version));
            }
            let jti = Uuid::new_v4();
            let event = if holds {
                Event::Shown { shown: looked.shown(now), jti, single_use, tried: charged.is_some() }
            } else {
                Event::Failed(Failure { method: looked.method, contradicts: looked.contradicts })
            };
            let note = RightsNote {
                method: Some(looked.method),
                staff: looked.staff.clone(),
                image: looked.image,
                ..RightsNote::default()
            };
            match record.take(event, now, &note) {
                Ok(entry) => entries.push(entry),
                Err(_) if self.replay(once, now).await?.is_some() => continue,
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
                    staff: None,
                }));
            }
            batch = self.put_request(batch, loaded.key, Some(&loaded.record), &record, now)?;
            batch = entries.into_iter().fold(batch, Batch::record);
            let verified = holds && record.request.event() == EventKind::RightsVerified;
            let done = Done::Proved { accepted: holds, jti: verified.then_some(jti) };
            batch = self.settle(batch, once, &done, now)?;
            if self.write(batch, now).await? {
                let verdict = if holds { Verdict::Accepted } else { Verdict::NotAccepted };
                return Ok(Proved { request: record.request, verdict, verified });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Sets a person's failures back, as an operator asks.
    pub async fn unlock(&self, subject: &SubjectRef, staff: StaffRef, party: &RelyingParty) -> Result<(), Error> {
        let subject = self.subject(party, subject);
        let now = self.now();
        let (mut batch, any) = self.forget_failures(Batch::new(subject.partition), &subject, now).await?;
        if any {
            batch = batch.record(Entry::LockChanged(LockChanged {
                at: now,
                relying_party: party.clone(),
                locked: false,
                request_id: None,
                staff: Some(staff),
            }));
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
