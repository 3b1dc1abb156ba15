//! Which checks of a guardian suffice, by place, by whether the law asks for the guardian, and by what is granted.
//!
//! A row is named in records and receipts: one that was released is never edited. What changes gets a new row with a
//! new name. An identity card read by us is one piece of evidence of who somebody is and how old; it is no method of
//! the COPPA rule (its fifth asks for databases, its seventh for a face and trained staff) and none of Korea's decree.

use crate::terms::{ConsentPurpose, Jurisdiction, VerificationMethod};
use VerificationMethod::*;

/// What holds for one case.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// What it rests on.
    pub citation: &'static str,
    country: Option<&'static str>,
    legal: bool,
    /// Any one of these suffices.
    any_of: &'static [VerificationMethod],
    /// Any one of these suffices if nothing is disclosed.
    undisclosed: &'static [VerificationMethod],
}

/// A message and a confirmation.
const PLUS: &[VerificationMethod] = &[EmailPlus, TextPlus];
/// 16 CFR 312.5(b)(2)(i) to (vii).
const COPPA: &[VerificationMethod] = &[SignedForm, PaymentCard, Phone, Video, GovIdDatabase, KnowledgeBased, FaceMatch];
/// PIPA decree 17-2(1) nos. 1 to 7.
const KOREA: &[VerificationMethod] = &[KrWebSms, KrWebCard, KrWebPhoneIdentity, KrPaper, KrEmail, KrCall, KrEquivalent];
/// What tells who an adult is, with a reliable detail of identity and age.
const IDENTIFIABLE: &[VerificationMethod] = &[IdScan, Video, GovIdDatabase, FaceMatch];
/// Everything but the messages.
const ANY: &[VerificationMethod] = &[
    IdScan,
    SignedForm,
    PaymentCard,
    Phone,
    Video,
    GovIdDatabase,
    KnowledgeBased,
    FaceMatch,
    KrWebSms,
    KrWebCard,
    KrWebPhoneIdentity,
    KrPaper,
    KrEmail,
    KrCall,
    KrEquivalent,
];

/// The table; the first row that fits holds.
pub const ROWS: &[Row] = &[
    Row {
        id: "consent/kr-legal",
        citation: "Personal Information Protection Act (KR) art. 22-2(1); Enforcement Decree art. 17-2(1)",
        country: Some("KR"),
        legal: true,
        any_of: KOREA,
        undisclosed: &[],
    },
    Row {
        id: "consent/us-legal",
        citation: "Children's Online Privacy Protection Rule (US), 16 CFR 312.5(b)",
        country: Some("US"),
        legal: true,
        any_of: COPPA,
        undisclosed: PLUS,
    },
    Row {
        id: "consent/in-legal",
        citation: "Digital Personal Data Protection Act (IN) s. 9(1); Rules, rule 10",
        country: Some("IN"),
        legal: true,
        any_of: IDENTIFIABLE,
        undisclosed: &[],
    },
    Row {
        id: "consent/any-legal",
        citation: "GDPR art. 8(2): reasonable efforts; EDPB Guidelines 05/2020, 136-141",
        country: None,
        legal: true,
        any_of: ANY,
        undisclosed: PLUS,
    },
    Row {
        id: "consent/any-policy",
        citation: "The service's own policy; messages never where data is disclosed, as in 16 CFR 312.5(b)(2)(viii)-(ix)",
        country: None,
        legal: false,
        any_of: ANY,
        undisclosed: PLUS,
    },
];

/// The row for a place and ground.
pub fn row(place: Jurisdiction, legal_guardian: bool) -> &'static Row {
    let fits = |row: &&Row| row.legal == legal_guardian && row.country.is_none_or(|country| country == place.country());
    ROWS.iter().find(fits).expect("the last two rows fit every place")
}

/// The row of that name.
pub fn named(id: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.id == id)
}

/// Whether a purpose gives the data to somebody else.
pub fn discloses(purpose: ConsentPurpose) -> bool {
    match purpose {
        ConsentPurpose::ThirdPartyDisclosure | ConsentPurpose::PublicProfile | ConsentPurpose::CrossBorderTransfer => {
            true
        }
        ConsentPurpose::Collection
        | ConsentPurpose::Marketing
        | ConsentPurpose::Personalisation
        | ConsentPurpose::Location
        | ConsentPurpose::AutomatedDecision => false,
    }
}

