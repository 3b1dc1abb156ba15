//! Documents with a machine-readable zone (TD1, TD2, TD3, MRV-A, MRV-B) and cards without one that print a labelled date.
//! Sizes and places follow ICAO Doc 9303: OCR-B at ten characters an inch, the zone at the bottom edge.

use super::canvas::{Area, Card, Ink, Type};
use super::fonts::Face;
use super::korean::ID1;
use super::labels::{Locale, Spelling};
use super::mrz::Zone;
use super::person::{TODAY, between, birthday, chance, day, latin_name, pick, yymmdd};
use super::{CardKind, Draft, Spec, decor};
use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// Width of one MRZ character: ten to the inch.
const PITCH: f32 = 2.54;

/// What is printed, before it is laid out.
struct Holder {
    locale: &'static Locale,
    spelling: Spelling,
    zone: Zone,
    issued: Date,
}

fn size(kind: CardKind) -> (f32, f32) {
    match kind {
        CardKind::Td2 => (105.0, 74.0),
        CardKind::Td3 => (125.0, 88.0),
        CardKind::MrvA => (120.0, 80.0),
        CardKind::MrvB => (105.0, 74.0),
        _ => ID1,
    }
}

/// Width of the document in millimetres.
pub fn width(kind: CardKind) -> f32 {
    size(kind).0
}

fn code(rng: &mut Rng, kind: CardKind, locale: &Locale) -> String {
    match kind {
        CardKind::Td1 | CardKind::Td2 => pick(rng, &["ID", "I", "AC", "I", "C"]).to_owned(),
        CardKind::MrvA | CardKind::MrvB => pick(rng, &["V", "VB", "V"]).to_owned(),
        _ if locale.code == "KOR" => "PM".to_owned(),
        _ => pick(rng, &["P", "P", "P", "PO", "PP"]).to_owned(),
    }
}

/// A document number in the alphabet of real ones (no vowels that could be digits are left out: O and I do occur).
fn document_number(rng: &mut Rng, kind: CardKind, code: &str) -> String {
    if code == "KOR" {
        let mid = pick(rng, &["A", "B", "7", "C"]);
        return format!("M{:03}{mid}{:04}", rng.u16(0..1000), rng.u16(0..10000));
    }
    let letters = b"CFGHJKLMNPRTVWXYZ";
    let n = if kind == CardKind::Td1 && chance(rng, 0.08) { rng.usize(10..13) } else { rng.usize(8..10) };
    (0..n)
        .map(|i| {
            let letter = i < 2 || chance(rng, 0.12);
            char::from(if letter && rng.bool() { letters[rng.usize(..letters.len())] } else { b'0' + rng.u8(0..10) })
        })
        .collect()
}

fn holder(rng: &mut Rng, spec: &Spec, kind: CardKind, d: &mut Draft) -> Holder {
    let locale = Locale::draw(rng);
    let birth = spec.birth.unwrap_or_else(|| {
        let youngest = if chance(rng, 0.25) { date(2018, 12, 31) } else { date(2008, 11, 22) };
        day(rng, date(1930, 1, 1), youngest)
    });
    let years = match (birthday(birth, 18) > TODAY, kind) {
        (_, CardKind::MrvA | CardKind::MrvB) => 2,
        (true, _) => 5,
        _ => 10,
    };
    let issued = day(rng, (TODAY - (years - 1).years()).max(birth), TODAY - 5.days());
    let expiry = issued + years.years();
    d.truth.born(birth);
    d.truth.expiry = Some(expiry);
    let code = code(rng, kind, locale);
    let (surname, given) = latin_name(rng);
    let sex = if chance(rng, 0.04) { '<' } else { *pick(rng, &[&'M', &'F']) };
    let number = document_number(rng, kind, locale.code);
    let optional = optional(rng, kind, locale.code, birth, issued);
    let zone = Zone {
        code,
        issuer: locale.code.to_owned(),
        nationality: if matches!(kind, CardKind::MrvA | CardKind::MrvB) {
            "UTO".to_owned()
        } else {
            locale.code.to_owned()
        },
        number,
        birth,
        sex,
        expiry,
        surname,
        given,
        optional,
        zero_for_empty: chance(rng, 0.3),
    };
    let full = kind == CardKind::OtherId;
    Holder { locale, spelling: locale.spelling(rng, full), zone, issued }
}

