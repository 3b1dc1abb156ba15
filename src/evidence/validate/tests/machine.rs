//! Machine-readable zones on whole pages.

use super::*;

const LINE_1: &str = "P<XYZTANNER<<MIRA<<<<<<<<<<<<<<<<<<<<<<<<<<<";

/// The check digit, computed apart from the code under test.
fn digit(field: &str) -> char {
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    let sum: u32 = field.chars().zip([7, 3, 1].iter().cycle()).map(|(c, w)| value(c) * w).sum();
    char::from_digit(sum % 10, 10).unwrap()
}

/// A valid TD3 second line.
fn td3(number: &str, birth: &str, sex: char, expiry: &str) -> String {
    let number = format!("{number:<<9}");
    let optional = "<".repeat(14);
    let (n, b, e) = (digit(&number), digit(birth), digit(expiry));
    let all = format!("{number}{n}{birth}{b}{expiry}{e}{optional}0");
    format!("{number}{n}XYZ{birth}{b}{sex}{expiry}{e}{optional}0{}", digit(&all))
}

pub(super) fn passport(birth: &str) -> Vec<String> {
    vec![LINE_1.to_owned(), td3("X12345678", birth, 'F', "310101")]
}

fn spoil_composite(second: &mut String) {
    let wrong = if second.ends_with('3') { '4' } else { '3' };
    second.pop();
    second.push(wrong);
}

/// A TD3 passport of someone else, further down on the page.
pub(super) fn another(birth: &str, top: f32) -> Vec<Line> {
    let at = |n: usize, l: Line| {
        let top = if n == 0 { top } else { top + 40.0 };
        Line { place: Place { top, bottom: top + 24.0, ..l.place }, ..l }
    };
    lines(0, &passport(birth)).into_iter().enumerate().map(|(n, l)| at(n, l)).collect()
}

pub(super) fn lines(pass: u8, texts: &[String]) -> Vec<Line> {
    column(pass, &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_passport_is_checked_and_with_its_print_corroborated() {
    let e = read(&page(lines(0, &passport("900101"))));
    assert_eq!((e.kind, e.birth.expose(), e.assurance), (DocumentKind::Td3, date(1990, 1, 1), AssuranceLevel::Checked));
    assert_eq!((e.expiry, e.signals.len()), (Some(date(2031, 1, 1)), 0));
    let mut all = passport("900101");
    all.extend(["Date of birth".to_owned(), "01 JAN 1990".to_owned()]);
    let e = read(&page(lines(0, &all)));
    assert_eq!(e.assurance, AssuranceLevel::Corroborated);
    assert!(e.witnesses.contains(&Witness::PrintedDate));
}

#[test]
fn a_labelled_date_that_differs_is_a_clash_and_an_issue_date_is_none() {
    let mut all = passport("900101");
    all.extend(["Date of birth".to_owned(), "01 JAN 1989".to_owned()]);
    let u = refused(&page(lines(0, &all)));
    assert_eq!(
        (u.reasons.as_slice(), u.signals.as_slice()),
        ([Reason::Inconsistent].as_slice(), [Signal::PrintedDateConflict].as_slice())
    );
    let mut all = passport("900101");
    all.extend(["Date of issue".to_owned(), "01 JAN 2021".to_owned(), "01.02.2003".to_owned()]);
    assert_eq!(read(&page(lines(0, &all))).assurance, AssuranceLevel::Checked);
}

#[test]
fn the_printed_year_settles_the_century() {
    let e = read(&page(lines(0, &passport("080101"))));
    assert_eq!((e.birth.expose(), e.signals.as_slice()), (date(2008, 1, 1), [Signal::CenturyInferred].as_slice()));
    let with = |label: &str, print: &str| {
        let mut all = passport("080101");
        all.extend([label.to_owned(), print.to_owned()]);
        page(lines(0, &all))
    };
    let e = read(&with("Date of birth", "01 JAN 2008"));
    assert_eq!((e.birth.expose(), e.signals.len(), e.assurance), (date(2008, 1, 1), 0, AssuranceLevel::Corroborated));
    // A print that makes a child of 18 one of 118 was misread or altered, whether a label stands by it or not.
    for label in ["Date of birth", "Note"] {
        let u = refused(&with(label, "01 JAN 1908"));
        assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::Inconsistent].as_slice(), Some(date(2008, 1, 1))));
    }
}

