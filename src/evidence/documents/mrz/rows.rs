//! Rows of MRZ text: boxes that lie on one line of print joined, in the alphabet `A-Z 0-9 <`.
//!
//! Always: a row comes from one pass and one recogniser; order in the page does not matter, places do.

use crate::evidence::documents::clean::Clean;
use crate::evidence::text::{Alphabet, Line, Page, Place};
use zeroize::Zeroizing;

/// One row of print as one recogniser saw it.
pub(crate) struct Row {
    pub(crate) text: Zeroizing<Vec<u8>>,
    pub(crate) place: Place,
    pub(crate) pass: u8,
}

/// The most boxes and characters of one row, and rows of a page, that are looked at.
const MOST: usize = 8;
const LONGEST: usize = 160;
const ROWS: usize = 400;

/// All rows of a page: every box by itself where it is long enough, and boxes of one line joined.
pub(crate) fn rows(page: &Page) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for line in page.lines.iter().take(ROWS) {
        let text = in_alphabet(line.text.expose());
        if text.len() >= 14 {
            out.push(Row { text, place: line.place, pass: line.pass });
        }
    }
    out.extend(joined(page));
    out
}

/// Boxes side by side on one line of print, joined.
fn joined(page: &Page) -> Vec<Row> {
    let lines = |members: &Vec<usize>| members.iter().filter_map(|at| page.lines.get(*at)).collect::<Vec<_>>();
    side_by_side(&page.lines).iter().filter_map(|members| row_of(&lines(members))).collect()
}

/// Which boxes stand side by side on one line of print, of one pass and recogniser: two or more, from left to right.
pub(crate) fn side_by_side(lines: &[Line]) -> Vec<Vec<usize>> {
    let lines = lines.get(..ROWS).unwrap_or(lines);
    let mut used = vec![false; lines.len()];
    let mut out = Vec::new();
    for first in 0..lines.len() {
        if used[first] {
            continue;
        }
        let mut members = vec![first];
        for other in first + 1..lines.len() {
            let (a, b) = (&lines[first], &lines[other]);
            if !used[other] && key(a) == key(b) && a.place.same_row(&b.place) && members.len() < MOST {
                members.push(other);
            }
        }
        for m in &members {
            used[*m] = true;
        }
        if members.len() > 1 {
            members.sort_by(|a, b| lines[*a].place.left.total_cmp(&lines[*b].place.left));
            out.push(members);
        }
    }
    out
}

fn key(line: &Line) -> (u8, Alphabet) {
    (line.pass, line.alphabet)
}

fn row_of(lines: &[&Line]) -> Option<Row> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
    for line in lines {
        text.extend_from_slice(&in_alphabet(line.text.expose()));
    }
    text.truncate(LONGEST);
    let place = lines.iter().map(|l| l.place).reduce(|a, b| union(&a, &b))?;
    (text.len() >= 26).then(|| Row { text, place, pass: lines[0].pass })
}

/// The smallest place that holds both.
pub(crate) fn union(a: &Place, b: &Place) -> Place {
    Place {
        left: a.left.min(b.left),
        top: a.top.min(b.top),
        right: a.right.max(b.right),
        bottom: a.bottom.max(b.bottom),
    }
}

/// Capitals, digits and fillers; quotation marks that recognisers give for fillers count as such; the rest goes.
pub(crate) fn in_alphabet(raw: &str) -> Zeroizing<Vec<u8>> {
    let clean = Clean::new(raw);
    let mut out = Zeroizing::new(Vec::with_capacity(LONGEST));
    for c in clean.chars() {
        match c {
            'A'..='Z' | '0'..='9' | '<' => out.extend(u8::try_from(*c)),
            '«' | '《' | '≪' => out.extend_from_slice(b"<<"),
            '‹' | '〈' | '⟨' | '≤' | '＜' => out.push(b'<'),
            _ => {}
        }
    }
    out.truncate(LONGEST);
    out
}

/// Whether a row looks like a line of an MRZ, legible or not.
pub(crate) fn looks_like_mrz(row: &Row) -> bool {
    let fillers = row.text.iter().filter(|c| **c == b'<').count();
    row.text.len() >= 24 && fillers >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_characters_go_and_quotes_become_fillers() {
        assert_eq!(in_alphabet(" p«uto eriksson‹‹anna 한<").as_slice(), b"P<<UTOERIKSSON<<ANNA<");
    }
}
