//! Going down without losing a call: the notice, GOAWAY, and rolling restarts under load.
//!
//! The clients honour GOAWAY as gRPC asks: a call that the server says it never began is sent again, unseen by whoever
//! made it, and no other is.

use crate::support::frames::{self, Wire, frame};
use crate::support::{SHOP, World, ask};
use idgate::config::Settings;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::{CheckAgeRequest, GetDecisionRequest};
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

/// A load balancer: passes connections on to servers that say that they serve, in turn.
struct Balancer {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
    tasks: JoinSet<()>,
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, backends) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<SocketAddr>>>::default());
        let (known, mut tasks) = (Arc::clone(&backends), JoinSet::new());
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            for turn in 0usize.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let backend = {
                    let known = known.lock().unwrap();
                    known[turn % known.len()]
                };
                pipes.spawn(async move {
                    let mut server = TcpStream::connect(backend).await.expect("it says that it serves");
                    client.set_nodelay(true).unwrap();
                    server.set_nodelay(true).unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { address, backends, tasks }
    }

    /// Passes connections on to this server too, until it says that it stops.
    async fn add(&mut self, world: &World) {
        let (address, backends) = (world.address, Arc::clone(&self.backends));
        let mut health = HealthClient::new(world.channel.clone());
        let mut states = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(states.message().await.unwrap().unwrap().status, SERVING);
        backends.lock().unwrap().push(address);
        self.tasks.spawn(async move {
            while states.message().await.is_ok_and(|told| told.is_some_and(|told| told.status == SERVING)) {}
            backends.lock().unwrap().retain(|known| *known != address);
        });
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    again: AtomicUsize,
    failed: Mutex<Vec<Status>>,
    over: AtomicBool,
}

/// Whether the server never began this call, as the client's own library tells: it was never sent, or the server has
/// said so with GOAWAY or REFUSED_STREAM.
fn never_begun(status: &Status) -> bool {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_canceled()
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let away = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
            return away || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        next = error.source();
    }
    false
}

/// One client: calls without a pause, each other call a check of its own.
struct Client {
    age_gate: AgeGateServiceClient<Channel>,
    bearer: AsciiMetadataValue,
    decided: String,
    seen: Arc<Seen>,
}

impl Client {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    async fn check(&self, ask: &CheckAgeRequest) -> Result<(), Status> {
        let answer = self.age_gate.clone().check_age(self.request(ask.clone())).await?.into_inner();
        assert!(matches!(answer.outcome, Some(Outcome::Allowed(_))), "{answer:?}");
        Ok(())
    }

    async fn look(&self) -> Result<(), Status> {
        let ask = GetDecisionRequest { decision_id: self.decided.clone() };
        self.age_gate.clone().get_decision(self.request(ask)).await.map(drop)
    }

    async fn run(self, name: usize) {
        for n in 0.. {
            if self.seen.over.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{name}-{n}");
            let ask = ask(&key, &key, "read 1990-05-05");
            let called = loop {
                let called = if n % 2 == 0 { self.check(&ask).await } else { self.look().await };
                match called {
                    Err(status) if never_begun(&status) => drop(self.seen.again.fetch_add(1, Ordering::Relaxed)),
                    called => break called,
                }
            };
            self.seen.calls.fetch_add(1, Ordering::Relaxed);
            if let Err(status) = called {
                self.seen.failed.lock().unwrap().push(status);
            }
        }
    }
}

