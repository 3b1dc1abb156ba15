//! The vocabulary of idgate: parsed newtypes and closed enums that are safe to log.
//!
//! Nothing here can hold a name, a number, a date of birth or an image. Every closed enum has one wire spelling
//! (`as_str`), which is what `idgate scan --json`, metrics and stored records use.

use std::fmt;
use std::str::FromStr;

/// Declares a closed enum with one lower-case spelling per variant, `ALL`, `as_str`, `Display`, `FromStr` and serde.
macro_rules! closed_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one spelling used on the wire, in JSON, in metrics and in stored records.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(s: &str) -> Result<Self, Malformed> {
                match s { $($text => Ok(Self::$variant),)+ _ => Err(Malformed(stringify!($name))) }
            }
        }
    };
}

/// A term that could not be parsed. Names the kind of term, never the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct Malformed(pub &'static str);

/// Declares an identifier newtype: `min..=max` characters, each accepted by `$ok`.
macro_rules! identifier {
    ($(#[$meta:meta])* $name:ident, $max:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);
        crate::terms::as_text!($name);

        impl $name {
            /// The longest accepted text, in characters.
            pub const MAX: usize = $max;

            /// The text as it was given.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(s: &str) -> Result<Self, Malformed> {
                let fits = !s.is_empty() && s.len() <= Self::MAX
                    && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:~/@+=".contains(&b));
                if fits { Ok(Self(s.into())) } else { Err(Malformed(stringify!($name))) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    };
}

identifier!(
    /// The service that asks (the verified `sub` of its bearer token). 1 to 128 of `A-Z a-z 0-9 - _ . : ~ / @ + =`.
    RelyingParty, 128
);
identifier!(
    /// The relying party's own name for the person concerned, opaque to idgate. Same alphabet as [`RelyingParty`].
    SubjectRef, 128
);
identifier!(
    /// Chosen by the caller to make a retry safe. Same alphabet as [`RelyingParty`].
    IdempotencyKey, 128
);
identifier!(
    /// Names one row of the rule table, for example `default/signup`.
    RuleId, 64
);

/// Declares a name that idgate makes: a UUID (version 7), written with hyphens.
macro_rules! uuid_name {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// Its text, in memory that the caller has for it.
            pub fn text<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
                self.0.hyphenated().encode_lower(buffer)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(s: &str) -> Result<Self, Malformed> {
                if s.len() != 36 {
                    return Err(Malformed(stringify!($name)));
                }
                uuid::Uuid::parse_str(s).map(Self).map_err(|_| Malformed(stringify!($name)))
            }
        }
    };
}

uuid_name!(
    /// Names one decision: a UUID (version 7), made by idgate.
    DecisionId
);

mod consent;
mod rights;
mod text;
pub use consent::*;
pub use rights::*;
pub(crate) use text::{Text, as_text};
pub use text::{hex, show_hex};

/// Names the exact rule table a decision was made with: SHA-256 over its canonical form. Written as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyDigest(pub [u8; 32]);
crate::terms::as_text!(PolicyDigest);

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::show_hex(&self.0, f)
    }
}

impl FromStr for PolicyDigest {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        text::hex32(s).map(Self).ok_or(Malformed("PolicyDigest"))
    }
}

/// The codes that ISO 3166-1 assigns, and `XK`, which it leaves to users and which is used everywhere for Kosovo. Codes
/// that look right and are not there (`UK`, `EL`) are refused: the rules of another place must not be applied silently.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW \
    BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI \
    FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN \
    IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME \
    MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF \
    PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV \
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE \
    YT ZA ZM ZW XK";

fn is_country(code: [u8; 2]) -> bool {
    let (all, last) = COUNTRIES.as_bytes().as_chunks::<3>();
    last == code || all.binary_search_by(|[a, b, _]| [*a, *b].cmp(&code)).is_ok()
}

