//! Invented people: names that say they are invented, birth dates with many leap days and month ends, and Korean numbers
//! that no living person can hold (legacy numbers use district 99, which was never given out).

use fastrand::Rng;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// The day on which every picture is imagined to be taken.
pub const TODAY: Date = date(2026, 11, 22);

/// One of the items.
pub fn pick<'a, T: ?Sized>(rng: &mut Rng, items: &[&'a T]) -> &'a T {
    items[rng.usize(..items.len())]
}

/// True with probability `p`.
pub fn chance(rng: &mut Rng, p: f32) -> bool {
    rng.f32() < p
}

/// A number between `a` and `b`.
pub fn between(rng: &mut Rng, a: f32, b: f32) -> f32 {
    a + (b - a) * rng.f32()
}

/// A day between `from` and `to`; every twelfth one is a 29 February where the span holds one.
pub fn day(rng: &mut Rng, from: Date, to: Date) -> Date {
    let span = (to - from).get_days().max(0);
    let plain = from + rng.i32(0..=span).days();
    if rng.u8(0..12) != 0 {
        return plain;
    }
    let leaps: Vec<Date> =
        (from.year()..=to.year()).filter_map(|y| Date::new(y, 2, 29).ok()).filter(|d| *d >= from && *d <= to).collect();
    if leaps.is_empty() { plain } else { leaps[rng.usize(..leaps.len())] }
}

/// The day on which a person born on `birth` has lived `years` full years.
pub fn birthday(birth: Date, years: i16) -> Date {
    birth + years.years()
}

/// A Korean name with its Hanja.
pub struct KrName {
    pub hangul: String,
    pub hanja: String,
}

const SURNAMES: &[(&str, &str)] = &[
    ("김", "金"),
    ("이", "李"),
    ("박", "朴"),
    ("최", "崔"),
    ("정", "鄭"),
    ("강", "姜"),
    ("조", "趙"),
    ("윤", "尹"),
    ("장", "張"),
    ("임", "林"),
    ("한", "韓"),
    ("오", "吳"),
    ("서", "徐"),
    ("신", "申"),
    ("권", "權"),
    ("황", "黃"),
    ("안", "安"),
    ("송", "宋"),
    ("홍", "洪"),
    ("고", "高"),
    ("배", "裵"),
    ("노", "盧"),
];
const GIVEN: &[&str] = &[
    "가상",
    "시험",
    "모의",
    "예시",
    "보기",
    "표본",
    "합성",
    "길동",
    "가온",
    "나래",
    "다솜",
    "라온",
    "마루",
    "바다",
    "새벽",
    "아람",
    "하늘",
    "누리",
    "보람",
    "별",
    "솔",
    "빛나",
    "슬기",
    "아름",
    "은하",
    "초롱",
    "한결",
    "한빛",
    "해솔",
    "달래",
    "미르",
    "샛별",
    "여름",
    "겨울",
    "가을",
    "이슬",
    "찬솔",
    "도담",
    "로운",
    "민들레",
    "예솔",
    "우람",
    "지음",
    "채움",
    "파랑",
    "현무",
];
const HANJA: &[char] = &[
    '吉', '東', '洞', '星', '雲', '海', '山', '川', '春', '夏', '秋', '冬', '仁', '義', '禮', '智', '信', '美', '善',
    '眞', '英', '秀', '賢', '俊', '哲', '永', '光', '明', '正', '大',
];

/// An invented Korean name.
pub fn kr_name(rng: &mut Rng) -> KrName {
    let (s, h) = SURNAMES[rng.usize(..SURNAMES.len())];
    let given = pick(rng, GIVEN);
    let hanja = given.chars().map(|_| HANJA[rng.usize(..HANJA.len())]).collect::<String>();
    KrName { hangul: format!("{s}{given}"), hanja: format!("{h}{hanja}") }
}

const LATIN_SURNAMES: &[&str] = &[
    "TESTER",
    "FICTA",
    "INVENTO",
    "PRETENDER",
    "SYNTHESEN",
    "MOCKFORD",
    "PROBANDA",
    "IMAGINEAU",
    "TESTOVA",
    "FANTASIO",
    "NOPERSON",
    "PAINTED",
    "VAN DER PROBE",
    "DE LA FICTION",
    "KUNSTNAME",
    "TEST-SAMPLE",
    "UTOPIANO",
    "NEMOVIC",
    "ERFUNDEN",
    "QUIXOTIC",
    "WONDERLY",
    "ZAMPLEK",
    "JOKELA",
    "BELIEVE",
    "TESTSSON",
    "FABULOUX",
    "HYPOTHESIS",
];
const LATIN_GIVEN: &[&str] = &[
    "ALPHA",
    "BETA",
    "GAMMA",
    "DELTA",
    "EPSILON",
    "ZETA",
    "THETA",
    "IOTA",
    "KAPPA",
    "LAMBDA",
    "OMICRON",
    "SIGMA",
    "OMEGA",
    "NOVA",
    "LUNA",
    "STELLA",
    "AURORA",
    "ORION",
    "ATLAS",
    "JUNO",
    "MINERVA",
    "HUGO",
    "QUENTIN",
    "XENIA",
    "YVES",
    "WILHELMINA",
];

