//! Sealing of what is personal and has to rest for a while.
//!
//! Two keys are needed to open anything: one of the ring, which lies in a file of the operator's, and the subject's own
//! key, which can be destroyed. From both a key for AES-256-GCM is derived (HKDF-SHA-256). What is sealed is bound to its
//! place: moved to another record, or changed in any bit, it does not open. The ring rotates: its first key seals, all of
//! them open.
//!
//! Random nonces of 96 bits are safe for 2^32 messages under one key; each subject has a key of its own. The length of
//! what is sealed can be seen.

use crate::secret::Sensitive;
use crate::terms::Malformed;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The one version of the format: version, ring key id, nonce, ciphertext with its tag. Another gets another number.
const VERSION: u8 = 1;
/// What the derived key is for.
const LABEL: &[u8] = b"idgate seal 1 aes-256-gcm";
/// Prefix of what a ring key's id is the hash of.
const ID_LABEL: &[u8] = b"idgate seal ring key id\0";
/// Version and ring key id.
const HEAD: usize = 5;
const NONCE: usize = 12;
const TAG: usize = 16;

/// Something was not sealed or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The ring has no key of this id.
    #[error("this was sealed with a key that is not in the ring (store.sealing)")]
    UnknownKey,
    /// A version that this program does not know.
    #[error("this was sealed in a format that this version does not know")]
    Version,
    /// Another place, another key of the subject's, or something was changed.
    #[error("what was sealed does not open here")]
    Refused,
    /// There were no random bytes, or the cipher failed.
    #[error("nothing could be sealed")]
    Failed,
}

/// Names a key of the ring.
type RingId = [u8; 4];

struct RingKey {
    id: RingId,
    key: Sensitive<[u8; 32]>,
}

impl RingKey {
    fn new(key: Sensitive<[u8; 32]>) -> Self {
        let labelled = Sensitive::new([ID_LABEL, key.expose()].concat());
        let [a, b, c, d] = *digest(&SHA256, labelled.expose()).as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        Self { id: [a, b, c, d], key }
    }

    /// The key that seals what belongs to the holder of `own`.
    fn derive(&self, own: &Sensitive<[u8; 32]>) -> Result<LessSafeKey, SealError> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, own.expose()).extract(self.key.expose());
        let derived = extracted.expand(&[LABEL], &AES_256_GCM).map_err(|_| SealError::Failed)?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

/// The operator's keys: the first seals, all of them open.
pub struct SealRing {
    current: RingKey,
    older: Vec<RingKey>,
}

impl fmt::Debug for SealRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealRing({} keys)", self.older.len().saturating_add(1))
    }
}

impl SealRing {
    /// A ring of random keys that every process which shares a store has.
    pub fn new(current: Sensitive<[u8; 32]>, older: Vec<Sensitive<[u8; 32]>>) -> Self {
        Self { current: RingKey::new(current), older: older.into_iter().map(RingKey::new).collect() }
    }

    /// Seals `plain` for one place (the bytes of the store's key, and which part of its value if there is more than one)
    /// and for the holder of `own`.
    pub fn seal(
        &self,
        own: &Sensitive<[u8; 32]>,
        place: &[u8],
        plain: &Sensitive<Vec<u8>>,
    ) -> Result<Sealed, SealError> {
        let mut nonce = [0u8; NONCE];
        rand::fill(&mut nonce).map_err(|_| SealError::Failed)?;
        self.seal_with(nonce, own, place, plain)
    }

