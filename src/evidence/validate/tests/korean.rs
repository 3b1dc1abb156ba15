//! Korean cards.

use super::*;
use DocumentKind::{KrAlienCard, KrDriverLicence, KrResidentCard, KrYouthCard};

fn titled(page: Page, title: DocumentKind) -> Page {
    Page { title: Some(title), ..page }
}

#[test]
fn a_resident_card_with_its_checksum() {
    let e = read(&page(column(0, &["900101-1990006", "2020.1.1."])));
    assert_eq!((e.kind, e.birth.expose(), e.assurance), (KrResidentCard, date(1990, 1, 1), AssuranceLevel::Checked));
    assert_eq!(e.witnesses, [Witness::Checksum, Witness::IssueDate]);
    assert!(e.signals.is_empty());
}

#[test]
fn a_checksum_that_fails_is_a_remark_and_needs_a_second_reading() {
    let e = read(&page(column(0, &["900101-1990007", "2020.1.1."])));
    assert_eq!(e.assurance, AssuranceLevel::Unwitnessed);
    assert_eq!(e.signals, [Signal::ChecksumMismatch]);
    let e = read(&twice(&["900101-1990007", "2020.1.1."]));
    assert_eq!(e.assurance, AssuranceLevel::Witnessed);
    assert!(e.witnesses.contains(&Witness::SecondReading));
    // The same pass twice is no second reading.
    let mut lines = column(0, &["900101-1990007"]);
    lines.extend(column(0, &["900101-1990007"]));
    assert_eq!(read(&page(lines)).assurance, AssuranceLevel::Unwitnessed);
}

#[test]
fn readings_that_differ_are_refused_unless_one_alone_has_its_checksum() {
    let differ = |a: &str, b: &str| {
        let mut lines = column(0, &[a, "2020.1.1."]);
        lines.extend(column(1, &[b, "2020.1.1."]));
        page(lines)
    };
    let u = refused(&differ("900101-1990007", "900107-1990007"));
    assert_eq!(u.reasons, [Reason::NumberUnreadable, Reason::Inconsistent]);
    // One against one: the checksum alone does not decide, it asks for another reading.
    let one_each = differ("900101-1990006", "900107-1990006");
    refused(&one_each);
    assert!(assess(&one_each, TODAY).wants.iter().any(|w| matches!(w, Want::Reread(_))));
    let third = |number: &str| {
        let mut page = differ("900101-1990006", "900107-1990006");
        page.lines.push(line(2, 20.0, 40.0, number));
        page
    };
    let e = read(&third("900101-1990006"));
    assert_eq!((e.birth.expose(), e.assurance), (date(1990, 1, 1), AssuranceLevel::Checked));
    refused(&third("900107-1990006"));
    // Both hold, or they are two cards: no.
    refused(&differ("900101-1990006", "050228-3990004"));
    let mut lines = vec![line(0, 20.0, 40.0, "900101-1990006")];
    lines.push(line(0, 20.0, 400.0, "910101-1990007"));
    refused(&page(lines));
}

#[test]
fn nobody_holds_a_resident_card_before_17() {
    for number in ["150505-3990009", "131122-3990012"] {
        let u = refused(&twice(&[number, "2020.1.1."]));
        assert!(u.reasons.contains(&Reason::Inconsistent), "{number}");
        assert!(u.signals.contains(&Signal::AgeAtIssueImplausible));
        refused(&twice(&[number]));
    }
    // A youth card is for 9 to 18.
    let e = read(&titled(page(column(0, &["131122-3990012"])), KrYouthCard));
    assert_eq!((e.kind, e.birth.expose()), (KrYouthCard, date(2013, 11, 22)));
    refused(&titled(page(column(0, &["900101-1990006"])), KrYouthCard));
}

#[test]
fn dates_that_cannot_be() {
    for number in ["491614-4124423", "090229-3990000", "261123-3990001", "991231-9990009", "991231-0990004"] {
        let u = refused(&twice(&[number, "2020.1.1."]));
        assert_eq!(u.reasons, [Reason::ImpossibleDate], "{number}");
    }
}

