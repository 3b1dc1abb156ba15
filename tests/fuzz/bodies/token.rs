//! Tokens: bearer tokens, age tokens, guardian links, rights proofs, receipts. `R` is any text; `C` is claims that are
//! rightly signed under a right header; `H` is a header of the input's own over claims, rightly signed. What is accepted
//! must hold by a check that shares no code with the program's.

use super::input::Input;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idgate::secret::Sensitive;
use idgate::terms::RelyingParty;
use idgate::tokens::callers::{Callers, Trust, Trusted};
use idgate::tokens::keys::{KeyRing, SigningKey, VerifyingKey};
use idgate::tokens::{Issuer, MAX_TOKEN, disposal, receipts};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::LazyLock;

/// The key of RFC 8410, 10.3: published, and good for nothing else.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
/// When it is now.
pub const NOW: i64 = 1_800_000_000;
/// The types, in the order of [`accepted`].
const TYPES: [&str; 6] =
    ["JWT", "age+jwt", "guardian-link+jwt", "rights+jwt", "consent-receipt+jwt", "idgate-disposal+jwt"];

struct Fixture {
    issuer: Issuer,
    key: VerifyingKey,
    callers: Callers,
    pair: Ed25519KeyPair,
    kid: String,
    shop: RelyingParty,
    now: Timestamp,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let der = STANDARD.decode(KEY).unwrap();
    let key = || {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n");
        SigningKey::from_pem(&Sensitive::new(pem.into_bytes()), false).unwrap()
    };
    let trusted = vec![Trusted::new(key().public().clone(), Trust::Issuer)];
    Fixture {
        callers: Callers::new("idgate", SignedDuration::from_hours(24), trusted).unwrap(),
        key: key().public().clone(),
        kid: key().public().kid().to_owned(),
        issuer: Issuer::new("idgate", KeyRing::new(key(), None, Vec::new()).unwrap()).unwrap(),
        pair: Ed25519KeyPair::from_pkcs8(&der).unwrap(),
        shop: "shop".parse().unwrap(),
        now: Timestamp::from_second(NOW).unwrap(),
    }
});

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() {
        b'R' => {
            let text = String::from_utf8_lossy(input.0);
            judge(&text);
        }
        b'C' => {
            let typ = TYPES[usize::from(input.byte().wrapping_sub(b'0')) % TYPES.len()];
            let header = format!("{{\"typ\":\"{typ}\",\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", FIXTURE.kid);
            judge(&signed(header.as_bytes(), input.0));
        }
        b'H' => {
            let header = input.line().unwrap_or_default();
            // `KID` stands for the name of the key, which the input need not guess.
            let header = String::from_utf8_lossy(header).replace("KID", &FIXTURE.kid);
            judge(&signed(header.as_bytes(), input.0));
        }
        _ => {}
    }
}

/// A token over this header and these claims, as bytes.
pub fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = FIXTURE.pair.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// The types that take a token. No two take the same.
fn accepted(text: &str) -> Vec<&'static str> {
    let Fixture { issuer, callers, shop, now, key, .. } = &*FIXTURE;
    let taken = [
        callers.verify(text, None, *now).is_ok(),
        issuer.verify(text, shop, *now).is_ok(),
        issuer.open_link(text, shop, *now).is_ok(),
        issuer.open_rights(text, shop, *now).is_ok(),
        issuer.open_receipt(text, *now).is_ok(),
        disposal::open(text, [key]).is_ok(),
    ];
    let again = callers.verify(text, None, *now).is_ok();
    assert_eq!(again, taken[0], "the second look at a token differs from the first");
    TYPES.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(typ, _)| typ).collect()
}

fn judge(text: &str) {
    let taken = accepted(text);
    assert!(taken.len() <= 1, "taken for two things: {taken:?}");
    let stated = receipts::looks_like_one(text);
    let Some(typ) = taken.first() else { return };
    let (message, signature) = text.rsplit_once('.').expect("a signed token has parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("a signature is base64url");
    let public = UnparsedPublicKey::new(&ED25519, FIXTURE.pair.public_key().as_ref());
    assert!(public.verify(message.as_bytes(), &signature).is_ok(), "taken with a signature that does not hold");
    let (header, claims) = message.split_once('.').expect("a signed token has three parts");
    let json = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let header = json(header).expect("a header is JSON");
    assert!(header["alg"] == "EdDSA" && header["kid"] == FIXTURE.kid.as_str(), "taken under another key");
    for member in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"] {
        assert!(header.get(member).is_none(), "taken with the member {member}");
    }
    if *typ == "consent-receipt+jwt" {
        assert!(stated);
        return;
    }
    if *typ == "idgate-disposal+jwt" {
        return; // for whoever holds it, without an end
    }
    assert!(text.len() <= MAX_TOKEN && (*typ == "JWT" || header["typ"] == *typ), "taken as {typ}");
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("claims are text");
    // Claims that are passed over may hold what this reader refuses: numbers without end, halves of characters.
    let Ok(claims) = serde_json::from_str::<Value>(&text) else { return };
    let audience = if *typ == "JWT" { "idgate" } else { "shop" };
    let named = match &claims["aud"] {
        Value::Array(names) => names.iter().any(|name| name == audience),
        name => name == audience,
    };
    assert!(named, "taken for another audience");
    let expires = claims["exp"].as_i64().expect("an end");
    assert!(expires > NOW - 61, "taken after its end");
    assert!(claims["nbf"].as_i64().is_none_or(|from| from <= NOW + 61), "taken before its time");
}