    fn seal_with(
        &self,
        nonce: [u8; NONCE],
        own: &Sensitive<[u8; 32]>,
        place: &[u8],
        plain: &Sensitive<Vec<u8>>,
    ) -> Result<Sealed, SealError> {
        let key = self.current.derive(own)?;
        // Room for all of it at once: a vector that grows leaves copies behind.
        let room = Sealed::SHORTEST.saturating_add(plain.expose().len());
        let mut bytes = Sensitive::new(Vec::with_capacity(room));
        bytes.expose_mut().push(VERSION);
        bytes.expose_mut().extend(self.current.id);
        bytes.expose_mut().extend(nonce);
        bytes.expose_mut().extend(plain.expose());
        let (head, body) = bytes.expose_mut().split_at_mut(HEAD + NONCE);
        let bound = Aad::from(bound(head, place));
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound, body);
        let tag = tag.map_err(|_| SealError::Failed)?;
        bytes.expose_mut().extend(tag.as_ref());
        Ok(Sealed(std::mem::take(bytes.expose_mut())))
    }

    /// Opens what was sealed for this place and this holder.
    pub fn open(
        &self,
        own: &Sensitive<[u8; 32]>,
        place: &[u8],
        sealed: &Sealed,
    ) -> Result<Sensitive<Vec<u8>>, SealError> {
        let parts = sealed.parts().ok_or(SealError::Refused)?;
        if parts.version != VERSION {
            return Err(SealError::Version);
        }
        let mut keys = self.keys().filter(|key| key.id == parts.id).peekable();
        keys.peek().ok_or(SealError::UnknownKey)?;
        // Ids are short; should two keys share one, the right one opens.
        for key in keys {
            let mut plain = Sensitive::new(parts.body.to_vec());
            let nonce = Nonce::assume_unique_for_key(parts.nonce);
            let opened = key.derive(own)?.open_in_place(nonce, Aad::from(bound(&sealed.0, place)), plain.expose_mut());
            if let Ok(length) = opened.map(|opened| opened.len()) {
                plain.expose_mut().truncate(length);
                return Ok(plain);
            }
        }
        Err(SealError::Refused)
    }

    /// Which key of the ring sealed this, as far as its name tells: 0 seals now, 1 and on are the older ones in their order.
    pub fn sealed_by(&self, sealed: &Sealed) -> Option<usize> {
        let parts = sealed.parts().filter(|parts| parts.version == VERSION)?;
        self.keys().position(|key| key.id == parts.id)
    }

    /// How many keys there are.
    pub fn size(&self) -> usize {
        self.older.len().saturating_add(1)
    }

    fn keys(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

/// What the cipher binds besides the content: version and ring key id (always as many bytes), then the place.
fn bound(sealed: &[u8], place: &[u8]) -> Vec<u8> {
    [sealed.get(..HEAD).unwrap_or_default(), place].concat()
}

/// Something personal that only the ring and the holder's own key together can open. Written as base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed(Vec<u8>);

/// The parts of what is sealed.
struct Parts<'a> {
    version: u8,
    id: RingId,
    nonce: [u8; NONCE],
    body: &'a [u8],
}

impl Sealed {
    /// The length of nothing, sealed.
    const SHORTEST: usize = HEAD + NONCE + TAG;

