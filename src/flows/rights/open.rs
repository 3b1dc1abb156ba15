//! Taking a request: its terms and its clock, from one table.

use super::super::once::Done;
use super::super::{App, Error};
use super::{ATTEMPTS, RightsNote, RightsRecord, moved};
use crate::rights::{Asked, Proof, RightsRequest, plan};
use crate::store::{Batch, Expect, Limit, Space, StoreError};
use crate::terms::{
    ActingAs, DecisionId, GuardianRef, IdempotencyKey, Jurisdiction, ProofMethod, Regime, RelyingParty, RequestId,
    Right, SubjectRef,
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
    /// Whether the person has an account.
    pub account: bool,
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
            if self.account { "account" } else { "" },
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
    /// Takes a request. A person who is known and one who is not are treated alike.
    pub async fn open_request(&self, ask: OpenAsk, party: &RelyingParty) -> Result<Opened, Error> {
        let subject = self.subject(party, &ask.subject);
        let once = self.once(party, subject.partition, &ask.key, &[b"open-request", &ask.digest()]);
        let now = self.now();
        if let Some(Done::Opened { request }) = self.replay(&once, now).await? {
            let request = self.rights_request(party, &request).await?;
            let plan = self.plan_of(&request);
            return Ok(Opened { request, plan });
        }
        self.count_party(party, now).await?;
        let times = self.times(party, &subject, ask.right, now).await?;
        let id = RequestId(subject.partition.mark(Uuid::now_v7()));
        let key = self.request_key(party, &id);
        let (request, plan) = self.request(&ask, party, id, times, now);
        let guardian = ask.guardian.as_ref().map(|guardian| self.guardian(party, guardian));
        let record = RightsRecord { request, subject: subject.handle.clone(), guardian, erase: false };
        let done = Done::Opened { request: id };
        for _ in 0..ATTEMPTS {
            if let Some(Done::Opened { request }) = self.replay(&once, now).await? {
                let request = self.rights_request(party, &request).await?;
                return Ok(Opened { request, plan });
            }
            let batch = Batch::new(subject.partition).require(key, Expect::Absent);
            let batch = self.put_request(batch, key, None, &record, now)?;
            let batch = batch.record(moved(&record.request, now, &RightsNote::default()));
            if self.write(self.settle(batch, &once, &done, now)?, now).await? {
                return Ok(Opened { request: record.request, plan });
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    fn request(
        &self,
        ask: &OpenAsk,
        party: &RelyingParty,
        id: RequestId,
        (times, repeated): (u16, bool),
        now: Timestamp,
    ) -> (RightsRequest, plan::Plan) {
        let regime = ask.regime.unwrap_or_else(|| self.rights_table.regime_of(ask.jurisdiction));
        let account = ask.account || ask.vouched.contains(&ProofMethod::Session);
        let plan = self.rights_table.plan(&plan::Asked { right: ask.right, regime, acting_as: ask.acting_as, account });
        let received_at = ask.received_at.map_or(now, |at| at.min(now));
        let (rule, calendar) = (self.zones_of(ask.jurisdiction), self.calendars.of(ask.jurisdiction));
        // The earliest date that the place has: no clock runs longer than the law's.
        let day = rule.today_for_age(received_at);
        let clock = self.clock(&rule, plan.due(day, calendar));
        let acknowledge_by = plan.acknowledge_by(day, calendar);
        let asked = Asked {
            right: ask.right,
            regime,
            jurisdiction: ask.jurisdiction,
            acting_as: ask.acting_as,
            account,
            vouched: ask.vouched.clone(),
            decision: ask.decision,
            level: plan.level,
            fresh_session: plan.fresh_session,
            id_document: plan.id_document,
            table: plan.digest,
            received_at,
            times,
            repeated,
        };
        let proof = Proof { jti: Uuid::new_v4(), at: now, single_use: ask.single_use };
        (RightsRequest::opened((id, party.clone()), asked, (clock, acknowledge_by), proof, now), plan)
    }

    /// How often this person has asked this within a year, this time included, and whether that is unusual.
    async fn times(
        &self,
        party: &RelyingParty,
        subject: &super::Subject,
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
