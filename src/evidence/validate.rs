//! From what a document says to evidence: an accepted date of birth with its witnesses, or the reasons why not.
//!
//! Promise: when two readings contradict each other and nothing but one of them is confirmed by a checksum or check
//! digits, there is no date. Refusing costs a new picture; a wrong date costs a child its protection.
//!
//! Always: `Unreadable::reasons` is never empty, sorted and without repetition; an accepted date exists, is not in the
//! future, and is less than 100 years ago: one misread century digit makes a child a centenarian, so that nobody of that
//! age is let through by a picture alone, whatever the source (a person decides). Pure: the date of today is an argument.

mod korean;
mod machine;
mod printed;
mod years;
mod youngest;

use super::documents::viz::{self, Visual};
use super::documents::{kr_card, mrz, rows};
use super::text::{Page, Place};
use crate::age::BirthDate;
use crate::terms::{AssuranceLevel, DocumentKind, Reason, Signal, Witness};
use jiff::civil::Date;

/// A date of birth that was accepted, and what confirms it. `Debug` shows no date.
pub struct Evidence {
    /// What the document is.
    pub kind: DocumentKind,
    /// The date of birth.
    pub birth: BirthDate,
    /// How well the witnesses support it.
    pub assurance: AssuranceLevel,
    /// Sorted, without repetition.
    pub witnesses: Vec<Witness>,
    /// Sorted, without repetition.
    pub signals: Vec<Signal>,
    /// The last day of validity, if one was read.
    pub expiry: Option<Date>,
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence")
            .field("kind", &self.kind)
            .field("assurance", &self.assurance)
            .field("witnesses", &self.witnesses)
            .field("signals", &self.signals)
            .finish_non_exhaustive()
    }
}

/// No date of birth, and why.
#[derive(Debug)]
pub struct Unreadable {
    /// Never empty, sorted, unique.
    pub reasons: Vec<Reason>,
    /// Sorted, without repetition.
    pub signals: Vec<Signal>,
    /// The document, if it was told.
    pub kind: Option<DocumentKind>,
    /// The youngest plausible date of birth that was read all the same, from any document in the picture: two readings
    /// contradict each other, or nothing confirms the only one. It may count against a person (as a possible child) and
    /// never for one. `None` when no date was read at all.
    pub youngest: Option<BirthDate>,
}

/// What a page came to.
#[derive(Debug)]
pub enum Verdict {
    /// A date of birth was accepted.
    Read(Evidence),
    /// None was.
    Unreadable(Unreadable),
}

impl Verdict {
    /// The same with remarks about the file. They are remarks: what was read stays what it is.
    pub(super) fn with_signals(mut self, more: &[Signal]) -> Self {
        let signals = match &mut self {
            Self::Read(evidence) => &mut evidence.signals,
            Self::Unreadable(why) => &mut why.signals,
        };
        signals.extend_from_slice(more);
        signals.sort_unstable();
        signals.dedup();
        self
    }
}

/// A verdict, and what further reading might improve it.
#[derive(Debug)]
pub struct Assessment {
    /// What the text read so far comes to.
    pub verdict: Verdict,
    /// What to read next; empty when nothing would help.
    pub wants: Vec<Want>,
    /// Whether a Korean number stands on the page in full.
    pub number_shown: bool,
}

/// What further reading would help.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Want {
    /// Read this line again from other pixels.
    Reread(Place),
    /// A machine-readable zone seems to lie here.
    MrzBand(Place),
    /// Nothing plausible was seen: try another rotation or scale.
    Elsewhere,
}

/// A date with its witnesses, before it is compared with the rest of the page.
struct Claim {
    kind: DocumentKind,
    birth: BirthDate,
    assurance: AssuranceLevel,
    witnesses: Vec<Witness>,
    expiry: Option<Date>,
    /// Where it was read: place, pass, and whether it takes kanji to read it.
    seen: (Place, u8, bool),
}

/// What one way of looking at the page came to.
struct Finding {
    claim: Result<Claim, Vec<Reason>>,
    kind: Option<DocumentKind>,
    signals: Vec<Signal>,
    wants: Vec<Want>,
}

impl Finding {
    fn refused(kind: Option<DocumentKind>, reasons: &[Reason]) -> Self {
        Self { claim: Err(reasons.to_vec()), kind, signals: Vec::new(), wants: Vec::new() }
    }

    fn with(mut self, signals: &[Signal], wants: &[Want]) -> Self {
        self.signals.extend_from_slice(signals);
        self.wants.extend_from_slice(wants);
        self
    }
}