    /// Whether it should be opened and sealed again, because another key of the ring seals now.
    pub fn needs_reseal(&self, ring: &SealRing) -> bool {
        self.parts().is_none_or(|parts| parts.version != VERSION || parts.id != ring.current.id)
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let ([version], rest) = self.0.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (nonce, body) = rest.split_first_chunk()?;
        Some(Parts { version: *version, id: *id, nonce: *nonce, body })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

impl TryFrom<String> for Sealed {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed("sealed value"))?;
        if bytes.len() < Self::SHORTEST { Err(Malformed("sealed value")) } else { Ok(Self(bytes)) }
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> String {
        URL_SAFE_NO_PAD.encode(sealed.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(first: u8) -> Sensitive<[u8; 32]> {
        Sensitive::new(std::array::from_fn(|i| first + u8::try_from(i).unwrap()))
    }

    fn ring(current: u8, older: &[u8]) -> SealRing {
        SealRing::new(secret(current), older.iter().map(|key| secret(*key)).collect())
    }

    fn plain() -> Sensitive<Vec<u8>> {
        Sensitive::new(b"1999-02-28".to_vec())
    }

    fn opened(ring: &SealRing, own: u8, place: &[u8], sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        ring.open(&secret(own), place, sealed).map(|plain| plain.expose().clone())
    }

    /// Computed with another implementation (Python's `cryptography`) from the description at the top of this file. It
    /// must never change: what was sealed in this format is still to be opened.
    const KNOWN: &str = "AVUSeV1kZWZnaGlqa2xtbm9YfI_IiVRSfHNDwRl-3vPZlznX6vgk2R9bxA";

    #[test]
    fn the_format_does_not_drift() {
        let nonce = std::array::from_fn(|i| 100 + u8::try_from(i).unwrap());
        let sealed = ring(0, &[]).seal_with(nonce, &secret(32), b"place", &plain()).unwrap();
        assert_eq!(String::from(sealed), KNOWN);
        let known = Sealed::try_from(KNOWN.to_owned()).unwrap();
        assert_eq!(opened(&ring(0, &[]), 32, b"place", &known).unwrap(), b"1999-02-28");
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_for_its_holder_and_nowhere_else() {
        let ring = ring(1, &[]);
        let sealed = ring.seal(&secret(32), b"place", &plain()).unwrap();
        assert_eq!(opened(&ring, 32, b"place", &sealed).unwrap(), *plain().expose());
        for place in [b"".as_slice(), b"plac", b"place2", b"\x01place", b"Place"] {
            assert_eq!(opened(&ring, 32, place, &sealed), Err(SealError::Refused), "{place:?}");
        }
        assert_eq!(opened(&ring, 33, b"place", &sealed), Err(SealError::Refused), "another holder's key");
        let nothing = ring.seal(&secret(32), b"", &Sensitive::new(vec![])).unwrap();
        assert_eq!(opened(&ring, 32, b"", &nothing).unwrap(), b"");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_refused() {
        let ring = ring(1, &[2]);
        let sealed = ring.seal(&secret(32), b"place", &plain()).unwrap();
        for at in 0..sealed.0.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed.0[at] ^= 1 << bit;
                assert!(opened(&ring, 32, b"place", &changed).is_err(), "byte {at}, bit {bit}");
            }
            assert!(opened(&ring, 32, b"place", &Sealed(sealed.0[..at].to_vec())).is_err(), "{at} bytes");
        }
        let mut longer = sealed.clone();
        longer.0.push(0);
        assert!(opened(&ring, 32, b"place", &longer).is_err());
        let mut later = sealed;
        later.0[0] = 2;
        assert_eq!(opened(&ring, 32, b"place", &later), Err(SealError::Version));
        assert!(later.needs_reseal(&ring));
    }

    #[test]
    fn a_rotated_ring_opens_what_the_older_key_sealed_and_seals_with_the_new_one() {
        let (before, after, done) = (ring(1, &[]), ring(2, &[1]), ring(2, &[]));
        let sealed = before.seal(&secret(32), b"place", &plain()).unwrap();
        assert!(!sealed.needs_reseal(&before) && sealed.needs_reseal(&after));
        let content = after.open(&secret(32), b"place", &sealed).unwrap();
        let again = after.seal(&secret(32), b"place", &content).unwrap();
        assert!(!again.needs_reseal(&after));
        assert_eq!(opened(&done, 32, b"place", &again).unwrap(), *plain().expose());
        assert_eq!(opened(&done, 32, b"place", &sealed), Err(SealError::UnknownKey));
        assert_eq!(opened(&before, 32, b"place", &again), Err(SealError::UnknownKey));
    }

    #[test]
    fn keys_of_one_id_are_all_tried() {
        let mut ring = ring(1, &[2]);
        let sealed = ring.seal(&secret(32), b"place", &plain()).unwrap();
        let id = ring.current.id;
        ring.older[0].id = id;
        std::mem::swap(&mut ring.current, &mut ring.older[0]);
        assert_eq!(opened(&ring, 32, b"place", &sealed).unwrap(), *plain().expose());
    }

    #[test]
    fn nothing_is_sealed_the_same_way_twice_and_nothing_is_shown() {
        let ring = ring(1, &[]);
        let seal = || ring.seal(&secret(32), b"place", &plain()).unwrap();
        let (a, b) = (seal(), seal());
        assert_ne!(a, b);
        assert!(!a.0.windows(4).any(|window| window == b"1999"));
        assert_eq!(format!("{a:?} {ring:?}"), "[sealed] SealRing(1 keys)");
    }

    #[test]
    fn it_is_written_as_text_and_read_back_strictly() {
        let sealed = Sealed::try_from(KNOWN.to_owned()).unwrap();
        let json = serde_json::to_string(&sealed).unwrap();
        assert_eq!(json, format!("\"{KNOWN}\""));
        assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
        for bad in
            ["", "AVUS", &KNOWN[..43], &format!("{KNOWN}=="), &KNOWN.replace('_', "/"), &KNOWN.replacen('A', " ", 1)]
        {
            assert!(Sealed::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
