//! Terms as text: how those that have one spelling are stored, and bytes as hexadecimal digits.

use super::Malformed;
use data_encoding::HEXLOWER;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Stores a term as the text that it shows itself as, and reads it from there without a copy of the text.
macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::terms::Text::new())
            }
        }
    };
}
pub(crate) use as_text;

/// Reads a term from its text.
pub(crate) struct Text<T>(PhantomData<T>);

impl<T> Text<T> {
    /// Reads any text that the term's own parser takes.
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: FromStr<Err = Malformed>> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Shows 32 bytes as 64 hexadecimal digits in lower case.
pub fn show_hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 64];
    f.write_str(HEXLOWER.encode_mut_str(bytes, &mut digits))
}

/// 32 bytes from 64 hexadecimal digits in lower case.
pub(super) fn hex32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_lower_case_and_nothing_else_is_read() {
        let bytes: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 8 + 7).unwrap());
        let text = hex(&bytes);
        assert_eq!(text, bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(hex32(&text), Some(bytes));
        let changed = |at: usize, to: &str| format!("{}{to}{}", &text[..at], &text[at + 1..]);
        for bad in [
            String::new(),
            text[1..].to_owned(),
            format!("{text}00"),
            changed(0, "g"),
            changed(63, " "),
            text.to_uppercase(),
            changed(9, "é")[..64].to_owned(),
        ] {
            assert_eq!(hex32(&bad), None, "{bad}");
        }
    }
}
