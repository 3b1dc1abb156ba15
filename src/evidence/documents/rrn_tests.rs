//! The vectors of the domain reference for Korean numbers, and what they must never become.

use super::*;
use jiff::civil::date;

const TODAY: Date = date(2026, 11, 22);

fn one(s: &str) -> Number {
    let chars: Vec<char> = crate::evidence::documents::clean::Clean::new(s).chars().to_vec();
    let mut found = find(&chars);
    assert_eq!(found.len(), 1, "one number in {s}");
    found.remove(0)
}

fn none(s: &str) {
    let chars: Vec<char> = crate::evidence::documents::clean::Clean::new(s).chars().to_vec();
    assert!(find(&chars).is_empty(), "no number in {s}");
}

#[test]
fn every_vector_has_its_checksum_and_date() {
    use Checksum::{Match, Mismatch};
    let rows = [
        ("900101-1990006", Match, Birth::Exact(date(1990, 1, 1))),
        ("900101-2990009", Match, Birth::Exact(date(1990, 1, 1))),
        ("900101-1990007", Mismatch, Birth::Exact(date(1990, 1, 1))),
        ("050228-3990004", Match, Birth::Exact(date(2005, 2, 28))),
        ("080229-3990000", Match, Birth::Exact(date(2008, 2, 29))),
        ("131122-3990012", Match, Birth::Exact(date(2013, 11, 22))),
        ("131123-3990016", Match, Birth::Exact(date(2013, 11, 23))),
        ("081122-4990013", Match, Birth::Exact(date(2008, 11, 22))),
        ("081123-4990017", Match, Birth::Exact(date(2008, 11, 23))),
        ("150505-3990009", Match, Birth::Exact(date(2015, 5, 5))),
        ("991231-9990009", Match, Birth::Implausible),
        ("991231-0990004", Match, Birth::Implausible),
        ("900101-5990009", Match, Birth::Exact(date(1990, 1, 1))),
        ("900101-6990002", Match, Birth::Exact(date(1990, 1, 1))),
        ("050228-7990007", Match, Birth::Exact(date(2005, 2, 28))),
        ("080229-8990005", Match, Birth::Exact(date(2008, 2, 29))),
        ("131122-7990015", Match, Birth::Exact(date(2013, 11, 22))),
        ("131123-8990012", Match, Birth::Exact(date(2013, 11, 23))),
        ("960121-1021413", Match, Birth::Exact(date(1996, 1, 21))),
        ("050912-2000019", Match, Birth::Exact(date(1905, 9, 12))),
        ("911124-5678906", Match, Birth::Exact(date(1991, 11, 24))),
        ("050912-6000012", Match, Birth::Exact(date(1905, 9, 12))),
        ("960121-1234567", Mismatch, Birth::Exact(date(1996, 1, 21))),
        ("911124-5678901", Mismatch, Birth::Exact(date(1991, 11, 24))),
    ];
    for (text, sum, birth) in rows {
        let n = one(text);
        assert_eq!(n.back, Back::Open(sum), "{text}");
        // Born in 1905 is 121 today: the published test values are beyond any plausible holder.
        let want = if text.starts_with("050912") { Birth::Implausible } else { birth };
        assert_eq!(n.birth(TODAY), want, "{text}");
        assert!(!n.repaired && n.separated);
    }
}

#[test]
fn impossible_and_future_dates() {
    for text in ["090229-3990000", "261123-3990001", "491614-4124423", "471033-4425261", "000000-3000000"] {
        assert_eq!(one(text).birth(TODAY), Birth::Impossible, "{text}");
    }
    assert_eq!(one("201005-3990001").birth(TODAY), Birth::Exact(date(2020, 10, 5)));
    assert_eq!(one("261122-3990001").birth(TODAY), Birth::Exact(TODAY));
    // 1900 was no leap year, 2000 was.
    assert_eq!(one("000229-1990001").birth(TODAY), Birth::Impossible);
    assert_eq!(one("000229-3990001").birth(TODAY), Birth::Exact(date(2000, 2, 29)));
}

#[test]
fn the_seventh_digit_tells_class_and_sex() {
    for (g, class, male) in [
        ('1', Class::Korean, true),
        ('0', Class::Korean, false),
        ('9', Class::Korean, true),
        ('4', Class::Korean, false),
        ('5', Class::Foreigner, true),
        ('8', Class::Foreigner, false),
    ] {
        let n = one(&format!("900101-{g}990000"));
        assert_eq!((n.class(), n.male()), (Some(class), Some(male)));
    }
}

#[test]
fn masks_in_every_form() {
    for text in
        ["900101-1******", "900101-1●●●●●●", "900101-1XXXXXX", "900101-1xxxxxx", "9001011■■■■■■", "900101-1######"]
    {
        let n = one(text);
        assert_eq!(n.back, Back::Masked, "{text}");
        assert_eq!(n.birth(TODAY), Birth::Exact(date(1990, 1, 1)), "{text}");
    }
    for text in ["900101-*******", "900101-XXXXXXX", "900101-OOOOOOO", "900101-●●●●●●●"] {
        let n = one(text);
        assert_eq!(n.birth(TODAY), Birth::Either([None, Some(date(1990, 1, 1))]), "{text}");
        assert_eq!(n.class(), None);
    }
    assert_eq!(one("080101-*******").birth(TODAY), Birth::Either([Some(date(2008, 1, 1)), Some(date(1908, 1, 1))]));
}

#[test]
fn separators_and_fused_text() {
    for text in [
        "9001011990006",
        "900101 1990006",
        "900101–1990006",
        "900101—1990006",
        "900101·1990006",
        "900101 - 1990006",
        "９００１０１－１９９０００６",
        "No.900101-1990006M",
        "홍길동900101-1990006서울",
        "900101一1990006",
    ] {
        let n = one(text);
        assert_eq!(n.back, Back::Open(Checksum::Match), "{text}");
    }
    for text in
        ["", "900101", "900101-", "900101-199000", "900101-19900061", "1900101-1990006", "2020.01.01", "05-123456-70"]
    {
        none(text);
    }
}

#[test]
fn letters_for_digits_are_marked() {
    let n = one("9O0101-199000G");
    assert!(n.repaired);
    assert_eq!(n.back, Back::Open(Checksum::Match));
    // Too many letters to be trusted at all.
    none("9OO1O1-199OOO6");
}

#[test]
fn debug_of_parts_shows_no_digit() {
    assert_eq!(format!("{:?}", one("900101-1990006").back), "Open(Match)");
}

#[test]
fn discs_read_as_zeros_are_a_mask_and_never_a_number() {
    let one = |text: &str| {
        let chars: Vec<char> = text.chars().collect();
        let mut found = find(&chars);
        assert!(found.len() <= 1, "{text}");
        found.pop().map(|n| (n.back, n.has_century()))
    };
    for text in
        ["060831-300000", "060831-3000000", "060831-30000000", "060831-3●0000", "150909-4●0", "060831 - 3●●●●●●"]
    {
        assert_eq!(one(text), Some((Back::Masked, true)), "{text}");
    }
    for text in ["060831-0000000", "060831-●●●●●●●"] {
        assert_eq!(one(text), Some((Back::Masked, false)), "{text}");
    }
    for text in ["060831-30", "060831-3000", "060831-300001"] {
        assert_eq!(one(text), None, "{text}");
    }
    assert!(matches!(one("900101-1000004"), Some((Back::Open(_), true))));
}