fn optional(rng: &mut Rng, kind: CardKind, code: &str, birth: Date, issued: Date) -> String {
    let digits = |rng: &mut Rng, n: usize| (0..n).map(|_| char::from(b'0' + rng.u8(0..10))).collect::<String>();
    match kind {
        // Korean passports before 21 December 2020 carried the tail of the resident number (district 99: invented).
        CardKind::Td3 if code == "KOR" && issued < date(2020, 12, 21) => {
            format!("{}99{}", if birth.year() < 2000 { 1 } else { 3 }, digits(rng, 4))
        }
        CardKind::Td3 if chance(rng, 0.3) => digits(rng, 10),
        CardKind::Td1 if code == "SWE" => format!("{}{}", yymmdd(birth), digits(rng, 4)),
        CardKind::Td1 if chance(rng, 0.2) => digits(rng, 8),
        CardKind::MrvA if chance(rng, 0.4) => format!("B{}", digits(rng, 8)),
        _ => String::new(),
    }
}

fn surface(rng: &mut Rng, kind: CardKind, ppm: f32) -> Card {
    let (w, h) = size(kind);
    let mut card = Card::new(w, h, ppm);
    let tints: &[&(Ink, Ink, Ink)] = &[
        &([236, 228, 234], [220, 232, 240], [190, 160, 190]),
        &([228, 238, 226], [240, 236, 220], [160, 190, 150]),
        &([222, 232, 244], [238, 230, 240], [150, 170, 210]),
        &([246, 232, 224], [228, 236, 240], [214, 168, 150]),
        &([240, 238, 230], [230, 230, 230], [176, 176, 170]),
    ];
    let (a, b, line) = **pick(rng, &tints.iter().collect::<Vec<_>>());
    let strength = between(rng, 0.15, 0.50);
    decor::guilloche(&mut card, a, b, line, strength, rng);
    let at = (between(rng, 0.4, 0.8) * w, between(rng, 0.25, 0.5) * h);
    decor::rosette(&mut card, at, h * between(rng, 0.18, 0.28), line, 0.35, rng);
    if chance(rng, 0.6) {
        let at = (between(rng, 0.25, 0.7) * w, between(rng, 0.2, 0.5) * h);
        decor::hologram(&mut card, at, between(rng, 6.0, 12.0), rng);
    }
    card
}

/// Prints the zone; `lift` is the height of the last baseline over the bottom edge, `step` the distance of lines.
fn zone(card: &mut Card, rng: &mut Rng, lines: &[String], white: bool) {
    let three = lines.len() == 3;
    let (lift, step) = if three { (6.2, 4.23) } else { (9.2, 6.35) };
    let tall = lift + step * (lines.len() - 1) as f32 + 4.6;
    if white {
        let a = Area { left: 0.0, top: card.height - tall, right: card.width, bottom: card.height };
        card.fill(a, [250, 250, 248], between(rng, 0.45, 0.95));
    }
    let t = Type::new(Face::OcrB, 1.0, [rng.u8(5..50); 3]);
    let t = t.em(PITCH / t.width("0"));
    let chars = lines[0].len() as f32;
    let left = (card.width - chars * PITCH) / 2.0 + between(rng, -1.2, 0.6);
    let sag = between(rng, -0.25, 0.25);
    for (i, line) in lines.iter().enumerate() {
        let y = card.height - lift - step * (lines.len() - 1 - i) as f32 + sag;
        card.text(left, y, line, &t);
    }
    let top = card.height - tall + 1.0;
    card.mark(Area { left, top, right: left + chars * PITCH, bottom: card.height - lift + 0.5 }, 2.4);
}

/// A caption with its value below it.
struct Field<'a> {
    label: &'a str,
    value: String,
    key: bool,
}

fn plain(label: &str, value: impl Into<String>) -> Field<'_> {
    Field { label, value: value.into(), key: false }
}

/// Captions and values in rows of one or two, from `top` down.
fn rows(card: &mut Card, fields: &[Vec<Field>], a: Area, step: f32, caption: &Type, value: &Type) {
    for (i, row) in fields.iter().enumerate() {
        let y = a.top + step * i as f32;
        let room = (a.right - a.left) / row.len() as f32;
        for (j, f) in row.iter().enumerate() {
            let x = a.left + room * j as f32;
            card.fit(x, y, room - 1.0, f.label, caption);
            let at = y + value.em * 0.95;
            if f.key {
                let stretch = (value.stretch * (room - 1.5) / value.width(&f.value)).min(value.stretch);
                card.key_text(x, at, &f.value, &Type { stretch, ..*value });
            } else {
                card.fit(x, at, room - 1.5, &f.value, value);
            }
        }
    }
}

fn inks(rng: &mut Rng, ppm: f32) -> (Type, Type) {
    let tone = [rng.u8(20..90), rng.u8(40..90), rng.u8(80..130)];
    let face = *pick(rng, &[&Face::Sans, &Face::SansBold, &Face::Condensed, &Face::Serif, &Face::Mono, &Face::OcrB]);
    let _ = ppm;
    (Type::new(*pick(rng, &[&Face::Sans, &Face::Condensed]), 1.75, tone), Type::new(face, 3.1, [rng.u8(5..55); 3]))
}