/// A country (ISO 3166-1 alpha-2) with an optional subdivision (ISO 3166-2), upper case: `KR`, `US-CA`; `ZZ` is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jurisdiction {
    country: [u8; 2],
    subdivision: Option<[u8; 3]>,
}
crate::terms::as_text!(Jurisdiction);

impl Jurisdiction {
    /// The place is not known: the rules that hold everywhere apply, with the latest time zone.
    pub const UNKNOWN: Self = Self { country: *b"ZZ", subdivision: None };

    /// The two-letter country code.
    pub fn country(&self) -> &str {
        std::str::from_utf8(&self.country).expect("parsed as ASCII letters")
    }

    /// The subdivision code without the country, if one was given.
    pub fn subdivision(&self) -> Option<&str> {
        let s = self.subdivision.as_ref()?;
        let end = s.iter().position(|b| *b == 0).unwrap_or(s.len());
        Some(std::str::from_utf8(&s[..end]).expect("parsed as ASCII letters and digits"))
    }

    /// The same place without its subdivision.
    pub fn nation(self) -> Self {
        Self { subdivision: None, ..self }
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subdivision() {
            Some(s) => write!(f, "{}-{s}", self.country()),
            None => f.write_str(self.country()),
        }
    }
}

impl FromStr for Jurisdiction {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Jurisdiction");
        let (country, sub) = match s.split_once('-') {
            Some((c, sub)) => (c, Some(sub)),
            None => (s, None),
        };
        let country: [u8; 2] = country.as_bytes().try_into().map_err(|_| BAD)?;
        if country != Self::UNKNOWN.country && !is_country(country) {
            return Err(BAD);
        }
        let subdivision = match sub {
            None => None,
            Some(sub) => {
                let fits =
                    (1..=3).contains(&sub.len()) && sub.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
                if !fits {
                    return Err(BAD);
                }
                let mut code = [0u8; 3];
                code[..sub.len()].copy_from_slice(sub.as_bytes());
                Some(code)
            }
        };
        Ok(Self { country, subdivision })
    }
}

/// A statute under which Korean resident numbers are processed, as the operator names it: 1 to 48 of
/// `A-Z a-z 0-9 - _ . : ~ / @ + =`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statute {
    /// Zeros after the text.
    text: [u8; Self::MAX],
}
crate::terms::as_text!(Statute);

impl Statute {
    /// The longest accepted text, in characters.
    pub const MAX: usize = 48;

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        let end = self.text.iter().position(|b| *b == 0).unwrap_or(Self::MAX);
        std::str::from_utf8(&self.text[..end]).expect("parsed as ASCII")
    }
}

impl fmt::Display for Statute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Statute {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        let fits = (1..=Self::MAX).contains(&s.len())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:~/@+=".contains(&b));
        if !fits {
            return Err(Malformed("statute"));
        }
        let mut text = [0; Self::MAX];
        text[..s.len()].copy_from_slice(s.as_bytes());
        Ok(Self { text })
    }
}

closed_enum! {
    /// What the relying party wants to know the age for. Selects the rule together with the [`Jurisdiction`].
    Purpose {
        /// Opening an account.
        Signup = "signup",
        /// Starting a live stream.
        LiveStream = "live_stream",
        /// Watching content that is restricted to adults.
        AdultContent = "adult_content",
        /// Buying or receiving paid items.
        Purchase = "purchase",
        /// Reading the date of birth itself (DocumentService only).
        DobExtraction = "dob_extraction",
    }
}

closed_enum! {
    /// What the bearer token of a relying party lets it do. Each RPC asks for exactly one.
    Scope {
        /// Have an age checked.
        AgeCheck = "age.check",
        /// Read back decisions of its own and their explanations.
        DecisionRead = "decision.read",
        /// Read the fields of a document (with a purpose that allows it).
        DocumentRead = "document.read",
        /// Ask for, record and change guardian consent.
        ConsentWrite = "consent.write",
        /// Read guardian consent and its receipts.
        ConsentRead = "consent.read",
        /// Follow what happens.
        EventRead = "event.read",
        /// Take rights requests, verify who asks and close them.
        RightsWrite = "rights.write",
        /// Decide on rights requests: accept what only staff can vouch for, extend and close them.
        RightsDecide = "rights.decide",
        /// Read rights requests and when they are due.
        RightsRead = "rights.read",
        /// Report that an account belongs to a child.
        ReportWrite = "report.write",
        /// Erase a subject.
        SubjectErase = "subject.erase",
        /// Operate the service.
        Admin = "admin",
    }
}

