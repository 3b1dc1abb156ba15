//! Printed dates: finds them in a line and says what is certain about them, without guessing.
//!
//! Always: a numeric date whose day and month could be exchanged stays [`Fields::Numeric`] until someone brings
//! evidence for the order; a two-digit year stays two-digit; month names of a bilingual pair must mean one month.

use super::rrn::is_digit;
use jiff::civil::Date;

/// A year as printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Year {
    Four(i16),
    Two(u8),
}

/// What is printed. Parts that are `XX` or `00` are unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// The order is certain: a month name, a year in front, an era.
    Sure { year: Year, month: Option<u8>, day: Option<u8> },
    /// Two numbers and a year at the end; which is the day is not certain by itself.
    Numeric { first: u8, second: u8, year: Year, mark: char },
}

/// In which order a document writes numeric dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    DayFirst,
    MonthFirst,
}

/// A date with its position in the line: from, to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) fields: Fields,
    pub(crate) span: (usize, usize),
    /// Written with 年 or an era.
    pub(crate) eastern: bool,
}

/// A date whose order is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) year: Year,
    pub(crate) month: Option<u8>,
    pub(crate) day: Option<u8>,
}

super::redacted!(Year, Fields, Printed, Settled);

impl Printed {
    /// The order this date proves by itself, when one of its numbers can be no month.
    pub(crate) fn proves(&self) -> Option<Order> {
        match self.fields {
            Fields::Numeric { first, second, .. } if first > 12 && second <= 12 => Some(Order::DayFirst),
            Fields::Numeric { first, second, .. } if second > 12 && first <= 12 => Some(Order::MonthFirst),
            _ => None,
        }
    }

    /// The date in `order`. Dots mean day first anywhere. A date that proves another order than its page has, or than
    /// dots have, was misread; one that alone on its page proves month first is not believed either.
    pub(crate) fn settle(&self, order: Option<Order>) -> Option<Settled> {
        let (first, second, year, mark) = match self.fields {
            Fields::Sure { year, month, day } => return Some(Settled { year, month, day }),
            Fields::Numeric { first, second, year, mark } => (first, second, year, mark),
        };
        let order = if mark == '.' { Some(Order::DayFirst) } else { order };
        let order = match (self.proves(), order) {
            (Some(own), Some(page)) if own != page => return None,
            (Some(Order::DayFirst), _) => Order::DayFirst,
            (_, Some(page)) => page,
            (None, None) if first == second => Order::DayFirst,
            _ => return None,
        };
        let (day, month) = if order == Order::DayFirst { (first, second) } else { (second, first) };
        Some(Settled { year, month: (month != 0).then_some(month), day: (day != 0).then_some(day) })
    }
}

impl Settled {
    /// The civil date, when year (four digits), month and day are all known and exist.
    pub(crate) fn date(&self) -> Option<Date> {
        match self.year {
            Year::Four(y) => civil(y, self.month?, self.day?),
            Year::Two(_) => None,
        }
    }

    /// The civil dates it may be, youngest first: both centuries for a two-digit year.
    pub(crate) fn candidates(&self) -> Vec<Date> {
        let (Some(m), Some(d)) = (self.month, self.day) else { return Vec::new() };
        match self.year {
            Year::Four(y) => civil(y, m, d).into_iter().collect(),
            Year::Two(yy) => [2000, 1900].iter().filter_map(|c| civil(c + i16::from(yy), m, d)).collect(),
        }
    }
}

/// A civil date from small numbers, if it exists.
pub(crate) fn civil(year: i16, month: u8, day: u8) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// A run of digits or letters, with the characters between it and the next one.
enum Kind {
    Number { value: u32, digits: usize },
    Word(usize, usize),
}

struct Token {
    kind: Kind,
    from: usize,
    to: usize,
}

/// Every date in a line, left to right; overlapping readings give way to the one with the longer year.
pub(crate) fn find(chars: &[char]) -> Vec<Printed> {
    let tokens = tokens(chars);
    let mut all: Vec<Printed> = Vec::new();
    for at in 0..tokens.len() {
        all.extend(date_at(chars, &tokens[at..]));
    }
    all.sort_by_key(|p| (std::cmp::Reverse(weight(p)), p.span.0));
    let mut kept: Vec<Printed> = Vec::new();
    for p in all {
        if kept.iter().all(|k| p.span.1 <= k.span.0 || p.span.0 >= k.span.1) {
            kept.push(p);
        }
    }
    kept.sort_by_key(|p| p.span.0);
    kept
}

fn weight(p: &Printed) -> usize {
    let (Fields::Sure { year, .. } | Fields::Numeric { year, .. }) = p.fields;
    let four = matches!(year, Year::Four(_));
    usize::from(four) * 100 + usize::from(p.eastern) * 50 + (p.span.1 - p.span.0).min(40)
}

