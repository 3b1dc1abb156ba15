//! Labelled printed dates, and papers that are no identity documents.

use super::*;

#[test]
fn labels_above_beside_and_fused() {
    for lines in [
        &["PERSONALAUSWEIS", "Geburtstag/Date of birth", "12.08.1964 DEUTSCH"][..],
        &["IDENTITY CARD", "Date of birth/Geburtstag12.08.1964"][..],
        &["PERMIS DE CONDUIRE", "1. MARTIN", "2. PAUL", "3. 12.08.1964 PARIS", "4a. 01.01.2013"][..],
        &["IDENTITY CARD", "Date of birth: 12 AUG/AOUT 1964"][..],
        &["PERSONALAUSWEIS", "Geburtsort und -datum / Place and date of birth", "Rochefort 12.AUG.1964"][..],
        &["運転免許証", "氏名 日本 昭和39年8月12日生 生年月日昭和39年8月12日"][..],
        &["CARTE NATIONALE D'IDENTITE", "Né(e) le : 12.08.1964"][..],
    ] {
        let e = read(&page(column(0, lines)));
        assert_eq!((e.kind, e.birth.expose()), (DocumentKind::OtherId, date(1964, 8, 12)), "{lines:?}");
        assert_eq!(e.assurance, AssuranceLevel::Unwitnessed);
        assert_eq!(read(&twice(lines)).assurance, AssuranceLevel::Witnessed);
    }
}

#[test]
fn the_date_of_another_label_is_not_taken() {
    for lines in [
        &["IDENTITY CARD", "Surname", "Date of birth", "Date of issue", "01.01.2013"][..],
        &["IDENTITY CARD", "Date of birth", "Date of issue 01.01.2013"][..],
        &["IDENTITY CARD", "Date of birth  Date of expiry 01.01.2013"][..],
        &["IDENTITY CARD", "Place of birth", "BERLIN 01.01.2013"][..],
    ] {
        refused(&twice(lines));
    }
}

#[test]
fn an_open_order_is_refused_and_evidence_settles_it() {
    assert!(refused(&twice(&["IDENTITY CARD", "Date of birth 03/04/1988"])).reasons.contains(&Reason::NotWitnessed));
    let e = read(&twice(&["WEST VIRGINIA DRIVER'S LICENSE", "DOB 03/04/1988"]));
    assert_eq!(e.birth.expose(), date(1988, 3, 4));
    let e = read(&twice(&["DRIVER'S LICENSE", "DOB 03/04/1988", "ISS 03/23/2022", "EXP 03/24/2030"]));
    assert_eq!((e.birth.expose(), e.expiry), (date(1988, 3, 4), Some(date(2030, 3, 24))));
    let e = read(&twice(&["CARTE NATIONALE D'IDENTITE", "Date de naissance 03/04/1988"]));
    assert_eq!(e.birth.expose(), date(1988, 4, 3));
}

#[test]
fn papers_give_no_date() {
    for lines in [
        &["INVOICE", "Customer", "Date of birth: 01.02.2000", "Nationality", "Surname"][..],
        &["Date of birth: 01.02.2000", "Signed in Berlin"][..],
        &["Receipt", "12/23/2020 12:30", "TOTAL 12.50"][..],
        &["VALID THRU 12/23", "4000 1234 5678 9010", "CARDHOLDER"][..],
    ] {
        let u = refused(&twice(lines));
        assert_eq!(u.reasons, [Reason::UnsupportedDocument], "{lines:?}");
    }
    let a = assess(&page(vec![]), TODAY);
    assert_eq!(a.wants, [Want::Elsewhere]);
    assert_eq!(refused(&page(vec![])).reasons, [Reason::NoDocument]);
    assert_eq!(refused(&twice(&["IDENTITY CARD", "Surname", "TANNER"])).reasons, [Reason::NoBirthDate]);
}

