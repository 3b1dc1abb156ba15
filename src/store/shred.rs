//! Names of keys that can be destroyed.
//!
//! What is sealed under such a key cannot be opened once the key is gone, wherever copies of it may still lie. The name
//! tells nothing about the key or about whom it is for, and no name is used twice.

use crate::secret::Sensitive;
use crate::terms::{Malformed, as_text};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// A key that can be destroyed: 32 random bytes that no one has seen before.
pub type ShredKey = Sensitive<[u8; 32]>;

/// Names one key that can be destroyed: the place where it lies, and a random tag, so that a place that is used again is
/// never taken for what lay there before. Written as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId {
    pub(super) slot: u32,
    pub(super) tag: [u8; Self::TAG],
}

as_text!(KeyId);

impl KeyId {
    /// The length of a tag.
    pub(super) const TAG: usize = 12;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0u8; 4 + Self::TAG];
        let [a, b, c, d, tag @ ..] = &mut bytes;
        [*a, *b, *c, *d] = self.slot.to_be_bytes();
        *tag = self.tag;
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId(slot {})", self.slot)
    }
}

impl FromStr for KeyId {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("KeyId");
        let bytes = URL_SAFE_NO_PAD.decode(s).map_err(|_| BAD)?;
        let [a, b, c, d, tag @ ..] = <[u8; 4 + Self::TAG]>::try_from(bytes).map_err(|_| BAD)?;
        Ok(Self { slot: u32::from_be_bytes([a, b, c, d]), tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_text_and_is_read_strictly() {
        let id = KeyId { slot: 0x0102_0304, tag: [0xfe; 12] };
        let text = id.to_string();
        assert_eq!(text, "AQIDBP7-_v7-_v7-_v7-_g");
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(serde_json::from_str::<KeyId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}=="),
            &text.replace("_g", "_h"),
            &text.replace('-', "+"),
        ] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
        assert!(!format!("{id:?}").contains("254"));
    }
}
