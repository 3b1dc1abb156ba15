//! ICAO 9303 check digits, and what a recogniser confuses by the class of a position.
//!
//! Always: a repair is by position class only (a letter where only a digit can stand). No date is ever searched for.

/// The value of an MRZ character: digits, then letters from 10, the filler 0.
pub(super) fn value(c: u8) -> u32 {
    match c {
        b'0'..=b'9' => u32::from(c - b'0'),
        b'A'..=b'Z' => u32::from(c - b'A') + 10,
        _ => 0,
    }
}

/// The check digit over `field`, weights 7 3 1.
pub(crate) fn check_digit(field: &[u8]) -> u8 {
    let sum: u32 = field.iter().zip([7, 3, 1].into_iter().cycle()).map(|(c, w)| value(*c) * w).sum();
    b'0' + u8::try_from(sum % 10).expect("a remainder by ten")
}

/// Whether `digit` is the check digit over `field`.
pub(crate) fn holds(field: &[u8], digit: u8) -> bool {
    check_digit(field) == digit
}

/// The digit that `c` must be where only digits can stand (PEYE, and L T A U); a filler stays.
pub(crate) fn as_digit(c: u8) -> Option<u8> {
    Some(match c {
        b'0'..=b'9' | b'<' => c,
        b'C' | b'D' | b'O' | b'Q' | b'U' => b'0',
        b'I' | b'L' => b'1',
        b'Z' => b'2',
        b'A' => b'4',
        b'S' => b'5',
        b'G' => b'6',
        b'T' => b'7',
        b'B' => b'8',
        _ => return None,
    })
}

/// The letter that `c` must be where only letters can stand; a filler stays.
pub(crate) fn as_letter(c: u8) -> Option<u8> {
    Some(match c {
        b'A'..=b'Z' | b'<' => c,
        b'0' => b'O',
        b'1' => b'I',
        b'2' => b'Z',
        b'4' => b'A',
        b'5' => b'S',
        b'6' => b'G',
        b'8' => b'B',
        _ => return None,
    })
}

/// The other character that `c` may be in a document number, where letters and digits both stand.
pub(crate) fn twin(c: u8) -> &'static [u8] {
    match c {
        b'0' => b"ODQ",
        b'O' | b'D' | b'Q' => b"0",
        b'1' => b"I",
        b'I' => b"1",
        b'2' => b"Z",
        b'Z' => b"2",
        b'5' => b"S",
        b'S' => b"5",
        b'8' => b"B",
        b'B' => b"8",
        b'6' => b"G",
        b'G' => b"6",
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specimens_of_doc_9303() {
        for (field, digit) in [
            ("L898902C3", b'6'),
            ("740812", b'2'),
            ("120415", b'9'),
            ("ZE184226B<<<<<", b'1'),
            ("000590696101", b'5'),
            ("1234567890", b'7'),
            ("<<<<<<", b'0'),
        ] {
            assert!(holds(field.as_bytes(), digit), "{field}");
        }
    }

    #[test]
    fn blind_spots_are_where_the_values_are_equal_by_ten() {
        for (a, b) in [(b'<', b'K'), (b'0', b'U'), (b'1', b'L'), (b'6', b'G'), (b'A', b'<')] {
            assert_eq!(check_digit(&[a]), check_digit(&[b]));
        }
        for (a, b) in [(b'0', b'O'), (b'0', b'D'), (b'1', b'I'), (b'2', b'Z'), (b'5', b'S'), (b'8', b'B'), (b'4', b'A')]
        {
            assert_ne!(check_digit(&[a]), check_digit(&[b]));
        }
    }

    #[test]
    fn every_single_wrong_digit_of_a_date_is_seen() {
        for at in 0..6 {
            for d in b'0'..=b'9' {
                let mut field = *b"740812";
                field[at] = d;
                assert_eq!(holds(&field, b'2'), d == b"740812"[at]);
            }
        }
    }
}
