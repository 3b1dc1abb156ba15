//! The words beside dates and on headings of identity documents, in the languages of the world's cards.
//!
//! Always: labels are compared on letters alone (accents folded), long ones with one letter wrong, missing or too many;
//! short ones only as whole words.

use super::clean::{Clean, find_fuzzy, letters};
use super::rows::Row;
use std::sync::LazyLock;

/// What a label says about the value beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Birth,
    Issue,
    Expiry,
}

/// A label in a row: from, to.
pub(crate) struct Label {
    pub(crate) kind: Kind,
    pub(crate) span: (usize, usize),
    /// In a language whose countries write the day first (any but English).
    pub(crate) day_first: bool,
}

type Word = Vec<char>;

fn fold(list: &[&str]) -> Vec<Word> {
    list.iter().map(|t| letters(Clean::new(t).chars()).0).collect()
}

static BIRTH_ENGLISH: LazyLock<Vec<Word>> = LazyLock::new(|| fold(&["DATE OF BIRTH", "BIRTH DATE", "BIRTHDAY"]));
static BIRTH: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "DATE DE NAISSANCE",
        "DATE NAISSANCE",
        "NEE LE",
        "NE(E) LE",
        "GEBURTSDATUM",
        "GEBURTSTAG",
        "GEBOREN AM",
        "GEBURTSORT UND -DATUM",
        "GEBOORTEDATUM",
        "FECHA DE NACIMIENTO",
        "FECHA NACIMIENTO",
        "FECHA DE NAC",
        "DATA DE NASCIMENTO",
        "DATA NASCIMENTO",
        "DATA DE NAIXEMENT",
        "DATA DI NASCITA",
        "DATA NASCITA",
        "NATO IL",
        "NATA IL",
        "DATA URODZENIA",
        "DATUM NAROZENI",
        "DATUM NARODENIA",
        "DATUM ROJSTVA",
        "DATUM RODENJA",
        "DATUM RODJENJA",
        "SZULETESI IDO",
        "SZULETESI DATUM",
        "SZULETETT",
        "FODELSEDATUM",
        "FODSELSDATO",
        "FODSELSDATUM",
        "FODSELSDAG",
        "SYNTYMAAIKA",
        "SUNNIAEG",
        "SUNNIKUUPAEV",
        "DZIMSANAS DATUMS",
        "DZIMSANAS DATI",
        "GIMIMO DATA",
        "DATA NASTERII",
        "NASCUT LA",
        "DATELINDJA",
        "DATELINDJE",
        "DATA E LINDJES",
        "DOGUM TARIHI",
        "DOGUM TARIXI",
        "TEVELLUDU",
        "FAEDINGARDAGUR",
        "FAEDINGARDAGUR",
        "TARIKH LAHIR",
        "TANGGAL LAHIR",
        "TGL LAHIR",
        "NGAY SINH",
        "DATA TAT-TWELID",
        "ДАТА РОЖДЕНИЯ",
        "ДАТА НАРОДЖЕННЯ",
        "ДАТА НА РАЖДАНЕ",
        "ДАТА НА РАГАЊЕ",
        "ДАТУМ РОЂЕЊА",
        "ДАТУМ НА РАЃАЊЕ",
        "ДАТА НАРАДЖЭННЯ",
        "ΗΜΕΡΟΜΗΝΙΑ ΓΕΝΝΗΣΗΣ",
        "ΗΜΕΡ ΓΕΝΝΗΣΗΣ",
        "ΗΜ ΓΕΝΝΗΣΗΣ",
        "生年月日",
        "出生日期",
        "出生年月日",
        "PETSA NG KAPANGANAKAN",
        "TAREHE YA KUZALIWA",
        "TUGILGAN SANASI",
        "TUGAN KUNI",
        "LUGAR Y FECHA DE NACIMIENTO",
        "LUOGO E DATA DI NASCITA",
    ])
});
static ISSUE: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "DATE OF ISSUE",
        "ISSUE DATE",
        "DATE ISSUED",
        "ISSUED ON",
        "DATE DE DELIVRANCE",
        "DELIVREE LE",
        "DELIVRE LE",
        "AUSSTELLUNGSDATUM",
        "AUSGESTELLT AM",
        "TAG DER AUSSTELLUNG",
        "FECHA DE EXPEDICION",
        "FECHA DE EMISION",
        "EMISION",
        "DATA DE EMISSAO",
        "DATA DI RILASCIO",
        "DATA WYDANIA",
        "DATUM VYDANI",
        "DATUM IZDAJE",
        "DATUM IZDAVANJA",
        "DATUM AFGIFTE",
        "DATE VAN AFGIFTE",
        "DATUM VAN AFGIFTE",
        "UTFARDANDEDATUM",
        "UTSTEDT",
        "MYONNETTY",
        "DATA E LESHIMIT",
        "DATA ELIBERARII",
        "VALID FROM",
        "VALIDE A PARTIR",
        "KIALLITAS",
        "VERILIS",
        "ДАТА ВЫДАЧИ",
        "ДАТА ВИДАЧІ",
        "交付",
        "签发日期",
        "DUZENLEME",
    ])
});
static EXPIRY: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "DATE OF EXPIRY",
        "DATE OF EXPIRATION",
        "EXPIRY DATE",
        "EXPIRATION DATE",
        "EXPIRES ON",
        "EXPIRATION",
        "VALID UNTIL",
        "VALID THRU",
        "VALID TO",
        "GOOD THRU",
        "DATE D'EXPIRATION",
        "GUELTIG BIS",
        "GULTIG BIS",
        "VALABLE JUSQU",
        "VALABLE JUSQU'AU",
        "VALIDE JUSQU",
        "FECHA DE CADUCIDAD",
        "FECHA DE VENCIMIENTO",
        "VALIDO HASTA",
        "VALIDEZ",
        "DATA DE VALIDADE",
        "VALIDADE",
        "DATA DI SCADENZA",
        "SCADENZA",
        "GELDIG TOT",
        "DATA WAZNOSCI",
        "TERMIN WAZNOSCI",
        "PLATNOST DO",
        "PLATI DO",
        "VELJA DO",
        "VRIJEDI DO",
        "VAZI DO",
        "ERVENYES",
        "GILTIG T",
        "GYLDIG TIL",
        "VIIMEINEN VOIMASSAOLO",
        "KEHTIV KUNI",
        "DERIGA LIDZ",
        "GALIOJA IKI",
        "DATA E SKADIMIT",
        "VALABILITATE",
        "SON GECERLILIK",
        "ETIBARLILIQ",
        "BITME TARIXI",
        "BERLAKU",
        "ДЕЙСТВИТЕЛЕН",
        "ДІЙСНИЙ",
        "有効",
        "有效期",
    ])
});
/// Fields that identity documents have besides dates.
static FIELDS: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "SURNAME",
        "GIVEN NAME",
        "FORENAME",
        "FIRST NAME",
        "LAST NAME",
        "NATIONALITY",
        "PLACE OF BIRTH",
        "PERSONAL NO",
        "CARD NO",
        "DOCUMENT NO",
        "AUTHORITY",
        "PRENOM",
        "NATIONALITE",
        "LIEU DE NAISSANCE",
        "VORNAME",
        "GEBURTSORT",
        "STAATSANGEHORIGKEIT",
        "APELLIDO",
        "NOMBRE",
        "NACIONALIDAD",
        "COGNOME",
        "CITTADINANZA",
        "APELIDO",
        "NAZWISKO",
        "OBYWATELSTWO",
        "PRIJMENI",
        "PRIEZVISKO",
        "PREZIME",
        "PRIIMEK",
        "DRZAVLJANSTVO",
        "EFTERNAVN",
        "EFTERNAMN",
        "SUKUNIMI",
        "KANSALAISUUS",
        "PEREKONNANIMI",
        "UZVARDS",
        "PAVARDE",
        "PILIETYBE",
        "SOYADI",
        "UYRUGU",
        "MBIEMRI",
        "SHTETESIA",
        "NUMELE",
        "CETATENIE",
        "CSALADI",
        "HEIGHT",
        "HOLDERS SIGNATURE",
        "SIGNATURE OF BEARER",
        "ORGAN DONOR",
        "EYES",
        "HGT",
        "ФАМИЛИЯ",
        "ПРІЗВИЩЕ",
        "ΕΠΩΝΥΜΟ",
        "氏名",
        "住所",
        "姓名",
        "性别",
        "民族",
        "NAAM",
        "VOORNAMEN",
        "SOYAD",
        "AD SOYAD",
        "VATANDASLIGI",
        "KEWARGANEGARAAN",
    ])
});
/// Headings of identity documents.
static HEADINGS: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "IDENTITY CARD",
        "IDENTIFICATION CARD",
        "NATIONAL ID",
        "PASSPORT",
        "PASSEPORT",
        "REISEPASS",
        "PASAPORTE",
        "PASSAPORTO",
        "PASZPORT",
        "PERSONALAUSWEIS",
        "AUSWEIS",
        "IDENTITEITSKAART",
        "CARTE D'IDENTITE",
        "CARTE NATIONALE",
        "PERMIS DE CONDUIRE",
        "DRIVING LICENCE",
        "DRIVER LICENSE",
        "DRIVERS LICENSE",
        "DRIVER LICENCE",
        "DRIVING LICENSE",
        "FUHRERSCHEIN",
        "PATENTE DI GUIDA",
        "PERMISO DE CONDUCIR",
        "PERMISO DE CONDUCCION",
        "LICENCIA DE CONDUCIR",
        "CARTA DE CONDUCAO",
        "RIJBEWIJS",
        "PRAWO JAZDY",
        "CARTA D'IDENTITA",
        "DOCUMENTO NACIONAL",
        "RESIDENCE PERMIT",
        "TITRE DE SEJOUR",
        "AUFENTHALTSTITEL",
        "LETERNJOFTIM",
        "OSOBNA ISKAZNICA",
        "OSEBNA IZKAZNICA",
        "LICNA KARTA",
        "OBCANSKY PRUKAZ",
        "OBCIANSKY PREUKAZ",
        "DOWOD OSOBISTY",
        "SZEMELYAZONOSITO",
        "SZEMELYI IGAZOLVANY",
        "HENKILOKORTTI",
        "IDENTITETSKORT",
        "KORKORT",
        "KOREKORT",
        "FORERKORT",
        "AJOKORTTI",
        "ISIKUTUNNISTUS",
        "ASMENS TAPATYBES",
        "PERSONAS APLIECIBA",
        "KIMLIK KARTI",
        "SURUCU BELGESI",
        "CARTE DE IDENTITATE",
        "KARTU TANDA PENDUDUK",
        "KAD PENGENALAN",
        "運転免許証",
        "在留カード",
        "居民身份证",
        "УДОСТОВЕРЕНИЕ",
        "ПАСПОРТ",
        "VIZA",
        "SEJOURS",
        "RESIDENT CARD",
        "VOTER CARD",
        "COMMERCIAL DRIVER",
        "SHAXSIY GUVOHNOMA",
        "SEXSIYYET VESIQESI",
    ])
});
/// Papers that carry dates and are no identity documents.
static PAPERS: LazyLock<Vec<Word>> = LazyLock::new(|| {
    fold(&[
        "INVOICE",
        "RECEIPT",
        "SUBTOTAL",
        "AMOUNT DUE",
        "TOTAL DUE",
        "BILL TO",
        "RECHNUNG",
        "FACTURE",
        "FACTURA",
        "APPLICATION FORM",
        "STATEMENT",
        "PURCHASE ORDER",
        "DEBIT CARD",
        "CREDIT CARD",
        "MASTERCARD",
        "PAGE OF",
        "ANNUAL REPORT",
        "SECURITIES AND EXCHANGE",
        "PRESCRIPTION",
        "BOARDING PASS",
    ])
});

