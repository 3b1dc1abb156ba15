//! One-time codes: made here, delivered by the relying party, kept as a keyed hash.
//!
//! One request has one code at a time. A code is random, has a life by its channel (NIST SP 800-63A-4 draft, 5.1.6: text
//! and voice 10 minutes, e-mail 24 hours, letters 21 days) and few tries, and is gone once it held. The hash needs the
//! store's secret and a number that is made for each code: without the secret nobody can test a guess.

use super::super::records::{decode, encode};
use super::super::{App, Error, later, unexpected};
use super::meter::Kind;
use super::{ATTEMPTS, RightsNote, partition_of, told};
use crate::secret::Sensitive;
use crate::store::{Batch, CommitError, Expect, Key, Limit, Space, StoreError};
use crate::terms::{CodeChannel, EventKind, ProofMethod, RelyingParty, RequestId, RightsNotPossible, SubjectRef, hex};
use aws_lc_rs::{constant_time, rand};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A code, once.
pub struct IssuedCode {
    /// Decimal digits, for the requester's eyes only.
    pub code: Sensitive<String>,
    /// From then on it is not valid.
    pub expires_at: Timestamp,
    /// How often it can be tried.
    pub tries: u8,
}

/// A code as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    hash: String,
    salt: Uuid,
    method: ProofMethod,
    tries_left: u8,
    pub expires_at: Timestamp,
}

impl Code {
    /// With one try less.
    pub fn tried(self) -> Self {
        Self { tries_left: self.tries_left.saturating_sub(1), ..self }
    }

    /// Whether it is the same code, however often it was tried meanwhile.
    pub fn is(&self, other: &Self) -> bool {
        self.salt == other.salt
    }

    /// How it was delivered.
    pub fn method(&self) -> ProofMethod {
        self.method
    }
}

/// How long a code lives.
fn life(channel: CodeChannel) -> SignedDuration {
    match channel {
        CodeChannel::Sms | CodeChannel::Voice => SignedDuration::from_mins(10),
        CodeChannel::Email => SignedDuration::from_hours(24),
        CodeChannel::Post => SignedDuration::from_hours(24 * 21),
    }
}

/// What a code over this channel shows.
pub(super) fn shows(channel: CodeChannel) -> ProofMethod {
    match channel {
        CodeChannel::Sms | CodeChannel::Voice => ProofMethod::PhoneCode,
        CodeChannel::Email => ProofMethod::EmailCode,
        CodeChannel::Post => ProofMethod::PostCode,
    }
}

/// Random decimal digits.
fn digits(count: u8) -> Result<Sensitive<String>, Error> {
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes).map_err(|_| Error::Broken)?;
    // Of 128 random bits the remainder is even to one part in 10^28.
    let value = u128::from_be_bytes(bytes) % 10u128.pow(u32::from(count));
    Ok(Sensitive::new(format!("{value:0width$}", width = usize::from(count))))
}

impl App {
    pub(super) fn code_key(&self, party: &RelyingParty, id: &RequestId) -> Key {
        self.handles.key(Space::Code, partition_of(id), party, &id.to_string())
    }

    fn code_hash(&self, party: &RelyingParty, id: &RequestId, salt: &Uuid, code: &str) -> String {
        let text = Sensitive::new(format!("code:{id}:{salt}:{code}"));
        hex(&self.handles.key(Space::Code, partition_of(id), party, text.expose()).bytes())
    }

