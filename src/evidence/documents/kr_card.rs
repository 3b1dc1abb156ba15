//! Korean cards: what else a card shows that tells which one it is, and when it was issued.
//!
//! The reader knows no Hangul, so a card is told by its structure: the number's layout, English captions of alien
//! cards in their three eras (2011, 2021, 2023), the licence number with or without its region name, printed dates.
//! The title, when the title reader was sure of it, wins over all of that.
//!
//! Dates are small plain values without a hold on memory: they are not overwritten, but nothing here can show them.

use super::clean::{find_fuzzy, letters};
use super::dates::{self, Fields};
use super::rows::{Row, same_print};
use super::rrn::{self, Number};
use crate::evidence::text::Place;
use crate::terms::DocumentKind;
use jiff::civil::Date;

/// A number where it was read.
pub(crate) struct Found {
    pub(crate) number: Number,
    pub(crate) place: Place,
    pub(crate) pass: u8,
}

/// What a page shows of a Korean card.
pub(crate) struct Card {
    pub(crate) title: Option<DocumentKind>,
    pub(crate) numbers: Vec<Found>,
    /// Dates with the year in front, anywhere on the card, except ends of periods.
    pub(crate) dates: Vec<(Date, Place, u8)>,
    /// The second dates of periods (`2005.06.01 ~ 2015.12.31`), or dates after a lone `~`.
    pub(crate) ends: Vec<(Date, Place)>,
    /// A name in Chinese characters in brackets, as on resident cards.
    pub(crate) hanja: bool,
    /// A date as Korean cards print it: `2020.08.16.`.
    pub(crate) issued: bool,
    /// The year (two digits) of a first licence, from the licence number.
    pub(crate) licence: Option<Option<u8>>,
    /// English captions of the alien card family.
    pub(crate) alien: bool,
    /// 住民登錄證, on cards of before 1999, or a seal that reads like it.
    pub(crate) resident: bool,
    /// Sex as printed on alien cards until 2023-03: male or not.
    pub(crate) male: Option<bool>,
    /// Birth halves (`YYMMDD-`) whose backs could not be read: covered by a bar, or damaged.
    pub(crate) halves: Vec<Found>,
}

impl Card {
    /// What only a Korean card shows: its title, a licence number, captions of alien cards, 住民登錄證.
    pub(crate) fn sure(&self) -> bool {
        self.title.is_some() || self.licence.is_some() || self.alien || self.resident
    }

    /// The last day of validity: of every print the earliest reading, and of several prints the latest.
    pub(crate) fn end(&self) -> Option<Date> {
        let earliest = |of: &(Date, Place)| self.ends.iter().filter(|e| same_print(&e.1, &of.1)).map(|e| e.0).min();
        self.ends.iter().filter_map(earliest).max()
    }
}

/// The most ends of periods that are kept.
const MOST_ENDS: usize = 64;

/// Looks for everything a Korean card shows.
pub(crate) fn read(rows: &[Row], title: Option<DocumentKind>) -> Card {
    let mut card = Card {
        title,
        numbers: Vec::new(),
        dates: Vec::new(),
        ends: Vec::new(),
        hanja: false,
        issued: false,
        licence: None,
        alien: false,
        resident: false,
        male: None,
        halves: Vec::new(),
    };
    for row in rows {
        for number in rrn::find(&row.text) {
            let place = row.part(number.span);
            card.numbers.push(Found { number, place, pass: row.pass });
        }
        printed_dates(&mut card, row);
        card.hanja |= hanja(&row.text);
        card.licence = card.licence.or_else(|| licence(&row.text));
        captions(&mut card, row);
        if let Some(number) = rrn::find_half(&row.text) {
            let place = row.part(number.span);
            card.halves.push(Found { number, place, pass: row.pass });
        }
    }
    card
}

fn printed_dates(card: &mut Card, row: &Row) {
    let mut before = 0;
    for printed in dates::find(&row.text) {
        let ends = period(row.text.get(before..printed.span.0).unwrap_or_default(), before > 0);
        before = printed.span.1;
        let (Fields::Sure { .. }, Some(date)) = (printed.fields, printed.settle(None).and_then(|s| s.date())) else {
            continue;
        };
        let place = row.part(printed.span);
        if ends && card.ends.len() < MOST_ENDS {
            card.ends.push((date, place));
        } else {
            let text = row.text.get(printed.span.0..=printed.span.1).unwrap_or_default();
            card.issued |= text.last() == Some(&'.') && text.iter().filter(|c| **c == '.').count() == 3;
            card.dates.push((date, place, row.pass));
        }
    }
}

/// Whether what stands before a date makes it the end of a period: a tilde, or a dash that follows another date.
fn period(before: &[char], follows: bool) -> bool {
    let mut back = before.iter().rev().filter(|c| !matches!(**c, ' ' | '.' | super::rows::GAP));
    match back.next() {
        Some('~' | '∼' | '〜') => true,
        Some('-') => follows && back.next().is_none(),
        _ => false,
    }
}

