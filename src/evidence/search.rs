//! The order in which a picture is searched: the likely and cheap attempts first, stopping when the evidence suffices.
//!
//! 1. The whole frame at normal detail, or the part of it that holds the print when that is small in the frame.
//! 2. What the parser wants to see again (a number without a checksum, an MRZ whose digits fail), through other pixels
//!    and another recogniser: this is what makes a second reading.
//! 3. When nothing plausible was seen: everything with the full alphabet, then upside down where that was in doubt.
//! 4. The frame at fine detail, where print may have been missed.
//!
//! Readings of one orientation share a page; nothing is ever mixed between orientations.

use super::documents::mask::take_in;
use super::frame::{Frame, Limits};
use super::locate::{Layout, Region, Strip};
use super::numbers::ResidentNumbers;
use super::quality;
use super::read::{Detail, ReadFault, Reader};
use super::text::{Alphabet, Line, Page, Place};
use super::validate::{Assessment, Unreadable, Verdict, Want, assess};
use crate::secret::Sensitive;
use crate::terms::{AssuranceLevel, Reason};
use jiff::civil::Date;
use std::time::{Duration, Instant};

/// Strips read in one attempt. A card has 10 to 60; a page with more is no card, and reading it all is not worth it.
const MOST_STRIPS: usize = 64;
/// Strips read a second time with the full alphabet.
const MOST_AGAIN: usize = 32;

/// Time spent by step.
#[derive(Default)]
pub(super) struct Spent {
    pub locate: Duration,
    pub read: Duration,
    pub parse: Duration,
}

/// One picture being searched.
pub(super) struct Search<'a> {
    frame: &'a Frame,
    reader: &'a dyn Reader,
    today: Date,
    limits: &'a Limits,
    pub(super) spent: Spent,
}

/// Why an attempt gave no assessment.
enum Stop {
    TimedOut,
    Fault,
}

