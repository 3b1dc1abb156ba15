//! TLS: who gets in and who does not, certificates that change while calls run, and that nobody waits for who is slow.

use crate::support::frames::{self, Wire};
use crate::support::tls::{self, Authority, Certificate, channel, client, connect};
use crate::support::{SHOP, World, ask};
use idgate::config;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::{self, CheckAgeResponse, CheckAgeStreamHeader, CheckAgeStreamRequest};
use idgate::server::{self, ServeError, Unfit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

async fn start(settings: idgate::server::tls::Settings) -> World {
    World::with(|all| all.server.tls = settings, |_| {}).await
}

async fn check(world: &World, channel: Channel, key: &str, picture: &str) -> Result<CheckAgeResponse, Status> {
    let request = world.authorized(SHOP, ask(key, key, picture));
    AgeGateServiceClient::new(channel).check_age(request).await.map(tonic::Response::into_inner)
}

fn allowed(answer: &Result<CheckAgeResponse, Status>) -> bool {
    matches!(answer, Ok(CheckAgeResponse { outcome: Some(Outcome::Allowed(_)), .. }))
}

/// Whether a call on a new connection is answered; what the client was told otherwise.
async fn served(world: &World, config: ClientConfig) -> Result<(), String> {
    let channel = channel(world.address, config).await.map_err(|error| format!("{error:?}"))?;
    let called = check(world, channel, "key", "read 1990-05-05").await;
    called.map(drop).map_err(|status| format!("{status:?}"))
}

/// Waits until this stands in the metrics.
async fn until(world: &World, line: &str) {
    while !world.http("/metrics").await.1.contains(line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_and_pictures_go_over_tls() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let world = start(tls::settings(directory.path(), &authority, None)).await;
    let channel = channel(world.address, client(&authority, None)).await.unwrap();
    let large = format!("read 1990-05-05{}", ".".repeat(3_000_000));
    assert!(allowed(&check(&world, channel.clone(), "large", &large).await));
    assert!(allowed(&check(&world, channel.clone(), "small", "read 1990-05-05").await), "on the same connection");
    let mut parts = vec![Part::Header(CheckAgeStreamHeader {
        subject_ref: "streamed".to_owned(),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: "streamed".to_owned(),
        language: String::new(),
        image_bytes: u64::try_from(large.len()).unwrap(),
    })];
    parts.extend(large.as_bytes().chunks(50_000).map(|chunk| Part::Chunk(chunk.to_vec())));
    let messages: Vec<_> = parts.into_iter().map(|part| CheckAgeStreamRequest { part: Some(part) }).collect();
    let request = world.authorized_stream(SHOP, tokio_stream::iter(messages));
    let streamed = AgeGateServiceClient::new(channel).check_age_stream(request).await.unwrap().into_inner();
    assert!(allowed(&Ok(streamed.answer.unwrap())));
    let calls = (0..50).map(|n| {
        let (world, config) = (&world, client(&authority, None));
        async move {
            let channel = tls::channel(world.address, config).await.unwrap();
            let picture = format!("read 1990-05-05{}", ".".repeat(n * 1000));
            check(world, channel, &format!("many-{n}"), &picture).await
        }
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    for call in &mut calls {
        assert!(allowed(&call.await));
    }
}

#[tokio::test]
async fn a_client_needs_a_certificate_that_is_good() {
    let directory = TempDir::new().unwrap();
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let mut settings = tls::settings(directory.path(), &authority, Some(&authority));
    settings.client_crl = vec![tls::write(directory.path(), "crl.pem", &authority.revoke(&[7], 2100))];
    let world = start(settings).await;
    let good = authority.issue("shop.example", 5, 2100);
    served(&world, client(&authority, Some(&good))).await.expect("a good one");
    let refused: [(&str, Option<Certificate>); 4] = [
        ("none", None),
        ("of another authority", Some(other.issue("shop.example", 5, 2100))),
        ("expired", Some(authority.issue("shop.example", 6, 2021))),
        ("revoked", Some(authority.issue("shop.example", 7, 2100))),
    ];
    for (n, (what, shown)) in refused.iter().enumerate() {
        served(&world, client(&authority, shown.as_ref())).await.expect_err(what);
        until(&world, &format!("idgate_connections_ended_total{{reason=\"tls_certificate\"}} {}\n", n + 1)).await;
    }
    assert_eq!(world.script.begun(), 1, "no call of theirs was looked at");
    served(&world, client(&other, Some(&good))).await.expect_err("who does not trust the server leaves");
    let token = AgeGateServiceClient::new(channel(world.address, client(&authority, Some(&good))).await.unwrap());
    let status = token.clone().check_age(Request::new(ask("a", "a", "x"))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "a certificate is no token");
}

#[tokio::test]
async fn a_list_that_is_out_of_date_lets_nobody_in() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let mut settings = tls::settings(directory.path(), &authority, Some(&authority));
    settings.client_crl = vec![tls::write(directory.path(), "crl.pem", &authority.revoke(&[7], 2022))];
    let world = start(settings).await;
    let good = authority.issue("shop.example", 5, 2100);
    served(&world, client(&authority, Some(&good))).await.expect_err("nobody knows who was revoked since");
}

#[tokio::test]
async fn plain_text_is_not_understood_where_tls_is_spoken_nor_tls_where_it_is_not() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let world = start(tls::settings(directory.path(), &authority, None)).await;
    let plain = Endpoint::from_shared(format!("http://{}", world.address)).unwrap().connect_lazy();
    check(&world, plain, "key", "read 1990-05-05").await.expect_err("plain text");
    until(&world, "idgate_connections_ended_total{reason=\"tls_failed\"}").await;
    let mut http_1 = client(&authority, None);
    http_1.alpn_protocols = vec![b"http/1.1".to_vec()];
    connect(world.address, http_1).await.expect_err("HTTP/1.1");
    until(&world, "idgate_connections_ended_total{reason=\"tls_protocol\"} 1").await;
    let world = World::start().await;
    served(&world, client(&authority, None)).await.expect_err("TLS");
    assert_eq!(world.script.begun(), 0);
}

#[tokio::test]
async fn certificates_change_while_calls_run() {
    let directory = TempDir::new().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let world = start(tls::settings(directory.path(), &old, Some(&old))).await;
    let (first, second) = (old.issue("shop.example", 5, 2100), new.issue("shop.example", 5, 2100));
    let running = channel(world.address, client(&old, Some(&first))).await.unwrap();
    let held = {
        let (request, mut client) = (
            world.authorized(SHOP, ask("held", "held", "hold read 1990-05-05")),
            AgeGateServiceClient::new(running.clone()),
        );
        tokio::spawn(async move { client.check_age(request).await.map(tonic::Response::into_inner) })
    };
    world.script.until_begun(1).await;
    // From here on the signal does not end this process, whoever hears it.
    let mut heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    let reload = || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();

    tls::write(directory.path(), "server.pem", "not a certificate");
    reload();
    heard.recv().await.unwrap();
    until(&world, "idgate_tls_reloads_total{came_to=\"refused\"} 1").await;
    served(&world, client(&old, Some(&first))).await.expect("what was there before stays");

    tls::settings(directory.path(), &new, Some(&new));
    reload();
    until(&world, "idgate_tls_reloads_total{came_to=\"loaded\"} 1").await;
    served(&world, client(&new, Some(&second))).await.expect("new connections");
    served(&world, client(&new, Some(&first))).await.expect_err("whose authority is gone");
    served(&world, client(&old, Some(&first))).await.expect_err("who trusts the old authority only");
    world.script.let_go();
    assert!(allowed(&held.await.unwrap()), "the call never noticed");
    assert!(allowed(&check(&world, running, "again", "read 1990-05-05").await), "nor did its connection");
}

#[tokio::test]
async fn who_is_slow_to_shake_hands_keeps_nobody_waiting() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let settings = tls::settings(directory.path(), &authority, None);
    let set = |all: &mut idgate::config::Settings| {
        (all.server.tls, all.server.handshake_seconds, all.server.connections) = (settings, 2, 33);
    };
    let world = World::with(set, |_| {}).await;
    let mut slow = Vec::new();
    for n in 0..32 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // The beginning of a first message, or nothing.
        stream.write_all(&[22, 3, 1, 2, 0, 1, 0][..n % 8]).await.unwrap();
        slow.push(stream);
    }
    until(&world, "idgate_connections 32\n").await;
    served(&world, client(&authority, None)).await.expect("served while they are slow");
    let page = world.http("/metrics").await.1;
    assert!(!page.contains("reason=\"handshake\""), "none of them was given up for it: {page}");
    let mut one = [0];
    for mut stream in slow {
        assert!(matches!(stream.read(&mut one).await, Ok(0) | Err(_)), "closed");
    }
    until(&world, "idgate_connections_ended_total{reason=\"handshake\"} 32\n").await;
}

