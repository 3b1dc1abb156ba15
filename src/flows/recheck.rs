//! That a person's age must be shown again, because their date of birth was corrected or the account was reported.
//!
//! While it is open, no consent stands in for a document. Once a document was shown, tokens from before are still not
//! good: they rest on what was in doubt.

use super::records::{decode, encode};
use super::subject::{Handle, Subject};
use super::{App, Error, later};
use crate::store::{Batch, Expect, Key, Partition, Space};
use crate::terms::RelyingParty;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// For how long it is remembered once a document was shown: longer than any token holds.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);

/// That an age must be shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recheck {
    /// Whether it still must be.
    pub open: bool,
    /// Tokens from before this second are not good.
    since: i64,
}

impl Recheck {
    /// Whether a token that was issued then is in doubt.
    pub fn doubts(&self, issued_at: Timestamp) -> bool {
        self.open || issued_at.as_second() < self.since
    }
}

impl App {
    pub(super) fn recheck_key(&self, party: &RelyingParty, handle: &Handle, partition: Partition) -> Key {
        self.handles.key(Space::Subject, partition, party, &format!("recheck:{}", handle.text()))
    }

    /// What stands of a person, and what must still hold of it when something about them is recorded.
    pub(super) async fn recheck(&self, of: &Subject, now: Timestamp) -> Result<(Option<Recheck>, Key, Expect), Error> {
        let key = self.recheck_key(&of.party, &of.handle, of.partition);
        match self.store.get(&key, now).await? {
            Some(stored) => Ok((Some(decode(&stored.value)?), key, Expect::Version(stored.version))),
            None => Ok((None, key, Expect::Absent)),
        }
    }

    /// Adds to a batch that the age must be shown again.
    pub(super) fn ask_again(&self, batch: Batch, key: Key, now: Timestamp) -> Result<Batch, Error> {
        Ok(batch.put(key, encode(&Recheck { open: true, since: now.as_second() })?, None))
    }

    /// Adds to a batch that a document has shown it.
    pub(super) fn shown_again(&self, batch: Batch, key: Key, now: Timestamp) -> Result<Batch, Error> {
        let done = Recheck { open: false, since: now.as_second() };
        Ok(batch.put(key, encode(&done)?, Some(later(now, REMEMBERED))))
    }
}
