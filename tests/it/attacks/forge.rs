//! Keys of every kind whose private parts the test holds, and tokens that say whatever it likes.

use crate::support::World;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idgate::config::keys;
use idgate::secret::Sensitive;
use idgate::terms::{Purpose, Scope};
use idgate::tokens::files;
use idgate::tokens::keys::{Algorithm, SigningKey, VerifyingKey, jwks};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The keys that the server trusts: their names, whom they speak for, and the certificate that they are bound to.
pub const TRUSTED: &[(&str, Option<&str>, &str)] =
    &[("ec", None, ""), ("rsa", None, ""), ("bank", Some("bank"), ""), ("bound", None, "gate.shop.example")];

enum Private {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

pub struct Key {
    private: Private,
    public: VerifyingKey,
    /// The public part as a PEM file, for RSA.
    pem: Option<String>,
}

fn der(pem: &Sensitive<Vec<u8>>) -> Vec<u8> {
    // There may be remarks above it.
    let lines = pem.expose().split(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"-----BEGIN"));
    let lines = lines.filter(|line| !line.starts_with(b"-"));
    STANDARD.decode(lines.flatten().copied().collect::<Vec<u8>>()).unwrap()
}

impl Key {
    pub fn generate(algorithm: Algorithm) -> Self {
        if algorithm == Algorithm::Rs256 {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            let pem =
                format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki.as_ref()));
            let public = VerifyingKey::from_pem(pem.as_bytes()).unwrap();
            return Self { private: Private::Rsa(pair), public, pem: Some(pem) };
        }
        let (key, pem) = SigningKey::generate(algorithm, false).unwrap();
        Self::of(&key, &der(&pem))
    }

    fn of(key: &SigningKey, der: &[u8]) -> Self {
        let private = match key.public().algorithm() {
            Algorithm::EdDsa => Private::Ed(Ed25519KeyPair::from_pkcs8(der).unwrap()),
            Algorithm::Es256 => Private::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).unwrap()),
            Algorithm::Rs256 => unreachable!("idgate has none"),
        };
        Self { private, public: key.public().clone(), pem: None }
    }

    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    pub fn alg(&self) -> &'static str {
        self.public.algorithm().as_str()
    }

    pub fn verifying(&self) -> &VerifyingKey {
        &self.public
    }

    /// The file that a server is given.
    pub fn published(&self) -> String {
        self.pem.clone().unwrap_or_else(|| self.jwks())
    }

    pub fn jwks(&self) -> String {
        jwks([&self.public])
    }

    pub fn jwk(&self) -> Value {
        serde_json::from_str::<Value>(&self.jwks()).unwrap()["keys"][0].clone()
    }

    /// What everybody knows of it, in every form that a careless library would take for a shared secret.
    pub fn public_forms(&self) -> Vec<Vec<u8>> {
        let jwk = self.jwk();
        let raw = match &self.private {
            Private::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&raw));
        let member = jwk.get("x").or(jwk.get("n")).unwrap().as_str().unwrap().to_owned();
        let pem = self.pem.clone().unwrap_or(pem);
        let trimmed = pem.trim_end().to_owned();
        let forms: [&[u8]; 7] = [
            &raw,
            pem.as_bytes(),
            trimmed.as_bytes(),
            member.as_bytes(),
            &jwk.to_string().into_bytes(),
            &self.jwks().into_bytes(),
            self.kid().as_bytes(),
        ];
        forms.iter().map(|form| form.to_vec()).collect()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.private {
            Private::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Private::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with exactly this header and these claims, signed by this key.
    pub fn token(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.alg(), "typ": "JWT", "kid": self.kid()})
    }
}

pub struct Forge {
    keys: BTreeMap<&'static str, Key>,
}

impl Forge {
    pub fn new() -> Self {
        let made = [
            ("ec", Algorithm::Es256),
            ("rsa", Algorithm::Rs256),
            ("bank", Algorithm::EdDsa),
            ("bound", Algorithm::Es256),
            ("stranger", Algorithm::EdDsa),
        ];
        Self { keys: made.map(|(name, algorithm)| (name, Key::generate(algorithm))).into() }
    }

    /// Also holds the key of this world's own, under the name `own`.
    pub fn adopt(&mut self, world: &World) {
        let path = keys::caller_key(&world.settings);
        let key = files::load_key(&path).unwrap();
        let own = Key::of(&key, &der(&files::read_private(&path).unwrap()));
        self.keys.insert("own", own);
    }

    pub fn key(&self, name: &str) -> &Key {
        &self.keys[name]
    }

    /// Claims that open one RPC.
    pub fn claims(&self, party: &str, scope: Scope, purpose: Option<Purpose>) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let purposes: Vec<&str> = purpose.iter().map(|purpose| purpose.as_str()).collect();
        json!({
            "sub": party, "aud": "idgate", "iat": now, "exp": now + 600, "scope": scope.as_str(), "purposes": purposes
        })
    }

    /// A token that is as it should be.
    pub fn signed(&self, key: &str, claims: &Value) -> String {
        let key = self.key(key);
        key.token(&key.header().to_string(), &claims.to_string())
    }
}
