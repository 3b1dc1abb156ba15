//! Korean cards with a 13-digit number: resident card, driver's licence and youth card (domain rules 1.8).
//! The layouts follow the real ones in order and place of the fields; every detail that varies between print runs varies.

use super::canvas::{Area, Card, Ink, Type};
use super::decor;
use super::fonts::Face;
use super::person::{self, TODAY, between, birthday, chance, day, kr_number, pick};
use super::{Draft, Spec};
use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// ISO/IEC 7810 ID-1, in millimetres.
pub const ID1: (f32, f32) = (85.6, 53.98);

/// A Korean printed date in one of its spellings.
pub fn kr_date(rng: &mut Rng, d: Date) -> String {
    let (y, m, day) = (d.year(), d.month(), d.day());
    match rng.u8(0..4) {
        0 => format!("{y}. {m}. {day}."),
        1 => format!("{y}.{m:02}.{day:02}."),
        2 => format!("{y}.  {m}. {day}."),
        _ => format!("{y}.{m:02}.{day:02}"),
    }
}

/// `900101-1******`: what a holder shows who has covered the back of the number.
fn masked(rng: &mut Rng, number: &str) -> String {
    let mask = *pick(rng, &[&'*', &'*', &'●']);
    number.chars().take(8).chain(std::iter::repeat_n(mask, 6)).collect()
}

/// A number with its truth noted down; `Some(false)` where the checksum fails, `None` where it is covered.
pub fn number(rng: &mut Rng, spec: &Spec, birth: Date, issued: Date, foreign: bool, d: &mut Draft) -> String {
    let random = issued >= date(2020, 10, 5) && chance(rng, if foreign { 0.25 } else { 0.35 });
    let male = rng.bool();
    d.male = male;
    let n = kr_number(rng, birth, male, foreign, random);
    let cover = spec.masked.unwrap_or_else(|| !foreign && chance(rng, 0.06));
    d.truth.masked = cover;
    d.truth.number_checksum_valid = (!cover).then_some(n.checksum);
    if cover { masked(rng, &n.text) } else { n.text }
}

/// One of the faces Korean cards are printed in.
fn face(rng: &mut Rng) -> Face {
    *pick(rng, &[&Face::Gothic, &Face::NotoKr, &Face::Gulim, &Face::Gulim, &Face::GothicBold, &Face::Myeongjo])
}

fn surface(rng: &mut Rng, ppm: f32, tints: &[&(Ink, Ink, Ink)]) -> Card {
    let mut card = Card::new(ID1.0, ID1.1, ppm);
    let (from, to, line) = *pick(rng, tints);
    let strength = between(rng, 0.15, 0.50);
    decor::guilloche(&mut card, from, to, line, strength, rng);
    card
}

/// 주민등록증, on PVC (black ink, hologram) or, since 2020, polycarbonate (grey laser, raised name and number).
pub fn resident(rng: &mut Rng, spec: &Spec, ppm: f32, d: &mut Draft) -> Card {
    let birth = spec.birth.unwrap_or_else(|| day(rng, date(1930, 1, 1), date(2009, 10, 1)));
    let issued = day(rng, birthday(birth, 17).max(date(1999, 9, 1)), TODAY);
    let laser = issued >= date(2020, 1, 1);
    d.truth.born(birth);
    let number = number(rng, spec, birth, issued, false, d);
    let mut card = surface(
        rng,
        ppm,
        &[
            &([240, 232, 214], [226, 232, 218], [206, 176, 150]),
            &([238, 230, 222], [222, 214, 224], [190, 160, 176]),
            &([232, 236, 224], [238, 226, 208], [176, 190, 150]),
        ],
    );
    let globe = (between(rng, 24.0, 36.0), between(rng, 28.0, 36.0));
    decor::rosette(&mut card, globe, 15.0, [196, 176, 140], 0.35, rng);
    decor::taegeuk(&mut card, (between(rng, 5.0, 9.0), between(rng, 5.0, 8.0)), between(rng, 4.0, 8.0), 0.28);
    let ink = if laser { [rng.u8(45..96); 3] } else { [rng.u8(5..45); 3] };
    let left = between(rng, 8.5, 12.5);
    resident_text(&mut card, rng, left, ink, laser, &number, issued);
    let photo = Area { left: 54.5, top: 4.6, right: 80.5, bottom: 37.5 };
    decor::portrait(&mut card, photo, !laser || chance(rng, 0.4), 1.0, rng);
    if laser {
        let ghost = Area { left: 5.5, top: 40.5, right: 13.0, bottom: 50.5 };
        decor::portrait(&mut card, ghost, false, 0.30, rng);
        if chance(rng, 0.5) {
            card.text(5.3, 52.3, &person::yymmdd(birth), &Type::new(Face::Gothic, 1.9, ink).alpha(0.4));
        }
    } else {
        decor::hologram(&mut card, (between(rng, 30.0, 62.0), between(rng, 18.0, 42.0)), between(rng, 7.0, 12.0), rng);
    }
    card
}

