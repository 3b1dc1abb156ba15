//! Masks resident numbers in the text of a page: right after lines were read, before any other step looks at them.
//!
//! Always: of a number that is shown in full, digits 8 to 13 are replaced in the line itself by marks that keep what
//! their checksum said (see `rrn`); in a Korean passport of before 2020, whose machine-readable line ends in the tail of
//! the number, the tail is replaced by six zeros and the one digit that leaves the check digits as they were. Parsing a
//! masked page finds what parsing the page would have found, so that masking costs no witness. The text before it is
//! overwritten. What lies in a machine-readable line of another document and only looks like a number stays as it is.

use super::mrz;
use super::rows::{self, Row};
use super::rrn;
use crate::evidence::text::{Alphabet, Line};
use crate::secret::Sensitive;
use zeroize::Zeroizing;

/// Takes in lines as they were read, all lines of one reading at once: marks that they bring along are not ours, and
/// their numbers are masked. Says whether the tail of a passport was among them.
pub(crate) fn take_in(lines: &mut [Line]) -> bool {
    for line in &mut *lines {
        rrn::forget_marks(&mut line.text);
    }
    mask(lines)
}

fn mask(lines: &mut [Line]) -> bool {
    let kinds: [fn(Alphabet) -> bool; 2] = [|a| a != Alphabet::Mrz, |a| a == Alphabet::Mrz];
    // Tails before numbers: a tail could be taken for a part of one.
    let tails = mask_tails(lines);
    for kind in kinds {
        // Line by line first: of rows only a bounded part is looked at.
        for at in 0..lines.len() {
            let alone = lines.get(at..=at).unwrap_or_default();
            for row in rows::rows_of(alone, kind) {
                cover(lines, at, row);
            }
        }
        for row in rows::rows_of(lines, kind) {
            cover(lines, 0, row);
        }
    }
    tails
}

/// Covers the tails of lines, and of lines in several boxes, which are joined as the machine-readable zone's reader joins them.
fn mask_tails(lines: &mut [Line]) -> bool {
    let alone = (0..lines.len()).map(|at| vec![at]);
    let groups: Vec<Vec<usize>> = alone.chain(mrz::side_by_side(lines)).collect();
    let mut tails = false;
    for members in &groups {
        let texts = || members.iter().filter_map(|at| lines.get(*at)).map(|line| line.text.expose());
        let mut chars = Zeroizing::new(Vec::with_capacity(texts().map(String::len).sum()));
        let mut boxes = Vec::with_capacity(members.len());
        for text in texts() {
            let from = chars.len();
            chars.extend(text.chars());
            boxes.push((from, chars.len()));
        }
        let touched = |span: (usize, usize)| -> Vec<usize> {
            (0..boxes.len()).filter(|n| boxes.get(*n).is_some_and(|part| part.0 < span.1 && span.0 < part.1)).collect()
        };
        let text = |chars: &[char], n: usize| -> Option<Sensitive<String>> {
            boxes.get(n).and_then(|part: &(usize, usize)| chars.get(part.0..part.1)).map(text_of)
        };
        // What has marks like a date or a number on a card is no end of somebody's line.
        let marked = |text: Sensitive<String>| text.expose().contains(['.', '-', '/']);
        let is_one = |chars: &[char], span| {
            boxes.len() == 1 || !touched(span).iter().any(|n| text(chars, *n).is_none_or(marked))
        };
        for span in mrz::cover_tails(&mut chars, is_one) {
            tails = true;
            for n in touched(span) {
                if let (Some(text), Some(line)) = (text(&chars, n), members.get(n).and_then(|at| lines.get_mut(*at))) {
                    line.text = text;
                }
            }
        }
    }
    tails
}

/// Covers the numbers of a row.
fn cover(lines: &mut [Line], first: usize, mut row: Row) {
    let machine = in_machine_line(&row);
    for span in rrn::cover(&mut row.text, machine) {
        write_back(lines, first, &row, span);
    }
}

/// Writes characters `from..to` of a row back to the lines that they came from.
fn write_back(lines: &mut [Line], first: usize, row: &Row, (from, to): (usize, usize)) {
    for (span, line) in row.boxes.iter().zip(&row.lines) {
        let touched = span.0 < to && from < span.1;
        if let (true, Some(line), Some(part)) = (touched, lines.get_mut(first + line), row.text.get(span.0..span.1)) {
            line.text = text_of(part);
        }
    }
}

