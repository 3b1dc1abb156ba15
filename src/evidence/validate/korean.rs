//! Korean cards: from the numbers that were read to one date of birth.
//!
//! Always: a clash of number and card is `Inconsistent`; a checksum that does not hold is a remark and never a reason
//! (numbers since 2020-10 are random); a number read once without checksum stays unwitnessed.

use super::{Claim, Finding, Want};
use crate::age::BirthDate;
use crate::evidence::documents::kr_card::{Card, Found};
use crate::evidence::documents::rows::same_print;
use crate::evidence::documents::rrn::{Back, Birth, Checksum, Class};
use crate::evidence::documents::viz::Visual;
use crate::evidence::text::Place;
use crate::terms::{AssuranceLevel, DocumentKind, Reason, Signal, Witness};
use jiff::civil::Date;

use DocumentKind::{KrAlienCard, KrDriverLicence, KrResidentCard, KrYouthCard};

/// Judges the Korean side of a page; `None` when nothing on it is Korean.
pub(super) fn judge(card: &Card, visual: &Visual, today: Date) -> Option<Finding> {
    let numbers: Vec<&Found> = card.numbers.iter().filter(|f| plausible(f, card, visual)).collect();
    if numbers.is_empty() {
        return without_number(card, visual, today);
    }
    let kind = kind(card, &numbers);
    let places = spots(&numbers);
    let wants: Vec<Want> = places.iter().map(|p| Want::Reread(*p)).collect();
    let best = agree(&numbers).filter(|best| !another_half(card, best, &numbers, today));
    let Some(best) = best else {
        return Some(Finding::refused(Some(kind), &[Reason::NumberUnreadable, Reason::Inconsistent]).with(&[], &wants));
    };
    if card.title.is_none() && visual.signs.headings >= 2 && !matches!(best.number.back, Back::Open(Checksum::Match)) {
        return None;
    }
    Some(weigh(card, visual, kind, best, &numbers, today, &wants))
}

/// Whether a number is shown in full that is a resident number, as far as the page tells.
pub(super) fn number_shown(card: &Card, visual: &Visual) -> bool {
    card.numbers.iter().any(|f| matches!(f.number.back, Back::Open(_)) && plausible(f, card, visual))
}

/// Whether a number counts: on a page that shows itself to be a Korean card; or, set apart by a dash as Korean cards
/// print it, on a page that shows nothing of another document. A run of thirteen digits may be any number (South
/// African, Romanian and Yugoslav ones begin with the date of birth as well); so may one with letters among its digits.
pub(super) fn plausible(f: &Found, card: &Card, visual: &Visual) -> bool {
    if card.sure() {
        return true;
    }
    let called = visual.birth_label || !visual.births.is_empty();
    let set_apart = |f: &Found| {
        let looks = card.hanja || card.issued;
        f.number.separated && !f.number.repaired && !called && (looks || !visual.foreign())
    };
    let company = || card.numbers.iter().any(|o| set_apart(o) && same_print(&o.place, &f.place));
    set_apart(f) || (card.hanja && !visual.foreign()) || company()
}

/// Whether a birth half with its dash counts as a covered number: it is little to go by, so only beside what no other
/// document shows.
pub(super) fn holds_halves(card: &Card, visual: &Visual) -> bool {
    card.title.is_some() || card.resident || ((card.hanja || card.sure()) && !visual.foreign())
}

/// Whether a covered number of somebody else stands elsewhere on the page.
fn another_half(card: &Card, best: &Found, numbers: &[&Found], today: Date) -> bool {
    let date = |f: &Found| matches!(f.number.birth(today), Birth::Exact(_) | Birth::Either(_));
    let elsewhere = |h: &Found| !numbers.iter().any(|f| same_print(&f.place, &h.place));
    card.halves.iter().any(|h| date(h) && elsewhere(h) && !h.number.compatible(&best.number))
}

/// A Korean card whose number was not found: a half number whose back is covered, or nothing.
fn without_number(card: &Card, visual: &Visual, today: Date) -> Option<Finding> {
    let halves: Vec<&Found> = card.halves.iter().filter(|_| holds_halves(card, visual)).collect();
    if let Some(first) = halves.first() {
        let kind = card.title.unwrap_or(KrResidentCard);
        let wants = [Want::Reread(first.place)];
        return Some(match agree(&halves) {
            Some(half) => weigh(card, visual, kind, half, &halves, today, &wants),
            None => Finding::refused(Some(kind), &[Reason::NumberUnreadable, Reason::Inconsistent]).with(&[], &wants),
        });
    }
    let kind = card.title?;
    Some(Finding::refused(Some(kind), &[Reason::NumberUnreadable]).with(&[], &[Want::Elsewhere]))
}

