//! Whether OpenRequest and ProveRequester tell by their time or their words if a person is known.
//!
//! `cargo run --example enumeration -- [calls] [seed]` starts a server with an embedded store of its own, makes people
//! who are known (an age check, a consent asked for, a rights request and a failure of a month ago) and people who are
//! not, and calls for both in an order at random, each person once, one call at a time. It prints the medians and the p
//! value of the two-sample Kolmogorov-Smirnov test of each pair, and compares the answers' bytes once names, instants
//! and dates are masked. It ends with status 1 if a p value is not above 0.01 or an answer differs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use idgate::config::{self, Settings, keys};
use idgate::server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::{self, DataPointKind};
use idgate::terms::{RelyingParty, Scope};
use idgate::tokens::callers::{Mint, mint};
use idgate::tokens::files;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A p value above this is no sign of a difference.
const ENOUGH: f64 = 0.01;
/// Calls at once while people are made.
const AT_ONCE: usize = 64;
/// Calls of each pair that are not measured.
const WARMING: usize = 100;
/// When those who are known were here before.
const AGO: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The statistic of the two-sample Kolmogorov-Smirnov test: the greatest distance between two distributions.
fn distance(a: &[u64], b: &[u64]) -> f64 {
    let sorted = |values: &[u64]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let below = |values: &[u64], at: u64| values.partition_point(|value| *value <= at) as f64 / values.len() as f64;
    a.iter().chain(&b).map(|at| (below(&a, *at) - below(&b, *at)).abs()).fold(0.0, f64::max)
}

/// How likely a distance at least so great is between two samples of one distribution (asymptotically, with the
/// correction of Stephens 1970 for samples that are not large).
fn p_value(distance: f64, a: usize, b: usize) -> f64 {
    let root = (a as f64 * b as f64 / (a + b) as f64).sqrt();
    kolmogorov((root + 0.12 + 0.11 / root) * distance)
}

/// 1 less the distribution of Kolmogorov: 2 sum (-1)^(k-1) exp(-2 k² x²).
fn kolmogorov(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0; // there the sum converges slowly; it differs from 1 by less than 10^-12
    }
    let term = |k: u32| (-2.0 * f64::from(k).powi(2) * x * x).exp() * if k % 2 == 1 { 2.0 } else { -2.0 };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

