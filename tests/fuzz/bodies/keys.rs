//! What holds keys: JWK and JWKS documents, PEM files, secrets. The first byte chooses; `T` is a caller's key file.

use idgate::flows::webhooks::signing;
use idgate::secret::Sensitive;
use idgate::tokens::keys::{SigningKey, VerifyingKey, jwks};

pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        b'J' => {
            if let Ok(keys) = VerifyingKey::from_jwks(rest) {
                assert!(!keys.is_empty(), "no key, and no error");
                // What is published of them means the same keys.
                let again = VerifyingKey::from_jwks(jwks(&keys).as_bytes()).expect("what is published can be read");
                assert!(keys.iter().map(VerifyingKey::kid).eq(again.iter().map(VerifyingKey::kid)));
                let published = jwks(&keys);
                assert!(!published.contains("\"d\":") && !published.contains("\"k\":"), "a private part");
            }
        }
        b'P' => {
            if let Ok(key) = VerifyingKey::from_pem(rest) {
                assert_eq!(VerifyingKey::from_jwks(jwks([&key]).as_bytes()).unwrap()[0].kid(), key.kid());
            }
        }
        b'S' => {
            if let Ok(key) = SigningKey::from_pem(&Sensitive::new(rest.to_vec()), false) {
                assert!(format!("{key:?}").ends_with("[redacted])"));
            }
        }
        b'W' => {
            if let Ok(secrets) = signing::Secrets::parse(&Sensitive::new(rest.to_vec())) {
                let now = jiff::Timestamp::UNIX_EPOCH;
                let signature = secrets.sign("id", now, b"body");
                assert!(signing::verify(&secrets, ("id", "0", &signature), b"body", now).is_ok());
            }
        }
        b'H' => {
            let read = Sensitive::from_hex(&Sensitive::new(rest.to_vec()));
            assert!(read.is_none() || rest.trim_ascii_end().len() == 64);
        }
        // The headers and the body of a webhook as a receiver sees them.
        b'V' => {
            let secrets = signing::Secrets::parse(&Sensitive::new("0a".repeat(32).into_bytes())).unwrap();
            let text = String::from_utf8_lossy(rest);
            let mut parts = text.splitn(4, '\n').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let (id, at, signature, body) = (part(), part(), part(), part());
            let now = jiff::Timestamp::UNIX_EPOCH;
            let _ = signing::verify(&secrets, (&id, &at, &signature), body.as_bytes(), now);
        }
        _ => {}
    }
}
