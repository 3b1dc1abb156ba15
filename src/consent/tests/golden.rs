//! Sample receipts as recorded in `tests/golden/receipts`, and the written schema that they and all others keep to.

use super::*;
use ConsentPurpose::{Collection, Marketing};
use VerificationMethod::{IdScan, KrCall, Phone};
use serde_json::Value;
use std::path::PathBuf;

const WRITTEN: &str = include_str!("../receipt.schema.json");

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(WRITTEN).unwrap()).unwrap()
}

fn step(consent: &Consent, event: Event, hours: i64) -> Consent {
    consent.step(event, at(hours)).unwrap()
}

/// Asked for by German law, checked by a scan, and given.
fn given() -> Consent {
    let sent = step(&asked("DE", true, &[IdScan, Phone]), Event::NoticeSent { new_link: None }, 1);
    step(&step(&sent, check(IdScan, 2), 2), grant(&[Collection, Marketing]), 3)
}

/// Asked for by Korean law, scanned, called, looked at by a person, and given.
fn korean_legal() -> Consent {
    let review = Event::Checked { check: checked(IdScan, 1), review: vec![ReviewReason::AgeGap] };
    let called = step(&step(&asked("KR", true, &[IdScan, KrCall]), review, 1), check(KrCall, 2), 2);
    step(&step(&called, Event::ReviewCleared { staff: "agent-9".parse().unwrap() }, 3), grant(&[Collection]), 4)
}

/// All receipts of it.
fn receipts(consent: &Consent) -> Vec<Receipt> {
    (0..).map_while(|index| consent.receipt(index)).collect()
}

/// Members in the order in which they are signed.
fn recorded(name: &str, value: &impl serde::Serialize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/receipts").join(name);
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == recorded, "a receipt changed: run with UPDATE_GOLDEN=1 and read the diff of {}", path.display());
}

