//! Labelled printed dates of other identity documents, and what to say of a page that holds none.
//!
//! Always: a date counts only on a page that shows itself to be an identity document (a heading, or two other fields of
//! one), under or beside a birth label, in a certain order of day and month, and earlier than every other certain date
//! of the page. It is `Witnessed` only when a second reading of the same print, or another number of the document,
//! gives the same date.

use super::{Claim, Finding, Want};
use crate::age::BirthDate;
use crate::evidence::documents::dates::Settled;
use crate::evidence::documents::mrz::{Zone, is_specimen_text};
use crate::evidence::documents::rows::Row;
use crate::evidence::documents::rrn::{self, over_120};
use crate::evidence::documents::viz::Visual;
use crate::terms::{AssuranceLevel, DocumentKind, Reason, Signal, Witness};
use jiff::civil::Date;

/// Judges a page without Korean number and without a readable MRZ.
pub(super) fn judge(visual: &Visual, rows: &[Row], zone: &Zone, today: Date) -> Finding {
    let identity = identity(visual);
    let band: Vec<Want> = zone.bands.iter().map(|p| Want::MrzBand(*p)).collect();
    if identity && let Some(found) = labelled(visual, Some(DocumentKind::OtherId), today) {
        let finding = number_witness(found, rows, visual);
        return finding.with(&[], &band);
    }
    let text: usize = rows.iter().map(|r| r.text.len()).sum();
    let reason = if !band.is_empty() {
        Reason::NumberUnreadable
    } else if identity {
        Reason::NoBirthDate
    } else if text < 24 {
        Reason::NoDocument
    } else {
        Reason::UnsupportedDocument
    };
    Finding::refused(None, &[reason]).with(&[], &band).with(&[], &[Want::Elsewhere])
}

/// Whether the page shows itself to be an identity document.
pub(super) fn identity(visual: &Visual) -> bool {
    visual.signs.papers == 0 && (visual.signs.headings > 0 || visual.signs.fields >= 2)
}

/// The labelled birth date, if a label points to one.
pub(super) fn labelled(visual: &Visual, kind: Option<DocumentKind>, today: Date) -> Option<Finding> {
    let kind = kind?;
    let first = *visual.births.first()?;
    let wants: Vec<Want> = visual.births.iter().map(|i| Want::Reread(visual.dates[*i].place)).collect();
    let refused = |reasons: &[Reason]| Some(Finding::refused(Some(kind), reasons).with(&[], &wants));
    let mut all: Vec<usize> = visual.births.clone();
    all.extend(visual.births.iter().flat_map(|i| visual.others(*i)));
    let Some(settled) = visual.settled(first) else {
        return refused(&[Reason::NotWitnessed]);
    };
    if all.iter().any(|i| visual.settled(*i) != Some(settled)) {
        return refused(&[Reason::Inconsistent]);
    }
    let mut signals = Vec::new();
    let Some(birth) = resolve(&settled, today, &mut signals) else {
        return refused(&[Reason::ImpossibleDate]);
    };
    let others = |list: &[usize]| list.iter().filter_map(|i| visual.settled(*i)?.date()).collect::<Vec<Date>>();
    let earlier = (0..visual.dates.len())
        .filter(|i| !all.contains(i))
        .filter_map(|i| visual.settled(i)?.date())
        .any(|d| d < birth && !over_120(d, today));
    let expiry = visual.expiry();
    if earlier || expiry.is_some_and(|e| e <= birth) {
        return refused(&[Reason::Inconsistent]);
    }
    let mut passes: Vec<u8> = all.iter().map(|i| visual.dates[*i].pass).collect();
    passes.sort_unstable();
    passes.dedup();
    let second = passes.len() > 1;
    let mut witnesses = vec![Witness::Label];
    witnesses.extend(second.then_some(Witness::SecondReading));
    witnesses.extend(others(&visual.issues).iter().any(|d| *d > birth).then_some(Witness::IssueDate));
    let assurance = if second { AssuranceLevel::Witnessed } else { AssuranceLevel::Unwitnessed };
    // No check digit stands behind a printed date: a third reading is asked for, to be contradicted.
    let wants = if passes.len() > 2 { Vec::new() } else { wants };
    let date = &visual.dates[first];
    let seen = (date.place, date.pass, date.printed.eastern);
    let claim = Claim { kind, birth: BirthDate::new(birth), assurance, witnesses, expiry, seen };
    Some(Finding { claim: Ok(claim), kind: Some(kind), signals, wants })
}

