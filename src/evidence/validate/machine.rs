//! Machine-readable zones: which reading to believe, how far, and whether the printed date agrees.
//!
//! Always: a birth date whose own check digit fails is never taken from the MRZ; one that was mended by position class
//! needs the composite; a labelled printed date that differs makes the document `Inconsistent`.

use super::years::{self, Resolved};
use super::{Claim, Finding, Want, printed};
use crate::age::BirthDate;
use crate::evidence::documents::dates::{Order, Settled, Year};
use crate::evidence::documents::mrz::{Parts, Reading, Zone};
use crate::evidence::documents::rows::same_print;
use crate::evidence::documents::viz::Visual;
use crate::evidence::text::Place;
use crate::terms::{AssuranceLevel, DocumentKind, Reason, Signal, Witness};
use jiff::civil::Date;

/// How far a reading's own digits carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// The birth date's own digit fails, or it was mended and nothing confirms it.
    Broken,
    /// Only the birth date's digit holds.
    Own,
    /// Birth and expiry digits hold.
    Both,
    /// The composite, the document number's digit and the expiry date's (where the layout has one) hold too. A composite
    /// that holds while a digit under it does not, holds by chance or was made up.
    Composite,
}

fn strength(r: &Reading) -> Strength {
    let under = r.number_holds && (r.expiry_holds || r.expiry.is_none());
    match (r.birth_holds, r.composite == Some(true) && under, r.birth_mended, r.expiry_holds) {
        (false, ..) => Strength::Broken,
        (true, true, _, _) => Strength::Composite,
        (true, false, true, _) => Strength::Broken,
        (true, false, false, true) => Strength::Both,
        (true, false, false, false) => Strength::Own,
    }
}

/// Judges the MRZ of a page; `None` when there is none, or it says nothing of a birth date and the print may.
pub(super) fn judge(zone: &Zone, visual: &Visual, today: Date) -> Option<Finding> {
    let best = zone.readings.iter().map(strength).max()?;
    let wants: Vec<Want> = zone.bands.iter().map(|p| Want::MrzBand(*p)).collect();
    let kind = zone.readings.iter().max_by_key(|r| strength(r)).map(|r| r.kind);
    if best == Strength::Broken {
        return Some(Finding::refused(kind, &[Reason::NumberUnreadable]).with(&[], &wants));
    }
    let believed: Vec<&Reading> = zone.readings.iter().filter(|r| strength(r) == best).collect();
    let one = believed[0];
    // Weaker readings of the same print may be outvoted; the same strength, or another place, may not.
    let passes = |of: &Reading| passes(&zone.readings, of);
    let outvoted = |r: &Reading| r.place.same_row(&one.place) && strength(r) < best && passes(r) < passes(one);
    // Another zone in the picture is another person's, however weak its reading. One without a year is misread filler.
    let elsewhere = |r: &Reading| r.birth.year.is_some() && !same_print(&r.place, &one.place);
    let next_line = |r: &Reading| best == Strength::Composite && beside(r, one);
    let weighty = |r: &Reading| strength(r) >= best.min(Strength::Both) && !outvoted(r);
    let contradicts = |r: &Reading| r.birth != one.birth && !next_line(r) && (elsewhere(r) || weighty(r));
    if zone.readings.iter().any(contradicts) {
        return Some(Finding::refused(kind, &[Reason::NumberUnreadable, Reason::Inconsistent]).with(&[], &wants));
    }
    let second = zone.readings.iter().any(|a| {
        strength(a) != Strength::Broken
            && a.birth == one.birth
            && believed.iter().any(|b| b.pass != a.pass && same_print(&a.place, &b.place))
    });
    let found = weigh(one, best, second, visual, today, &wants);
    let alone = zone.bands.iter().all(|b| own_block(b, &one.place));
    Some(match found.claim {
        Ok(_) if !alone => Finding { wants, ..super::capped(found) },
        _ => found,
    })
}

