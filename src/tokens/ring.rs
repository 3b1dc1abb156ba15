//! The issuer's keys as a ring: one signs, the next is published before it signs, and those that signed before verify
//! until the last token that they can have signed has ended.

use super::keys::{Algorithm, KeyError, SigningKey, VerifyingKey};
use crate::secret::Sensitive;
use jiff::{SignedDuration, Timestamp};

/// A key that signs no more, and until when what it signed can be valid.
#[derive(Debug, Clone)]
pub struct Retired {
    /// The public part; the private part is gone.
    pub key: VerifyingKey,
    /// From then on it verifies nothing.
    pub until: Timestamp,
}

/// The part of a key in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It signs.
    Signs,
    /// It is published, and signs after the next rotation.
    Next,
    /// It verifies what it signed.
    Retired {
        /// Until then.
        until: Timestamp,
    },
}

/// The issuer's keys: one signs, the next is published before it signs, the retired still verify for a while.
#[derive(Debug)]
pub struct KeyRing {
    current: SigningKey,
    next: Option<SigningKey>,
    retired: Vec<Retired>,
}

impl KeyRing {
    /// Puts a ring together. All keys are for development, or none; no two have one name.
    pub fn new(current: SigningKey, next: Option<SigningKey>, retired: Vec<Retired>) -> Result<Self, KeyError> {
        let ring = Self { current, next, retired };
        let keys: Vec<&VerifyingKey> = ring.every().collect();
        if keys.iter().any(|key| key.development() != ring.development()) {
            return Err(KeyError::Occupied);
        }
        let distinct =
            (1..keys.len()).all(|i| keys.iter().take(i).all(|key| Some(key.kid()) != keys.get(i).map(|k| k.kid())));
        if distinct { Ok(ring) } else { Err(KeyError::Duplicate) }
    }

    /// A ring that lives as long as this process and is marked for development.
    pub fn generate_development(algorithm: Algorithm) -> Result<Self, KeyError> {
        let (current, _) = SigningKey::generate(algorithm, true)?;
        let (next, _) = SigningKey::generate(algorithm, true)?;
        Self::new(current, Some(next), Vec::new())
    }

    /// Reads a ring from one text: the first private key (PKCS#8 PEM) signs, a second one is next, and public keys go on
    /// verifying for as long as they stand there.
    pub fn from_bundle(pem: &Sensitive<Vec<u8>>) -> Result<Self, KeyError> {
        let mut signing = SigningKey::all_from_pem(pem)?.into_iter();
        let current = signing.next().ok_or(KeyError::Malformed)?;
        let next = signing.next();
        if signing.next().is_some() {
            return Err(KeyError::Occupied);
        }
        let retired = VerifyingKey::all_from_pem(pem.expose())?;
        Self::new(current, next, retired.into_iter().map(|key| Retired { key, until: Timestamp::MAX }).collect())
    }

    /// Whether the keys were made for development. Production settings must refuse them.
    pub fn development(&self) -> bool {
        self.current.public().development()
    }

    /// Lets the next key sign (or `fresh`, if there is none), makes `fresh` the next, and retires the current one until
    /// the last token that it can have signed has ended.
    pub fn rotate(self, fresh: SigningKey, now: Timestamp) -> Result<Self, KeyError> {
        let until = super::retirement(now);
        let Self { current, next, mut retired } = self;
        retired.retain(|key| key.until > now);
        retired.push(Retired { key: current.public().clone(), until });
        match next {
            Some(next) => Self::new(next, Some(fresh), retired),
            None => Self::new(fresh, None, retired),
        }
    }

    /// The key that signs.
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The keys that verify at `now`: what a JWKS document lists.
    pub fn verifying(&self, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        self.signing().map(SigningKey::public).chain(self.retired_at(now))
    }

    /// The key that signs after the next rotation.
    pub fn next(&self) -> Option<&SigningKey> {
        self.next.as_ref()
    }

    /// From when on the next key may sign: when it has been published for `lead`. `None` where there is none, or where it
    /// is not known when it was made.
    pub fn may_rotate(&self, lead: SignedDuration) -> Option<Timestamp> {
        let made = self.next.as_ref()?.made()?;
        Some(made.checked_add(lead).unwrap_or(Timestamp::MAX))
    }

    /// Every key with its part, the one that signs first. Retired keys whose time is over are told too.
    pub fn standing(&self) -> Vec<(&VerifyingKey, Option<Timestamp>, Standing)> {
        let current = (self.current.public(), self.current.made(), Standing::Signs);
        let next = self.next.iter().map(|key| (key.public(), key.made(), Standing::Next));
        let retired = self.retired.iter().map(|one| (&one.key, None, Standing::Retired { until: one.until }));
        std::iter::once(current).chain(next).chain(retired).collect()
    }

    /// Whether another ring has the same keys in the same parts.
    pub fn same(&self, other: &Self) -> bool {
        let parts = |ring: &Self| -> Vec<(String, Standing)> {
            ring.standing().into_iter().map(|(key, _, standing)| (key.kid().to_owned(), standing)).collect()
        };
        parts(self) == parts(other)
    }

    /// Whether a key of this name verifies or will.
    pub fn has(&self, kid: &str) -> bool {
        self.every().any(|key| key.kid() == kid)
    }

    fn retired_at(&self, now: Timestamp) -> impl Iterator<Item = &VerifyingKey> {
        self.retired.iter().filter(move |retired| retired.until > now).map(|retired| &retired.key)
    }

    fn signing(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.current).chain(self.next.as_ref())
    }

    fn every(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.signing().map(SigningKey::public).chain(self.retired.iter().map(|retired| &retired.key))
    }
}