/// The kind of card: the title wins, then the licence number, the alien captions, the class of the number.
fn kind(card: &Card, numbers: &[&Found]) -> DocumentKind {
    if let Some(title) = card.title {
        return title;
    }
    if card.licence.is_some() {
        return KrDriverLicence;
    }
    let foreign = numbers.iter().filter_map(|f| f.number.class()).all(|c| c == Class::Foreigner);
    if card.alien || (foreign && numbers.iter().any(|f| f.number.class().is_some())) {
        KrAlienCard
    } else {
        KrResidentCard
    }
}

/// Separate places of print that hold a number.
fn spots(numbers: &[&Found]) -> Vec<Place> {
    let mut out: Vec<Place> = Vec::new();
    for f in numbers {
        if !out.iter().any(|p| same_print(p, &f.place)) {
            out.push(f.place);
        }
    }
    out
}

/// The one number all readings agree on; or, when they differ, the one whose checksum holds, if no other's does and at
/// least two passes gave it, more than gave any other: a misread number passes its checksum in one of ten cases.
fn agree<'a>(numbers: &[&'a Found]) -> Option<&'a Found> {
    let first = numbers.first()?;
    let open = numbers.iter().find(|f| f.number.has_century()).unwrap_or(first);
    if numbers.iter().all(|f| f.number.compatible(&open.number)) {
        return Some(back(numbers, open));
    }
    let mut sure = numbers.iter().filter(|f| f.number.back == Back::Open(Checksum::Match) && !f.number.repaired);
    let one = sure.next()?;
    // Two cards in one picture are two places; only readings of the same print may be outvoted.
    let same_place = numbers.iter().all(|f| same_print(&f.place, &one.place) || f.number.compatible(&one.number));
    let passes = |of: &Found| passes(numbers, of);
    let held = held(numbers, one);
    let outvoted = numbers.iter().all(|f| f.number.compatible(&one.number) || passes(f) < held);
    (sure.all(|f| f.number.same_front(&one.number)) && same_place && outvoted && held > 1).then_some(*one)
}

/// Of readings of one front: the one whose checksum holds, if more passes gave it than gave one whose checksum does not.
/// Else one whose does not: a wrong back holds in one of ten cases.
fn back<'a>(numbers: &[&'a Found], open: &'a Found) -> &'a Found {
    let with = |sum: Checksum| numbers.iter().find(|f| f.number.back == Back::Open(sum)).copied();
    match (with(Checksum::Match), with(Checksum::Mismatch)) {
        (Some(holds), Some(fails)) if held(numbers, holds) <= held(numbers, fails) => fails,
        (Some(holds), _) => holds,
        _ => open,
    }
}

/// How many passes gave this number at this place, with the same answer of its checksum.
fn held(numbers: &[&Found], of: &Found) -> usize {
    let same: Vec<&Found> = numbers.iter().filter(|f| f.number.back == of.number.back).copied().collect();
    passes(&same, of)
}

/// How many passes gave this number at this place.
fn passes(numbers: &[&Found], of: &Found) -> usize {
    let same = |f: &&&Found| f.number.same_front(&of.number) && same_print(&f.place, &of.place);
    let mut found: Vec<u8> = numbers.iter().filter(same).map(|f| f.pass).collect();
    found.sort_unstable();
    found.dedup();
    found.len()
}