/// The calls of a rights team.
#[derive(Clone)]
struct Team {
    channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Team {
    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    fn rights(&self) -> RightsServiceClient<Channel> {
        RightsServiceClient::new(self.channel.clone())
    }

    async fn open(&self, person: &Person, key: &str) -> Result<proto::OpenRequestResponse, Status> {
        let request = proto::OpenRequestRequest {
            subject_ref: person.name.clone(),
            right: proto::Right::Delete.into(),
            jurisdiction: "KR".to_owned(),
            acting_as: proto::ActingAs::Self_.into(),
            vouched: vec![proto::Vouched::Email.into()],
            idempotency_key: format!("open-{key}-{}", person.name),
            ..Default::default()
        };
        Ok(self.rights().open_request(self.signed(request)).await?.into_inner())
    }

    async fn prove(&self, person: &Person, proof: Proof, key: &str) -> Result<proto::ProveRequesterResponse, Status> {
        let request = proto::ProveRequesterRequest {
            request_id: person.request.clone(),
            subject_ref: person.name.clone(),
            proof: Some(proof),
            single_use: false,
            language: String::new(),
            idempotency_key: format!("prove-{key}-{}", person.name),
        };
        Ok(self.rights().prove_requester(self.signed(request)).await?.into_inner())
    }

    async fn code(&self, person: &Person) -> String {
        let request = proto::IssueCodeRequest {
            request_id: person.request.clone(),
            subject_ref: person.name.clone(),
            channel: proto::CodeChannel::Email.into(),
            language: String::new(),
        };
        let answer = self.rights().issue_code(self.signed(request)).await.unwrap().into_inner();
        let Some(proto::issue_code_response::Outcome::Issued(issued)) = answer.outcome else { panic!("{answer:?}") };
        issued.code
    }

    /// An age check that asks for a guardian, and a consent that is asked for.
    async fn consent(&self, person: &Person) {
        let year = jiff::Zoned::now().year() - 15;
        let check = proto::CheckAgeRequest {
            subject_ref: person.name.clone(),
            jurisdiction: "KR".to_owned(),
            purpose: proto::Purpose::Signup.into(),
            idempotency_key: format!("check-{}", person.name),
            language: String::new(),
            evidence: Some(Evidence::DeclaredBirthDate(format!("{year}-01-01"))),
        };
        let mut ages = AgeGateServiceClient::new(self.channel.clone());
        let decision = ages.check_age(self.signed(check)).await.unwrap().into_inner().decision_id;
        let ask = proto::RequestConsentRequest {
            subject_ref: person.name.clone(),
            decision_id: decision,
            purposes: vec![proto::ConsentPurpose::Collection.into()],
            notice: Some(proto::Notice {
                version: "1".to_owned(),
                text_sha256: "00".repeat(32),
                language: "ko".to_owned(),
            }),
            methods: vec![proto::VerificationMethod::Phone.into()],
            guardian_ref: String::new(),
            idempotency_key: format!("request-{}", person.name),
            language: String::new(),
        };
        let mut consents = ConsentServiceClient::new(self.channel.clone());
        let asked = consents.request_consent(self.signed(ask)).await.unwrap().into_inner();
        assert!(matches!(asked.outcome, Some(proto::request_consent_response::Outcome::Requested(_))), "{asked:?}");
    }
}

/// Somebody, with the request that is open and a guess that is not the code.
#[derive(Clone)]
struct Person {
    name: String,
    known: bool,
    request: String,
    guess: String,
}

/// Two values that do not agree with what is on file, or with nothing where nothing is.
fn points(on_file: bool) -> Proof {
    let point = |kind: DataPointKind, claimed: &str, known: &str| proto::DataPoint {
        kind: kind.into(),
        claimed: claimed.to_owned(),
        on_file: if on_file { known.to_owned() } else { String::new() },
    };
    Proof::DataPoints(proto::DataPointsProof {
        points: vec![
            point(DataPointKind::EmailAddress, "someone@shop.example", "another@shop.example"),
            point(DataPointKind::Username, "seaside-1999", "mountain-2001"),
        ],
    })
}

/// Does the same for all of them, many at once; in their order.
async fn for_all<F>(people: Vec<Person>, make: impl Fn(Person) -> F) -> Vec<Person>
where
    F: Future<Output = Person> + Send + 'static,
{
    let (mut running, mut waiting) = (JoinSet::new(), people.into_iter().enumerate());
    let mut made = Vec::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((n, person)) = waiting.next()
        {
            let future = make(person);
            running.spawn(async move { (n, future.await) });
        }
        let Some(one) = running.join_next().await else { break };
        made.push(one.unwrap());
    }
    made.sort_by_key(|(n, _)| *n);
    made.into_iter().map(|(_, person)| person).collect()
}

/// People in an order at random, half of them to be known.
fn people(pair: &str, calls: usize, rng: &mut fastrand::Rng) -> Vec<Person> {
    let mut known: Vec<bool> = (0..2 * (calls + WARMING)).map(|n| n % 2 == 0).collect();
    rng.shuffle(&mut known[..2 * WARMING]);
    rng.shuffle(&mut known[2 * WARMING..]);
    let name = |n: usize| format!("{pair}-{n:06}");
    let person = |(n, known)| Person { name: name(n), known, request: String::new(), guess: String::new() };
    known.into_iter().enumerate().map(person).collect()
}

/// Times of those who are known and of those who are not, and the answer that all of them got.
struct Compared {
    known: Vec<u64>,
    unknown: Vec<u64>,
    answers: Vec<(Vec<u8>, usize)>,
}