impl From<ReadFault> for Stop {
    fn from(_: ReadFault) -> Self {
        Self::Fault
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(frame: &'a Frame, reader: &'a dyn Reader, today: Date, limits: &'a Limits) -> Self {
        Self { frame, reader, today, limits, spent: Spent::default() }
    }

    /// Searches until there is evidence or nothing is left to try.
    pub(super) fn run(&mut self) -> Verdict {
        match self.attempts() {
            Ok(verdict) => verdict,
            Err(Stop::TimedOut) => super::refuse(Reason::TimedOut),
            // The engine refuses only inputs it cannot shape: nothing legible is in there.
            Err(Stop::Fault) => super::refuse(Reason::NoDocument),
        }
    }

    fn attempts(&mut self) -> Result<Verdict, Stop> {
        let look = self.look(Detail::Normal)?;
        let mut best = self.attempt(&look.layout, Effort::Full)?;
        if best.elsewhere && !look.sure {
            best = better(best, self.attempt(&look.layout.flipped(), Effort::Plain)?);
        }
        if best.elsewhere && look.fine_may_help {
            let fine = self.look(Detail::Fine)?;
            best = better(best, self.attempt(&fine.layout, Effort::Full)?);
            if best.elsewhere && !fine.sure {
                best = better(best, self.attempt(&fine.layout.flipped(), Effort::Plain)?);
            }
        }
        Ok(self.finish(best))
    }

    /// Finds the print and gives it its likely orientation; looks closer while the print fills little of the frame.
    fn look(&mut self, detail: Detail) -> Result<Look, Stop> {
        const CLOSER_BELOW: f32 = 0.4;
        const FEW: usize = 3;
        const ZOOMS: usize = 2;
        const FEW_LINES: usize = 6;
        self.check_time()?;
        let start = Instant::now();
        let whole = Region::whole(self.frame);
        let mut region = whole;
        let mut boxes = self.reader.find(self.frame, &region, detail)?;
        if boxes.len() < FEW && detail == Detail::Normal {
            boxes = self.reader.find(self.frame, &region, Detail::Fine)?;
        }
        for _ in 0..ZOOMS {
            let Some(closer) = Region::around(&boxes, &whole).filter(|c| c.area() < CLOSER_BELOW * region.area())
            else {
                break;
            };
            let found = self.reader.find(self.frame, &closer, detail)?;
            if found.len() < boxes.len() {
                break;
            }
            (region, boxes) = (closer, found);
        }
        let fine_may_help = boxes.len() < FEW_LINES || small_print(&boxes, &region);
        let (layout, sure) = self.turned_upright(Layout::arrange(boxes))?;
        self.spent.locate += start.elapsed();
        Ok(Look { layout, sure, fine_may_help })
    }

    /// Of a layout and the same upside down, the one that reads better, and whether it does so by far.
    fn turned_upright(&self, layout: Layout) -> Result<(Layout, bool), Stop> {
        // Confident characters by which one turn must lead the other.
        const BY_FAR: f32 = 3.0;
        const JURY: usize = 4;
        let mut long: Vec<Strip> = layout.strips.iter().copied().filter(|s| s.width > 2.0 * s.height).collect();
        // Short lines of a card's fields tell more than headings and machine-readable lines.
        long.sort_by(|a, b| (a.width / a.height - 6.0).abs().total_cmp(&(b.width / b.height - 6.0).abs()));
        long.truncate(JURY);
        let turned: Vec<Strip> = long.iter().map(|s| s.flipped()).collect();
        let as_is = self.reader.legibility(self.frame, &long)?;
        let flipped = self.reader.legibility(self.frame, &turned)?;
        let sure = (as_is - flipped).abs() > BY_FAR;
        Ok((if flipped > as_is { layout.flipped() } else { layout }, sure))
    }

    /// Reads a layout, then reads again what the parser asks for; with the full alphabet when it asked for nothing.
    fn attempt(&mut self, layout: &Layout, effort: Effort) -> Result<Found, Stop> {
        let mut sheet = Sheet::new(self, layout)?;
        let mut assessment = sheet.assess(self);
        if effort == Effort::Full && seen_nothing(&assessment) {
            // Other pixels than the first pass saw, so that the same answer is a second reading.
            let strips: Vec<Strip> = sheet.layout.widest(MOST_AGAIN).iter().map(|s| s.grown(0.1, 0.05)).collect();
            sheet.read(self, &strips, Alphabet::Full, 1.15, FULL_PASS)?;
            assessment = sheet.assess(self);
        }
        for round in 0..AGAIN.len() {
            if assessment.wants.iter().all(|w| matches!(w, Want::Elsewhere)) {
                break;
            }
            sheet.read_again(self, &assessment.wants, round)?;
            assessment = sheet.assess(self);
        }
        let elsewhere = seen_nothing(&assessment);
        Ok(Found { verdict: assessment.verdict, elsewhere, strips: sheet.layout.strips, lines: sheet.page.lines.len() })
    }

    fn finish(&self, found: Found) -> Verdict {
        match found.verdict {
            Verdict::Read(evidence)
                if evidence.assurance < AssuranceLevel::Checked
                    && quality::badly_exposed(self.frame, &found.strips) =>
            {
                Verdict::Unreadable(Unreadable {
                    reasons: vec![Reason::BadExposure, Reason::NumberUnreadable],
                    signals: evidence.signals,
                    kind: Some(evidence.kind),
                    youngest: Some(evidence.birth),
                })
            }
            Verdict::Read(evidence) => Verdict::Read(evidence),
            Verdict::Unreadable(why) => Verdict::Unreadable(self.explain(why, &found.strips)),
        }
    }

    /// Adds what is wrong with the picture itself to what is wrong with its text.
    fn explain(&self, mut why: Unreadable, strips: &[Strip]) -> Unreadable {
        if why.reasons.iter().any(|r| quality::can_cause(*r)) {
            why.reasons.extend(quality::faults(self.frame, strips));
            why.reasons.sort_unstable();
            why.reasons.dedup();
        }
        why
    }

    fn check_time(&self) -> Result<(), Stop> {
        if self.limits.expired() { Err(Stop::TimedOut) } else { Ok(()) }
    }
}

/// The pass in which a page is read with the full alphabet.
const FULL_PASS: u8 = 1;

/// How a strip is read again, by round: pass, alphabet, stretch, and growth along and across in heights. Each round sees
/// other pixels than the passes before it; all are stretched, since the recogniser drops one of two equal narrow digits
/// that lie within one of its steps.
const AGAIN: [(u8, Alphabet, f32, f32, f32); 3] = [
    (2, Alphabet::Full, 1.25, 0.15, 0.06),
    (3, Alphabet::Ascii, 1.4, 0.3, -0.04),
    (4, Alphabet::Full, 1.55, 0.1, 0.14),
];

/// The number is shown in full where that is not accepted: there is nothing more to read. A date that was read may still
/// count against the holder.
fn number_shown(assessment: Assessment) -> Assessment {
    let reasons = vec![Reason::ResidentNumberShown];
    let refused = match assessment.verdict {
        Verdict::Read(of) => Unreadable { reasons, signals: of.signals, kind: Some(of.kind), youngest: Some(of.birth) },
        Verdict::Unreadable(why) => Unreadable { reasons, ..why },
    };
    Assessment { verdict: Verdict::Unreadable(refused), wants: Vec::new(), number_shown: true }
}

/// Whether nothing on the page looked like a document that idgate reads.
fn seen_nothing(assessment: &Assessment) -> bool {
    matches!(assessment.verdict, Verdict::Unreadable(_))
        && assessment.wants.iter().any(|w| matches!(w, Want::Elsewhere))
}

/// Where the print of a picture is.
struct Look {
    layout: Layout,
    /// Its orientation is beyond doubt.
    sure: bool,
    /// Print may have been missed at this detail.
    fine_may_help: bool,
}

/// How much an attempt may cost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// The ASCII alphabet, and what the parser asks for.
    Plain,
    /// The full alphabet too, when the parser saw nothing.
    Full,
}

