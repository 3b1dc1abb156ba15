//! Under load and at the end: the queue's bound, deadlines, callers who leave, the byte budget, and the drain.

use crate::support::{SHOP, Wilful, World, ask, assert_retry_later, reason};
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::key_service_client::KeyServiceClient;
use idgate::server::proto::{CheckAgeResponse, GetJwksRequest};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1;

type Call = JoinHandle<Result<CheckAgeResponse, Status>>;

/// Sends a check and does not wait for its answer.
fn send(world: &World, key: &str, image: &str) -> Call {
    send_within(world, key, image, None)
}

fn send_within(world: &World, key: &str, image: &str, timeout: Option<Duration>) -> Call {
    let mut client = world.age_gate();
    let mut request = world.authorized(SHOP, ask(key, key, image));
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    tokio::spawn(async move { client.check_age(request).await.map(|answer| answer.into_inner()) })
}

/// A server with one thread that reads and room for so many more.
async fn narrow(queue: usize) -> World {
    let narrow = |settings: &mut idgate::config::Settings| (settings.ocr.workers, settings.ocr.queue) = (1, queue);
    World::with(narrow, |_| {}).await
}

/// Waits until so many pictures wait for their turn.
async fn until_waiting(world: &World, count: usize) {
    let line = format!("idgate_reads_waiting {count}\n");
    while !world.http("/metrics").await.1.contains(&line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_picture_more_than_the_queue_holds_is_refused_at_once() {
    let world = narrow(1).await;
    let running = send(&world, "a", "hold read 1990-05-05");
    world.script.until_begun(1).await;
    let waiting = send(&world, "b", "read 1990-05-05");
    until_waiting(&world, 1).await;
    let refused = send(&world, "c", "read 1990-05-05").await.unwrap().unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "QUEUE_FULL");
    world.script.let_go();
    for call in [running, waiting] {
        assert!(matches!(call.await.unwrap().unwrap().outcome, Some(Outcome::Allowed(_))));
    }
    let again = send(&world, "c", "read 1990-05-05").await.unwrap();
    assert!(again.is_ok(), "a refusal leaves nothing behind: {again:?}");
}

#[tokio::test]
async fn two_hundred_calls_at_once_are_all_answered_or_refused() {
    let world = World::with(|settings| settings.checks.relying_party_attempts = 0, |_| {}).await;
    let calls: Vec<Call> = (0..200).map(|n| send(&world, &format!("key-{n}"), "read 1990-05-05")).collect();
    let (mut allowed, mut refused) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(answer) => allowed += usize::from(matches!(answer.outcome, Some(Outcome::Allowed(_)))),
            Err(status) => {
                assert_retry_later(&status, Code::ResourceExhausted, "QUEUE_FULL");
                refused += 1;
            }
        }
    }
    assert_eq!(allowed + refused, 200);
    assert!(allowed >= 1 && world.script.begun() == allowed);
}

#[tokio::test]
async fn a_call_whose_deadline_passes_while_it_waits_is_never_read() {
    let world = narrow(4).await;
    let running = send(&world, "a", "hold read 1990-05-05");
    world.script.until_begun(1).await;
    let late = send_within(&world, "b", "read 1990-05-05", Some(Duration::from_millis(50)));
    let status = late.await.unwrap().unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    world.script.let_go();
    running.await.unwrap().unwrap();
    send(&world, "c", "read 1990-05-05").await.unwrap().unwrap();
    assert_eq!(world.script.begun(), 2, "the queue is in order, so the late one had its turn and was passed over");
    send(&world, "b", "read 1990-05-05").await.unwrap().expect("and it can be sent again under its key");
}

#[tokio::test]
async fn a_caller_who_leaves_while_waiting_is_not_read_for() {
    let world = narrow(4).await;
    let running = send(&world, "a", "hold read 1990-05-05");
    world.script.until_begun(1).await;
    let leaving = send(&world, "b", "read 1990-05-05");
    until_waiting(&world, 1).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    // The server has seen the caller leave once it answers something sent after that on the same connection.
    let mut keys = KeyServiceClient::new(world.channel.clone());
    keys.get_jwks(GetJwksRequest {}).await.unwrap();
    world.script.let_go();
    running.await.unwrap().unwrap();
    send(&world, "c", "read 1990-05-05").await.unwrap().unwrap();
    assert_eq!(world.script.begun(), 2);
}

#[tokio::test]
async fn calls_that_would_hold_too_much_together_are_refused() {
    let small = |settings: &mut idgate::config::Settings| {
        settings.server.image_bytes = 100_000;
        settings.server.bytes_in_flight = 300_000;
        settings.server.caller_percent = 100;
    };
    let world = World::with(small, |_| {}).await;
    let large = |verb: &str| format!("{verb}{}", ".".repeat(199_000));
    let holding = send(&world, "a", &large("hold read 1990-05-05"));
    world.script.until_begun(1).await;
    let refused = send(&world, "b", &large("read 1990-05-05")).await.unwrap().unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "BYTES_IN_FLIGHT");
    world.script.let_go();
    holding.await.unwrap().unwrap();
    send(&world, "b", &large("read 1990-05-05")).await.unwrap().expect("what was held is given back");
}

