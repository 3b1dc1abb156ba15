//! Receipts, guardian links, the consent claim and rights proofs: what they say, and that no changed one is accepted.

use super::keys::{Algorithm, VerifyingKey};
use super::*;
use crate::terms::{ActingAs, ProofLevel, Regime, RequestId, Right};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const BOTH: [Algorithm; 2] = [Algorithm::EdDsa, Algorithm::Es256];
const PAYLOAD: &[u8] = b"{ \"chain\":{\"sequence\":0},\n \"purposes\":[\"collection\"]}";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The ring of an issuer that is not needed any more.
fn ring_of(issuer: Issuer) -> KeyRing {
    std::sync::Arc::into_inner(issuer.keys.into_inner().unwrap()).unwrap()
}

fn issuer(algorithm: Algorithm) -> Issuer {
    Issuer::new("https://gate.example", KeyRing::generate_development(algorithm).unwrap()).unwrap()
}

fn shop() -> RelyingParty {
    "shop".parse().unwrap()
}

fn link() -> Link {
    Link { relying_party: shop(), consent: ConsentId(Uuid::from_u128(1)), jti: Uuid::from_u128(2) }
}

/// Every text that differs from `text` in one character of segment `index`.
fn changed(text: &str, index: usize) -> Vec<String> {
    let parts: Vec<&str> = text.split('.').collect();
    (0..parts[index].len())
        .map(|place| {
            let mut segment = parts[index].as_bytes().to_vec();
            segment[place] = if segment[place] == b'A' { b'B' } else { b'A' };
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[index] = String::from_utf8(segment).unwrap();
            parts.join(".")
        })
        .filter(|other| other != text)
        .collect()
}

#[test]
fn a_receipt_is_signed_and_opened_byte_for_byte() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let text = issuer.sign_receipt(PAYLOAD).unwrap();
        assert_eq!(issuer.open_receipt(&text, at(0)).unwrap(), PAYLOAD, "white space and all");
        assert_eq!(URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap(), PAYLOAD);
        assert!(receipts::looks_like_one(&text) && !receipts::looks_like_one("a.b.c"));
        let published = VerifyingKey::from_jwks(issuer.jwks(at(0)).as_bytes()).unwrap();
        assert_eq!(receipts::open(&text, &published).unwrap(), PAYLOAD, "with the published keys alone");
        let others = VerifyingKey::from_jwks(self::issuer(algorithm).jwks(at(0)).as_bytes()).unwrap();
        assert_eq!(receipts::open(&text, &others), Err(Rejected::UnknownKey));
    }
}

#[test]
fn a_receipt_changed_in_any_character_is_refused() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let text = issuer.sign_receipt(PAYLOAD).unwrap();
        let mut tried = 0;
        for index in 0..3 {
            for other in changed(&text, index) {
                assert!(issuer.open_receipt(&other, at(0)).is_err(), "segment {index}: {other}");
                tried += 1;
            }
        }
        assert!(tried > 200);
        let parts: Vec<&str> = text.split('.').collect();
        let more = URL_SAFE_NO_PAD.encode(b"{\"purposes\":[\"collection\",\"marketing\"]}");
        for (other, why) in [
            (format!("{}.{more}.{}", parts[0], parts[2]), Rejected::BadSignature),
            (format!("{}.{}.", parts[0], parts[1]), Rejected::BadSignature),
            (format!("{}.{}", parts[0], parts[1]), Rejected::Malformed),
            (format!("{text}.{}", parts[2]), Rejected::Malformed),
            (format!("x{text}"), Rejected::Malformed),
            (" ".repeat(MAX_RECEIPT + 1), Rejected::TooLarge),
        ] {
            assert_eq!(issuer.open_receipt(&other, at(0)), Err(why));
        }
    }
}

#[test]
fn a_receipt_that_could_not_be_opened_is_not_signed() {
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_RECEIPT));
    assert_eq!(issuer(Algorithm::EdDsa).sign_receipt(long.as_bytes()), Err(TokenError::TooLarge));
}

#[test]
fn no_token_is_taken_for_one_of_another_type() {
    let issuer = issuer(Algorithm::Es256);
    let receipt = issuer.sign_receipt(PAYLOAD).unwrap();
    let link = issuer.issue_link(&link(), at(0), at(60)).unwrap();
    assert_eq!(issuer.open_link(&receipt, &shop(), at(0)).unwrap_err(), Rejected::WrongType);
    assert_eq!(issuer.verify(&receipt, &shop(), at(0)).unwrap_err(), Rejected::WrongType);
    assert_eq!(issuer.verify(link.as_str(), &shop(), at(0)).unwrap_err(), Rejected::WrongType);
    assert_eq!(issuer.open_receipt(link.as_str(), at(0)).unwrap_err(), Rejected::WrongType);
}

