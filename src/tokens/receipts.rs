//! Consent receipts, signed: a JWS over exactly the bytes that the consent's chain hashes.
//!
//! A receipt does not end and is for whoever holds it, so it has no audience and no period; its type keeps it apart from
//! every token. It can be signed again at any time, over the same bytes. Who wants to check one without us keeps the
//! key set that was published when it was signed: a key that was retired long ago is not published any more.

use super::keys::{SigningKey, VerifyingKey};
use super::{Issuer, Rejected, TokenError, jws};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// The type of a receipt.
const TYPE: &str = "consent-receipt+jwt";
/// The longest receipt that is signed or looked at, in characters.
pub const MAX_RECEIPT: usize = 64 * 1024;

impl Issuer {
    /// Signs a receipt's payload, byte for byte.
    pub fn sign_receipt(&self, payload: &[u8]) -> Result<String, TokenError> {
        signed(self.keys().current(), payload)
    }

    /// The same, for a receipt whose payload is made only if it was not signed lately. A name must stand for one payload:
    /// whoever gives it again gets what was signed.
    pub fn sign_receipt_once(
        &self,
        name: impl AsRef<[u8]>,
        payload: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<String, TokenError> {
        let keys = self.keys();
        let key = keys.current();
        let name =
            Sha256::new().chain_update(key.public().kid()).chain_update([0]).chain_update(name).finalize().into();
        if let Some(text) = self.receipts.get(&name) {
            return Ok(text.to_string());
        }
        let text = signed(key, &payload().ok_or(TokenError::Signing)?)?;
        self.receipts.insert(name, text.as_str().into());
        Ok(text)
    }

    /// The payload of a receipt that a key of ours signed, if that key is still published.
    pub fn open_receipt(&self, text: &str, now: Timestamp) -> Result<Vec<u8>, Rejected> {
        open(text, self.keys().verifying(now))
    }
}

fn signed(key: &SigningKey, payload: &[u8]) -> Result<String, TokenError> {
    let text = jws::sign_bytes(key, TYPE, payload)?;
    if text.len() > MAX_RECEIPT { Err(TokenError::TooLarge) } else { Ok(text) }
}

/// The payload of a receipt that one of `keys` signed: needs nothing but a published key set.
pub fn open<'k>(text: &str, keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Result<Vec<u8>, Rejected> {
    let find = |kid: &str| keys.into_iter().find(|key| key.kid() == kid);
    jws::open_bytes(text, &[Some(TYPE)], MAX_RECEIPT, find, None).map(|(payload, _)| payload)
}

/// Whether a text says of itself that it is a receipt. Proves nothing: it tells which way to open it.
pub fn looks_like_one(text: &str) -> bool {
    jws::stated_type(text).is_some_and(|stated| stated == TYPE)
}