#[tokio::test]
async fn one_caller_cannot_hold_all_the_bytes_and_who_shows_no_token_holds_none() {
    let small = |settings: &mut idgate::config::Settings| {
        settings.server.image_bytes = 100_000;
        settings.server.bytes_in_flight = 400_000;
    };
    let world = World::with(small, |_| {}).await;
    let large = |verb: &str| format!("{verb}{}", ".".repeat(149_000));
    let holding = send(&world, "a", &large("hold read 1990-05-05"));
    world.script.until_begun(1).await;
    let refused = send(&world, "b", &large("read 1990-05-05")).await.unwrap().unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "CALLER_BYTES_IN_FLIGHT");
    world.script.let_go();
    world.check_as("another-shop", ask("b", "b", &large("read 1990-05-05"))).await.expect("its own share");
    holding.await.unwrap().unwrap();

    let mut questions = v1::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = questions.server_reflection_info(receiver).await.unwrap().into_inner();
    sender.send(list_services(3_000)).await.unwrap();
    answers.message().await.unwrap().expect("an answer to a question of a sensible size");
    assert!(world.http("/metrics").await.1.contains("idgate_images_held_bytes 0"), "nothing of it is counted");
    sender.send(list_services(5_000)).await.unwrap();
    assert!(!matches!(answers.message().await, Ok(Some(_))), "and to no other");
}

/// A question to reflection of about this many bytes.
fn list_services(bytes: usize) -> v1::ServerReflectionRequest {
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    v1::ServerReflectionRequest { host: "h".repeat(bytes), message_request: Some(list) }
}

#[tokio::test]
async fn streams_that_nobody_ends_do_not_hold_up_the_end() {
    let mut world = World::with(|settings| settings.server.drain_seconds = 5, |_| {}).await;
    let mut health = HealthClient::new(world.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    let mut questions = v1::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = questions.server_reflection_info(receiver).await.unwrap().into_inner();
    sender.send(list_services(1)).await.unwrap();
    answers.message().await.unwrap().unwrap();

    world.stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2, "what there was to say was said");
    for status in [watch.message().await.unwrap_err(), answers.message().await.unwrap_err()] {
        assert_retry_later(&status, Code::Unavailable, "SHUTTING_DOWN");
    }
    world.ended().await.expect("ended in time, with the streams still in the caller's hands");
    drop((watch, answers, sender));
}

#[tokio::test]
async fn a_stream_that_nobody_ends_is_ended() {
    let world = World::with(|settings| settings.server.stream_seconds = 1, |_| {}).await;
    let mut health = HealthClient::new(world.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    let mut questions = v1::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = questions.server_reflection_info(receiver).await.unwrap().into_inner();
    sender.send(list_services(1)).await.unwrap();
    answers.message().await.unwrap().unwrap();
    for status in [watch.message().await.unwrap_err(), answers.message().await.unwrap_err()] {
        assert_retry_later(&status, Code::Unavailable, "STREAM_OVER");
    }
    health.check(HealthCheckRequest::default()).await.expect("the connection is none the worse");
}

#[tokio::test]
async fn health_says_when_the_store_fails_and_when_it_is_back() {
    let place = Arc::new(Mutex::new(None::<Arc<Wilful>>));
    let store = Arc::clone(&place);
    let world = World::with(
        |_| {},
        move |app| {
            let wilful = Arc::new(Wilful::new(Arc::clone(&app.store), usize::MAX));
            *store.lock().unwrap() = Some(Arc::clone(&wilful));
            app.store = wilful;
        },
    )
    .await;
    let store = place.lock().unwrap().take().unwrap();
    let mut health = HealthClient::new(world.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    store.feel(true);
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    assert_eq!(world.http("/readyz").await.0, 503);
    let keys = HealthCheckRequest { service: "idgate.v1.KeyService".to_owned() };
    assert_eq!(health.check(keys).await.unwrap().into_inner().status, 1, "keys need no store");
    store.feel(false);
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    assert_eq!(world.http("/readyz").await.0, 200);
}

#[tokio::test]
async fn told_to_stop_the_server_says_so_and_finishes_what_is_running() {
    let mut world = narrow(4).await;
    let running = send(&world, "a", "hold read 1990-05-05");
    world.script.until_begun(1).await;
    let waiting = send(&world, "b", "read 1990-05-05");
    until_waiting(&world, 1).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    let watch = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let mut states = health.watch(watch).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status, 1);

    world.stop();
    assert_eq!(states.message().await.unwrap().unwrap().status, 2, "not serving");
    drop(states);
    // No new connections any more. Calls on an old one: see `drain`.
    let endpoint = Channel::from_shared(format!("http://{}", world.address)).unwrap();
    while endpoint.connect().await.is_ok() {}
    world.script.let_go();
    for call in [running, waiting] {
        assert!(
            matches!(call.await.unwrap().unwrap().outcome, Some(Outcome::Allowed(_))),
            "what was begun is finished"
        );
    }
    world.ended().await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let mut world = World::with(|settings| settings.server.drain_seconds = 0, |_| {}).await;
    let running = send(&world, "a", "hold read 1990-05-05");
    world.script.until_begun(1).await;
    world.stop();
    let script = std::sync::Arc::clone(&world.script);
    assert!(matches!(world.ended().await, Err(idgate::server::ServeError::CutOff)));
    script.let_go();
    drop(running);
}

#[tokio::test]
async fn a_message_over_its_limit_is_refused() {
    let world = World::with(|settings| settings.server.message_bytes = 1000, |_| {}).await;
    let refused = world.check(ask("s", "k", &".".repeat(2000))).await.unwrap_err();
    assert_eq!((refused.code(), world.script.begun()), (Code::InvalidArgument, 0));
    let fits = world.check(ask("s", "k", "")).await;
    assert!(fits.is_err_and(|status| reason(&status) == "INTERNAL"), "the script knows no empty picture");
}
