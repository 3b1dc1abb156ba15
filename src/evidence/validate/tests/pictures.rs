//! Two documents in one picture, and two sides of one.

use super::machine::{another, lines, passport};
use super::*;

fn with(first: Vec<Line>, more: impl IntoIterator<Item = Line>) -> Page {
    page(first.into_iter().chain(more).collect())
}

/// Spoils one character of the second line.
fn spoilt(mut other: Vec<Line>, at: usize) -> Vec<Line> {
    let text: String = other[1].text.expose().clone();
    let mut text: Vec<char> = text.chars().collect();
    text[at] = if text[at] == '3' { '4' } else { '3' };
    other[1].text = Sensitive::new(text.into_iter().collect());
    other
}

#[test]
fn another_zone_is_a_contradiction_however_weak() {
    // The birth date's digit, the expiry date's, the composite.
    for at in [19, 27, 43] {
        let u = refused(&with(lines(0, &passport("850314")), spoilt(another("140314", 400.0), at)));
        assert!(u.reasons.contains(&Reason::Inconsistent), "{at}");
        assert_eq!(young(&u).map(|d| d.year()), Some(if at == 19 { 1985 } else { 2014 }), "{at}");
    }
    // Beside it.
    let right = another("140314", 40.0).into_iter().map(|l| {
        let place = Place { left: l.place.left + 700.0, right: l.place.right + 700.0, ..l.place };
        Line { place, ..l }
    });
    let u = refused(&with(lines(0, &passport("850314")), spoilt(right.collect(), 19)));
    assert!(u.reasons.contains(&Reason::Inconsistent));
}

#[test]
fn another_illegible_zone_may_count_against_and_never_for() {
    let more = [line(0, 20.0, 500.0, "X1234S67BXVZ9OIOIIF3IOIOI<<<<<<<<<<<<<<0")];
    let e = read(&with(lines(0, &passport("850314")), more));
    assert_eq!((e.birth.expose(), e.assurance), (date(1985, 3, 14), AssuranceLevel::Unwitnessed));
}

#[test]
fn a_korean_card_and_a_zone_that_was_refused() {
    let card = || column(0, &["11-12-123456-70", "900101-1990006", "2022.01.01."]);
    let u = refused(&with(card(), spoilt(another("140314", 400.0), 19)));
    assert!(u.reasons.contains(&Reason::Inconsistent));
    let u = refused(&with(card(), another("140314", 400.0)));
    assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::Inconsistent].as_slice(), Some(date(2014, 3, 14))));
    // The same person's.
    assert_eq!(read(&with(card(), another("900101", 400.0))).birth.expose(), date(1990, 1, 1));
    let illegible = [line(0, 20.0, 500.0, "X1234S67BXVZ9OIOIIF3IOIOI<<<<<<<<<<<<<<0")];
    assert_eq!(read(&with(card(), illegible)).assurance, AssuranceLevel::Unwitnessed);
}

#[test]
fn two_korean_numbers() {
    let card = || column(0, &["11-12-123456-70", "900101-1990006", "2022.01.01."]);
    for other in ["131123-8990012", "131123-8******", "131123-"] {
        let u = refused(&with(card(), [line(0, 20.0, 400.0, other)]));
        assert!(u.reasons.contains(&Reason::Inconsistent), "{other}");
        assert_eq!(young(&u), Some(date(2013, 11, 23)), "{other}");
    }
    // One card that prints its number twice, and a licence number whose end was lost.
    for other in ["900101-1990006", "900101-", "11-12-131123-"] {
        let e = read(&with(card(), [line(0, 20.0, 400.0, other)]));
        assert_eq!(e.birth.expose(), date(1990, 1, 1), "{other}");
    }
}

#[test]
fn front_and_back_of_one_card() {
    let text = [
        "IDENTITY CARD",
        "Date of birth",
        "12.08.1974",
        "Date of expiry",
        "15.04.2032",
        "I<XYZD231458907<<<<<<<<<<<<<<<",
        "7408122F3204153XYZ<<<<<<<<<<<4",
        "TANNER<<MIRA<<<<<<<<<<<<<<<<<<",
    ];
    let e = read(&twice(&text));
    assert_eq!((e.kind, e.birth.expose()), (DocumentKind::Td1, date(1974, 8, 12)));
    assert!(e.witnesses.contains(&Witness::PrintedDate));
    assert!(e.assurance > AssuranceLevel::Unwitnessed);
}

#[test]
fn a_misread_filler_is_no_other_zone() {
    // `C` for a filler looks like a check digit of an unknown date.
    let mut text = passport("900101");
    text[0].replace_range(23..24, "C");
    assert_eq!(read(&page(lines(0, &text))).assurance, AssuranceLevel::Checked);
}
