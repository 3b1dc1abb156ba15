//! Printed dates of many countries, and look-alikes that are none.

use super::*;
use crate::evidence::documents::clean::Clean;
use jiff::civil::date;

fn all(s: &str) -> Vec<Printed> {
    find(Clean::new(s).chars())
}

fn sole(s: &str) -> Settled {
    let found = all(s);
    assert_eq!(found.len(), 1, "one date in {s}");
    found[0].settle(None).expect("order is certain")
}

#[test]
fn the_forms_of_the_world() {
    for (text, want) in [
        ("12.08.1964", date(1964, 8, 12)),
        ("12. 08. 1964", date(1964, 8, 12)),
        ("30-10-1992", date(1992, 10, 30)),
        ("23/03/1988", date(1988, 3, 23)),
        ("12 AUG 1974", date(1974, 8, 12)),
        ("12 AUG/AOUT 1974", date(1974, 8, 12)),
        ("12 AUG / AOÛT 1974", date(1974, 8, 12)),
        ("12AUG1974", date(1974, 8, 12)),
        ("01.DEZ.1985", date(1985, 12, 1)),
        ("January 31, 1990", date(1990, 1, 31)),
        ("1985-12-01", date(1985, 12, 1)),
        ("1985.12.01.", date(1985, 12, 1)),
        ("2020. 1. 1.", date(2020, 1, 1)),
        ("1985/12/01", date(1985, 12, 1)),
        ("1985年12月1日", date(1985, 12, 1)),
        ("2020년 1월 1일", date(2020, 1, 1)),
        ("昭和61年5月1日生", date(1986, 5, 1)),
        ("昭和61年 5月 1日生", date(1986, 5, 1)),
        ("平成元年1月8日", date(1989, 1, 8)),
        ("生年月日昭和61年5月1日", date(1986, 5, 1)),
        ("令和06年06月01日", date(2024, 6, 1)),
        ("Geburtstag12.08.1964", date(1964, 8, 12)),
        ("05.05.1990", date(1990, 5, 5)),
        ("3. 14.07.1981 PARIS", date(1981, 7, 14)),
        ("3.14.07.1981", date(1981, 7, 14)),
        ("4a. 01.01.2013", date(2013, 1, 1)),
        ("DOB23/03/1988", date(1988, 3, 23)),
    ] {
        assert_eq!(sole(text).date(), Some(want), "{text}");
    }
}

#[test]
fn two_digit_years_stay_two_digit() {
    for (text, yy, m, d) in [("12 AVR/APR 64", 64, 4, 12), ("07 SEP/SEP 86", 86, 9, 7), ("14.07.81", 81, 7, 14)] {
        let s = sole(text);
        assert_eq!((s.year, s.month, s.day), (Year::Two(yy), Some(m), Some(d)), "{text}");
        assert_eq!(s.date(), None);
        assert_eq!(s.candidates().len(), 2);
    }
}

#[test]
fn an_open_order_is_not_guessed() {
    let p = all("03/04/1988")[0];
    assert_eq!(p.settle(None), None);
    assert_eq!(p.settle(Some(Order::MonthFirst)).unwrap().date(), Some(date(1988, 3, 4)));
    assert_eq!(p.settle(Some(Order::DayFirst)).unwrap().date(), Some(date(1988, 4, 3)));
    // What a date proves must be what its page says.
    let p = all("03/23/1988")[0];
    assert_eq!(p.settle(Some(Order::MonthFirst)).unwrap().date(), Some(date(1988, 3, 23)));
    assert_eq!((p.settle(Some(Order::DayFirst)), p.settle(None)), (None, None));
    assert_eq!(all("23/03/1988")[0].settle(Some(Order::MonthFirst)), None);
    assert_eq!(all("01.13.1906")[0].settle(Some(Order::MonthFirst)), None);
}

#[test]
fn unknown_parts() {
    let s = sole("XX.XX.1980");
    assert_eq!((s.year, s.month, s.day), (Year::Four(1980), None, None));
    let s = sole("00.00.1980");
    assert_eq!((s.month, s.day, s.date()), (None, None, None));
}

#[test]
fn what_is_no_date() {
    for text in [
        "",
        "12:30",
        "1.2.3",
        "192.168.1.1",
        "AB12345678",
        "12345678",
        "32.13.1990",
        "12 FOO 1974",
        "12 AUG/SEP 1974",
        "99/99/9999",
        "05-123456-70",
        "1 2 34",
    ] {
        let found = all(text);
        assert!(found.iter().all(|p| p.settle(None).and_then(|s| s.date()).is_none()), "{text}");
    }
    assert_eq!(sole("29.02.2009").date(), None);
    assert_eq!(sole("31.04.2000").date(), None);
}
