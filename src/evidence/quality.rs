//! What is wrong with a picture, so that the person can take a better one.
//!
//! Measured only after reading has failed; it never refuses a picture that could be read. The limits are stated with
//! what they were measured on.

use super::frame::Frame;
use super::locate::Strip;
use crate::terms::Reason;

/// Height to which a strip is scaled for measuring, in pixels.
const MEASURED_HEIGHT: usize = 32;
/// Print lower than this cannot be read with certainty, in pixels of the frame.
const LOWEST_PRINT: f32 = 11.0;
/// Mean over the first to second difference of rows of a strip: sharp print has 0.9 and more, blurred print below 0.5.
const BLURRED_BELOW: f32 = 0.55;

/// Whether a reason can come from a poor picture, so that looking for its faults makes sense.
pub fn can_cause(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoDocument
            | Reason::NoBirthDate
            | Reason::NumberUnreadable
            | Reason::NotWitnessed
            | Reason::ImpossibleDate
            | Reason::Inconsistent
            | Reason::UnsupportedDocument
    )
}

/// The faults of a picture, by what was found in it.
pub fn faults(frame: &Frame, strips: &[Strip]) -> Vec<Reason> {
    let mut out = Vec::new();
    if strips.is_empty() {
        out.extend(blank(frame).then_some(Reason::BadExposure));
        return out;
    }
    if badly_exposed(frame, strips) {
        out.push(Reason::BadExposure);
    }
    if median(strips.iter().map(|s| s.height)) < LOWEST_PRINT {
        out.push(Reason::DocumentTooSmall);
    }
    let cuts: Vec<_> = strips.iter().map(|s| s.cut(frame, MEASURED_HEIGHT, 1.0)).collect();
    let sharp: Vec<f32> = cuts.iter().filter_map(|c| c.sharpness()).collect();
    if !sharp.is_empty() && median(sharp.iter().copied()) < BLURRED_BELOW {
        out.push(Reason::Blurred);
    }
    if glare(frame, strips) {
        out.push(Reason::Glare);
    }
    if touches_edge(frame, strips) {
        out.push(Reason::CutOff);
    }
    out
}

/// Whether the print is so dark or so washed out that letters are guessed: the paper is nearly black, or the ink nearly
/// white. A picture of which only this is known must not be trusted without the document's own check digits.
pub fn badly_exposed(frame: &Frame, strips: &[Strip]) -> bool {
    const DARKEST_PAPER: u8 = 70;
    const LIGHTEST_INK: u8 = 190;
    let mut counts = [0usize; 256];
    for strip in strips {
        for px in strip.cut(frame, 16, 1.0).pixels() {
            if let Some(n) = counts.get_mut(usize::from(*px)) {
                *n += 1;
            }
        }
    }
    match (percentile(&counts, 5), percentile(&counts, 95)) {
        (Some(ink), Some(paper)) => paper < DARKEST_PAPER || ink > LIGHTEST_INK,
        _ => false,
    }
}

/// The grey value below which `percent` of the counted pixels lie. `None` without pixels.
fn percentile(counts: &[usize; 256], percent: usize) -> Option<u8> {
    let total: usize = counts.iter().sum();
    let mut seen = 0usize;
    let at = counts.iter().position(|n| {
        seen += n;
        seen * 100 > total * percent
    })?;
    u8::try_from(at).ok()
}

/// Exposure of a picture without print: nearly black or nearly white on the whole.
fn blank(frame: &Frame) -> bool {
    const DARK: f32 = 35.0;
    const BRIGHT: f32 = 250.0;
    let (small, _) = frame.level(0.0);
    !(DARK..=BRIGHT).contains(&small.mean())
}

/// A blown-out patch among print that is otherwise not white: some strips almost wholly white, most of them not.
fn glare(frame: &Frame, strips: &[Strip]) -> bool {
    const WHITE: u8 = 251;
    let shares: Vec<f32> = strips.iter().map(|s| s.grown(0.5, 0.3).cut(frame, 24, 1.0).share_above(WHITE)).collect();
    let typical = median(shares.iter().copied());
    typical < 0.15 && shares.iter().any(|s| *s > 0.45)
}

/// Whether print runs out of the picture: two strips or more that end within two pixels of its edge.
fn touches_edge(frame: &Frame, strips: &[Strip]) -> bool {
    let (w, h) = (frame.width() as f32, frame.height() as f32);
    let ends = |s: &Strip| {
        let (dx, dy) = (s.angle.cos() * s.width / 2.0, s.angle.sin() * s.width / 2.0);
        [(s.centre.0 - dx, s.centre.1 - dy), (s.centre.0 + dx, s.centre.1 + dy)]
    };
    let outside = |(x, y): (f32, f32)| x < 2.0 || y < 2.0 || x > w - 2.0 || y > h - 2.0;
    strips.iter().filter(|s| ends(s).into_iter().any(outside)).count() >= 2
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut all: Vec<f32> = values.collect();
    all.sort_by(f32::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