/// Every date label of a row, left to right.
pub(crate) fn dates(row: &Row) -> Vec<Label> {
    let (hay, at) = letters(&row.text);
    let mut out = Vec::new();
    let lists: [(&[Word], Kind, bool); 4] = [
        (&BIRTH_ENGLISH, Kind::Birth, false),
        (&BIRTH, Kind::Birth, true),
        (&ISSUE, Kind::Issue, false),
        (&EXPIRY, Kind::Expiry, false),
    ];
    for (list, kind, day_first) in lists {
        for word in list {
            for (from, to) in matches(&hay, word) {
                if let (Some(a), Some(b)) = (at.get(from), at.get(to.saturating_sub(1))) {
                    out.push(Label { kind, span: (*a, b + 1), day_first });
                }
            }
        }
    }
    out.extend(short_words(row));
    out.sort_by_key(|l| l.span.0);
    out
}

/// Abbreviations, as whole words only.
fn short_words(row: &Row) -> Vec<Label> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < row.text.len() {
        let len = row.text[at..].iter().take_while(|c| c.is_alphabetic() || (**c == '.' && at > 0)).count();
        if len == 0 {
            at += 1;
            continue;
        }
        if row.text[at..].starts_with(&['N', 'E', ' ', 'L', 'E'])
            && !row.text.get(at + 5).is_some_and(|c| c.is_alphabetic())
        {
            out.push(Label { kind: Kind::Birth, span: (at, at + 5), day_first: true });
        }
        let word: String = row.text[at..at + len].iter().filter(|c| **c != '.').collect();
        let kind = match word.as_str() {
            "DOB" | "BORN" => Some((Kind::Birth, false)),
            "NELE" | "GEBAM" => Some((Kind::Birth, true)),
            "EXP" | "EXPIRES" => Some((Kind::Expiry, false)),
            "ISS" | "ISSUED" => Some((Kind::Issue, false)),
            _ => None,
        };
        out.extend(kind.map(|(kind, day_first)| Label { kind, span: (at, at + len), day_first }));
        at += len;
    }
    out
}

