//! Text as it might be read from a picture: MRZ lines, resident numbers, dates, labels. A line may begin with three marks
//! and a bar, `m2C|`: its alphabet (`a`, `m`, `f`), the pass in which it was read, and its row (`A` is the uppermost).

use super::input::{self, Input};
use idgate::evidence::text::{Alphabet, Line, Page, Place};
use idgate::evidence::validate::{Verdict, Want, assess};
use idgate::secret::Sensitive;
use jiff::civil::{Date, date};

const TODAY: Date = date(2026, 11, 22);
/// As many as a picture can have (64 strips, read up to six times).
const MOST: usize = 400;

pub fn run(data: &[u8]) {
    let page = page(data);
    let assessment = assess(&page, TODAY);
    check(&assessment.verdict);
    for want in &assessment.wants {
        if let Want::Reread(place) | Want::MrzBand(place) = want {
            assert!(place.width().is_finite() && place.height().is_finite());
        }
    }
    let again = assess(&page, TODAY);
    assert_eq!(format!("{:?}", assessment.verdict), format!("{:?}", again.verdict), "the same page, another answer");
}

/// What always holds of a verdict, whatever it was made from.
pub fn check(verdict: &Verdict) {
    match verdict {
        Verdict::Read(evidence) => {
            assert!(evidence.birth.expose() <= TODAY, "born in the future");
            assert!(evidence.witnesses.is_sorted() && evidence.signals.is_sorted());
        }
        Verdict::Unreadable(why) => {
            assert!(!why.reasons.is_empty(), "refused without a reason");
            assert!(why.reasons.is_sorted_by(|a, b| a < b) && why.signals.is_sorted_by(|a, b| a < b));
        }
    }
}

fn page(data: &[u8]) -> Page {
    let mut input = Input(data);
    let title = input::kind(input.byte().wrapping_sub(b'0'));
    let mut lines = Vec::new();
    while let Some(bytes) = input.line() {
        if lines.len() == MOST {
            break;
        }
        let (alphabet, pass, row, text) = match bytes {
            [alphabet @ (b'a' | b'm' | b'f'), pass @ b'0'..=b'9', row @ b'A'..=b'z', b'|', text @ ..] => {
                let alphabet = match alphabet {
                    b'm' => Alphabet::Mrz,
                    b'f' => Alphabet::Full,
                    _ => Alphabet::Ascii,
                };
                (alphabet, pass - b'0', usize::from(row - b'A'), text)
            }
            text => (Alphabet::Ascii, 0, lines.len(), text),
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let (top, wide) = (30.0 * row as f32, 11.0 * text.chars().count() as f32);
        let place = Place { left: 20.0, top, right: 20.0 + wide, bottom: top + 20.0 };
        lines.push(Line { text: Sensitive::new(text), place, alphabet, pass });
    }
    Page { lines, title, size: (900.0, 600.0) }
}