/// The characters as one text that never grows: growing leaves copies behind.
fn text_of(chars: &[char]) -> Sensitive<String> {
    let mut text = Sensitive::new(String::with_capacity(chars.iter().map(|c| c.len_utf8()).sum()));
    text.expose_mut().extend(chars);
    text
}

/// Whether a row is a line of a machine-readable zone.
fn in_machine_line(row: &Row) -> bool {
    let fillers = row.text.iter().filter(|c| matches!(c, '<' | '«')).count();
    let own =
        row.text.iter().filter(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '<' | '«')).count();
    fillers >= 2 && own >= 28
}

#[cfg(test)]
mod tests {
    use super::super::kr_card;
    use super::*;
    use crate::evidence::text::{Page, Place};
    use proptest::prelude::*;

    fn line(text: &str, left: f32, top: f32, pass: u8, alphabet: Alphabet) -> Line {
        let place = Place { left, top, right: left + 12.0 * text.chars().count() as f32, bottom: top + 20.0 };
        Line { text: Sensitive::new(text.to_owned()), place, alphabet, pass }
    }

    /// The longest run of digits of the number, with nothing between them but what cards print there.
    fn longest_run(text: &str, number: &str) -> usize {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '~' | '¦')).collect();
        (1..=number.len())
            .rev()
            .find(|n| (0..=number.len() - n).any(|at| digits.contains(&number[at..at + n])))
            .unwrap_or(0)
    }

    type Seen = (bool, Option<u8>, bool, bool, bool, (usize, usize));

    /// Everything that parsing says of the numbers of a page.
    fn seen(lines: &[Line]) -> Vec<Seen> {
        let rows = rows::rows_of(lines, |a| a != Alphabet::Mrz);
        let card = kr_card::read(&rows, None);
        let told = |f: &kr_card::Found| {
            let open = match f.number.back {
                rrn::Back::Open(rrn::Checksum::Match) => Some(1),
                rrn::Back::Open(rrn::Checksum::Mismatch) => Some(0),
                rrn::Back::Masked => None,
            };
            let n = &f.number;
            (n.has_century(), open, n.repaired, n.separated, n.sample, n.span)
        };
        card.numbers.iter().chain(&card.halves).map(told).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn whatever_stands_on_a_line_says_the_same_when_it_is_masked(
            text in "[0-9 -]{6,40}|[0-9OISZB*. ~-]{6,40}|[0-9]{1,8}[- ]?[0-9]{5,20}([- ][0-9]{1,8})?",
        ) {
            let plain = vec![line(&text, 0.0, 0.0, 0, Alphabet::Ascii)];
            let mut masked = vec![line(&text, 0.0, 0.0, 0, Alphabet::Ascii)];
            take_in(&mut masked);
            prop_assert_eq!(seen(&plain), seen(&masked), "{}", masked[0].text.expose());
        }
    }

    fn number(foreign: bool, random_back: &[u8]) -> String {
        let front = if foreign { [9, 0, 1, 2, 3, 1, 5] } else { [8, 5, 0, 2, 2, 8, 2] };
        front.iter().chain(random_back).map(|d| char::from(b'0' + d)).collect()
    }

    /// How a number may be printed and read: joined, split over boxes, with letters for digits.
    fn printed(number: &str, way: u8, letters: &[usize]) -> Vec<String> {
        let look = |c: char| match c {
            '0' => 'O',
            '1' => 'I',
            '2' => 'Z',
            '5' => 'S',
            '6' => 'G',
            '8' => 'B',
            other => other,
        };
        let chars = number.chars().enumerate();
        let text: String = chars.map(|(at, c)| if letters.contains(&at) { look(c) } else { c }).collect();
        let (front, back) = text.split_at(6);
        match way {
            0 => vec![format!("{front}-{back}")],
            1 => vec![format!("{front} {back}")],
            2 => vec![text],
            3 => vec![format!("{front}-"), back.to_owned()],
            4 => vec![front.to_owned(), format!("-{back}")],
            5 => vec![format!("주민 {front} - {back} 서울")],
            6 => vec![format!("No.{front}–{back}."), String::from("2020.01.01.")],
            _ => vec![format!("{front}-{}", &back[..1]), back[1..].to_owned()],
        }
    }

    proptest! {
        #[test]
        fn no_line_keeps_eight_digits_and_parsing_finds_what_it_found(
            foreign in any::<bool>(),
            back in prop::collection::vec(0u8..10, 6),
            way in 0u8..8,
            letters in prop::collection::vec(0usize..13, 0..3),
            other in "[A-Z0-9 .-]{0,20}",
        ) {
            let number = number(foreign, &back);
            let mut lines = Vec::new();
            for pass in 0..2 {
                let mut left = 10.0;
                for part in printed(&number, way, &letters) {
                    lines.push(line(&part, left, 40.0, pass, Alphabet::Ascii));
                    left += 12.0 * part.chars().count() as f32 + 6.0;
                }
                lines.push(line(&other, 10.0, 90.0, pass, Alphabet::Full));
                lines.push(line("HONG 2019.03.04.", 10.0, 130.0, pass, Alphabet::Full));
            }
            let before = seen(&lines);
            mask(&mut lines);
            prop_assert_eq!(&seen(&lines), &before);
            let rows = rows::rows_of(&lines, |_| true);
            // Where a number was found in full, nothing is left of it; where none was, nothing was parsed either.
            if before.iter().any(|one| one.1.is_some()) {
                for text in lines.iter().map(|l| l.text.expose().clone()).chain(rows.iter().map(|r| r.text.iter().collect())) {
                    prop_assert!(longest_run(&text, &number) < 8, "{}", text.len());
                }
            }
            mask(&mut lines);
            prop_assert_eq!(seen(&lines), before, "masking twice is masking once");
        }
    }

    #[test]
    fn a_plain_number_is_always_found() {
        // The last way sets the last six digits apart, which no card does: no line has eight digits there.
        for way in 0..7 {
            let number = number(false, &[9, 9, 0, 1, 2, 7]);
            let mut lines = Vec::new();
            let mut left = 10.0;
            for part in printed(&number, way, &[]) {
                lines.push(line(&part, left, 40.0, 0, Alphabet::Ascii));
                left += 12.0 * part.chars().count() as f32 + 6.0;
            }
            assert!(lines.iter().any(|l| longest_run(l.text.expose(), &number) >= 6));
            mask(&mut lines);
            assert_eq!(seen(&lines).iter().filter(|one| one.1.is_some()).count(), 1, "{way}");
            assert!(lines.iter().all(|l| longest_run(l.text.expose(), &number) < 8), "{way}");
        }
    }

    #[test]
    fn marks_that_come_from_outside_are_not_believed() {
        let mut lines =
            vec![line("900101-1\u{e001}\u{e001}\u{e001}\u{e001}\u{e001}\u{e001}", 0.0, 0.0, 0, Alphabet::Full)];
        take_in(&mut lines);
        assert!(seen(&lines).iter().all(|one| one.1.is_none()));
    }

    #[test]
    fn the_tail_of_a_korean_passport_goes_and_its_check_digits_hold() {
        // A specimen: the number's tail stands right after the expiry date's digit.
        let first = "PMKORLEE<<SPECIMEN<<<<<<<<<<<<<<<<<<<<<<<<<<";
        let core = |tail: &str| {
            let number = "M70689098";
            let digit = |field: &str| char::from(mrz::check_digit(field.as_bytes()));
            let optional = format!("{tail}V10293847");
            let optional = &optional[..14];
            let (n, o) = (format!("{number}{}", digit(number)), format!("{optional}{}", digit(optional)));
            let (birth, expiry) = (format!("850228{}", digit("850228")), format!("300101{}", digit("300101")));
            let last = digit(&format!("{n}{birth}{expiry}{o}"));
            format!("{n}KOR{birth}F{expiry}{o}{last}")
        };
        for tail in ["2990127", "1111111", "4987654"] {
            let second = core(tail);
            assert_eq!(second.len(), 44);
            let mut page = Page {
                lines: vec![line(first, 10.0, 100.0, 0, Alphabet::Mrz), line(&second, 10.0, 130.0, 0, Alphabet::Mrz)],
                ..Page::default()
            };
            let holds = |page: &Page| mrz::read(page).readings.iter().any(|r| r.composite == Some(true));
            assert!(holds(&page));
            assert!(mask(&mut page.lines));
            assert!(holds(&page), "{tail}");
            assert!(page.lines.iter().all(|l| !l.text.expose().contains(&tail[1..])), "{tail}");
            let once = page.lines[1].text.expose().clone();
            assert!(mask(&mut page.lines));
            assert_eq!(&once, page.lines[1].text.expose());
        }
        assert!(!mask(&mut [line("L898902C36UTO7408122F1204159ZE184226B<<<<<10", 0.0, 0.0, 0, Alphabet::Mrz)]));
    }

    #[test]
    fn a_tail_in_a_line_of_several_boxes_goes_too() {
        // Number of the passport, nationality and dates, tail and what follows: broken wherever a detector may break it.
        let line_of = |parts: &[&str], alphabet| -> Vec<Line> {
            let mut left = 10.0;
            let place = |part: &&str| {
                let at = left;
                left += 12.0 * part.chars().count() as f32 + 4.0;
                line(part, at, 130.0, 0, alphabet)
            };
            parts.iter().map(place).collect()
        };
        let whole = "M706890983KOR8502282F30010112990127V10293880";
        for alphabet in [Alphabet::Mrz, Alphabet::Ascii, Alphabet::Full] {
            for cut in 11..35 {
                let (left, right) = whole.split_at(cut);
                let mut lines = line_of(&[left, right], alphabet);
                assert!(mask(&mut lines), "{cut}");
                let kept: String = lines.iter().map(|l| l.text.expose().as_str()).collect();
                assert!(longest_run(&kept, &whole[28..35]) < 3, "{cut}");
                // Cut there, a box of its own looks like the end of a resident number, and is masked.
                if !(22..29).contains(&cut) && cut != 34 {
                    assert_eq!(kept, format!("{}0000002{}", &whole[..28], &whole[35..]), "{cut}");
                }
                let once = kept.clone();
                mask(&mut lines);
                assert_eq!(lines.iter().map(|l| l.text.expose().as_str()).collect::<String>(), once);
            }
            assert!(mask(&mut line_of(&[&whole[..10], &whole[10..20], &whole[20..30], &whole[30..]], alphabet)));
        }
    }

    #[test]
    fn a_tail_goes_however_high_its_box_is_and_however_many_there_are() {
        let whole = "M706890983KOR8502282F30010112990127V10293880";
        let tall = |text: &str, left: f32| {
            let place = Place { left, top: 96.0, right: left + 12.0 * text.len() as f32, bottom: 154.0 };
            Line { text: Sensitive::new(text.to_owned()), place, alphabet: Alphabet::Mrz, pass: 0 }
        };
        let mut lines = vec![line(&whole[..28], 10.0, 130.0, 0, Alphabet::Mrz), tall(&whole[28..], 420.0)];
        assert!(mask(&mut lines));
        assert_eq!(lines[1].text.expose(), "0000002V10293880");
        // Two passports beside each other, the right one in two boxes.
        let mut lines = vec![
            line(whole, 10.0, 130.0, 0, Alphabet::Mrz),
            line(&whole[..30], 600.0, 130.0, 0, Alphabet::Mrz),
            line(&whole[30..], 964.0, 130.0, 0, Alphabet::Mrz),
        ];
        assert!(mask(&mut lines));
        let kept: Vec<&str> = lines.iter().map(|l| l.text.expose().as_str()).collect();
        assert_eq!((&kept[0][28..35], &kept[1][28..], &kept[2][..5]), ("0000002", "00", "00002"));
    }

    #[test]
    fn a_date_beside_a_line_that_was_cut_off_is_no_tail() {
        for text in ["2005.03.17", "17-03-2005", "850228-2******", "12345 67.12.1999", "12/31/1999"] {
            let mut lines = vec![
                line("M706890983KOR8502282F3001011", 10.0, 130.0, 0, Alphabet::Ascii),
                line(text, 400.0, 130.0, 0, Alphabet::Ascii),
            ];
            assert!(!mask(&mut lines), "{text}");
            assert_eq!(lines[1].text.expose(), text);
        }
    }

    #[test]
    fn a_french_number_of_twelve_digits_stays() {
        let text = "8806012310285BERTHE<<<<<<<6512068F6";
        let mut lines = vec![line(text, 0.0, 0.0, 0, Alphabet::Mrz), line(text, 0.0, 40.0, 0, Alphabet::Ascii)];
        mask(&mut lines);
        assert!(lines.iter().all(|l| l.text.expose() == text));
    }
}
