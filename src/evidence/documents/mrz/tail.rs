//! The tail of a resident number in a Korean passport: until 2020 the optional data of its second line began with the
//! seven digits that follow the date of birth in the holder's number.
//!
//! Always: the seven are replaced by six zeros and one digit that adds the same to every check digit over them (the
//! field's own and the composite begin their weights alike there), so that whatever held still holds. What is left says
//! what the digits add up to by ten, and nothing else.

use super::check::{as_digit, value};
use zeroize::Zeroizing;

/// Digits of the tail.
const TAIL: usize = 7;
/// Birth date, digit, sex, expiry date, digit.
const CORE: usize = super::core::LENGTH;
/// The weights of the seven, as the first characters of the optional data.
const WEIGHTS: [u32; TAIL] = [7, 3, 1, 7, 3, 1, 7];

/// Covers the tails in a line of Korean passports, and says between which characters they stood. One that `is_one` denies,
/// which is given the line and where it stands, stays.
pub(crate) fn cover_tails(line: &mut [char], is_one: impl Fn(&[char], (usize, usize)) -> bool) -> Vec<(usize, usize)> {
    // Positions of what is of the alphabet: recognisers put spaces and marks between.
    let own = |c: char| u8::try_from(c).ok().map(|b| b.to_ascii_uppercase());
    let own = |c: char| own(c).filter(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'<');
    let all: Zeroizing<Vec<(usize, u8)>> =
        Zeroizing::new(line.iter().enumerate().filter_map(|(at, c)| Some((at, own(*c)?))).collect());
    let (mut covered, mut from) = (Vec::new(), 0);
    while let Some(at) = (from..all.len()).find(|at| is_korean(&all, *at)) {
        from = at + 3 + CORE + TAIL;
        let Some(tail @ [first, .., end]) = all.get(from - TAIL..from) else { break };
        let span = (first.0, end.0 + 1);
        if !is_one(line, span) {
            continue;
        }
        let sum: u32 = tail.iter().zip(WEIGHTS).map(|((_, c), weight)| value(*c) * weight).sum();
        // 3 is what 7 must be multiplied with to give 1, by ten.
        let last = char::from_digit(sum * 3 % 10, 10).unwrap_or('0');
        for (n, (place, _)) in tail.iter().enumerate() {
            if let Some(c) = line.get_mut(*place) {
                *c = if n + 1 == TAIL { last } else { '0' };
            }
        }
        covered.push(span);
    }
    covered
}

/// Whether the nationality stands here, and after it the core of a second line and seven digits.
fn is_korean(all: &[(usize, u8)], at: usize) -> bool {
    let Some(line) = all.get(at..at + 3 + CORE + TAIL) else { return false };
    let is_digit = |n: usize| line.get(n).is_some_and(|(_, c)| as_digit(*c).is_some_and(|d| d.is_ascii_digit()));
    let nation = line.iter().take(3).map(|(_, c)| *c).eq(*b"KOR") || line.iter().take(3).map(|(_, c)| *c).eq(*b"K0R");
    let sex = line.get(10).is_some_and(|(_, c)| matches!(c, b'M' | b'F' | b'X' | b'<'));
    nation && sex && (3..10).chain(11..3 + CORE + TAIL).all(is_digit)
}