/// Whether a line of MRZ looks belongs to the zone of a reading: near it up or down, and not far beside it.
fn own_block(band: &Place, reading: &Place) -> bool {
    let h = reading.height().max(1.0);
    let drop = (band.centre().1 - reading.centre().1).abs();
    let gap = band.left.max(reading.left) - band.right.min(reading.right);
    drop < 5.0 * h && gap < 2.0 * h
}

/// Whether a reading is only the line next to the one believed: a document number, optional data or names that look
/// like dates. The date line of another document is two lines away at least.
fn beside(r: &Reading, one: &Reading) -> bool {
    let drop = (r.place.centre().1 - one.place.centre().1).abs();
    let next = !same_print(&r.place, &one.place) && drop < 2.5 * one.place.height().max(1.0);
    strength(r) < Strength::Composite && next && own_block(&r.place, &one.place)
}

/// How many passes gave this date with both its digits holding.
fn passes(readings: &[Reading], of: &Reading) -> usize {
    let same = |r: &&Reading| r.birth == of.birth && strength(r) >= Strength::Both && r.place.same_row(&of.place);
    let mut found: Vec<u8> = readings.iter().filter(same).map(|r| r.pass).collect();
    found.sort_unstable();
    found.dedup();
    found.len()
}

/// What the printed dates say to the MRZ's.
enum Print {
    Silent,
    Agrees { year: Option<Date> },
    Differs,
}

fn weigh(r: &Reading, strength: Strength, second: bool, visual: &Visual, today: Date, wants: &[Want]) -> Finding {
    let expiry = r.expiry.filter(|_| r.expiry_holds).and_then(|p| years::expiry(&p, today));
    let mut signals = remarks(r, strength);
    let (date, open, partial) = match years::birth(&r.birth, today, expiry) {
        Resolved::Known { date, open, partial } => (date, open, partial),
        Resolved::Impossible => {
            return Finding::refused(Some(r.kind), &[Reason::ImpossibleDate]).with(&signals, wants);
        }
        Resolved::Unknown => {
            let front = printed::labelled(visual, Some(r.kind), today);
            return match front {
                Some(f) if f.claim.is_ok() => f.with(&signals, &[]),
                _ => Finding::refused(Some(r.kind), &[Reason::BirthDateUnknown]).with(&signals, &[]),
            };
        }
    };
    let print = compare(visual, &r.birth);
    let mut agrees = false;
    match print {
        Print::Differs => {
            signals.push(Signal::PrintedDateConflict);
            return Finding::refused(Some(r.kind), &[Reason::Inconsistent]).with(&signals, &reread(visual));
        }
        Print::Agrees { year } => {
            agrees = !partial;
            if let Some(y) = year {
                // Another century makes the holder a hundred years older: misread, or altered.
                if y != date && !(partial && y.year() == date.year()) {
                    signals.push(Signal::PrintedDateConflict);
                    return Finding::refused(Some(r.kind), &[Reason::Inconsistent]).with(&signals, &reread(visual));
                }
            } else if open.is_some() {
                signals.push(Signal::CenturyInferred);
            }
        }
        Print::Silent if open.is_some() => signals.push(Signal::CenturyInferred),
        Print::Silent => {}
    }
    if partial {
        signals.push(Signal::BirthDatePartial);
    }
    let assurance = level(r, strength, second, agrees);
    let mut witnesses = vec![Witness::CheckDigits];
    let mut note = |is: bool, w: Witness| witnesses.extend(is.then_some(w));
    note(strength == Strength::Composite, Witness::Composite);
    note(second, Witness::SecondReading);
    note(agrees, Witness::PrintedDate);
    let wants = if assurance < AssuranceLevel::Checked { wants.to_vec() } else { Vec::new() };
    let claim = Claim {
        kind: r.kind,
        birth: BirthDate::new(date),
        assurance,
        witnesses,
        expiry: expiry.or_else(|| visual.expiry()),
        seen: (r.place, r.pass, false),
    };
    Finding { claim: Ok(claim), kind: Some(r.kind), signals, wants }
}