fn sex(c: char) -> &'static str {
    match c {
        'M' => "M",
        'F' => "F",
        _ => "X",
    }
}

/// TD1, TD2, TD3 and both visas.
pub fn document(rng: &mut Rng, spec: &Spec, ppm: f32, d: &mut Draft) -> Card {
    let kind = spec.kind;
    let h = holder(rng, spec, kind, d);
    let mut card = surface(rng, kind, ppm);
    let lines = match kind {
        CardKind::Td1 => h.zone.td1(),
        CardKind::Td2 => h.zone.td2(),
        CardKind::MrvA => h.zone.visa(44),
        CardKind::MrvB => h.zone.visa(36),
        _ => h.zone.td3(),
    };
    let white = chance(rng, 0.6);
    zone(&mut card, rng, &lines, white);
    match kind {
        CardKind::Td1 => td1_face(&mut card, rng, &h, d),
        CardKind::Td3 => passport_face(&mut card, rng, &h),
        CardKind::Td2 => wide_face(&mut card, rng, &h, h.locale.card, [4.0, 17.0, 29.0, 49.0]),
        _ => wide_face(&mut card, rng, &h, "VISA", [4.0, 16.0, 30.0, 50.0]),
    }
    card
}

/// TD1: most cards carry the zone on the back, where little else is printed; some carry all on one side.
fn td1_face(card: &mut Card, rng: &mut Rng, h: &Holder, d: &mut Draft) {
    let (caption, value) = inks(rng, card.ppm);
    let (l, z) = (h.locale, &h.zone);
    if chance(rng, 0.4) {
        d.truth.variant = "mrz_only";
        let rows_ = [
            vec![
                plain("Address / Adresse", format!("{} PROBE STREET", rng.u8(1..200))),
                plain("Height / Größe", format!("{} cm", rng.u8(150..199))),
            ],
            vec![plain(l.place, "EXAMPLETOWN"), plain("Authority / Behörde", "CITY OF TESTING")],
            vec![plain(l.issue, l.date(h.issued, h.spelling)), plain("Colour of eyes", "GREEN")],
        ];
        rows(card, &rows_, Area { left: 5.0, top: 6.5, right: 66.0, bottom: 30.0 }, 7.6, &caption, &value.em(2.8));
        decor::portrait(card, Area { left: 69.0, top: 5.0, right: 80.5, bottom: 20.0 }, false, 0.5, rng);
        return;
    }
    card.fit(4.0, 5.0, 78.0, &format!("{}  {}", l.country, l.card), &Type::new(Face::SansBold, 3.0, caption.ink));
    decor::portrait(card, Area { left: 4.0, top: 7.0, right: 23.0, bottom: 32.5 }, chance(rng, 0.6), 1.0, rng);
    let fields = [
        vec![plain(l.surname, &*z.surname), plain(l.number, &*z.number)],
        vec![plain(l.given, &*z.given), plain(l.sex, sex(z.sex))],
        vec![
            Field { label: l.birth_label(rng), value: l.date(z.birth, h.spelling), key: true },
            plain(l.nationality, l.code),
        ],
        vec![plain(l.issue, l.date(h.issued, h.spelling)), plain(l.expiry, l.date(z.expiry, h.spelling))],
    ];
    let caption = caption.em(1.55);
    rows(card, &fields, Area { left: 25.5, top: 9.2, right: 84.0, bottom: 33.0 }, 6.1, &caption, &value.em(2.75));
}

/// The data page of a passport.
fn passport_face(card: &mut Card, rng: &mut Rng, h: &Holder) {
    let (caption, value) = inks(rng, card.ppm);
    let (l, z) = (h.locale, &h.zone);
    card.fit(5.0, 8.0, 50.0, l.passport, &Type::new(Face::SansBold, 4.4, caption.ink));
    card.fit(58.0, 8.0, 62.0, l.country, &Type::new(Face::SansBold, 4.0, caption.ink));
    decor::portrait(card, Area { left: 5.0, top: 18.0, right: 37.0, bottom: 59.0 }, chance(rng, 0.7), 1.0, rng);
    let head =
        [vec![plain("Type / Type", &*z.code), plain("Code of issuing State", l.code), plain(l.number, &*z.number)]];
    rows(card, &head, Area { left: 42.0, top: 12.4, right: 120.0, bottom: 18.0 }, 8.0, &caption, &value);
    let dates = vec![plain(l.issue, l.date(h.issued, h.spelling)), plain("Authority", "PASSPORT OFFICE")];
    let mut fields = vec![
        vec![plain(l.surname, &*z.surname)],
        vec![plain(l.given, &*z.given)],
        vec![plain(l.nationality, l.country)],
        vec![
            Field { label: l.birth_label(rng), value: l.date(z.birth, h.spelling), key: true },
            plain(l.sex, sex(z.sex)),
        ],
        dates,
        vec![plain(l.expiry, l.date(z.expiry, h.spelling)), plain(l.place, "EXAMPLETOWN")],
    ];
    if chance(rng, 0.4) {
        // Birth and sex in one row with the place, as many passports have it.
        fields[3].push(plain("Height", "172 cm"));
    }
    rows(card, &fields, Area { left: 42.0, top: 20.6, right: 120.0, bottom: 68.0 }, 7.9, &caption, &value.em(3.2));
    decor::signature(card, Area { left: 84.0, top: 58.0, right: 116.0, bottom: 66.0 }, rng);
    if chance(rng, 0.5) {
        decor::portrait(card, Area { left: 104.0, top: 22.0, right: 118.0, bottom: 40.0 }, false, 0.22, rng);
    }
}

