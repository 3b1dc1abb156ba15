//! Safe retries: the same request under the same key gets the same answer, another request is refused.
//!
//! A request is taken in hand by a reservation under (relying party, key), which names the decision before there is
//! one and holds for a lease. Whoever finds a lapsed reservation without a decision (its holder was killed) takes it
//! over under the same name. The request is kept as a digest only, and that digest is keyed with the idempotency key
//! itself, which is not stored: without it nobody can test a guess at what was asked, not even with the store's secret.

use super::records::{DecisionRecord, KeptNothing, Reservation, decode, encode};
use super::subject::Subject;
use super::verify::{Ask, Shown};
use super::{App, Error, Unread, later, unexpected};
use crate::secret::wiped;
use crate::store::{Batch, CommitError, Expect, Key, Partition, Space, Version};
use crate::terms::{DecisionId, RelyingParty, hex};
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
    /// Until when nobody else takes it in hand.
    pub lease: Timestamp,
}

impl App {
    /// Names the request.
    pub(super) fn slip(&self, relying_party: &RelyingParty, ask: &Ask) -> Result<Slip, Error> {
        let key = ask.key.as_str();
        let partition = self.handles.partition(relying_party, &format!("idempotency:{key}"));
        let text = format!("fingerprint:{key}:{}", digest_of(ask).ok_or(Unread::Abandoned)?);
        let keyed = self.handles.key(Space::Idempotency, partition, relying_party, &text).bytes();
        Ok(Slip {
            key: self.handles.key(Space::Idempotency, partition, relying_party, key),
            partition,
            fingerprint: hex(&keyed),
        })
    }

    /// Where a decision lies. Another relying party's lies elsewhere, so it is not found.
    pub(super) fn decision_key(&self, relying_party: &RelyingParty, decision: &DecisionId) -> Key {
        self.handles.key(Space::Decision, Partition::of(decision), relying_party, decision.text(&mut [0; 36]))
    }

    /// What is known of the request.
    ///
    /// A new decision is named so that it lies with its subject: what happens to one person is in one order.
    pub(super) async fn earlier(&self, of: &Subject, slip: &Slip, now: Timestamp) -> Result<Earlier, Error> {
        let party = &of.party;
        let Some(stored) = self.store.get(&slip.key, now).await? else {
            return Ok(Earlier::Free(of.partition.stamp(uuid::Uuid::now_v7()), Expect::Absent));
        };
        let reservation: Reservation = decode(&stored.value)?;
        if reservation.fingerprint != slip.fingerprint {
            return Err(Error::KeyReused);
        }
        if let Some(kept) = reservation.kept_nothing {
            self.confirm(slip.key, stored.version, now).await?;
            return Ok(Earlier::KeptNothing(reservation.decision, kept));
        }
        let place = self.decision_key(party, &reservation.decision);
        if let Some(decided) = self.store.get(&place, now).await? {
            self.confirm(place, decided.version, now).await?;
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
            Ok(receipt) => Ok(InHand { decision, version: receipt.version, lease }),
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

/// SHA-256 over everything that was asked but the key. Nothing if the picture is gone, and with it the caller.
fn digest_of(ask: &Ask) -> Option<String> {
    let place = ask.jurisdiction.to_string();
    let head: [&[u8]; 3] = [ask.subject.as_str().as_bytes(), place.as_bytes(), ask.purpose.as_str().as_bytes()];
    let [a, b, c] = head;
    match &ask.shown {
        Shown::Image(image) => image.with(|bytes| digest(&[a, b, c, b"image", bytes])),
        Shown::Declared(birth) => {
            let date = birth.expose();
            let (year, month, day) = (date.year().to_be_bytes(), date.month().to_be_bytes(), date.day().to_be_bytes());
            Some(digest(&[a, b, c, b"declared", &year, &month, &day]))
        }
        Shown::Consent(consent) => Some(digest(&[a, b, c, b"consent", consent.0.as_bytes()])),
    }
}

/// SHA-256 over all parts, each with its length. A part may be a picture, so nothing of it stays on the stack.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    /// What hashing uses, many times over.
    const STACK: usize = 16 * 1024;
    wiped::<STACK, _>(|| {
        let mut sha = Context::new(&SHA256);
        for part in parts {
            sha.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            sha.update(part);
        }
        hex(sha.finish().as_ref())
    })
}