#[test]
fn a_link_holds_for_its_relying_party_and_its_time() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let text = issuer.issue_link(&link(), at(0), at(3600)).unwrap();
        assert_eq!(text.expires_at(), at(3600));
        assert_eq!(issuer.open_link(text.as_str(), &shop(), at(3600)), Ok(link()), "clocks may differ by a minute");
        assert_eq!(issuer.open_link(text.as_str(), &shop(), at(3660)), Err(Rejected::Expired));
        assert_eq!(issuer.open_link(text.as_str(), &shop(), at(-61)), Err(Rejected::NotYetValid));
        let other = "other".parse().unwrap();
        assert_eq!(issuer.open_link(text.as_str(), &other, at(1)), Err(Rejected::WrongAudience));
        for index in 0..3 {
            for changed in changed(text.as_str(), index) {
                assert!(issuer.open_link(&changed, &shop(), at(1)).is_err());
            }
        }
        let life = |seconds| issuer.issue_link(&link(), at(0), at(seconds)).map(|_| ());
        assert_eq!((life(0), life(-1)), (Err(TokenError::Lifetime), Err(TokenError::Lifetime)));
        assert_eq!(life(MAX_LINK_LIFETIME.as_secs()), Ok(()));
        assert_eq!(life(MAX_LINK_LIFETIME.as_secs() + 1), Err(TokenError::Lifetime));
    }
}

#[test]
fn a_link_outlives_the_rotation_of_its_key() {
    let (current, _) = keys::SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let ring = KeyRing::new(current, None, Vec::new()).unwrap();
    let first = Issuer::new("https://gate.example", ring).unwrap();
    let text = first.issue_link(&link(), at(0), at(MAX_LINK_LIFETIME.as_secs())).unwrap();
    let (fresh, _) = keys::SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let rotated = Issuer::new("https://gate.example", ring_of(first).rotate(fresh, at(10)).unwrap()).unwrap();
    assert_eq!(rotated.open_link(text.as_str(), &shop(), at(MAX_LINK_LIFETIME.as_secs() - 1)), Ok(link()));
}

#[test]
fn an_age_token_names_the_consent_that_it_rests_on() {
    let issuer = issuer(Algorithm::EdDsa);
    let claims = |consent| Claims {
        iss: "https://gate.example".to_owned(),
        aud: shop(),
        sub: "user-42".parse().unwrap(),
        jti: DecisionId(Uuid::from_u128(3)),
        iat: at(0).as_second(),
        exp: at(60).as_second(),
        assurance: AssuranceLevel::Checked,
        jurisdiction: "KR".parse().unwrap(),
        policy: PolicyDigest([9; 32]),
        rule: "kr/signup".parse().unwrap(),
        consent,
        age_over: Ages([(14, true)].into()),
    };
    for consent in [None, Some(ConsentId(Uuid::from_u128(1)))] {
        let text = jws::sign(issuer.keys().current(), TYPE, &claims(consent)).unwrap();
        assert_eq!(issuer.verify(&text, &shop(), at(1)).unwrap().consent, consent);
        let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(payload.windows(9).any(|word| word == b"\"consent\""), consent.is_some());
    }
}

fn proof() -> RightsProof {
    RightsProof {
        audience: Audience { relying_party: shop(), subject: "user-42".parse().unwrap() },
        request: RequestId(Uuid::from_u128(4)),
        right: Right::Delete,
        regime: Regime::Gdpr,
        level: ProofLevel::L2,
        acting_as: ActingAs::Agent,
        jti: Uuid::from_u128(5),
        single_use: true,
    }
}

/// A rights proof that says something else, signed with our key.
fn saying(issuer: &Issuer, change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> String {
    let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.as_str().split('.').nth(1).unwrap()).unwrap();
    let mut claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    change(claims.as_object_mut().unwrap());
    jws::sign(issuer.keys().current(), "rights+jwt", &claims).unwrap()
}

#[test]
fn a_rights_proof_says_what_was_proved_and_nothing_else() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        for (n, right) in Right::ALL.iter().enumerate() {
            let proof = RightsProof {
                right: *right,
                regime: Regime::ALL[n % Regime::ALL.len()],
                level: ProofLevel::ALL[n % ProofLevel::ALL.len()],
                acting_as: ActingAs::ALL[n % ActingAs::ALL.len()],
                single_use: n % 2 == 0,
                ..proof()
            };
            let token = issuer.issue_rights(&proof, at(0), MAX_RIGHTS_LIFETIME).unwrap();
            assert_eq!(token.expires_at(), at(900));
            assert_eq!(issuer.open_rights(token.as_str(), &shop(), at(1)), Ok((proof, at(900))));
        }
        let token = issuer.issue_rights(&proof(), at(0), SignedDuration::from_secs(60)).unwrap();
        let part = |n| URL_SAFE_NO_PAD.decode(token.as_str().split('.').nth(n).unwrap()).unwrap();
        let head: serde_json::Value = serde_json::from_slice(&part(0)).unwrap();
        assert_eq!(head["typ"], "rights+jwt");
        let claims: serde_json::Value = serde_json::from_slice(&part(1)).unwrap();
        let iat = at(0).as_second();
        let expected = serde_json::json!({
            "iss": "https://gate.example", "aud": "shop", "sub": "user-42",
            "jti": Uuid::from_u128(5), "request": Uuid::from_u128(4),
            "right": "delete", "regime": "gdpr", "level": "l2", "acting_as": "agent",
            "single_use": true, "iat": iat, "exp": iat + 60,
        });
        assert_eq!(claims, expected);
    }
}

