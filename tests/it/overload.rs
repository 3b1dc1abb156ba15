//! Too much of everything: noisy callers, short deadlines, slow senders and readers, and connections beyond their limits.

use crate::support::frames::{self, Wire, frame};
use crate::support::{SHOP, World, ask, assert_retry_later, reason};
use idgate::config::Settings;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::{
    self, CheckAgeRequest, CheckAgeResponse, CheckAgeStreamHeader, CheckAgeStreamRequest, GetDecisionRequest,
    check_age_request::Evidence,
};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

type Call = JoinHandle<Result<CheckAgeResponse, Status>>;

/// Sends a check and does not wait for its answer. Its picture says its key.
fn send(world: &World, party: &str, key: &str, within: Option<Duration>) -> Call {
    send_picture(world, party, key, &format!("as {key} read 1990-05-05"), within)
}

fn send_picture(world: &World, party: &str, key: &str, picture: &str, within: Option<Duration>) -> Call {
    let mut client = world.age_gate();
    let mut request = world.authorized(party, ask(key, key, picture));
    if let Some(within) = within {
        request.set_timeout(within);
    }
    tokio::spawn(async move { client.check_age(request).await.map(|answer| answer.into_inner()) })
}

/// A server with one thread that reads and room for so many more.
async fn narrow(queue: usize, set: impl FnOnce(&mut Settings)) -> World {
    let narrow = |settings: &mut Settings| {
        (settings.ocr.workers, settings.ocr.queue) = (1, queue);
        settings.checks.relying_party_attempts = 0;
        set(settings);
    };
    World::with(narrow, |_| {}).await
}

/// Waits until a line of the metrics says so.
async fn until(world: &World, line: &str) {
    while !world.http("/metrics").await.1.lines().any(|told| told == line) {
        tokio::task::yield_now().await;
    }
}

fn allowed(answer: &CheckAgeResponse) -> bool {
    matches!(answer.outcome, Some(Outcome::Allowed(_)))
}

#[tokio::test]
async fn a_noisy_caller_keeps_nobody_else_from_being_read_in_turn() {
    let world = narrow(16, |_| {}).await;
    let first = send_picture(&world, "noisy", "first", "hold read 1990-05-05", None);
    world.script.until_begun(1).await;
    let noisy: Vec<Call> = (0..100).map(|n| send(&world, "noisy", &format!("noisy-{n}"), None)).collect();
    until(&world, "idgate_refusals_total{reason=\"queue_full\"} 84").await;
    until(&world, "idgate_reads_waiting 16").await;

    let quiet: Vec<Call> = (0..3).map(|n| send(&world, "quiet", &format!("quiet-{n}"), None)).collect();
    until(&world, "idgate_refusals_total{reason=\"displaced\"} 3").await;
    until(&world, "idgate_reads_waiting 16").await;
    world.script.let_go();
    for call in quiet {
        assert!(allowed(&call.await.unwrap().expect("the quiet caller is never refused")));
    }
    assert!(allowed(&first.await.unwrap().expect("what was begun is finished")));
    let mut read = 0;
    for call in noisy {
        match call.await.unwrap() {
            Ok(_) => read += 1,
            Err(status) => assert_retry_later(&status, Code::ResourceExhausted, "QUEUE_FULL"),
        }
    }
    assert_eq!(read, 13, "all places but three");
    let order = world.script.order();
    assert_eq!(order.len(), 1 + 3 + 13, "who was displaced was not read: {order:?}");
    let turns = order.iter().enumerate().filter(|(_, words)| words.starts_with("as quiet"));
    for (n, (turn, _)) in turns.enumerate() {
        assert!(turn <= 2 * (n + 1), "every second turn is the quiet caller's: {order:?}");
    }
    let again = send(&world, "noisy", "noisy-99", None).await.unwrap();
    assert!(allowed(&again.expect("a refusal leaves nothing behind")));
}

