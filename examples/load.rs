//! Sends many CheckAge calls at once to a running server and counts how they end: what is answered, what is refused,
//! and how long each took. Run the server with `checks.relying_party_attempts = 0`, then:
//!
//! `cargo run --release --example load -- http://127.0.0.1:50051 "$(idgate token mint)" 200 card.jpg`

#![expect(clippy::print_stdout, reason = "this is a command")]

use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::{CheckAgeRequest, Purpose};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};
use tonic::Request;
use tonic::transport::Channel;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, token, calls, file] = arguments.as_slice() else {
        return Err("usage: load ADDRESS TOKEN CALLS FILE".into());
    };
    let image = std::fs::read(file)?;
    let channel = Channel::from_shared(address.clone())?.connect().await?;
    let begun = Instant::now();
    let mut running = Vec::new();
    for n in 0..calls.parse()? {
        running.push(tokio::spawn(call(channel.clone(), token.clone(), image.clone(), n)));
    }
    let mut ends: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for call in running {
        let (end, took) = call.await?;
        ends.entry(end).or_default().push(took);
    }
    println!("{:<40} {:>6} {:>9} {:>9} {:>9}", "end", "calls", "median ms", "p95 ms", "max ms");
    for (end, mut times) in ends {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() - 1) * share / 100).map_or(0, Duration::as_millis);
        println!("{end:<40} {:>6} {:>9} {:>9} {:>9}", times.len(), at(50), at(95), at(100));
    }
    println!("all ended after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// One call, how it ended, and after how long.
async fn call(channel: Channel, token: String, image: Vec<u8>, n: u32) -> (String, Duration) {
    let mut client = AgeGateServiceClient::new(channel);
    let mut request = Request::new(CheckAgeRequest {
        subject_ref: format!("load-{}-{n}", std::process::id()),
        jurisdiction: "KR".to_owned(),
        purpose: Purpose::Signup.into(),
        idempotency_key: uuid::Uuid::now_v7().to_string(),
        language: String::new(),
        evidence: Some(Evidence::Image(image)),
    });
    let begun = Instant::now();
    let end = match format!("Bearer {token}").parse() {
        Err(_) => "the token is not one".to_owned(),
        Ok(bearer) => {
            request.metadata_mut().insert("authorization", bearer);
            match client.check_age(request).await {
                Ok(answer) => match answer.into_inner().outcome {
                    Some(Outcome::Allowed(_)) => "allowed".to_owned(),
                    Some(Outcome::ConsentRequired(_)) => "consent required".to_owned(),
                    Some(Outcome::Blocked(_)) => "blocked".to_owned(),
                    Some(Outcome::Unreadable(_)) => "unreadable".to_owned(),
                    Some(Outcome::Inconsistent(_)) => "inconsistent".to_owned(),
                    None => "no outcome".to_owned(),
                },
                Err(status) => format!("{:?}: {}", status.code(), status.message()),
            }
        }
    };
    (end, begun.elapsed())
}