#[test]
fn a_rights_proof_holds_for_its_relying_party_and_its_quarter_of_an_hour() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
        let open = |second| issuer.open_rights(token.as_str(), &shop(), at(second)).map(|(_, until)| until);
        for second in [-60, 0, 899, 900, 959] {
            assert_eq!(open(second), Ok(at(900)), "{second}: clocks may differ by a minute");
        }
        assert_eq!((open(960), open(86_400)), (Err(Rejected::Expired), Err(Rejected::Expired)));
        assert_eq!(open(-61), Err(Rejected::NotYetValid));
        let other = "other".parse().unwrap();
        assert_eq!(issuer.open_rights(token.as_str(), &other, at(1)), Err(Rejected::WrongAudience));
        let life = |seconds| issuer.issue_rights(&proof(), at(0), SignedDuration::from_secs(seconds)).map(|_| ());
        for seconds in [-1, 0, 901, i64::MAX] {
            assert_eq!(life(seconds), Err(TokenError::Lifetime), "{seconds}");
        }
        assert_eq!((life(1), life(900)), (Ok(()), Ok(())));
        let last = issuer.issue_rights(&proof(), Timestamp::MAX, MAX_RIGHTS_LIFETIME).map(|_| ());
        assert_eq!(last, Err(TokenError::Lifetime), "there is no such instant");
    }
}

#[test]
fn a_rights_proof_changed_in_any_character_is_refused() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
        let text = token.as_str();
        let mut tried = 0;
        for index in 0..3 {
            for other in changed(text, index) {
                assert!(issuer.open_rights(&other, &shop(), at(1)).is_err(), "segment {index}: {other}");
                tried += 1;
            }
        }
        assert!(tried > 300);
        let parts: Vec<&str> = text.split('.').collect();
        for other in [
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{text}.{}", parts[2]),
            format!(" {text}"),
            String::new(),
        ] {
            assert!(issuer.open_rights(&other, &shop(), at(1)).is_err(), "{other}");
        }
        let others = self::issuer(algorithm);
        assert_eq!(others.open_rights(text, &shop(), at(1)), Err(Rejected::UnknownKey));
    }
}

#[test]
fn a_rights_proof_that_we_would_not_have_made_is_refused_though_our_key_signed_it() {
    let issuer = issuer(Algorithm::EdDsa);
    let open = |text: &str| issuer.open_rights(text, &shop(), at(1)).map(|(proof, _)| proof);
    assert_eq!(open(&saying(&issuer, |_| ())), Ok(proof()), "the test can fail");
    let iat = at(0).as_second();
    let set = |name: &'static str, value: serde_json::Value| {
        saying(&issuer, move |claims| drop(claims.insert(name.to_owned(), value)))
    };
    assert_eq!(open(&set("iss", "https://other.example".into())), Err(Rejected::WrongIssuer));
    assert_eq!(open(&set("aud", "other".into())), Err(Rejected::WrongAudience));
    assert_eq!(open(&set("exp", (iat + 901).into())), Err(Rejected::LifetimeTooLong));
    assert_eq!(open(&set("exp", iat.into())), Err(Rejected::BadClaim), "no time at all");
    for (name, value) in [
        ("name", "somebody".into()),
        ("birth_date", "2001-01-01".into()),
        ("nbf", iat.into()),
        ("aud", serde_json::json!(["shop", "other"])),
        ("right", "everything".into()),
        ("level", "l4".into()),
        ("acting_as", "friend".into()),
        ("regime", "none".into()),
        ("single_use", "yes".into()),
        ("jti", "5".into()),
        ("request", "".into()),
        ("exp", "soon".into()),
    ] {
        assert!(open(&set(name, value.clone())).is_err(), "{name} {value}");
    }
    let payload = saying(&issuer, |_| ());
    let payload = URL_SAFE_NO_PAD.decode(payload.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims.len(), 12);
    for name in claims.keys() {
        let less = saying(&issuer, |claims| drop(claims.remove(name)));
        assert!(open(&less).is_err(), "without {name}");
    }
}

