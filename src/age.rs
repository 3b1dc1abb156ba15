//! Calendar rules about age, and nothing else: no clock, no zone, no policy.
//!
//! A person is N years old from 00:00 of the N-th birthday (Civil Act 158: full years, the day of birth counted). The
//! day before is never enough. A birthday on 29 February moves, in a common year, to the day its place says; where the
//! place is not known, to 1 March, which is the later one. What cannot be computed has not been reached.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
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

    /// The birthday in `year`; `None` only where the calendar ends.
    fn birthday_in(&self, year: i16, leap_day: LeapDay) -> Option<Date> {
        if let Ok(day) = Date::new(year, self.month, self.day) {
            return Some(day);
        }
        // Either the year is outside the calendar (then the next line fails too) or this is 29 February.
        match leap_day {
            LeapDay::Mar1 => Date::new(year, 3, 1).ok(),
            LeapDay::Feb28 => Date::new(year, 2, 28).ok(),
        }
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where the birthday of a person born on 29 February falls in a common year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeapDay {
    /// On 1 March: Korea (Civil Act 160(3)), Japan, Hong Kong, Australia, the United Kingdom; also where nothing is known.
    #[default]
    Mar1,
    /// On 28 February: Taiwan (Civil Code 121, 124).
    Feb28,
}

impl LeapDay {
    /// The spelling used in the rule table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mar1 => "mar1",
            Self::Feb28 => "feb28",
        }
    }
}

/// How the years of an [`AgeThreshold`] are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Full years: reached on the birthday.
    Birthday,
    /// Year age (연 나이, Youth Protection Act 2): reached on 1 January of the year in which the birthday falls.
    CalendarYear,
}

/// A limit of age, and how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeThreshold {
    /// The number of years.
    pub years: u8,
    /// What is counted.
    pub counted: Counted,
}

impl AgeThreshold {
    /// `years` full years.
    pub const fn full(years: u8) -> Self {
        Self { years, counted: Counted::Birthday }
    }

    /// `years` by year age.
    pub const fn by_year(years: u8) -> Self {
        Self { years, counted: Counted::CalendarYear }
    }
}

/// The age in full years on the day `on`; `None` before the day of birth.
pub fn full_years(birth: &BirthDate, on: Date, leap_day: LeapDay) -> Option<u16> {
    if on < birth.expose() {
        return None;
    }
    let birthday = birth.birthday_in(on.year(), leap_day)?;
    let years = on.year() - birth.year - i16::from(on < birthday);
    u16::try_from(years).ok()
}

/// The year age (연 나이) on the day `on`; `None` before the day of birth.
pub fn year_age(birth: &BirthDate, on: Date) -> Option<u16> {
    if on < birth.expose() {
        return None;
    }
    u16::try_from(on.year() - birth.year).ok()
}

/// The first day on which `threshold` is reached; `None` only where the calendar ends before it.
pub fn day_reached(birth: &BirthDate, threshold: AgeThreshold, leap_day: LeapDay) -> Option<Date> {
    let year = birth.year.checked_add(i16::from(threshold.years))?;
    match threshold.counted {
        Counted::Birthday => birth.birthday_in(year, leap_day),
        // A threshold of nought years is reached at birth, not before it.
        Counted::CalendarYear => Date::new(year, 1, 1).ok().map(|day| day.max(birth.expose())),
    }
}

/// Whether `threshold` is reached on the day `on`. What cannot be computed has not been reached.
pub fn reached(birth: &BirthDate, threshold: AgeThreshold, on: Date, leap_day: LeapDay) -> bool {
    day_reached(birth, threshold, leap_day).is_some_and(|day| day <= on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_date() {
        assert_eq!(format!("{:?}", BirthDate::new(Date::constant(2013, 11, 22))), "[redacted]");
    }

    #[test]
    fn the_end_of_the_calendar_counts_as_not_reached() {
        let last = BirthDate::new(Date::MAX);
        assert_eq!(day_reached(&last, AgeThreshold::full(1), LeapDay::Mar1), None);
        assert!(!reached(&last, AgeThreshold::full(1), Date::MAX, LeapDay::Mar1));
        assert!(!reached(&last, AgeThreshold::by_year(1), Date::MAX, LeapDay::Feb28));
    }
}
