//! Tokens as others meet them: what an age token says, and how keys are kept and rotated. Bearer tokens: [`bearer`].

mod bearer;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idgate::policy::{Decision, Grant};
use idgate::terms::{DecisionId, Purpose, RelyingParty, Scope};
use idgate::tokens::callers::{Callers, Mint, Trust, Trusted, mint};
use idgate::tokens::keys::{Algorithm, KeyError, KeyRing, SigningKey, VerifyingKey, jwks};
use idgate::tokens::{Audience, Issuer, MAX_LIFETIME, MAX_LINK_LIFETIME, Rejected, TokenError, files};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const BOTH: [Algorithm; 2] = [Algorithm::EdDsa, Algorithm::Es256];

/// A P-256 public key as `openssl pkey -pubout` writes it.
const EC_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEjWGgTAYKzsErZxQD92zzIO8m8hNr\n\
    IqWokOY/UxwchFfJmjR5Bm92pVvHmRByldvhGWWRXw85m67Hp6UtFaAEWQ==\n-----END PUBLIC KEY-----\n";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm, false).unwrap().0
}

fn callers(trusted: Vec<Trusted>) -> Callers {
    Callers::new("https://gate.example", SignedDuration::from_hours(1), trusted).unwrap()
}

fn wanted() -> Mint {
    Mint {
        relying_party: shop(),
        audience: "https://gate.example".into(),
        scopes: vec![Scope::AgeCheck, Scope::DocumentRead],
        purposes: vec![Purpose::DobExtraction],
        ttl: minutes(5),
    }
}

fn grant() -> Grant {
    let digest = "09".repeat(32);
    let decision: Decision = serde_json::from_value(json!({
        "outcome": {"kind": "allowed"}, "rule": "kr/signup", "rows": [], "citations": [], "policy": digest,
        "jurisdiction": "KR", "purpose": "signup", "assurance": "checked", "document": "td3", "signals": [],
        "thresholds": [{"years": 14, "reached": true}, {"years": 19, "reached": false}], "steps": [],
        "keeps_nothing": false
    }))
    .unwrap();
    decision.grant().unwrap()
}

fn audience() -> Audience {
    Audience { relying_party: "shop".parse().unwrap(), subject: "user-42".parse().unwrap() }
}

fn decision() -> DecisionId {
    DecisionId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

fn issuer(algorithm: Algorithm) -> Issuer {
    Issuer::new("https://gate.example", KeyRing::generate_development(algorithm).unwrap()).unwrap()
}

fn shop() -> RelyingParty {
    "shop".parse().unwrap()
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[test]
fn an_age_token_says_this_and_nothing_more() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue(grant(), &audience(), decision(), at(0), minutes(10)).unwrap();
        assert_eq!(
            part(token.as_str(), 1),
            json!({
                "iss": "https://gate.example", "aud": "shop", "sub": "user-42",
                "jti": "01900000-0000-7000-8000-000000000001", "iat": NOW, "exp": NOW + 600,
                "assurance": "checked", "jurisdiction": "KR", "policy": "09".repeat(32), "rule": "kr/signup",
                "age_over_14": true, "age_over_19": false
            })
        );
        let header = part(token.as_str(), 0);
        let keys: Vec<&str> = header.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["alg", "kid", "typ"]);
        assert_eq!((&header["alg"], &header["typ"]), (&algorithm.as_str().into(), &"age+jwt".into()));
        assert_eq!(token.expires_at(), at(600));
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}

#[test]
fn the_same_decision_gives_the_same_claims_again() {
    let issuer = issuer(Algorithm::Es256);
    let issue = || issuer.issue(grant(), &audience(), decision(), at(0), minutes(10)).unwrap();
    assert_eq!(part(issue().as_str(), 1), part(issue().as_str(), 1));
}

