//! What is done with Korean resident numbers (주민등록번호 and foreigner numbers): a setting, for the law asks.
//!
//! PIPA article 24-2 lets them be processed only where a statute says so, whoever consents. Whatever is set, digits 8 to
//! 13 are masked in the text of every line as soon as their checksum was taken (see `documents::mask`); no digit of them
//! reaches a decision, a record or an answer. Cards with a masked back are normal input in all three.

use crate::terms::Statute;
use serde::{Deserialize, Serialize};

/// What is done with a document that shows a resident number in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidentNumbers {
    /// It is refused; a copy on which the back of the number is covered is asked for.
    Reject,
    /// It is read, and the number is masked in memory.
    #[default]
    MaskInMemory,
    /// The same, and the records name the statute that allows it.
    Statute,
}

/// What may be looked at on a document.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is done with resident numbers.
    pub resident_numbers: ResidentNumbers,
    /// The statute, if one allows them.
    #[serde(with = "optional")]
    pub statute: Option<Statute>,
}

impl Settings {
    /// Whether a statute is named if and only if one is relied upon.
    pub fn consistent(&self) -> bool {
        (self.resident_numbers == ResidentNumbers::Statute) == self.statute.is_some()
    }
}

/// An empty text is none.
mod optional {
    use crate::terms::Statute;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(of: &Option<Statute>, to: S) -> Result<S::Ok, S::Error> {
        match of {
            Some(statute) => to.collect_str(statute),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Statute>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}