fn resident_text(card: &mut Card, rng: &mut Rng, left: f32, ink: Ink, laser: bool, number: &str, issued: Date) {
    let f = face(rng);
    let title =
        Type::new(*pick(rng, &[&Face::GothicBold, &Face::NotoKrBold, &Face::Gulim]), between(rng, 5.0, 5.9), ink);
    let w =
        card.text(left + between(rng, 0.0, 4.0), 9.6, "주민등록증", &title.track(between(rng, 0.06, 0.22)).alpha(0.8));
    if !laser && chance(rng, 0.3) {
        card.text(left + w * 0.15, 12.6, "(住民登錄證)", &Type::new(f, 2.2, ink).alpha(0.8));
    }
    let name = person::kr_name(rng);
    let shown = if chance(rng, 0.8) { format!("{}({})", name.hangul, name.hanja) } else { name.hangul };
    let big = Type::new(f, between(rng, 4.2, 4.8), ink).raised(laser);
    let spaced = if chance(rng, 0.4) { 0.12 } else { 0.02 };
    card.fit(left, 17.6, 41.0, &shown, &big.track(spaced));
    let digits = if chance(rng, 0.15) { number.replace('-', " - ") } else { number.to_owned() };
    let number = big.em(between(rng, 4.1, 4.7)).track(between(rng, 0.0, 0.06));
    // The number ends before the photo, as on the real card.
    let width = number.width(&digits);
    card.key_text(left, 23.9, &digits, &number.em(number.em * ((53.0 - left) / width).min(1.0)));
    let place = person::kr_place(rng);
    let small = Type::new(f, between(rng, 2.8, 3.2), ink);
    for (i, line) in person::kr_address(rng, &place).iter().enumerate() {
        card.fit(left, 29.0 + 3.5 * i as f32, 43.0, line, &small);
    }
    let (dx, issuer) = (between(rng, 22.0, 32.0), format!("{} {}청장", place.0, place.1));
    card.text(dx, 42.6, &kr_date(rng, issued), &small.em(3.2));
    let big = Type::new(f, between(rng, 3.8, 4.3), ink);
    let w = card.fit(left + 6.0, 48.9, 42.0, &issuer, &big);
    let at = (left + 6.0 + w + between(rng, 0.5, 4.5), 47.2);
    decor::seal(card, at, between(rng, 7.0, 9.5), rng);
}

const REGIONS: &[(&str, &str)] = &[
    ("11", "서울"),
    ("12", "부산"),
    ("13", "경기"),
    ("14", "강원"),
    ("15", "충북"),
    ("16", "충남"),
    ("17", "전북"),
    ("18", "전남"),
    ("19", "경북"),
    ("20", "경남"),
    ("21", "제주"),
    ("22", "대구"),
    ("23", "인천"),
    ("24", "광주"),
    ("25", "대전"),
    ("26", "울산"),
    ("28", "경기북부"),
];