#[test]
fn readings_of_one_date_that_differ_are_refused() {
    let mut lines = column(0, &["IDENTITY CARD", "Date of birth", "12.08.1964"]);
    lines.extend(column(1, &["IDENTITY CARD", "Date of birth", "12.03.1964"]));
    assert_eq!(refused(&page(lines)).reasons, [Reason::Inconsistent]);
    // A reading of the line alone, without its label, counts too.
    let mut lines = column(0, &["IDENTITY CARD", "Date of birth", "12.08.1964"]);
    lines.push(line(1, 20.0, 120.0, "12.03.1964"));
    assert_eq!(refused(&page(lines)).reasons, [Reason::Inconsistent]);
    let mut lines = column(0, &["IDENTITY CARD", "Date of birth", "12.08.1964"]);
    lines.push(line(1, 20.0, 120.0, "12.08.1964"));
    assert_eq!(read(&page(lines)).assurance, AssuranceLevel::Witnessed);
}

#[test]
fn a_second_look_that_gives_nothing_is_a_doubt() {
    for text in ["12.O8.1964", "IZ 08 I9G4"] {
        let mut lines = column(0, &["IDENTITY CARD", "Date of birth", "12.08.1964"]);
        lines.push(line(1, 20.0, 120.0, text));
        assert_eq!(refused(&page(lines)).reasons, [Reason::NotWitnessed], "{text}");
    }
}

#[test]
fn a_birth_date_is_the_earliest_date() {
    let u = refused(&twice(&["IDENTITY CARD", "Date of birth 01.01.2015", "12.08.1964"]));
    assert_eq!(u.reasons, [Reason::Inconsistent]);
    let u = refused(&twice(&["IDENTITY CARD", "Date of birth 01.01.2030"]));
    assert_eq!(u.reasons, [Reason::ImpossibleDate]);
}

#[test]
fn a_personal_number_with_the_date_is_a_witness() {
    let e = read(&page(column(0, &["IDENTITY CARD", "Date of birth", "12.08.1964", "Personal No.", "640812-12345"])));
    assert_eq!(e.assurance, AssuranceLevel::Witnessed);
    assert!(e.witnesses.contains(&Witness::PersonalNumber));
}

#[test]
fn real_names_are_no_specimens() {
    for (name, specimen) in [
        ("TEST", false),
        ("CITIZEN", false),
        ("ERIKSSON ANNA MARIA", false),
        ("MODELE", false),
        ("ESPAÑOLA", false),
        ("CITIZEN JANE", true),
        ("MUSTERFRAU", true),
        ("SPECIMEN", true),
        ("VZOREC", true),
        ("UTOPIA", true),
    ] {
        let e = read(&twice(&["IDENTITY CARD", name, "Date of birth 12.08.1964"]));
        assert_eq!(e.signals.contains(&Signal::Specimen), specimen, "{name}");
    }
}

#[test]
fn a_hundred_years_are_never_accepted() {
    let of = |d: &str| assess(&twice(&["IDENTITY CARD", "Date of birth", d]), TODAY).verdict;
    assert!(matches!(of("23.11.1926"), Verdict::Read(_)));
    let Verdict::Unreadable(u) = of("22.11.1926") else { panic!("accepted") };
    assert_eq!((u.reasons.as_slice(), young(&u)), ([Reason::NotWitnessed].as_slice(), Some(TODAY)));
}

#[test]
fn personal_data_are_not_shown() {
    let page = twice(&["IDENTITY CARD", "Date of birth 12.08.1964", "Date of expiry 31.10.2020"]);
    let shown = format!("{:?}", assess(&page, TODAY));
    for part in ["1964", "2020", "12", "-08"] {
        assert!(!shown.contains(part), "{part}");
    }
    let refused = format!("{:?}", refused(&twice(&["IDENTITY CARD", "Date of birth 22.11.1926"])));
    assert!(!refused.contains("26"));
}

#[test]
fn expiry_and_specimen_signals() {
    let e = read(&twice(&["IDENTITY CARD", "MUSTERMANN", "Date of birth 12.08.1964", "Date of expiry 31.10.2020"]));
    assert_eq!(e.signals, [Signal::Expired, Signal::Specimen]);
}