closed_enum! {
    /// The documents idgate tells apart.
    DocumentKind {
        /// Korean resident card (주민등록증).
        KrResidentCard = "kr_resident_card",
        /// Korean alien registration, permanent resident or overseas Korean card.
        KrAlienCard = "kr_alien_card",
        /// Korean driver's licence (운전면허증).
        KrDriverLicence = "kr_driver_licence",
        /// Korean youth card (청소년증).
        KrYouthCard = "kr_youth_card",
        /// ICAO 9303 card with three lines of 30.
        Td1 = "td1",
        /// ICAO 9303 card with two lines of 36 (the French national card of 1988 to 2021 is reported here too).
        Td2 = "td2",
        /// ICAO 9303 passport with two lines of 44.
        Td3 = "td3",
        /// ICAO 9303 visa with two lines of 44.
        MrvA = "mrva",
        /// ICAO 9303 visa with two lines of 36.
        MrvB = "mrvb",
        /// Another identity document with a labelled, printed date of birth.
        OtherId = "other_id",
    }
}

impl DocumentKind {
    /// Whether it shows a Korean resident or foreigner number.
    pub const fn shows_resident_number(self) -> bool {
        match self {
            Self::KrResidentCard | Self::KrAlienCard | Self::KrDriverLicence | Self::KrYouthCard => true,
            Self::Td1 | Self::Td2 | Self::Td3 | Self::MrvA | Self::MrvB | Self::OtherId => false,
        }
    }
}

closed_enum! {
    /// How well a date of birth is witnessed: idgate's own ladder, lowest first. It claims no external assurance level.
    AssuranceLevel {
        /// One reading and nothing that confirms it. May deny, never allow.
        Unwitnessed = "unwitnessed",
        /// A second, separate reading gave the same date.
        Witnessed = "witnessed",
        /// The document's own check digits or checksum hold over the date.
        Checked = "checked",
        /// Two separate places of the document agree (for example printed date and MRZ), and the check digits hold.
        Corroborated = "corroborated",
    }
}

closed_enum! {
    /// What confirms a date of birth. An [`AssuranceLevel`] is always given together with these.
    Witness {
        /// Another reading of the same print, through different pixels, gave the same date.
        SecondReading = "second_reading",
        /// The checksum of a Korean number holds.
        Checksum = "checksum",
        /// The check digit over the birth date of the MRZ holds.
        CheckDigits = "check_digits",
        /// The composite check digit of the MRZ holds.
        Composite = "composite",
        /// A printed date of birth, apart from the number or MRZ, is the same.
        PrintedDate = "printed_date",
        /// A birth label stands beside the date.
        Label = "label",
        /// The printed date of issue fits the age of the holder.
        IssueDate = "issue_date",
        /// Another number of the document contains the same date.
        PersonalNumber = "personal_number",
    }
}