#[tokio::test]
async fn places_are_shared_as_configured() {
    let world = narrow(7, |settings| {
        settings.ocr.weights = [("heavy".parse().unwrap(), 3.try_into().unwrap())].into();
    })
    .await;
    let first = send_picture(&world, "light", "first", "hold read 1990-05-05", None);
    world.script.until_begun(1).await;
    let light: Vec<Call> = (0..7).map(|n| send(&world, "light", &format!("light-{n}"), None)).collect();
    until(&world, "idgate_reads_waiting 7").await;
    let heavy: Vec<Call> = (0..8).map(|n| send(&world, "heavy", &format!("heavy-{n}"), None)).collect();
    until(&world, "idgate_refusals_total{reason=\"displaced\"} 6").await;
    until(&world, "idgate_refusals_total{reason=\"queue_full\"} 2").await;
    world.script.let_go();
    let mut read = [0, 0];
    for (of, calls) in read.iter_mut().zip([light, heavy]) {
        for call in calls {
            *of += usize::from(call.await.unwrap().is_ok());
        }
    }
    first.await.unwrap().unwrap();
    assert_eq!(read, [1, 6], "of eight places, with the one that ran, two and six");
}

#[tokio::test]
async fn what_cannot_be_read_before_its_deadline_is_refused_at_once() {
    let world = narrow(9, |_| {}).await;
    send_picture(&world, SHOP, "slow", "take 300 read 1990-05-05", None).await.unwrap().unwrap();
    let running = send_picture(&world, SHOP, "first", "hold read 1990-05-05", None);
    world.script.until_begun(2).await;
    let waiting: Vec<Call> = (0..4).map(|n| send(&world, SHOP, &format!("waiting-{n}"), None)).collect();
    until(&world, "idgate_reads_waiting 4").await;
    // Four before it, of 300 ms at least.
    let refused = send(&world, SHOP, "short", Some(Duration::from_secs(1))).await.unwrap().unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "DEADLINE_TOO_SHORT");
    let patient = send(&world, SHOP, "patient", None);
    until(&world, "idgate_reads_waiting 5").await;
    world.script.let_go();
    for call in waiting.into_iter().chain([running, patient]) {
        assert!(allowed(&call.await.unwrap().unwrap()));
    }
    assert!(!world.script.order().iter().any(|words| words.contains("short")));
    assert!(world.http("/metrics").await.1.contains("idgate_refusals_total{reason=\"no_time\"} 1"));
    send(&world, SHOP, "short", None).await.unwrap().expect("and it can be sent again under its key");
}

/// The first message of a stream.
fn header(key: &str, image_bytes: u64) -> CheckAgeStreamRequest {
    let header = CheckAgeStreamHeader {
        subject_ref: key.to_owned(),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: key.to_owned(),
        language: String::new(),
        image_bytes,
    };
    CheckAgeStreamRequest { part: Some(Part::Header(header)) }
}

fn chunk(bytes: usize) -> CheckAgeStreamRequest {
    CheckAgeStreamRequest { part: Some(Part::Chunk(vec![b'.'; bytes])) }
}

/// Begins to send a picture in pieces. It ends when the sender is dropped.
fn begin(world: &World) -> (Sender<CheckAgeStreamRequest>, JoinHandle<Result<(), Status>>) {
    let (sender, parts) = channel(1);
    let request = world.authorized_stream(SHOP, ReceiverStream::new(parts));
    let mut client = world.age_gate();
    (sender, tokio::spawn(async move { client.check_age_stream(request).await.map(drop) }))
}