#[test]
fn sample_receipts_look_as_recorded_and_keep_to_the_schema() {
    let withdrawn = step(&given(), Event::Withdrawn { actor: ConsentActor::Guardian }, 30);
    for (name, consent) in [("given", given()), ("withdrawn", withdrawn), ("korean_legal", korean_legal())] {
        let last = receipts(&consent).pop().unwrap();
        let value: Value = serde_json::from_slice(&last.payload()).unwrap();
        recorded(&format!("{name}.json"), &last);
        recorded(&format!("{name}.kantara.json"), &kantara(&last));
        schema().validate(&value).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_bytes_that_are_hashed_and_signed_are_as_recorded() {
    // Other bytes would break the chain of every consent that is stored: another form is another schema.
    let all = [receipts(&given()), receipts(&korean_legal())].concat();
    let digests: Vec<TextDigest> = all.iter().map(Receipt::digest).collect();
    recorded("digests.json", &digests);
}

#[test]
fn every_receipt_of_every_end_keeps_to_the_schema() {
    let ends = [
        Event::Withdrawn { actor: ConsentActor::Subject },
        Event::Superseded,
        Event::AgeReached { line: 14, last: false },
        Event::AgeReached { line: 18, last: true },
        Event::Reaffirmed { actor: ConsentActor::Guardian, lapses_at: at(24 * 800) },
        Event::ScopeChanged { actor: ConsentActor::Guardian, purposes: vec![Collection] },
    ];
    let mut consents: Vec<Consent> = ends.into_iter().map(|end| step(&given(), end, 48)).collect();
    consents.push(step(&given(), Event::TimePassed, 24 * 365));
    consents.push(korean_legal());
    for method in VerificationMethod::ALL {
        consents.push(step(&asked("DE", false, &[*method]), check(*method, 1), 1));
    }
    let schema = schema();
    for receipt in consents.iter().flat_map(receipts) {
        let value = serde_json::to_value(&receipt).unwrap();
        schema.validate(&value).unwrap_or_else(|error| panic!("{error}: {value}"));
        assert_eq!(serde_json::from_slice::<Receipt>(&receipt.payload()).unwrap(), receipt);
        assert!(!receipt.payload().windows(8).any(|word| word == b"resident"), "the kind of card is told");
    }
}

#[test]
fn the_schema_is_closed_and_says_what_must_be_there() {
    let schema = schema();
    let good = serde_json::to_value(korean_legal().receipt(4).unwrap()).unwrap();
    assert!(schema.is_valid(&good));
    let mut seen = 0;
    for place in [
        "",
        "/header",
        "/processing",
        "/processing/purposes/0",
        "/pii/0",
        "/parties/0",
        "/events/0",
        "/guardian",
        "/guardian/vpc_method/0",
        "/guardian/vpc_rule",
        "/chain",
    ] {
        let mut more = good.clone();
        more.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("birth_date".into(), "2013-01-01".into());
        assert!(!schema.is_valid(&more), "{place} is open");
        assert!(serde_json::from_value::<Receipt>(more).is_err(), "{place} is open");
        let optional = ["staff", "vpc_rule", "reviewed_by", "relationship_claimed", "attestation_id"];
        for member in good.pointer(place).unwrap().as_object().unwrap().keys() {
            let mut less = good.clone();
            less.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(member);
            assert_eq!(schema.is_valid(&less), optional.contains(&member.as_str()), "{place}/{member}");
            seen += 1;
        }
    }
    assert!(seen > 40);
}

/// The enumerations of the schema are those of the vocabulary, less what no receipt can say.
#[test]
fn the_schema_knows_the_vocabulary() {
    let written: Value = serde_json::from_str(WRITTEN).unwrap();
    let at =
        |pointer: &str| -> Vec<String> { serde_json::from_value(written.pointer(pointer).unwrap().clone()).unwrap() };
    let all = |names: Vec<&'static str>, without: &[&str]| -> Vec<String> {
        names.into_iter().filter(|name| !without.contains(name)).map(str::to_owned).collect()
    };
    let forgotten = ["refused", "timed_out", "erased"];
    let event = "/properties/events/items/properties";
    let kinds = EventKind::ALL.iter().map(|k| k.as_str()).filter(|kind| kind.starts_with("consent."));
    assert_eq!(
        at(&format!("{event}/event_type/enum")),
        all(kinds.collect(), &["consent.refused", "consent.timed_out"])
    );
    let states = ConsentState::ALL.iter().map(|s| s.as_str());
    assert_eq!(at(&format!("{event}/event_state/enum")), all(states.collect(), &forgotten));
    assert_eq!(
        at(&format!("{event}/entity_id/enum")),
        all(ConsentActor::ALL.iter().map(|a| a.as_str()).collect(), &[])
    );
    assert_eq!(at("/$defs/purpose/enum"), all(ConsentPurpose::ALL.iter().map(|p| p.as_str()).collect(), &[]));
    assert_eq!(at("/$defs/method/enum"), all(VerificationMethod::ALL.iter().map(|m| m.as_str()).collect(), &[]));
    let relationships = Relationship::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(at("/properties/guardian/properties/relationship_claimed/enum"), all(relationships, &[]));
    assert_eq!(written.pointer("/properties/header/properties/schema_version/const").unwrap(), SCHEMA);
}

#[test]
fn a_controller_is_complete_and_fits_into_a_receipt() {
    assert!(controller().check().is_ok());
    assert!(Controller { recipients: Vec::new(), ..controller() }.check().is_ok());
    assert!(Controller::default().check().is_err());
    for bad in [
        Controller { name: " ".to_owned(), ..controller() },
        Controller { contact: "x".repeat(513), ..controller() },
        Controller { pii_categories: Vec::new(), ..controller() },
        Controller { recipients: vec!["x".to_owned(); 17], ..controller() },
        Controller { storage_locations: vec![String::new()], ..controller() },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}