/// 자동차운전면허증.
pub fn licence(rng: &mut Rng, spec: &Spec, ppm: f32, d: &mut Draft) -> Card {
    let birth = spec.birth.unwrap_or_else(|| day(rng, date(1935, 1, 1), date(2008, 6, 1)));
    let first = day(rng, birthday(birth, 18), TODAY);
    let issued = day(rng, first.max(date(2005, 1, 1)), TODAY);
    let until = (issued + 10.years()).max(TODAY + 1.years());
    d.truth.born(birth);
    d.truth.expiry = None;
    let number = number(rng, spec, birth, issued, false, d);
    let region = REGIONS[rng.usize(..REGIONS.len())];
    let prefix = if issued < date(2014, 5, 1) { region.1 } else { region.0 };
    let serial = format!("{prefix}-{:02}-{:06}-{:02}", first.year() % 100, rng.u32(0..1_000_000), rng.u8(10..100));
    let mut card = surface(
        rng,
        ppm,
        &[
            &([226, 238, 246], [240, 230, 238], [150, 180, 214]),
            &([240, 240, 228], [220, 234, 240], [170, 190, 200]),
            &([236, 228, 240], [226, 240, 232], [180, 170, 210]),
        ],
    );
    decor::hologram(&mut card, (between(rng, 35.0, 70.0), between(rng, 20.0, 40.0)), between(rng, 7.0, 12.0), rng);
    let f = face(rng);
    let ink = [rng.u8(10..50); 3];
    let blue = [rng.u8(20..60), rng.u8(40..80), rng.u8(110..160)];
    card.text(
        4.5,
        8.6,
        pick(rng, &["1종보통", "2종보통", "1종대형", "2종소형"]),
        &Type::new(Face::GothicBold, 3.4, [170, 40, 50]),
    );
    let w = card.text(21.0, 8.8, "자동차운전면허증", &Type::new(Face::GothicBold, 5.0, blue).track(0.03));
    card.fit(22.5 + w, 8.6, 61.0 - w - 1.0, "(Driver's License)", &Type::new(Face::Sans, 2.5, blue));
    decor::portrait(&mut card, Area { left: 4.2, top: 12.0, right: 27.0, bottom: 41.5 }, chance(rng, 0.8), 1.0, rng);
    let x = between(rng, 29.5, 32.0);
    card.text(x, 16.4, &serial, &Type::new(f, between(rng, 3.9, 4.4), blue));
    card.text(x, 21.7, &person::kr_name(rng).hangul, &Type::new(f, 4.0, ink).track(0.1));
    let size = between(rng, 3.5, 4.1);
    card.key_text(x, 26.9, &number, &Type::new(f, size, ink));
    let place = person::kr_place(rng);
    let small = Type::new(f, 2.7, ink);
    for (i, line) in person::kr_address(rng, &place).iter().take(2).enumerate() {
        card.fit(x, 31.4 + 3.3 * i as f32, 50.0, line, &small);
    }
    let label = if birth.year() < 1960 || rng.bool() { "적성검사" } else { "갱신기간" };
    card.text(x, 39.6, label, &small.em(2.5));
    let period = format!("{}.01.01.~{}.12.31.", until.year(), until.year());
    card.text(x + 12.0, 39.6, &period, &small.em(2.9));
    if chance(rng, 0.4) {
        card.text(4.5, 45.2, "조건 : A", &small.em(2.4));
    }
    card.text(x + 4.0, 44.6, &kr_date(rng, issued), &small.em(2.9));
    let w = card.fit(
        x - 6.0,
        50.2,
        34.0,
        &format!("{}경찰청장", place.0.split(' ').next().unwrap_or("")),
        &Type::new(f, 3.6, ink),
    );
    decor::seal(&mut card, (x - 3.0 + w, 48.6), 7.0, rng);
    decor::portrait(&mut card, Area { left: 74.5, top: 40.8, right: 81.5, bottom: 48.6 }, false, 0.55, rng);
    let code: String =
        (0..6).map(|_| *pick(rng, &[&'A', &'K', &'7', &'4', &'M', &'X', &'2', &'9', &'R', &'3'])).collect();
    card.text(72.5, 51.6, &code, &small.em(2.5));
    card
}

