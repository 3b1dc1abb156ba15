//! What the benchmarks share: a server, a caller, people to ask about, and a table of ratios.

#![allow(dead_code, reason = "each benchmark uses what it needs")]

use idgate::config::{self, Settings, keys};
use idgate::flows::App;
use idgate::server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::{self, check_age_request::Evidence, respond_request::Answer};
use idgate::terms::Scope;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// The allocator of the program itself, for both sides.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> = zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

/// A caller of idgate: the channel and what authorises it.
#[derive(Clone)]
pub struct Caller {
    pub channel: Channel,
    pub bearer: MetadataValue<Ascii>,
}

impl Caller {
    /// A request with it.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }
}

/// A channel to a server of this machine.
pub async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Runs `calls` calls, `at_once` at a time, and returns calls a second.
pub async fn rate<F, G, T>(calls: &[G], at_once: usize, call: impl Fn(G) -> F) -> f64
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
    G: Clone,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for one in calls {
        if running.len() >= at_once {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(call(one.clone()));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    calls.len() as f64 / begun.elapsed().as_secs_f64()
}

/// The decision about somebody of 15, who declares it.
pub async fn decision(caller: &Caller, n: usize) -> String {
    let year = jiff::Zoned::now().year() - 15;
    let check = proto::CheckAgeRequest {
        subject_ref: format!("subject-{n}"),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: format!("check-{n}"),
        language: String::new(),
        evidence: Some(Evidence::DeclaredBirthDate(format!("{year}-01-01"))),
    };
    let mut ages = AgeGateServiceClient::new(caller.channel.clone());
    ages.check_age(caller.request(check)).await.unwrap().into_inner().decision_id
}

/// One consent that a guardian may answer now.
pub async fn answerable(caller: Caller, n: usize) -> proto::RespondRequest {
    let mut consents = ConsentServiceClient::new(caller.channel.clone());
    let purposes = vec![proto::ConsentPurpose::Collection.into()];
    let ask = proto::RequestConsentRequest {
        subject_ref: format!("subject-{n}"),
        decision_id: decision(&caller, n).await,
        purposes: purposes.clone(),
        notice: Some(proto::Notice {
            version: "1".to_owned(),
            text_sha256: "00".repeat(32),
            language: "ko".to_owned(),
        }),
        methods: vec![proto::VerificationMethod::Phone.into()],
        guardian_ref: String::new(),
        idempotency_key: format!("request-{n}"),
        language: String::new(),
    };
    let asked = consents.request_consent(caller.request(ask)).await.unwrap().into_inner();
    let Some(proto::request_consent_response::Outcome::Requested(consent)) = asked.outcome else { panic!() };
    let attested = proto::AttestedMethod { method: proto::VerificationMethod::Phone.into(), staff_ref: String::new() };
    let verify = proto::VerifyGuardianRequest {
        consent_id: consent.consent_id.clone(),
        proof: Some(proto::verify_guardian_request::Proof::Attested(attested)),
        idempotency_key: format!("verify-{n}"),
        language: String::new(),
    };
    consents.verify_guardian(caller.request(verify)).await.unwrap();
    proto::RespondRequest {
        consent_id: consent.consent_id,
        guardian_link_token: asked.guardian_link_token,
        answer: Some(Answer::Grant(proto::Grant {
            purposes,
            relationship: proto::Relationship::Parent.into(),
            attestation_text_id: "a-1".to_owned(),
        })),
        idempotency_key: format!("respond-{n}"),
        language: String::new(),
    }
}

/// Makes `count` of something, `at_once` at a time.
pub async fn make<F, T>(count: usize, at_once: usize, one: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (mut made, mut making) = (Vec::with_capacity(count), JoinSet::new());
    for n in 0..count {
        if making.len() >= at_once {
            made.push(making.join_next().await.unwrap().unwrap());
        }
        making.spawn(one(n));
    }
    while let Some(one) = making.join_next().await {
        made.push(one.unwrap());
    }
    made
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// idgate on a free port, its settings altered, and somebody who may call everything that is measured.
pub async fn serve(directory: &Path, alter: impl FnOnce(&mut Settings)) -> Caller {
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.join("idgate");
    settings.checks.relying_party_attempts = 0;
    settings.server.quotas.pictures.per_second = 0;
    settings.server.quotas.others.per_second = 0;
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.admin = settings.server.listen;
    alter(&mut settings);
    let never = Arc::new(|_, _, _: &_| panic!("no picture is read here"));
    let app: App = config::open(&settings, never).unwrap();
    let bound = server::bind(settings.server.clone(), Arc::new(app)).await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.run(std::future::pending()));
    let bearer = keys::Bearer {
        relying_party: "shop".parse().unwrap(),
        scopes: vec![
            Scope::AgeCheck,
            Scope::DecisionRead,
            Scope::ConsentRead,
            Scope::ConsentWrite,
            Scope::RightsRead,
            Scope::RightsWrite,
        ],
        purposes: Vec::new(),
        minutes: 120,
    };
    let bearer = format!("Bearer {}", keys::mint(&settings, None, bearer).unwrap().as_str()).parse().unwrap();
    Caller { channel: connect(address).await, bearer }
}

/// Rounds by name: ours and theirs, in calls a second.
pub fn print(table: &[(&str, Vec<(f64, f64)>)]) {
    println!("{:<12} {:>12} {:>12} {:>8}", "", "idgate /s", "bare /s", "ratio");
    for (name, rounds) in table {
        let ours = median(rounds.iter().map(|(ours, _)| *ours).collect());
        let theirs = median(rounds.iter().map(|(_, theirs)| *theirs).collect());
        let ratio = median(rounds.iter().map(|(ours, theirs)| ours / theirs).collect());
        println!("{name:<12} {ours:>12.0} {theirs:>12.0} {ratio:>8.2}");
    }
}