#[tokio::test]
async fn connections_are_bounded_before_hands_are_shaken() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let settings = tls::settings(directory.path(), &authority, None);
    let set = |all: &mut idgate::config::Settings| (all.server.tls, all.server.connections) = (settings, 1);
    let world = World::with(set, |_| {}).await;
    let _silent = TcpStream::connect(world.address).await.unwrap();
    until(&world, "idgate_connections 1\n").await;
    connect(world.address, client(&authority, None)).await.expect_err("one too many");
    until(&world, "idgate_connections_ended_total{reason=\"too_many\"} 1\n").await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_over_tls_and_finishes() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let mut world = start(tls::settings(directory.path(), &authority, None)).await;
    let stream = connect(world.address, client(&authority, None)).await.unwrap();
    let mut wire = Wire { stream }.begin(&[]).await;
    wire.until(frames::SETTINGS).await.unwrap();
    let channel = channel(world.address, client(&authority, None)).await.unwrap();
    let request = world.authorized(SHOP, ask("held", "held", "hold read 1990-05-05"));
    let held = tokio::spawn(async move { AgeGateServiceClient::new(channel).check_age(request).await });
    world.script.until_begun(1).await;
    world.stop();
    wire.until(frames::GOAWAY).await.expect("it is told");
    let ping = wire.until(frames::PING).await.unwrap();
    wire.send(&frames::frame(frames::PING, 1, 0, &ping.payload)).await.unwrap();
    wire.closed().await;
    world.script.let_go();
    assert!(allowed(&held.await.unwrap().map(tonic::Response::into_inner)));
    world.ended().await.unwrap();
}

