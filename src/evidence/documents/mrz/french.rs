//! The French national card of 1988 to 2021: two lines of 36 that are not TD2.
//!
//! Line 1 `IDFRA`, surname, department and office; line 2: number (12), its digit, given names (14), birth date (6),
//! its digit, sex, and a composite over everything before it.

use super::check::{as_digit, as_letter, holds};
use super::core::parts;
use super::fit;
use super::reading::Reading;
use super::rows::Row;
use crate::terms::DocumentKind;
use zeroize::Zeroizing;

/// Reads a row as the second line of a French card.
pub(super) fn read(row: &Row, rows: &[Row]) -> Option<Reading> {
    let (at, number) = (0..=4).find_map(|at| Some((at, number_at(&row.text, at)?)))?;
    let rest = &row.text[at + 13..];
    let (end, birth, mended) = (0..rest.len()).rev().find_map(|i| birth_at(rest, i))?;
    let last = as_digit(*rest.get(end + 8)?)?;
    let names: Option<Vec<u8>> = rest[..end].iter().map(|c| as_letter(*c)).collect();
    let names = Zeroizing::new(names?);
    if names.len() < 4 {
        return None;
    }
    let above = super::above::lines_above(row, rows);
    let first = above.iter().find_map(|r| super::above::first_line(&r.text).filter(|f| f.starts_with(b"IDFRA")))?;
    let lines = fit::tail(&first, 36);
    let given = fit::tail(&names, 14);
    let fitting = lines.iter().flat_map(|one| given.iter().map(move |names| (one, names))).position(|(one, names)| {
        let all = Zeroizing::new([one, number.as_slice(), names, &birth[..], &rest[end + 7..=end + 7]].concat());
        holds(&all, last)
    });
    let published = super::specimens::is_number(b"FRA", number.get(..12).unwrap_or_default());
    let specimen = published || super::above::specimen(row, None, Some(&first), &above);
    Some(Reading {
        kind: DocumentKind::Td2,
        birth: parts(&birth[..6])?,
        birth_holds: true,
        expiry: None,
        expiry_holds: false,
        number_holds: true,
        composite: Some(fitting.is_some()),
        birth_mended: mended,
        mended: false,
        guessed: fitting.is_some_and(|tried| tried > 0),
        nonconforming: true,
        specimen,
        place: row.place,
        pass: row.pass,
    })
}

/// Twelve digits and their check digit.
fn number_at(row: &[u8], at: usize) -> Option<Zeroizing<Vec<u8>>> {
    let raw = row.get(at..at + 13)?;
    let digits: Option<Vec<u8>> = raw.iter().map(|c| as_digit(*c).filter(u8::is_ascii_digit)).collect();
    let digits = Zeroizing::new(digits?);
    (raw.iter().filter(|c| c.is_ascii_digit()).count() >= 10 && holds(&digits[..12], digits[12])).then_some(digits)
}

/// Birth date, its digit (which must hold) and sex at `i`.
fn birth_at(rest: &[u8], i: usize) -> Option<(usize, Zeroizing<[u8; 7]>, bool)> {
    let raw: &[u8; 9] = rest.get(i..i + 9)?.try_into().ok()?;
    if !matches!(raw[7], b'M' | b'F') {
        return None;
    }
    let mut birth = Zeroizing::new([0u8; 7]);
    for (slot, c) in birth.iter_mut().zip(raw) {
        *slot = as_digit(*c)?;
    }
    let mended = birth[..] != raw[..7];
    (holds(&birth[..6], birth[6]) && raw[..7].iter().filter(|c| c.is_ascii_digit()).count() >= 5)
        .then_some((i, birth, mended))
}