/// Where `word` stands in `hay`: exactly, or (nine letters and more) with one letter wrong, missing or too many.
fn matches(hay: &[char], word: &[char]) -> Vec<(usize, usize)> {
    let n = word.len();
    let fuzzy = n >= 9;
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < hay.len() {
        let rest = &hay[at..];
        let found = match rest.get(..n) {
            Some(w) if w == word => Some(n),
            _ if fuzzy && rest.first() == word.first() => near(rest, word),
            _ => None,
        };
        match found {
            Some(len) => {
                out.push((at, at + len));
                at += len;
            }
            None => at += 1,
        }
    }
    out
}

/// The length of the beginning of `hay` that is `word` with one edit.
fn near(hay: &[char], word: &[char]) -> Option<usize> {
    let same = hay.iter().zip(word).take_while(|(a, b)| a == b).count();
    let tail_is = |h: usize, w: usize| hay.get(h..).is_some_and(|t| word.get(w..).is_some_and(|w| t.starts_with(w)));
    if tail_is(same + 1, same + 1) {
        Some(word.len())
    } else if tail_is(same, same + 1) {
        Some(word.len() - 1)
    } else if tail_is(same + 1, same) {
        Some(word.len() + 1)
    } else {
        None
    }
}

/// How many different words of a list a page shows.
fn count(rows: &[Row], list: &[Word]) -> usize {
    let hays: Vec<Vec<char>> = rows.iter().map(|r| letters(&r.text).0).collect();
    let shows = |word: &Word| {
        let wrong = usize::from(word.len() >= 8);
        hays.iter().any(|h| find_fuzzy(h, word, wrong).is_some())
    };
    list.iter().filter(|w| shows(w)).count()
}

