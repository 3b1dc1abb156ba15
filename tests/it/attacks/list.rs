//! What is tried at each RPC.

use super::forge::{Forge, Key};
use crate::support::SHOP;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idgate::terms::{Purpose, Scope};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tonic::Code;

/// Tokens that the server itself gave somebody.
pub struct Own {
    pub age: String,
    pub link: String,
    pub receipt: String,
    pub proof: String,
}

pub struct Attack {
    /// The row of the table.
    pub kind: &'static str,
    pub name: String,
    pub headers: Vec<(String, String)>,
    /// How it must be refused.
    pub code: Code,
}

/// Collects attacks on one RPC.
struct List<'a> {
    forge: &'a Forge,
    good: Value,
    all: Vec<Attack>,
}

impl List<'_> {
    fn headers(&mut self, kind: &'static str, name: impl ToString, headers: &[(&str, &str)], code: Code) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.all.push(Attack { kind, name: name.to_string(), headers, code });
    }

    fn authorization(&mut self, kind: &'static str, value: &str) {
        self.headers(kind, value.get(..24).unwrap_or(value), &[("authorization", value)], Code::Unauthenticated);
    }

    fn token(&mut self, kind: &'static str, name: impl ToString, token: &str) {
        self.headers(kind, name, &[("authorization", &format!("Bearer {token}"))], Code::Unauthenticated);
    }

    /// A token of a trusted key with other claims.
    fn claims(&mut self, kind: &'static str, edit: impl Fn(&mut Value), name: impl ToString) {
        let mut claims = self.good.clone();
        edit(&mut claims);
        let token = self.forge.signed("own", &claims);
        self.token(kind, name, &token);
    }

    /// A token with good claims and another header, signed by a trusted key nevertheless.
    fn header(&mut self, kind: &'static str, key: &str, edit: impl Fn(&mut Value), name: impl ToString) {
        let key = self.forge.key(key);
        let mut header = key.header();
        edit(&mut header);
        let token = key.token(&header.to_string(), &self.good.to_string());
        self.token(kind, name, &token);
    }
}

fn hmac(header: &str, claims: &str, secret: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm);
    format!("{message}.{}", signature.unwrap())
}

/// A fixed-size ECDSA signature as DER, in which other libraries write it.
fn in_der(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let half = &half[half.iter().position(|byte| *byte != 0).unwrap_or(31)..];
        let pad = if half[0] & 0x80 != 0 { &[0u8][..] } else { &[] };
        [&[2, u8::try_from(half.len() + pad.len()).unwrap()], pad, half].concat()
    };
    let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()][..], &both].concat()
}

pub fn attacks(
    forge: &Forge,
    own: &Own,
    scope: Scope,
    purpose: Option<Purpose>,
    elsewhere: &str,
    foreign: &str,
) -> Vec<Attack> {
    let good = forge.claims(SHOP, scope, purpose);
    let mut list = List { forge, good, all: Vec::new() };
    without(&mut list);
    claims(&mut list, scope, purpose);
    algorithms(&mut list);
    names_of_keys(&mut list, elsewhere);
    headers(&mut list, elsewhere);
    shapes(&mut list);
    of_others(&mut list, own, foreign);
    list.all
}

fn without(list: &mut List<'_>) {
    let good = list.forge.signed("own", &list.good);
    list.headers("no token", "none", &[], Code::Unauthenticated);
    for value in ["", "Bearer", "Bearer ", "bearer", "null", "undefined"] {
        list.authorization("empty token", value);
    }
    for scheme in ["Basic", "Digest", "Token", "JWT", "DPoP", "Bearer:", "Bearer\t", "MAC"] {
        list.authorization("another scheme", &format!("{scheme} {good}"));
    }
    list.authorization("another scheme", &good);
    list.authorization("another scheme", &format!("Bearer Bearer {good}"));
    for two in [format!("Bearer {good}, Bearer {good}"), format!("Bearer {good},"), format!("Bearer  {good}")] {
        list.authorization("two tokens in one header", &two);
    }
    let one = format!("Bearer {good}");
    for second in [one.as_str(), "Bearer x", "", "Basic c2hvcDpzaG9w"] {
        let both = [("authorization", one.as_str()), ("authorization", second)];
        list.headers("two authorization headers", second, &both, Code::Unauthenticated);
    }
    for name in ["x-authorization", "x-forwarded-authorization", "proxy-authorization", "cookie", "x-forwarded-user"] {
        list.headers("a token in another header", name, &[(name, &one)], Code::Unauthenticated);
    }
}

