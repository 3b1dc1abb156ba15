//! What was tried in vain: counted before anything is looked at, in one atomic change, so that a burst of guesses gets no
//! more of them than a patient guesser (domain 7.1: back-off 1, 2, 4 … 3600 s, after 100 an operator).
//!
//! The count is of a person of a relying party, under a keyed name, whichever request it was. What holds takes back its
//! own count and no other: whoever knows some things about a person must not buy guesses at others with them.

use super::super::records::{decode, encode};
use super::super::subject::Subject;
use super::super::{App, Error, Whose, later};
use super::code::Code;
use super::{ATTEMPTS, LoadedRequest};
use crate::rights::Event;
use crate::store::{Batch, Expect, Key, Space, StoreError, Version};
use crate::terms::{ProofMethod, RequestId, RightsNotPossible};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest wait after a failure.
const LONGEST: i64 = 3600;
/// When failures that nobody added to are forgotten; a lock is not.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What was tried in vain for one person.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meter {
    failures: u16,
    not_before: Timestamp,
}

/// An attempt that was counted.
pub(super) struct Charged {
    /// Where the person's failures are counted.
    meter: Key,
    /// Whether it is the last before an operator has to unlock the person.
    pub last: bool,
    /// The code that it is about, if it is and there is one that can still be tried.
    pub code: Option<(Key, Version, Code)>,
}

/// Seconds to wait after so many failures.
fn wait(failures: u16) -> SignedDuration {
    let doubled = 1i64.checked_shl(u32::from(failures.saturating_sub(1)).min(20)).unwrap_or(LONGEST);
    SignedDuration::from_secs(doubled.min(LONGEST))
}

impl App {
    fn meter_key(&self, subject: &Subject, kind: Kind) -> Key {
        let text = format!("{}:{}", kind.name(), subject.handle.text());
        self.handles.key(Space::Meter, subject.partition, &subject.party, &text)
    }

    async fn meter(&self, key: &Key, now: Timestamp) -> Result<Option<(Meter, Version)>, Error> {
        let Some(stored) = self.store.get(key, now).await? else { return Ok(None) };
        Ok(Some((decode(&stored.value)?, stored.version)))
    }

    /// Whether attempts of this kind are locked for a person.
    pub(super) async fn is_locked(&self, subject: &Subject, kind: Kind, now: Timestamp) -> Result<bool, Error> {
        let meter = self.meter(&self.meter_key(subject, kind), now).await?;
        Ok(meter.is_some_and(|(meter, _)| meter.failures >= self.rights.lock_after))
    }

