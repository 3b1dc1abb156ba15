//! The MRZ vectors of the domain reference, and the ways in which a recogniser spoils them.

use super::*;
use crate::evidence::text::{Alphabet, Line, Place};
use crate::secret::Sensitive;
use crate::terms::DocumentKind::{self, MrvA, MrvB, Td1, Td2, Td3};

pub(crate) fn page(lines: &[&str]) -> Page {
    let mut top = 0.0;
    let lines = lines
        .iter()
        .map(|t| {
            top += 40.0;
            let place = Place { left: 10.0, top, right: 10.0 + 20.0 * 44.0, bottom: top + 24.0 };
            Line { text: Sensitive::new((*t).to_owned()), place, alphabet: Alphabet::Mrz, pass: 0 }
        })
        .collect();
    Page { lines, title: None, size: (1000.0, 700.0) }
}

fn sole(lines: &[&str]) -> Reading {
    let mut zone = read(&page(lines));
    assert_eq!(zone.readings.len(), 1, "{lines:?}");
    zone.readings.remove(0)
}

fn parts(r: &Reading) -> (Option<u8>, Option<u8>, Option<u8>) {
    (r.birth.year, r.birth.month, r.birth.day)
}

/// Lines, kind, year, month and day of birth.
type Vector = (&'static [&'static str], DocumentKind, (u8, u8, u8));

const VECTORS: &[Vector] = &[
    (
        &["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"],
        Td3,
        (74, 8, 12),
    ),
    (
        &["I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"],
        Td1,
        (74, 8, 12),
    ),
    (&["I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"], Td2, (74, 8, 12)),
    (
        &["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<"],
        MrvA,
        (40, 9, 7),
    ),
    (&["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<"], MrvB, (40, 9, 7)),
    (
        &["P<UTOTESTCHILD<<ALPHA<<<<<<<<<<<<<<<<<<<<<<<", "X000000012UTO1311233F2801016<<<<<<<<<<<<<<<2"],
        Td3,
        (13, 11, 23),
    ),
    (
        &["P<UTOTESTCHILD<<BETA<<<<<<<<<<<<<<<<<<<<<<<<", "X000000023UTO1311222M2801016<<<<<<<<<<<<<<<0"],
        Td3,
        (13, 11, 22),
    ),
    (
        &["P<UTOTESTTEEN<<GAMMA<<<<<<<<<<<<<<<<<<<<<<<<", "X000000034UTO0811220F3101012<<<<<<<<<<<<<<<2"],
        Td3,
        (8, 11, 22),
    ),
    (
        &["P<UTOTESTTEEN<<DELTA<<<<<<<<<<<<<<<<<<<<<<<<", "X000000045UTO0811231<3101012<<<<<<<<<<<<<<<0"],
        Td3,
        (8, 11, 23),
    ),
    (
        &["P<UTOTESTLEAP<<EPSILON<<<<<<<<<<<<<<<<<<<<<<", "X000000056UTO0802293M3101012<<<<<<<<<<<<<<<2"],
        Td3,
        (8, 2, 29),
    ),
    (
        &["P<UTOTESTELDER<<ZETA<<<<<<<<<<<<<<<<<<<<<<<<", "X000000067UTO2611239F3001019<<<<<<<<<<<<<<<4"],
        Td3,
        (26, 11, 23),
    ),
    (
        &["P<UTOTESTINFANT<<ETA<<<<<<<<<<<<<<<<<<<<<<<<", "X000000078UTO2601054F3101012<<<<<<<<<<<<<<<2"],
        Td3,
        (26, 1, 5),
    ),
    (
        &["P<D<<MUSTERTEST<<ERIKA<<<<<<<<<<<<<<<<<<<<<<", "C000000015D<<9001011F3101012<<<<<<<<<<<<<<<6"],
        Td3,
        (90, 1, 1),
    ),
    (
        &["PMKORTEST<<GILDONG<<<<<<<<<<<<<<<<<<<<<<<<<<", "M000000004KOR9001011M30123161990006<<<<<<<50"],
        Td3,
        (90, 1, 1),
    ),
    (
        &["PMKORTEST<<GILDONG<<<<<<<<<<<<<<<<<<<<<<<<<<", "M000A00004KOR9001011M3512311<<<<<<<<<<<<<<<0"],
        Td3,
        (90, 1, 1),
    ),
    (
        &["P<UTOTESTOPT<<ZERO<<<<<<<<<<<<<<<<<<<<<<<<<<", "X000000126UTO9001011F3101012<<<<<<<<<<<<<<04"],
        Td3,
        (90, 1, 1),
    ),
    (
        &["IDUTOX00000000<1237<<<<<<<<<<<", "9001011F3101012UTO<<<<<<<<<<<4", "TESTLONG<<MU<<<<<<<<<<<<<<<<<<"],
        Td1,
        (90, 1, 1),
    ),
    (
        &["IDUTOX000000137<<<<<<<<<<<<<<<", "0811220M3101012UTO<<<<<<<<<<<6", "TESTCARD<<NU<<<<<<<<<<<<<<<<<<"],
        Td1,
        (8, 11, 22),
    ),
    (&["I<UTOTESTTWO<<XI<<<<<<<<<<<<<<<<<<<<", "X000000148UTO1311222F3101012<<<<<<<8"], Td2, (13, 11, 22)),
    (
        &["V<UTOTESTVISA<<OMICRON<<<<<<<<<<<<<<<<<<<<<<", "X000000159UTO9001011M2701013<<<<<<<<<<<<<<<<"],
        MrvA,
        (90, 1, 1),
    ),
    (&["V<UTOTESTVISB<<PI<<<<<<<<<<<<<<<<<<<", "X000000160UTO9001011M2701013<<<<<<<<"], MrvB, (90, 1, 1)),
    (
        &["IDBEL000590696<1015<<<<<<<<<<<", "9401013F2710017BEL000101123453", "SPECIMEN<<SPECIMEN<<<<<<<<<<<<"],
        Td1,
        (94, 1, 1),
    ),
    (
        &["I<SWE59000002<8198703142391<<<", "8703145M1701027SWE<<<<<<<<<<<8", "SPECIMEN<<SVEN<<<<<<<<<<<<<<<<"],
        Td1,
        (87, 3, 14),
    ),
    (
        &["IDAUT10000999<6<<<<<<<<<<<<<<<", "7109094F1112315AUT<<<<<<<<<<<4", "MUSTERFRAU<<ISOLDE<<<<<<<<<<<<"],
        Td1,
        (71, 9, 9),
    ),
];

