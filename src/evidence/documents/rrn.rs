//! Korean resident and foreigner numbers: layout, century, checksum and class.
//!
//! Always: digits 8 to 13 are forgotten as soon as the checksum was taken: a [`Number`] keeps `YYMMDD-G` at most
//! (PIPA 24-2), and in the text they came from they are replaced by marks ([`cover`]) that say what the
//! checksum said. A checksum that does not hold is no error: numbers issued since 2020-10-05 are random there
//! (주민등록법 시행규칙 art. 2), so it is evidence for the reading and never a reason to refuse.

use crate::secret::Sensitive;
use jiff::civil::Date;
use zeroize::{Zeroize, Zeroizing};

/// What the thirteenth digit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    Match,
    Mismatch,
}

/// Digits 8 to 13, reduced to what they witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    Open(Checksum),
    Masked,
}

/// Whose number it is, by the seventh digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Korean,
    Foreigner,
}

/// A number as one reading gave it: birth date digits and seventh digit only. It cannot be shown.
pub(crate) struct Number {
    yymmdd: [u8; 6],
    seventh: Option<u8>,
    pub(crate) back: Back,
    /// A letter was taken for the digit it looks like, somewhere in the number.
    pub(crate) repaired: bool,
    /// The two halves were set apart in print, by a dash or a space.
    pub(crate) separated: bool,
    /// The back is a counting sequence, as on published samples.
    pub(crate) sample: bool,
    /// Position in the line: from, to.
    pub(crate) span: (usize, usize),
}

impl Drop for Number {
    fn drop(&mut self) {
        self.yymmdd.zeroize();
        self.seventh.zeroize();
    }
}

/// What the first seven digits say about the date of birth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// One date; the century was read.
    Exact(Date),
    /// The seventh digit is masked: the dates it may be, youngest first.
    Either([Option<Date>; 2]),
    /// The date does not exist, or lies in the future.
    Impossible,
    /// The holder would be older than 120.
    Implausible,
}

super::redacted!(Birth);

/// The thirteenth digit over the first twelve: 11- for Koreans, 13- for foreigners (PRES, STDNUM, FGN).
pub(crate) fn check_digit(d: &[u8; 12]) -> u8 {
    const W: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];
    let s: u32 = d.iter().zip(W).map(|(&x, w)| u32::from(x) * w).sum();
    let base = if (5..=8).contains(&d[6]) { 13 } else { 11 };
    u8::try_from((base - s % 11) % 10).expect("a remainder by ten")
}

impl Number {
    /// The same first seven digits.
    pub(crate) fn same_front(&self, other: &Number) -> bool {
        self.yymmdd == other.yymmdd && self.seventh == other.seventh
    }

    /// The same birth date digits, and nothing against the seventh.
    pub(crate) fn compatible(&self, other: &Number) -> bool {
        self.yymmdd == other.yymmdd
            && (self.seventh.is_none() || other.seventh.is_none() || self.seventh == other.seventh)
    }

    /// Whether the seventh digit was legible.
    pub(crate) fn has_century(&self) -> bool {
        self.seventh.is_some()
    }

    /// Korean (0 to 4, 9) or foreigner (5 to 8); unknown when masked.
    pub(crate) fn class(&self) -> Option<Class> {
        self.seventh.map(|g| if (5..=8).contains(&g) { Class::Foreigner } else { Class::Korean })
    }

    /// Whether the holder is male by the seventh digit (odd), for the sex printed on alien cards until 2023-03.
    pub(crate) fn male(&self) -> Option<bool> {
        self.seventh.map(|g| g % 2 == 1)
    }

    /// The date of birth: it must exist and lie in the past; above 120 years it is implausible.
    pub(crate) fn birth(&self, today: Date) -> Birth {
        let yy = i16::from(self.yymmdd[0] * 10 + self.yymmdd[1]);
        let on = |century: i16| {
            let month = i8::try_from(self.yymmdd[2] * 10 + self.yymmdd[3]).ok()?;
            let day = i8::try_from(self.yymmdd[4] * 10 + self.yymmdd[5]).ok()?;
            Date::new(century + yy, month, day).ok().filter(|d| *d <= today)
        };
        let Some(g) = self.seventh else {
            let fits = |d: &Date| !over_120(*d, today);
            let found = [on(2000).filter(fits), on(1900).filter(fits)];
            return if found == [None, None] { Birth::Impossible } else { Birth::Either(found) };
        };
        let century = match g {
            9 | 0 => 1800,
            1 | 2 | 5 | 6 => 1900,
            _ => 2000,
        };
        match on(century) {
            None => Birth::Impossible,
            Some(d) if over_120(d, today) => Birth::Implausible,
            Some(d) => Birth::Exact(d),
        }
    }
}

/// Older than 120 years on `today`.
pub(crate) fn over_120(born: Date, today: Date) -> bool {
    let (y, m, d) = (today.year() - born.year(), today.month(), today.day());
    y > 121 || (y == 121 && (m, d) >= (born.month(), born.day()))
}

