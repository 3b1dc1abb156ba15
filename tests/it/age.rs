//! Age, checked against the vectors of the domain reference and against an oracle that counts days, one by one.
//!
//! The oracle shares nothing with the code under test: it has its own calendar (built by rolling days over), it never
//! adds years, and it learns that a birthday fell on no day of a common year only by walking from 28 February to 1 March.

use idgate::age::{AgeThreshold, BirthDate, LeapDay, day_reached, full_years, reached, year_age};
use jiff::civil::{Date, date};

const LEAP_DAYS: [LeapDay; 2] = [LeapDay::Mar1, LeapDay::Feb28];

fn born(text: &str) -> BirthDate {
    BirthDate::new(day(text))
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn the_vectors_of_the_domain_reference() {
    use LeapDay::{Feb28, Mar1};
    let vectors = [
        ("2013-11-22", "2026-11-22", Mar1, 13),
        ("2013-11-23", "2026-11-22", Mar1, 12),
        ("2008-11-22", "2026-11-22", Mar1, 18),
        ("2008-11-23", "2026-11-22", Mar1, 17),
        ("2008-02-29", "2026-02-28", Mar1, 17),
        ("2008-02-29", "2026-02-28", Feb28, 18),
        ("2008-02-29", "2026-03-01", Mar1, 18),
        ("2008-02-29", "2026-02-27", Feb28, 17),
        ("2012-02-29", "2025-02-28", Mar1, 12),
        ("2012-02-29", "2025-02-28", Feb28, 13),
        ("2008-02-29", "2028-02-28", Mar1, 19),
        ("2008-02-29", "2028-02-28", Feb28, 19),
        ("2008-02-29", "2028-02-29", Mar1, 20),
        ("2008-02-29", "2028-02-29", Feb28, 20),
        ("2012-12-31", "2025-12-30", Mar1, 12),
        ("2012-12-31", "2025-12-31", Mar1, 13),
        ("2008-11-30", "2026-11-22", Mar1, 17), // day unknown: the youngest person it could be
        ("2008-12-31", "2026-11-22", Mar1, 17), // day and month unknown
        ("1926-11-23", "2026-11-22", Mar1, 99), // two-digit year, still to come this year
        ("2026-11-22", "2026-11-22", Mar1, 0),
        ("2007-12-31", "2026-01-01", Mar1, 18),
    ];
    for (birth, on, leap_day, age) in vectors {
        assert_eq!(full_years(&born(birth), day(on), leap_day), Some(age), "{birth} on {on} {leap_day:?}");
        let years = u8::try_from(age).unwrap();
        assert!(reached(&born(birth), AgeThreshold::full(years), day(on), leap_day));
        assert!(!reached(&born(birth), AgeThreshold::full(years + 1), day(on), leap_day));
    }
}

#[test]
fn year_age_is_reached_on_new_years_day() {
    let birth = born("2007-12-31");
    let adult = AgeThreshold::by_year(19);
    assert_eq!(day_reached(&birth, adult, LeapDay::Mar1), Some(date(2026, 1, 1)));
    assert!(reached(&birth, adult, date(2026, 1, 1), LeapDay::Mar1));
    assert!(!reached(&birth, adult, date(2025, 12, 31), LeapDay::Mar1));
    assert_eq!(year_age(&birth, date(2026, 1, 1)), Some(19));
    assert!(!reached(&born("2008-01-01"), adult, date(2026, 12, 31), LeapDay::Mar1));
}

#[test]
fn nobody_has_an_age_before_birth() {
    let birth = born("2026-11-23");
    assert_eq!(full_years(&birth, date(2026, 11, 22), LeapDay::Mar1), None);
    assert_eq!(year_age(&birth, date(2026, 11, 22)), None);
    for threshold in [AgeThreshold::full(0), AgeThreshold::by_year(0)] {
        assert!(!reached(&birth, threshold, date(2026, 11, 22), LeapDay::Mar1));
        assert!(reached(&birth, threshold, date(2026, 11, 23), LeapDay::Mar1));
    }
}

/// A calendar that only knows how to roll one day over to the next.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Day {
    year: i16,
    month: i8,
    day: i8,
}

impl Day {
    fn next(self) -> Self {
        let Self { year, month, day } = self;
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        if day < length[usize::try_from(month - 1).unwrap()] {
            Self { day: day + 1, ..self }
        } else if month < 12 {
            Self { month: month + 1, day: 1, ..self }
        } else {
            Self { year: year + 1, month: 1, day: 1 }
        }
    }

    fn is(self, month: i8, day: i8) -> bool {
        self.month == month && self.day == day
    }

    fn date(self) -> Date {
        Date::new(self.year, self.month, self.day).unwrap()
    }
}

fn calendar(from: i16, years: i16) -> Vec<Day> {
    let mut days = vec![Day { year: from, month: 1, day: 1 }];
    while let Some(next) = days.last().map(|d| d.next()).filter(|d| d.year < from + years) {
        days.push(next);
    }
    days
}