fn weigh(
    card: &Card,
    visual: &Visual,
    kind: DocumentKind,
    best: &Found,
    numbers: &[&Found],
    today: Date,
    wants: &[Want],
) -> Finding {
    let mut signals = remarks(best);
    let places = spots(numbers).len();
    let refused = |reason: Reason, signals: &[Signal]| Finding::refused(Some(kind), &[reason]).with(signals, wants);
    if best.number.class().is_some_and(|c| clashes(kind, c)) || sex_clashes(card, kind, best) {
        signals.push(Signal::NumberClassConflict);
        return refused(Reason::Inconsistent, &signals);
    }
    let issue = Issue::of(card, today);
    let birth = match best.number.birth(today) {
        Birth::Exact(d) => d,
        Birth::Impossible | Birth::Implausible => return refused(Reason::ImpossibleDate, &signals),
        Birth::Either(dates) => {
            signals.push(Signal::CenturyInferred);
            // A child's card cannot exist (17), and must not turn its holder into one of over a hundred years.
            let fits = |d: &Date| old_enough(*d, kind, issue.date.unwrap_or(today)) && !at_least(*d, 100, today);
            match dates.into_iter().flatten().find(fits) {
                Some(d) => d,
                None => return refused(Reason::Inconsistent, &signals),
            }
        }
    };
    if !fits(birth, card, kind, &issue, today) {
        signals.push(Signal::AgeAtIssueImplausible);
        return refused(Reason::Inconsistent, &signals);
    }
    if kind == KrAlienCard && !at_least(birth, 17, today) {
        signals.push(Signal::MinorOnAlienCard);
    }
    let second = numbers.iter().any(|f| f.number.same_front(&best.number) && passes(numbers, f) > 1);
    let ghost = card.dates.iter().any(|(d, p, _)| *d == birth && !same_print(p, &best.place));
    let matches = best.number.back == Back::Open(Checksum::Match);
    if best.number.repaired && !(second || matches || ghost) {
        return refused(Reason::NumberUnreadable, &signals);
    }
    let mut witnesses = Vec::new();
    let mut note = |is: bool, w: Witness| witnesses.extend(is.then_some(w));
    note(matches, Witness::Checksum);
    note(second, Witness::SecondReading);
    note(ghost || places > 1, Witness::PrintedDate);
    note(issue.date.is_some(), Witness::IssueDate);
    let apart = ghost || places > 1;
    let assurance = match (matches, second || apart) {
        (true, _) if apart => AssuranceLevel::Corroborated,
        (true, _) => AssuranceLevel::Checked,
        (false, true) => AssuranceLevel::Witnessed,
        (false, false) => AssuranceLevel::Unwitnessed,
    };
    // A second reading is worth its time even with a checksum; without one a third is asked for, to be contradicted.
    let enough = if matches { 2 } else { 3 };
    let settled = numbers.iter().any(|f| passes(numbers, f) >= enough);
    let wants = if settled { Vec::new() } else { wants.to_vec() };
    let claim = Claim {
        kind,
        birth: BirthDate::new(birth),
        assurance,
        witnesses,
        expiry: card.end().max(visual.expiry()).filter(|e| *e > birth),
        seen: (best.place, best.pass, false),
    };
    Finding { claim: Ok(claim), kind: Some(kind), signals, wants }
}

fn remarks(best: &Found) -> Vec<Signal> {
    let mut signals = Vec::new();
    match best.number.back {
        Back::Open(Checksum::Match) => {}
        Back::Open(Checksum::Mismatch) => signals.push(Signal::ChecksumMismatch),
        Back::Masked => signals.push(Signal::NumberMasked),
    }
    if best.number.repaired {
        signals.push(Signal::Repaired);
    }
    if best.number.sample {
        signals.push(Signal::Specimen);
    }
    signals
}

/// Koreans hold resident and youth cards, foreigners alien cards; a foreigner's licence prints the foreigner number.
fn clashes(kind: DocumentKind, class: Class) -> bool {
    match kind {
        KrResidentCard | KrYouthCard => class == Class::Foreigner,
        KrAlienCard => class == Class::Korean,
        _ => false,
    }
}

/// Alien cards of before 2023-04 print the sex; it must be the parity of the seventh digit.
fn sex_clashes(card: &Card, kind: DocumentKind, best: &Found) -> bool {
    kind == KrAlienCard && matches!((card.male, best.number.male()), (Some(a), Some(b)) if a != b)
}

/// When the card was issued, as far as its dates tell.
struct Issue {
    /// The latest printed date that is not in the future.
    date: Option<Date>,
}

impl Issue {
    fn of(card: &Card, today: Date) -> Self {
        Self { date: card.dates.iter().map(|(d, ..)| *d).filter(|d| *d <= today).max() }
    }
}

/// The least age at issue: 17 for a resident card, 16 for a licence, 9 to 18 for a youth card, none for an alien card.
fn old_enough(birth: Date, kind: DocumentKind, on: Date) -> bool {
    match kind {
        KrResidentCard => at_least(birth, 17, on),
        KrDriverLicence => at_least(birth, 16, on),
        KrYouthCard => at_least(birth, 9, on) && !at_least(birth, 19, on),
        _ => birth <= on,
    }
}

/// Whether the holder's age fits the card: at every printed date that can be its issue date.
fn fits(birth: Date, card: &Card, kind: DocumentKind, issue: &Issue, today: Date) -> bool {
    if !old_enough(birth, kind, issue.date.filter(|d| *d != birth).unwrap_or(today)) {
        return false;
    }
    // A polycarbonate card (2020) shows the birth date a second time; any other early date contradicts the number.
    let early = |d: Date| d <= today && d != birth && !old_enough(birth, kind, d);
    if matches!(kind, KrResidentCard) && card.dates.iter().any(|(d, ..)| early(*d)) {
        return false;
    }
    match (kind, card.licence) {
        (KrDriverLicence, Some(Some(yy))) => {
            let first = [2000, 1900].map(|c| c + i16::from(yy)).into_iter().find(|y| *y <= today.year());
            first.is_none_or(|y| y >= birth.year() + 16)
        }
        _ => true,
    }
}

/// Whether someone born on `birth` has completed `years` on `on`.
pub(super) fn at_least(birth: Date, years: i16, on: Date) -> bool {
    let full = on.year() - birth.year() - i16::from((on.month(), on.day()) < (birth.month(), birth.day()));
    full >= years
}