/// 청소년증: ages 9 to 18, valid until the day before the nineteenth birthday.
pub fn youth(rng: &mut Rng, spec: &Spec, ppm: f32, d: &mut Draft) -> Card {
    let birth = spec.birth.unwrap_or_else(|| day(rng, date(2007, 12, 1), date(2017, 10, 1)));
    let until = birthday(birth, 19) - 1.days();
    let issued = day(rng, birthday(birth, 9), TODAY);
    d.truth.born(birth);
    d.truth.expiry = Some(until);
    let number = number(rng, spec, birth, issued, false, d);
    let mut card = surface(
        rng,
        ppm,
        &[
            &([222, 240, 246], [236, 246, 226], [130, 190, 210]),
            &([250, 238, 216], [238, 246, 230], [230, 180, 120]),
            &([230, 232, 248], [246, 232, 240], [160, 160, 220]),
        ],
    );
    let f = face(rng);
    let ink = [rng.u8(10..50); 3];
    let theme = [rng.u8(20..80), rng.u8(70..120), rng.u8(120..180)];
    if chance(rng, 0.5) {
        card.fill(Area { left: 0.0, top: 0.0, right: ID1.0, bottom: 11.5 }, theme, 0.85);
        card.text(6.0, 8.3, "청소년증", &Type::new(Face::NotoKrBold, 5.4, [250, 250, 250]).track(0.1));
    } else {
        card.text(6.0, 9.0, "청소년증", &Type::new(Face::GothicBold, 5.8, theme).track(0.15));
    }
    let right = chance(rng, 0.5);
    let photo = if right { 57.0 } else { 5.5 };
    decor::portrait(&mut card, Area { left: photo, top: 14.0, right: photo + 22.5, bottom: 42.5 }, true, 1.0, rng);
    let x = if right { 6.0 } else { 31.5 };
    let caption = Type::new(f, 2.3, theme);
    let value = Type::new(f, between(rng, 3.4, 3.9), ink);
    card.text(x, 18.4, "성      명", &caption);
    card.text(x + 14.0, 18.6, &person::kr_name(rng).hangul, &value.track(0.08));
    let date_only = spec.masked.is_none() && chance(rng, 0.12);
    if date_only {
        d.truth.masked = false;
        d.truth.number_checksum_valid = None;
        d.truth.variant = "printed_date_only";
        card.text(x, 24.6, "생년월일", &caption);
        let text = format!("{}.{:02}.{:02}.", birth.year(), birth.month(), birth.day());
        card.key_text(x + 14.0, 24.8, &text, &value);
    } else {
        card.text(x, 24.6, "주민등록번호", &Type { stretch: 0.85, ..caption });
        card.key_text(x + 14.0, 24.8, &number, &value);
    }
    let place = person::kr_place(rng);
    card.text(x, 30.4, "주      소", &caption);
    for (i, line) in person::kr_address(rng, &place).iter().take(2).enumerate() {
        card.fit(x + 14.0, 30.6 + 3.4 * i as f32, 35.0, line, &value.em(2.8));
    }
    card.text(x, 39.6, "유효기간", &caption);
    let text = format!("{}.{:02}.{:02}.까지", until.year(), until.month(), until.day());
    card.text(x + 14.0, 39.8, &text, &value.em(3.0));
    card.text(30.0, 46.0, &kr_date(rng, issued), &value.em(2.8));
    let w = card.text(24.0, 51.0, &format!("{} {}청장", place.0, place.1), &value.em(3.5));
    decor::seal(&mut card, (27.0 + w, 49.3), 6.5, rng);
    card
}
