//! Bearer tokens of relying parties: what is accepted, and every way in which one is refused.

use super::{BOTH, EC_PEM, NOW, at, callers, key, minutes, shop, wanted};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idgate::terms::{Purpose, Scope};
use idgate::tokens::callers::{Caller, Callers, Mint, Trust, Trusted, mint};
use idgate::tokens::keys::{Algorithm, KeyError, SigningKey, VerifyingKey, jwks};
use idgate::tokens::{MAX_TOKEN, Rejected, TokenError};
use jiff::SignedDuration;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

/// A trusted key whose private part the test holds, to sign whatever header and claims it likes.
struct Forge {
    algorithm: Algorithm,
    encoding: EncodingKey,
    kid: String,
    callers: Callers,
    key: VerifyingKey,
}

impl Forge {
    fn new(algorithm: Algorithm, trust: Trust) -> Self {
        let (key, pem) = SigningKey::generate(algorithm, false).unwrap();
        let body: Vec<u8> =
            pem.expose().split(|byte| *byte == b'\n').filter(|l| !l.starts_with(b"-")).flatten().copied().collect();
        let der = STANDARD.decode(body).unwrap();
        let encoding = match algorithm {
            Algorithm::EdDsa => EncodingKey::from_ed_der(&der),
            Algorithm::Es256 => EncodingKey::from_ec_der(&der),
            Algorithm::Rs256 => unreachable!("signs nothing"),
        };
        let key = key.public().clone();
        let callers = callers(vec![Trusted::new(key.clone(), trust)]);
        Self { algorithm, encoding, kid: key.kid().to_owned(), callers, key }
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm.as_str(), "typ": "JWT", "kid": self.kid})
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let algorithm = match self.algorithm {
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        };
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn verify(&self, header: &Value, claims: &Value) -> Result<Caller, Rejected> {
        self.callers.verify(&self.sign(&header.to_string(), &claims.to_string()), None, at(0))
    }

    /// What comes of otherwise good claims after `edit`.
    fn claims(&self, edit: impl FnOnce(&mut Value)) -> Result<Caller, Rejected> {
        let mut claims = claims();
        edit(&mut claims);
        self.verify(&self.header(), &claims)
    }
}

fn claims() -> Value {
    json!({"sub": "shop", "aud": "https://gate.example", "iat": NOW, "exp": NOW + 300, "scope": "age.check"})
}

#[test]
fn a_caller_is_known_by_its_token() {
    for algorithm in BOTH {
        let key = key(algorithm);
        let callers = callers(vec![Trusted::new(key.public().clone(), Trust::Party(shop()))]);
        let token = mint(&key, &wanted(), at(0)).unwrap();
        let caller = callers.verify(token.as_str(), None, at(0)).unwrap();
        assert_eq!(caller.relying_party, shop());
        assert_eq!(caller.scopes.iter().copied().collect::<Vec<_>>(), [Scope::AgeCheck, Scope::DocumentRead]);
        assert_eq!(caller.purposes.iter().copied().collect::<Vec<_>>(), [Purpose::DobExtraction]);
        assert_eq!((caller.expires_at, token.expires_at()), (at(300), at(300)));
        assert!(!callers.development());
    }
    assert_eq!(
        mint(&key(Algorithm::EdDsa), &Mint { ttl: SignedDuration::ZERO, ..wanted() }, at(0)).err(),
        Some(TokenError::Lifetime)
    );
}

#[test]
fn what_a_token_may_leave_out_or_add_grants_nothing() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    assert!(forge.claims(|_| {}).is_ok());
    let bare = json!({"sub": "shop", "aud": ["x", "https://gate.example"], "exp": NOW + 300});
    let caller = forge.verify(&json!({"alg": "EdDSA", "kid": forge.kid}), &bare).unwrap();
    assert!(caller.scopes.is_empty() && caller.purposes.is_empty());
    let caller = forge.claims(|c| {
        c["scope"] = "openid  age.check AGE.CHECK administrator".into();
        c["purposes"] = json!(["dob_extraction", "everything"]);
        c["azp"] = json!({"other": 1});
    });
    let caller = caller.unwrap();
    assert_eq!(caller.scopes.iter().copied().collect::<Vec<_>>(), [Scope::AgeCheck]);
    assert_eq!(caller.purposes.iter().copied().collect::<Vec<_>>(), [Purpose::DobExtraction]);
}

#[test]
fn a_partys_key_speaks_for_that_party_only_and_never_for_the_operator() {
    let forge = Forge::new(Algorithm::Es256, Trust::Party(shop()));
    assert!(forge.claims(|_| {}).is_ok());
    assert_eq!(forge.claims(|c| c["sub"] = "bank".into()), Err(Rejected::BadClaim));
    assert_eq!(forge.claims(|c| c["scope"] = "age.check admin".into()), Err(Rejected::BadClaim));
    let issuer = Forge::new(Algorithm::Es256, Trust::Issuer);
    assert!(issuer.claims(|c| c["scope"] = "admin".into()).unwrap().scopes.contains(&Scope::Admin));
}

