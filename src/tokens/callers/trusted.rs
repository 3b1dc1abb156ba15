//! The keys that callers' tokens are verified with: whose they are, what they may say, and until when they hold.

use crate::terms::RelyingParty;
use crate::tokens::files;
use crate::tokens::keys::{KeyError, VerifyingKey};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// The most keys of one source.
pub(super) const MAX_KEYS: usize = 64;
/// What a PEM file has before a key; there may be remarks above it (RFC 7468, 2). In JSON it does not occur: a JWK with
/// a certificate holds it in another form (RFC 7517, 4.7).
const PEM: &[u8] = b"-----BEGIN";

/// What a key may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The operator's own token service: any relying party, any scope.
    Issuer,
    /// The key of this relying party: itself only, and never the scope `admin`.
    Party(RelyingParty),
}

/// Where keys come from that may change: what they may say, and on which connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What its keys may say.
    pub trust: Trust,
    /// The name that a client's certificate must have on connections where its keys count; none for any connection.
    pub certificate: Option<String>,
}

/// A key that signs bearer tokens, and what it may say.
#[derive(Debug, Clone)]
pub struct Trusted {
    pub(super) key: VerifyingKey,
    pub(super) trust: Trust,
}

impl Trusted {
    /// Trusts one key.
    pub fn new(key: VerifyingKey, trust: Trust) -> Self {
        Self { key, trust }
    }

    /// Trusts the keys in a file: one public key as PEM, or a JWK or JWKS. The content tells which, not the name.
    pub fn load(path: &Path, trust: &Trust) -> Result<Vec<Self>, KeyError> {
        let keys = VerifyingKey::load(path)?;
        Ok(keys.into_iter().map(|key| Self::new(key, trust.clone())).collect())
    }
}

impl VerifyingKey {
    /// Reads the keys in a file: one public key as PEM, or a JWK or JWKS. The content tells which, not the name.
    pub fn load(path: &Path) -> Result<Vec<Self>, KeyError> {
        let bytes = files::read_public(path)?;
        let is_pem = bytes.windows(PEM.len()).any(|window| window == PEM);
        if is_pem { Ok(vec![Self::from_pem(&bytes)?]) } else { Self::from_jwks(&bytes) }
    }
}

/// The keys of every source at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Counts how often they changed.
    pub(super) round: u64,
    /// By the numbers of their sources.
    pub(super) sets: Vec<Set>,
}

/// The keys of one source.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    pub(super) keys: Arc<[VerifyingKey]>,
    /// From then on they count no more; `None` if none ever came.
    pub(super) until: Option<Timestamp>,
}

impl Set {
    /// Whether its keys count.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Held {
    /// Replaces the keys of a source. Whether they are others.
    pub(super) fn renew(&mut self, source: usize, keys: Vec<VerifyingKey>, until: Timestamp) -> bool {
        let Some(set) = self.sets.get_mut(source) else { return false };
        set.until = Some(until);
        let same = set.keys.len() == keys.len() && set.keys.iter().zip(&keys).all(|(old, new)| old.same(new));
        if !same {
            set.keys = keys.into();
            self.round = self.round.wrapping_add(1);
        }
        !same
    }
}
