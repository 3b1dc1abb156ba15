//! The page as rows of print: boxes of one pass that lie on one line, joined left to right, each character with its
//! place across. Labels and values are looked for here; machine-readable lines have their own rows.
//!
//! Always: a wide gap between two boxes is [`GAP`], which no date and no number reaches across.

use super::clean::Clean;
use crate::evidence::text::{Alphabet, Line, Page, Place};
use zeroize::Zeroizing;

/// Stands between two boxes that are far apart.
pub(crate) const GAP: char = '¦';
/// The most boxes of a page that are looked at.
const BOXES: usize = 500;
/// The most characters of one row.
const LONGEST: usize = 400;

/// One row of print in one pass.
pub(crate) struct Row {
    pub(crate) text: Zeroizing<Vec<char>>,
    /// Left and right edge of every character.
    across: Vec<(f32, f32)>,
    /// Where the boxes begin and end in `text`.
    pub(crate) boxes: Vec<(usize, usize)>,
    /// Which line each box is.
    pub(crate) lines: Vec<usize>,
    /// Top and bottom of each box.
    down: Vec<(f32, f32)>,
    pub(crate) place: Place,
    pub(crate) pass: u8,
    pub(crate) alphabet: Alphabet,
}

impl Row {
    /// Where characters `from..to` lie, as high as the box they begin in.
    pub(crate) fn part(&self, span: (usize, usize)) -> Place {
        let chosen = self.across.get(span.0..span.1.max(span.0 + 1)).unwrap_or(&self.across);
        let left = chosen.iter().map(|c| c.0).fold(f32::MAX, f32::min);
        let right = chosen.iter().map(|c| c.1).fold(f32::MIN, f32::max);
        let inside = self.boxes.iter().position(|b| b.0 <= span.0 && span.0 < b.1);
        let (top, bottom) =
            inside.and_then(|n| self.down.get(n)).copied().unwrap_or((self.place.top, self.place.bottom));
        if left < right { Place { left, right, top, bottom } } else { self.place }
    }

    /// The box that holds character `at`.
    pub(crate) fn box_of(&self, at: usize) -> (usize, usize) {
        self.boxes.iter().copied().find(|b| b.0 <= at && at < b.1).unwrap_or((0, self.text.len()))
    }
}

/// Whether two places show the same print: on one row, and overlapping by a third of the narrower one.
pub(crate) fn same_print(a: &Place, b: &Place) -> bool {
    let across = a.right.min(b.right) - a.left.max(b.left);
    a.same_row(b) && across > 0.33 * a.width().min(b.width())
}

/// Whether another pass looked at a place and read something there. `kanji`: only passes that know such characters.
pub(crate) fn read_again(rows: &[Row], place: &Place, pass: u8, kanji: bool) -> bool {
    rows.iter()
        .filter(|r| r.pass != pass && (!kanji || r.alphabet == Alphabet::Full))
        .any(|r| r.boxes.iter().any(|b| b.0 < b.1 && same_print(&r.part(*b), place)))
}

/// All rows but those of machine-readable lines, pass by pass, from top to bottom.
pub(crate) fn rows(page: &Page) -> Vec<Row> {
    rows_of(&page.lines, |alphabet| alphabet != Alphabet::Mrz)
}

/// The rows of lines that were read with some alphabets.
pub(crate) fn rows_of(lines: &[Line], of: impl Fn(Alphabet) -> bool) -> Vec<Row> {
    let mut lines: Vec<(usize, &Line)> = lines.iter().enumerate().filter(|l| of(l.1.alphabet)).take(BOXES).collect();
    lines.sort_by(|(_, a), (_, b)| {
        (a.pass, a.alphabet).cmp(&(b.pass, b.alphabet)).then(a.place.top.total_cmp(&b.place.top))
    });
    let mut used = vec![false; lines.len()];
    let mut out = Vec::new();
    for first in 0..lines.len() {
        if used[first] {
            continue;
        }
        let mut members = vec![lines[first]];
        for other in first + 1..lines.len() {
            if !used[other] && members.iter().any(|m| beside(m.1, lines[other].1)) {
                used[other] = true;
                members.push(lines[other]);
            }
        }
        members.sort_by(|a, b| a.1.place.left.total_cmp(&b.1.place.left));
        out.extend(join(&members));
    }
    out
}

/// Side by side on one line of print: same pass and recogniser, similar heights, one beginning where the other ended.
fn beside(a: &Line, b: &Line) -> bool {
    let (ha, hb) = (a.place.height().max(1.0), b.place.height().max(1.0));
    let apart = a.place.right.min(b.place.right) - a.place.left.max(b.place.left) < 0.5 * ha.min(hb);
    (a.pass, a.alphabet) == (b.pass, b.alphabet)
        && a.place.same_row(&b.place)
        && ha < 2.0 * hb
        && hb < 2.0 * ha
        && apart
}

fn join(members: &[(usize, &Line)]) -> Option<Row> {
    let (_, first) = members.first()?;
    let mut row = Row {
        text: Zeroizing::new(Vec::with_capacity(LONGEST)),
        across: Vec::new(),
        boxes: Vec::new(),
        lines: Vec::new(),
        down: Vec::new(),
        place: first.place,
        pass: first.pass,
        alphabet: first.alphabet,
    };
    for (at, line) in members {
        let gap = line.place.left - row.place.right;
        if !row.text.is_empty() {
            row.text.push(if gap > row.place.height() { GAP } else { ' ' });
            row.across.push((row.place.right, line.place.left.max(row.place.right)));
        }
        append(&mut row, line);
        row.lines.push(*at);
        row.place = super::mrz::union(&row.place, &line.place);
        if row.text.len() >= LONGEST {
            break;
        }
    }
    Some(row)
}

fn append(row: &mut Row, line: &Line) {
    let clean = Clean::new(line.text.expose());
    let from = row.text.len();
    let step = line.place.width() / f32::from(u16::try_from(clean.chars().len().max(1)).unwrap_or(u16::MAX));
    let mut left = line.place.left;
    for c in clean.chars() {
        row.text.push(*c);
        row.across.push((left, left + step));
        left += step;
    }
    row.boxes.push((from, row.text.len()));
    row.down.push((line.place.top, line.place.bottom));
}
