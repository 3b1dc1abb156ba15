//! GetDecision, GetConsent and RedeemProof on Redis, beside a bare service that takes the same requests, does one GET on
//! the same Redis, and gives the same answers, over the same transport, in one run: how much of a call is ours.
//!
//! `cargo run --release --example bench_redis -- [calls] [at once] [connections] [line]`: starts a `redis-server` of its own (one that syncs
//! once a second), rounds alternate between the two, and the median of the rounds' ratios is printed. A line (0 to 4; 5 to 9
//! for the bare service beside it) is measured alone, and nothing beside it: for a profiler.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "support/mod.rs"]
mod support;

use idgate::server::proto;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use prost::Message;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncTypedCommands as _, IntoConnectionInfo as _};
use std::convert::Infallible;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use support::{Caller, answerable, connect, decision, make, print, rate, serve};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

const ROUNDS: usize = 7;
/// From this number on the bare services stand among what can be measured alone.
const BARE: usize = 5;
/// One RPC of idgate's.
trait Rpc: Send + Sync + 'static {
    type Request: Message + Default + 'static;
    type Answer: Message + Default + Clone + 'static;
    const SERVICE: &'static str;
    /// The letter of the record that it reads, as the store names it (`store::Space`).
    const READS: char;
}

macro_rules! rpc {
    ($name:ident, $service:literal, $reads:literal, $request:ident, $answer:ident) => {
        struct $name;
        impl Rpc for $name {
            type Request = proto::$request;
            type Answer = proto::$answer;
            const SERVICE: &'static str = $service;
            const READS: char = $reads;
        }
    };
}

rpc!(GetDecision, "idgate.v1.AgeGateService", 'd', GetDecisionRequest, GetDecisionResponse);
rpc!(GetConsent, "idgate.v1.ConsentService", 'c', GetConsentRequest, GetConsentResponse);
rpc!(RedeemProof, "idgate.v1.RightsService", 'q', RedeemProofRequest, RedeemProofResponse);

/// The same RPC, bare: takes the request, does one GET of a value as large as the record, and gives always the same answer,
/// which idgate gave before.
struct Bare<R: Rpc> {
    redis: MultiplexedConnection,
    /// The name of the value, which is also its size.
    name: usize,
    answer: Arc<R::Answer>,
}

impl<R: Rpc> Clone for Bare<R> {
    fn clone(&self) -> Self {
        Self { redis: self.redis.clone(), name: self.name, answer: Arc::clone(&self.answer) }
    }
}

impl<R: Rpc> UnaryService<R::Request> for Bare<R> {
    type Response = R::Answer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R::Answer>, Status>> + Send>>;

    fn call(&mut self, request: Request<R::Request>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let value: Vec<u8> = redis::cmd("GET").arg(this.name).query_async(&mut this.redis).await.unwrap();
            assert_eq!(value.len(), this.name);
            drop(request);
            Ok(Response::new(R::Answer::clone(&this.answer)))
        })
    }
}

impl<R: Rpc> NamedService for Bare<R> {
    const NAME: &'static str = R::SERVICE;
}

impl<R: Rpc> Service<http::Request<Body>> for Bare<R> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(this, request).await) })
    }
}