/// Every number in a line, left to right. Letters stand in for digits only where the line has no clean number.
pub(crate) fn find(chars: &[char]) -> Vec<Number> {
    let clean = scan(chars, false);
    if clean.is_empty() { scan(chars, true) } else { clean }
}

/// A birth half with its dash, and no digit after it: the back is covered by a bar or damaged. Only for cards that are
/// known to be Korean.
pub(crate) fn find_half(chars: &[char]) -> Option<Number> {
    (0..chars.len().saturating_sub(6)).find_map(|at| {
        // Six digits after a dash belong to a licence number.
        let boundary = at == 0 || !(is_digit(chars[at - 1]) || chars[at - 1] == '-');
        let mut yymmdd = Zeroizing::new([0u8; 6]);
        for (slot, c) in yymmdd.iter_mut().zip(&chars[at..at + 6]) {
            *slot = digit(*c, false)?.0;
        }
        let open = chars.get(at + 6) == Some(&'-') && !chars[at + 7..].iter().any(|c| is_digit(*c));
        (boundary && open).then(|| Number {
            yymmdd: *yymmdd,
            seventh: None,
            back: Back::Masked,
            repaired: false,
            separated: true,
            sample: false,
            span: (at, at + 7),
        })
    })
}

fn scan(chars: &[char], repair: bool) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let boundary = at == 0 || !is_digit(chars[at - 1]);
        match boundary.then(|| number_at(chars, at, repair)).flatten() {
            Some(n) => {
                at = n.span.1;
                found.push(n);
            }
            None => at += 1,
        }
    }
    found
}

/// A digit, or with `repair` the digit a letter looks like (PEYE table); the flag says which.
fn digit(c: char, repair: bool) -> Option<(u8, bool)> {
    let mended = match c {
        '0'..='9' => return c.to_digit(10).and_then(|d| u8::try_from(d).ok()).map(|d| (d, false)),
        'O' | 'D' | 'Q' => 0,
        'I' | 'L' | '|' | '!' => 1,
        'Z' => 2,
        'S' => 5,
        'G' => 6,
        'B' => 8,
        _ => return None,
    };
    repair.then_some((mended, true))
}

fn is_mask(c: char) -> bool {
    matches!(c, '*' | '●' | '○' | '◯' | 'X' | 'O' | '■' | '█' | '#' | '·' | '×' | '※' | '＊')
}

fn number_at(chars: &[char], at: usize, repair: bool) -> Option<Number> {
    let mut yymmdd = Zeroizing::new([0u8; 6]);
    let mut mended = 0;
    for (slot, c) in yymmdd.iter_mut().zip(chars.get(at..at + 6)?) {
        let (d, m) = digit(*c, repair)?;
        *slot = d;
        mended += usize::from(m);
    }
    if mended > 2 {
        return None;
    }
    let (separated, from) = separator(chars, at + 6);
    let (seventh, back, sample, also, to) = back_at(chars, from, repair, &yymmdd, separated)?;
    mended += also;
    // A fourteenth digit, or what looks like one, means that characters were lost or added somewhere.
    let one_more = back != Back::Masked && chars.get(to).is_some_and(|c| is_mark(*c) || digit(*c, true).is_some());
    if mended > 3 || one_more {
        return None;
    }
    Some(Number { yymmdd: *yymmdd, seventh, back, repaired: mended > 0, separated, sample, span: (at, to) })
}

/// Steps over a dash (or what a recogniser makes of it) and spaces.
fn separator(chars: &[char], mut at: usize) -> (bool, usize) {
    let start = at;
    let mut dashes = 0;
    while let Some(c) = chars.get(at) {
        match c {
            ' ' if at - start < 4 => {}
            '-' | '~' | '_' | '=' | '·' | '.' | 'ー' | '一' if dashes < 2 => dashes += 1,
            _ => break,
        }
        at += 1;
    }
    (at > start, at)
}

type BackHalf = (Option<u8>, Back, bool, usize, usize);

fn back_at(chars: &[char], from: usize, repair: bool, front: &[u8; 6], separated: bool) -> Option<BackHalf> {
    masked_at(chars, from, separated)
        .or_else(|| marked_at(chars, from, repair))
        .or_else(|| open_at(chars, from, repair, front))
}

/// Marks for digits 8 to 13, from the private use area: nothing is printed with them. Which one says what was known of
/// the digits: whether the checksum held, whether they were a sample's, whether a letter was among them.
const MARKS: [char; 8] =
    ['\u{e000}', '\u{e001}', '\u{e002}', '\u{e003}', '\u{e004}', '\u{e005}', '\u{e006}', '\u{e007}'];
/// How many digits are marked.
const BACK: usize = 6;

/// Whether a character stands for a digit that was masked.
pub(crate) fn is_mark(c: char) -> bool {
    MARKS.contains(&c)
}

/// Whether a mark stands where a letter was among the digits.
pub(crate) fn hides_letters(c: char) -> bool {
    MARKS[4..].contains(&c)
}