fn claims(list: &mut List<'_>, scope: Scope, purpose: Option<Purpose>) {
    let now = jiff::Timestamp::now().as_second();
    for aud in
        [json!("another"), json!("idgate2"), json!("IDGATE"), json!(["another"]), json!([]), json!("*"), json!(7)]
    {
        list.claims("wrong audience", |c| c["aud"] = aud.clone(), &aud);
    }
    for name in ["aud", "sub", "exp"] {
        list.claims("a required claim missing", |c| drop(c.as_object_mut().unwrap().remove(name)), name);
    }
    for sub in [json!(""), json!("a b"), json!("shop\u{0}"), json!(null), json!(["shop"]), json!("x".repeat(300))] {
        list.claims("no possible relying party", |c| c["sub"] = sub.clone(), &sub);
    }
    for (exp, name) in [(now - 31, "now"), (now - 3600, "an hour"), (0, "1970"), (-1, "before 1970")] {
        list.claims("expired", |c| (c["iat"], c["exp"]) = (json!(exp - 600), json!(exp)), name);
    }
    for exp in [json!("9999999999"), json!(1e300), json!(i64::MAX), json!(null), json!(true)] {
        list.claims("an end that is none", |c| c["exp"] = exp.clone(), &exp);
    }
    list.claims("not yet valid", |c| c["nbf"] = json!(now + 60), "nbf in a minute");
    list.claims("not yet valid", |c| (c["iat"], c["exp"]) = (json!(now + 60), json!(now + 600)), "iat in a minute");
    list.claims("not yet valid", |c| c["nbf"] = json!(i64::MAX), "nbf at the end of time");
    list.claims("lives too long", |c| c["exp"] = json!(now + 86_500), "a day and more");
    list.claims("lives too long", |c| (c["iat"], c["exp"]) = (json!(0), json!(now + 60)), "since 1970");
    let mut tell = |kind, claims: &Value, name: &str| {
        let token = list.forge.signed("own", claims);
        list.headers(kind, name, &[("authorization", &format!("Bearer {token}"))], Code::PermissionDenied);
    };
    for other in Scope::ALL.iter().filter(|other| **other != scope) {
        let claims = json!({"sub": SHOP, "aud": "idgate", "iat": now, "exp": now + 600, "scope": other.as_str(),
            "purposes": Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>()});
        tell("another scope", &claims, other.as_str());
    }
    for text in
        [String::new(), scope.as_str().to_uppercase(), format!("{scope}."), format!("{scope},x"), "*".to_owned()]
    {
        let claims = json!({"sub": SHOP, "aud": "idgate", "iat": now, "exp": now + 600, "scope": text});
        tell("no scope, or almost the scope", &claims, &text);
    }
    if purpose.is_some() {
        let claims = json!({"sub": SHOP, "aud": "idgate", "iat": now, "exp": now + 600, "scope": scope.as_str()});
        tell("no purpose", &claims, "");
    }
}

fn algorithms(list: &mut List<'_>) {
    let claims = list.good.to_string();
    let keys = ["own", "ec", "rsa"];
    for name in keys {
        let key = list.forge.key(name);
        for none in ["none", "None", "NONE", "nOnE", "", "none\u{0}", "null"] {
            let header = json!({"alg": none, "typ": "JWT", "kid": key.kid()}).to_string();
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(&claims));
            let kind = "alg none";
            list.token(kind, format!("{name} {none}, nothing"), &format!("{message}."));
            list.token(kind, format!("{name} {none}, no dot"), &message);
            list.token(kind, format!("{name} {none}, signed"), &key.token(&header, &claims));
        }
        for (algorithm, alg) in [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")]
        {
            let header = json!({"alg": alg, "typ": "JWT", "kid": key.kid()}).to_string();
            for (form, secret) in key.public_forms().into_iter().enumerate() {
                let kind = "HMAC with the public key as the secret";
                list.token(kind, format!("{name} {alg} {form}"), &hmac(&header, &claims, &secret, algorithm));
            }
            list.token("HMAC with no secret", format!("{name} {alg}"), &hmac(&header, &claims, b"", algorithm));
        }
        // A signature that holds, under the name of another algorithm, of one key or of another.
        for alg in
            ["EdDSA", "ES256", "RS256", "ES384", "ES512", "RS384", "RS512", "PS256", "PS512", "ES256K", "Ed25519"]
        {
            if alg != key.alg() {
                list.header(
                    "another algorithm than the key's",
                    name,
                    |h| h["alg"] = alg.into(),
                    format!("{name} {alg}"),
                );
            }
        }
        for other in keys.iter().filter(|other| **other != name) {
            let other = list.forge.key(other);
            let header = json!({"alg": other.alg(), "typ": "JWT", "kid": key.kid()}).to_string();
            list.token("the name of another key", format!("{} as {name}", other.alg()), &other.token(&header, &claims));
            let header = json!({"alg": key.alg(), "typ": "JWT", "kid": key.kid()}).to_string();
            list.token("the name of another key", format!("{name} by {}", other.alg()), &other.token(&header, &claims));
        }
    }
    let stranger = Key::generate(idgate::tokens::keys::Algorithm::EdDsa);
    let header = list.forge.key("own").header().to_string();
    list.token("the name of another key", "a stranger's signature", &stranger.token(&header, &claims));
}