#[tokio::test]
async fn a_picture_that_would_not_be_read_is_not_received() {
    let world = narrow(0, |_| {}).await;
    let running = send_picture(&world, SHOP, "first", "hold read 1990-05-05", None);
    world.script.until_begun(1).await;
    let (sender, call) = begin(&world);
    sender.send(header("stream", 1_000_000)).await.unwrap();
    sender.send(chunk(20_000)).await.unwrap();
    let refused = call.await.unwrap().unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "QUEUE_FULL");
    drop(sender);

    // What carries no picture is small, and is answered whether or not pictures are read.
    let declared = CheckAgeRequest {
        evidence: Some(Evidence::DeclaredBirthDate("2020-01-01".to_owned())),
        ..ask("child", "declared", "")
    };
    world.check(declared).await.unwrap();
    world.script.let_go();
    assert!(allowed(&running.await.unwrap().unwrap()));
}

#[tokio::test]
async fn a_sender_that_stops_is_refused_and_holds_nothing_any_more() {
    let world = narrow(4, |settings| settings.server.slow_seconds = 1).await;
    let (sender, call) = begin(&world);
    sender.send(header("stream", 1_000_000)).await.unwrap();
    sender.send(chunk(100_000)).await.unwrap();
    let refused = call.await.unwrap().unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "SENDER_TOO_SLOW"));
    assert!(!sender.is_closed() || sender.send(chunk(1)).await.is_err(), "the sender had not ended it");
    until(&world, "idgate_images_held_bytes 0").await;
    until(&world, "idgate_refusals_total{reason=\"too_slow\"} 1").await;
    assert!(allowed(&send(&world, SHOP, "next", None).await.unwrap().unwrap()), "the connection is none the worse");
}

#[tokio::test]
async fn a_sender_that_trickles_is_refused() {
    let slow = |settings: &mut Settings| {
        settings.server.slow_seconds = 1;
        settings.server.slow_bytes_per_second = 1_000_000;
    };
    let world = narrow(4, slow).await;
    let (sender, call) = begin(&world);
    sender.send(header("stream", 1_000_000)).await.unwrap();
    let mut every = tokio::time::interval(Duration::from_millis(20));
    let mut sent = 0;
    while sender.send(chunk(1)).await.is_ok() {
        sent += 1;
        assert!(sent < 10_000, "nobody stops it");
        every.tick().await;
    }
    let refused = call.await.unwrap().unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "SENDER_TOO_SLOW"));
}

/// Whether the server takes this connection: it answers with its settings.
async fn served(wire: &mut Wire) -> bool {
    let begun =
        wire.send(frames::PREFACE).await.is_ok() && wire.send(&frame(frames::SETTINGS, 0, 0, &[])).await.is_ok();
    begun && wire.next().await.is_some_and(|frame| frame.kind == frames::SETTINGS)
}

#[tokio::test]
async fn connections_are_bounded_and_given_back() {
    let world = narrow(4, |settings| settings.server.connections = 2).await;
    let second = Wire::open(world.address, &[]).await;
    until(&world, "idgate_connections 2").await;
    let mut third = Wire::silent([127, 0, 0, 1], world.address).await;
    assert!(!served(&mut third).await, "one more is closed");
    until(&world, "idgate_connections_ended_total{reason=\"too_many\"} 1").await;
    drop(second);
    until(&world, "idgate_connections 1").await;
    let mut again = Wire::silent([127, 0, 0, 1], world.address).await;
    assert!(served(&mut again).await);
    assert!(allowed(&send(&world, SHOP, "a", None).await.unwrap().unwrap()), "the first one never noticed");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let world = narrow(4, |settings| settings.server.connections_per_address = 2).await;
    let _second = Wire::open(world.address, &[]).await;
    until(&world, "idgate_connections 2").await;
    let mut third = Wire::silent([127, 0, 0, 1], world.address).await;
    assert!(!served(&mut third).await);
    until(&world, "idgate_connections_ended_total{reason=\"too_many_of_address\"} 1").await;
    let mut other = Wire::silent([127, 0, 0, 2], world.address).await;
    assert!(served(&mut other).await, "another address has its own");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let world = narrow(4, |settings| settings.server.handshake_seconds = 1).await;
    let silent = Wire::silent([127, 0, 0, 1], world.address).await;
    let mut halting = Wire::silent([127, 0, 0, 1], world.address).await;
    halting.send(&frames::PREFACE[..10]).await.unwrap();
    silent.closed().await;
    halting.closed().await;
    until(&world, "idgate_connections_ended_total{reason=\"handshake\"} 2").await;
    assert!(allowed(&send(&world, SHOP, "a", None).await.unwrap().unwrap()), "who has shown itself stays");
}

