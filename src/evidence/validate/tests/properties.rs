//! Rules that hold for every synthetic person and for any text whatever.

use super::people::{Person, person};
use super::*;
use proptest::prelude::*;

fn shown(texts: &[String]) -> Page {
    page(column(0, &texts.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The lines of each layout with the place of the birth date: line, character.
fn layouts(p: &Person) -> [(Vec<String>, usize); 3] {
    [(p.td1(), 0), (p.td2(), 13), (p.td3(), 13)]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,60}", "[A-Z0-9<]{0,50}", "\\PC{0,40}", "[0-9./ -]{0,40}", "[0-9]{6}[- ]?[0-9*]{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn a_valid_zone_gives_its_own_date(p in person()) {
        for (lines, _) in layouts(&p) {
            let e = read(&shown(&lines));
            prop_assert_eq!(e.birth.expose(), p.youngest(TODAY));
            prop_assert!(e.assurance >= AssuranceLevel::Checked);
            prop_assert_eq!(e.expiry, Some(p.expiry));
        }
    }

    #[test]
    fn lost_fillers_change_nothing(p in person(), lost in 1usize..8) {
        for (lines, _) in layouts(&p) {
            let short: Vec<String> = lines.iter().map(|l| {
                let run = "<".repeat(lost + 2);
                if l.contains(&run) { l.replacen(&run, "<<", 1) } else { l.clone() }
            }).collect();
            if let Verdict::Read(e) = assess(&shown(&short), TODAY).verdict {
                prop_assert_eq!(e.birth.expose(), p.youngest(TODAY));
            }
        }
    }

    #[test]
    fn one_wrong_character_in_the_birth_date_never_gives_another_date(
        p in person(), at in 0usize..6, c in prop::sample::select(('0'..='9').chain('A'..='Z').chain(['<']).collect::<Vec<_>>()),
    ) {
        for (mut lines, from) in layouts(&p) {
            let mut text: Vec<char> = lines[1].chars().collect();
            text[from + at] = c;
            lines[1] = text.into_iter().collect();
            if let Verdict::Read(e) = assess(&shown(&lines), TODAY).verdict {
                prop_assert_eq!(e.birth.expose(), p.youngest(TODAY));
            }
        }
    }

    #[test]
    fn a_wrong_character_anywhere_never_gives_another_checked_date(
        p in person(), at in 0usize..90, c in prop::sample::select(('0'..='9').chain('A'..='Z').chain(['<']).collect::<Vec<_>>()),
    ) {
        for (mut lines, _) in layouts(&p) {
            let (n, at) = (at % lines.len(), at / lines.len());
            let mut text: Vec<char> = lines[n].chars().collect();
            if let Some(slot) = text.get_mut(at) {
                *slot = c;
            }
            lines[n] = text.into_iter().collect();
            if let Verdict::Read(e) = assess(&shown(&lines), TODAY).verdict {
                prop_assert_eq!(e.birth.expose(), p.youngest(TODAY));
            }
        }
    }

    #[test]
    fn any_text_gives_no_date_and_a_reason(lines in prop::collection::vec(any_text(), 0..12)) {
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        match assess(&twice(&texts), TODAY).verdict {
            Verdict::Unreadable(u) => {
                prop_assert!(!u.reasons.is_empty());
                prop_assert!(u.reasons.windows(2).all(|w| w[0] < w[1]));
            }
            // A number that is a number may come about by chance; its date is then a real one.
            Verdict::Read(e) => {
                prop_assert!(matches!(e.kind, DocumentKind::KrResidentCard | DocumentKind::KrAlienCard));
                prop_assert!(e.birth.expose() <= TODAY);
            }
        }
    }

    #[test]
    fn labelled_dates_are_real_and_past(d in 0u8..40, m in 0u8..15, y in 1850i16..2100) {
        let text = format!("{d:02}.{m:02}.{y}");
        if let Verdict::Read(e) = assess(&twice(&["IDENTITY CARD", "Date of birth", &text]), TODAY).verdict {
            prop_assert_eq!(e.birth.expose(), Date::new(y, i8::try_from(m).unwrap(), i8::try_from(d).unwrap()).unwrap());
            prop_assert!(e.birth.expose() <= TODAY);
        }
    }
}

#[test]
fn hostile_pages_end_soon() {
    let long = "<".repeat(20_000);
    let digits = "900101-1990006".repeat(2_000);
    let mixed = "1.1.2000 \u{202e}生年月日\u{301}\u{301}Ａ昭和61年".repeat(500);
    let mut lines = Vec::new();
    for n in 0..700u16 {
        let text = [long.as_str(), digits.as_str(), mixed.as_str(), "Date of birth 01.01.2000"][usize::from(n % 4)];
        lines.push(line(u8::try_from(n % 5).unwrap(), f32::from(n % 7) * 90.0, f32::from(n / 7) * 30.0, text));
    }
    let a = assess(&page(lines), TODAY);
    assert!(matches!(a.verdict, Verdict::Unreadable(_)));
    // Places that are no places.
    for bad in [f32::NAN, f32::INFINITY, -1.0e30, 0.0] {
        let mut l = line(0, 0.0, 0.0, "900101-1990006");
        l.place = Place { left: bad, top: bad, right: bad, bottom: bad };
        let mut m = line(1, 0.0, 0.0, "IDXYZ<<<<<<<<<<<<<<<<<<<<<<<<<");
        m.place = Place { left: bad, top: 0.0, right: 1.0, bottom: bad };
        let _ = assess(&page(vec![l, m]), TODAY);
    }
}