#[test]
fn number_and_card_must_belong_together() {
    for (number, title) in
        [("900101-5990009", KrResidentCard), ("900101-1990006", KrAlienCard), ("131122-7990015", KrYouthCard)]
    {
        let u = refused(&titled(twice(&[number]), title));
        assert_eq!(
            (u.reasons.as_slice(), u.signals.contains(&Signal::NumberClassConflict)),
            ([Reason::Inconsistent].as_slice(), true)
        );
    }
    let u = refused(&twice(&["RESIDENCE CARD", "Registration No. 900101-1990006"]));
    assert_eq!(u.reasons, [Reason::Inconsistent]);
    // Digit 3, misread for 8, on an alien card.
    refused(&twice(&["ALIEN REGISTRATION CARD", "080229-3990005"]));
}

#[test]
fn alien_cards_in_three_eras() {
    for lines in [
        &["ALIEN REGISTRATION CARD", "Registration No. 900101-5990009", "Sex M", "2012.05.01."][..],
        &["RESIDENCE CARD", "900101-5990009", "Sex M"][..],
        &["RESIDENCE CARD", "Registration No. 900101-5990009", "Issue Date 2024.03.15."][..],
        &["PERMANENT RESIDENT CARD", "900101-5990009"][..],
    ] {
        let e = read(&page(column(0, lines)));
        assert_eq!((e.kind, e.birth.expose()), (KrAlienCard, date(1990, 1, 1)));
        assert_eq!(e.assurance, AssuranceLevel::Checked);
    }
    let u = refused(&page(column(0, &["ALIEN REGISTRATION CARD", "900101-5990009", "Sex F"])));
    assert!(u.signals.contains(&Signal::NumberClassConflict));
    let e = read(&page(column(0, &["RESIDENCE CARD", "131123-8990012"])));
    assert_eq!(e.signals, [Signal::MinorOnAlienCard]);
}

#[test]
fn licences_old_and_new() {
    for number in ["11-12-123456-70", "号-12-123456-70"] {
        let e = read(&page(column(0, &[number, "900101-1990006", "2022.01.01"])));
        assert_eq!(e.kind, KrDriverLicence);
        assert_eq!(e.assurance, AssuranceLevel::Checked);
    }
    // A foreigner's licence prints the foreigner number.
    assert_eq!(read(&page(column(0, &["11-12-123456-70", "900101-5990009"]))).kind, KrDriverLicence);
    // First licence at the age of 5.
    let u = refused(&page(column(0, &["11-95-123456-70", "900101-1990006"])));
    assert!(u.signals.contains(&Signal::AgeAtIssueImplausible));
}

#[test]
fn masked_numbers() {
    let e = read(&page(column(0, &["900101-1******", "2020.1.1."])));
    assert_eq!((e.birth.expose(), e.assurance), (date(1990, 1, 1), AssuranceLevel::Unwitnessed));
    assert_eq!(e.signals, [Signal::NumberMasked]);
    let e = read(&twice(&["900101-*******", "2020.1.1."]));
    assert_eq!((e.birth.expose(), e.assurance), (date(1990, 1, 1), AssuranceLevel::Witnessed));
    assert!(e.signals.contains(&Signal::CenturyInferred));
    // A bar over the whole back leaves a birth half with its dash.
    let e = read(&twice(&["(洪吉洞)", "800101-", "2020.08.16."]));
    assert_eq!((e.birth.expose(), e.kind), (date(1980, 1, 1), KrResidentCard));
    // Under 17 in either century at issue.
    refused(&twice(&["100101-*******", "2020.1.1."]));
}

#[test]
fn half_a_number_and_a_date_are_no_korean_card() {
    refused(&twice(&["800101-", "2020.08.16."]));
    refused(&twice(&["IDENTITY CARD", "(洪吉洞)", "800101-", "2020.08.16."]));
    let e = read(&twice(&["IDENTITY CARD", "Date of birth", "14.03.2012", "800101-", "2020.08.16."]));
    assert_eq!((e.kind, e.birth.expose()), (DocumentKind::OtherId, date(2012, 3, 14)));
    assert_eq!(read(&titled(twice(&["800101-", "2020.08.16."]), KrResidentCard)).kind, KrResidentCard);
}