#[tokio::test]
async fn a_silent_connection_is_asked_whether_it_lives() {
    let world = narrow(4, |settings| settings.server.keepalive_seconds = 1).await;
    let mut wire = Wire::open(world.address, &[]).await;
    let ping = wire.until(frames::PING).await.expect("a ping");
    assert_eq!(ping.flags, 0, "it asks, it does not answer");
}

#[tokio::test]
async fn an_old_connection_is_told_to_end_and_one_that_does_not_is_cut_off() {
    let short = |settings: &mut Settings| {
        settings.server.connection_seconds = 1;
        (settings.server.call_seconds, settings.server.stream_seconds) = (1, 1);
    };
    let world = narrow(4, short).await;
    let decided = world.check(ask("s", "k", "read 1990-05-05")).await.unwrap().decision_id;
    // A client that lets no byte of an answer through, and so never ends its call.
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut wire = Wire::open(world.address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let bearer = world.authorized(SHOP, ()).metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let ask = GetDecisionRequest { decision_id: decided };
    wire.send(&frames::unary(1, "/idgate.v1.AgeGateService/GetDecision", &bearer, &ask)).await.unwrap();
    wire.until(frames::HEADERS).await.expect("the head of the answer");
    wire.until(frames::GOAWAY).await.expect("its age is told");
    wire.closed().await;
    until(&world, "idgate_connections_ended_total{reason=\"age\"} 1").await;
}

#[tokio::test]
async fn a_connection_that_takes_nothing_of_what_is_sent_is_closed() {
    let world = narrow(4, |settings| settings.server.slow_seconds = 1).await;
    let mut wire = Wire::open(world.address, &[]).await;
    // Each is answered, and no answer is read.
    let pings = frame(frames::PING, 0, 0, &[0; 8]).repeat(10_000);
    while wire.send(&pings).await.is_ok() {}
    until(&world, "idgate_connections_ended_total{reason=\"stalled\"} 1").await;
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let world = narrow(4, |_| {}).await;
    let mut wire = Wire::open(world.address, &[]).await;
    let headers = frames::call("/grpc.health.v1.Health/Check", None);
    let mut flood = Vec::new();
    for stream in (1..4001).step_by(2) {
        flood.extend(frame(frames::HEADERS, frames::END_HEADERS, stream, &headers));
        const CANCEL: [u8; 4] = [0, 0, 0, 8];
        flood.extend(frame(frames::RST_STREAM, 0, stream, &CANCEL));
    }
    wire.send(&flood).await.ok(); // it may be closed before all of it is sent
    let goaway = wire.until(frames::GOAWAY).await.expect("a reason");
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
    assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
    wire.closed().await;
    let mut health = HealthClient::new(world.channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("others never noticed");
}

#[tokio::test]
async fn headers_beyond_their_limit_are_refused() {
    let world = narrow(4, |_| {}).await;
    let mut request = world.authorized(SHOP, ask("s", "k", "read 1990-05-05"));
    request.metadata_mut().insert("x-large", "a".repeat(40_000).parse().unwrap());
    world.age_gate().check_age(request).await.unwrap_err();
    assert_eq!(world.script.begun(), 0);
    let mut request = world.authorized(SHOP, ask("s", "k", "read 1990-05-05"));
    request.metadata_mut().insert("x-large", "a".repeat(10_000).parse().unwrap());
    assert!(allowed(&world.age_gate().check_age(request).await.unwrap().into_inner()));
}
