//! From a row with a core to a reading: which layout it is, which check digits hold, what else it says.
//!
//! Always: a composite digit is only believed over strings of exactly the layout's length. Optional data are used for
//! the check digits and dropped here (the optional data of a Korean passport until 2020 hold the tail of a resident
//! number).

use super::check::{as_digit, as_letter, holds, twin};
use super::core::{Core, LENGTH, Parts, parts};
use super::fit;
use super::rows::Row;
use super::specimens;
use crate::evidence::text::Place;
use crate::terms::DocumentKind;
use zeroize::{Zeroize, Zeroizing};

/// What one row (with its neighbours) says.
pub(crate) struct Reading {
    pub(crate) kind: DocumentKind,
    pub(crate) birth: Parts,
    /// The birth date's own check digit.
    pub(crate) birth_holds: bool,
    pub(crate) expiry: Option<Parts>,
    pub(crate) expiry_holds: bool,
    pub(crate) number_holds: bool,
    /// The composite digit; `None` where the layout has none, or a line it needs was not seen.
    pub(crate) composite: Option<bool>,
    /// The birth date was mended by position class.
    pub(crate) birth_mended: bool,
    /// Something else was mended.
    pub(crate) mended: bool,
    /// The composite holds for another than the first way of restoring lost fillers: it has been searched with.
    pub(crate) guessed: bool,
    /// An issuer's departure from the layout was allowed for.
    pub(crate) nonconforming: bool,
    /// The holder or issuer is a published specimen.
    pub(crate) specimen: bool,
    pub(crate) place: Place,
    pub(crate) pass: u8,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.birth.zeroize();
        self.expiry.zeroize();
    }
}

/// A second line (or third part) put together: its text at the right length, and what holds.
struct Fitted {
    number_holds: bool,
    /// The number is that of a published specimen.
    specimen: bool,
    composite: Option<bool>,
    mended: bool,
    guessed: bool,
    nonconforming: bool,
}

impl Fitted {
    /// Nothing but what is known of the composite.
    fn unread(composite: Option<bool>) -> Self {
        Self { number_holds: false, specimen: false, composite, mended: false, guessed: false, nonconforming: false }
    }
}

/// Reads a core in its row. `rows` are all rows of the page, for the line above.
pub(super) fn read(row: &Row, core: &Core, rows: &[Row]) -> Option<Reading> {
    let before = &row.text[..core.at];
    let after = &row.text[core.at + LENGTH..];
    let above = super::above::lines_above(row, rows);
    let card = before.len() <= 3 && after.len() >= 3;
    let (kind, fitted, first) = if card {
        let (fitted, first) = td1(core, after, &above);
        (DocumentKind::Td1, fitted, first)
    } else {
        two_lines(before, core, after, &above)
    };
    let expiry = parts(&core.text[8..14]);
    let nation = if card {
        row.text.get(core.at + LENGTH..core.at + LENGTH + 3)
    } else {
        before.last_chunk().map(|n: &[u8; 3]| &n[..])
    };
    let specimen = fitted.specimen || super::above::specimen(row, nation, first.as_deref(), &above);
    Some(Reading {
        kind,
        birth: parts(&core.text[..6])?,
        birth_holds: core.birth_holds,
        expiry,
        expiry_holds: core.expiry_holds,
        number_holds: fitted.number_holds,
        composite: fitted.composite,
        birth_mended: core.birth_mended,
        mended: fitted.mended,
        guessed: fitted.guessed,
        nonconforming: fitted.nonconforming,
        specimen,
        place: row.place,
        pass: row.pass,
    })
}

