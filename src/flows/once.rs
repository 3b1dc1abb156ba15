//! Safe retries of changes that take no time: the outcome is recorded in the same batch as the change itself.
//!
//! An idempotency key belongs to what it changes (a person, a consent). The request is kept as a keyed digest only, as in
//! `idempotency`. What could not be done is not recorded: a retry looks again.

use super::idempotency::digest;
use super::records::{decode, encode};
use super::{App, Error};
use crate::store::{Batch, Expect, Key, Partition, Space, Version};
use crate::terms::{GuardianProblem, IdempotencyKey, Reason, RelyingParty, ReportId, RequestId, hex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A request under its idempotency key.
pub(super) struct Once {
    key: Key,
    fingerprint: String,
}

/// The same, written down.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub key: String,
    pub fingerprint: String,
}

impl Once {
    /// As it is written down.
    pub fn written(&self) -> Written {
        Written { key: hex(&self.key.bytes()), fingerprint: self.fingerprint.clone() }
    }

    /// What was written down.
    pub fn read(written: &Written) -> Option<Self> {
        let digits = written.key.as_bytes().as_chunks::<2>();
        let bytes = digits.0.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        let key = Key::read(bytes.as_slice().try_into().ok()?)?;
        Some(Self { key, fingerprint: written.fingerprint.clone() })
    }
}

/// What a change came to, as a retry is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case", deny_unknown_fields)]
pub enum Done {
    /// A consent was asked for.
    Requested {
        /// Which.
        consent: crate::terms::ConsentId,
    },
    /// It was changed as asked; its state says how.
    Changed,
    /// A guardian was checked.
    Verified,
    /// A guardian was checked and has to be looked at.
    InReview,
    /// A guardian was not accepted.
    GuardianRefused {
        /// What was wrong with the guardian.
        problems: Vec<GuardianProblem>,
        /// What was wrong with the document.
        reasons: Vec<Reason>,
    },
    /// Consent was given.
    Given,
    /// Consent was refused.
    Refused,
    /// A report was taken.
    Reported {
        /// Its name.
        report: ReportId,
        /// Until when a document can show the person's age.
        deadline: Timestamp,
        /// Whether a guardian who was checked stands behind it.
        guardian_verified: bool,
    },
    /// A person was erased.
    Erased,
    /// A rights request was taken.
    Opened {
        /// Its name.
        request: RequestId,
    },
    /// What a requester showed was looked at.
    Proved {
        /// Whether it holds.
        accepted: bool,
        /// The name of the token, if the requester was verified by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jti: Option<uuid::Uuid>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    fingerprint: String,
    done: Done,
}

impl App {
    /// Names a request: `parts` is all that was asked, the method first.
    pub(super) fn once(
        &self,
        party: &RelyingParty,
        partition: Partition,
        key: &IdempotencyKey,
        parts: &[&[u8]],
    ) -> Once {
        let text = format!("fingerprint:once:{key}:{}", digest(parts));
        let keyed = self.handles.key(Space::Idempotency, partition, party, &text).bytes();
        let key = self.handles.key(Space::Idempotency, partition, party, &format!("once:{key}"));
        Once { key, fingerprint: hex(&keyed) }
    }

    /// What the request came to, if it was made before.
    pub(super) async fn replay(&self, once: &Once, now: Timestamp) -> Result<Option<Done>, Error> {
        let Some(stored) = self.store.get(&once.key, now).await? else { return Ok(None) };
        let reply: Reply = decode(&stored.value)?;
        if reply.fingerprint != once.fingerprint {
            return Err(Error::KeyReused);
        }
        self.confirm(once.key, stored.version, now).await?;
        Ok(Some(reply.done))
    }

    /// Makes sure of what was read before a retry is told that it is done. The store may have told of a change that it has
    /// not acknowledged and is about to lose (a Redis that was replaced as the master and does not know it); it cannot take
    /// this one then, for that waits for the replicas and for all that was before it.
    pub(super) async fn confirm(&self, key: Key, read: Version, now: Timestamp) -> Result<(), Error> {
        let batch = Batch::new(key.partition()).require(key, Expect::Version(read));
        if self.write(batch, now).await? {
            Ok(())
        } else {
            Err(Error::InProgress { retry_after: std::time::Duration::from_millis(200) })
        }
    }

    /// Adds the outcome to the batch that makes it true.
    pub(super) fn settle(&self, batch: Batch, once: &Once, done: &Done, now: Timestamp) -> Result<Batch, Error> {
        let reply = encode(&Reply { fingerprint: once.fingerprint.clone(), done: done.clone() })?;
        Ok(batch.require(once.key, Expect::Absent).put(once.key, reply, Some(self.forgotten_at(now))))
    }
}