/// What a page says about itself besides dates.
pub(crate) struct Signs {
    pub(crate) headings: usize,
    pub(crate) fields: usize,
    pub(crate) papers: usize,
    /// Signs of a licence of the United States, where numeric dates have the month first.
    pub(crate) american: bool,
    /// Signs of a country that writes the day first, other than a birth label.
    pub(crate) european: bool,
}

/// Counts headings, fields and signs of other papers.
pub(crate) fn signs(rows: &[Row]) -> Signs {
    static STATES: LazyLock<Vec<Word>> = LazyLock::new(|| {
        fold(&[
            "ALABAMA",
            "ALASKA",
            "ARIZONA",
            "ARKANSAS",
            "CALIFORNIA",
            "COLORADO",
            "CONNECTICUT",
            "DELAWARE",
            "FLORIDA",
            "HAWAII",
            "IDAHO",
            "ILLINOIS",
            "INDIANA",
            "IOWA",
            "KANSAS",
            "KENTUCKY",
            "LOUISIANA",
            "MARYLAND",
            "MASSACHUSETTS",
            "MICHIGAN",
            "MINNESOTA",
            "MISSISSIPPI",
            "MISSOURI",
            "MONTANA",
            "NEBRASKA",
            "NEVADA",
            "NEW HAMPSHIRE",
            "NEW JERSEY",
            "NEW MEXICO",
            "NEW YORK",
            "NORTH CAROLINA",
            "NORTH DAKOTA",
            "OHIO",
            "OKLAHOMA",
            "OREGON",
            "PENNSYLVANIA",
            "RHODE ISLAND",
            "SOUTH CAROLINA",
            "SOUTH DAKOTA",
            "TENNESSEE",
            "TEXAS",
            "UTAH",
            "VERMONT",
            "WASHINGTON",
            "VIRGINIA",
            "WISCONSIN",
            "WYOMING",
            "UNITED STATES OF AMERICA",
        ])
    });
    static LICENSE: LazyLock<Vec<Word>> =
        LazyLock::new(|| fold(&["DRIVER LICENSE", "DRIVERS LICENSE", "IDENTIFICATION CARD"]));
    static LICENCE: LazyLock<Vec<Word>> =
        LazyLock::new(|| fold(&["DRIVING LICENCE", "PERMIS DE CONDUIRE", "FUHRERSCHEIN"]));
    Signs {
        headings: count(rows, &HEADINGS),
        fields: count(rows, &FIELDS),
        papers: count(rows, &PAPERS),
        american: count(rows, &STATES) > 0 && count(rows, &LICENSE) > 0,
        european: count(rows, &LICENCE) > 0,
    }
}
