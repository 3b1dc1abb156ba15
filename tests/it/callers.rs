//! Callers' keys from URLs and files: rotated without a restart, cached within bounds, missing without harm to others; and
//! how often a relying party may call.

use crate::attacks::forge::{Forge, Key};
use crate::support::{KeyServer, SHOP, World, assert_retry_later, reason, tls};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idgate::config::{Settings, TrustedKey};
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::{GetDecisionRequest, WatchRequest};
use idgate::terms::Scope;
use idgate::tokens::callers::{Callers, Certificate, Source, Trust};
use idgate::tokens::keys::{Algorithm, KeyError, VerifyingKey, jwks};
use idgate::tokens::{Rejected, callers};
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

fn trusted(url: &str, party: Option<&str>) -> TrustedKey {
    TrustedKey { url: url.to_owned(), relying_party: party.map(|name| name.parse().unwrap()), ..TrustedKey::default() }
}

/// As fast as settings allow: looked at once a second, and for a minute good without an answer.
fn quick(settings: &mut Settings, keys: Vec<TrustedKey>) {
    settings.callers.trusted = keys;
    settings.callers.soonest_seconds = 1;
    settings.callers.refresh_seconds = 60;
    settings.callers.stale_minutes = 1;
}

async fn world(keys: Vec<TrustedKey>) -> World {
    World::with(|settings| quick(settings, keys), |_| {}).await
}

fn claims(sub: &str, scope: &str) -> Value {
    let now = Timestamp::now().as_second();
    json!({"sub": sub, "aud": "idgate", "iat": now, "exp": now + 600, "scope": scope})
}

fn token(key: &Key, sub: &str) -> String {
    key.token(&key.header().to_string(), &claims(sub, Scope::DecisionRead.as_str()).to_string())
}

