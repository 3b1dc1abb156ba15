//! How issuers caption and spell what they print: labels in one or two languages, month names, date formats.

use super::person::{chance, pick};
use fastrand::Rng;
use jiff::civil::Date;

/// The spelling of a printed date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `12.03.1990`
    Dotted,
    /// `12 03 1990`
    Spaced,
    /// `1990-03-12`
    Iso,
    /// `12 MAR 1990`
    Month,
    /// `12 MAR/MARS 1990`
    TwoMonths,
    /// `12 MAR/MARS 90`
    TwoMonthsShort,
}

/// One issuer's way.
pub struct Locale {
    /// As in the MRZ, without fillers.
    pub code: &'static str,
    pub country: &'static str,
    pub passport: &'static str,
    pub card: &'static str,
    pub birth: &'static [&'static str],
    pub surname: &'static str,
    pub given: &'static str,
    pub nationality: &'static str,
    pub sex: &'static str,
    pub place: &'static str,
    pub issue: &'static str,
    pub expiry: &'static str,
    pub number: &'static str,
    /// Local month names.
    pub months: [&'static str; 12],
    pub spellings: &'static [Spelling],
}

const EN: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const FR: [&str; 12] = ["JAN", "FÉV", "MARS", "AVR", "MAI", "JUIN", "JUIL", "AOÛT", "SEPT", "OCT", "NOV", "DÉC"];
const NL: [&str; 12] = ["JAN", "FEB", "MAA", "APR", "MEI", "JUN", "JUL", "AUG", "SEP", "OKT", "NOV", "DEC"];
const ES: [&str; 12] = ["ENE", "FEB", "MAR", "ABR", "MAY", "JUN", "JUL", "AGO", "SEP", "OCT", "NOV", "DIC"];

use Spelling::{Dotted, Iso, Month, Spaced, TwoMonths, TwoMonthsShort};