#[test]
fn every_vector_reads_with_all_its_digits() {
    for (lines, kind, (y, m, d)) in VECTORS {
        let r = sole(lines);
        assert_eq!(r.kind, *kind, "{lines:?}");
        assert_eq!(parts(&r), (Some(*y), Some(*m), Some(*d)), "{lines:?}");
        assert!(r.birth_holds && r.expiry_holds && !r.birth_mended && !r.mended, "{lines:?}");
        assert_eq!(r.composite, (!matches!(kind, MrvA | MrvB)).then_some(true), "{lines:?}");
        assert!(r.number_holds, "{lines:?}");
        assert!(!r.nonconforming, "{lines:?}");
    }
}

#[test]
fn unknown_parts_keep_the_composite() {
    for (second, want) in [
        ("X000000089UTO0811<<2M3101012<<<<<<<<<<<<<<2", (Some(8), Some(11), None)),
        ("X000000090UTO08<<<<4M3101012<<<<<<<<<<<<<<<6", (Some(8), None, None)),
        ("X000000104UTO<<<<<<0M3101012<<<<<<<<<<<<<<<8", (None, None, None)),
        ("X000000115UTO0800004M3101012<<<<<<<<<<<<<<<6", (Some(8), None, None)),
    ] {
        let r = sole(&["P<UTOTESTUNK<<KAPPA<<<<<<<<<<<<<<<<<<<<<<<<<", second]);
        assert_eq!(parts(&r), want, "{second}");
        assert!(r.birth_holds && r.composite == Some(true), "{second}");
    }
}

#[test]
fn the_french_card_is_its_own_layout() {
    let r = sole(&["IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "9409923102854CORINNE<<<<<<<6512068F4"]);
    assert_eq!((r.kind, parts(&r)), (Td2, (Some(65), Some(12), Some(6))));
    assert!(r.birth_holds && r.composite == Some(true) && r.nonconforming);
}

#[test]
fn fillers_may_be_lost_or_added() {
    for lines in [
        ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<10"],
        ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<<<<10"],
        ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<", "xxL898902C36UTO7408122F1204159ZE184226B<<<<<10"],
        ["p<utoeriksson<<anna<maria<<<<<<<", "L898902C36 UTO 7408122F 1204159 ZE184226B<<<<<10"],
    ] {
        let r = sole(&lines);
        assert!(r.birth_holds && r.composite == Some(true), "{lines:?}");
        assert_eq!(r.kind, Td3);
    }
    let r = sole(&["P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<<", "CA000000<4D6408125F1802212<<<<<<<<<<<<<<<6"]);
    assert_eq!(r.composite, Some(true));
}

#[test]
fn a_document_number_may_be_mended_and_a_birth_date_not() {
    let r = sole(&["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8989O2C36UTO7408122F1204159ZE184226B<<<<<10"]);
    assert!(r.mended && r.number_holds && r.composite == Some(true) && !r.birth_mended);
    let r = sole(&["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7403122F1204159ZE184226B<<<<<10"]);
    assert!(!r.birth_holds);
}

#[test]
fn split_boxes_and_any_order() {
    let mut page =
        page(&["7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<", "I<UTOD231458907<<<<<<<<<<<<<<<"]);
    let place = |top: f32| Place { left: 10.0, top, right: 600.0, bottom: top + 24.0 };
    for (line, top) in page.lines.iter_mut().zip([80.0, 120.0, 40.0]) {
        line.place = place(top);
    }
    let zone = read(&page);
    assert_eq!(zone.readings.len(), 1);
    assert_eq!(zone.readings[0].composite, Some(true));
    assert!(zone.bands.len() >= 2);
}
