//! Published specimens: the names, the words printed over them and the document numbers that only they have.
//!
//! Always: each entry is an identity that its issuer (or ICAO) publishes to show what a document looks like; no entry is
//! about a picture. A name that real people have counts only together with the rest of the specimen's.

use super::check::as_letter;

/// Document numbers of published specimens, by their issuer. An issuer gives out a number once.
const NUMBERS: [(&[u8; 3], &[u8]); 17] = [
    (b"BEL", b"590335801"),
    (b"CAN", b"ZE000509<"),
    (b"CHE", b"S0002068<"),
    (b"D<<", b"122066666"),
    (b"D<<", b"C01X0006H"),
    (b"D<<", b"C01X00T47"),
    (b"D<<", b"L01X00T47"),
    (b"D<<", b"LZ6311T47"),
    (b"D<<", b"T22000129"),
    (b"FIN", b"XP8271602"),
    (b"FRA", b"60RF00809"),
    // The card of 1988 to 2021 has twelve digits.
    (b"FRA", b"940992310285"),
    (b"HUN", b"BD0002028"),
    (b"POL", b"AB3000000"),
    (b"POL", b"ABA300000"),
    (b"SVN", b"099991001"),
    (b"UTO", b"L898902C3"),
];

/// Whether a number, with its fillers, is a specimen's: a published one, or zeros alone, which are never given out.
pub(super) fn is_number(issuer: &[u8], number: &[u8]) -> bool {
    let digits = || number.iter().filter(|c| c.is_ascii_digit());
    let zeros = digits().count() >= 6 && digits().all(|c| *c == b'0');
    zeros || NUMBERS.iter().any(|(of, known)| of.as_slice() == issuer && *known == number)
}

/// Whether a line of a machine-readable zone names a specimen, wherever it lies. A recogniser takes fillers for letters,
/// so the long names are looked for inside of words too: no other name has them.
pub(super) fn in_line(line: &[u8]) -> bool {
    const INSIDE: [&[u8]; 5] = [b"SPECIMEN", b"MUSTERMANN", b"MUSTERFRAU", b"FACSIMILE", b"HONG<<GILDONG"];
    let fillers = line.iter().filter(|c| **c == b'<').count();
    fillers >= 2
        && (is_specimen_text(line.split(|c| *c == b'<'))
            || INSIDE.iter().any(|name| line.windows(name.len()).any(|w| w == *name)))
}

/// Whether the words of a line name a published specimen: a word that is printed over specimens or made up for them, or
/// the whole name of a known one. Words that are also names of real people (Test, Citizen, Eriksson) say nothing alone.
pub(crate) fn is_specimen_text<'a>(words: impl Iterator<Item = &'a [u8]>) -> bool {
    const PEOPLE: [[&[u8]; 2]; 10] = [
        [b"CITIZEN", b"JANE"],
        [b"CITIZEN", b"JOHN"],
        [b"JANE", b"CITIZEN"],
        [b"JOHN", b"CITIZEN"],
        [b"TEST", b"TEST"],
        [b"ESPANOLA", b"ESPANOLA"],
        // Switzerland's, and Korea's.
        [b"VADIS", b"QUO"],
        [b"QUO", b"VADIS"],
        [b"HONG", b"GILDONG"],
        [b"GILDONG", b"HONG"],
    ];
    let mut last: &[u8] = b"";
    words.filter(|w| !w.is_empty()).any(|word| {
        // An MRZ has the issuer (three letters) right before the first name.
        let known = PEOPLE.iter().any(|p| last.ends_with(p[0]) && last.len() <= p[0].len() + 3 && word == p[1]);
        last = word;
        known || is_specimen_word(word)
    })
}

/// Whether a word is one that only published specimens have; one letter of a long one may be misread.
fn is_specimen_word(word: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"SPECIMEN",
        b"ESPECIMEN",
        b"MUSTER",
        b"MUSTERMANN",
        b"MUSTERFRAU",
        b"SAMPLE",
        b"VOID",
        b"VZOR",
        b"VZOREC",
        b"UZORAK",
        b"WZOR",
        b"MINTA",
        b"NAYTE",
        b"FACSIMILE",
    ];
    let letters = word.iter().map(|c| as_letter(*c).unwrap_or(*c));
    NAMES.iter().any(|name| {
        let wrong = letters.clone().zip(name.iter()).filter(|(a, b)| a != *b).count();
        name.len() == word.len() && wrong <= usize::from(name.len() >= 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_for_their_issuer_and_zeros_for_everybody() {
        assert!(is_number(b"D<<", b"122066666") && !is_number(b"USA", b"122066666"));
        assert!(is_number(b"CHE", b"S0002068<") && !is_number(b"CHE", b"S0002069<"));
        assert!(is_number(b"POL", b"AA0000000") && is_number(b"LTU", b"00000000<"));
        assert!(
            !is_number(b"POL", b"AA0000001") && !is_number(b"POL", b"AB000<<<<") && !is_number(b"XXX", b"<<<<<<<<<")
        );
    }

    #[test]
    fn lines_name_specimens_wherever_they_lie_and_whatever_became_of_their_fillers() {
        for line in [
            &b"VZOREC<<TINA<<<<<<<<<<<<<<<<<<"[..],
            b"P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<<",
            b"PKDKKMUSTERMANNKKERIKA<<KK<<<<<<<<<<<<<<<<<<",
            b"P<AUSCITIZEN<<JOHN<<<<<<<<<<<<<<<<<<<<<<<<<<",
            b"VADIS<<QUO<<<<<<<<<<<<<<<<<<<<",
            b"PMKORHONG<<GILDONG<<<<<<<<<<<<<<<<<<<<<<<<<<",
        ] {
            assert!(in_line(line));
        }
        for line in [
            &b"P<FINVIRTANEN<<MARIA<OLIVIA<<<<<<<<<<<<<<<<<"[..],
            b"P<AUSCITIZEN<<KARL<<<<<<<<<<<<<<<<<<<<<<<<<<",
            b"PMKORHONG<<KILSUK<<<<<<<<<<<<<<<<<<<<<<<<<<<",
            b"MUSTERING",
        ] {
            assert!(!in_line(line));
        }
    }
}