/// Whether the print is so small in its region that the detector misses some of it at normal detail.
fn small_print(boxes: &[Strip], region: &Region) -> bool {
    const LEGIBLE: f32 = 0.019;
    let mut heights: Vec<f32> = boxes.iter().map(|b| b.height).collect();
    heights.sort_by(f32::total_cmp);
    let median = heights.get(heights.len() / 2).copied().unwrap_or_default();
    median < LEGIBLE * region.width().max(region.height())
}

/// The result of one attempt.
struct Found {
    verdict: Verdict,
    elsewhere: bool,
    strips: Vec<Strip>,
    lines: usize,
}

/// Of two failures, the one that saw more.
fn better(a: Found, b: Found) -> Found {
    let rank = |f: &Found| match &f.verdict {
        Verdict::Read(_) => (3, f.lines),
        Verdict::Unreadable(_) if !f.elsewhere => (2, f.lines),
        Verdict::Unreadable(u) if !u.reasons.contains(&Reason::NoDocument) => (1, f.lines),
        Verdict::Unreadable(_) => (0, f.lines),
    };
    if rank(&b) > rank(&a) { b } else { a }
}

/// One orientation of the picture, and all that was read of it.
struct Sheet {
    layout: Layout,
    page: Page,
    /// A Korean passport showed the tail of its holder's number.
    tail: bool,
}

impl Sheet {
    /// Reads every strip once, and those that look like an MRZ once more with its own alphabet.
    fn new(search: &mut Search, layout: &Layout) -> Result<Self, Stop> {
        search.check_time()?;
        let mut layout = layout.clone();
        layout.strips = layout.widest(MOST_STRIPS);
        let size = layout.extent().map(|e| (e.width(), e.height())).unwrap_or_default();
        let mut sheet = Self { layout, page: Page { lines: Vec::new(), title: None, size }, tail: false };
        let strips = sheet.layout.strips.clone();
        sheet.read(search, &strips, Alphabet::Ascii, 1.0, 0)?;
        let zone: Vec<Strip> =
            sheet.page.lines.iter().filter(|l| in_machine_zone(l)).map(|l| sheet.strip_of(&l.place)).collect();
        sheet.read(search, &zone, Alphabet::Mrz, 1.5, 0)?;
        let start = Instant::now();
        sheet.page.title = search.reader.title(search.frame, &headings(&sheet.layout))?;
        search.spent.read += start.elapsed();
        Ok(sheet)
    }