/// Calls for everybody in turn.
async fn compare<F>(people: &[Person], call: impl Fn(Person) -> F) -> Compared
where
    F: Future<Output = Result<Vec<u8>, Status>>,
{
    let mut compared = Compared { known: Vec::new(), unknown: Vec::new(), answers: Vec::new() };
    for (n, person) in people.iter().enumerate() {
        let (person, known) = (person.clone(), person.known);
        let call = call(person);
        let begun = Instant::now();
        let answer = call.await.unwrap();
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap();
        match compared.answers.iter_mut().find(|(other, _)| *other == answer) {
            Some((_, times)) => *times += 1,
            None => compared.answers.push((answer, 1)),
        }
        if n >= 2 * WARMING {
            if known { &mut compared.known } else { &mut compared.unknown }.push(took);
        }
    }
    compared
}

/// Nothing of a request that is its own: its name, its instants and its dates.
fn mask(request: &mut proto::RightsRequest) {
    request.request_id.clear();
    (request.received_at, request.due_at, request.acknowledged_at) = (None, None, None);
    (request.due_date, request.acknowledge_by) = (None, None);
}

fn masked(answer: proto::ProveRequesterResponse) -> Vec<u8> {
    use proto::prove_requester_response::Outcome;
    let mut answer = answer;
    match answer.outcome.as_mut().unwrap() {
        Outcome::NotAccepted(request) => mask(request),
        other => panic!("{other:?}"),
    }
    answer.encode_to_vec()
}