#[test]
fn an_age_token_is_verified_for_its_issuer_its_audience_and_its_time() {
    for algorithm in BOTH {
        let (_, pem) = SigningKey::generate(algorithm, false).unwrap();
        let ring = |pem| KeyRing::new(SigningKey::from_pem(pem, false).unwrap(), None, vec![]).unwrap();
        let issuer = Issuer::new("https://gate.example", ring(&pem)).unwrap();
        let token = issuer.issue(grant(), &audience(), decision(), at(0), minutes(10)).unwrap();
        let claims = issuer.verify(token.as_str(), &shop(), at(1)).unwrap();
        assert_eq!((claims.audience, claims.decision), (audience(), decision()));
        assert_eq!(claims.age_over.into_iter().collect::<Vec<_>>(), [(14, true), (19, false)]);
        assert_eq!((claims.issued_at, claims.expires_at), (at(0), at(600)));

        let verify = |second| issuer.verify(token.as_str(), &shop(), at(second)).err();
        assert_eq!((verify(659), verify(660)), (None, Some(Rejected::Expired)));
        assert_eq!((verify(-60), verify(-61)), (None, Some(Rejected::NotYetValid)));
        let other = issuer.verify(token.as_str(), &"other".parse().unwrap(), at(1));
        assert_eq!(other.unwrap_err(), Rejected::WrongAudience);
        let namesake = Issuer::new("https://other.example", ring(&pem)).unwrap();
        assert_eq!(namesake.verify(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::WrongIssuer);
        let stranger = self::issuer(algorithm);
        assert_eq!(stranger.verify(token.as_str(), &shop(), at(1)).unwrap_err(), Rejected::UnknownKey);
    }
}

#[test]
fn a_changed_age_token_does_not_hold() {
    for algorithm in BOTH {
        let issuer = issuer(algorithm);
        let token = issuer.issue(grant(), &audience(), decision(), at(0), minutes(10)).unwrap();
        let [head, body, signature] = <[&str; 3]>::try_from(token.as_str().split('.').collect::<Vec<_>>()).unwrap();
        let mut claims = part(token.as_str(), 1);
        claims["age_over_19"] = true.into();
        let forged = URL_SAFE_NO_PAD.encode(claims.to_string());
        let verify = |token: String| issuer.verify(&token, &shop(), at(1)).unwrap_err();
        assert_eq!(verify(format!("{head}.{forged}.{signature}")), Rejected::BadSignature);
        assert_eq!(verify(format!("{head}.{body}.")), Rejected::BadSignature);
        for broken in [format!("{head}.{body}"), String::new(), "..".into(), format!("{}.x", token.as_str())] {
            assert_eq!(verify(broken), Rejected::Malformed);
        }
    }
}

#[test]
fn a_token_lives_between_a_second_and_a_day() {
    let issuer = issuer(Algorithm::EdDsa);
    let issue = |ttl| issuer.issue(grant(), &audience(), decision(), at(0), ttl).map(drop);
    assert_eq!(issue(SignedDuration::ZERO), Err(TokenError::Lifetime));
    assert_eq!(issue(SignedDuration::from_millis(900)), Err(TokenError::Lifetime));
    assert_eq!(issue(MAX_LIFETIME + SignedDuration::from_secs(1)), Err(TokenError::Lifetime));
    assert_eq!(issue(MAX_LIFETIME), Ok(()));
    assert_eq!(
        Issuer::new("a b", KeyRing::generate_development(Algorithm::EdDsa).unwrap()).err(),
        Some(TokenError::Name)
    );
}

#[test]
fn an_age_token_is_no_bearer_token_and_the_other_way_round() {
    // Even where one key serves both, which no settings should do.
    let (key, pem) = SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let same = SigningKey::from_pem(&pem, false).unwrap();
    let callers = callers(vec![Trusted::new(key.public().clone(), Trust::Issuer)]);
    let bearer = mint(&key, &wanted(), at(0)).unwrap();
    let issuer = Issuer::new("https://gate.example", KeyRing::new(same, None, vec![]).unwrap()).unwrap();
    let age = issuer.issue(grant(), &audience(), decision(), at(0), minutes(10)).unwrap();
    assert_eq!(callers.verify(age.as_str(), None, at(0)), Err(Rejected::WrongType));
    assert_eq!(issuer.verify(bearer.as_str(), &shop(), at(0)).unwrap_err(), Rejected::WrongType);
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638_and_8037() {
    // RFC 8037, appendix A.2 and A.3.
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let keys = VerifyingKey::from_jwks(jwk.to_string().as_bytes()).unwrap();
    assert_eq!(keys[0].kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_jwks_document_has_public_parts_only_and_reads_back() {
    for algorithm in BOTH {
        let ring = KeyRing::generate_development(algorithm).unwrap();
        let text = jwks(ring.verifying(at(0)));
        let document: Value = serde_json::from_str(&text).unwrap();
        for key in document["keys"].as_array().unwrap() {
            let allowed = ["alg", "crv", "kid", "kty", "use", "x", "y"];
            assert!(key.as_object().unwrap().keys().all(|member| allowed.contains(&member.as_str())), "{key}");
            assert!(key["kid"].as_str().unwrap().starts_with("dev-"));
        }
        let back = VerifyingKey::from_jwks(text.as_bytes()).unwrap();
        let kids: Vec<&str> = back.iter().map(VerifyingKey::kid).collect();
        assert_eq!(kids, ring.verifying(at(0)).map(VerifyingKey::kid).collect::<Vec<_>>());
        assert!(back.iter().all(VerifyingKey::development));
    }
}

#[test]
fn keys_that_must_not_be_trusted_are_refused() {
    let read = |value: Value| VerifyingKey::from_jwks(value.to_string().as_bytes()).map(|keys| keys.len());
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    assert_eq!(read(json!({"kty": "OKP", "crv": "Ed25519", "x": x, "d": x})), Err(KeyError::PrivateInPublic));
    assert_eq!(read(json!({"keys": [good, {"kty": "oct", "k": "AAAA"}]})), Err(KeyError::PrivateInPublic));
    assert_eq!(
        read(json!({"kty": "EC", "crv": "P-256", "x": x, "y": x})),
        Err(KeyError::Malformed),
        "not on the curve"
    );
    assert_eq!(read(json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})), Err(KeyError::Malformed));
    assert_eq!(
        read(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"})),
        Err(KeyError::Malformed),
        "none that can be used"
    );
    assert_eq!(read(json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "ES256"})), Err(KeyError::Malformed));
    assert_eq!(read(json!({"kty": "OKP", "crv": "Ed25519", "x": x, "use": "enc"})), Err(KeyError::Malformed));
    assert_eq!(read(json!({"keys": []})), Err(KeyError::Malformed));
    assert_eq!(read(json!({"keys": [good, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]})), Ok(1));
    let (_, pem) = SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    assert_eq!(VerifyingKey::from_pem(pem.expose()).err(), Some(KeyError::PrivateInPublic));
    assert_eq!(VerifyingKey::from_pem(b"").err(), Some(KeyError::Malformed));
}

#[test]
fn public_keys_that_openssl_wrote_are_read() {
    // `openssl pkey -pubout`; the first is the key of RFC 8410, section 10.1.
    let ed = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(VerifyingKey::from_pem(ed.as_bytes()).unwrap().algorithm(), Algorithm::EdDsa);
    assert_eq!(VerifyingKey::from_pem(EC_PEM.as_bytes()).unwrap().algorithm(), Algorithm::Es256);
}

#[test]
fn a_directory_of_keys_rotates_and_old_tokens_hold_until_they_end() {
    for algorithm in BOTH {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("keys");
        let issuer = |ring| Issuer::new("https://gate.example", ring).unwrap();
        let first = files::create(&directory, algorithm, false).unwrap();
        assert!(!first.development());
        assert_eq!(files::create(&directory, algorithm, false).err(), Some(KeyError::Occupied));
        let published: Vec<String> = first.verifying(at(0)).map(|key| key.kid().to_owned()).collect();
        let old = issuer(first).issue(grant(), &audience(), decision(), at(0), MAX_LIFETIME).unwrap();
        assert_eq!(part(old.as_str(), 0)["kid"], published[0].as_str());

        let rotated = files::rotate(&directory, at(0)).unwrap();
        assert_eq!(rotated.current().public().kid(), published[1], "the key that was announced signs now");
        let kids = |second| files::load(&directory).unwrap().verifying(at(second)).count();
        let (end, day) = (MAX_LINK_LIFETIME.as_secs() + 120, MAX_LIFETIME.as_secs());
        assert_eq!((kids(0), kids(end - 1), kids(end)), (3, 3, 2));
        let reloaded = issuer(files::load(&directory).unwrap());
        assert!(reloaded.verify(old.as_str(), &shop(), at(day + 59)).is_ok());
        assert_eq!(reloaded.verify(old.as_str(), &shop(), at(end)).unwrap_err(), Rejected::UnknownKey);

        files::rotate(&directory, at(end)).unwrap();
        let names = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let retired: Vec<String> = names.filter(|name| name.starts_with("retired-")).collect();
        assert_eq!(retired, [format!("retired-{}.json", published[1])], "what has ended is removed");
        for name in retired {
            assert!(!std::fs::read_to_string(directory.join(name)).unwrap().contains("\"d\""));
        }
    }
}

#[test]
fn a_rotation_that_was_cut_off_leaves_a_ring_that_works() {
    let home = tempfile::tempdir().unwrap();
    let ring = files::create(home.path(), Algorithm::EdDsa, false).unwrap();
    let (signing, next) = (home.path().join("current.pem"), home.path().join("next.pem"));
    let kid = ring.current().public().kid().to_owned();
    let before = std::fs::read(&signing).unwrap();
    files::rotate(home.path(), at(0)).unwrap();
    // Cut off after the key was retired, before the next one took its place.
    std::fs::write(&signing, before).unwrap();
    let ring = files::load(home.path()).unwrap();
    assert_eq!((ring.current().public().kid(), ring.verifying(at(0)).count()), (kid.as_str(), 2));
    // Cut off before a new next key was made.
    std::fs::rename(&next, &signing).unwrap();
    let ring = files::load(home.path()).unwrap();
    let signs = ring.current().public().kid().to_owned();
    assert_eq!(ring.verifying(at(0)).count(), 2);
    let ring = files::rotate(home.path(), at(1)).unwrap();
    assert_eq!((ring.current().public().kid(), ring.verifying(at(1)).count()), (signs.as_str(), 3), "finishes first");
}

#[cfg(unix)]
#[test]
fn a_private_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    files::create(home.path(), Algorithm::Es256, false).unwrap();
    let path = home.path().join("current.pem");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(files::load(home.path()).err(), Some(KeyError::Permissions));
}

