//! Rights requests: each flow reads as the list of its steps; what holds is decided in `crate::rights`.
//!
//! Everything about one request lies in the partition of its person. Nobody's name for the person is kept, only the keyed
//! one: who calls about a request says again whose it is.

mod change;
mod code;
mod journal;
mod listing;
mod look;
mod meter;
mod open;
mod prove;
mod redeem;

pub use change::{Answer, RightsChanged};
pub use code::IssuedCode;
pub use journal::OptOuts;
pub use listing::{DuePage, DueRange};
pub use open::{OpenAsk, Opened};
pub use prove::{DataPoint, Offered, ProveAsk, Proved, Verdict};
pub use redeem::{Good, Looked, Redeemed};

pub use crate::rights::plan::Plan;
pub use crate::rights::{Extended, RightsRequest, Shown};

use super::records::decode;
use super::subject::{Handle, Slot, Subject};
use super::{App, Error, Explained, later};
use crate::audit::{Entry, ImageLife, RightsMoved};
use crate::policy::Rule;
use crate::rights::{Clock, Event, plan};
use crate::store::{Batch, Key, Partition, Space, StoreError, Version};
use crate::terms::{
    ActingAs, ConsentId, EventKind, ExtensionReason, ProofMethod, Purpose, RefusalBasis, RelyingParty, RequestId,
    StaffRef, SubjectRef,
};
use crate::tokens::{Audience, RightsProof, Token};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a change is begun anew when somebody else was first.
const ATTEMPTS: usize = 64;

/// What rights requests may be set to.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Digits of a one-time code.
    pub code_digits: u8,
    /// How often a code can be tried.
    pub code_tries: u8,
    /// Codes for one person within an hour.
    pub codes_per_hour: u16,
    /// Failures for one person in a row after which an operator has to unlock them.
    pub lock_after: u16,
    /// Requests of one person for the same within 90 days from which on a person should look at it.
    pub repeated_from: u16,
    /// Days for which the record of a request is kept after it was closed.
    pub record_days: u32,
    /// Requests that need no proof and wait in the journal while the store is away; 0 for none.
    pub journal_requests: u32,
    /// Bytes that the journal may take.
    pub journal_bytes: u64,
    /// About how often it is tried to deliver them, in seconds.
    pub journal_seconds: u32,
}

/// A request as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::flows) struct RightsRecord {
    pub request: RightsRequest,
    /// The person.
    pub subject: Handle,
    /// The guardian who acts, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<Handle>,
    /// The consent by which the guardian acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
    /// Whether what was granted has still to be carried out here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carry_out: bool,
}

/// A request as it was read.
pub(in crate::flows) struct LoadedRequest {
    pub record: RightsRecord,
    pub version: Version,
    pub key: Key,
}

/// What the audit says of a step beyond the step itself.
#[derive(Debug, Clone, Default)]
pub(in crate::flows) struct RightsNote {
    pub method: Option<ProofMethod>,
    pub basis: Option<RefusalBasis>,
    pub extension: Option<ExtensionReason>,
    pub staff: Option<StaffRef>,
    pub image: Option<ImageLife>,
}

impl RightsRecord {
    /// When something is due next.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.carry_out { Some(now) } else { self.request.next_due() }
    }

    /// Takes every step whose time has come, and tells them.
    pub fn catch_up(&mut self, now: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some(at) = self.request.next_due().filter(|at| *at <= now) {
            // What was entered late, or not looked at for a while, is told in the order in which it is known.
            let at = at.max(self.request.changed_at());
            let Ok(next) = self.request.step(Event::TimePassed, at) else { break };
            self.request = next;
            entries.push(moved(&self.request, at, &RightsNote::default()));
        }
        entries
    }

    /// Takes one step and tells it.
    pub fn take(
        &mut self,
        event: Event,
        now: Timestamp,
        note: &RightsNote,
    ) -> Result<Entry, crate::terms::RightsNotPossible> {
        self.request = self.request.step(event, now)?;
        Ok(moved(&self.request, now, note))
    }
}

/// The audit entry of the last thing that happened.
pub(in crate::flows) fn moved(request: &RightsRequest, at: Timestamp, note: &RightsNote) -> Entry {
    told(request, request.event(), at, note)
}

/// The audit entry of something that did not change the request itself.
fn told(request: &RightsRequest, kind: EventKind, at: Timestamp, note: &RightsNote) -> Entry {
    let asked = request.asked();
    Entry::RightsMoved(Box::new(RightsMoved {
        kind,
        at,
        request_id: request.id(),
        relying_party: request.relying_party().clone(),
        right: asked.right,
        regime: asked.regime,
        acting_as: asked.acting_as,
        state: request.state(),
        required: request.required(at),
        reached: request.reached(at),
        due: request.clock().due,
        method: note.method,
        basis: note.basis,
        extension: note.extension,
        staff: note.staff.clone(),
        repeated: asked.repeated && kind == EventKind::RightsOpened,
        image: note.image,
    }))
}

/// The partition that a request's name tells.
fn partition_of(id: &RequestId) -> Partition {
    Partition::of_uuid(&id.0)
}

impl App {
    /// One request as it stands now.
    pub async fn rights_request(&self, party: &RelyingParty, id: &RequestId) -> Result<RightsRequest, Error> {
        if let Some(waiting) = self.journal.as_ref().and_then(|journal| journal.request(party, id)) {
            return Ok(waiting);
        }
        let mut loaded = self.load_request(party, id).await?;
        loaded.record.catch_up(self.now());
        Ok(loaded.record.request)
    }