    /// Counts an attempt as a failure, before anything of it is looked at. Refused while the person has to wait, is
    /// locked, or nothing may be shown.
    pub(super) async fn charge(
        &self,
        subject: &Subject,
        id: &RequestId,
        (method, is_code): (ProofMethod, bool),
    ) -> Result<Result<Charged, RightsNotPossible>, Error> {
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let loaded = self.load_request_of(&subject.party, id, subject).await?;
            if let Err(why) = loaded.record.request.may_show(method, now) {
                return Ok(Err(why));
            }
            let key = self.meter_key(subject, Kind::of(method, loaded.record.request.standing(now).session()));
            let meter = self.meter(&key, now).await?;
            let failures = meter.as_ref().map_or(0, |(meter, _)| meter.failures);
            if failures >= self.rights.lock_after {
                return Ok(Err(RightsNotPossible::Locked));
            }
            if let Some((meter, _)) = meter.as_ref().filter(|(meter, _)| meter.not_before > now) {
                let left = Duration::try_from(now.duration_until(meter.not_before)).unwrap_or_default();
                return Err(Error::TooManyAttempts {
                    whose: Whose::Subject,
                    retry_after: left.max(Duration::from_millis(1)),
                });
            }
            let code = match is_code {
                true => Some(self.code_to_try((&subject.party, id), method, now).await?),
                false => None,
            };
            let failures = failures.saturating_add(1);
            let (batch, tried) = self.charge_batch(&loaded, &key, meter, (failures, code), now)?;
            match self.store.commit(batch, now).await {
                Ok(receipt) => {
                    let code = tried.map(|(key, code)| (key, receipt.version, code));
                    let last = failures >= self.rights.lock_after;
                    return Ok(Ok(Charged { meter: key, last, code }));
                }
                Err(crate::store::CommitError::Conflict) => {}
                Err(error) => return Err(super::super::unexpected(error)),
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    fn charge_batch(
        &self,
        loaded: &LoadedRequest,
        key: &Key,
        meter: Option<(Meter, Version)>,
        (failures, code): (u16, Option<(Key, Expect, Code, bool)>),
        now: Timestamp,
    ) -> Result<(Batch, Option<(Key, Code)>), Error> {
        let mut record = loaded.record.clone();
        record.request = record.request.step(Event::Tried, now).map_err(|_| Error::Broken)?;
        let expect = meter.map_or(Expect::Absent, |(_, version)| Expect::Version(version));
        let locks = failures >= self.rights.lock_after;
        let counted = Meter { failures, not_before: later(now, wait(failures)) };
        let until = (!locks).then(|| later(now, FORGOTTEN));
        let mut batch = Batch::new(loaded.key.partition())
            .require(loaded.key, Expect::Version(loaded.version))
            .require(*key, expect)
            .put(*key, encode(&counted)?, until);
        batch = self.put_request(batch, loaded.key, Some(&loaded.record), &record, now)?;
        let tried = match code {
            Some((at, expect, code, live)) => {
                let code = code.tried();
                batch = batch.require(at, expect).put(at, encode(&code)?, Some(code.expires_at));
                live.then_some((at, code))
            }
            None => None,
        };
        Ok((batch, tried))
    }

    /// Adds to a batch that an attempt was no failure: it is taken back, and no other one.
    pub(super) async fn take_back(&self, batch: Batch, charged: &Charged, now: Timestamp) -> Result<Batch, Error> {
        let key = charged.meter;
        let Some((meter, version)) = self.meter(&key, now).await? else { return Ok(batch) };
        let failures = meter.failures.saturating_sub(1);
        let batch = batch.require(key, Expect::Version(version));
        if failures == 0 {
            return Ok(batch.delete(key));
        }
        let left = Meter { failures, not_before: now };
        Ok(batch.put(key, encode(&left)?, Some(later(now, FORGOTTEN))))
    }

    /// Undoes an attempt that came to nothing through no fault of the requester.
    pub(super) async fn undo(&self, subject: &Subject, id: &RequestId, charged: &Charged) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let loaded = self.load_request_of(&subject.party, id, subject).await?;
            let mut batch = Batch::new(subject.partition).require(loaded.key, Expect::Version(loaded.version));
            batch = self.take_back(batch, charged, now).await?;
            let mut record = loaded.record.clone();
            if let Ok(undone) = record.request.step(Event::Undone, now) {
                record.request = undone;
                batch = self.put_request(batch, loaded.key, Some(&loaded.record), &record, now)?;
            }
            if self.write(batch, now).await? {
                return Ok(());
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Forgets the failures of a person, as staff asks who has looked at it or an operator.
    pub(super) async fn forget_failures(
        &self,
        mut batch: Batch,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<(Batch, bool), Error> {
        let mut any = false;
        for kind in Kind::all() {
            let key = self.meter_key(subject, kind);
            any |= self.meter(&key, now).await?.is_some();
            batch = batch.delete(key);
        }
        Ok((batch, any))
    }
}

/// Attempts are counted apart by what is tried, and apart for whoever is logged in: a stranger who guesses does not keep
/// the person from typing in the code that was delivered to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    what: &'static str,
    session: bool,
}

impl Kind {
    /// The kind of an attempt.
    pub fn of(method: ProofMethod, session: bool) -> Self {
        let what = match method {
            ProofMethod::PhoneCode | ProofMethod::EmailCode | ProofMethod::PostCode => "code",
            ProofMethod::IdCard => "card",
            ProofMethod::DataPoints
            | ProofMethod::Session
            | ProofMethod::SignedDeclaration
            | ProofMethod::HumanReview
            | ProofMethod::GuardianConsent
            | ProofMethod::AgentPermission
            | ProofMethod::PowerOfAttorney => "points",
        };
        Self { what, session }
    }

    fn all() -> impl Iterator<Item = Self> {
        ["code", "card", "points"].into_iter().flat_map(|what| [false, true].map(|session| Self { what, session }))
    }

    /// Its name in keys.
    pub fn name(self) -> String {
        format!("{}{}", self.what, if self.session { " in session" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_an_hour() {
        let waits: Vec<i64> = [1, 2, 3, 4, 11, 12, 13, 14, 100, u16::MAX].map(|n| wait(n).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 8, 1024, 2048, 3600, 3600, 3600, 3600]);
    }
}
