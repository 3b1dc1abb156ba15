//! Text made comparable: one alphabet for digits, dashes and capitals, whatever the recogniser or a hostile picture gave.
//!
//! Always: at most [`CAP`] characters a line, no control, joining or direction marks, full-width forms folded, Latin
//! letters in capitals without accents. The memory is overwritten when the text is dropped.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use zeroize::Zeroizing;

/// The most characters of one line that are looked at.
pub(crate) const CAP: usize = 256;

/// One line, cleaned.
pub(crate) struct Clean(Zeroizing<Vec<char>>);

impl Clean {
    /// Cleans `raw`. Bounded work: what lies beyond [`CAP`] characters is not looked at.
    pub(crate) fn new(raw: &str) -> Self {
        let mut out = Zeroizing::new(Vec::with_capacity(CAP));
        for c in raw.chars().take(CAP).nfkd().filter(|c| !is_combining_mark(*c)).nfc().take(CAP) {
            push(&mut out, c);
        }
        out.truncate(CAP);
        Self(out)
    }

    /// The characters.
    pub(crate) fn chars(&self) -> &[char] {
        &self.0
    }
}

fn push(out: &mut Vec<char>, c: char) {
    match c {
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '﹣' | '－' => out.push('-'),
        '•' | '∙' | '・' => out.push('·'),
        '。' => out.push('.'),
        '、' => out.push(','),
        'ß' => out.extend(['S', 'S']),
        'Æ' | 'æ' => out.extend(['A', 'E']),
        'Œ' | 'œ' => out.extend(['O', 'E']),
        'Ø' | 'ø' => out.push('O'),
        'Ł' | 'ł' => out.push('L'),
        'Đ' | 'đ' | 'Ð' | 'ð' => out.push('D'),
        'ı' => out.push('I'),
        'ə' | 'Ə' => out.push('E'),
        c if c.is_whitespace() => out.push(' '),
        c if c.is_control() || is_invisible(c) => {}
        c => out.extend(c.to_uppercase().take(2)),
    }
}

/// Zero-width and direction marks: they change how a line looks, never what it says.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{00ad}')
}

/// The letters of `chars` alone (any script), with the position each came from. Labels are compared on this.
pub(crate) fn letters(chars: &[char]) -> (Vec<char>, Vec<usize>) {
    chars.iter().enumerate().filter(|(_, c)| c.is_alphabetic()).map(|(i, c)| (*c, i)).unzip()
}

/// Where `needle` begins in `hay`, allowing `wrong` substituted characters.
pub(crate) fn find_fuzzy(hay: &[char], needle: &[char], wrong: usize) -> Option<usize> {
    if needle.is_empty() || hay.len() < needle.len() {
        return None;
    }
    hay.windows(needle.len())
        .position(|w| w.iter().zip(needle).filter(|(a, b)| a != b).take(wrong + 1).count() <= wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(s: &str) -> String {
        Clean::new(s).chars().iter().collect()
    }

    #[test]
    fn forms_are_folded() {
        assert_eq!(clean("９００１０１－１"), "900101-1");
        assert_eq!(clean("Né(e) le — Łódź ß"), "NE(E) LE - LODZ SS");
        assert_eq!(clean("1\u{202e}2\u{200b}3\t4"), "123 4");
        assert_eq!(clean("昭和61年"), "昭和61年");
    }

    #[test]
    fn hostile_lines_are_cut() {
        assert!(Clean::new(&"\u{fdfa}".repeat(10_000)).chars().len() <= CAP);
        assert!(Clean::new(&"a\u{301}".repeat(10_000)).chars().len() <= CAP);
    }

    #[test]
    fn one_wrong_letter_is_forgiven_only_when_asked() {
        let hay: Vec<char> = "XXDATEOFBLRTHYY".chars().collect();
        let needle: Vec<char> = "DATEOFBIRTH".chars().collect();
        assert_eq!(find_fuzzy(&hay, &needle, 1), Some(2));
        assert_eq!(find_fuzzy(&hay, &needle, 0), None);
    }
}