/// A name of two to five Chinese characters in brackets.
fn hanja(chars: &[char]) -> bool {
    chars.split(|c| *c == '(').skip(1).any(|after| {
        let name = after.iter().take_while(|c| matches!(c, '\u{4e00}'..='\u{9fff}')).count();
        (2..=5).contains(&name) && after.get(name) == Some(&')')
    })
}

fn captions(card: &mut Card, row: &Row) {
    const ALIEN: [&str; 7] = [
        "ALIENREGISTRATION",
        "RESIDENCECARD",
        "PERMANENTRESIDENTCARD",
        "OVERSEASKOREAN",
        "COUNTRYREGION",
        "IMMIGRATIONOFFICE",
        "REGISTRATIONNO",
    ];
    let (hay, _) = letters(&row.text);
    card.alien |= ALIEN.iter().any(|a| find_fuzzy(&hay, &a.chars().collect::<Vec<_>>(), 1).is_some());
    card.resident |= ["住民登錄證", "住民登録証", "住民登錄証"]
        .iter()
        .any(|t| find_fuzzy(&hay, &t.chars().collect::<Vec<_>>(), 1).is_some());
    let text: String = row.text.iter().collect();
    let mut words = text.split([' ', super::rows::GAP, '/', ':']).filter(|w| !w.is_empty());
    while let Some(w) = words.next() {
        if w == "SEX" {
            card.male = match words.next() {
                Some("M") => Some(true),
                Some("F") => Some(false),
                _ => card.male,
            };
        }
    }
}

/// A licence number `AA-BB-CCCCCC-DE`, or its tail `BB-CCCCCC-DE` after a region name that cannot be read (cards of
/// before 2014-05 print the name). The inner value is the year of the first licence, if it can be told.
pub(crate) fn licence(chars: &[char]) -> Option<Option<u8>> {
    let groups = groups(chars);
    let lengths = |n: usize, want: &[usize]| {
        groups.get(n..n + want.len()).is_some_and(|g| {
            g.iter().zip(want).all(|(g, w)| g.1 - g.0 == *w)
                && g.windows(2).all(|p| p[1].0 - p[0].1 == 1 && chars[p[0].1] == '-')
        })
    };
    (0..groups.len()).find_map(|n| {
        let year = |g: &(usize, usize)| chars[g.0..g.1].iter().collect::<String>().parse::<u8>().ok();
        if lengths(n, &[2, 2, 6, 2]) {
            return year(&groups[n]).filter(|region| matches!(region, 11..=26 | 28)).map(|_| year(&groups[n + 1]));
        }
        (lengths(n, &[2, 6, 2]) && (n == 0 || !lengths(n - 1, &[2, 2, 6, 2]))).then(|| year(&groups[n]))
    })
}

/// Runs of digits: from, to.
fn groups(chars: &[char]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let n = chars[at..].iter().take_while(|c| rrn::is_digit(**c)).count();
        if n > 0 {
            out.push((at, at + n));
        }
        at += n.max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::documents::clean::Clean;

    fn licence_of(s: &str) -> Option<Option<u8>> {
        licence(Clean::new(s).chars())
    }

    #[test]
    fn licence_numbers_with_digits_and_names() {
        assert_eq!(licence_of("11-05-123456-70"), Some(Some(5)));
        assert_eq!(licence_of("서울-05-123456-70"), Some(Some(5)));
        assert_eq!(licence_of("号甘-98-123456-70"), Some(Some(98)));
        assert_eq!(licence_of("05-123456-70"), Some(Some(5)));
        assert_eq!(licence_of("No.28-21-123456-70 1종"), Some(Some(21)));
    }

    #[test]
    fn names_in_brackets() {
        let is = |s: &str| hanja(Clean::new(s).chars());
        assert!(is("(洪吉洞)") && is("x（洪吉洞） y"));
        assert!(!is("(18)") && !is("(号三上18)") && !is("洪吉洞") && !is("(洪)") && !is("(洪吉洞"));
    }

    #[test]
    fn ends_of_periods() {
        let is = |s: &str, follows: bool| period(Clean::new(s).chars(), follows);
        for text in [" ~ ", ". ~", "~ ", " - ", "-", "~¦"] {
            assert!(is(text, true), "{text}");
        }
        assert!(is("~ ", false) && !is("- ", false));
        for text in ["", " ", "No-", "A - "] {
            assert!(!is(text, true), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_no_licence() {
        for text in ["27-05-123456-70", "900101-1990006", "02-1234-5678", "2020.01.01", "12345678901234", ""] {
            assert_eq!(licence_of(text), None, "{text}");
        }
    }
}