fn level(r: &Reading, strength: Strength, second: bool, agrees: bool) -> AssuranceLevel {
    let visa = matches!(r.kind, DocumentKind::MrvA | DocumentKind::MrvB);
    let own = r.number_holds && r.expiry_holds;
    // A number or filler that was searched for has used up the composite; another reading must confirm the date.
    let checked = (strength == Strength::Composite && (!(r.mended || r.guessed) || second)) || (visa && own && second);
    match (checked, agrees) {
        (true, true) => AssuranceLevel::Corroborated,
        (true, false) => AssuranceLevel::Checked,
        (false, true) => AssuranceLevel::Witnessed,
        (false, false) if second || (visa && own) => AssuranceLevel::Witnessed,
        (false, false) => AssuranceLevel::Unwitnessed,
    }
}

fn remarks(r: &Reading, strength: Strength) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut note = |is: bool, s: Signal| signals.extend(is.then_some(s));
    let visa = matches!(r.kind, DocumentKind::MrvA | DocumentKind::MrvB);
    note(r.specimen, Signal::Specimen);
    note(r.mended || r.birth_mended, Signal::Repaired);
    note(r.nonconforming, Signal::NonconformingIssuer);
    note(strength != Strength::Composite && !(visa && r.number_holds && r.expiry_holds), Signal::CheckDigitMismatch);
    signals
}

/// Where the labelled dates stand, to be read again.
pub(super) fn reread(visual: &Visual) -> Vec<Want> {
    visual.births.iter().map(|i| Want::Reread(visual.dates[*i].place)).collect()
}

/// Whether no labelled date of birth contradicts `birth`.
pub(super) fn print_agrees(visual: &Visual, birth: Date) -> bool {
    let small = |n: i8| u8::try_from(n).ok();
    let year = u8::try_from(birth.year().rem_euclid(100)).ok();
    let parts = Parts { year, month: small(birth.month()), day: small(birth.day()) };
    match compare(visual, &parts) {
        Print::Agrees { year } => year.is_none_or(|y| y == birth),
        Print::Silent => true,
        Print::Differs => false,
    }
}

/// Compares with the printed dates. A labelled birth date agrees or differs; any other date can only agree.
fn compare(visual: &Visual, mrz: &Parts) -> Print {
    let orders = [visual.order, Some(Order::DayFirst), Some(Order::MonthFirst)];
    let same = |i: usize| orders.iter().filter_map(|o| visual.dates[i].printed.settle(*o)).find(|s| compatible(s, mrz));
    // A labelled date agrees when any reading of the same print does: the check digits decide between the readings.
    let labelled: Vec<Option<Settled>> =
        visual.births.iter().map(|i| same(*i).or_else(|| visual.others(*i).find_map(same))).collect();
    if !labelled.is_empty() {
        let all: Option<Vec<Settled>> = labelled.into_iter().collect();
        return all.map_or(Print::Differs, |all| agreed(all.into_iter()));
    }
    let any: Vec<Settled> = (0..visual.dates.len())
        .filter(|i| !visual.issues.contains(i) && !visual.expiries.contains(i))
        .filter_map(same)
        .filter(|s| s.month.is_some() && s.day.is_some() && matches!(s.year, Year::Four(_)))
        .collect();
    if any.is_empty() { Print::Silent } else { agreed(any.into_iter()) }
}

fn agreed(all: impl Iterator<Item = Settled>) -> Print {
    let mut years: Vec<Date> = all.filter_map(|s| s.date()).collect();
    years.sort_unstable();
    years.dedup();
    Print::Agrees { year: (years.len() == 1).then(|| years[0]) }
}

/// Whether every part that both know is the same.
fn compatible(s: &Settled, mrz: &Parts) -> bool {
    let yy = match s.year {
        Year::Two(yy) => Some(yy),
        Year::Four(y) => u8::try_from(y.rem_euclid(100)).ok(),
    };
    let both = |a: Option<u8>, b: Option<u8>| a.is_none() || b.is_none() || a == b;
    both(yy, mrz.year) && both(s.month, mrz.month) && both(s.day, mrz.day)
}