#[test]
fn a_file_number_does_not_outweigh_the_labelled_date_of_another_document() {
    for number in ["900101-1990006", "900101 1990006", "900101-1990007", "9001011990006"] {
        let e = read(&twice(&["RESIDENCE PERMIT", "Surname", "Date of birth", "14.03.2012", "File", number]));
        assert_eq!((e.kind, e.birth.expose()), (DocumentKind::OtherId, date(2012, 3, 14)), "{number}");
        // The heading was not read.
        let a = assess(&twice(&["Date of birth", "14.03.2012", "File", number]), TODAY);
        assert!(matches!(a.verdict, Verdict::Unreadable(_)), "{number}");
        // Nor is it taken for want of a label.
        let a = assess(&twice(&["RESIDENCE PERMIT", "Surname", "File", number]), TODAY);
        assert!(matches!(a.verdict, Verdict::Unreadable(_)), "{number}");
    }
}

#[test]
fn a_korean_number_and_a_labelled_date_must_agree() {
    let card = ["11-12-123456-70", "900101-1990006", "2022.01.01."];
    let with = |date: &[&str]| twice(&[&card[..], date].concat());
    let u = refused(&with(&["Date of birth", "14.03.2012"]));
    assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::Inconsistent].as_slice(), Some(date(2012, 3, 14))));
    assert!(u.signals.contains(&Signal::PrintedDateConflict));
    // The same digits a century apart.
    let u = refused(&titled(twice(&["060101-1990006", "Date of birth", "01.01.2006"]), KrAlienCard));
    assert!(u.reasons.contains(&Reason::Inconsistent));
    assert_eq!(read(&with(&["Date of birth", "01.01.1990"])).birth.expose(), date(1990, 1, 1));
    // A label without its date leaves open whose it is.
    assert_eq!(refused(&with(&["Date of birth"])).reasons, [Reason::NotWitnessed]);
}

#[test]
fn one_misread_century_digit_makes_no_centenarian() {
    // 3 read as 1, and a checksum that does not hold, as with all numbers since 2020.
    for (number, title) in
        [("131122-1990012", KrYouthCard), ("120314-5718293", KrAlienCard), ("080229-1990000", KrDriverLicence)]
    {
        let a = assess(&titled(twice(&[number]), title), TODAY);
        let Verdict::Unreadable(u) = a.verdict else { panic!("{number}") };
        assert!(young(&u).is_some_and(|d| d.year() >= 2008), "{number}");
    }
    let u = refused(&titled(twice(&["120314-5718293"]), KrAlienCard));
    assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::NotWitnessed].as_slice(), Some(date(2012, 3, 14))));
    // The day before the hundredth birthday.
    let last = |n: &str| assess(&titled(twice(&[n]), KrAlienCard), TODAY).verdict;
    assert!(matches!(last("261123-5990001"), Verdict::Read(_)));
    assert!(matches!(last("261122-5990001"), Verdict::Unreadable(_)));
}

#[test]
fn korean_cards_expire() {
    let licence = |lines: &[&str]| read(&twice(&[&["11-05-123456-70", "850314-1990006"][..], lines].concat()));
    let e = licence(&["2005.06.01 ~ 2015.12.31", "2005.06.01."]);
    assert_eq!(e.expiry, Some(date(2015, 12, 31)));
    assert!(e.signals.contains(&Signal::Expired));
    let e = licence(&["2025.01.01~2031.12.31", "2021.06.01."]);
    assert_eq!(e.expiry, Some(date(2031, 12, 31)));
    assert!(!e.signals.contains(&Signal::Expired));
    assert_eq!(licence(&["2021.06.01."]).expiry, None);
    let e = read(&twice(&["RESIDENCE CARD", "900101-5990009", "Expiry date 2024.03.15."]));
    assert!(e.signals.contains(&Signal::Expired));
    let e = read(&titled(twice(&["101122-3990012", "~ 2025.03.01"]), KrYouthCard));
    assert!(e.signals.contains(&Signal::Expired));
    // Read once as 2015 and once as 2075: expired.
    let mut all = column(0, &["11-05-123456-70", "850314-1990006", "2005.06.01 ~ 2015.12.31"]);
    all.extend(column(1, &["11-05-123456-70", "850314-1990006", "2005.06.01 ~ 2075.12.31"]));
    assert!(read(&page(all)).signals.contains(&Signal::Expired));
}