/// Weighs everything a page says.
pub fn assess(page: &Page, today: Date) -> Assessment {
    let rows = rows::rows(page);
    let zone = mrz::read(page);
    let visual = viz::read(&rows);
    let card = kr_card::read(&rows, page.title);
    let korean = korean::judge(&card, &visual, today).map(|k| against_print(k, &visual));
    let machine = machine::judge(&zone, &visual, today);
    let mut finding = match (korean, machine) {
        (Some(korean), Some(machine)) if card.numbers.is_empty() && card.halves.is_empty() && korean.claim.is_err() => {
            machine
        }
        (Some(korean), Some(machine)) => both(korean, machine),
        // A title without a number may have been misjudged; another document's own date wins over it.
        (Some(korean), None) if card.numbers.is_empty() && korean.claim.is_err() => {
            let other = printed::judge(&visual, &rows, &zone, today);
            if other.claim.is_ok() { other } else { korean }
        }
        (Some(korean), None) if zone.bands.is_empty() => korean,
        (Some(korean), None) => capped(korean),
        (None, Some(machine)) => machine,
        (None, None) => printed::judge(&visual, &rows, &zone, today),
    };
    finding = unconfirmed(finding, &rows);
    if printed::is_specimen(&rows) || zone.specimen {
        finding.signals.push(Signal::Specimen);
    }
    if let Ok(claim) = &finding.claim
        && claim.expiry.is_some_and(|e| e < today)
    {
        finding.signals.push(Signal::Expired);
    }
    let finding = centenarian(finding, today);
    let number_shown = korean::number_shown(&card, &visual);
    let youngest = if finding.claim.is_err() { youngest::read(&card, &zone, &visual, today) } else { None };
    conclude(finding, youngest, number_shown)
}

/// A labelled date of birth on the page of a Korean number must be the number's; a birth label whose date cannot be read
/// leaves open whose date it is.
fn against_print(korean: Finding, visual: &Visual) -> Finding {
    let Ok(claim) = &korean.claim else { return korean };
    if visual.births.is_empty() && !visual.birth_label {
        return korean;
    }
    let wants = machine::reread(visual);
    if visual.births.is_empty() {
        return Finding { claim: Err(vec![Reason::NotWitnessed]), ..korean };
    }
    if machine::print_agrees(visual, claim.birth.expose()) {
        return korean;
    }
    Finding { claim: Err(vec![Reason::Inconsistent]), ..korean }.with(&[Signal::PrintedDateConflict], &wants)
}

/// Another document seems to lie in the picture, and cannot be read: the date may count against the holder only.
fn capped(mut finding: Finding) -> Finding {
    if let Ok(claim) = &mut finding.claim {
        claim.assurance = AssuranceLevel::Unwitnessed;
    }
    finding
}

/// Nobody of 100 years and more is accepted.
fn centenarian(finding: Finding, today: Date) -> Finding {
    let old = finding.claim.as_ref().is_ok_and(|c| korean::at_least(c.birth.expose(), 100, today));
    if old { Finding { claim: Err(vec![Reason::NotWitnessed]), ..finding } } else { finding }
}

/// A date without check digits or checksum that was read once, while another look at the same print gave something else
/// or nothing that makes sense, is not confirmed but doubted: no date.
fn unconfirmed(finding: Finding, rows: &[rows::Row]) -> Finding {
    let doubted = finding.claim.as_ref().is_ok_and(|c| {
        c.assurance == AssuranceLevel::Unwitnessed
            && !c.witnesses.contains(&Witness::CheckDigits)
            && rows::read_again(rows, &c.seen.0, c.seen.1, c.seen.2)
    });
    if doubted { Finding { claim: Err(vec![Reason::NotWitnessed]), ..finding } } else { finding }
}

/// A Korean number and an MRZ in one picture: one person, or a contradiction.
fn both(korean: Finding, machine: Finding) -> Finding {
    let Finding { claim: machine_claim, signals: machine_signals, wants: machine_wants, .. } = machine;
    match (&korean.claim, machine_claim) {
        (Ok(a), Ok(b)) if a.birth == b.birth => korean.with(&machine_signals, &machine_wants),
        (Ok(_), Ok(_)) => {
            let kind = korean.kind;
            Finding::refused(kind, &[Reason::Inconsistent])
                .with(&korean.signals, &korean.wants)
                .with(&machine_signals, &[])
        }
        // An MRZ has no place on a Korean card: someone else's document, of whom nothing is known.
        (Ok(_), Err(_)) => {
            let kind = korean.kind;
            Finding::refused(kind, &[Reason::Inconsistent]).with(&korean.signals, &machine_wants)
        }
        (Err(_), _) => korean,
    }
}

fn conclude(finding: Finding, youngest: Option<Date>, number_shown: bool) -> Assessment {
    let mut signals = finding.signals;
    signals.sort_unstable();
    signals.dedup();
    let verdict = match finding.claim {
        Ok(claim) => {
            let mut witnesses = claim.witnesses;
            witnesses.sort_unstable();
            witnesses.dedup();
            Verdict::Read(Evidence {
                kind: claim.kind,
                birth: claim.birth,
                assurance: claim.assurance,
                witnesses,
                signals,
                expiry: claim.expiry,
            })
        }
        Err(mut reasons) => {
            reasons.sort_unstable();
            reasons.dedup();
            if reasons.is_empty() {
                reasons.push(Reason::NoDocument);
            }
            let youngest = youngest.map(BirthDate::new);
            Verdict::Unreadable(Unreadable { reasons, signals, kind: finding.kind, youngest })
        }
    };
    Assessment { verdict, wants: finding.wants, number_shown }
}

#[cfg(test)]
mod tests;