/// How a call with this token is answered: `UNKNOWN_DECISION` for who is let in.
async fn answer_on(channel: Channel, token: &str) -> Status {
    let mut request = Request::new(GetDecisionRequest { decision_id: uuid::Uuid::now_v7().to_string() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    AgeGateServiceClient::new(channel).get_decision(request).await.unwrap_err()
}

async fn answer(world: &World, token: &str) -> Status {
    answer_on(world.channel.clone(), token).await
}

async fn why(world: &World, token: &str) -> String {
    reason(&answer(world, token).await)
}

const IN: &str = "UNKNOWN_DECISION";
const OUT: &str = "TOKEN_REFUSED";

/// Waits until a call is answered so.
async fn until(world: &World, token: &str, expected: &str) {
    let begun = Instant::now();
    while why(world, token).await != expected {
        assert!(begun.elapsed() < Duration::from_secs(30), "{expected} in time");
        tokio::task::yield_now().await;
    }
}

fn metric(world: &World, line: &str) -> bool {
    world.app.metrics.render().lines().any(|one| one.starts_with(line))
}

#[tokio::test]
async fn a_key_is_rotated_at_its_url_without_a_restart() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let (old, new) = (Key::generate(algorithm), Key::generate(algorithm));
        let server = KeyServer::start(&old.jwks()).await;
        let world = world(vec![trusted(&server.url(), Some(SHOP))]).await;
        until(&world, &token(&old, SHOP), IN).await;
        assert_eq!(why(&world, &token(&old, "bank")).await, OUT, "it speaks for the shop only");
        let asked = server.asked().len();
        // Both for a while, as rotation goes: the first token of the new key makes the server look, and is waited for.
        server.publish(&jwks([old.verifying(), new.verifying()]));
        until(&world, &token(&new, SHOP), IN).await;
        assert_eq!(server.asked().len(), asked + 1, "looked at once, and not before it was needed");
        assert_eq!(why(&world, &token(&old, SHOP)).await, IN);
        // Then the new one only. A token of the old key was accepted before: it is not any more once that is known.
        server.publish(&new.jwks());
        let stranger = Key::generate(algorithm);
        let before = server.asked().len();
        while server.asked().len() == before {
            assert_eq!(why(&world, &token(&stranger, SHOP)).await, OUT);
        }
        until(&world, &token(&old, SHOP), OUT).await;
        assert_eq!(why(&world, &token(&new, SHOP)).await, IN);
        assert!(metric(&world, r#"idgate_caller_keys_looks_total{came_to="changed"} 3"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_unknown_keys_are_named_the_url_is_asked_once_at_a_time() {
    let key = Key::generate(Algorithm::EdDsa);
    let server = KeyServer::start(&key.jwks()).await;
    let world = Arc::new(world(vec![trusted(&server.url(), None)]).await);
    until(&world, &token(&key, SHOP), IN).await;
    let (begun, before) = (Instant::now(), server.asked().len());
    let mut calls = JoinSet::new();
    for n in 0..200 {
        let world = Arc::clone(&world);
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": format!("made-up-{n}")}).to_string();
        let forged = key.token(&header, &claims(SHOP, "decision.read").to_string());
        calls.spawn(async move { why(&world, &forged).await });
    }
    while let Some(refused) = calls.join_next().await {
        assert_eq!(refused.unwrap(), OUT);
    }
    let most = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let asked = server.asked().len() - before;
    assert!(asked <= most, "asked {asked} times in {:?}", begun.elapsed());
    assert_eq!(why(&world, &token(&key, SHOP)).await, IN);
}

#[tokio::test]
async fn a_url_that_never_answered_keeps_nobody_else_out_and_its_own_callers_are_told_to_come_back() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (key, file) = (Key::generate(Algorithm::Es256), Key::generate(Algorithm::EdDsa));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.json");
    std::fs::write(&path, file.jwks()).unwrap();
    let other = TrustedKey { file: path, ..TrustedKey::default() };
    let world = world(vec![trusted(&format!("http://{address}/jwks.json"), Some(SHOP)), other]).await;
    assert_eq!(why(&world, &token(&file, "bank")).await, IN, "others are served");
    assert_eq!(world.http("/readyz").await.0, 200);
    let status = answer(&world, &token(&key, SHOP)).await;
    assert_retry_later(&status, Code::Unavailable, "CALLER_KEYS_UNAVAILABLE");
    for bad in ["x", "a.b.c", ""] {
        assert_ne!(answer(&world, bad).await.code(), Code::Unavailable, "what is no token is refused for good");
    }
    assert!(metric(&world, "idgate_caller_keys_failing 1"));
    assert!(metric(&world, r#"idgate_caller_keys_looks_total{came_to="unreachable"}"#));
    let server = KeyServer::on(TcpListener::bind(address).await.unwrap(), &key.jwks());
    until(&world, &token(&key, SHOP), IN).await;
    assert!(!server.asked().is_empty() && metric(&world, "idgate_caller_keys_failing 0"));
}

#[tokio::test]
async fn what_is_no_good_document_changes_nothing_and_no_redirect_is_followed() {
    let key = Key::generate(Algorithm::EdDsa);
    let other = Key::generate(Algorithm::EdDsa);
    let server = KeyServer::start(&key.jwks()).await;
    let world = world(vec![trusted(&server.url(), None)]).await;
    until(&world, &token(&key, SHOP), IN).await;
    let mut private = other.jwk();
    private["d"] = "AAAA".into();
    let many: Vec<Key> = (0..65).map(|_| Key::generate(Algorithm::EdDsa)).collect();
    let twice = jwks([other.verifying(), other.verifying()]);
    let large = format!("{}{}", other.jwks(), " ".repeat(65 * 1024));
    for (status, document, label) in [
        (500, other.jwks(), "status"),
        (301, other.jwks(), "status"),
        (307, other.jwks(), "status"),
        (404, other.jwks(), "status"),
        (204, String::new(), "status"),
        (200, "{".to_owned(), "keys"),
        (200, "<html>".to_owned(), "keys"),
        (200, json!({"keys": [private]}).to_string(), "keys"),
        (200, jwks(many.iter().map(Key::verifying)), "keys"),
        (200, twice, "keys"),
        (200, large, "body"),
    ] {
        server.publish(&document);
        server.status(status);
        let before = server.asked().len();
        while server.asked().len() < before + 2 {
            assert_eq!(why(&world, &token(&other, SHOP)).await, OUT, "{status} {label}");
        }
        assert_eq!(why(&world, &token(&key, SHOP)).await, IN, "{status} {label}: the last keys count");
        assert!(metric(&world, &format!(r#"idgate_caller_keys_looks_total{{came_to="{label}"}}"#)), "{label}");
    }
    assert!(server.asked().iter().all(|path| path == "/jwks.json"), "a redirect was followed");
}

#[tokio::test]
async fn whoever_takes_the_last_key_back_is_let_in_by_none() {
    let key = Key::generate(Algorithm::EdDsa);
    let server = KeyServer::start(&key.jwks()).await;
    let world = world(vec![trusted(&server.url(), None)]).await;
    until(&world, &token(&key, SHOP), IN).await;
    server.publish(r#"{"keys":[]}"#);
    // A key that is not known has it looked at anew.
    until(&world, &token(&Key::generate(Algorithm::EdDsa), SHOP), OUT).await;
    let begun = Instant::now();
    while why(&world, &token(&key, SHOP)).await != OUT {
        assert!(begun.elapsed() < Duration::from_secs(30), "refused in time");
        assert_eq!(why(&world, &token(&Key::generate(Algorithm::EdDsa), SHOP)).await, OUT);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_anew_count_for_a_bounded_time() {
    let key = Key::generate(Algorithm::EdDsa);
    let server = KeyServer::start(&key.jwks()).await;
    let later = Arc::new(Mutex::new(SignedDuration::ZERO));
    let turned = Arc::clone(&later);
    let clock = move || Timestamp::now() + *turned.lock().unwrap();
    let keys = vec![trusted(&server.url(), None)];
    let world = World::with(|settings| quick(settings, keys), |app| app.clock = Box::new(clock)).await;
    until(&world, &token(&key, SHOP), IN).await;
    server.status(503);
    *later.lock().unwrap() = SignedDuration::from_secs(30);
    assert_eq!(why(&world, &token(&key, SHOP)).await, IN, "still good");
    *later.lock().unwrap() = SignedDuration::from_secs(62);
    let status = answer(&world, &token(&key, SHOP)).await;
    assert_retry_later(&status, Code::Unavailable, "CALLER_KEYS_UNAVAILABLE");
    server.status(200);
    until(&world, &token(&key, SHOP), IN).await;
}

#[tokio::test]
async fn an_answer_may_ask_to_be_asked_again_sooner_but_not_too_soon() {
    let key = Key::generate(Algorithm::EdDsa);
    let server = KeyServer::start(&key.jwks()).await;
    server.cache("max-age=0, must-revalidate");
    let world = world(vec![trusted(&server.url(), None)]).await;
    let begun = Instant::now();
    server.until_asked(4).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "four looks within {:?}", begun.elapsed());
    // And it may not ask to be left alone for longer than is set: refresh_seconds is a minute, and the token was good.
    server.cache("max-age=31536000");
    assert_eq!(why(&world, &token(&key, SHOP)).await, IN);
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let (old, new) = (Key::generate(Algorithm::EdDsa), Key::generate(Algorithm::Es256));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.json");
    std::fs::write(&path, old.jwks()).unwrap();
    let world = world(vec![TrustedKey { file: path.clone(), ..TrustedKey::default() }]).await;
    assert_eq!(why(&world, &token(&old, SHOP)).await, IN);
    std::fs::write(&path, new.jwks()).unwrap();
    until(&world, &token(&new, SHOP), IN).await;
    assert_eq!(why(&world, &token(&old, SHOP)).await, OUT);
    // Half a file is no file: the last keys count.
    std::fs::write(&path, &old.jwks()[..40]).unwrap();
    until(&world, &token(&old, SHOP), OUT).await;
    assert_eq!(why(&world, &token(&new, SHOP)).await, IN);
}

#[tokio::test]
async fn no_party_can_speak_for_another_or_shut_it_out_by_what_it_publishes() {
    let (shop, bank) = (Key::generate(Algorithm::EdDsa), Key::generate(Algorithm::EdDsa));
    let (shops, banks) = (KeyServer::start(&shop.jwks()).await, KeyServer::start(&bank.jwks()).await);
    let keys = vec![trusted(&banks.url(), Some("bank")), trusted(&shops.url(), Some(SHOP))];
    let world = world(keys).await;
    until(&world, &token(&shop, SHOP), IN).await;
    until(&world, &token(&bank, "bank"), IN).await;
    // The shop's key as the bank's own; and a key of the bank's under the name of the shop's.
    let mut squatting = bank.jwk();
    squatting["kid"] = shop.kid().into();
    for published in [jwks([bank.verifying(), shop.verifying()]), json!({"keys": [bank.jwk(), squatting]}).to_string()]
    {
        let before = banks.asked().len();
        banks.publish(&published);
        let stranger = Key::generate(Algorithm::EdDsa);
        while banks.asked().len() < before + 2 {
            assert_eq!(why(&world, &token(&stranger, SHOP)).await, OUT);
        }
        assert_eq!(why(&world, &token(&shop, SHOP)).await, IN, "the shop is not shut out");
        assert_eq!(why(&world, &token(&bank, "bank")).await, IN);
        assert_eq!(why(&world, &token(&bank, SHOP)).await, OUT);
        let header = json!({"alg": "EdDSA", "kid": shop.kid()}).to_string();
        let forged = bank.token(&header, &claims(SHOP, "decision.read").to_string());
        assert_eq!(why(&world, &forged).await, OUT, "the bank signs for the bank only, whatever it calls its key");
    }
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    let world = World::with(
        |settings| {
            settings.server.quotas.others.per_second = 1;
            settings.server.quotas.others.burst = 5;
        },
        |_| {},
    )
    .await;
    let ask = || GetDecisionRequest { decision_id: uuid::Uuid::now_v7().to_string() };
    let mut refused = 0;
    for _ in 0..8 {
        let status = world.age_gate().get_decision(world.authorized(SHOP, ask())).await.unwrap_err();
        if status.code() == Code::ResourceExhausted {
            assert_retry_later(&status, Code::ResourceExhausted, "CALLER_CALLS_PER_SECOND");
            refused += 1;
        }
    }
    assert!((1..=3).contains(&refused), "{refused} of eight, with a burst of five");
    let status = world.age_gate().get_decision(world.authorized("bank", ask())).await.unwrap_err();
    assert_eq!(reason(&status), IN, "another party has a bucket of its own");
    world.check(crate::support::ask("s", "k", "read 1990-05-05")).await.expect("pictures are counted apart");
    assert!(metric(&world, r#"idgate_refusals_total{reason="caller_calls"}"#));
}

#[tokio::test]
async fn a_stream_of_events_ends_with_the_token_that_opened_it() {
    let key = Key::generate(Algorithm::EdDsa);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.json");
    std::fs::write(&file, key.jwks()).unwrap();
    let world = world(vec![TrustedKey { file, ..TrustedKey::default() }]).await;
    let mut short = claims(SHOP, Scope::EventRead.as_str());
    short["exp"] = (Timestamp::now().as_second() + 3).into();
    let mut request = Request::new(WatchRequest { cursor: String::new(), types: vec![] });
    let bearer = format!("Bearer {}", key.token(&key.header().to_string(), &short.to_string()));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let begun = Instant::now();
    let mut events = EventServiceClient::new(world.channel.clone()).watch(request).await.unwrap().into_inner();
    let ended = loop {
        if let Err(ended) = events.message().await {
            break ended;
        }
    };
    assert_retry_later(&ended, Code::Unavailable, "STREAM_OVER");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_bound_token_and_a_bound_key_hold_with_their_certificate_only() {
    let key = Key::generate(Algorithm::Es256);
    let now = Timestamp::now();
    let callers = |certificate: Option<&str>| {
        let mut callers = Callers::new("idgate", SignedDuration::from_hours(1), vec![]).unwrap();
        let source = Source { trust: Trust::Issuer, certificate: certificate.map(str::to_owned) };
        let number = callers.trust(source);
        callers.renew(number, vec![key.verifying().clone()], now + SignedDuration::from_hours(1)).unwrap();
        callers
    };
    let (own, other) = ([7u8; 32], [8u8; 32]);
    let (named, unnamed) = (vec!["x.example".to_owned(), "gate.shop.example".to_owned()], vec![String::new()]);
    let shown = |sha256: &'static [u8; 32], names| Some(Certificate { sha256, names });
    let (seven, eight): (&'static [u8; 32], &'static [u8; 32]) = (&[7; 32], &[8; 32]);
    assert_eq!((seven, eight), (&own, &other));
    let forge = Forge::new();
    let mut bound = forge.claims(SHOP, Scope::AgeCheck, None);
    let plain = key.token(&key.header().to_string(), &bound.to_string());
    // RFC 8705, 3.1: the base64url of the SHA-256 of the certificate.
    bound["cnf"] = json!({"x5t#S256": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"});
    let token = key.token(&key.header().to_string(), &bound.to_string());
    let any = callers(None);
    // Twice: the second time from memory.
    for _ in 0..2 {
        assert!(any.verify(&token, shown(seven, &unnamed), now).is_ok());
        assert_eq!(any.verify(&token, shown(eight, &named), now), Err(Rejected::WrongCertificate));
        assert_eq!(any.verify(&token, None, now), Err(Rejected::WrongCertificate));
        assert!(any.verify(&plain, None, now).is_ok() && any.verify(&plain, shown(eight, &named), now).is_ok());
    }
    let with_name = callers(Some("gate.shop.example"));
    for _ in 0..2 {
        assert!(with_name.verify(&plain, shown(eight, &named), now).is_ok());
        assert!(with_name.verify(&token, shown(seven, &named), now).is_ok());
        assert_eq!(with_name.verify(&token, shown(eight, &named), now), Err(Rejected::WrongCertificate));
        assert_eq!(with_name.verify(&plain, shown(eight, &unnamed), now), Err(Rejected::WrongCertificate));
        assert_eq!(with_name.verify(&plain, None, now), Err(Rejected::WrongCertificate));
    }
}

#[tokio::test]
async fn over_the_wire_too() {
    let (directory, authority) = (TempDir::new().unwrap(), tls::Authority::new("authority"));
    let (any, named) = (Key::generate(Algorithm::Es256), Key::generate(Algorithm::EdDsa));
    let file = |name: &str, key: &Key| tls::write(directory.path(), name, &key.jwks());
    let trusted = vec![
        TrustedKey { file: file("any.json", &any), ..TrustedKey::default() },
        TrustedKey {
            file: file("named.json", &named),
            certificate: "shop.example".to_owned(),
            ..TrustedKey::default()
        },
    ];
    let server = tls::settings(directory.path(), &authority, Some(&authority));
    let set = |all: &mut Settings| (all.server.tls, all.callers.trusted) = (server, trusted);
    let world = World::with(set, |_| {}).await;
    let shop = authority.issue("shop.example", 5, 2100);
    let renewed = authority.issue("shop.example", 6, 2100);
    let bank = authority.issue("bank.example", 7, 2100);
    let bound = |key: &Key, to: &tls::Certificate| {
        let der = CertificateDer::from_pem_slice(to.certificate.as_bytes()).unwrap();
        let mut claims = claims(SHOP, Scope::DecisionRead.as_str());
        claims["cnf"] = json!({"x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(&der))});
        key.token(&key.header().to_string(), &claims.to_string())
    };
    let tokens = [
        ("plain", token(&any, SHOP), [IN, IN, IN]),
        ("bound", bound(&any, &shop), [IN, OUT, OUT]),
        ("of a named key", token(&named, SHOP), [IN, IN, OUT]),
        ("of a named key, bound", bound(&named, &renewed), [OUT, IN, OUT]),
        ("of a named key, bound to another", bound(&named, &bank), [OUT, OUT, OUT]),
    ];
    for (n, shown) in [&shop, &renewed, &bank].into_iter().enumerate() {
        let channel = tls::channel(world.address, tls::client(&authority, Some(shown))).await.unwrap();
        for (what, token, expected) in &tokens {
            assert_eq!(reason(&answer_on(channel.clone(), token).await), expected[n], "{what}, certificate {n}");
        }
    }
}

#[test]
fn keys_that_are_gone_or_too_old_verify_nothing_even_from_memory() {
    let (key, next) = (Key::generate(Algorithm::Rs256), Key::generate(Algorithm::EdDsa));
    let now = Timestamp::now();
    let soon = now + SignedDuration::from_mins(1);
    let mut callers = Callers::new("idgate", SignedDuration::from_hours(1), vec![]).unwrap().for_production();
    assert!(!callers.incomplete(now));
    let number = callers.trust(Source { trust: Trust::Issuer, certificate: None });
    let token = token(&key, SHOP);
    assert!(callers.incomplete(now));
    assert_eq!(callers.verify(&token, None, now), Err(Rejected::UnknownKey));
    assert_eq!(callers.renew(number, vec![key.verifying().clone()], soon), Ok(true));
    assert_eq!(callers.renew(number, vec![key.verifying().clone()], soon), Ok(false), "the same");
    assert!(callers.verify(&token, None, now).is_ok() && !callers.incomplete(now));
    assert_eq!(callers.verify(&token, None, soon), Err(Rejected::UnknownKey));
    assert!(callers.incomplete(soon));
    assert_eq!(callers.renew(number, vec![next.verifying().clone()], soon), Ok(true));
    assert_eq!(callers.verify(&token, None, now), Err(Rejected::UnknownKey));
    let twice = vec![next.verifying().clone(), next.verifying().clone()];
    assert_eq!(callers.renew(number, twice, soon), Err(KeyError::Duplicate));
    let (development, _) = idgate::tokens::keys::SigningKey::generate(Algorithm::EdDsa, true).unwrap();
    assert_eq!(callers.renew(number, vec![development.public().clone()], soon), Err(KeyError::Development));
}

#[test]
fn clocks_may_be_apart_as_far_as_is_set() {
    let key = Key::generate(Algorithm::EdDsa);
    let now = Timestamp::now();
    let trusted = callers::Trusted::new(key.verifying().clone(), Trust::Issuer);
    for skew in [0, 30, 120] {
        let callers = Callers::new("idgate", SignedDuration::from_hours(1), vec![trusted.clone()]).unwrap();
        let callers = callers.with_skew(SignedDuration::from_secs(skew));
        let at = |seconds: i64| {
            let start = now.as_second() + seconds;
            let claims = json!({"sub": SHOP, "aud": "idgate", "iat": start, "exp": start + 60});
            callers.verify(&key.token(&key.header().to_string(), &claims.to_string()), None, now).err()
        };
        assert_eq!((at(skew), at(skew + 2)), (None, Some(Rejected::NotYetValid)), "{skew}");
        assert_eq!((at(-58 - skew), at(-61 - skew)), (None, Some(Rejected::Expired)), "{skew}");
    }
}

#[test]
fn weak_rsa_keys_are_none() {
    let key = Key::generate(Algorithm::Rs256);
    let read = |value: Value| VerifyingKey::from_jwks(value.to_string().as_bytes()).map(|keys| keys.len());
    assert_eq!(read(key.jwk()), Ok(1));
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        read(jwk)
    };
    for (name, value) in [
        ("e", json!("Aw")),
        ("n", json!("AQAB")),
        ("alg", json!("PS256")),
        ("alg", json!("RS512")),
        ("alg", json!("RSA-OAEP")),
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
    ] {
        assert_eq!(with(name, value), Err(KeyError::Malformed), "{name}");
    }
    assert_eq!(with("d", json!("AQAB")), Err(KeyError::PrivateInPublic));
    // By PEM and by JWK it is the same key.
    let pem = key.published();
    assert_eq!(VerifyingKey::from_pem(pem.as_bytes()).unwrap().kid(), key.kid());
    let cut = pem.replace("MIIB", "MIIA");
    assert_eq!(VerifyingKey::from_pem(cut.as_bytes()).err(), Some(KeyError::Malformed));
}