fn tokens(chars: &[char]) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let same: fn(char) -> bool = if is_digit(c) {
            is_digit
        } else if c.is_alphabetic() {
            |c| c.is_alphabetic()
        } else {
            at += 1;
            continue;
        };
        let to = at + chars[at..].iter().take_while(|c| same(**c)).count();
        let kind = if is_digit(c) {
            let value = chars[at..to].iter().take(9).fold(0, |v, c| v * 10 + c.to_digit(10).unwrap_or(0));
            Kind::Number { value, digits: to - at }
        } else {
            Kind::Word(at, to)
        };
        out.push(Token { kind, from: at, to });
        at = to;
    }
    out
}

impl Token {
    fn number(&self, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
        match self.kind {
            Kind::Number { value, digits: n } if digits.contains(&n) => Some(value),
            _ => None,
        }
    }

    fn small(&self, max: u8) -> Option<u8> {
        self.number(1..=2).and_then(|v| u8::try_from(v).ok()).filter(|v| *v <= max)
    }

    fn word<'a>(&self, chars: &'a [char]) -> Option<&'a [char]> {
        match self.kind {
            Kind::Word(a, b) => Some(&chars[a..b]),
            Kind::Number { .. } => None,
        }
    }

    fn is_unknown(&self, chars: &[char]) -> bool {
        self.word(chars).is_some_and(|w| w == ['X', 'X'])
    }
}

/// The year a token is: four digits of a plausible century, or two digits.
fn year(t: &Token) -> Option<Year> {
    if let Some(v) = t.number(4..=4) {
        return i16::try_from(v).ok().filter(|y| (1800..2200).contains(y)).map(Year::Four);
    }
    t.number(2..=2).and_then(|v| u8::try_from(v).ok()).map(Year::Two)
}

/// The separator between two tokens: its mark (`' '` when only spaces or nothing), or `None` when something else is there.
fn between(chars: &[char], a: &Token, b: &Token) -> Option<char> {
    let gap = chars.get(a.to..b.from)?;
    if gap.len() > 4 {
        return None;
    }
    let mut mark = ' ';
    for c in gap {
        match c {
            ' ' => {}
            '.' | '/' | '-' | ',' | ':' | '·' | '\'' if mark == ' ' => mark = *c,
            '.' if mark == '.' => {}
            _ => return None,
        }
    }
    Some(if matches!(mark, ',' | ':' | '·' | '\'') { '.' } else { mark })
}

fn date_at(chars: &[char], t: &[Token]) -> Vec<Printed> {
    [era(chars, t), year_first(chars, t), named(chars, t), month_first_name(chars, t), numeric(chars, t)]
        .into_iter()
        .flatten()
        .collect()
}

/// `14.07.1981`, `03/23/1988`, `12 08 1964`, `14.07.81`, `XX.XX.1980`.
fn numeric(chars: &[char], t: &[Token]) -> Option<Printed> {
    let [a, b, c, ..] = t else { return None };
    let part = |t: &Token| if t.is_unknown(chars) { Some(0) } else { t.small(31) };
    let (first, second, year) = (part(a)?, part(b)?, year(c)?);
    let (m1, m2) = (between(chars, a, b)?, between(chars, b, c)?);
    let spaces = m1 == ' ' || m2 == ' ';
    let glued = a.to == b.from || b.to == c.from;
    if glued || (matches!(year, Year::Two(_)) && (spaces || m1 != m2)) || (first > 12 && second > 12) {
        return None;
    }
    let mark = if m1 == m2 || m2 == ' ' {
        m1
    } else if m1 == ' ' {
        m2
    } else {
        '/'
    };
    let mark = if mark == ' ' { '/' } else { mark };
    Some(Printed { fields: Fields::Numeric { first, second, year, mark }, span: (a.from, c.to), eastern: false })
}

/// `1985-12-01`, `2020.1.1.`, `1985年12月1日`, `1985 12 01`.
fn year_first(chars: &[char], t: &[Token]) -> Option<Printed> {
    let Year::Four(y) = year(t.first()?)? else { return None };
    if let [a, y_mark, b, m_mark, c, rest @ ..] = t
        && let (Some(w1), Some(w2)) = (y_mark.word(chars), m_mark.word(chars))
        && matches!(w1, ['年'] | ['년'])
        && matches!(w2, ['月'] | ['월'])
    {
        let to = rest.first().filter(|t| matches!(t.word(chars), Some(['日' | '일', ..]))).map_or(c.to, |t| t.from + 1);
        return sure(Year::Four(y), b.small(12)?, c.small(31)?, (a.from, to), true);
    }
    let [a, b, c, ..] = t else { return None };
    let (m1, m2) = (between(chars, a, b)?, between(chars, b, c)?);
    let apart = a.to < b.from && b.to < c.from;
    if !apart || (m1 == ' ') != (m2 == ' ') {
        return None;
    }
    // A longer run after the day ("2020.1.1.5") is no date.
    sure(Year::Four(y), b.small(12)?, c.small(31)?, (a.from, c.to), false)
}