/// Which layout two lines are, from the first one if it was seen, else from the length of the second.
fn two_lines(
    before: &[u8],
    core: &Core,
    after: &[u8],
    above: &[&Row],
) -> (DocumentKind, Fitted, Option<Zeroizing<Vec<u8>>>) {
    use DocumentKind::{MrvA, MrvB, Td2, Td3};
    let first = above.iter().find_map(|r| super::above::first_line(&r.text));
    let length = before.len().max(13) + LENGTH + after.len();
    let long = length.max(first.as_ref().map_or(0, |f| f.len())) >= 40;
    let code = first.as_ref().and_then(|f| f.first().copied());
    let fitted = |n: usize| fit_two(before, core, after, n);
    let (kind, fitted) = match code {
        Some(b'V') => (if long { MrvA } else { MrvB }, fit_two(before, core, after, 0)),
        Some(b'P') => (Td3, fitted(16)),
        _ if long => (Td3, fitted(16)),
        _ => {
            let td2 = fitted(8);
            // A passport whose fillers were lost is as short as a TD2; the composite knows.
            let td3 = if td2.composite == Some(true) || code.is_some() { None } else { Some(fitted(16)) };
            match td3 {
                Some(td3) if td3.composite == Some(true) => (Td3, Fitted { guessed: true, ..td3 }),
                _ => (Td2, td2),
            }
        }
    };
    (kind, fitted, first)
}

/// TD2, TD3 (`rest` 8 or 16 characters after the core) and visas (`rest` 0: no composite exists).
fn fit_two(before: &[u8], core: &Core, after: &[u8], rest: usize) -> Fitted {
    let mut best = Fitted::unread((rest > 0).then_some(false));
    let mut tried = 0;
    for head in fit::head(before, 13) {
        let head = Zeroizing::new(head);
        if !is_nationality(&head[10..13]) {
            continue;
        }
        let tails = if rest == 0 { vec![after.to_vec()] } else { fit::tail(after, rest) };
        for tail in tails {
            let tail = Zeroizing::new(tail);
            let found = Fitted { guessed: tried > 0, ..judge_two(&head, core, &tail, rest) };
            tried += 1;
            if rank(&found) > rank(&best) {
                best = found;
            }
        }
    }
    best
}

fn rank(f: &Fitted) -> (bool, bool, bool) {
    (f.composite == Some(true), f.number_holds, !f.mended)
}

/// Letters and fillers, mended by class, and not fillers alone.
fn is_nationality(three: &[u8]) -> bool {
    three.iter().all(|c| as_letter(*c).is_some()) && three.iter().any(|c| *c != b'<')
}

fn judge_two(head: &[u8], core: &Core, tail: &[u8], rest: usize) -> Fitted {
    let number = Zeroizing::new(head[..9].to_vec());
    let digit = as_digit(head[9]).unwrap_or(head[9]);
    let (number_holds, nonconforming) = number_check(&number, digit, tail);
    let composite = |number: &[u8]| -> Option<bool> {
        if rest == 0 {
            return None;
        }
        let last = as_digit(*tail.get(rest - 1)?)?;
        let mut all = Zeroizing::new(number.to_vec());
        all.push(digit);
        all.extend_from_slice(&core.text[..7]);
        all.extend_from_slice(&core.text[8..15]);
        all.extend_from_slice(&tail[..rest - 1]);
        if rest == 16
            && let Some(slot) = all.last_mut()
        {
            *slot = as_digit(*slot).unwrap_or(*slot);
        }
        Some(holds(&all, last))
    };
    let specimen = number_holds && specimens::is_number(&head[10..13], &number);
    let plain =
        Fitted { number_holds, specimen, composite: composite(&number), mended: false, guessed: false, nonconforming };
    if number_holds || rest == 0 {
        return plain;
    }
    let own = |n: &[u8]| digit != b'<' && holds(n, digit);
    match mended_number(&number, |n| own(n) && composite(n) == Some(true)) {
        true => Fitted { number_holds: true, mended: true, ..Fitted::unread(Some(true)) },
        false => plain,
    }
}