closed_enum! {
    /// Why no date of birth was accepted. Order of declaration is the order of reports.
    Reason {
        /// No bytes were sent.
        EmptyFile = "empty_file",
        /// The bytes are no picture format that idgate knows.
        UnknownFormat = "unknown_format",
        /// A known format that is not accepted: GIF, BMP, TIFF, AVIF and the like.
        UnsupportedFormat = "unsupported_format",
        /// HEIC or HEIF: the phone can send JPEG instead.
        HeicNotSupported = "heic_not_supported",
        /// A PDF: send a picture of the document instead.
        PdfNotSupported = "pdf_not_supported",
        /// The file says it is a picture, but cannot be decoded.
        CorruptFile = "corrupt_file",
        /// The file ends before the picture does.
        TruncatedFile = "truncated_file",
        /// More bytes than accepted.
        TooManyBytes = "too_many_bytes",
        /// More pixels than accepted, told from the header alone.
        TooManyPixels = "too_many_pixels",
        /// Too few pixels for any document to be legible.
        TooSmall = "too_small",
        /// Reading was stopped because it took too long.
        TimedOut = "timed_out",
        /// The picture is out of focus or shaken.
        Blurred = "blurred",
        /// A reflection hides part of the document.
        Glare = "glare",
        /// Too dark or too bright to read.
        BadExposure = "bad_exposure",
        /// Part of the document lies outside the picture.
        CutOff = "cut_off",
        /// The document fills too little of the picture.
        DocumentTooSmall = "document_too_small",
        /// No document was found in the picture.
        NoDocument = "no_document",
        /// A document was found, but it is of no kind that idgate reads.
        UnsupportedDocument = "unsupported_document",
        /// A document was found, but no date of birth on it.
        NoBirthDate = "no_birth_date",
        /// A number or MRZ was found, but could not be read with certainty.
        NumberUnreadable = "number_unreadable",
        /// A date was read, but nothing confirms it well enough for what was asked.
        NotWitnessed = "not_witnessed",
        /// The date as printed does not exist, lies in the future, or is implausible.
        ImpossibleDate = "impossible_date",
        /// The document shows a date of birth that is unknown in part or in whole, and the age cannot be told.
        BirthDateUnknown = "birth_date_unknown",
        /// Two places of the document contradict each other.
        Inconsistent = "inconsistent",
        /// The document has expired.
        Expired = "expired",
        /// The document is a published specimen.
        Specimen = "specimen",
        /// A stated date of birth does not suffice here: a document has to be shown.
        DocumentRequired = "document_required",
        /// The file could not be opened (`idgate scan` only).
        UnreadableFile = "unreadable_file",
        /// The document shows a Korean resident number in full, which may not be processed here: cover its back.
        ResidentNumberShown = "resident_number_shown",
    }
}

impl Reason {
    /// Whether another picture, or the first one, can help.
    pub const fn retryable(self) -> bool {
        match self {
            Self::EmptyFile
            | Self::UnknownFormat
            | Self::UnsupportedFormat
            | Self::HeicNotSupported
            | Self::PdfNotSupported
            | Self::CorruptFile
            | Self::TruncatedFile
            | Self::TooManyBytes
            | Self::TooManyPixels
            | Self::TooSmall
            | Self::TimedOut
            | Self::Blurred
            | Self::Glare
            | Self::BadExposure
            | Self::CutOff
            | Self::DocumentTooSmall
            | Self::NoDocument
            | Self::NoBirthDate
            | Self::NumberUnreadable
            | Self::NotWitnessed
            | Self::ImpossibleDate
            | Self::Inconsistent
            | Self::DocumentRequired
            | Self::UnreadableFile
            | Self::ResidentNumberShown => true,
            Self::UnsupportedDocument | Self::BirthDateUnknown | Self::Expired | Self::Specimen => false,
        }
    }
}

closed_enum! {
    /// How a call ended that took a picture: what its disposal receipt calls the path.
    DisposalPath {
        /// The picture was read, and the answer rests on it.
        Answered = "answered",
        /// The picture was looked at, and no date of birth was accepted.
        Unreadable = "unreadable",
        /// The call was answered without looking at the picture: the answer was known, or nothing could be done with it.
        NotRead = "not_read",
        /// The call was refused.
        Refused = "refused",
        /// The picture did not come whole, or was not what was announced.
        Incomplete = "incomplete",
        /// The call failed.
        Failed = "failed",
        /// The call took longer than the caller waits, or than any may.
        TimedOut = "timed_out",
    }
}

