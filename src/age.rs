//! Calendar rules about age, and nothing else: no clock, no zone, no policy.

use jiff::civil::Date;
use std::fmt;
use zeroize::Zeroize;

/// A date of birth. `Debug` is redacted; there is no `Display`; the memory is overwritten when it is dropped.
#[derive(PartialEq, Eq, Zeroize)]
#[zeroize(drop)]
pub struct BirthDate {
    year: i16,
    month: i8,
    day: i8,
}

impl BirthDate {
    /// Takes a civil date as a date of birth.
    pub fn new(date: Date) -> Self {
        Self { year: date.year(), month: date.month(), day: date.day() }
    }

    /// The civil date, opened. What it is turned into is the caller's duty.
    pub fn expose(&self) -> Date {
        Date::constant(self.year, self.month, self.day)
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