fn names_of_keys(list: &mut List<'_>, elsewhere: &str) {
    let kid = list.forge.key("own").kid().to_owned();
    let hostile = [
        String::new(),
        "../../../../dev/null".to_owned(),
        "/dev/null".to_owned(),
        "/proc/self/environ".to_owned(),
        "C:\\Windows\\win.ini".to_owned(),
        "file:///dev/null".to_owned(),
        elsewhere.to_owned(),
        format!("{elsewhere}#{kid}"),
        "' OR '1'='1".to_owned(),
        "x' UNION SELECT 'c2VjcmV0".to_owned(),
        "*".to_owned(),
        "$(id)".to_owned(),
        "${jndi:ldap://127.0.0.1/x}".to_owned(),
        format!("{kid}\u{0}"),
        format!("{kid} "),
        format!("{kid}/"),
        kid.to_lowercase(),
        kid[1..].to_owned(),
        kid[..20].to_owned(),
        "\r\nx: y".to_owned(),
        "A".repeat(4000),
        "키".to_owned(),
    ];
    for name in hostile {
        let short: String = name.chars().take(30).collect();
        list.header("a hostile key name", "own", |h| h["kid"] = name.clone().into(), format!("signed {short}"));
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": name}).to_string();
        let token = hmac(&header, &list.good.to_string(), b"", Algorithm::HS256);
        list.token("a hostile key name", format!("empty secret {short}"), &token);
    }
    for value in [json!(null), json!(0), json!([kid]), json!({"kid": kid})] {
        list.header("no key name", "own", |h| h["kid"] = value.clone(), &value);
    }
    list.header("no key name", "own", |h| drop(h.as_object_mut().unwrap().remove("kid")), "left out");
    let stranger = list.forge.key("stranger");
    let token = stranger.token(&stranger.header().to_string(), &list.good.to_string());
    list.token("a key that nobody trusts", "stranger", &token);
}