    fn read(
        &mut self,
        search: &mut Search,
        strips: &[Strip],
        alphabet: Alphabet,
        stretch: f32,
        pass: u8,
    ) -> Result<(), Stop> {
        search.check_time()?;
        if strips.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let texts = search.reader.read(search.frame, strips, alphabet, stretch)?;
        search.spent.read += start.elapsed();
        let from = self.page.lines.len();
        for (strip, text) in strips.iter().zip(texts) {
            let Some(text) = text else { continue };
            self.page.lines.push(Line { text, place: self.layout.place(strip), alphabet, pass });
        }
        // Before anything else looks at them.
        let start = Instant::now();
        self.tail |= self.page.lines.get_mut(from..).is_some_and(take_in);
        search.spent.parse += start.elapsed();
        Ok(())
    }

    /// Reads the wanted places through other pixels: the strips found there, or the bare place where none was found.
    fn read_again(&mut self, search: &mut Search, wants: &[Want], round: usize) -> Result<(), Stop> {
        let Some(&(pass, alphabet, stretch, along, across)) = AGAIN.get(round) else { return Ok(()) };
        let mut lines: Vec<Strip> = Vec::new();
        let mut zone: Vec<Strip> = Vec::new();
        for want in wants {
            match want {
                Want::Reread(place) => lines.push(self.strip_of(place).grown(along, across)),
                Want::MrzBand(place) => zone.push(self.strip_of(place).grown(along, across)),
                Want::Elsewhere => {}
            }
        }
        self.read(search, &lines, alphabet, stretch, pass)?;
        self.read(search, &zone, Alphabet::Mrz, 1.5 * stretch / 1.25, pass)
    }

    fn assess(&self, search: &mut Search) -> Assessment {
        let start = Instant::now();
        let assessment = assess(&self.page, search.today);
        search.spent.parse += start.elapsed();
        let rejected = search.limits.resident_numbers == ResidentNumbers::Reject;
        if rejected && (assessment.number_shown || self.tail) { number_shown(assessment) } else { assessment }
    }

    /// The strip found at a place (its own slope is better than the page's), or the bare place.
    fn strip_of(&self, place: &Place) -> Strip {
        let overlap = |p: &Place| {
            let w = p.right.min(place.right) - p.left.max(place.left);
            let h = p.bottom.min(place.bottom) - p.top.max(place.top);
            if w <= 0.0 || h <= 0.0 { 0.0 } else { w * h / (place.width() * place.height()).max(1.0) }
        };
        let best =
            self.layout.strips.iter().map(|s| (overlap(&self.layout.place(s)), s)).max_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((share, strip)) if share > 0.7 && strip.width < 1.5 * place.width() => *strip,
            _ => self.layout.strip_at(place),
        }
    }
}

/// Whether a line may belong to an MRZ: long, and mostly of its alphabet, or with its filler.
fn in_machine_zone(line: &Line) -> bool {
    let text: &Sensitive<String> = &line.text;
    let text = text.expose();
    let marks = text.chars().filter(|c| !c.is_whitespace());
    let (mut all, mut own, mut filler) = (0usize, 0usize, 0usize);
    for c in marks {
        all += 1;
        own += usize::from(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '<');
        filler += usize::from(matches!(c, '<' | '«' | '>' | '(' | 'c' | 'K'));
    }
    let long = line.place.width() > 9.0 * line.place.height();
    (all >= 6 && filler >= 2 && own * 4 >= all * 3) || (long && all >= 18 && own * 10 >= all * 8)
}

/// The strips that may be a card's heading: the tallest ones that are wider than high.
fn headings(layout: &Layout) -> Vec<Strip> {
    const CANDIDATES: usize = 6;
    let mut out: Vec<Strip> = layout.strips.iter().copied().filter(|s| s.width > 1.5 * s.height).collect();
    out.sort_by(|a, b| b.height.total_cmp(&a.height));
    out.truncate(CANDIDATES);
    out
}
