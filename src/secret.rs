//! Values about a person, kept from every log, error and message.
//!
//! `Sensitive<T>` can be opened, but it cannot be shown, copied, compared or serialised by accident: `Debug` prints
//! `[redacted]`, there is no `Display`, `Clone` or `Serialize`, and the memory is overwritten when the value is dropped.
//! What is worked out of such a value also passes over the stack; [`wiped`] overwrites it there.

use std::fmt;
use zeroize::Zeroize;

/// A value about a person. Opened with [`Sensitive::expose`] in the smallest scope that needs it.
pub struct Sensitive<T: Zeroize>(T);

impl<T: Zeroize> Sensitive<T> {
    /// Takes ownership of `value`; no copy of it should remain elsewhere.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. What it is turned into is the caller's duty.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, for changing it in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Sensitive<[u8; 32]> {
    /// Reads 32 bytes from 64 hexadecimal characters; a final line break is allowed.
    pub fn from_hex(text: &Sensitive<Vec<u8>>) -> Option<Self> {
        let (pairs, rest) = text.expose().trim_ascii_end().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut secret = Self::new([0u8; 32]);
        for (byte, [high, low]) in secret.expose_mut().iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(secret)
    }
}

/// The value of one hexadecimal digit.
fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl<T: Zeroize> Drop for Sensitive<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize> From<T> for Sensitive<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Does `work` and then overwrites the `N` bytes of stack that it could use: code that works on pixels and text leaves
/// pieces of them there. `N` must be well below what is left of the thread's stack. A panic in `work` leaves the stack as
/// it is, so `work` catches its own.
pub fn wiped<const N: usize, T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    zeroize::zeroize_stack::<N>();
    done
}

/// In a frame of its own, so that all it uses lies below the caller's.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let s = Sensitive::new(String::from("900101-1990006"));
        assert_eq!(format!("{s:?}"), "[redacted]");
        assert_eq!(s.expose(), "900101-1990006");
    }

    #[test]
    fn a_secret_is_read_from_exactly_64_hexadecimal_characters() {
        let read = |text: &str| Sensitive::from_hex(&Sensitive::new(text.as_bytes().to_vec())).map(|s| *s.expose());
        assert_eq!(read(&"0aF9".repeat(16)), Some(std::array::from_fn(|i| if i % 2 == 0 { 0x0a } else { 0xf9 })));
        assert!(read(&format!("{}\n", "0a".repeat(32))).is_some());
        for bad in ["", "0a", &"0a".repeat(33), &"zz".repeat(32), &format!("{}a", "0a".repeat(31))] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_value_is_overwritten_in_place() {
        let mut s = Sensitive::new(vec![7u8; 64]);
        s.expose_mut().zeroize();
        assert!(s.expose().is_empty());
    }
}
