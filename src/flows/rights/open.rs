//! Taking a request: its terms and its clock, from one table.

use super::super::once::{Done, Once};
use super::super::{App, Error};
use super::{ATTEMPTS, RightsNote, RightsRecord, Subject, moved};
use crate::rights::{Asked, Proof, RightsRequest, Terms, plan};
use crate::store::{Batch, Expect, Limit, Space, StoreError};
use crate::terms::{
    ActingAs, DecisionId, GuardianRef, IdempotencyKey, Jurisdiction, ProofLevel, ProofMethod, Regime, RelyingParty,
    RequestId, Right, SubjectRef,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Repetition is looked at over this time (domain 6.3).
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
/// What is unusual is told by this time.
const QUARTER: SignedDuration = SignedDuration::from_hours(24 * 90);
/// More repetitions than this are not told apart.
const COUNTED: u16 = 64;

/// What is asked.
pub struct OpenAsk {
    /// The person concerned.
    pub subject: SubjectRef,
    /// What.
    pub right: Right,
    /// Where.
    pub jurisdiction: Jurisdiction,
    /// Under which law; the place's own if not said.
    pub regime: Option<Regime>,
    /// For whom the requester acts.
    pub acting_as: ActingAs,
    /// The guardian who acts.
    pub guardian: Option<GuardianRef>,
    /// How the relying party knew the person before.
    pub vouched: BTreeSet<ProofMethod>,
    /// When it came in; now if not said.
    pub received_at: Option<Timestamp>,
    /// The decision that is to be explained.
    pub decision: Option<DecisionId>,
    /// Whether the token of a right that needs no proof can be used only once.
    pub single_use: bool,
    /// Makes a retry safe.
    pub key: IdempotencyKey,
}

/// A request that was taken, with its terms.
pub struct Opened {
    /// The request.
    pub request: RightsRequest,
    /// Its terms.
    pub plan: plan::Plan,
    /// Whether it waits in the journal for the store: nothing is signed for it.
    pub waits: bool,
}

/// A name that was never used, in the partition of the person.
fn fresh(subject: &Subject) -> RequestId {
    RequestId(subject.partition.mark(Uuid::now_v7()))
}

impl OpenAsk {
    fn digest(&self) -> Vec<u8> {
        let vouched: Vec<&str> = self.vouched.iter().map(|method| method.as_str()).collect();
        [
            self.subject.as_str(),
            self.right.as_str(),
            &self.jurisdiction.to_string(),
            self.regime.map_or("", Regime::as_str),
            self.acting_as.as_str(),
            self.guardian.as_ref().map_or("", GuardianRef::as_str),
            &vouched.join(","),
            &self.received_at.map_or_else(String::new, |at| at.to_string()),
            &self.decision.map_or_else(String::new, |id| id.to_string()),
            if self.single_use { "once" } else { "" },
        ]
        .join("\0")
        .into_bytes()
    }
}

impl App {
    /// Takes a request. A person who is known and one who is not are treated alike. One that needs no proof is taken also
    /// while the store is away.
    pub async fn open_request(&self, ask: OpenAsk, party: &RelyingParty) -> Result<Opened, Error> {
        let subject = self.subject(party, &ask.subject);
        let once = self.once(party, subject.partition, &ask.key, &[b"open-request", &ask.digest()]);
        if let Some(opened) = self.waiting(&once)? {
            return Ok(opened);
        }
        let taken = (self.name_of(&ask, &subject, &once), self.now());
        match self.open_in_store(&ask, (&subject, &once), taken).await {
            Err(Error::Store(failed @ (StoreError::Busy | StoreError::Unavailable))) => {
                self.check_regime(&ask)?;
                self.open_in_journal(&ask, (&subject, &once), taken, failed).await
            }
            answered => answered,
        }
    }

    /// The name of a request that is new. One that needs no proof is named by the call that makes it: it may have been
    /// recorded although the store did not say so, and while the store is away nobody can look that up.
    fn name_of(&self, ask: &OpenAsk, subject: &Subject, once: &Once) -> RequestId {
        let fresh = fresh(subject);
        if !self.request(ask, &subject.party, fresh, (0, false), self.now()).0.is_free() {
            return fresh;
        }
        let written = once.written();
        let text = format!("opt-out:{}:{}", written.key, written.fingerprint);
        let bytes = self.handles.key(Space::Rights, subject.partition, &subject.party, &text).bytes();
        let [_, _, id @ ..] = &bytes;
        let (name, _) = id.split_first_chunk().expect("an id has 32 bytes");
        RequestId(subject.partition.mark(uuid::Builder::from_custom_bytes(*name).into_uuid()))
    }

    /// Where the place has a law of its own, no other one can be named.
    fn check_regime(&self, ask: &OpenAsk) -> Result<(), Error> {
        let own = self.rights_table.regime_of(ask.jurisdiction);
        let another = own != Regime::Policy && ask.regime.is_some_and(|regime| regime != own);
        if another { Err(Error::RegimeNotOfPlace) } else { Ok(()) }
    }

    async fn open_in_store(
        &self,
        ask: &OpenAsk,
        (subject, once): (&Subject, &Once),
        (mut id, now): (RequestId, Timestamp),
    ) -> Result<Opened, Error> {
        let party = &subject.party;
        if let Some(Done::Opened { request }) = self.replay(once, now).await? {
            let request = self.rights_request(party, &request).await?;
            let plan = self.plan_of(&request);
            return Ok(Opened { request, plan, waits: false });
        }
        self.check_regime(ask)?;
        let (checked, _) = self.request(ask, party, id, (0, false), now);
        // Nothing can be tried where nothing is asked, and opting out is not refused because others try (domain 7.2).
        if !checked.is_free() {
            self.count_party(party, now).await?;
        } else if self.load_request_at(self.request_key(party, &id)).await?.is_some() {
            // The key was used so long ago that it is forgotten: this is another request.
            id = fresh(subject);
        }
        let times = self.times(party, subject, ask.right, now).await?;
        let key = self.request_key(party, &id);
        let (request, plan) = self.request(ask, party, id, times, now);
        let guardian = ask.guardian.as_ref().map(|guardian| self.guardian(party, guardian));
        let record =
            RightsRecord { request, subject: subject.handle.clone(), guardian, consent: None, carry_out: false };
        let done = Done::Opened { request: id };
        for _ in 0..ATTEMPTS {
            if let Some(Done::Opened { request }) = self.replay(once, now).await? {
                let request = self.rights_request(party, &request).await?;
                return Ok(Opened { request, plan, waits: false });
            }
            let batch = Batch::new(subject.partition).require(key, Expect::Absent);
            let batch = self.put_request(batch, key, None, &record, now)?;
            let batch = batch.record(moved(&record.request, now, &RightsNote::default()));
            if self.write(self.settle(batch, once, &done, now)?, now).await? {
                return Ok(Opened { request: record.request, plan, waits: false });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    pub(super) fn request(
        &self,
        ask: &OpenAsk,
        party: &RelyingParty,
        id: RequestId,
        (times, repeated): (u16, bool),
        now: Timestamp,
    ) -> (RightsRequest, plan::Plan) {
        let regime = ask.regime.unwrap_or_else(|| self.rights_table.regime_of(ask.jurisdiction));
        let planned = |regime: Regime, account: bool| {
            self.rights_table.plan(&plan::Asked { right: ask.right, regime, acting_as: ask.acting_as, account })
        };
        let session = ask.acting_as == ActingAs::Myself && ask.vouched.contains(&ProofMethod::Session);
        let plan = planned(regime, session);
        // Where it is not known which law holds, the earliest date of those that could.
        let possible = self.rights_table.possible(ask.jurisdiction).into_iter();
        let others: Vec<plan::Plan> = possible.map(|regime| planned(regime, false)).collect();
        let plans = || others.iter().chain([&plan]);
        let received_at = ask.received_at.map_or(now, |at| at.min(now));
        let (rule, calendar) = (self.zones_of(ask.jurisdiction), self.calendars.of(ask.jurisdiction));
        // The earliest date that the place has: no clock runs longer than the law's.
        let day = rule.today_for_age(received_at);
        let due = plans().map(|plan| plan.due(day, calendar)).min().unwrap_or(day);
        let clock = self.clock(&rule, due);
        let told = plans().filter_map(|plan| plan.acknowledge_by(day, calendar)).min();
        let acknowledge_by = told.map(|day| self.clock(&rule, day.min(due)));
        let terms = |plan: &plan::Plan| Terms {
            level: plan.level,
            id_document: plan.id_document,
            may_ask: plan.may_ask.iter().copied().collect(),
        };
        let asked = Asked {
            right: ask.right,
            regime,
            jurisdiction: ask.jurisdiction,
            acting_as: ask.acting_as,
            vouched: ask.vouched.clone(),
            decision: ask.decision,
            fresh_session: plan.fresh_session,
            with_session: session.then(|| terms(&plan)),
            terms: terms(&planned(regime, false)),
            table: plan.digest,
            received_at,
            times,
            repeated,
        };
        let proof = Proof { jti: Uuid::new_v4(), at: now, level: ProofLevel::L0, single_use: ask.single_use };
        (RightsRequest::opened((id, party.clone()), asked, (clock, acknowledge_by), proof, now), plan)
    }

    /// How often this person has asked this within a year, this time included, and whether that is unusual.
    pub(super) async fn times(
        &self,
        party: &RelyingParty,
        subject: &Subject,
        right: Right,
        now: Timestamp,
    ) -> Result<(u16, bool), Error> {
        let mut counts = [0u16; 2];
        for (count, (window, name)) in counts.iter_mut().zip([(YEAR, "year"), (QUARTER, "quarter")]) {
            let limit = Limit::new(COUNTED, window).map_err(|_| Error::Broken)?;
            let text = format!("asked:{name}:{right}:{}", subject.handle.text());
            let key = self.handles.key(Space::Attempts, subject.partition, party, &text);
            *count = self.store.count(&key, limit, now).await?.count;
        }
        let [year, quarter] = counts;
        Ok((year, quarter >= self.rights.repeated_from))
    }
}