/// Serves an RPC bare, for the same caller.
async fn bare<R: Rpc>(redis: &MultiplexedConnection, caller: &Caller, answer: R::Answer) -> Caller {
    let mut redis = redis.clone();
    let name = size_of(&mut redis, R::READS).await;
    let () = redis::cmd("SET").arg(name).arg("x".repeat(name)).query_async(&mut redis).await.unwrap();
    println!("{}: a record of {name} bytes, an answer of {}", R::SERVICE, answer.encoded_len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Server::builder().add_service(Bare::<R> { redis, name, answer: Arc::new(answer) });
    tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Caller { channel: connect(address).await, bearer: caller.bearer.clone() }
}

/// The size of a record of this kind.
async fn size_of(connection: &mut MultiplexedConnection, letter: char) -> usize {
    let names = connection.keys(format!("idgate:*:{letter}:*")).await.unwrap();
    connection.strlen(names.first().expect("one was made")).await.unwrap()
}

/// A server that ends with the benchmark.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn proof(caller: Caller, n: usize, single_use: bool) -> String {
    let ask = proto::OpenRequestRequest {
        subject_ref: format!("person-{n}"),
        right: proto::Right::OptOut.into(),
        jurisdiction: "US-CA".to_owned(),
        acting_as: proto::ActingAs::Self_.into(),
        single_use,
        idempotency_key: format!("open-{single_use}-{n}"),
        ..Default::default()
    };
    let opened = RightsServiceClient::new(caller.channel.clone()).open_request(caller.request(ask)).await.unwrap();
    opened.into_inner().proof.expect("an opt-out needs no proof").token
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (calls, at_once) = (arguments.next().unwrap_or(2000), arguments.next().unwrap_or(64));
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "everysec", "--dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server must be installed");
    let _server = Redis(server);
    let url = format!("redis://127.0.0.1:{port}/0");
    let info = url.as_str().into_connection_info().unwrap().set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let client = redis::Client::open(info).unwrap();
    let connection = loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => break connection,
            Err(_) => sleep_until(Instant::now() + Duration::from_millis(50)).await,
        }
    };
    let caller = serve(directory.path(), |settings| {
        settings.store.redis.urls = vec![url];
        settings.store.redis.connections = arguments.next().unwrap_or(settings.store.redis.connections);
    });
    let caller = caller.await;
    let alone = arguments.next();
    let decisions = make(at_once, at_once, |n| {
        let caller = caller.clone();
        async move { decision(&caller, n).await }
    });
    let decisions: Vec<_> = decisions.await.into_iter().cycle().take(calls).collect();
    let consent = |n| {
        let caller = caller.clone();
        async move { answerable(caller, n).await.consent_id }
    };
    let again = make(at_once, at_once, |n| consent(at_once + n)).await;
    let again: Vec<_> = again.iter().cycle().take(calls).cloned().collect();
    // Of those that are measured once each, as many as all rounds take.
    let wanted = |line: usize| alone.is_none_or(|alone| alone % BARE == line);
    let (new, single) = (if wanted(2) { calls * ROUNDS } else { 0 }, if wanted(4) { calls * ROUNDS } else { 0 });
    let new = make(new, at_once, |n| consent(2 * at_once + n)).await;
    let lasting = make(at_once, at_once, |n| proof(caller.clone(), n, false)).await;
    let lasting: Vec<_> = lasting.iter().cycle().take(calls).cloned().collect();
    let single = make(single, at_once, |n| proof(caller.clone(), n, true)).await;

    let bares = [
        bare::<GetDecision>(&connection, &caller, told(caller.clone(), decisions[0].clone()).await).await,
        bare::<GetConsent>(&connection, &caller, shown(caller.clone(), again[0].clone()).await).await,
        bare::<RedeemProof>(&connection, &caller, used(caller.clone(), lasting[0].clone()).await).await,
    ];

    println!("{calls} calls a round, {at_once} at once, {ROUNDS} rounds");
    let names = ["GetDecision", "GetConsent", "  first time", "RedeemProof", "  used once"];
    let mut table = names.map(|name| (name, Vec::new()));
    for round in 0..ROUNDS {
        let these = round * calls..(round + 1) * calls;
        // What is used up is not used again by the bare service, which does not look at it.
        let (new, single) = (new.get(these.clone()).unwrap_or_default(), single.get(these).unwrap_or_default());
        for (line, (_, ratios)) in table.iter_mut().enumerate() {
            let (ours, theirs) = (
                Some(&caller).filter(|_| alone.is_none_or(|alone| alone == line)),
                Some(&bares[[0, 1, 1, 2, 2][line]]),
            );
            let theirs = theirs.filter(|_| alone.is_none() || alone == Some(BARE + line));
            let mut rates = [f64::NAN; 2];
            // Each goes first in every other round.
            for turn in [round % 2, (round + 1) % 2] {
                let Some(to) = [ours, theirs][turn] else { continue };
                rates[turn] = match line {
                    0 => rate(&decisions, at_once, |id| told(to.clone(), id)).await,
                    1 => rate(&again, at_once, |id| shown(to.clone(), id)).await,
                    2 => rate(new, at_once, |id| shown(to.clone(), id)).await,
                    3 => rate(&lasting, at_once, |token| used(to.clone(), token)).await,
                    _ => rate(single, at_once, |token| used(to.clone(), token)).await,
                };
            }
            ratios.push((rates[0], rates[1]));
        }
    }
    print(
        &table
            .into_iter()
            .filter(|(_, rounds)| !rounds.iter().all(|(ours, theirs)| ours.is_nan() && theirs.is_nan()))
            .collect::<Vec<_>>(),
    );
}

async fn told(caller: Caller, decision_id: String) -> proto::GetDecisionResponse {
    let request = caller.request(proto::GetDecisionRequest { decision_id });
    AgeGateServiceClient::new(caller.channel.clone()).get_decision(request).await.unwrap().into_inner()
}

async fn shown(caller: Caller, consent_id: String) -> proto::GetConsentResponse {
    let request = caller.request(proto::GetConsentRequest { consent_id });
    ConsentServiceClient::new(caller.channel.clone()).get_consent(request).await.unwrap().into_inner()
}

async fn used(caller: Caller, token: String) -> proto::RedeemProofResponse {
    let request = caller.request(proto::RedeemProofRequest { token });
    let answer = RightsServiceClient::new(caller.channel.clone()).redeem_proof(request).await.unwrap().into_inner();
    assert_eq!(answer.redemption(), proto::Redemption::Redeemed);
    answer
}
