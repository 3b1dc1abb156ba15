//! The Korean alien card family in its three eras (domain rules 1.8): alien registration, permanent resident and overseas
//! Korean card. 2011 and 2021: grey photo at the left, sex printed. 2023: colour photo at the right, no sex, a QR code.

use super::canvas::{Area, Card, Ink, Type};
use super::fonts::Face;
use super::korean::{ID1, kr_date, number};
use super::person::{self, TODAY, between, birthday, chance, day, pick};
use super::{Draft, Spec, decor};
use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::date;

/// Which design a card follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Y2011,
    Y2021,
    Y2023,
}

struct Title {
    korean: &'static str,
    english: &'static str,
    number: &'static str,
    status: &'static str,
}

fn title(rng: &mut Rng, era: Era) -> Title {
    let number = "외국인등록번호";
    match rng.u8(0..10) {
        0 | 1 => Title { korean: "영주증", english: "PERMANENT RESIDENT CARD", number, status: "영주(F-5)" },
        2 | 3 => Title {
            korean: if rng.bool() { "국내거소신고증" } else { "외국국적동포 국내거소신고증" },
            english: "OVERSEAS KOREAN RESIDENT CARD",
            number: "국내거소신고번호",
            status: "재외동포(F-4)",
        },
        _ => Title {
            korean: "외국인등록증",
            english: if era == Era::Y2011 { "ALIEN REGISTRATION CARD" } else { "RESIDENCE CARD" },
            number,
            status: pick(
                rng,
                &[
                    "유학(D-2)",
                    "거주(F-2)",
                    "결혼이민(F-6)",
                    "회화지도(E-2)",
                    "비전문취업(E-9)",
                    "방문취업(H-2)",
                    "구직(D-10)",
                ],
            ),
        },
    }
}

const COUNTRIES: &[&str] =
    &["UTOPIA", "ATLANTIS", "RURITANIA", "FREEDONIA", "LILLIPUT", "ELBONIA", "SYLDAVIA", "BORDURIA"];

/// Paints one card of the family.
pub fn card(rng: &mut Rng, spec: &Spec, ppm: f32, era: Era, d: &mut Draft) -> Card {
    let (from, to) = match era {
        Era::Y2011 => (date(2018, 1, 1), date(2020, 12, 20)),
        Era::Y2021 => (date(2021, 1, 10), date(2023, 3, 31)),
        Era::Y2023 => (date(2023, 4, 1), TODAY),
    };
    let birth = spec.birth.unwrap_or_else(|| day(rng, date(1935, 1, 1), birthday(from, -17) - 30.days()));
    let issued = day(rng, from.max(birth), to);
    d.truth.born(birth);
    let number = number(rng, spec, birth, issued, true, d);
    let mut card = Card::new(ID1.0, ID1.1, ppm);
    let (a, b, line): (Ink, Ink, Ink) = *pick(
        rng,
        &[
            &([224, 240, 232], [238, 240, 226], [140, 200, 170]),
            &([232, 236, 248], [228, 244, 240], [150, 170, 220]),
            &([246, 236, 230], [232, 240, 246], [214, 170, 150]),
        ],
    );
    let strength = between(rng, 0.15, 0.45);
    decor::guilloche(&mut card, a, b, line, strength, rng);
    decor::hologram(&mut card, (between(rng, 35.0, 60.0), between(rng, 20.0, 40.0)), between(rng, 7.0, 11.0), rng);
    let title = title(rng, era);
    let f = *pick(rng, &[&Face::Gothic, &Face::NotoKr, &Face::Gulim, &Face::GothicBold]);
    let ink = [rng.u8(10..55); 3];
    let photo_left = era != Era::Y2023;
    heading(&mut card, rng, &title, photo_left);
    let photo = if photo_left {
        Area { left: 4.0, top: 13.5, right: 25.0, bottom: 41.0 }
    } else {
        Area { left: 55.5, top: 12.5, right: 81.8, bottom: 46.0 }
    };
    decor::portrait(&mut card, photo, !photo_left, 1.0, rng);
    let x = if photo_left { between(rng, 27.5, 29.5) } else { between(rng, 5.0, 7.0) };
    fields(&mut card, rng, x, f, ink, &title, &number, d.male, photo_left);
    let date_text = kr_date(rng, issued);
    let y = if photo_left { 42.0 } else { 41.2 };
    let caption = Type::new(f, 1.9, ink).alpha(0.85);
    let w = card.text(x, y, "발급일자", &caption) + 1.0;
    let w = w + card.text(x + w, y, "Issue Date", &Type { face: Face::Sans, ..caption }) + 1.6;
    card.text(x + w, y + 0.2, &date_text, &Type::new(f, 3.0, ink));
    let issuer = format!("{}출입국·외국인청장", pick(rng, &["서울", "인천", "부산", "대구"]));
    if photo_left {
        let w = card.text(24.0, 47.2, &issuer, &Type::new(f, 3.2, ink));
        card.text(20.0, 50.8, "CHIEF, TEST IMMIGRATION OFFICE", &Type::new(Face::Sans, 2.2, ink));
        decor::seal(&mut card, (28.0 + w, 47.5), 7.0, rng);
    } else {
        card.text(20.0, 46.0, &issuer, &Type::new(f, 2.9, ink));
        card.text(
            20.0,
            49.8,
            "CHIEF, TEST IMMIGRATION OFFICE",
            &Type { stretch: 0.85, ..Type::new(Face::Sans, 2.0, ink) },
        );
        decor::qr(&mut card, (5.6, 42.4), 9.6, rng);
        decor::seal(&mut card, (50.5, 47.6), 6.0, rng);
    }
    card
}

