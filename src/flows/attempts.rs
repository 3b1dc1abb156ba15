//! Attempt limits: counted before anything is read, whatever comes of it (domain 7.1).
//!
//! A subject is counted under a keyed name, never its reference; the count expires with its window. It is made before
//! anything is known of the person and kept alike whatever comes out, also for a person below the block age: it says
//! nothing about them, and a count that a block reset would let anybody try without end.

use super::{App, Error};
use crate::store::{Key, Limit, Space};
use crate::terms::{RelyingParty, SubjectRef};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Whose attempts are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The person's.
    Subject,
    /// The service's.
    RelyingParty,
}

impl App {
    /// Counts one attempt of the subject and of the relying party.
    pub(super) async fn count_attempt(
        &self,
        relying_party: &RelyingParty,
        subject: &SubjectRef,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.count_party(relying_party, now).await?;
        self.count_scan(relying_party, &format!("subject:{subject}"), now).await
    }

    /// Counts one call of the relying party that writes something.
    pub(super) async fn count_party(&self, party: &RelyingParty, now: Timestamp) -> Result<(), Error> {
        let most = self.settings.relying_party_attempts;
        if most == 0 {
            return Ok(());
        }
        let key = self.attempts_key(party, "relying-party");
        self.count(Whose::RelyingParty, key, most, SignedDuration::from_hours(1), now).await
    }

    /// Counts one picture of whoever is named so.
    pub(super) async fn count_scan(&self, party: &RelyingParty, who: &str, now: Timestamp) -> Result<(), Error> {
        let window = SignedDuration::from_hours(i64::from(self.settings.subject_hours));
        let key = self.attempts_key(party, who);
        self.count(Whose::Subject, key, self.settings.subject_attempts, window, now).await
    }

    async fn count(
        &self,
        whose: Whose,
        key: Key,
        max: u16,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<(), Error> {
        let limit = Limit::new(max, window).map_err(|_| Error::Broken)?;
        let attempts = self.store.count(&key, limit, now).await?;
        if attempts.allowed {
            return Ok(());
        }
        let retry_after = attempts.retry_after.unwrap_or(window);
        let retry_after = Duration::try_from(retry_after).unwrap_or(Duration::from_secs(1));
        Err(Error::TooManyAttempts { whose, retry_after: retry_after.max(Duration::from_secs(1)) })
    }

    fn attempts_key(&self, relying_party: &RelyingParty, text: &str) -> Key {
        let partition = self.handles.partition(relying_party, text);
        self.handles.key(Space::Attempts, partition, relying_party, text)
    }

    /// Whether the configured limits are possible ones.
    pub fn check_limits(settings: &super::Settings) -> Result<(), crate::terms::Malformed> {
        Limit::new(settings.subject_attempts, SignedDuration::from_hours(i64::from(settings.subject_hours)))?;
        match settings.relying_party_attempts {
            0 => Ok(()),
            max => Limit::new(max, SignedDuration::from_hours(1)).map(drop),
        }
    }
}
