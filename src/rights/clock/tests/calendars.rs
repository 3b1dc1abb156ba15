//! The calendars: what the laws' own rules give is what they list, and anything odd in the file is refused.

use super::*;
use crate::policy::rules::Mark;

const YEARS: std::ops::RangeInclusive<i16> = 2025..=2031;

fn listed(code: &str) -> BTreeSet<Date> {
    calendars().of(place(code)).holidays().collect()
}

// -- the data -----------------------------------------------------------------------------------------------------------

#[test]
fn every_calendar_says_where_it_holds_and_what_it_rests_on() {
    let calendars = calendars();
    let places: Vec<String> = calendars.iter().map(|c| c.listing().unwrap().place.to_string()).collect();
    assert_eq!(places, ["KR", "US", "US-CA"]);
    for calendar in calendars.iter() {
        let listing = calendar.listing().unwrap();
        assert_eq!((listing.from, listing.until), (2025, 2031));
        assert!(!listing.cite.is_empty());
        assert!(listing.cite.iter().all(|cite| cite.mark != Mark::M), "nothing is from memory");
    }
}

#[test]
fn a_place_has_its_own_calendar_or_its_nations_or_weekends_only() {
    let calendars = calendars();
    let held = |code: &str| calendars.of(place(code)).listing().map(|listing| listing.place.to_string());
    for (code, expected) in [("KR", "KR"), ("KR-11", "KR"), ("US", "US"), ("US-NY", "US"), ("US-CA", "US-CA")] {
        assert_eq!(held(code).as_deref(), Some(expected), "{code}");
    }
    for code in ["DE", "DE-BY", "KP", "UM", "ZZ"] {
        assert_eq!(held(code), None, "{code}");
        assert_eq!(calendars.of(place(code)), &Calendar::default(), "{code}");
    }
}

#[test]
fn outside_the_listed_years_only_weekends_are_closed() {
    let calendars = calendars();
    let korea = calendars.of(place("KR"));
    assert!(
        !korea.is_open(date(2031, 12, 25)) && korea.is_open(date(2024, 12, 25)) && korea.is_open(date(2034, 12, 25))
    );
    assert!(!korea.is_open(date(2032, 12, 25)), "a Saturday");
}

fn nth_weekday(year: i16, month: i8, nth: i8, weekday: Weekday) -> Date {
    date(year, month, 1).nth_weekday_of_month(nth, weekday).unwrap()
}

/// 5 U.S.C. 6103(a), and the day on which each is observed: the Friday before a Saturday (6103(b)(1)), the Monday
/// after a Sunday (Executive Order 11582 sec. 3(a)).
fn federal(year: i16) -> Vec<Date> {
    let floating =
        [(1, 3), (2, 3), (5, -1), (9, 1), (10, 2)].map(|(month, nth)| nth_weekday(year, month, nth, Weekday::Monday));
    let fixed = [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)].map(|(month, day)| date(year, month, day));
    let observed = fixed.map(|day| match day.weekday() {
        Weekday::Saturday => day.yesterday().unwrap(),
        Weekday::Sunday => day.tomorrow().unwrap(),
        _ => day,
    });
    let thanksgiving = nth_weekday(year, 11, 4, Weekday::Thursday);
    [floating.as_slice(), observed.as_slice(), &[thanksgiving]].concat()
}

#[test]
fn the_federal_calendar_is_what_its_rules_give() {
    let years = (2025..=2032).flat_map(federal).filter(|day| YEARS.contains(&day.year()));
    assert_eq!(listed("US"), years.collect());
}

#[test]
fn california_is_the_federal_calendar_without_the_fridays_that_only_federal_offices_take() {
    let only_federal = [date(2026, 7, 3), date(2027, 6, 18), date(2027, 12, 24), date(2027, 12, 31)];
    let mut federal = listed("US");
    for day in only_federal {
        assert!(federal.remove(&day), "{day}");
    }
    assert_eq!(listed("US-CA"), federal);
    assert!(federal.contains(&date(2028, 11, 10)), "Gov. Code 6701: Friday before Veterans Day on a Saturday");
}

/// 설날, 부처님오신날, 추석.
const LUNAR: [[Date; 3]; 7] = [
    [date(2025, 1, 29), date(2025, 5, 5), date(2025, 10, 6)],
    [date(2026, 2, 17), date(2026, 5, 24), date(2026, 9, 25)],
    [date(2027, 2, 7), date(2027, 5, 13), date(2027, 9, 15)],
    [date(2028, 1, 27), date(2028, 5, 2), date(2028, 10, 3)],
    [date(2029, 2, 13), date(2029, 5, 20), date(2029, 9, 22)],
    [date(2030, 2, 3), date(2030, 5, 9), date(2030, 9, 12)],
    [date(2031, 1, 23), date(2031, 5, 28), date(2031, 10, 1)],
];