/// An invented name in Latin capitals: surname and given names.
pub fn latin_name(rng: &mut Rng) -> (String, String) {
    let mut given = pick(rng, LATIN_GIVEN).to_owned();
    if chance(rng, 0.35) {
        given = format!("{given} {}", pick(rng, LATIN_GIVEN));
    }
    (pick(rng, LATIN_SURNAMES).to_owned(), given)
}

/// A Korean 13-digit number with its hyphen.
pub struct KrNumber {
    pub text: String,
    /// Whether the checksum (domain rules 1.3) holds.
    pub checksum: bool,
}

/// The check digit over twelve digits: base 11 for Koreans, 13 for foreigners.
fn check_digit(d: &[u8]) -> u8 {
    const W: [u32; 12] = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];
    let sum: u32 = d.iter().zip(W).map(|(&x, w)| u32::from(x) * w).sum();
    let base = if (5..=8).contains(&d[6]) { 13 } else { 11 };
    ((base - sum % 11) % 10) as u8
}

/// A number for this birth date. `random_tail`: as given out since October 2020, six digits without meaning, drawn so
/// that no legacy number can equal it; otherwise district 99 and a checksum that holds.
pub fn kr_number(rng: &mut Rng, birth: Date, male: bool, foreign: bool, random_tail: bool) -> KrNumber {
    let seventh = match (birth.year() >= 2000, foreign) {
        (false, false) => 1,
        (true, false) => 3,
        (false, true) => 5,
        (true, true) => 7,
    } + u8::from(!male);
    let mut d: Vec<u8> = format!("{}{seventh}", yymmdd(birth)).bytes().map(|b| b - b'0').collect();
    if random_tail {
        loop {
            d.truncate(7);
            d.extend((0..6).map(|_| rng.u8(0..10)));
            // Either the checksum fails, or the district was never given out: no legacy number looks like this.
            if check_digit(&d[..12]) != d[12] || (d[7] == 9 && d[8] >= 7) {
                break;
            }
        }
    } else {
        d.extend([9, 9]);
        d.extend((0..3).map(|_| rng.u8(0..10)));
        d.push(check_digit(&d));
    }
    let s: String = d.iter().map(|x| char::from(b'0' + x)).collect();
    KrNumber { text: format!("{}-{}", &s[..6], &s[6..]), checksum: check_digit(&d[..12]) == d[12] }
}

/// `YYMMDD`.
pub fn yymmdd(d: Date) -> String {
    format!("{:02}{:02}{:02}", d.year().rem_euclid(100), d.month(), d.day())
}

const CITIES: &[&str] = &[
    "서울특별시",
    "부산광역시",
    "대구광역시",
    "인천광역시",
    "광주광역시",
    "대전광역시",
    "경기도 가상시",
    "울산광역시",
];
const WARDS: &[&str] = &[
    "가온구",
    "나래구",
    "다솜구",
    "라온구",
    "마루구",
    "바다구",
    "새벽구",
    "아람구",
    "하늘구",
    "누리구",
    "보람구",
    "시험구",
];
const ROADS: &[&str] = &[
    "시험로",
    "모의로",
    "예시대로",
    "가상로",
    "보기길",
    "합성로",
    "표본길",
    "누리로",
    "다솜로",
    "미르로",
    "솔빛길",
    "무지개로",
    "은하수로",
];

/// An invented place: city and ward.
pub fn kr_place(rng: &mut Rng) -> (String, String) {
    (pick(rng, CITIES).to_owned(), pick(rng, WARDS).to_owned())
}

/// The lines of an invented address.
pub fn kr_address(rng: &mut Rng, place: &(String, String)) -> Vec<String> {
    let mut lines = vec![format!("{} {} {} {}", place.0, place.1, pick(rng, ROADS), rng.u16(1..400))];
    if chance(rng, 0.7) {
        lines.push(format!("{}동 {}호", rng.u16(101..140), rng.u16(1..25) * 100 + rng.u16(1..9)));
    }
    if chance(rng, 0.6) {
        lines.push(format!(
            "({}, {}아파트)",
            pick(rng, &["가상동", "시험동", "하늘동", "누리동"]),
            pick(rng, &["가온", "별빛", "은하수", "무지개"])
        ));
    }
    lines
}