#[test]
fn a_birth_date_with_a_wrong_digit_is_never_taken() {
    let good = td3("X12345678", "900101", 'F', "310101");
    for at in 13..19 {
        for d in '0'..='9' {
            let mut bad: Vec<char> = good.chars().collect();
            if bad[at] == d {
                continue;
            }
            bad[at] = d;
            let text = vec![LINE_1.to_owned(), bad.iter().collect::<String>()];
            let u = refused(&page(lines(0, &text)));
            assert!(!u.reasons.is_empty());
        }
    }
}

#[test]
fn without_composite_a_second_reading_or_the_print_is_needed() {
    let mut text = passport("900101");
    spoil_composite(&mut text[1]);
    let e = read(&page(lines(0, &text)));
    assert_eq!(
        (e.assurance, e.signals.as_slice()),
        (AssuranceLevel::Unwitnessed, [Signal::CheckDigitMismatch].as_slice())
    );
    let mut both = lines(0, &text);
    both.extend(lines(1, &text));
    assert_eq!(read(&page(both)).assurance, AssuranceLevel::Witnessed);
}

#[test]
fn a_mended_birth_date_needs_the_composite() {
    let mut text = passport("900101");
    text[1].replace_range(14..15, "O");
    let e = read(&page(lines(0, &text)));
    assert_eq!((e.assurance, e.signals.as_slice()), (AssuranceLevel::Checked, [Signal::Repaired].as_slice()));
    spoil_composite(&mut text[1]);
    assert_eq!(refused(&page(lines(0, &text))).reasons, [Reason::NumberUnreadable]);
}

#[test]
fn a_composite_does_not_hold_without_the_expiry_date_under_it() {
    let mut text = passport("900101");
    // The composite over an expiry digit that is wrong by itself.
    let number = format!("X12345678{}", digit("X12345678"));
    let (birth, expiry, optional) = (format!("900101{}", digit("900101")), "3101019", "<".repeat(14));
    assert_ne!(digit("310101"), '9');
    let all = digit(&format!("{number}{birth}{expiry}{optional}0"));
    text[1] = format!("{number}XYZ{birth}F{expiry}{optional}0{all}");
    let mut both = lines(0, &text);
    both.extend(lines(1, &text));
    let e = read(&page(both));
    assert_eq!(
        (e.assurance, e.signals.as_slice()),
        (AssuranceLevel::Witnessed, [Signal::CheckDigitMismatch].as_slice())
    );
    assert!(!e.witnesses.contains(&Witness::Composite));
}

#[test]
fn fillers_that_were_searched_for_need_a_second_reading() {
    // Two runs of fillers in the optional data, and the loss is not in the longest one.
    let number = format!("X12345678{}", digit("X12345678"));
    let (birth, expiry) = (format!("900101{}", digit("900101")), format!("310101{}", digit("310101")));
    let optional = "AB<<<<C<<<<<<<";
    let rest = format!("{optional}{}", digit(optional));
    let all = digit(&format!("{number}{birth}{expiry}{rest}"));
    let whole = format!("{number}XYZ{birth}F{expiry}{rest}{all}");
    let text = vec![LINE_1.to_owned(), whole.replacen("AB<<<<C", "AB<<C", 1)];
    let once = read(&page(lines(0, &text)));
    assert_eq!((once.birth.expose(), once.assurance), (date(1990, 1, 1), AssuranceLevel::Unwitnessed));
    let mut both = lines(0, &text);
    both.extend(lines(1, &text));
    assert_eq!(read(&page(both)).assurance, AssuranceLevel::Checked);
    assert_eq!(read(&page(lines(0, &[LINE_1.to_owned(), whole]))).assurance, AssuranceLevel::Checked);
}

#[test]
fn a_zone_without_expiry_takes_the_printed_one() {
    let text = [
        "CARTE NATIONALE D'IDENTITE",
        "VALABLE JUSQU'AU 31.12.2015",
        "IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<",
        "9409923102854CORINNE<<<<<<<6512068F4",
    ];
    let e = read(&twice(&text));
    assert_eq!((e.birth.expose(), e.expiry), (date(1965, 12, 6), Some(date(2015, 12, 31))));
    assert!(e.signals.contains(&Signal::Expired));
}

