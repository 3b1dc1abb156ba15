//! The machine by named cases, and by random steps against an independent model.

mod cases;
mod golden;
mod model;

use super::*;
use crate::terms::DocumentKind;
use jiff::SignedDuration;

const LINK: Uuid = Uuid::from_u128(0x11);

fn at(hours: i64) -> Timestamp {
    "2026-11-22T09:30:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
}

fn controller() -> Controller {
    Controller {
        name: "Demo Shop Ltd".to_owned(),
        address: "1 Example Street, Seoul".to_owned(),
        contact: "privacy@demo-shop.example".to_owned(),
        notice_url: "https://demo-shop.example/privacy".to_owned(),
        storage_locations: vec!["KR".to_owned()],
        retention_period: "until withdrawal, then 30 days".to_owned(),
        recipients: vec!["Example Analytics Ltd".to_owned()],
        withdrawal_method: "account page, \"Family\"".to_owned(),
        pii_categories: vec!["account name".to_owned(), "age group".to_owned()],
    }
}

fn request(place: &str, legal: bool, allowed: &[VerificationMethod]) -> Request {
    use ConsentPurpose::*;
    Request {
        jurisdiction: place.parse().unwrap(),
        decision: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
        legal_guardian: legal,
        guardian_min_age: if place == "KR" { 19 } else { 18 },
        principal: Uuid::from_u128(0x7777),
        requested: vec![Marketing, Collection, ThirdPartyDisclosure],
        allowed_methods: allowed.to_vec(),
        notice: Notice {
            version: "2026-10".parse().unwrap(),
            digest: TextDigest([7; 32]),
            language: "ko".parse().unwrap(),
            attestation: Some("guardian-v1".parse().unwrap()),
        },
        rule: "kr/signup".parse().unwrap(),
        policy: PolicyDigest([9; 32]),
        controller: controller(),
        requested_at: at(0),
        answer_by: at(72),
    }
}

fn asked(place: &str, legal: bool, allowed: &[VerificationMethod]) -> Consent {
    let id = ConsentId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00aa));
    Consent::requested(id, "demo-shop".parse().unwrap(), request(place, legal, allowed), Some(LINK)).unwrap()
}

fn check(method: VerificationMethod, hours: i64) -> Event {
    Event::Checked { check: checked(method, hours), review: Vec::new() }
}

fn checked(method: VerificationMethod, hours: i64) -> Check {
    let card = method == VerificationMethod::IdScan;
    Check {
        method,
        at: at(hours),
        staff: (!card).then(|| "agent-7".parse().unwrap()),
        evidence: card.then_some(DocumentKind::KrResidentCard),
        guardian_age_ok: card,
    }
}

fn grant(purposes: &[ConsentPurpose]) -> Event {
    Event::Granted {
        link: LINK,
        purposes: purposes.to_vec(),
        relationship: Relationship::Parent,
        attestation: None,
        lapses_at: at(24 * 365),
    }
}
