//! Safe retries: the same request under the same key gets the same answer, another request is refused.
//!
//! A request is taken in hand by a reservation under (relying party, key), which names the decision before there is
//! one and holds for a lease. Whoever finds a lapsed reservation without a decision (its holder was killed) takes it
//! over under the same name. The request is kept as a digest only, and that digest is keyed with the idempotency key
//! itself, which is not stored: without it nobody can test a guess at what was asked, not even with the store's secret.

use super::records::{DecisionRecord, KeptNothing, Reservation, decode, encode};
use super::verify::{Ask, Shown};
use super::{App, Error, later, unexpected};
use crate::store::{Batch, CommitError, Expect, Key, Partition, Space, Version};
use crate::terms::{DecisionId, RelyingParty};
use aws_lc_rs::digest::{Context, SHA256};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Names a request: where its reservation lies, and its digest.
pub(super) struct Slip {
    pub key: Key,
    pub partition: Partition,
    fingerprint: String,
}

/// What is known of a request from before.
pub(super) enum Earlier {
    /// It was decided.
    Decided(DecisionId, Box<DecisionRecord>),
    /// It was decided and nothing is kept.
    KeptNothing(DecisionId, KeptNothing),
    /// Nobody has it in hand.
    Free(DecisionId, Expect),
}

/// A request in hand.
pub(super) struct InHand {
    pub decision: DecisionId,
    pub version: Version,
}

impl App {
    /// Names the request.
    pub(super) fn slip(&self, relying_party: &RelyingParty, ask: &Ask) -> Slip {
        let key = ask.key.as_str();
        let partition = self.handles.partition(relying_party, &format!("idempotency:{key}"));
        let text = format!("fingerprint:{key}:{}", digest(ask));
        let keyed = self.handles.key(Space::Idempotency, partition, relying_party, &text).bytes();
        Slip {
            key: self.handles.key(Space::Idempotency, partition, relying_party, key),
            partition,
            fingerprint: hex(&keyed),
        }
    }

    /// Where a decision lies. Another relying party's lies elsewhere, so it is not found.
    pub(super) fn decision_key(&self, relying_party: &RelyingParty, decision: &DecisionId) -> Key {
        self.handles.key(Space::Decision, Partition::of(decision), relying_party, &decision.to_string())
    }

    /// What is known of the request.
    pub(super) async fn earlier(&self, party: &RelyingParty, slip: &Slip, now: Timestamp) -> Result<Earlier, Error> {
        let Some(stored) = self.store.get(&slip.key, now).await? else {
            return Ok(Earlier::Free(slip.partition.stamp(uuid::Uuid::now_v7()), Expect::Absent));
        };
        let reservation: Reservation = decode(&stored.value)?;
        if reservation.fingerprint != slip.fingerprint {
            return Err(Error::KeyReused);
        }
        if let Some(kept) = reservation.kept_nothing {
            return Ok(Earlier::KeptNothing(reservation.decision, kept));
        }
        if let Some(decided) = self.store.get(&self.decision_key(party, &reservation.decision), now).await? {
            return Ok(Earlier::Decided(reservation.decision, Box::new(decode(&decided.value)?)));
        }
        if reservation.lease > now {
            let lapses = Duration::try_from(now.duration_until(reservation.lease)).unwrap_or_default();
            let retry_after = lapses.clamp(Duration::from_millis(200), Duration::from_secs(2));
            return Err(Error::InProgress { retry_after });
        }
        Ok(Earlier::Free(reservation.decision, Expect::Version(stored.version)))
    }

    /// Takes the request in hand, unless somebody else was first.
    pub(super) async fn reserve(
        &self,
        slip: &Slip,
        (decision, expect): (DecisionId, Expect),
        now: Timestamp,
    ) -> Result<InHand, Error> {
        let lease = later(now, SignedDuration::from_secs(i64::from(self.settings.lease_seconds)));
        let reservation = Reservation { fingerprint: slip.fingerprint.clone(), decision, lease, kept_nothing: None };
        let batch = Batch::new(slip.partition).require(slip.key, expect).put(
            slip.key,
            encode(&reservation)?,
            Some(self.forgotten_at(now)),
        );
        match self.store.commit(batch, now).await {
            Ok(receipt) => Ok(InHand { decision, version: receipt.version }),
            Err(CommitError::Conflict) => Err(Error::InProgress { retry_after: Duration::from_millis(200) }),
            Err(error) => Err(unexpected(error)),
        }
    }

    /// Lets go of a request that could not be answered, so that a retry need not wait for the lease. If this fails
    /// too, the lease ends it.
    pub(super) async fn release(&self, slip: &Slip, in_hand: &InHand) {
        let batch = Batch::new(slip.partition).require(slip.key, Expect::Version(in_hand.version)).delete(slip.key);
        let _ = self.store.commit(batch, self.now()).await;
    }

    /// When a reservation made now is forgotten.
    pub(super) fn forgotten_at(&self, now: Timestamp) -> Timestamp {
        later(now, SignedDuration::from_hours(i64::from(self.settings.idempotency_hours)))
    }
}

impl Slip {
    /// The reservation with its answer, where no decision is kept.
    pub(super) fn answered(&self, decision: DecisionId, kept_nothing: KeptNothing) -> Reservation {
        let fingerprint = self.fingerprint.clone();
        Reservation { fingerprint, decision, lease: Timestamp::UNIX_EPOCH, kept_nothing: Some(kept_nothing) }
    }
}

/// SHA-256 over everything that was asked but the key, each part with its length.
fn digest(ask: &Ask) -> String {
    let mut sha = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        sha.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(bytes);
    };
    part(ask.subject.as_str().as_bytes());
    part(ask.jurisdiction.to_string().as_bytes());
    part(ask.purpose.as_str().as_bytes());
    match &ask.shown {
        Shown::Image(image) => {
            part(b"image");
            part(image.expose());
        }
        Shown::Declared(birth) => {
            part(b"declared");
            let date = birth.expose();
            part(&date.year().to_be_bytes());
            part(&date.month().to_be_bytes());
            part(&date.day().to_be_bytes());
        }
    }
    hex(sha.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}