/// TD2 cards and visas: `places` are the photo's left, its top, its right, its bottom.
fn wide_face(card: &mut Card, rng: &mut Rng, h: &Holder, title: &str, places: [f32; 4]) {
    let (caption, value) = inks(rng, card.ppm);
    let (l, z) = (h.locale, &h.zone);
    let visa = title == "VISA";
    card.fit(4.0, 8.0, 58.0, l.country, &Type::new(Face::SansBold, 4.0, caption.ink));
    card.fit(64.0, 8.0, card.width - 68.0, title, &Type::new(Face::SansBold, 3.6, caption.ink));
    let [left, top, right, bottom] = places;
    decor::portrait(card, Area { left, top, right, bottom }, chance(rng, 0.7), 1.0, rng);
    let mut birth = vec![
        Field { label: l.birth_label(rng), value: l.date(z.birth, h.spelling), key: true },
        plain(l.sex, sex(z.sex)),
    ];
    if visa && chance(rng, 0.35) {
        // Many visas print no birth date outside the zone.
        birth = vec![plain("Number of entries", "MULT"), plain(l.sex, sex(z.sex))];
    }
    let fields = [
        vec![plain(l.surname, &*z.surname), plain(l.number, &*z.number)],
        vec![plain(l.given, &*z.given), plain(l.nationality, &*z.nationality)],
        birth,
        vec![plain(l.issue, l.date(h.issued, h.spelling)), plain(l.expiry, l.date(z.expiry, h.spelling))],
        vec![plain("Authority", "EXAMPLETOWN")],
    ];
    let area = Area { left: right + 4.0, top: 15.5, right: card.width - 3.0, bottom: 50.0 };
    rows(card, &fields, area, 7.8, &caption.em(1.65), &value.em(3.0));
}

/// The front of an identity card without MRZ: a labelled, printed date of birth is all there is.
pub fn other(rng: &mut Rng, spec: &Spec, ppm: f32, d: &mut Draft) -> Card {
    let h = holder(rng, spec, CardKind::OtherId, d);
    let mut card = surface(rng, CardKind::OtherId, ppm);
    let (caption, value) = inks(rng, ppm);
    let (l, z) = (h.locale, &h.zone);
    card.fit(4.5, 6.6, 60.0, l.country, &Type::new(Face::SansBold, 3.6, caption.ink));
    card.fit(4.5, 11.0, 60.0, l.card, &Type::new(Face::Sans, 3.0, caption.ink));
    let right = chance(rng, 0.3);
    let photo = if right { 59.0 } else { 4.5 };
    decor::portrait(
        &mut card,
        Area { left: photo, top: 14.0, right: photo + 22.0, bottom: 44.0 },
        chance(rng, 0.7),
        1.0,
        rng,
    );
    let fields = [
        vec![plain(l.surname, &*z.surname)],
        vec![plain(l.given, &*z.given)],
        vec![
            Field { label: l.birth_label(rng), value: l.date(z.birth, h.spelling), key: true },
            plain(l.sex, sex(z.sex)),
        ],
        vec![plain(l.nationality, l.code), plain(l.number, &*z.number)],
        vec![plain(l.issue, l.date(h.issued, h.spelling)), plain(l.expiry, l.date(z.expiry, h.spelling))],
    ];
    let left = if right { 5.0 } else { 29.5 };
    let area = Area { left, top: 15.5, right: left + 52.0, bottom: 50.0 };
    rows(&mut card, &fields, area, 7.0, &caption, &value);
    decor::signature(&mut card, Area { left: 6.0, top: 46.5, right: 26.0, bottom: 51.5 }, rng);
    card
}
