//! Spans, against the examples of the laws, against due dates that were computed by other means, and for any date.

mod calendars;

use super::*;
use jiff::civil::date;
use proptest::prelude::*;

/// Made by `tests/golden/rights/oracle.py`.
const DUE: &str = include_str!("../../../tests/golden/rights/due.csv");

fn calendars() -> Calendars {
    Calendars::embedded().unwrap()
}

fn place(code: &str) -> Jurisdiction {
    code.parse().unwrap()
}

fn due(span: Span, from: Date, code: &str) -> Date {
    span.after(from, calendars().of(place(code)))
}

// -- vectors ------------------------------------------------------------------------------------------------------------

#[test]
fn the_examples_of_the_regimes_come_out() {
    let received = date(2027, 1, 31);
    let examples = [
        ("GDPR 12(3): a month", Span::Months(1), "DE", date(2027, 2, 28)),
        ("the policies: 30 days", Span::Days(30), "DE", date(2027, 3, 2)),
        ("PIPA decree 41(4): 10 days", Span::Days(10), "KR", date(2027, 2, 10)),
        ("11 CCR 7021(b): 45 days", Span::Days(45), "US-CA", date(2027, 3, 17)),
        ("11 CCR 7021(b): 90 days at most", Span::Days(90), "US-CA", date(2027, 5, 1)),
        ("11 CCR 7021(a): 10 business days, up to a holiday", Span::BusinessDays(10), "US-CA", date(2027, 2, 12)),
        ("GDPR 12(3): two months more", Span::Months(3), "DE", date(2027, 4, 30)),
    ];
    for (what, span, code, expected) in examples {
        assert_eq!(due(span, received, code), expected, "{what}");
    }
    assert_eq!(due(Span::Months(1), date(2028, 1, 31), "DE"), date(2028, 2, 29), "a leap year");
}

#[test]
fn due_dates_agree_with_those_computed_by_other_means() {
    let calendars = calendars();
    let mut seen = 0;
    for line in DUE.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let fields: Vec<&str> = line.splitn(6, ',').collect();
        let [from, kind, length, code, expected, _why] = fields[..] else { panic!("{line}") };
        let span = match kind {
            "days" => Span::Days(length.parse().unwrap()),
            "months" => Span::Months(length.parse().unwrap()),
            "business" => Span::BusinessDays(length.parse().unwrap()),
            other => panic!("{other}"),
        };
        let found = span.after(from.parse().unwrap(), calendars.of(place(code)));
        assert_eq!(found, expected.parse::<Date>().unwrap(), "{line}");
        seen += 1;
    }
    assert!(seen > 250, "{seen} lines");
}

// -- for any date -------------------------------------------------------------------------------------------------------

fn any_date() -> impl Strategy<Value = Date> {
    let any =
        (-9999i16..=9999, 1i8..=12, 1i8..=31).prop_filter_map("a day that exists", |(y, m, d)| Date::new(y, m, d).ok());
    let listed =
        (2024i16..=2032, 1i8..=12, 1i8..=31).prop_filter_map("a day that exists", |(y, m, d)| Date::new(y, m, d).ok());
    let last = (0i64..=40).prop_map(|days| Date::MAX.checked_sub(days.days()).unwrap());
    prop_oneof![2 => any, 4 => listed, 1 => last]
}

fn any_code() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["KR", "US", "US-CA", "ZZ"])
}

fn of_kind(kind: u8, length: u16) -> Span {
    match kind {
        0 => Span::Days(length),
        1 => Span::BusinessDays(length),
        _ => Span::Months(length.min(255) as u8),
    }
}

fn open_days(from: Date, to: Date, calendar: &Calendar) -> usize {
    let days = from.series(1.day()).skip(1).take_while(|day| *day <= to);
    days.filter(|day| calendar.is_open(*day)).count()
}

proptest! {
    #[test]
    fn a_later_start_or_a_longer_span_never_ends_earlier(
        from in any_date(), later in 0i64..=60, kind in 0u8..=2, length in 0u16..=300, longer in 0u16..=20, code in any_code()
    ) {
        let calendars = calendars();
        let calendar = calendars.of(place(code));
        let end = of_kind(kind, length).after(from, calendar);
        prop_assert!(end >= from);
        prop_assert!(of_kind(kind, length + longer).after(from, calendar) >= end);
        prop_assert!(of_kind(kind, length).after(plus(from, later.days()), calendar) >= end);
    }

    #[test]
    fn so_many_open_days_lie_in_a_span_of_business_days_and_it_ends_on_one(
        from in any_date(), length in 1u16..=60, code in any_code()
    ) {
        let calendars = calendars();
        let calendar = calendars.of(place(code));
        let end = Span::BusinessDays(length).after(from, calendar);
        let open = open_days(from, end, calendar);
        if end < Date::MAX {
            prop_assert!(calendar.is_open(end));
            prop_assert_eq!(open, usize::from(length));
        } else {
            prop_assert!(open <= usize::from(length));
        }
    }

    #[test]
    fn a_span_of_months_ends_on_the_same_day_or_on_the_last_of_that_month(from in any_date(), months in any::<u8>()) {
        let end = Span::Months(months).after(from, &Calendar::default());
        let count = |day: Date| i32::from(day.year()) * 12 + i32::from(day.month());
        if count(from) + i32::from(months) > count(Date::MAX) {
            prop_assert_eq!(end, Date::MAX);
        } else {
            prop_assert_eq!(count(end), count(from) + i32::from(months));
            prop_assert_eq!(end.day(), from.day().min(end.days_in_month()));
        }
    }

    #[test]
    fn a_span_of_days_is_as_long_as_it_says(from in any_date(), days in any::<u16>()) {
        let end = Span::Days(days).after(from, &Calendar::default());
        let long = from.until(end).unwrap().get_days();
        prop_assert!(long == i32::from(days) || (end == Date::MAX && long < i32::from(days)));
    }

    #[test]
    fn fewer_holidays_never_make_a_due_date_later(from in any_date(), length in 0u16..=60, code in any_code()) {
        let calendars = calendars();
        let span = Span::BusinessDays(length);
        prop_assert!(span.after(from, &Calendar::default()) <= span.after(from, calendars.of(place(code))));
        prop_assert!(span.after(from, calendars.of(place("US-CA"))) <= span.after(from, calendars.of(place("US"))));
    }
}

#[test]
fn the_longest_spans_end_somewhere() {
    let every_day: BTreeSet<Date> = date(9990, 1, 1).series(1.day()).collect();
    let closed = Calendar::new(every_day);
    for from in [Date::MIN, date(2026, 2, 28), date(9980, 1, 1), Date::MAX] {
        for span in [Span::Days(u16::MAX), Span::BusinessDays(u16::MAX), Span::Months(u8::MAX)] {
            assert!(span.after(from, &Calendar::default()) >= from);
            assert!(span.after(from, &closed) >= from);
        }
    }
    assert_eq!(Span::BusinessDays(1).after(date(9990, 1, 1), &closed), Date::MAX, "never open again");
}