fn heading(card: &mut Card, rng: &mut Rng, title: &Title, photo_left: bool) {
    let ink = [rng.u8(10..60), rng.u8(40..80), rng.u8(60..130)];
    let korean =
        Type::new(*pick(rng, &[&Face::GothicBold, &Face::NotoKrBold]), between(rng, 3.9, 4.5), ink).track(0.06);
    let english = Type::new(Face::SansBold, between(rng, 2.5, 3.0), ink);
    if photo_left && title.korean.chars().count() < 8 && chance(rng, 0.5) {
        let w = card.text(6.0, 8.2, title.korean, &korean) + 3.0;
        card.fit(6.0 + w, 8.0, 76.0 - w, title.english, &english);
    } else {
        let x = if photo_left { 42.8 } else { 30.0 };
        card.centred(x, 6.4, title.korean, &korean.em(3.8));
        card.centred(x, 10.2, title.english, &english.em(2.6));
    }
}

/// Captions in two languages with their values, one row each: number, name, country, status (and sex on older cards).
#[allow(clippy::too_many_arguments)]
fn fields(
    card: &mut Card,
    rng: &mut Rng,
    x: f32,
    f: Face,
    ink: Ink,
    title: &Title,
    number: &str,
    male: bool,
    sex: bool,
) {
    let caption = Type::new(f, 1.8, ink).alpha(0.85);
    let english = Type { face: Face::Sans, ..caption };
    let value = Type::new(f, between(rng, 3.1, 3.5), ink);
    let room = if sex { 53.0 } else { 47.0 };
    let (surname, given) = person::latin_name(rng);
    let name = format!("{surname} {given}");
    let rows = [
        (title.number, "Registration No.", number),
        ("성명", "Name", &name),
        ("국가/지역", "Country / Region", pick(rng, COUNTRIES)),
        ("체류자격", "Status", title.status),
    ];
    for (i, (korean, latin, text)) in rows.iter().enumerate() {
        let y = 15.6 + 6.5 * i as f32;
        let w = card.text(x, y, korean, &caption) + 0.8;
        card.text(x + w, y, latin, &english);
        if i == 0 {
            let w = card.key_text(x, y + 3.6, text, &value.em(3.7));
            if sex {
                let at = x + w + 4.0;
                let w = card.text(at, y, "성별", &caption) + 0.8;
                card.text(at + w, y, "Sex", &english);
                card.text(at + 1.0, y + 3.6, if male { "M" } else { "F" }, &value);
            }
        } else {
            card.fit(x, y + 3.4, room, text, &value);
        }
    }
}
