//! The legal clock: calendar months, days and business days from one date to another, and the days on which offices of
//! a place are closed.
//!
//! Always: a due date is never later than the law's. Of two readings of a rule the one that gives the earlier date is
//! taken: no due date is moved to the next working day, and a holiday that the calendar does not list makes a due date
//! earlier, never later. So outside the years that a calendar lists, and in a place that has none, only Saturdays and
//! Sundays count as closed.

use crate::policy::rules::Citation;
use crate::terms::Jurisdiction;
use jiff::civil::{Date, Weekday};
use jiff::{Span as Length, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// The calendars as they are written.
const HOLIDAYS: &str = include_str!("holidays.toml");

/// Why calendars are refused. Names places and days of the file, which hold nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not TOML, an unknown field, a place or a day that does not exist.
    #[error("the calendars cannot be read: {0}")]
    Syntax(String),
    /// Two calendars for one place.
    #[error("calendars: {0} has two")]
    Twice(Jurisdiction),
    /// No citation, or a text that is empty.
    #[error("calendars: {0} has no citation, or an empty text")]
    Empty(Jurisdiction),
    /// A year of the calendar has no day, or there is no year.
    #[error("calendars: {0} does not list every year that it says it does")]
    Years(Jurisdiction),
    /// A day outside the years of its calendar.
    #[error("calendars: {0} lists {1}, which lies outside its years")]
    Outside(Jurisdiction, Date),
    /// A day that does not come after the one before it.
    #[error("calendars: {0} lists {1} twice or out of order")]
    Order(Jurisdiction, Date),
    /// A Saturday or Sunday, on which offices are closed anyway.
    #[error("calendars: {0} lists {1}, a Saturday or Sunday")]
    Weekend(Jurisdiction, Date),
}

/// A length of time as laws state it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// So many days.
    Days(u16),
    /// So many days on which offices are open.
    BusinessDays(u16),
    /// So many calendar months: the same day of the month, else its last.
    Months(u8),
}

impl Span {
    /// The last day of this span that begins on `from` (which does not count itself); the last day of the calendar
    /// where there is no such day. No span at all ends on `from`, open or not.
    pub fn after(self, from: Date, calendar: &Calendar) -> Date {
        match self {
            Self::Days(days) => plus(from, i64::from(days).days()),
            Self::Months(months) => plus(from, i64::from(months).months()),
            Self::BusinessDays(days) => nth_open(days, from, calendar),
        }
    }
}

fn plus(day: Date, length: Length) -> Date {
    day.checked_add(length).unwrap_or(Date::MAX)
}

fn nth_open(days: u16, from: Date, calendar: &Calendar) -> Date {
    let mut day = from;
    let mut left = days;
    while left > 0 && day < Date::MAX {
        day = plus(day, 1.day());
        left -= u16::from(calendar.is_open(day));
    }
    day
}

/// The days on which offices of a place are closed, besides Saturdays and Sundays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Calendar {
    listing: Option<Listing>,
    holidays: BTreeSet<Date>,
}

/// Where a calendar holds and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The place.
    pub place: Jurisdiction,
    /// The first year whose days are listed.
    pub from: i16,
    /// The last year whose days are listed.
    pub until: i16,
    /// The law, where it was read, and how far it was checked. At least one.
    pub cite: Vec<Citation>,
}

impl Calendar {
    /// A calendar with these holidays, and no ground for them.
    pub fn new(holidays: BTreeSet<Date>) -> Self {
        Self { listing: None, holidays }
    }

    /// Whether offices are open.
    pub fn is_open(&self, day: Date) -> bool {
        !is_weekend(day) && !self.holidays.contains(&day)
    }

    /// Where it holds and what it rests on; `None` where it knows weekends only.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// The days that are listed, in order.
    pub fn holidays(&self) -> impl Iterator<Item = Date> {
        self.holidays.iter().copied()
    }
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The calendars of all places. Serializes to what due dates depend on, so that a digest can cover it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calendars {
    by_place: BTreeMap<Jurisdiction, Calendar>,
    weekends: Calendar,
}

impl Calendars {
    /// The calendars that are part of the program.
    pub fn embedded() -> Result<Self, CalendarError> {
        Self::parse(HOLIDAYS)
    }

    /// Reads and checks calendars.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let file: File = toml::from_str(text).map_err(|e| CalendarError::Syntax(e.message().to_owned()))?;
        let mut by_place = BTreeMap::new();
        for written in file.calendar {
            let place = written.place;
            if by_place.insert(place, written.check()?).is_some() {
                return Err(CalendarError::Twice(place));
            }
        }
        Ok(Self { by_place, weekends: Calendar::default() })
    }

    /// The calendar of a place: its own, else its nation's, else one of weekends only.
    pub fn of(&self, place: Jurisdiction) -> &Calendar {
        let own = self.by_place.get(&place);
        own.or_else(|| self.by_place.get(&place.nation())).unwrap_or(&self.weekends)
    }

    /// Every calendar that is listed, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = &Calendar> {
        self.by_place.values()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    calendar: Vec<Written>,
}

/// A calendar as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    place: Jurisdiction,
    from: i16,
    until: i16,
    cite: Vec<Citation>,
    days: Vec<Day>,
}

/// A day as it is written. What it is closed for is for the reader.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    on: Date,
    name: String,
}

impl Written {
    fn check(self) -> Result<Calendar, CalendarError> {
        let Self { place, from, until, cite, days } = self;
        let unsaid = cite.iter().any(|c| c.text.is_empty() || c.source.is_empty());
        if cite.is_empty() || unsaid || days.iter().any(|day| day.name.is_empty()) {
            return Err(CalendarError::Empty(place));
        }
        let mut holidays = BTreeSet::new();
        for Day { on, .. } in days {
            check_day(place, from..=until, holidays.last().copied(), on)?;
            holidays.insert(on);
        }
        let listed: BTreeSet<i16> = holidays.iter().map(|day| day.year()).collect();
        if from > until || !(from..=until).all(|year| listed.contains(&year)) {
            return Err(CalendarError::Years(place));
        }
        Ok(Calendar { listing: Some(Listing { place, from, until, cite }), holidays })
    }
}

fn check_day(
    place: Jurisdiction,
    years: std::ops::RangeInclusive<i16>,
    before: Option<Date>,
    day: Date,
) -> Result<(), CalendarError> {
    if !years.contains(&day.year()) {
        return Err(CalendarError::Outside(place, day));
    }
    if before.is_some_and(|before| before >= day) {
        return Err(CalendarError::Order(place, day));
    }
    if is_weekend(day) {
        return Err(CalendarError::Weekend(place, day));
    }
    Ok(())
}