fn headers(list: &mut List<'_>, elsewhere: &str) {
    let stranger = list.forge.key("stranger");
    let trusted = list.forge.key("own").kid().to_owned();
    let kind = "a header that brings a key";
    for kid in [stranger.kid(), &trusted] {
        for (name, value) in [
            ("jwk", stranger.jwk()),
            ("jku", json!(elsewhere)),
            ("x5u", json!(elsewhere)),
            ("x5c", json!([STANDARD.encode(b"no certificate")])),
        ] {
            let mut header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
            header[name] = value;
            let token = stranger.token(&header.to_string(), &list.good.to_string());
            list.token(kind, format!("{name}, kid {kid}"), &token);
        }
    }
    for (name, value) in [
        ("jwk", list.forge.key("own").jwk()),
        ("jku", json!(elsewhere)),
        ("x5u", json!(elsewhere)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("nonce", json!("x")),
    ] {
        let value = value.clone();
        list.header("a header that is not understood", "own", |h| h[name] = value.clone(), name);
    }
    for typ in ["age+jwt", "consent+jwt", "dpop+jwt", "logout+jwt", "JWE", "", "at+JWT\u{0}"] {
        list.header("another type", "own", |h| h["typ"] = typ.into(), typ);
    }
    let own = list.forge.key("own");
    let (alg, kid, claims) = (own.alg(), own.kid().to_owned(), list.good.to_string());
    let twice = [
        format!(r#"{{"alg":"none","alg":"{alg}","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"{alg}","alg":"none","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"{alg}","typ":"JWT","kid":"x","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"{alg}","typ":"JWT","typ":"JWT","kid":"{kid}"}}"#),
    ];
    for (n, header) in twice.iter().enumerate() {
        let token = own.token(header, &claims);
        list.token("a repeated header member", n, &token);
    }
    for name in ["iss", "sub", "aud", "exp", "scope", "nbf", "cnf"] {
        let claims = claims.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
        // It need not stand there at all.
        let claims = if name == "iss" { claims.replacen('{', "{\"iss\":\"y\",", 1) } else { claims };
        let token = own.token(&own.header().to_string(), &claims);
        list.token("a repeated claim", name, &token);
    }
}

fn shapes(list: &mut List<'_>) {
    let (own, ec) = (list.forge.key("own"), list.forge.key("ec"));
    let claims = list.good.to_string();
    let good = own.token(&own.header().to_string(), &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(claims.replace("shop", "bank"));
    let kind = "a changed token";
    for (name, token) in [
        ("no signature", format!("{message}.")),
        ("no dot", message.to_owned()),
        ("other claims", format!("{header}.{other}.{signature}")),
        ("two signatures", format!("{good}.{signature}")),
        ("five parts", format!("{good}.x.y")),
        ("padded", format!("{good}=")),
        ("a newline's code", format!("{good}%0a")),
        ("half a signature", format!("{message}.{}", &signature[..40])),
        ("a zero signature", format!("{message}.{}", URL_SAFE_NO_PAD.encode([0u8; 64]))),
        ("standard base64", format!("{header}.{payload}.{}+/", &signature[..84])),
        ("payload left out", format!("{header}..{signature}")),
        (
            "JSON serialization",
            format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#),
        ),
    ] {
        list.token(kind, name, &token);
    }
    let (header_of, own_kid) = (own.header().to_string(), own.kid());
    let purposes = list.good.get("purposes").cloned().unwrap_or(json!([]));
    let listed = json!([SHOP, "idgate", list.good["exp"], null, null, list.good["scope"], purposes, null, null]);
    list.token(kind, "claims in a list", &own.token(&header_of, &listed.to_string()));
    let header = json!([own.alg(), own_kid, "JWT", null, null]);
    list.token(kind, "a header in a list", &own.token(&header.to_string(), &claims));
    let signed = ec.token(&ec.header().to_string(), &claims);
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let fixed = URL_SAFE_NO_PAD.decode(signature).unwrap();
    list.token(kind, "ECDSA in DER", &format!("{message}.{}", URL_SAFE_NO_PAD.encode(in_der(&fixed))));
    list.token(kind, "ECDSA of zeros (CVE-2022-21449)", &format!("{message}.{}", URL_SAFE_NO_PAD.encode([0u8; 64])));
    let long = [&fixed[..], &[0]].concat();
    list.token(kind, "ECDSA too long", &format!("{message}.{}", URL_SAFE_NO_PAD.encode(long)));
    for size in [8 * 1024, 12 * 1024, 20 * 1024] {
        list.claims("a token that is too large", |c| c["pad"] = "x".repeat(size).into(), size);
        list.token("a token that is too large", format!("{size} letters"), &"a".repeat(size));
    }
}

fn of_others(list: &mut List<'_>, own: &Own, foreign: &str) {
    for (name, token) in [("age", &own.age), ("link", &own.link), ("receipt", &own.receipt), ("proof", &own.proof)] {
        list.token("a token of this server for something else", name, token);
    }
    list.authorization("a token for another server", foreign);
    let claims = list.good.clone();
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        edit(&mut claims);
        claims
    };
    let bank = |claims: Value| list.forge.signed("bank", &claims);
    let (as_shop, as_admin) = (
        bank(claims.clone()),
        bank(with(&|c| {
            (c["sub"], c["scope"]) = (json!("bank"), json!(format!("{} admin", c["scope"].as_str().unwrap())))
        })),
    );
    list.token("a party's key that speaks for another", "bank as shop", &as_shop);
    list.token("a party's key that speaks for the operator", "bank with admin", &as_admin);
    let thumbprint = URL_SAFE_NO_PAD.encode([7u8; 32]);
    for cnf in [
        json!({"x5t#S256": thumbprint}),
        json!({"x5t#S256": ""}),
        json!({"jkt": thumbprint}),
        json!({"jwk": list.forge.key("stranger").jwk()}),
        json!({"x5t#S256": thumbprint, "jkt": thumbprint}),
        json!({}),
        json!("x"),
    ] {
        list.claims("a token bound to what is not shown", |c| c["cnf"] = cnf.clone(), &cnf);
    }
    let bound = list.forge.signed("bound", &list.good);
    list.token("a key bound to a certificate that is not shown", "bound", &bound);
    let header = ("x-client-cert", "gate.shop.example");
    let value = format!("Bearer {bound}");
    let forwarded = [("authorization", value.as_str()), header, ("x-forwarded-client-cert", "By=x;Hash=y")];
    list.headers(
        "a key bound to a certificate that is not shown",
        "named in a header",
        &forwarded,
        Code::Unauthenticated,
    );
}