/// 관공서의 공휴일에 관한 규정 art. 2 and 3.
fn korean([seollal, buddha, chuseok]: [Date; 3]) -> BTreeSet<Date> {
    let year = seollal.year();
    let on = |month, day| date(year, month, day);
    let mut either = vec![on(3, 1), on(5, 5), on(8, 15), on(10, 3), on(10, 9), on(12, 25), buddha];
    if year >= 2026 {
        either.extend([on(5, 1), on(7, 17)]);
    }
    let three = |day: Date| [day.yesterday().unwrap(), day, day.tomorrow().unwrap()];
    let sunday: Vec<Date> = [three(seollal), three(chuseok)].concat();
    let every: Vec<Date> = either.iter().chain(&sunday).copied().chain([on(1, 1), on(6, 6)]).collect();
    let mut closed: BTreeSet<Date> = every.iter().copied().collect();
    let days: BTreeSet<Date> = either.iter().chain(&sunday).copied().collect();
    for day in days {
        let moved = match day.weekday() {
            Weekday::Saturday => either.contains(&day),
            Weekday::Sunday => true,
            _ => every.iter().filter(|other| **other == day).count() > 1,
        };
        if moved {
            let next = day.series(1.day()).skip(1).find(|next| !is_weekend(*next) && !closed.contains(next));
            closed.insert(next.unwrap());
        }
    }
    closed.retain(|day| !is_weekend(*day));
    closed
}

#[test]
fn the_korean_calendar_is_what_its_rules_give_and_three_days_that_were_held() {
    let held = [date(2025, 1, 27), date(2025, 6, 3), date(2026, 6, 3)];
    let expected: BTreeSet<Date> = LUNAR.into_iter().flat_map(korean).chain(held).collect();
    assert_eq!(listed("KR"), expected);
    // as announced for 2025 to 2028
    for substitute in [date(2025, 5, 6), date(2025, 10, 8), date(2027, 2, 9), date(2027, 5, 3), date(2028, 10, 5)] {
        assert!(expected.contains(&substitute), "{substitute}");
    }
    for open in [date(2025, 7, 17), date(2026, 9, 28), date(2027, 6, 7), date(2028, 4, 12)] {
        assert!(!expected.contains(&open), "{open}");
    }
}

// -- what is refused ----------------------------------------------------------------------------------------------------

const CITE: &str = r#"[{ text = "a law", source = "a book", in_force = "2020-01-01", mark = "S" }]"#;

fn written(place: &str, years: (i16, i16), cite: &str, days: &str) -> String {
    let (from, until) = years;
    format!("[[calendar]]\nplace = \"{place}\"\nfrom = {from}\nuntil = {until}\ncite = {cite}\ndays = [{days}]\n")
}

fn refused(days: &str) -> CalendarError {
    Calendars::parse(&written("SE", (2026, 2026), CITE, days)).unwrap_err()
}

#[test]
fn a_file_in_order_is_taken() {
    let text =
        written("SE", (2026, 2027), CITE, r#"{ on = "2026-01-06", name = "a" }, { on = "2027-01-06", name = "b" }"#);
    let calendars = Calendars::parse(&text).unwrap();
    assert!(!calendars.of(place("SE-AB")).is_open(date(2027, 1, 6)));
    assert!(calendars.of(place("SE")).is_open(date(2028, 1, 6)));
}

#[test]
fn days_that_cannot_be_meant_are_refused() {
    let se = place("SE");
    assert_eq!(
        refused(r#"{ on = "2026-01-06", name = "a" }, { on = "2026-01-06", name = "b" }"#),
        CalendarError::Order(se, date(2026, 1, 6))
    );
    assert_eq!(
        refused(r#"{ on = "2026-01-06", name = "a" }, { on = "2026-01-05", name = "b" }"#),
        CalendarError::Order(se, date(2026, 1, 5))
    );
    assert_eq!(refused(r#"{ on = "2026-01-03", name = "a" }"#), CalendarError::Weekend(se, date(2026, 1, 3)));
    assert_eq!(refused(r#"{ on = "2026-01-04", name = "a" }"#), CalendarError::Weekend(se, date(2026, 1, 4)));
    assert_eq!(refused(r#"{ on = "2027-01-06", name = "a" }"#), CalendarError::Outside(se, date(2027, 1, 6)));
    assert_eq!(refused(r#"{ on = "2026-01-06", name = "" }"#), CalendarError::Empty(se));
    assert_eq!(refused(""), CalendarError::Years(se));
    for odd in [
        r#"{ on = "2026-02-29", name = "a" }"#,
        r#"{ on = "6 January", name = "a" }"#,
        r#"{ on = "2026-01-06" }"#,
        r#"{ on = "2026-01-06", name = "a", half = true }"#,
    ] {
        assert!(matches!(refused(odd), CalendarError::Syntax(_)), "{odd}");
    }
}

#[test]
fn calendars_that_cannot_be_meant_are_refused() {
    let day = r#"{ on = "2026-01-06", name = "a" }"#;
    let parse = |text: &str| Calendars::parse(text).unwrap_err();
    let good = written("SE", (2026, 2026), CITE, day);
    assert_eq!(parse(&good.repeat(2)), CalendarError::Twice(place("SE")));
    assert_eq!(parse(&written("SE", (2026, 2027), CITE, day)), CalendarError::Years(place("SE")), "2027 has no day");
    assert_eq!(parse(&written("SE", (2027, 2026), CITE, "")), CalendarError::Years(place("SE")));
    assert_eq!(parse(&written("SE", (2026, 2026), "[]", day)), CalendarError::Empty(place("SE")));
    let silent = CITE.replace("a law", "");
    assert_eq!(parse(&written("SE", (2026, 2026), &silent, day)), CalendarError::Empty(place("SE")));
    let odd = [
        written("XX", (2026, 2026), CITE, day),
        good.replace("place", "plaice"),
        good.clone() + "lunar = true\n",
        good.replace("mark = \"S\"", "mark = \"Q\""),
        good.replace("until = 2026\n", ""),
        String::new(),
    ];
    for text in odd {
        assert!(matches!(parse(&text), CalendarError::Syntax(_)), "{text}");
    }
}
