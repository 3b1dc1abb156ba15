//! Values about a person, kept from every log, error and message.
//!
//! `Sensitive<T>` can be opened, but it cannot be shown, copied, compared or serialised by accident: `Debug` prints
//! `[redacted]`, there is no `Display`, `Clone` or `Serialize`, and the memory is overwritten when the value is dropped.

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
    fn the_value_is_overwritten_in_place() {
        let mut s = Sensitive::new(vec![7u8; 64]);
        s.expose_mut().zeroize();
        assert!(s.expose().is_empty());
    }
}