/// Whether exactly one of the readings with at most two exchanged look-alikes (16 tried at most) passes `ok`.
/// Document numbers only: both the number's own digit and the composite must hold.
fn mended_number(number: &[u8], ok: impl Fn(&[u8]) -> bool) -> bool {
    let spots: Vec<(usize, u8)> =
        number.iter().enumerate().flat_map(|(i, c)| twin(*c).iter().map(move |t| (i, *t))).collect();
    let single = spots.iter().map(|s| vec![*s]);
    let double = spots
        .iter()
        .enumerate()
        .flat_map(|(n, a)| spots[n + 1..].iter().filter(|b| b.0 != a.0).map(|b| vec![*a, *b]).collect::<Vec<_>>());
    let mut passed = 0;
    for changes in single.chain(double).take(16) {
        let mut tried = Zeroizing::new(number.to_vec());
        for (at, c) in changes {
            tried[at] = c;
        }
        passed += usize::from(ok(&tried));
    }
    passed == 1
}

/// The number's own check digit, with the overflow rule of long numbers: `<` in its place means that the number goes on
/// in the optional data. Gives (holds, nonconforming): a Swedish specimen counts the filler too.
fn number_check(number: &[u8], digit: u8, optional: &[u8]) -> (bool, bool) {
    if digit != b'<' {
        return (holds(number, digit), false);
    }
    let run: Vec<u8> = optional.iter().copied().take_while(|c| *c != b'<').collect();
    let Some((last, more)) = run.split_last() else {
        return (false, false);
    };
    let last = as_digit(*last).unwrap_or(*last);
    let whole = Zeroizing::new([number, more].concat());
    let with_filler = Zeroizing::new([number, b"<", more].concat());
    match (holds(&whole, last), holds(&with_filler, last)) {
        (true, _) => (true, false),
        (false, true) => (true, true),
        _ => (false, false),
    }
}

/// TD1: the composite runs over two lines, so it is known only when the line above was seen.
fn td1(core: &Core, after: &[u8], above: &[&Row]) -> (Fitted, Option<Zeroizing<Vec<u8>>>) {
    let mut best = Fitted::unread(None);
    let mut first = None;
    let mut starts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let mut tried = 0;
    for row in above {
        let Some(start) = super::above::first_line(&row.text) else { continue };
        // The same line from another pass is no other attempt.
        if starts.contains(&start) {
            continue;
        }
        for line in fit::tail(&start, 30) {
            let line = Zeroizing::new(line);
            for tail in fit::tail(after, 15) {
                let tail = Zeroizing::new(tail);
                let found = Fitted { guessed: tried > 0, ..judge_td1(&line, core, &tail) };
                tried += 1;
                if first.is_none() || rank(&found) > rank(&best) {
                    best = found;
                    first = Some(line.clone());
                }
            }
        }
        starts.push(start);
    }
    (best, first)
}

fn judge_td1(line: &[u8], core: &Core, tail: &[u8]) -> Fitted {
    let number = Zeroizing::new(line[5..14].to_vec());
    let digit = as_digit(line[14]).unwrap_or(line[14]);
    let (number_holds, nonconforming) = number_check(&number, digit, &line[15..]);
    let composite = |number: &[u8]| -> Option<bool> {
        let last = as_digit(tail[14])?;
        let mut all = Zeroizing::new(number.to_vec());
        all.push(digit);
        all.extend_from_slice(&line[15..30]);
        all.extend_from_slice(&core.text[..7]);
        all.extend_from_slice(&core.text[8..15]);
        all.extend_from_slice(&tail[3..14]);
        Some(holds(&all, last))
    };
    let plain = Fitted {
        number_holds,
        specimen: number_holds && specimens::is_number(&line[2..5], &number),
        composite: Some(composite(&number) == Some(true)),
        mended: false,
        guessed: false,
        nonconforming,
    };
    if number_holds || digit == b'<' {
        return plain;
    }
    match mended_number(&number, |n| holds(n, digit) && composite(n) == Some(true)) {
        true => Fitted { number_holds: true, mended: true, ..Fitted::unread(Some(true)) },
        false => plain,
    }
}