#[test]
fn development_keys_stay_marked_and_do_not_mix() {
    let home = tempfile::tempdir().unwrap();
    assert!(files::create(home.path(), Algorithm::EdDsa, true).unwrap().development());
    let ring = files::rotate(home.path(), at(0)).unwrap();
    assert!(ring.development() && ring.verifying(at(0)).all(VerifyingKey::development));
    assert_eq!(files::create(home.path(), Algorithm::EdDsa, false).err(), Some(KeyError::Occupied));
    let (production, _) = SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let (development, _) = SigningKey::generate(Algorithm::EdDsa, true).unwrap();
    assert_eq!(KeyRing::new(production, Some(development), vec![]).err(), Some(KeyError::Occupied));
    let path = home.path().join("dev-caller.pem");
    files::create_key(&path, Algorithm::EdDsa).unwrap();
    assert_eq!(files::create_key(&path, Algorithm::EdDsa).err(), Some(KeyError::Occupied));
    let trusted = Trusted::new(files::load_key(&path).unwrap().public().clone(), Trust::Issuer);
    assert!(callers(vec![trusted]).development());
}

#[test]
fn private_keys_are_never_shown() {
    let (key, pem) = SigningKey::generate(Algorithm::EdDsa, false).unwrap();
    let shown = format!("{key:?} {pem:?} {:?}", KeyRing::new(self::key(Algorithm::EdDsa), None, vec![]).unwrap());
    let body = pem.expose().split(|byte| *byte == b'\n').nth(1).unwrap();
    assert!(!shown.contains(std::str::from_utf8(body).unwrap()));
    assert!(shown.contains(key.public().kid()));
}