/// The issuers; the first, invented one is drawn most often.
pub const LOCALES: &[Locale] = &[
    Locale {
        code: "UTO",
        country: "UTOPIA",
        passport: "PASSPORT",
        card: "IDENTITY CARD",
        birth: &["Date of birth", "Date of Birth / Date de naissance", "DATE OF BIRTH"],
        surname: "Surname / Nom",
        given: "Given names / Prénoms",
        nationality: "Nationality / Nationalité",
        sex: "Sex / Sexe",
        place: "Place of birth / Lieu de naissance",
        issue: "Date of issue / Date de délivrance",
        expiry: "Date of expiry / Date d'expiration",
        number: "Document No. / N° du document",
        months: EN,
        spellings: &[Month, Dotted, Iso, Month],
    },
    Locale {
        code: "D",
        country: "BUNDESREPUBLIK DEUTSCHLAND",
        passport: "REISEPASS",
        card: "PERSONALAUSWEIS",
        birth: &["Geburtsdatum/Date of birth/Date de naissance", "Geburtstag / Date of birth"],
        surname: "Name/Surname/Nom",
        given: "Vornamen/Given names/Prénoms",
        nationality: "Staatsangehörigkeit/Nationality",
        sex: "Geschlecht/Sex/Sexe",
        place: "Geburtsort/Place of birth",
        issue: "Ausstellungsdatum/Date of issue",
        expiry: "Gültig bis/Date of expiry",
        number: "Ausweis-Nr./Document No.",
        months: EN,
        spellings: &[Dotted],
    },
    Locale {
        code: "FRA",
        country: "RÉPUBLIQUE FRANÇAISE",
        passport: "PASSEPORT",
        card: "CARTE NATIONALE D'IDENTITÉ",
        birth: &["Date de naissance / Date of birth", "DATE DE NAISS. / Date of birth", "Date de naissance"],
        surname: "NOM / Surname",
        given: "Prénoms / Given names",
        nationality: "NATIONALITÉ / Nationality",
        sex: "SEXE / Sex",
        place: "LIEU DE NAISSANCE / Place of birth",
        issue: "Date de délivrance / Date of issue",
        expiry: "Date d'expiration / Expiry date",
        number: "N° DU DOCUMENT / Document No",
        months: FR,
        spellings: &[Spaced, Spaced, Dotted],
    },
    Locale {
        code: "ESP",
        country: "REINO DE ESPAÑA",
        passport: "PASAPORTE",
        card: "DOCUMENTO NACIONAL DE IDENTIDAD",
        birth: &["FECHA DE NACIMIENTO", "Fecha de nacimiento / Date of birth"],
        surname: "APELLIDOS / Surname",
        given: "NOMBRE / Given names",
        nationality: "NACIONALIDAD / Nationality",
        sex: "SEXO / Sex",
        place: "LUGAR DE NACIMIENTO / Place of birth",
        issue: "EMISIÓN / Date of issue",
        expiry: "VALIDEZ / Date of expiry",
        number: "NUM SOPORT / Document No.",
        months: ES,
        spellings: &[Spaced, Month],
    },
    Locale {
        code: "ITA",
        country: "REPUBBLICA ITALIANA",
        passport: "PASSAPORTO",
        card: "CARTA DI IDENTITÀ",
        birth: &["Data di nascita / Date of birth", "DATA DI NASCITA"],
        surname: "COGNOME / Surname",
        given: "NOME / Name",
        nationality: "CITTADINANZA / Nationality",
        sex: "SESSO / Sex",
        place: "LUOGO DI NASCITA / Place of birth",
        issue: "EMISSIONE / Issuing",
        expiry: "SCADENZA / Expiry",
        number: "Documento N. / Document No.",
        months: EN,
        spellings: &[Dotted],
    },
    Locale {
        code: "NLD",
        country: "KONINKRIJK DER NEDERLANDEN",
        passport: "PASPOORT",
        card: "IDENTITEITSKAART",
        birth: &["Geboortedatum / Date of birth", "geboortedatum/date of birth"],
        surname: "Naam / Surname",
        given: "Voornamen / Given names",
        nationality: "Nationaliteit / Nationality",
        sex: "Geslacht / Sex",
        place: "Geboorteplaats / Place of birth",
        issue: "Datum van afgifte / Date of issue",
        expiry: "Geldig tot / Date of expiry",
        number: "Documentnummer / Document No.",
        months: NL,
        spellings: &[TwoMonths],
    },
    Locale {
        code: "SWE",
        country: "SVERIGE",
        passport: "PASS",
        card: "NATIONELLT IDENTITETSKORT",
        birth: &["Födelsedatum / Date of birth"],
        surname: "Efternamn / Surname",
        given: "Förnamn / Given names",
        nationality: "Nationalitet / Nationality",
        sex: "Kön / Sex",
        place: "Födelseort / Place of birth",
        issue: "Utfärdat / Date of issue",
        expiry: "Sista giltighetsdag / Date of expiry",
        number: "Kortnr / Card No.",
        months: EN,
        spellings: &[Iso, Month],
    },
    Locale {
        code: "POL",
        country: "RZECZPOSPOLITA POLSKA",
        passport: "PASZPORT",
        card: "DOWÓD OSOBISTY",
        birth: &["DATA URODZENIA / DATE OF BIRTH", "Data urodzenia / Date of birth"],
        surname: "NAZWISKO / SURNAME",
        given: "IMIONA / GIVEN NAMES",
        nationality: "OBYWATELSTWO / NATIONALITY",
        sex: "PŁEĆ / SEX",
        place: "MIEJSCE URODZENIA / PLACE OF BIRTH",
        issue: "DATA WYDANIA / DATE OF ISSUE",
        expiry: "TERMIN WAŻNOŚCI / EXPIRY DATE",
        number: "NUMER DOKUMENTU / DOCUMENT NO.",
        months: EN,
        spellings: &[Dotted],
    },
    Locale {
        code: "CAN",
        country: "CANADA",
        passport: "PASSPORT / PASSEPORT",
        card: "IDENTITY CARD / CARTE D'IDENTITÉ",
        birth: &["Date of birth / Date de naissance"],
        surname: "Surname / Nom",
        given: "Given names / Prénoms",
        nationality: "Nationality / Nationalité",
        sex: "Sex / Sexe",
        place: "Place of birth / Lieu de naissance",
        issue: "Date of issue / Date de délivrance",
        expiry: "Date of expiry / Date d'expiration",
        number: "Document No. / N° de document",
        months: FR,
        spellings: &[TwoMonthsShort],
    },
    Locale {
        code: "AUS",
        country: "AUSTRALIA",
        passport: "PASSPORT",
        card: "PROOF OF IDENTITY",
        birth: &["Date of birth", "DATE OF BIRTH"],
        surname: "Family name",
        given: "Given names",
        nationality: "Nationality",
        sex: "Sex",
        place: "Place of birth",
        issue: "Date of issue",
        expiry: "Date of expiry",
        number: "Document No.",
        months: EN,
        spellings: &[Month],
    },
    Locale {
        code: "JPN",
        country: "JAPAN",
        passport: "PASSPORT",
        card: "IDENTIFICATION CARD",
        birth: &["Date of birth"],
        surname: "Surname",
        given: "Given name",
        nationality: "Nationality",
        sex: "Sex",
        place: "Registered Domicile",
        issue: "Date of issue",
        expiry: "Date of expiry",
        number: "Passport No.",
        months: EN,
        spellings: &[Month],
    },
    Locale {
        code: "KOR",
        country: "REPUBLIC OF KOREA",
        passport: "PASSPORT",
        card: "IDENTIFICATION CARD",
        birth: &["생년월일/Date of birth"],
        surname: "성/Surname",
        given: "이름/Given names",
        nationality: "국적/Nationality",
        sex: "성별/Sex",
        place: "발행관청/Authority",
        issue: "발급일/Date of issue",
        expiry: "기간만료일/Date of expiry",
        number: "여권번호/Passport No.",
        months: EN,
        spellings: &[Month],
    },
];

impl Locale {
    /// A document's issuer: `UTO` in a third of the cases, otherwise any.
    pub fn draw(rng: &mut Rng) -> &'static Self {
        if chance(rng, 0.33) { &LOCALES[0] } else { &LOCALES[rng.usize(..LOCALES.len())] }
    }

    /// One of the captions over the date of birth.
    pub fn birth_label(&self, rng: &mut Rng) -> &'static str {
        pick(rng, self.birth)
    }

    /// One of the issuer's spellings; `full` leaves out those with a two-digit year.
    pub fn spelling(&self, rng: &mut Rng, full: bool) -> Spelling {
        match self.spellings[rng.usize(..self.spellings.len())] {
            TwoMonthsShort if full => TwoMonths,
            s => s,
        }
    }

    /// `d` in that spelling.
    pub fn date(&self, d: Date, s: Spelling) -> String {
        let (y, day) = (d.year(), d.day());
        let month = usize::try_from(d.month() - 1).expect("months count from one");
        let (local, english) = (self.months[month], EN[month]);
        match s {
            Dotted => format!("{day:02}.{:02}.{y}", month + 1),
            Spaced => format!("{day:02} {:02} {y}", month + 1),
            Iso => format!("{y}-{:02}-{day:02}", month + 1),
            Month => format!("{day:02} {local} {y}"),
            TwoMonths => format!("{day:02} {local}/{english} {y}"),
            TwoMonthsShort => format!("{day:02} {english}/{local} {:02}", y % 100),
        }
    }
}