/// The civil date of a printed one: it must exist and be that of a living person. Two-digit years and unknown parts
/// become the youngest.
fn resolve(s: &Settled, today: Date, signals: &mut Vec<Signal>) -> Option<Date> {
    let alive = |d: &Date| *d <= today && !over_120(*d, today);
    let mut all = s.candidates().into_iter().filter(alive);
    if let Some(first) = all.next() {
        if all.next().is_some() {
            signals.push(Signal::CenturyInferred);
        }
        return Some(first);
    }
    None
}

/// Another number of the document that contains the same six digits is a witness (PESEL, personnummer and the like).
fn number_witness(mut finding: Finding, rows: &[Row], visual: &Visual) -> Finding {
    if let Ok(claim) = &mut finding.claim {
        let d = claim.birth.expose();
        let (yy, mm, dd) = (d.year().rem_euclid(100), d.month(), d.day());
        let wanted = [format!("{yy:02}{mm:02}{dd:02}"), format!("{dd:02}{mm:02}{yy:02}")];
        let found = rows.iter().enumerate().any(|(n, row)| {
            let digits = masked(row, n, visual);
            digits
                .split(|c: char| !c.is_ascii_digit())
                .any(|run| run.len() >= 9 && wanted.iter().any(|w| run.starts_with(w.as_str())))
        });
        if found {
            claim.witnesses.push(Witness::PersonalNumber);
            claim.assurance = claim.assurance.max(AssuranceLevel::Witnessed);
        }
    }
    finding
}

/// A row's text with its dates blanked out and dashes and points inside numbers removed.
fn masked(row: &Row, n: usize, visual: &Visual) -> zeroize::Zeroizing<String> {
    let spans: Vec<(usize, usize)> = visual.spans(n);
    let kept = row.text.iter().enumerate().filter(|(_, c)| !matches!(c, '-' | '.' | '/'));
    let blank = |i: usize| spans.iter().any(|s| s.0 <= i && i < s.1);
    // What was masked as a Korean number may be another country's: its length is looked at here, not its end. Where letters
    // were among the digits, there was no run of digits.
    let shown = |c: char| match c {
        c if rrn::hides_letters(c) => ' ',
        c if rrn::is_mark(c) => '0',
        c => c,
    };
    zeroize::Zeroizing::new(kept.map(|(i, c)| if blank(i) { ' ' } else { shown(*c) }).collect())
}

/// Words that only specimens have: a State that is none, "specimen" in Chinese characters, and the names on the samples
/// of Korean (홍길동, 홍길순) and Japanese cards.
const SPECIMENS: [&str; 12] = [
    "UTOPIA",
    "见本",
    "見本",
    "样本",
    "樣本",
    "洪吉童",
    "洪吉洞",
    "洪吉東",
    "洪吉同",
    "洪吉順",
    "日本花子",
    "日本太郎",
];

/// Whether the page says that it is a specimen, or names a holder that only specimens have.
pub(super) fn is_specimen(rows: &[Row]) -> bool {
    rows.iter().any(|row| {
        let text: zeroize::Zeroizing<String> = zeroize::Zeroizing::new(row.text.iter().collect());
        let words = || text.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty());
        is_specimen_text(words().map(str::as_bytes)) || words().any(|w| SPECIMENS.contains(&w))
    })
}