/// Whether a character is a digit, or was one: what ended at a digit before it was masked does not end anywhere else now.
pub(crate) fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || is_mark(c)
}

/// Takes marks out of a text that comes from outside.
pub(crate) fn forget_marks(text: &mut Sensitive<String>) {
    if text.expose().chars().any(is_mark) {
        text.expose_mut().retain(|c| !is_mark(c));
    }
}

/// Masks the numbers of a line that are shown in full, and says where. In a machine-readable line only those that are set
/// apart by a dash or a space: there, thirteen digits in a row are another number.
pub(crate) fn cover(chars: &mut [char], machine: bool) -> Vec<(usize, usize)> {
    let mut covered = Vec::new();
    for repair in [false, true] {
        for number in scan(chars, repair) {
            let Back::Open(sum) = number.back else { continue };
            let (from, to) = number.span;
            let Some(back) = chars.get_mut(to.saturating_sub(BACK)..to) else { continue };
            if back.iter().any(|c| is_mark(*c)) || (machine && !number.separated) {
                continue;
            }
            let letters = back.iter().any(|c| !c.is_ascii_digit());
            let known = usize::from(sum == Checksum::Match) + 2 * usize::from(number.sample) + 4 * usize::from(letters);
            back.fill(MARKS.get(known).copied().unwrap_or('*'));
            covered.push((from, to));
        }
    }
    covered
}

/// A back that was masked here.
fn marked_at(chars: &[char], from: usize, repair: bool) -> Option<BackHalf> {
    let (seventh, mended) = digit(*chars.get(from)?, repair)?;
    let (first, rest) = chars.get(from + 1..from + 1 + BACK)?.split_first()?;
    let known = MARKS.iter().position(|mark| mark == first).filter(|_| rest.iter().all(|c| c == first))?;
    let letters = known & 4 != 0;
    if letters && !repair {
        return None;
    }
    let sum = if known & 1 != 0 { Checksum::Match } else { Checksum::Mismatch };
    let mended = usize::from(mended) + usize::from(letters);
    Some((Some(seventh), Back::Open(sum), known & 2 != 0, mended, from + 1 + BACK))
}

/// Seven digits: the checksum is taken and the digits are forgotten here.
fn open_at(chars: &[char], from: usize, repair: bool, front: &[u8; 6]) -> Option<BackHalf> {
    let mut all = Zeroizing::new([0u8; 13]);
    all[..6].copy_from_slice(front);
    let mut mended = 0;
    for (slot, c) in all[6..].iter_mut().zip(chars.get(from..from + 7)?) {
        let (d, m) = digit(*c, repair)?;
        *slot = d;
        mended += usize::from(m);
    }
    let mut twelve = Zeroizing::new([0u8; 12]);
    twelve.copy_from_slice(&all[..12]);
    let sum = if check_digit(&twelve) == all[12] { Checksum::Match } else { Checksum::Mismatch };
    let sample = all[7..].windows(2).all(|w| w[1] == w[0] + 1) || all[7..].windows(2).all(|w| w[0] == w[1]);
    Some((Some(all[6]), Back::Open(sum), sample, mended, from + 7))
}

/// A masked back: all seven covered, or the seventh digit and six covered. The count of mask characters is not certain.
fn masked_at(chars: &[char], from: usize, separated: bool) -> Option<BackHalf> {
    let first = *chars.get(from)?;
    let seventh = digit(first, false).map(|(d, _)| d);
    if separated && let Some(back) = discs_at(chars, from) {
        return Some(back);
    }
    let begin = if seventh.is_some() { from + 1 } else { from };
    let run = chars[begin..].iter().take(9).take_while(|c| is_mask(**c)).count();
    let real = chars[begin..begin + run].iter().filter(|c| !matches!(c, 'O' | '·')).count();
    (run >= 5 && (real > 0 || separated)).then_some((seventh, Back::Masked, false, 0, begin + run))
}

/// A back covered by discs, which recognisers take for zeros and lose some of: nothing but zeros and mask characters
/// after the seventh digit. Six zeros were never given out as a back.
fn discs_at(chars: &[char], from: usize) -> Option<BackHalf> {
    let disc = |c: &&char| **c == '0' || **c == 'o' || is_mask(**c);
    let run = chars.get(from + 1..)?.iter().take(9).take_while(disc).count();
    let to = from + 1 + run;
    let real = chars[from..to].iter().filter(|c| is_mask(**c) && !matches!(c, 'O' | '·' | 'X')).count();
    let ends = chars.get(to).is_none_or(|c| digit(*c, true).is_none());
    if !ends || !(run >= 4 || real > 0 && run >= 2) {
        return None;
    }
    // A zero in the seventh place, before nothing but zeros, is a disc as well.
    let seventh = digit(chars[from], false).map(|(d, _)| d).filter(|d| *d != 0);
    Some((seventh, Back::Masked, false, 0, to))
}

#[cfg(test)]
#[path = "rrn_tests.rs"]
mod tests;