#[test]
fn a_rights_proof_and_the_other_tokens_are_not_taken_for_each_other() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
        assert_eq!(issuer.verify(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::WrongType);
        assert_eq!(issuer.open_link(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::WrongType);
        assert_eq!(issuer.open_receipt(token.as_str(), at(1)).unwrap_err(), Rejected::WrongType);
        let receipt = issuer.sign_receipt(PAYLOAD).unwrap();
        let link = issuer.issue_link(&link(), at(0), at(60)).unwrap();
        assert_eq!(issuer.open_rights(&receipt, &shop(), at(1)).unwrap_err(), Rejected::WrongType);
        assert_eq!(issuer.open_rights(link.as_str(), &shop(), at(1)).unwrap_err(), Rejected::WrongType);
        let payload = URL_SAFE_NO_PAD.decode(token.as_str().split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        // The same claims, said to be something else.
        for typ in ["age+jwt", "JWT", "", "rights", "application/rights+jwt"] {
            let other = jws::sign(issuer.keys().current(), typ, &claims).unwrap();
            assert_eq!(issuer.open_rights(&other, &shop(), at(1)).unwrap_err(), Rejected::WrongType, "{typ:?}");
        }
    }
}

#[test]
fn a_rights_proof_outlives_the_rotation_of_its_key() {
    let (current, _) = keys::SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let ring = KeyRing::new(current, None, Vec::new()).unwrap();
    let first = Issuer::new("https://gate.example", ring).unwrap();
    let token = first.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
    let (fresh, _) = keys::SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let rotated = Issuer::new("https://gate.example", ring_of(first).rotate(fresh, at(10)).unwrap()).unwrap();
    assert_eq!(rotated.open_rights(token.as_str(), &shop(), at(899)), Ok((proof(), at(900))));
}

/// Replaces the keys of an issuer, as reading them again does.
fn replace_keys(issuer: &Issuer, ring: KeyRing) -> std::sync::Arc<KeyRing> {
    std::mem::replace(&mut *issuer.keys.write().unwrap(), ring.into())
}

#[test]
fn a_token_whose_signature_is_remembered_is_judged_like_any_other() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
        for _ in 0..3 {
            assert_eq!(issuer.open_rights(token.as_str(), &shop(), at(899)), Ok((proof(), at(900))));
        }
        let bank = "bank".parse().unwrap();
        assert_eq!(issuer.open_rights(token.as_str(), &bank, at(1)).unwrap_err(), Rejected::WrongAudience);
        assert_eq!(issuer.verify(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::WrongType);
        assert_eq!(issuer.open_rights(token.as_str(), &shop(), at(960)).unwrap_err(), Rejected::Expired);
        for index in 0..3 {
            for other in changed(token.as_str(), index) {
                assert!(issuer.open_rights(&other, &shop(), at(1)).is_err(), "segment {index}");
            }
        }
        let before = replace_keys(&issuer, KeyRing::generate_development(algorithm).unwrap());
        assert_eq!(issuer.open_rights(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::UnknownKey);
        drop(replace_keys(&issuer, std::sync::Arc::into_inner(before).unwrap()));
        assert_eq!(issuer.open_rights(token.as_str(), &shop(), at(1)), Ok((proof(), at(900))));
    }
}

#[test]
fn what_did_not_hold_is_looked_at_each_time() {
    let issuer = issuer(Algorithm::EdDsa);
    let token = issuer.issue_rights(&proof(), at(0), MAX_RIGHTS_LIFETIME).unwrap();
    let forged = changed(token.as_str(), 2).swap_remove(0);
    for _ in 0..3 {
        assert_eq!(issuer.open_rights(&forged, &shop(), at(1)).unwrap_err(), Rejected::BadSignature);
    }
}

#[test]
fn a_receipt_is_made_once_for_each_key() {
    let issuer = issuer(Algorithm::Es256);
    let first = issuer.sign_receipt_once("a", || Some(PAYLOAD.to_vec())).unwrap();
    assert_eq!(issuer.sign_receipt_once("a", || panic!("it is known")).unwrap(), first);
    assert_eq!(issuer.sign_receipt_once("b", || None), Err(TokenError::Signing));
    let other = issuer.sign_receipt_once("b", || Some(b"{}".to_vec())).unwrap();
    assert_eq!(issuer.open_receipt(&other, at(0)).unwrap(), b"{}");
    drop(replace_keys(&issuer, KeyRing::generate_development(Algorithm::Es256).unwrap()));
    let again = issuer.sign_receipt_once("a", || Some(PAYLOAD.to_vec())).unwrap();
    assert_ne!(again, first);
    assert_eq!(issuer.open_receipt(&again, at(0)).unwrap(), PAYLOAD);
}