/// Whether today is the birthday, told only from yesterday, today and tomorrow.
fn is_birthday(born: Day, today: &[Day; 3], leap_day: LeapDay) -> bool {
    let [yesterday, today, tomorrow] = *today;
    if !born.is(2, 29) {
        return today.is(born.month, born.day);
    }
    today.is(2, 29)
        || match leap_day {
            LeapDay::Mar1 => yesterday.is(2, 28) && today.is(3, 1),
            LeapDay::Feb28 => today.is(2, 28) && tomorrow.is(3, 1),
        }
}

/// Every birth date of `births` years from `from`, every threshold up to `oldest`, both leap day rules.
fn walk_every_birth_date(from: i16, births: i16, oldest: u8) -> usize {
    let days = calendar(from, births + i16::from(oldest) + 2);
    let mut compared = 0;
    for (start, first) in days.iter().enumerate().filter(|(_, d)| d.year < from + births) {
        let birth = BirthDate::new(first.date());
        for leap_day in LEAP_DAYS {
            let (mut age, mut new_years) = (0u8, 0u8);
            check_turn(&birth, first.date(), AgeThreshold::full(0), leap_day);
            for window in days[start..].windows(3) {
                let window: &[Day; 3] = window.try_into().unwrap();
                let today = window[1];
                if today.is(1, 1) && new_years < oldest {
                    new_years += 1;
                    check_turn(&birth, today.date(), AgeThreshold::by_year(new_years), leap_day);
                    assert_eq!(year_age(&birth, today.date()), Some(u16::from(new_years)));
                    compared += 1;
                }
                if is_birthday(*first, window, leap_day) {
                    age += 1;
                    check_turn(&birth, today.date(), AgeThreshold::full(age), leap_day);
                    assert_eq!(full_years(&birth, window[0].date(), leap_day), Some(u16::from(age - 1)));
                    assert_eq!(full_years(&birth, today.date(), leap_day), Some(u16::from(age)));
                    compared += 1;
                    if age == oldest {
                        break;
                    }
                }
            }
            assert_eq!(age, oldest, "the walk must have met every birthday");
        }
    }
    compared
}

/// `threshold` must turn from not reached to reached on `today`, and on no other day.
fn check_turn(birth: &BirthDate, today: Date, threshold: AgeThreshold, leap_day: LeapDay) {
    assert_eq!(day_reached(birth, threshold, leap_day), Some(today));
    assert!(reached(birth, threshold, today, leap_day));
    assert!(!reached(birth, threshold, today.yesterday().unwrap(), leap_day));
    assert!(reached(birth, threshold, today.tomorrow().unwrap(), leap_day));
}

#[test]
fn every_birth_date_and_threshold_agrees_with_counting_days() {
    // Across 1900 and 2100 (no leap years) and 2000 (a leap year), and all births of people alive at these thresholds.
    let compared =
        walk_every_birth_date(1894, 12, 22) + walk_every_birth_date(1988, 40, 22) + walk_every_birth_date(2070, 38, 22);
    assert!(compared > 2_800_000, "only {compared} comparisons");
}

#[test]
fn every_day_of_a_life_agrees_with_counting_days_around_29_february() {
    let days = calendar(1996, 130);
    for (start, first) in days.iter().enumerate().filter(|(_, d)| d.year < 2005 && (d.month == 2 || d.month == 3)) {
        let birth = BirthDate::new(first.date());
        for leap_day in LEAP_DAYS {
            let mut age = 0u16;
            for window in days[start..].windows(3) {
                let window: &[Day; 3] = window.try_into().unwrap();
                age += u16::from(is_birthday(*first, window, leap_day));
                assert_eq!(full_years(&birth, window[1].date(), leap_day), Some(age));
            }
            assert!(age >= 120);
        }
    }
}

#[test]
fn thresholds_are_reached_in_order_and_the_leap_day_rule_moves_one_day_at_most() {
    for first in calendar(2000, 13) {
        let birth = BirthDate::new(first.date());
        for years in 0..120u8 {
            let mar1 = day_reached(&birth, AgeThreshold::full(years), LeapDay::Mar1).unwrap();
            let feb28 = day_reached(&birth, AgeThreshold::full(years), LeapDay::Feb28).unwrap();
            assert!(feb28 == mar1 || (first.is(2, 29) && feb28.tomorrow().unwrap() == mar1));
            assert!(mar1 < day_reached(&birth, AgeThreshold::full(years + 1), LeapDay::Mar1).unwrap());
            // Year age is never later than the birthday, so year age N always means at least N - 1 full years.
            let by_year = day_reached(&birth, AgeThreshold::by_year(years), LeapDay::Mar1).unwrap();
            assert!(by_year <= feb28);
            assert!(years == 0 || reached(&birth, AgeThreshold::full(years - 1), by_year, LeapDay::Mar1));
        }
    }
}
