//! The legal clock: calendar months, days and business days from one date to another.
//!
//! Always: a due date is never later than the law's. Of two readings of a rule the one that gives the earlier date is
//! taken: no due date is moved to the next working day, and a holiday that the calendar does not list makes a due date
//! earlier, never later.

use jiff::civil::{Date, Weekday};
use jiff::{Span as Length, ToSpan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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

/// The days on which offices of a place are closed, besides Saturdays and Sundays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    holidays: BTreeSet<Date>,
}

impl Calendar {
    /// A calendar with these holidays.
    pub fn new(holidays: BTreeSet<Date>) -> Self {
        Self { holidays }
    }

    /// Whether offices are open.
    pub fn is_open(&self, day: Date) -> bool {
        !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !self.holidays.contains(&day)
    }
}

impl Span {
    /// The last day of this span that begins on `from` (which does not count itself); the last day of the calendar
    /// where there is no such day.
    pub fn after(self, from: Date, calendar: &Calendar) -> Date {
        match self {
            Self::Days(days) => plus(from, i64::from(days).days()),
            Self::Months(months) => plus(from, i64::from(months).months()),
            Self::BusinessDays(days) => {
                let mut day = from;
                for _ in 0..days {
                    day = plus(day, 1.day());
                    while !calendar.is_open(day) && day < Date::MAX {
                        day = plus(day, 1.day());
                    }
                }
                day
            }
        }
    }
}

fn plus(day: Date, length: Length) -> Date {
    day.checked_add(length).unwrap_or(Date::MAX)
}
