//! GetDecision, GetConsent and RedeemProof on Redis, beside a bare service that does one GET on the same Redis, over the
//! same transport, in one run: how much of a call is ours.
//!
//! `cargo run --release --example bench_redis -- [calls] [at once] [connections] [line]`: starts a `redis-server` of its own (one that syncs
//! once a second), rounds alternate between the two, and the median of the rounds' ratios is printed. A line (0 to 4) is measured alone, and
//! nothing beside it: for a profiler.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "support/mod.rs"]
mod support;

use idgate::server::proto;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::key_service_client::KeyServiceClient;
use idgate::server::proto::key_service_server::{KeyService, KeyServiceServer};
use idgate::server::proto::rights_service_client::RightsServiceClient;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncTypedCommands as _, IntoConnectionInfo as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Caller, answerable, connect, decision, make, print, rate, serve};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

const ROUNDS: usize = 7;
/// The sizes of what the bare services read: that of a decision's or a request's record, and that of a consent's.
const SIZES: [usize; 2] = [1500, 3000];

/// One GET, and nothing else: of a value with as many bytes as its name says.
struct Bare(MultiplexedConnection, usize);

#[tonic::async_trait]
impl KeyService for Bare {
    async fn get_jwks(&self, _: Request<proto::GetJwksRequest>) -> Result<Response<proto::GetJwksResponse>, Status> {
        let value = self.0.clone().get(self.1).await.unwrap().unwrap();
        Ok(Response::new(proto::GetJwksResponse { jwks_json: value }))
    }
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
    let mut connection = loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => break connection,
            Err(_) => sleep_until(Instant::now() + Duration::from_millis(50)).await,
        }
    };
    let mut addresses = Vec::new();
    for size in SIZES {
        connection.set(size, "x".repeat(size)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let served = Server::builder().add_service(KeyServiceServer::new(Bare(connection.clone(), size)));
        tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    }

    let caller = serve(directory.path(), |settings| {
        settings.store.redis.urls = vec![url];
        settings.store.redis.connections = arguments.next().unwrap_or(settings.store.redis.connections);
    });
    let caller = caller.await;
    let alone = arguments.next();
    let [small, large] = [addresses[0], addresses[1]];
    let small = Caller { channel: connect(small).await, bearer: caller.bearer.clone() };
    let large = Caller { channel: connect(large).await, bearer: caller.bearer.clone() };
    let decisions = make(at_once, at_once, |n| {
        let caller = caller.clone();
        async move { decision(&caller, n).await }
    });
    let decisions = decisions.await;
    let again = make(at_once, at_once, |n| answerable(caller.clone(), at_once + n)).await;
    let again: Vec<_> = again.iter().cycle().take(calls).cloned().collect();
    // Of those that are measured once each, as many as all rounds take.
    let wanted = |line: usize| alone.is_none_or(|alone| alone == line);
    let (new, single) = (if wanted(2) { calls * ROUNDS } else { 0 }, if wanted(4) { calls * ROUNDS } else { 0 });
    let new = make(new, at_once, |n| answerable(caller.clone(), 2 * at_once + n)).await;
    let lasting = make(at_once, at_once, |n| proof(caller.clone(), n, false)).await;
    let lasting: Vec<_> = lasting.iter().cycle().take(calls).cloned().collect();
    let single = make(single, at_once, |n| proof(caller.clone(), n, true)).await;

    println!("{calls} calls a round, {at_once} at once, {ROUNDS} rounds");
    let names = ["GetDecision", "GetConsent", "  first time", "RedeemProof", "  used once"];
    let mut table = names.map(|name| (name, Vec::new()));
    let numbers: Vec<usize> = (0..calls).collect();
    for round in 0..ROUNDS {
        let these = round * calls..(round + 1) * calls;
        let plain = async |bare: &Caller| {
            if alone.is_some() {
                return f64::NAN;
            }
            let call = |_| {
                let bare = bare.clone();
                async move {
                    let request = bare.request(proto::GetJwksRequest {});
                    KeyServiceClient::new(bare.channel.clone()).get_jwks(request).await.unwrap();
                }
            };
            rate(&numbers, at_once, call).await
        };
        let told = |n: usize| {
            let (caller, id) = (caller.clone(), decisions[n % decisions.len()].clone());
            async move {
                let request = caller.request(proto::GetDecisionRequest { decision_id: id });
                AgeGateServiceClient::new(caller.channel.clone()).get_decision(request).await.unwrap();
            }
        };
        let shown = |consent: proto::RespondRequest| {
            let caller = caller.clone();
            async move {
                let request = caller.request(proto::GetConsentRequest { consent_id: consent.consent_id });
                ConsentServiceClient::new(caller.channel.clone()).get_consent(request).await.unwrap();
            }
        };
        let used = |token: String| {
            let caller = caller.clone();
            async move {
                let request = caller.request(proto::RedeemProofRequest { token });
                let answer = RightsServiceClient::new(caller.channel.clone()).redeem_proof(request).await.unwrap();
                assert_eq!(answer.into_inner().redemption(), proto::Redemption::Redeemed);
            }
        };
        if wanted(0) {
            table[0].1.push((rate(&numbers, at_once, told).await, plain(&small).await));
        }
        if wanted(1) {
            table[1].1.push((rate(&again, at_once, shown).await, plain(&large).await));
        }
        if wanted(2) {
            table[2].1.push((rate(&new[these.clone()], at_once, shown).await, plain(&large).await));
        }
        if wanted(3) {
            table[3].1.push((rate(&lasting, at_once, used).await, plain(&small).await));
        }
        if wanted(4) {
            table[4].1.push((rate(&single[these], at_once, used).await, plain(&small).await));
        }
    }
    print(&table.into_iter().filter(|(_, rounds)| !rounds.is_empty()).collect::<Vec<_>>());
}