#[test]
fn a_date_that_is_partly_unknown_agrees_with_its_print() {
    let number = format!("X12345678{}", digit("X12345678"));
    let (birth, expiry) = (format!("9011<<{}", digit("9011<<")), format!("310101{}", digit("310101")));
    let rest = format!("{}0", "<".repeat(14));
    let all = digit(&format!("{number}{birth}{expiry}{rest}"));
    let second = format!("{number}XYZ{birth}F{expiry}{rest}{all}");
    let with = |print: &str| {
        page(lines(0, &[LINE_1.to_owned(), second.clone(), "Date of birth".to_owned(), print.to_owned()]))
    };
    let e = read(&with("12 NOV 1990"));
    assert_eq!((e.birth.expose(), e.signals.as_slice()), (date(1990, 11, 30), [Signal::BirthDatePartial].as_slice()));
    assert_eq!(refused(&with("12 DEC 1990")).reasons, [Reason::Inconsistent]);
}

#[test]
fn a_hundred_years_are_never_accepted() {
    // Born in 1914 by a document that expired before 2014.
    let text = [LINE_1.to_owned(), td3("X12345678", "140314", 'F', "100101")];
    let u = refused(&page(lines(0, &text)));
    assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::NotWitnessed].as_slice(), Some(date(2014, 3, 14))));
}

#[test]
fn visas_have_no_composite() {
    let text = ["V<XYZTANNER<<MIRA<<<<<<<<<<<<<<<<<<<<<<<<<<<", "X000000159XYZ9001011M2701013<<<<<<<<<<<<<<<<"];
    let e = read(&page(column(0, &text)));
    assert_eq!((e.kind, e.assurance), (DocumentKind::MrvA, AssuranceLevel::Witnessed));
    assert_eq!(read(&twice(&text)).assurance, AssuranceLevel::Checked);
}

#[test]
fn impossible_unknown_and_partial_dates() {
    let of = |birth: &str| page(lines(0, &passport(birth)));
    assert_eq!(refused(&of("060229")).reasons, [Reason::ImpossibleDate]);
    assert_eq!(refused(&of("<<<<<<")).reasons, [Reason::BirthDateUnknown]);
    let e = read(&of("0811<<"));
    assert_eq!(e.birth.expose(), date(2008, 11, 30));
    assert!(e.signals.contains(&Signal::BirthDatePartial));
}

#[test]
fn specimens_and_expired_documents_are_signals() {
    let e = read(&page(column(
        0,
        &["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"],
    )));
    assert_eq!(
        (e.birth.expose(), e.signals.as_slice()),
        (date(1974, 8, 12), [Signal::Expired, Signal::Specimen].as_slice())
    );
}

#[test]
fn when_the_zone_knows_no_date_the_front_does() {
    let text = [
        "IDENTITY CARD",
        "Date of birth",
        "01.01.1977",
        "IOXYZ000000000000000000000<<<<",
        "0000000M0000000XYZ<<<<<<<<<<<0",
        "TANNER<<MIRA<<<<<<<<<<<<<<<<<<",
    ];
    let e = read(&twice(&text));
    assert_eq!(
        (e.kind, e.birth.expose(), e.assurance),
        (DocumentKind::Td1, date(1977, 1, 1), AssuranceLevel::Witnessed)
    );
}

#[test]
fn two_people_in_one_picture() {
    let mut all = lines(0, &passport("900101"));
    for (n, l) in lines(0, &passport("910101")).into_iter().enumerate() {
        let top = if n == 0 { 400.0 } else { 440.0 };
        all.push(Line { place: Place { top, bottom: top + 24.0, ..l.place }, ..l });
    }
    assert!(refused(&page(all)).reasons.contains(&Reason::Inconsistent));
}

#[test]
fn an_illegible_zone_asks_for_its_band() {
    let text = ["P<XYZTANNER<<MIRA<<<<<<<<<<<<<<<<<<<<<<<<<<<", "X1234S67BXVZ9OIOIIF3IOIOI<<<<<<<<<<<<<<0"];
    let a = assess(&page(column(0, &text)), TODAY);
    assert!(a.wants.iter().any(|w| matches!(w, Want::MrzBand(_) | Want::Reread(_))));
    assert!(matches!(a.verdict, Verdict::Unreadable(_)));
}
