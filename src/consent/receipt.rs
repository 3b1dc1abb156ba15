//! The receipt of one entry of a consent: fields of ISO/IEC TS 27560:2023 (header, processing, pii, parties, events),
//! and what a guardian's consent needs besides.
//!
//! A receipt is a function of what was frozen when its entry was made: whatever happens later, it is made of the same
//! bytes, so that it can be signed again and so that the next entry can name its hash. Members are written in the order
//! of declaration; there is no map. The form of a released [`SCHEMA`] never changes (golden files hold it); another form
//! is another schema. What a receipt tells of an identity card is that it was checked, never what is on it.

use super::{Check, Consent, Happened, Request, methods, step};
use crate::terms::{
    AttestationId, ConsentActor, ConsentId, ConsentPurpose, ConsentState, DecisionId, EventKind, Jurisdiction,
    LanguageTag, NoticeVersion, PolicyDigest, Relationship, RelyingParty, RuleId, StaffRef, TextDigest,
    VerificationMethod,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The form of these receipts; `receipt.schema.json` beside this file writes it down.
pub const SCHEMA: &str = "idgate/consent-receipt/1 (ISO/IEC TS 27560:2023)";
/// All that is told of an identity card (EDPB Guidelines 01/2022, 79).
const CARD: &str = "ID card was checked";
/// The name of the controller among the parties.
const CONTROLLER: &str = "controller";

/// A receipt: the payload that is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// What this is, and about whom.
    pub header: Header,
    /// What is consented to, and what is done with the data.
    pub processing: Processing,
    /// The kinds of data.
    pub pii: Vec<Pii>,
    /// Who is responsible.
    pub parties: Vec<Party>,
    /// The one event that this receipt is of.
    pub events: Vec<ReceiptEvent>,
    /// How it was checked that a guardian stands behind it.
    pub guardian: Guardian,
    /// Its place among the receipts of this consent.
    pub chain: Chain,
}

/// What a receipt is, and about whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema_version: String,
    /// The consent.
    pub record_id: ConsentId,
    /// A random name for the person concerned.
    pub pii_principal_id: Uuid,
}

/// What is consented to, and what is done with the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processing {
    /// Where the whole notice is.
    pub privacy_notice: String,
    /// Its language.
    pub language: LanguageTag,
    /// Each purpose that was asked for, and whether it is granted.
    pub purposes: Vec<PurposeLine>,
    /// The ground.
    pub lawful_basis: String,
    /// The data, by their names under `pii`.
    pub pii_information: Vec<String>,
    /// Who is responsible, by their names under `parties`.
    pub pii_controllers: Vec<String>,
    /// Where the data lie.
    pub storage_locations: Vec<String>,
    /// For how long.
    pub retention_period: String,
    /// The place whose rules hold.
    pub jurisdiction: Jurisdiction,
    /// Who gets them.
    pub recipient_third_parties: Vec<String>,
    /// How consent is taken back.
    pub withdrawal_method: String,
}

/// One purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeLine {
    /// Which.
    pub purpose: ConsentPurpose,
    /// Whether it is granted.
    pub granted: bool,
}

/// One kind of data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pii {
    /// Its name in this receipt.
    pub pii_attribute_id: String,
    /// What it is.
    pub pii_type: String,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Its name in this receipt.
    pub party_id: String,
    /// What it is called.
    pub party_name: String,
    /// Its postal address.
    pub party_address: String,
    /// How it is reached.
    pub party_contact: String,
    /// What it is in this.
    pub party_type: String,
    /// The relying party's name with idgate.
    pub relying_party: RelyingParty,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptEvent {
    /// When; for an age that was reached, the first of the month.
    pub event_time: Timestamp,
    /// For how long it holds unless something happens (ISO 8601).
    pub validity_duration: String,
    /// Who did it.
    pub entity_id: ConsentActor,
    /// What it was.
    pub event_type: EventKind,
    /// Where the consent stood from then on.
    pub event_state: ConsentState,
}

/// How it was checked that a guardian stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardian {
    /// The decision that asked for a guardian.
    pub decision_id: DecisionId,
    /// The rule that asked.
    pub rule_id: RuleId,
    /// The digest of the whole rule table.
    pub policy_digest: PolicyDigest,
    /// Whether the law asks for the guardian, not only the service's policy.
    pub required_by_law: bool,
    /// How old the guardian must be at least.
    pub guardian_min_age: u8,
    /// The version of the notice.
    pub notice_version: NoticeVersion,
    /// SHA-256 of the exact text that was shown.
    pub notice_sha256: TextDigest,
    /// Exactly what was checked.
    pub vpc_method: Vec<VpcMethod>,
    /// By which row of the table of methods that suffices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_rule: Option<VpcRule>,
    /// Who of the relying party's staff looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<StaffRef>,
    /// What the guardian claims to be. No document here proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relationship_claimed: Option<Relationship>,
    /// The text by which they declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<AttestationId>,
    /// Whether the guardian's access has ended, because the subject may act alone.
    pub access_ended: bool,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcMethod {
    /// How.
    pub method: VerificationMethod,
    /// Who says so: idgate for an identity card that it read, else the relying party.
    pub checked_by: String,
    /// When.
    pub checked_at: Timestamp,
    /// Who of the relying party's staff did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff: Option<StaffRef>,
    /// For an identity card: that one was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_class: Option<String>,
    /// For an identity card: whether it showed the guardian to be old enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardian_age_ok: Option<bool>,
}

