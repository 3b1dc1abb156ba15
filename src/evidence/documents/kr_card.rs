//! Korean cards: what else a card shows that tells which one it is, and when it was issued.
//!
//! The reader knows no Hangul, so a card is told by its structure: the number's layout, English captions of alien
//! cards in their three eras (2011, 2021, 2023), the licence number with or without its region name, printed dates.
//! The title, when the title reader was sure of it, wins over all of that.

use super::clean::{find_fuzzy, letters};
use super::dates::{self, Fields};
use super::rows::Row;
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
    /// Dates with the year in front, anywhere on the card.
    pub(crate) dates: Vec<(Date, Place, u8)>,
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

/// Looks for everything a Korean card shows.
pub(crate) fn read(rows: &[Row], title: Option<DocumentKind>) -> Card {
    let mut card = Card {
        title,
        numbers: Vec::new(),
        dates: Vec::new(),
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
        for printed in dates::find(&row.text) {
            if let (Fields::Sure { .. }, Some(date)) = (printed.fields, printed.settle(None).and_then(|s| s.date())) {
                card.dates.push((date, row.part(printed.span), row.pass));
            }
        }
        card.licence = card.licence.or_else(|| licence(&row.text));
        captions(&mut card, row);
        if let Some(number) = rrn::find_half(&row.text) {
            let place = row.part(number.span);
            card.halves.push(Found { number, place, pass: row.pass });
        }
    }
    card
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
        let n = chars[at..].iter().take_while(|c| c.is_ascii_digit()).count();
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
    fn other_numbers_are_no_licence() {
        for text in ["27-05-123456-70", "900101-1990006", "02-1234-5678", "2020.01.01", "12345678901234", ""] {
            assert_eq!(licence_of(text), None, "{text}");
        }
    }
}
