//! Synthetic people and their machine-readable lines, made apart from the code under test.

use jiff::civil::Date;
use proptest::prelude::*;

/// Someone who exists nowhere.
#[derive(Debug, Clone)]
pub struct Person {
    pub birth: Date,
    pub expiry: Date,
    pub number: String,
    pub name: String,
    pub optional: String,
    pub sex: char,
}

prop_compose! {
    /// Born between 1930 and today, with a document that is valid for years to come.
    pub fn person()(
        birth in (1930i16..=2026, 1i8..=12, 1i8..=31).prop_filter_map("exists and is past", |(y, m, d)| {
            Date::new(y, m, d).ok().filter(|d| *d <= super::TODAY)
        }),
        expiry in (2027i16..=2045, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| Date::constant(y, m, d)),
        number in "[A-Z0-9]{6,9}",
        name in "[A-Z]{2,9}<<[A-Z]{2,8}",
        optional in "[A-Z0-9]{0,7}",
        sex in prop::sample::select(vec!['M', 'F', '<', 'X']),
    ) -> Person {
        Person { birth, expiry, number, name, optional, sex }
    }
}

/// The check digit, by the book: values 0 to 35, weights 7 3 1.
pub fn digit(field: &str) -> char {
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    let sum: u32 = field.chars().zip([7, 3, 1].iter().cycle()).map(|(c, w)| value(c) * w).sum();
    char::from_digit(sum % 10, 10).unwrap()
}

fn yymmdd(d: Date) -> String {
    format!("{:02}{:02}{:02}", d.year() % 100, d.month(), d.day())
}

fn with_digit(field: &str) -> String {
    format!("{field}{}", digit(field))
}

impl Person {
    fn core(&self) -> (String, String) {
        (with_digit(&yymmdd(self.birth)), with_digit(&yymmdd(self.expiry)))
    }

    /// TD3: second line at index 1, birth date at 13.
    pub fn td3(&self) -> Vec<String> {
        let (b, e) = self.core();
        let n = with_digit(&format!("{:<<9}", self.number));
        let o = with_digit(&format!("{:<<14}", self.optional));
        let all = digit(&format!("{n}{b}{e}{o}"));
        vec![format!("{:<<44}", format!("P<XYZ{}", self.name)), format!("{n}XYZ{b}{}{e}{o}{all}", self.sex)]
    }

    /// TD2: second line at index 1, birth date at 13.
    pub fn td2(&self) -> Vec<String> {
        let (b, e) = self.core();
        let n = with_digit(&format!("{:<<9}", self.number));
        let o = format!("{:<<7}", self.optional);
        let all = digit(&format!("{n}{b}{e}{o}"));
        vec![format!("{:<<36}", format!("I<XYZ{}", self.name)), format!("{n}XYZ{b}{}{e}{o}{all}", self.sex)]
    }

    /// TD1: second line at index 1, birth date at 0.
    pub fn td1(&self) -> Vec<String> {
        let (b, e) = self.core();
        let n = with_digit(&format!("{:<<9}", self.number));
        let o = format!("{:<<15}", self.optional);
        let all = digit(&format!("{n}{o}{b}{e}<<<<<<<<<<<"));
        vec![format!("I<XYZ{n}{o}"), format!("{b}{}{e}XYZ<<<<<<<<<<<{all}", self.sex), format!("{:<<30}", self.name)]
    }

    /// The youngest date the two digits of the year can mean on `today`.
    pub fn youngest(&self, today: Date) -> Date {
        let young = Date::new(2000 + self.birth.year() % 100, self.birth.month(), self.birth.day());
        young.ok().filter(|d| *d <= today).unwrap_or(self.birth)
    }
}
