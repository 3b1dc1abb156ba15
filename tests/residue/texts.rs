//! What a noise picture "says": the texts that the scripted reader reads off its pixels, unique to the picture. Nobody
//! named here exists.

/// The texts of one picture.
pub struct Texts {
    /// Whether it passes for a Korean card; otherwise for a passport.
    pub korean: bool,
    /// Born so long ago that nothing is asked of a guardian.
    pub adult: bool,
    pub birth: String,
    pub lines: Vec<String>,
}

/// A number from the pixels, the same wherever they are decoded.
pub fn seed_of(pixels: &[u8]) -> u64 {
    pixels.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The texts of the picture with this number.
pub fn of(seed: u64) -> Texts {
    let mut random = fastrand::Rng::with_seed(seed);
    let adult = random.u8(0..4) > 0;
    // Who is younger than 17 has no Korean card.
    let korean = adult && random.bool();
    let this_year = u16::try_from(jiff::Zoned::now().year()).unwrap();
    let year = if adult { random.u16(1960..1990) } else { this_year - 15 };
    let (month, day) = (random.u8(1..=12), random.u8(1..=28));
    let short = format!("{:02}{month:02}{day:02}", year % 100);
    let mut letters = |count: usize| -> String { (0..count).map(|_| char::from(random.u8(b'A'..=b'Z'))).collect() };
    let (family, given) = (letters(9), letters(9));
    let lines = if korean {
        vec![number(&short, &mut random), format!("{family} {given}")]
    } else {
        passport(&short, [&family, &given], &mut random)
    };
    Texts { korean, adult, birth: format!("{year}-{month:02}-{day:02}"), lines }
}

/// A resident number of somebody born before 2000 whose last digit holds.
fn number(short: &str, random: &mut fastrand::Rng) -> String {
    let front = format!("{short}1{:05}", random.u32(0..100_000));
    let weights = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];
    let sum: u32 = front.chars().zip(weights).map(|(digit, weight)| digit.to_digit(10).unwrap() * weight).sum();
    format!("{}-{}{}", &front[..6], &front[6..], (11 - sum % 11) % 10)
}

/// The two lines of a passport, with digits that hold.
fn passport(short: &str, [family, given]: [&str; 2], random: &mut fastrand::Rng) -> Vec<String> {
    fn with_digit(field: &str) -> String {
        let sum: u32 = field.chars().zip([7, 3, 1].iter().cycle()).map(|(c, w)| c.to_digit(36).unwrap_or(0) * w).sum();
        format!("{field}{}", sum % 10)
    }
    let number = with_digit(&format!("X{:08}", random.u32(0..100_000_000)));
    let (born, ends) = (with_digit(short), with_digit("351231"));
    let optional = with_digit(&format!("{:<<14}", random.u32(..)));
    let all = with_digit(&format!("{number}{born}{ends}{optional}"));
    let all = &all[all.len() - 1..];
    vec![format!("{:<<44}", format!("P<XYZ{family}<<{given}")), format!("{number}XYZ{born}M{ends}{optional}{all}")]
}

/// A line in the ways in which programs hold text: as it is, as characters of four bytes, and its digits as numbers.
pub fn layouts(line: &str) -> Vec<(&'static str, Vec<u8>)> {
    let wide = line.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let mut all = vec![("text", line.as_bytes().to_vec()), ("text32", wide)];
    let digits: Vec<u8> = line.chars().filter_map(|c| c.to_digit(10)).map(|d| u8::try_from(d).unwrap()).collect();
    if digits.len() >= 13 {
        all.push(("digits", digits.clone()));
        all.push(("digits32", digits.iter().flat_map(|digit| u32::from(*digit).to_le_bytes()).collect()));
        all.push(("number", digits.iter().map(|digit| b'0' + digit).collect()));
    }
    all
}
