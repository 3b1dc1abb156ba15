//! The texts for the person, in English and Korean.
//!
//! Every reason and every outcome that a person may be told has a key and a text in each language; a test holds the two
//! tables to that. The tables are compiled in, so a missing file cannot leave somebody without an answer.

use crate::terms::{NotPossible, Reason, RefusalBasis, Regime, RightsNotPossible};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    /// The language that a tag such as `ko` or `ko-KR` asks for; English for everything else.
    pub fn of(tag: &str) -> Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("ko") { Self::Ko } else { Self::En }
    }

    fn table(self) -> &'static Table {
        static EN: LazyLock<Table> = LazyLock::new(|| read(include_str!("messages.en.toml")));
        static KO: LazyLock<Table> = LazyLock::new(|| read(include_str!("messages.ko.toml")));
        match self {
            Self::En => &EN,
            Self::Ko => &KO,
        }
    }
}

/// Section, then name, then text.
type Table = BTreeMap<String, BTreeMap<String, String>>;

fn read(text: &str) -> Table {
    toml::from_str(text).expect("the shipped tables parse; a test reads both")
}

/// A text with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Why no date of birth was accepted.
    Reason(Reason),
    /// A guardian must consent.
    ConsentRequired,
    /// Too young.
    Blocked,
    /// Something cannot be done with a consent.
    NotPossible(NotPossible),
    /// A guardian was not accepted.
    GuardianRefused,
    /// Something cannot be done with a rights request.
    RightsNotPossible(RightsNotPossible),
    /// What showing something came to.
    Proof(ProofText),
    /// Why a rights request is refused.
    Ground(RefusalBasis),
    /// What can be done against a refusal.
    Remedy(Regime),
}

/// What showing something came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofText {
    /// The requester is verified.
    Verified,
    /// It holds, and does not suffice yet.
    MoreNeeded,
    /// It does not hold.
    NotAccepted,
}

impl ProofText {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 3] = [Self::Verified, Self::MoreNeeded, Self::NotAccepted];

    const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::MoreNeeded => "more_needed",
            Self::NotAccepted => "not_accepted",
        }
    }
}

impl Text {
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Reason(reason) => ("reason", reason.as_str()),
            Self::ConsentRequired => ("outcome", "consent_required"),
            Self::Blocked => ("outcome", "blocked"),
            Self::NotPossible(why) => ("consent", why.as_str()),
            Self::GuardianRefused => ("outcome", "guardian_refused"),
            Self::RightsNotPossible(why) => ("rights", why.as_str()),
            Self::Proof(text) => ("proof", text.name()),
            Self::Ground(basis) => ("ground", basis.as_str()),
            Self::Remedy(regime) => ("remedy", regime.as_str()),
        }
    }

    /// The stable key, for a relying party's own translations.
    pub fn key(self) -> String {
        let (section, name) = self.place();
        format!("{section}.{name}")
    }

    /// The text itself.
    pub fn text(self, language: Language) -> &'static str {
        let (section, name) = self.place();
        language.table().get(section).and_then(|texts| texts.get(name)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_text() -> Vec<Text> {
        let outcomes = [Text::ConsentRequired, Text::Blocked, Text::GuardianRefused];
        let consent = NotPossible::ALL.iter().map(|why| Text::NotPossible(*why));
        let rights = RightsNotPossible::ALL.iter().map(|why| Text::RightsNotPossible(*why));
        let proofs = ProofText::ALL.into_iter().map(Text::Proof);
        let grounds = RefusalBasis::ALL.iter().map(|basis| Text::Ground(*basis));
        let remedies = Regime::ALL.iter().map(|regime| Text::Remedy(*regime));
        let reasons = Reason::ALL.iter().map(|reason| Text::Reason(*reason));
        reasons.chain(outcomes).chain(consent).chain(rights).chain(proofs).chain(grounds).chain(remedies).collect()
    }

    #[test]
    fn every_reason_and_outcome_has_a_text_of_its_own_in_both_languages() {
        for language in Language::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for text in every_text() {
                let words = text.text(language);
                assert!(words.chars().count() > 10, "{} has no text in {language:?}", text.key());
                assert!(seen.insert(words), "{} has the text of another in {language:?}", text.key());
                let hangul = words.chars().any(|c| ('가'..='힣').contains(&c));
                assert_eq!(hangul, language == Language::Ko, "{}", text.key());
            }
            let entries: usize = language.table().values().map(BTreeMap::len).sum();
            assert_eq!(entries, every_text().len(), "the table has texts that nothing asks for");
        }
    }

    #[test]
    fn texts_name_no_number_but_that_of_a_law() {
        let digits = |text: Text, language| {
            !matches!(text, Text::Remedy(_)) && text.text(language).contains(|c: char| c.is_ascii_digit())
        };
        for language in Language::ALL {
            assert!(!every_text().into_iter().any(|text| digits(text, language)));
        }
    }

    #[test]
    fn languages_are_found_by_their_primary_tag() {
        assert_eq!(["ko", "ko-KR", "KO_kr"].map(Language::of), [Language::Ko; 3]);
        assert_eq!(["", "en-GB", "fr", "kok"].map(Language::of), [Language::En; 4]);
    }
}
