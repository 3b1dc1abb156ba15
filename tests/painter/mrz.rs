//! Machine-readable zones with correct check digits (ICAO Doc 9303; domain rules 2.1 to 2.5).

use super::person::yymmdd;
use jiff::civil::Date;

/// What an MRZ says.
pub struct Zone {
    pub code: String,
    /// Three letters, `D<<` for Germany.
    pub issuer: String,
    pub nationality: String,
    pub number: String,
    pub birth: Date,
    /// `M`, `F` or `<`.
    pub sex: char,
    pub expiry: Date,
    pub surname: String,
    pub given: String,
    pub optional: String,
    /// An empty personal number may be witnessed by `<` or `0`; both are legal.
    pub zero_for_empty: bool,
}

/// The check digit: values 0-9, A-Z as 10-35, filler 0; weights 7, 3, 1.
pub fn check(text: &str) -> char {
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'A'..=b'Z' => u32::from(b - b'A') + 10,
        _ => 0,
    };
    let sum: u32 = text.bytes().zip([7, 3, 1].into_iter().cycle()).map(|(b, w)| value(b) * w).sum();
    char::from_digit(sum % 10, 10).expect("below ten")
}

/// Cuts or fills with `<` to `n` characters.
fn pad(text: &str, n: usize) -> String {
    text.chars().chain(std::iter::repeat('<')).take(n).collect()
}

fn checked(text: &str) -> String {
    format!("{text}{}", check(text))
}

impl Zone {
    fn names(&self, n: usize) -> String {
        let plain = |s: &str| s.replace([' ', '-'], "<").replace('\'', "");
        pad(&format!("{}<<{}", plain(&self.surname), plain(&self.given)), n)
    }

    fn head(&self, n: usize) -> String {
        format!("{}{}{}", pad(&self.code, 2), pad(&self.issuer, 3), self.names(n - 5))
    }

    /// Number, nationality, birth, sex, expiry: the start of every second line of two.
    fn body(&self) -> String {
        format!(
            "{}{}{}{}{}",
            checked(&pad(&self.number, 9)),
            pad(&self.nationality, 3),
            checked(&yymmdd(self.birth)),
            self.sex,
            checked(&yymmdd(self.expiry))
        )
    }

    /// Three lines of 30. A number of more than nine characters runs on into the optional data (rule 2.4).
    pub fn td1(&self) -> Vec<String> {
        let number = if self.number.len() > 9 {
            format!("{}<{}{}", &self.number[..9], &self.number[9..], check(&self.number))
        } else {
            format!("{}{}", checked(&pad(&self.number, 9)), self.optional)
        };
        let upper = pad(&number, 25);
        let birth = checked(&yymmdd(self.birth));
        let expiry = checked(&yymmdd(self.expiry));
        let rest = pad("", 11);
        let composite = check(&format!("{upper}{birth}{expiry}{rest}"));
        vec![
            format!("{}{}{upper}", pad(&self.code, 2), pad(&self.issuer, 3)),
            format!("{birth}{}{expiry}{}{rest}{composite}", self.sex, pad(&self.nationality, 3)),
            self.names(30),
        ]
    }

    /// Two lines of 36.
    pub fn td2(&self) -> Vec<String> {
        let (body, optional) = (self.body(), pad(&self.optional, 7));
        let composite = check(&format!("{}{}{}{optional}", &body[..10], &body[13..20], &body[21..28]));
        vec![self.head(36), format!("{body}{optional}{composite}")]
    }

    /// Two lines of 44.
    pub fn td3(&self) -> Vec<String> {
        let (body, optional) = (self.body(), pad(&self.optional, 14));
        let own = if self.optional.is_empty() && !self.zero_for_empty { '<' } else { check(&optional) };
        let composite = check(&format!("{}{}{}{optional}{own}", &body[..10], &body[13..20], &body[21..28]));
        vec![self.head(44), format!("{body}{optional}{own}{composite}")]
    }

    /// A visa: two lines of `n` (44 or 36), without composite.
    pub fn visa(&self, n: usize) -> Vec<String> {
        vec![self.head(n), pad(&format!("{}{}", self.body(), self.optional), n)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn zone(code: &str) -> Zone {
        Zone {
            code: code.into(),
            issuer: "UTO".into(),
            nationality: "UTO".into(),
            number: "X00000014".into(),
            birth: date(2013, 11, 22),
            sex: 'F',
            expiry: date(2031, 1, 1),
            surname: "TESTTWO".into(),
            given: "XI".into(),
            optional: String::new(),
            zero_for_empty: false,
        }
    }

    #[test]
    fn zones_equal_the_published_vectors() {
        assert_eq!(zone("I").td2(), ["I<UTOTESTTWO<<XI<<<<<<<<<<<<<<<<<<<<", "X000000148UTO1311222F3101012<<<<<<<8"]);
        let leap = Zone { number: "X00000005".into(), birth: date(2008, 2, 29), sex: 'M', ..zone("P") };
        assert_eq!(leap.td3()[1], "X000000056UTO0802293M3101012<<<<<<<<<<<<<<<2");
        let zero = Zone { number: "X00000012".into(), birth: date(1990, 1, 1), zero_for_empty: true, ..zone("P") };
        assert_eq!(zero.td3()[1], "X000000126UTO9001011F3101012<<<<<<<<<<<<<<04");
        let long = Zone { number: "X00000000123".into(), birth: date(1990, 1, 1), ..zone("ID") };
        assert_eq!(long.td1()[..2], ["IDUTOX00000000<1237<<<<<<<<<<<", "9001011F3101012UTO<<<<<<<<<<<4"]);
        let visa = Zone {
            number: "X00000016".into(),
            birth: date(1990, 1, 1),
            sex: 'M',
            expiry: date(2027, 1, 1),
            ..zone("V")
        };
        assert_eq!(visa.visa(36)[1], "X000000160UTO9001011M2701013<<<<<<<<");
        assert!(visa.visa(44).iter().all(|l| l.len() == 44));
    }
}
