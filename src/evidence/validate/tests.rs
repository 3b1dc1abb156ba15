//! Behaviour of `assess` on whole pages: synthetic people only.

use super::*;
use crate::evidence::text::{Alphabet, Line};
use crate::secret::Sensitive;
use jiff::civil::date;

const TODAY: Date = date(2026, 11, 22);

/// One line: pass, left, top, text. Characters are 12 wide, lines 24 high.
fn line(pass: u8, left: f32, top: f32, text: &str) -> Line {
    let width = 12.0 * f32::from(u8::try_from(text.chars().count().clamp(1, 200)).unwrap());
    let mrz = text.contains("<<");
    Line {
        text: Sensitive::new(text.to_owned()),
        place: Place { left, top, right: left + width, bottom: top + 24.0 },
        alphabet: if mrz { Alphabet::Mrz } else { Alphabet::Full },
        pass,
    }
}

fn page(lines: Vec<Line>) -> Page {
    Page { lines, title: None, size: (1000.0, 640.0) }
}

/// Lines of one pass, one below the other.
fn column(pass: u8, texts: &[&str]) -> Vec<Line> {
    let mut top = 0.0;
    texts
        .iter()
        .map(|t| {
            top += 40.0;
            line(pass, 20.0, top, t)
        })
        .collect()
}

/// The same lines read twice.
fn twice(texts: &[&str]) -> Page {
    let mut lines = column(0, texts);
    lines.extend(column(1, texts));
    page(lines)
}

fn read(page: &Page) -> Evidence {
    match assess(page, TODAY).verdict {
        Verdict::Read(e) => e,
        Verdict::Unreadable(u) => panic!("refused: {:?} {:?}", u.reasons, u.signals),
    }
}

/// The youngest date that a refusal gives.
fn young(u: &Unreadable) -> Option<Date> {
    u.youngest.as_ref().map(BirthDate::expose)
}

fn refused(page: &Page) -> Unreadable {
    match assess(page, TODAY).verdict {
        Verdict::Read(e) => panic!("read as {} with {:?}", e.kind, e.witnesses),
        Verdict::Unreadable(u) => u,
    }
}

mod korean;
mod machine;
mod people;
mod pictures;
mod printed;
mod properties;