#[tokio::test]
async fn nothing_leaves_this_machine_in_the_clear_unless_it_was_said() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let world = World::start().await;
    let public = SocketAddr::from(([0, 0, 0, 0], 0));
    let mapped: SocketAddr = "[::ffff:10.0.0.1]:0".parse().unwrap();
    type Set<'a> = &'a dyn Fn(&mut server::Settings);
    let with = |set: Set<'_>| {
        let mut settings = world.settings.clone();
        set(&mut settings.server);
        settings
    };
    let refused = [
        with(&|server| server.listen = public),
        with(&|server| server.listen = "[::]:0".parse().unwrap()),
        with(&|server| server.listen = mapped),
        with(&|server| (server.listen, server.public_admin) = (public, true)),
        with(&|server| server.admin = public),
        with(&|server| (server.admin, server.public_plain_text) = (public, true)),
    ];
    for settings in refused {
        let bound = server::bind(settings.server.clone(), Arc::clone(&world.app)).await.map(drop);
        assert!(matches!(bound, Err(ServeError::Unfit(Unfit::PlainText(_) | Unfit::Admin(_)))), "{bound:?}");
        assert!(matches!(config::check(&settings), Err(config::OpenError::Unfit(_))), "and a check says so");
    }
    let tls = tls::settings(directory.path(), &authority, None);
    let accepted = [
        with(&|server| (server.listen, server.public_plain_text) = (public, true)),
        with(&|server| (server.listen, server.tls) = (public, tls.clone())),
        with(&|server| (server.admin, server.public_admin) = (public, true)),
        with(&|server| server.listen = "[::ffff:127.0.0.1]:0".parse().unwrap()),
    ];
    for settings in accepted {
        server::bind(settings.server, Arc::clone(&world.app)).await.map(drop).unwrap();
    }
    let broken = with(&|server| server.tls.certificate = "nowhere.pem".into());
    assert!(matches!(config::check(&broken), Err(config::OpenError::Unfit(Unfit::Tls(_)))));
    let bound = server::bind(broken.server, Arc::clone(&world.app)).await.map(drop);
    assert!(matches!(bound, Err(ServeError::Unfit(Unfit::Tls(_)))), "{bound:?}");
}

#[tokio::test]
async fn a_connection_that_is_told_nothing_for_long_is_asked_over_tls_too() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let settings = tls::settings(directory.path(), &authority, None);
    let set = |all: &mut idgate::config::Settings| (all.server.tls, all.server.keepalive_seconds) = (settings, 1);
    let world = World::with(set, |_| {}).await;
    let stream = connect(world.address, client(&authority, None)).await.unwrap();
    let mut wire = Wire { stream }.begin(&[]).await;
    let asked = tokio::time::timeout(Duration::from_secs(20), wire.until(frames::PING)).await;
    assert!(asked.unwrap().is_some());
}