#[test]
fn claims_that_are_missing_wrong_or_repeated_are_refused() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let without = |name: &str| forge.claims(|c| drop(c.as_object_mut().unwrap().remove(name))).unwrap_err();
    for name in ["sub", "aud", "exp"] {
        assert_eq!(without(name), Rejected::MissingClaim, "{name}");
    }
    for (name, value) in [
        ("sub", json!("a b")),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("aud", json!({})),
        ("exp", json!("1800000300")),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("nbf", json!("now")),
        ("scope", json!(["admin"])),
        ("purposes", json!("dob_extraction")),
    ] {
        assert_eq!(forge.claims(|c| c[name] = value.clone()), Err(Rejected::BadClaim), "{name}: {value}");
    }
    for aud in [json!("https://other.example"), json!([]), json!(["https://gate.example.evil"]), json!("")] {
        assert_eq!(forge.claims(|c| c["aud"] = aud.clone()), Err(Rejected::WrongAudience), "{aud}");
    }
    for name in ["sub", "aud", "exp", "scope"] {
        let twice = claims().to_string().replacen('{', &format!("{{\"{name}\":\"x\","), 1);
        let result = forge.callers.verify(&forge.sign(&forge.header().to_string(), &twice), None, at(0));
        assert_eq!(result, Err(Rejected::BadClaim), "{name} twice");
    }
    for body in ["[]", "null", "\"x\"", "{", ""] {
        let result = forge.callers.verify(&forge.sign(&forge.header().to_string(), body), None, at(0));
        assert!(matches!(result, Err(Rejected::BadClaim | Rejected::MissingClaim)), "{body}: {result:?}");
    }
}

#[test]
fn time_is_judged_to_the_second_with_a_minute_of_grace() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let with = |edit: &dyn Fn(&mut Value)| forge.claims(|c| edit(c)).err();
    let from = |c: &mut Value, start: i64| (c["iat"], c["exp"]) = (json!(start), json!(start + 300));
    assert_eq!(with(&|c| from(c, NOW - 359)), None);
    assert_eq!(with(&|c| from(c, NOW - 360)), Some(Rejected::Expired));
    assert_eq!(with(&|c| from(c, NOW + 60)), None);
    assert_eq!(with(&|c| from(c, NOW + 61)), Some(Rejected::NotYetValid));
    assert_eq!(with(&|c| c["nbf"] = json!(NOW + 60)), None);
    assert_eq!(with(&|c| c["nbf"] = json!(NOW + 61)), Some(Rejected::NotYetValid));
    assert_eq!(with(&|c| c["exp"] = json!(NOW + 3600)), None);
    assert_eq!(with(&|c| c["exp"] = json!(NOW + 3601)), Some(Rejected::LifetimeTooLong));
    assert_eq!(with(&|c| c["exp"] = json!(NOW)), Some(Rejected::BadClaim), "ends as it begins");
    // Without a stated start, what is left is what counts.
    let unstated = |c: &mut Value, left: i64| {
        c.as_object_mut().unwrap().remove("iat");
        c["exp"] = json!(NOW + left);
    };
    assert_eq!(with(&|c| unstated(c, 3600)), None);
    assert_eq!(with(&|c| unstated(c, 3601)), Some(Rejected::LifetimeTooLong));
    assert_eq!(with(&|c| unstated(c, -60)), Some(Rejected::Expired));
}

#[test]
fn no_other_algorithm_gets_in() {
    for algorithm in BOTH {
        let forge = Forge::new(algorithm, Trust::Issuer);
        let message = |header: &Value| {
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()))
        };
        let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": forge.kid});
        for none in ["none", "None", "NONE", ""] {
            let token = format!("{}.", message(&header(none)));
            assert_eq!(forge.callers.verify(&token, None, at(0)), Err(Rejected::WrongAlgorithm), "{none:?}");
        }
        // HMAC with what everybody knows: the public key, as its raw bytes and as it is published.
        let published = jwks([&forge.key]);
        let document: Value = serde_json::from_str(&published).unwrap();
        let x = document["keys"][0]["x"].as_str().unwrap().to_owned();
        for secret in [URL_SAFE_NO_PAD.decode(&x).unwrap(), x.into_bytes(), published.into_bytes()] {
            for hmac in [jsonwebtoken::Algorithm::HS256, jsonwebtoken::Algorithm::HS384, jsonwebtoken::Algorithm::HS512]
            {
                let mut head = Header::new(hmac);
                head.kid = Some(forge.kid.clone());
                let token = jsonwebtoken::encode(&head, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
                assert_eq!(forge.callers.verify(&token, None, at(0)), Err(Rejected::WrongAlgorithm));
            }
        }
        // A good signature of the key, under the name of another algorithm.
        for other in ["EdDSA", "ES256", "ES384", "RS256", "PS256", "HS256", "eddsa", "Ed25519", "nonsense"] {
            if other != algorithm.as_str() {
                assert_eq!(forge.verify(&header(other), &claims()), Err(Rejected::WrongAlgorithm), "{other}");
            }
        }
        // A good signature of another key of the same kind.
        let stranger = Forge::new(algorithm, Trust::Issuer);
        let token = stranger.sign(&forge.header().to_string(), &claims().to_string());
        assert_eq!(forge.callers.verify(&token, None, at(0)), Err(Rejected::BadSignature));
    }
}