#[test]
fn one_holding_checksum_does_not_outweigh_two_that_fail() {
    let of = |numbers: &[&str]| {
        let all = (0..).zip(numbers).map(|(p, n)| line(p, 20.0, 40.0, n)).collect::<Vec<_>>();
        let e = read(&titled(page(all), KrResidentCard));
        (e.birth.expose(), e.assurance)
    };
    let (good, bad) = ("900101-1990006", "900101-1990007");
    for (numbers, level) in [
        (&[good, bad][..], AssuranceLevel::Witnessed),
        (&[bad, good, bad][..], AssuranceLevel::Witnessed),
        (&[good, bad, good][..], AssuranceLevel::Checked),
    ] {
        assert_eq!(of(numbers), (date(1990, 1, 1), level), "{}", numbers.len());
    }
}

#[test]
fn a_second_printed_birth_date() {
    let e = read(&page(column(0, &["900101-1990006", "1990.01.01", "2020.5.5."])));
    assert_eq!(e.assurance, AssuranceLevel::Corroborated);
    let u = refused(&page(column(0, &["900101-1990006", "1990.01.07", "2020.5.5."])));
    assert_eq!(u.reasons, [Reason::Inconsistent]);
}

#[test]
fn thirteen_digits_alone_are_no_korean_number() {
    // A South African number has the same first digits.
    refused(&twice(&["9001011990006"]));
    refused(&twice(&["9001015009087", "IDENTITY NUMBER"]));
    let e = read(&titled(page(column(0, &["9001011990006"])), KrResidentCard));
    assert_eq!(e.birth.expose(), date(1990, 1, 1));
}

#[test]
fn letters_for_digits_need_a_witness() {
    let e = read(&titled(page(column(0, &["9O0101-1990006"])), KrResidentCard));
    assert!(e.signals.contains(&Signal::Repaired));
    let u = refused(&titled(page(column(0, &["9O0101-1990007"])), KrResidentCard));
    assert_eq!(u.reasons, [Reason::NumberUnreadable]);
}

#[test]
fn a_title_without_a_number() {
    let u = refused(&titled(page(vec![]), KrResidentCard));
    assert_eq!((u.reasons.as_slice(), u.kind), ([Reason::NumberUnreadable].as_slice(), Some(KrResidentCard)));
}

#[test]
fn a_misjudged_title_does_not_hide_a_passport() {
    let text = ["P<XYZTANNER<<MIRA<<<<<<<<<<<<<<<<<<<<<<<<<<<", "X000000012XYZ9001011F3101012<<<<<<<<<<<<<<<2"];
    let e = read(&titled(twice(&text), KrResidentCard));
    assert_eq!(e.birth.expose(), date(1990, 1, 1));
}

#[test]
fn readings_are_asked_for_until_they_suffice() {
    let wants = |passes: u8, number: &str| {
        let lines =
            (0..passes).map(|p| line(p, 20.0, 40.0, number)).chain([line(0, 20.0, 80.0, "2020.1.1.")]).collect();
        !assess(&page(lines), TODAY).wants.is_empty()
    };
    assert_eq!([1, 2].map(|n| wants(n, "900101-1990006")), [true, false]);
    assert_eq!([1, 2, 3].map(|n| wants(n, "900101-1990007")), [true, true, false]);
}

#[test]
fn sample_numbers_are_specimens() {
    let e = read(&twice(&["800101-2345678", "2020.1.1."]));
    assert!(e.signals.contains(&Signal::Specimen));
}
