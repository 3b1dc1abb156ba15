//! The heart of every ICAO layout: birth date, its digit, sex, expiry date, its digit — 15 characters in a row.
//!
//! Finding it by its check digits, at any offset, is what makes the reader indifferent to noise before the line and to
//! lost fillers after it. Always: the birth date is taken as read, or mended by position class and marked so.

use super::check::{as_digit, as_letter, holds};
use zeroize::Zeroize;

/// How many characters the core has.
pub(super) const LENGTH: usize = 15;

/// Two-digit parts of a date in the MRZ; `None` is unknown (`<<`, `XX` or `00`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) year: Option<u8>,
    pub(crate) month: Option<u8>,
    pub(crate) day: Option<u8>,
}

impl Zeroize for Parts {
    fn zeroize(&mut self) {
        self.year.zeroize();
        self.month.zeroize();
        self.day.zeroize();
    }
}

/// A place in a row that has the shape of a core.
pub(super) struct Core {
    /// Position in the row.
    pub(super) at: usize,
    /// The 15 characters, mended by class.
    pub(super) text: [u8; LENGTH],
    pub(super) birth_holds: bool,
    pub(super) expiry_holds: bool,
    /// A letter was taken for a digit in the birth date or its check digit.
    pub(super) birth_mended: bool,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Every core in a row: with both digits holding; or, where there is none, those with at least one holding.
pub(super) fn find(row: &[u8]) -> Vec<Core> {
    let all: Vec<Core> = (0..row.len()).filter_map(|at| core_at(row, at)).collect();
    if all.iter().any(|c| c.birth_holds && c.expiry_holds) {
        return all.into_iter().filter(|c| c.birth_holds && c.expiry_holds).collect();
    }
    all.into_iter().filter(|c| (c.birth_holds || c.expiry_holds) && plain(row, c)).collect()
}

/// A core with only one digit holding must look the part: dates almost all digits as read, in a long row.
fn plain(row: &[u8], c: &Core) -> bool {
    let raw = &row[c.at..c.at + LENGTH];
    let digits = raw.iter().filter(|b| b.is_ascii_digit()).count();
    digits >= 11 && row.len() >= 26
}

fn core_at(row: &[u8], at: usize) -> Option<Core> {
    let raw: &[u8; LENGTH] = row.get(at..at + LENGTH)?.try_into().ok()?;
    if !matches!(raw[7], b'M' | b'F' | b'X' | b'<') {
        return None;
    }
    let mut text = *raw;
    let mut mended = 0;
    for (i, c) in text.iter_mut().enumerate() {
        // XX for unknown parts is seen in practice, besides `<<`.
        let unknown = *c == b'X' && i < 6;
        if i == 7 || unknown {
            continue;
        }
        // A missing expiry check digit leaves a letter here; that fails its check and no more.
        let Some(d) = as_digit(*c) else { if i == 14 { continue } else { return None } };
        mended += usize::from(d != *c);
        *c = d;
    }
    if mended > 5 || dates_unlike(&text) {
        return None;
    }
    let birth_mended = text[..7] != raw[..7];
    let birth = text[..6].iter().map(|c| if *c == b'X' { b'<' } else { *c }).collect::<Vec<u8>>();
    let birth_holds = holds(&text[..6], text[6]) || holds(&birth, text[6]);
    // No expiry at all is legal, but then nothing else may be in doubt.
    let no_expiry = text[8..14] == *b"<<<<<<";
    if !beside_nationality(row, at, if no_expiry { 0 } else { 1 }) {
        return None;
    }
    // Names between fillers look like this: letters taken for digits, a date in part, and nothing after it.
    if no_expiry && birth_mended && birth.contains(&b'<') {
        return None;
    }
    let expiry_holds = holds(&text[8..14], text[14]) || (no_expiry && text[14] == b'<');
    Some(Core { at, text, birth_holds, expiry_holds, birth_mended })
}

/// A core follows a nationality at position 14 (two lines), or begins a row and is followed by one (TD1), give or take a
/// few characters of noise; a nationality is letters and fillers, with at most `digits` of them misread as digits.
/// Without this an expiry date, eight characters further on, can pass for a birth date.
fn beside_nationality(row: &[u8], at: usize, digits: usize) -> bool {
    let fits = |three: &[u8]| {
        three.iter().any(|c| *c != b'<')
            && three.iter().all(|c| as_letter(*c).is_some())
            && three.iter().filter(|c| c.is_ascii_digit()).count() <= digits
    };
    let before = at.checked_sub(3).filter(|_| (9..=18).contains(&at)).and_then(|from| row.get(from..at));
    let after = row.get(at + LENGTH..at + LENGTH + 3);
    before.is_some_and(fits) || (at <= 3 && after.is_some_and(fits))
}

/// Fillers may stand for whole parts only, and months and days have their bounds.
fn dates_unlike(t: &[u8; LENGTH]) -> bool {
    parts(&t[..6]).is_none() || parts(&t[8..14]).is_none()
}

/// The parts of six characters; `None` when they can be no date at all (half a filler, month 13).
pub(super) fn parts(six: &[u8]) -> Option<Parts> {
    let pair = |at: usize| -> Option<Option<u8>> {
        match six.get(at..at + 2)? {
            b"<<" | b"XX" => Some(None),
            [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(Some((a - b'0') * 10 + (b - b'0'))),
            _ => None,
        }
    };
    let (year, month, day) = (pair(0)?, pair(2)?, pair(4)?);
    if month > Some(12) || day > Some(31) {
        return None;
    }
    let zero = six == b"000000";
    let part = |p: Option<u8>| p.filter(|v| *v != 0);
    Some(Parts { year: if zero { None } else { year }, month: part(month), day: part(day) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_at_any_offset() {
        for row in [
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
            "XX7408122F1204159UTO<<<",
            "7408122F1204159UTO<<<<<<<<<<<6",
        ] {
            let found = find(row.as_bytes());
            assert_eq!(found.len(), 1, "{row}");
            assert_eq!(&found[0].text[..7], b"7408122");
            assert!(found[0].birth_holds && found[0].expiry_holds && !found[0].birth_mended);
        }
    }

    #[test]
    fn letters_in_the_date_are_mended_and_marked() {
        let found = find(b"L898902C36UTO74O8I22F12O4159ZE184226B<<<<<10");
        assert!(found[0].birth_mended && found[0].birth_holds);
        assert_eq!(&found[0].text[..7], b"7408122");
    }

    #[test]
    fn unknown_parts_are_parts_not_characters() {
        assert!(parts(b"0811<<").is_some_and(|p| p.day.is_none() && p.month == Some(11)));
        assert!(parts(b"080000").is_some_and(|p| p.year == Some(8) && p.month.is_none()));
        assert!(parts(b"000000").is_some_and(|p| p.year.is_none()));
        assert!(parts(b"08<1<<").is_none());
    }

    #[test]
    fn other_text_has_no_core() {
        for row in [
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
            "D1FRA13AA000026181231MARTIN<<9",
            "",
            "<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<",
        ] {
            assert!(find(row.as_bytes()).iter().all(|c| c.text[..6] == *b"<<<<<<"), "{row}");
        }
    }
}