#[test]
fn a_key_id_is_a_name_and_nothing_else() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let long = "A".repeat(5000);
    let near =
        [forge.kid.to_lowercase(), forge.kid[1..].to_owned(), format!("{} ", forge.kid), format!("dev-{}", forge.kid)];
    let hostile =
        ["", "../../etc/passwd", "/dev/null", "file:///etc/passwd", "' OR '1'='1", "x\u{0}", "*", "키", &long];
    for kid in near.iter().map(String::as_str).chain(hostile) {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
        assert_eq!(forge.verify(&header, &claims()), Err(Rejected::UnknownKey), "{kid:?}");
    }
    assert_eq!(forge.verify(&json!({"alg": "EdDSA", "typ": "JWT"}), &claims()), Err(Rejected::UnknownKey));
    assert_eq!(forge.verify(&json!({"alg": "EdDSA", "kid": 7}), &claims()), Err(Rejected::Malformed));
}

#[test]
fn a_header_brings_no_keys_and_no_extensions() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let jwk: Value = serde_json::from_str::<Value>(&jwks([&forge.key])).unwrap()["keys"][0].clone();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        let mut header = forge.header();
        header[name] = value;
        assert_eq!(forge.verify(&header, &claims()), Err(Rejected::Malformed), "{name}");
    }
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, forge.kid);
    assert_eq!(forge.callers.verify(&forge.sign(&twice, &claims().to_string()), None, at(0)), Err(Rejected::Malformed));
    let mut harmless = forge.header();
    harmless["x5t"] = "AAAA".into();
    assert!(forge.verify(&harmless, &claims()).is_ok());
    let mut other = forge.header();
    other["typ"] = "consent+jwt".into();
    assert_eq!(forge.verify(&other, &claims()), Err(Rejected::WrongType));
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let mut long = claims();
    long["pad"] = "x".repeat(MAX_TOKEN).into();
    assert_eq!(forge.verify(&forge.header(), &long), Err(Rejected::TooLarge));
    assert_eq!(forge.callers.verify(&"a".repeat(1 << 20), None, at(0)), Err(Rejected::TooLarge));
}

#[test]
fn no_byte_of_a_token_can_be_changed_or_left_out() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let token = forge.sign(&forge.header().to_string(), &claims().to_string());
    assert!(forge.callers.verify(&token, None, at(0)).is_ok());
    for i in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(forge.callers.verify(&changed, None, at(0)).is_err(), "byte {i} changed");
        assert!(forge.callers.verify(&token[..i], None, at(0)).is_err(), "cut at {i}");
    }
}

#[test]
fn trusted_keys_are_loaded_from_pem_and_jwks_files() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key = key(Algorithm::Es256);
    let trusted = Trusted::load(&write("keys.json", &jwks([key.public()])), &Trust::Issuer).unwrap();
    let token = mint(&key, &wanted(), at(0)).unwrap();
    assert!(callers(trusted.clone()).verify(token.as_str(), None, at(0)).is_ok());
    assert_eq!(Trusted::load(&write("key.pem", EC_PEM), &Trust::Issuer).unwrap().len(), 1);
    assert_eq!(Trusted::load(&write("bad.json", "{}"), &Trust::Issuer).err(), Some(KeyError::Malformed));
    assert!(matches!(Trusted::load(&home.path().join("missing"), &Trust::Issuer), Err(KeyError::File(_))));
    let twice = [trusted.clone(), trusted].concat();
    assert!(matches!(Callers::new("x", minutes(1), twice), Err(KeyError::Duplicate)));
}

#[test]
fn no_rejection_repeats_what_was_sent() {
    let forge = Forge::new(Algorithm::EdDsa, Trust::Issuer);
    let error = forge.claims(|c| c["sub"] = "900101-1 canary".into()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}