    /// Makes a code, in the place of the one before.
    pub async fn issue_code(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        subject: &SubjectRef,
        channel: CodeChannel,
    ) -> Result<Result<IssuedCode, RightsNotPossible>, Error> {
        let subject = self.subject(party, subject);
        let method = shows(channel);
        let now = self.now();
        let loaded = self.load_request_of(party, id, &subject).await?;
        if let Err(why) = loaded.record.request.may_show(method, now) {
            return Ok(Err(why));
        }
        let kind = Kind::of(method, loaded.record.request.standing(now).session());
        if self.is_locked(&subject, kind, now).await? {
            return Ok(Err(RightsNotPossible::Locked));
        }
        self.count_party(party, now).await?;
        let limit = Limit::new(self.rights.codes_per_hour, SignedDuration::from_hours(1)).map_err(|_| Error::Broken)?;
        let counted = format!("codes:{}:{}", kind.name(), subject.handle.text());
        let counted = self.handles.key(Space::Attempts, subject.partition, party, &counted);
        if !self.store.count(&counted, limit, now).await?.allowed {
            return Ok(Err(RightsNotPossible::TooManyCodes));
        }
        let (code, salt) = (digits(self.rights.code_digits)?, Uuid::new_v4());
        let expires_at = later(now, life(channel));
        let tries = self.rights.code_tries;
        let kept =
            Code { hash: self.code_hash(party, id, &salt, code.expose()), salt, method, tries_left: tries, expires_at };
        for _ in 0..ATTEMPTS {
            let loaded = self.load_request_of(party, id, &subject).await?;
            if let Err(why) = loaded.record.request.may_show(method, now) {
                return Ok(Err(why));
            }
            let note = RightsNote { method: Some(method), ..RightsNote::default() };
            let batch = Batch::new(subject.partition)
                .require(loaded.key, Expect::Version(loaded.version))
                .put(self.code_key(party, id), encode(&kept)?, Some(expires_at))
                .record(told(&loaded.record.request, EventKind::RightsCodeMade, now, &note));
            match self.store.commit(batch, now).await {
                Ok(_) => return Ok(Ok(IssuedCode { code, expires_at, tries })),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(unexpected(error)),
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// The code of a request and whether it can still be tried. Where none was made, one that nothing is: so that to guess
    /// takes the same reads and writes.
    pub(super) async fn code_to_try(
        &self,
        (party, id): (&RelyingParty, &RequestId),
        method: ProofMethod,
        now: Timestamp,
    ) -> Result<(Key, Expect, Code, bool), Error> {
        let key = self.code_key(party, id);
        if let Some(stored) = self.store.get(&key, now).await? {
            let code: Code = decode(&stored.value)?;
            let live = code.tries_left > 0 && now < code.expires_at;
            return Ok((key, Expect::Version(stored.version), code, live));
        }
        let salt = Uuid::new_v4();
        let hash = self.code_hash(party, id, &salt, "");
        let none = Code { hash, salt, method, tries_left: 0, expires_at: later(now, life(CodeChannel::Email)) };
        Ok((key, Expect::Absent, none, false))
    }

    /// What a code over the channel of the request's code would show; of a request without a code, anything it may show.
    pub(super) async fn code_method(&self, party: &RelyingParty, id: &RequestId) -> Result<Option<ProofMethod>, Error> {
        let Some(stored) = self.store.get(&self.code_key(party, id), self.now()).await? else { return Ok(None) };
        Ok(Some(decode::<Code>(&stored.value)?.method))
    }

    /// Whether a guess is the code, in the same time for every guess. Without a code it is compared with none.
    pub(super) fn is_code(
        &self,
        party: &RelyingParty,
        id: &RequestId,
        code: Option<&Code>,
        guess: &Sensitive<String>,
    ) -> bool {
        let guess = Sensitive::new(guess.expose().chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>());
        let salt = code.map_or(Uuid::nil(), |code| code.salt);
        let hash = self.code_hash(party, id, &salt, guess.expose());
        let other = code.map_or_else(|| "0".repeat(hash.len()), |code| code.hash.clone());
        constant_time::verify_slices_are_equal(hash.as_bytes(), other.as_bytes()).is_ok() && code.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_length_and_differ() {
        for count in 6..=10u8 {
            let made: std::collections::BTreeSet<String> =
                (0..64).map(|_| digits(count).unwrap().expose().clone()).collect();
            assert!(made.iter().all(|c| c.len() == usize::from(count) && c.bytes().all(|b| b.is_ascii_digit())));
            assert!(made.len() > 60, "they repeat");
        }
    }

    #[test]
    fn every_digit_comes_first_about_as_often() {
        let mut first = [0u32; 10];
        for _ in 0..4000 {
            first[usize::from(digits(6).unwrap().expose().as_bytes()[0] - b'0')] += 1;
        }
        assert!(first.iter().all(|n| (280..520).contains(n)), "{first:?}");
    }
}