/// Prints a pair; whether it tells nothing.
fn told(name: &str, compared: &Compared) -> bool {
    let Compared { known, unknown, answers } = compared;
    let d = distance(known, unknown);
    let p = p_value(d, known.len(), unknown.len());
    let micros = |values: &[u64]| median(values) as f64 / 1000.0;
    println!(
        "{name:<28} {:>6} {:>6} {:>10.1} {:>10.1} {d:>8.4} {p:>8.3}",
        known.len(),
        unknown.len(),
        micros(known),
        micros(unknown)
    );
    if answers.len() != 1 {
        println!("{name}: {} different answers, so often each: {:?}", answers.len(), {
            answers.iter().map(|(_, times)| *times).collect::<Vec<_>>()
        });
    }
    p > ENOUGH && answers.len() == 1
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let calls = usize::try_from(arguments.next().unwrap_or(5000)).unwrap();
    let mut rng = fastrand::Rng::with_seed(arguments.next().unwrap_or(1));
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("idgate");
    settings.checks.relying_party_attempts = 0;
    settings.server.quotas.pictures.per_second = 0;
    settings.server.quotas.others.per_second = 0;
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.admin = settings.server.listen;
    let never = Arc::new(|_, _, _: &_| panic!("no picture is read here"));
    let mut app = config::open(&settings, never).unwrap();
    // The past is made first, then the clock is set to the present.
    let behind = Arc::new(AtomicI64::new(AGO.as_secs()));
    let shift = Arc::clone(&behind);
    let now = move || Timestamp::now() - SignedDuration::from_secs(shift.load(Ordering::SeqCst));
    app.clock = Box::new(now.clone());
    let bound = server::bind(settings.server.clone(), Arc::new(app)).await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.run(std::future::pending()));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let key = files::load_key(&keys::caller_key(&settings)).unwrap();
    let team = || {
        let wanted = Mint {
            relying_party: "shop".parse::<RelyingParty>().unwrap(),
            audience: "idgate".to_owned(),
            scopes: vec![Scope::AgeCheck, Scope::ConsentWrite, Scope::RightsWrite],
            purposes: Vec::new(),
            ttl: SignedDuration::from_hours(2),
        };
        let bearer = format!("Bearer {}", mint(&key, &wanted, now()).unwrap().as_str()).parse().unwrap();
        Team { channel: channel.clone(), bearer }
    };

    let begun = Instant::now();
    let then = team();
    let past = |person: Person| {
        let team = then.clone();
        async move {
            if person.known {
                let opened = team.open(&person, "before").await.unwrap();
                let was = Person { request: opened.request.unwrap().request_id, ..person.clone() };
                team.prove(&was, points(true), "before").await.unwrap();
                team.consent(&was).await;
            }
            person
        }
    };
    let mut all = Vec::new();
    for pair in ["open", "points", "code"] {
        all.push(for_all(people(pair, calls, &mut rng), past).await);
    }
    behind.store(0, Ordering::SeqCst);
    let team = team();
    let [opens, points_of, code_of] = <[_; 3]>::try_from(all).ok().unwrap();
    let present = |person: Person| {
        let team = team.clone();
        async move {
            let opened = team.open(&person, "now").await.unwrap();
            let mut person = Person { request: opened.request.unwrap().request_id, ..person };
            person.guess = "000000".to_owned();
            if person.known && person.name.starts_with("code") {
                let code = team.code(&person).await;
                person.guess = if code == "000000" { "000001" } else { "000000" }.to_owned();
            }
            person
        }
    };
    let points_of = for_all(points_of, present).await;
    let code_of = for_all(code_of, present).await;
    println!("{} people made in {:.0} s", 3 * opens.len(), begun.elapsed().as_secs_f64());

    let opened = compare(&opens, |person| {
        let team = team.clone();
        async move {
            let mut answer = team.open(&person, "now").await?;
            mask(answer.request.as_mut().unwrap());
            Ok(answer.encode_to_vec())
        }
    })
    .await;
    let by_points = compare(&points_of, |person| {
        let team = team.clone();
        async move { team.prove(&person, points(person.known), "now").await.map(masked) }
    })
    .await;
    let by_code = compare(&code_of, |person| {
        let team = team.clone();
        let proof = Proof::Code(proto::CodeProof { code: person.guess.clone() });
        async move { team.prove(&person, proof, "now").await.map(masked) }
    })
    .await;

    println!("{:<28} {:>6} {:>6} {:>10} {:>10} {:>8} {:>8}", "", "known", "not", "median µs", "median µs", "D", "p");
    let alike = [
        told("OpenRequest", &opened),
        told("ProveRequester, data points", &by_points),
        told("ProveRequester, code", &by_code),
    ];
    if alike.contains(&false) {
        std::process::exit(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kolmogorov_s_distribution_has_its_known_values() {
        // The usual table of critical values, and values of the sum.
        for (x, p) in [(1.07275, 0.2), (1.22385, 0.1), (1.3581, 0.05), (1.62762, 0.01), (1.94947, 0.001)] {
            assert!((kolmogorov(x) - p).abs() < 1e-4 * p, "{x}: {}", kolmogorov(x));
        }
        for (x, p) in [(0.5, 0.963_945_243_6), (1.0, 0.269_999_671_7), (2.0, 0.000_670_925_256)] {
            assert!((kolmogorov(x) - p).abs() < 1e-9, "{x}: {}", kolmogorov(x));
        }
        assert_eq!((kolmogorov(0.0), kolmogorov(0.19), kolmogorov(40.0)), (1.0, 1.0, 0.0));
    }

    #[test]
    fn the_distance_is_the_greatest_between_two_staircases() {
        assert_eq!(distance(&[1, 2, 3], &[3, 1, 2]), 0.0);
        assert_eq!(distance(&[1, 2], &[3, 4]), 1.0);
        assert_eq!(distance(&[1, 3, 5, 7], &[2, 4, 6, 8]), 0.25);
        assert_eq!(distance(&[1, 1, 1, 2], &[1, 2, 2, 2]), 0.5);
    }

    #[test]
    fn what_is_alike_is_found_alike_and_what_is_not_is_not() {
        let mut rng = fastrand::Rng::with_seed(7);
        // Like latencies: a bell with a long tail.
        let mut sample = |shift: u64| -> Vec<u64> {
            (0..5000).map(|_| shift + (0..6).map(|_| rng.u64(0..100_000)).sum::<u64>()).collect()
        };
        let alike: Vec<f64> = (0..200).map(|_| p_value(distance(&sample(0), &sample(0)), 5000, 5000)).collect();
        let below = |p: f64| alike.iter().filter(|found| **found <= p).count();
        assert!(below(0.01) <= 8 && (60..=140).contains(&below(0.5)), "{} {}", below(0.01), below(0.5));
        // A sixth of the spread is enough to be seen.
        assert!((0..50).all(|_| p_value(distance(&sample(0), &sample(11_800)), 5000, 5000) <= 0.01));
    }
}