const ROUNDS: usize = 6;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_under_load_lose_no_call() {
    let open = |settings: &mut Settings| {
        settings.server.drain_notice_seconds = 1;
        settings.checks.relying_party_attempts = 0;
        settings.ocr.queue = 1000;
    };
    let first = World::with(open, |_| {}).await;
    let decided = first.check(ask("s", "k", "read 1990-05-05")).await.unwrap().decision_id;
    let bearer = first.authorized(SHOP, ()).metadata().get("authorization").unwrap().clone();
    let second = first.replica(|_| {}).await;
    let mut balancer = Balancer::start().await;
    balancer.add(&first).await;
    balancer.add(&second).await;

    let seen = Arc::<Seen>::default();
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    for name in 0..CLIENTS {
        let channel = Endpoint::from_shared(format!("http://{}", balancer.address)).unwrap().connect_lazy();
        let age_gate = AgeGateServiceClient::new(channel);
        let client = Client { age_gate, bearer: bearer.clone(), decided: decided.clone(), seen: Arc::clone(&seen) };
        clients.push(tokio::spawn(client.run(name)));
    }
    let mut serving = vec![first, second];
    for _ in 0..ROUNDS {
        let next = serving[1].replica(|_| {}).await;
        balancer.add(&next).await;
        serving.push(next);
        let mut old = serving.remove(0);
        old.stop();
        old.ended().await.expect("every call finished in time");
    }
    seen.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let (calls, again) = (seen.calls.load(Ordering::Relaxed), seen.again.load(Ordering::Relaxed));
    let failed = seen.failed.lock().unwrap();
    println!(
        "rolling restarts: {ROUNDS}, clients: {CLIENTS}, calls: {calls}, failed: {}, sent again unbegun: {again}",
        failed.len()
    );
    assert!(failed.is_empty(), "{:?}", failed.first());
    assert!(calls >= ROUNDS * CLIENTS, "a test without load shows nothing: {calls}");
}

#[tokio::test]
async fn told_to_stop_the_server_goes_on_until_load_balancers_have_heard_of_it() {
    let mut world = World::with(|settings| settings.server.drain_notice_seconds = 2, |_| {}).await;
    let mut health = HealthClient::new(world.channel.clone());
    let mut states = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status, SERVING);
    world.stop();
    assert_eq!(states.message().await.unwrap().unwrap().status, NOT_SERVING);
    assert_eq!(world.http("/readyz").await.0, 503);
    world.check(ask("a", "a", "read 1990-05-05")).await.expect("on an old connection");
    let channel = Endpoint::from_shared(format!("http://{}", world.address)).unwrap().connect().await.unwrap();
    let mut client = AgeGateServiceClient::new(channel);
    client.check_age(world.authorized(SHOP, ask("b", "b", "read 1990-05-05"))).await.expect("and on a new one");
    states.message().await.expect_err("in the end it stops");
    drop((states, client));
    world.ended().await.unwrap();
}

#[tokio::test]
async fn a_call_that_was_sent_before_goaway_arrived_is_answered() {
    let mut world = World::start().await;
    let decided = world.check(ask("s", "k", "read 1990-05-05")).await.unwrap().decision_id;
    let bearer = world.authorized(SHOP, ()).metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let mut wire = Wire::open(world.address, &[]).await;
    wire.until(frames::SETTINGS).await.unwrap();
    world.stop();
    let goaway = wire.until(frames::GOAWAY).await.expect("the first, which refuses nothing");
    assert_eq!(goaway.payload[..4], i32::MAX.to_be_bytes());
    let ping = wire.until(frames::PING).await.expect("asks whether it was seen");
    // It was not: a call is on its way.
    wire.send(&frames::unary(
        1,
        "/idgate.v1.AgeGateService/GetDecision",
        &bearer,
        &GetDecisionRequest { decision_id: decided },
    ))
    .await
    .unwrap();
    wire.until(frames::HEADERS).await.expect("an answer");
    wire.until(frames::DATA).await.expect("with a decision");
    const ACK: u8 = 1;
    wire.send(&frame(frames::PING, ACK, 0, &ping.payload)).await.unwrap();
    let goaway = wire.until(frames::GOAWAY).await.expect("the second, which names the last call");
    assert_eq!(goaway.payload[..4], 1u32.to_be_bytes());
    wire.closed().await;
    world.ended().await.unwrap();
}