/// A row of [`methods`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcRule {
    /// Its name.
    pub id: RuleId,
    /// What it rests on.
    pub citation: String,
}

/// A place among the receipts of one consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Counted from 0, without gaps.
    pub sequence: u32,
    /// SHA-256 of the receipt before it (of the payload, not of its signature).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<TextDigest>,
}

impl Receipt {
    /// The bytes that are signed.
    pub fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a receipt has only string keys")
    }

    /// The hash that the next receipt names.
    pub fn digest(&self) -> TextDigest {
        TextDigest(Sha256::digest(self.payload()).into())
    }
}

impl Consent {
    /// The receipt of the entry at `index`; none for an entry that is not there or is forgotten.
    pub fn receipt(&self, index: usize) -> Option<Receipt> {
        let (request, happened) = (self.request()?, self.events.get(index)?);
        let controller = &request.controller;
        let attributes = || (1..).zip(&controller.pii_categories).map(|(n, kind)| (format!("pii-{n}"), kind));
        let party = Party {
            party_id: CONTROLLER.to_owned(),
            party_name: controller.name.clone(),
            party_address: controller.address.clone(),
            party_contact: controller.contact.clone(),
            party_type: "pii_controller".to_owned(),
            relying_party: self.relying_party.clone(),
        };
        Some(Receipt {
            header: Header {
                schema_version: SCHEMA.to_owned(),
                record_id: self.id,
                pii_principal_id: request.principal,
            },
            processing: processing(request, happened, attributes().map(|(name, _)| name).collect()),
            pii: attributes().map(|(name, kind)| Pii { pii_attribute_id: name, pii_type: kind.clone() }).collect(),
            parties: vec![party],
            events: vec![event(request, happened)],
            guardian: self.guardian(request, index, happened),
            chain: Chain { sequence: happened.seq, previous: happened.prev },
        })
    }

    /// What was known of the guardian when the entry was made.
    fn guardian(&self, request: &Request, index: usize, happened: &Happened) -> Guardian {
        let given = self.given.as_ref().filter(|_| happened.lapses_at.is_some());
        let until_then = || self.events.iter().take(index.saturating_add(1));
        Guardian {
            decision_id: request.decision,
            rule_id: request.rule.clone(),
            policy_digest: request.policy,
            required_by_law: request.legal_guardian,
            guardian_min_age: request.guardian_min_age,
            notice_version: request.notice.version.clone(),
            notice_sha256: request.notice.digest,
            vpc_method: self.checks.iter().take(happened.checks).map(method).collect(),
            vpc_rule: given.and_then(|given| {
                let row = methods::named(given.methods.as_str())?;
                Some(VpcRule { id: given.methods.clone(), citation: row.citation.to_owned() })
            }),
            reviewed_by: until_then().rev().find_map(|entry| entry.staff.clone()),
            relationship_claimed: given.map(|given| given.relationship),
            attestation_id: given.and_then(|given| given.attestation.clone()),
            access_ended: until_then().any(|entry| entry.kind == EventKind::ConsentAgedOut),
        }
    }
}

fn processing(request: &Request, happened: &Happened, pii_information: Vec<String>) -> Processing {
    let line =
        |purpose: &ConsentPurpose| PurposeLine { purpose: *purpose, granted: happened.granted.contains(purpose) };
    let controller = &request.controller;
    Processing {
        privacy_notice: controller.notice_url.clone(),
        language: request.notice.language.clone(),
        purposes: request.requested.iter().map(line).collect(),
        lawful_basis: "consent".to_owned(),
        pii_information,
        pii_controllers: vec![CONTROLLER.to_owned()],
        storage_locations: controller.storage_locations.clone(),
        retention_period: controller.retention_period.clone(),
        jurisdiction: request.jurisdiction,
        recipient_third_parties: controller.recipients.clone(),
        withdrawal_method: controller.withdrawal_method.clone(),
    }
}

fn event(request: &Request, happened: &Happened) -> ReceiptEvent {
    let until = match happened.state {
        ConsentState::Given => happened.lapses_at,
        ConsentState::Requested
        | ConsentState::NoticeSent
        | ConsentState::InReview
        | ConsentState::GuardianVerified => Some(request.answer_by),
        ConsentState::Refused
        | ConsentState::TimedOut
        | ConsentState::Withdrawn
        | ConsentState::Expired
        | ConsentState::Superseded
        | ConsentState::AgedOut
        | ConsentState::Erased => None,
    };
    ReceiptEvent {
        event_time: happened.at,
        validity_duration: step::duration(happened.at, until.unwrap_or(happened.at)),
        entity_id: happened.actor,
        event_type: happened.kind,
        event_state: happened.state,
    }
}

fn method(check: &Check) -> VpcMethod {
    let card = check.method == VerificationMethod::IdScan;
    VpcMethod {
        method: check.method,
        checked_by: if card { "idgate" } else { "relying_party" }.to_owned(),
        checked_at: check.at,
        staff: check.staff.clone(),
        evidence_class: card.then(|| CARD.to_owned()),
        guardian_age_ok: card.then_some(check.guardian_age_ok),
    }
}