impl Row {
    /// Whether what was checked suffices for these purposes.
    pub fn suffices(&self, checked: &[VerificationMethod], purposes: &[ConsentPurpose]) -> bool {
        let disclosed = purposes.iter().any(|purpose| discloses(*purpose));
        checked.iter().any(|method| self.any_of.contains(method) || (!disclosed && self.undisclosed.contains(method)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[ConsentPurpose] = &[ConsentPurpose::Collection, ConsentPurpose::Marketing];
    const OPEN: [&[ConsentPurpose]; 3] = [
        &[ConsentPurpose::Collection, ConsentPurpose::ThirdPartyDisclosure],
        &[ConsentPurpose::Collection, ConsentPurpose::PublicProfile],
        &[ConsentPurpose::CrossBorderTransfer],
    ];

    fn place(text: &str) -> Jurisdiction {
        text.parse().unwrap()
    }

    /// The methods that suffice alone.
    fn alone(text: &str, legal: bool, purposes: &[ConsentPurpose]) -> Vec<VerificationMethod> {
        let row = row(place(text), legal);
        VerificationMethod::ALL.iter().copied().filter(|method| row.suffices(&[*method], purposes)).collect()
    }

    #[test]
    fn korea_s_law_takes_one_of_its_seven_and_an_identity_card_never_replaces_it() {
        let seven = [KrWebSms, KrWebCard, KrWebPhoneIdentity, KrPaper, KrEmail, KrCall, KrEquivalent];
        assert_eq!(alone("KR", true, PLAIN), seven);
        assert_eq!(alone("KR", true, OPEN[0]), seven);
        let row = row(place("KR"), true);
        assert_eq!(row.id, "consent/kr-legal");
        let others: Vec<_> = VerificationMethod::ALL.iter().copied().filter(|m| !seven.contains(m)).collect();
        assert!(!row.suffices(&others, PLAIN), "all other methods together");
        assert!(row.suffices(&[IdScan, KrCall], PLAIN));
    }

    #[test]
    fn coppa_takes_its_nine_and_the_messages_only_without_disclosure() {
        let seven = [SignedForm, PaymentCard, Phone, Video, GovIdDatabase, KnowledgeBased, FaceMatch];
        assert_eq!(alone("US", true, PLAIN), [&seven[..], &[EmailPlus, TextPlus]].concat());
        for open in OPEN {
            assert_eq!(alone("US-CA", true, open), seven);
        }
        let row = row(place("US-TX"), true);
        assert_eq!(row.id, "consent/us-legal");
        assert!(!row.suffices(&[IdScan], PLAIN), "an identity card alone is no COPPA method");
        assert!(!row.suffices(&[IdScan, EmailPlus], OPEN[0]));
    }

    #[test]
    fn india_s_law_asks_for_an_identifiable_adult() {
        assert_eq!(row(place("IN"), true).id, "consent/in-legal");
        for purposes in [PLAIN, OPEN[1]] {
            assert_eq!(alone("IN", true, purposes), [IdScan, Video, GovIdDatabase, FaceMatch]);
        }
    }

    #[test]
    fn elsewhere_any_method_is_a_reasonable_effort_but_messages_where_data_is_disclosed() {
        for (text, legal, id) in [
            ("DE", true, "consent/any-legal"),
            ("ZZ", true, "consent/any-legal"),
            ("KR", false, "consent/any-policy"),
            ("US", false, "consent/any-policy"),
            ("FR", false, "consent/any-policy"),
        ] {
            assert_eq!(row(place(text), legal).id, id);
            assert_eq!(alone(text, legal, PLAIN).len(), VerificationMethod::ALL.len(), "{text}");
            for open in OPEN {
                let without: Vec<_> =
                    VerificationMethod::ALL.iter().copied().filter(|m| ![EmailPlus, TextPlus].contains(m)).collect();
                assert_eq!(alone(text, legal, open), without, "{text}");
            }
        }
    }

    #[test]
    fn a_message_never_suffices_where_data_is_disclosed_and_nothing_suffices_without_a_check() {
        for row in ROWS {
            for open in OPEN {
                assert!(!row.suffices(&[EmailPlus, TextPlus], open), "{}", row.id);
            }
            assert!(!row.suffices(&[], PLAIN), "{}", row.id);
            assert!(row.id.parse::<crate::terms::RuleId>().is_ok() && named(row.id) == Some(row));
        }
    }
}
