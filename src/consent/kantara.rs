//! A receipt as a Kantara Consent Receipt, version 1.1.
//!
//! | Kantara 1.1 | from |
//! |---|---|
//! | `version` | `KI-CR-v1.1.0` |
//! | `jurisdiction` | `processing.jurisdiction` |
//! | `consentTimestamp` | `events[0].event_time`, in seconds since 1970 |
//! | `collectionMethod` | the guardian's answer, and each `guardian.vpc_method` |
//! | `consentReceiptID` | `header.record_id` |
//! | `language` | `processing.language` |
//! | `piiPrincipalId` | `header.pii_principal_id` |
//! | `piiControllers` | `parties`; `contact` stands for the separate `email` and `phone` that 1.1 knows |
//! | `policyUrl` | `processing.privacy_notice` |
//! | `services[0].service` | the controller's name |
//! | `services[0].purposes` | the granted `processing.purposes`, each `EXPLICIT`; the data are told for all alike |
//! | `sensitive`, `spiCat` | `false`, none: no kind of sensitive data is asked for by idgate |
//!
//! It is a view for readers of that form: what it cannot say (the guardian, the chain) stays in the receipt, which is
//! what is signed.

use super::methods::discloses;
use super::receipt::Receipt;
use crate::terms::{ConsentId, ConsentPurpose, Jurisdiction, LanguageTag};
use serde::Serialize;
use uuid::Uuid;

/// A Kantara Consent Receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kantara {
    version: &'static str,
    jurisdiction: Jurisdiction,
    consent_timestamp: i64,
    collection_method: String,
    #[serde(rename = "consentReceiptID")]
    consent_receipt_id: ConsentId,
    language: LanguageTag,
    pii_principal_id: Uuid,
    pii_controllers: Vec<Controller>,
    policy_url: String,
    services: Vec<Service>,
    sensitive: bool,
    spi_cat: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Controller {
    pii_controller: String,
    contact: String,
    address: Address,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    street_address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    service: String,
    purposes: Vec<Purpose>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Purpose {
    purpose: ConsentPurpose,
    consent_type: &'static str,
    pii_category: Vec<String>,
    primary_purpose: bool,
    termination: String,
    third_party_disclosure: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    third_party_name: Vec<String>,
}

/// The receipt in that form.
pub fn kantara(receipt: &Receipt) -> Kantara {
    let (processing, parties) = (&receipt.processing, &receipt.parties);
    let methods: Vec<&str> = receipt.guardian.vpc_method.iter().map(|check| check.method.as_str()).collect();
    let controllers = parties.iter().map(|party| Controller {
        pii_controller: party.party_name.clone(),
        contact: party.party_contact.clone(),
        address: Address { street_address: party.party_address.clone() },
    });
    Kantara {
        version: "KI-CR-v1.1.0",
        jurisdiction: processing.jurisdiction,
        consent_timestamp: receipt.events.first().map_or(0, |event| event.event_time.as_second()),
        collection_method: format!("answer of a guardian; checked: {}", methods.join(", ")),
        consent_receipt_id: receipt.header.record_id,
        language: processing.language.clone(),
        pii_principal_id: receipt.header.pii_principal_id,
        pii_controllers: controllers.collect(),
        policy_url: processing.privacy_notice.clone(),
        services: vec![Service {
            service: parties.first().map(|party| party.party_name.clone()).unwrap_or_default(),
            purposes: processing
                .purposes
                .iter()
                .filter(|line| line.granted)
                .map(|line| purpose(receipt, line.purpose))
                .collect(),
        }],
        sensitive: false,
        spi_cat: Vec::new(),
    }
}

fn purpose(receipt: &Receipt, purpose: ConsentPurpose) -> Purpose {
    let disclosed = discloses(purpose);
    let third_party_name = if disclosed { receipt.processing.recipient_third_parties.clone() } else { Vec::new() };
    Purpose {
        purpose,
        consent_type: "EXPLICIT",
        pii_category: receipt.pii.iter().map(|pii| pii.pii_type.clone()).collect(),
        primary_purpose: purpose == ConsentPurpose::Collection,
        termination: receipt.processing.retention_period.clone(),
        third_party_disclosure: disclosed,
        third_party_name,
    }
}