fn sure(year: Year, month: u8, day: u8, span: (usize, usize), eastern: bool) -> Option<Printed> {
    let fields = Fields::Sure { year, month: (month != 0).then_some(month), day: (day != 0).then_some(day) };
    Some(Printed { fields, span, eastern })
}

/// `12 AUG 1974`, `01.DEZ.1985`, `12 AVR/APR 64`, `30OKT/OCT1992`.
fn named(chars: &[char], t: &[Token]) -> Option<Printed> {
    let a = t.first()?;
    let day = a.small(31)?;
    let m = t.get(1)?;
    between(chars, a, m)?;
    let month = month_name(m.word(chars)?)?;
    let mut at = 2;
    if let Some(second) = t.get(2)
        && let Some(w) = second.word(chars)
    {
        // The other language of a pair; both must mean the same month.
        if between(chars, m, second).is_none() || month_name(w)? != month {
            return None;
        }
        at = 3;
    }
    let (last, y) = (t.get(at - 1)?, t.get(at)?);
    between(chars, last, y)?;
    let year = year(y)?;
    if day == 0 {
        return None;
    }
    sure(year, month, day, (a.from, y.to), false)
}

/// `JAN 31, 1990`, `January 31 1990`: four-digit years only.
fn month_first_name(chars: &[char], t: &[Token]) -> Option<Printed> {
    let [m, d, y, ..] = t else { return None };
    let month = month_name(m.word(chars)?)?;
    let day = d.small(31).filter(|d| *d > 0)?;
    between(chars, m, d)?;
    between(chars, d, y)?;
    let Year::Four(y4) = year(y)? else { return None };
    sure(Year::Four(y4), month, day, (m.from, y.to), false)
}

/// `昭和61年5月1日`, `平成元年1月8日`: the era's first year is its year of accession.
fn era(chars: &[char], t: &[Token]) -> Option<Printed> {
    let name = t.first()?;
    let word = name.word(chars)?;
    let (base, length) = eras().iter().find_map(|(era, base)| ends_with_era(word, era).map(|n| (*base, n)))?;
    let first_year = word.last() == Some(&'元') || length > 2;
    let (year, rest) =
        if first_year && word.contains(&'年') { (1, &t[1..]) } else { (i16::from(t.get(1)?.small(99)?), &t[2..]) };
    let (rest, y) = match rest {
        [mark, rest @ ..] if year_mark(mark, chars) => (rest, year),
        rest if first_year => (rest, year),
        _ => return None,
    };
    let [m, m_mark, d, ..] = rest else { return None };
    if !matches!(m_mark.word(chars), Some(['月'])) || y == 0 {
        return None;
    }
    sure(Year::Four(base + y), m.small(12)?, d.small(31)?, (name.to.saturating_sub(length), d.to), true)
}

fn eras() -> [([char; 2], i16); 4] {
    [(['昭', '和'], 1925), (['平', '成'], 1988), (['令', '和'], 2018), (['大', '正'], 1911)]
}

/// Whether a word ends with the era's name (or the name and 元年); gives how many characters that takes.
fn ends_with_era(word: &[char], era: &[char; 2]) -> Option<usize> {
    if word.ends_with(era) {
        return Some(2);
    }
    let first: [char; 4] = [era[0], era[1], '元', '年'];
    word.ends_with(&first).then_some(4)
}

fn year_mark(t: &Token, chars: &[char]) -> bool {
    matches!(t.word(chars), Some(['年']))
}

/// The month a word names, in the languages of travel documents. Names that mean different months in different
/// languages (LIS, SRP, KVE…) are left out.
fn month_name(word: &[char]) -> Option<u8> {
    const NAMES: [&str; 12] = [
        "JAN JANV JANUARY JANUAR JANVIER ENE ENERO GEN STY OCA",
        "FEB FEV FEVR FEBR FEBRUARY FEBRUAR FEVRIER SUB",
        "MAR MARS MARCH MARZO MRZ MAERZ MARZ MRT",
        "APR AVR ABR APRIL AVRIL ABRIL KWI NIS",
        "MAY MAI MAJ MEI MAG MAYO",
        "JUN JUIN JUNE JUNI GIU HAZ",
        "JUL JUIL JULY JULI LUG TEM",
        "AUG AOU AOUT AGO AUGUST AVG",
        "SEP SEPT SET SEPTEMBER EYL",
        "OCT OKT OUT OTT OCTOBER OKTOBER",
        "NOV NOVEMBER",
        "DEC DEZ DIC DES DECEMBER DEZEMBER",
    ];
    let is = |name: &str| name.chars().eq(word.iter().copied());
    (1u8..).zip(NAMES).find(|(_, names)| names.split(' ').any(is)).map(|(month, _)| month)
}

#[cfg(test)]
#[path = "dates_tests.rs"]
mod tests;
