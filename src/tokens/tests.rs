//! Receipts, guardian links and the consent claim: what they say, and that no changed one is accepted.

use super::keys::{Algorithm, VerifyingKey};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const BOTH: [Algorithm; 2] = [Algorithm::EdDsa, Algorithm::Es256];
const PAYLOAD: &[u8] = b"{ \"chain\":{\"sequence\":0},\n \"purposes\":[\"collection\"]}";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
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
    let rotated = Issuer::new("https://gate.example", first.keys.rotate(fresh, at(10)).unwrap()).unwrap();
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
        let text = jws::sign(issuer.keys.current(), TYPE, &claims(consent)).unwrap();
        assert_eq!(issuer.verify(&text, &shop(), at(1)).unwrap().consent, consent);
        let payload = URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(payload.windows(9).any(|word| word == b"\"consent\""), consent.is_some());
    }
}