    /// The terms of a request, by the table in force.
    pub fn plan_of(&self, request: &RightsRequest) -> Plan {
        let asked = request.asked();
        let (right, regime, acting_as) = (asked.right, asked.regime, asked.acting_as);
        self.rights_table.plan(&plan::Asked { right, regime, acting_as, account: asked.with_session.is_some() })
    }

    /// Whether the decision that is to be explained is about the person who asks.
    pub async fn explained(&self, request: &RightsRequest) -> Result<Option<Explained>, Error> {
        let Some(decision) = request.asked().decision else { return Ok(None) };
        let party = request.relying_party();
        let loaded = self.load_request(party, &request.id()).await?;
        if Partition::of(&decision) != loaded.key.partition() {
            return Ok(None);
        }
        self.told_to(party, decision, &loaded.record.subject).await
    }

    /// Whether whoever acts for another still may, and what that rests on.
    async fn authority(&self, record: &RightsRecord) -> Result<(bool, Option<(Key, Version)>), Error> {
        let asked = record.request.asked();
        let Some(consent) = record.consent.filter(|_| asked.acting_as == ActingAs::Guardian) else {
            return Ok((true, None));
        };
        let found = self.acts_for(record.request.relying_party(), &consent, record).await?;
        Ok((found.is_some(), found))
    }

    /// The token that shows that its requester is verified, while it holds.
    pub fn rights_token(&self, request: &RightsRequest, subject: &SubjectRef) -> Result<Option<Token>, Error> {
        let Some(proof) = request.token(self.now()) else { return Ok(None) };
        let asked = request.asked();
        let says = RightsProof {
            audience: Audience { relying_party: request.relying_party().clone(), subject: subject.clone() },
            request: request.id(),
            right: asked.right,
            regime: asked.regime,
            level: proof.level,
            acting_as: asked.acting_as,
            jti: proof.jti,
            single_use: proof.single_use,
        };
        self.issuer.issue_rights(&says, proof.at, crate::rights::TOKEN).map(Some).map_err(|_| Error::Signing)
    }

    /// The request with this name, if this relying party took it.
    async fn load_request(&self, party: &RelyingParty, id: &RequestId) -> Result<LoadedRequest, Error> {
        if self.journal.as_ref().is_some_and(|journal| journal.request(party, id).is_some()) {
            // Nothing can be done with it until it is delivered.
            return Err(Error::Store(StoreError::Unavailable));
        }
        self.load_request_at(self.request_key(party, id)).await?.ok_or(Error::UnknownRequest)
    }

    /// The same, if it is this person's.
    async fn load_request_of(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        subject: &Subject,
    ) -> Result<LoadedRequest, Error> {
        let loaded = self.load_request(party, id).await?;
        if loaded.record.subject == subject.handle { Ok(loaded) } else { Err(Error::UnknownRequest) }
    }

    pub(in crate::flows) async fn load_request_at(&self, key: Key) -> Result<Option<LoadedRequest>, Error> {
        let Some(stored) = self.store.get(&key, self.now()).await? else { return Ok(None) };
        Ok(Some(LoadedRequest { record: decode(&stored.value)?, version: stored.version, key }))
    }

    /// Adds to a batch: the record, its timer, its place in the list of what is due.
    pub(in crate::flows) fn put_request(
        &self,
        batch: Batch,
        key: Key,
        before: Option<&RightsRecord>,
        record: &RightsRecord,
        now: Timestamp,
    ) -> Result<Batch, Error> {
        let (request, partition) = (&record.request, key.partition());
        let kept = SignedDuration::from_hours(24 * i64::from(self.rights.record_days));
        let until = request.ending().map(|ending| later(ending.at, kept));
        let mut batch = batch.put(key, super::records::encode(record)?, until);
        let (was, due) = (before.and_then(|before| before.next_due(now)), record.next_due(now));
        for slot in was.filter(|was| due != Some(*was)).map(Slot::all).into_iter().flatten() {
            batch = batch.unfile(self.due_key(partition, slot), key);
        }
        if let Some(due) = due.filter(|_| was != due) {
            batch = batch.file(self.due_key(partition, Slot::of(due, now)), key);
        }
        let listed = |record: &RightsRecord| record.request.is_open().then_some(record.request.clock().due);
        let (was, is) = (before.and_then(listed), listed(record));
        if was != is {
            let party = request.relying_party();
            for (day, gone) in [(was, true), (is, false)] {
                for under in day.map(|day| self.listing_keys(party, partition, day)).into_iter().flatten() {
                    batch = if gone { batch.unfile(under, key) } else { batch.file(under, key) };
                }
            }
        }
        Ok(batch)
    }

    /// The rule whose time zones hold in a place.
    fn zones_of(&self, place: crate::terms::Jurisdiction) -> Rule {
        self.rules.rule(place, Purpose::Signup)
    }

    /// The end of a day in the first of a place's time zones.
    fn clock(&self, rule: &Rule, due: Date) -> Clock {
        Clock { due, due_at: rule.end_of(due) }
    }

    /// Where a request lies. Another relying party's lies elsewhere, so it is not found.
    fn request_key(&self, party: &RelyingParty, id: &RequestId) -> Key {
        self.handles.key(Space::Rights, partition_of(id), party, id.text(&mut [0; 36]))
    }
}