closed_enum! {
    /// A remark about a document that was read. Signals may refuse or send to review; they never allow.
    Signal {
        /// The expiry date has passed.
        Expired = "expired",
        /// The identity is that of a published specimen.
        Specimen = "specimen",
        /// The printed date of birth and the MRZ differ.
        PrintedDateConflict = "printed_date_conflict",
        /// The seventh digit of the number does not belong to this kind of card.
        NumberClassConflict = "number_class_conflict",
        /// The checksum of the Korean number does not hold (normal for numbers issued since October 2020).
        ChecksumMismatch = "checksum_mismatch",
        /// The back of the number is masked.
        NumberMasked = "number_masked",
        /// The century was inferred, not read.
        CenturyInferred = "century_inferred",
        /// The day, or day and month, of birth is unknown; the youngest possible date was taken.
        BirthDatePartial = "birth_date_partial",
        /// A character was mended by its position class; other witnesses confirm the result.
        Repaired = "repaired",
        /// An issuer's known departure from ICAO 9303 was allowed for.
        NonconformingIssuer = "nonconforming_issuer",
        /// A check digit of the MRZ, other than the one over the birth date, does not hold.
        CheckDigitMismatch = "check_digit_mismatch",
        /// The holder would have been too young for this card when it was issued.
        AgeAtIssueImplausible = "age_at_issue_implausible",
        /// An alien card of a person under 17.
        MinorOnAlienCard = "minor_on_alien_card",
        /// The file says that an editor for pictures wrote it.
        EditingSoftware = "editing_software",
        /// The file looks like a screenshot: it says so, or has the size of a screen and no trace of a camera.
        ScreenshotHint = "screenshot_hint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jurisdictions_parse_strictly() {
        for ok in ["KR", "US-CA", "CA-QC", "GB-ENG", "ZZ"] {
            assert_eq!(ok.parse::<Jurisdiction>().unwrap().to_string(), ok);
        }
        for bad in ["", "K", "kr", "KOR", "US-", "US-cali", "US-CALI", "대한", "R ", " K"] {
            assert!(bad.parse::<Jurisdiction>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_countries_that_there_are_are_taken() {
        assert_eq!(COUNTRIES.split(' ').collect::<std::collections::BTreeSet<_>>().len(), 249 + 1);
        assert!(COUNTRIES.split(' ').all(|code| code.len() == 2 && code.parse::<Jurisdiction>().is_ok()));
        for bad in ["UK", "EL", "QQ", "XX", "EU", "AN", "UK-ENG", "ZY"] {
            assert!(bad.parse::<Jurisdiction>().is_err(), "{bad}");
        }
    }

    #[test]
    fn identifiers_refuse_spaces_controls_and_excess() {
        assert!("user:42/abc".parse::<SubjectRef>().is_ok());
        for bad in [String::new(), "a b".into(), "a\n".into(), "홍길동".into(), "x".repeat(129)] {
            assert!(bad.parse::<SubjectRef>().is_err());
        }
    }

    #[test]
    fn every_closed_enum_value_survives_a_round_trip() {
        for r in Reason::ALL {
            assert_eq!(r.as_str().parse::<Reason>().unwrap(), *r);
        }
        for k in DocumentKind::ALL {
            assert_eq!(k.as_str().parse::<DocumentKind>().unwrap(), *k);
        }
        for w in Witness::ALL {
            assert_eq!(w.as_str().parse::<Witness>().unwrap(), *w);
        }
        for s in Signal::ALL {
            assert_eq!(s.as_str().parse::<Signal>().unwrap(), *s);
        }
    }

    #[test]
    fn policy_digests_are_64_lower_case_hex_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<PolicyDigest>().unwrap().to_string(), text);
        for bad in [String::new(), text.to_uppercase(), "+1".repeat(32), "é".repeat(32), format!("{text}0")] {
            assert!(bad.parse::<PolicyDigest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_never_echo_the_input() {
        let err = "900101-1990006 x".parse::<SubjectRef>().unwrap_err();
        assert!(!err.to_string().contains("900101"));
    }
}
