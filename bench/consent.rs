//! GetConsent and Respond beside a bare service that does one read or one write of the same size in the same kind of
//! store, over the same transport, in one run: how much of a call is ours.
//!
//! `cargo run --release --example bench_consent -- [calls] [at once]`: rounds alternate between the two, and the median
//! of the rounds' ratios is printed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use idgate::config::{self, Settings, keys};
use idgate::flows::App;
use idgate::secret::Sensitive;
use idgate::server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::consent_service_server::{ConsentService, ConsentServiceServer};
use idgate::server::proto::{self, check_age_request::Evidence, respond_request::Answer};
use idgate::store::embedded::{Embedded, Settings as StoreSettings};
use idgate::store::{Batch, Handles, Key, Space, Store};
use idgate::terms::Scope;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

const ROUNDS: usize = 5;

/// One read or one write, and nothing else.
struct Bare {
    store: Embedded,
    handles: Handles,
    value: Vec<u8>,
    receipt: String,
}

impl Bare {
    fn key(&self, id: &str) -> Key {
        let party = "shop".parse().unwrap();
        let partition = self.handles.partition(&party, id);
        self.handles.key(Space::Decision, partition, &party, id)
    }

    fn answer(&self, id: &str) -> proto::Consent {
        proto::Consent { consent_id: id.to_owned(), receipt: self.receipt.clone(), ..Default::default() }
    }
}

#[tonic::async_trait]
impl ConsentService for Bare {
    async fn get_consent(
        &self,
        request: Request<proto::GetConsentRequest>,
    ) -> Result<Response<proto::GetConsentResponse>, Status> {
        let id = request.into_inner().consent_id;
        let stored = self.store.get(&self.key("same"), Timestamp::now()).await.unwrap().unwrap();
        assert_eq!(stored.value.len(), self.value.len());
        Ok(Response::new(proto::GetConsentResponse { consent: Some(self.answer(&id)) }))
    }

    async fn respond(
        &self,
        request: Request<proto::RespondRequest>,
    ) -> Result<Response<proto::RespondResponse>, Status> {
        let id = request.into_inner().consent_id;
        let key = self.key(&id);
        let batch = Batch::new(key.partition()).put(key, self.value.clone(), None);
        self.store.commit(batch, Timestamp::now()).await.unwrap();
        let given = proto::respond_response::Outcome::Given(self.answer(&id));
        Ok(Response::new(proto::RespondResponse { outcome: Some(given) }))
    }

    async fn request_consent(
        &self,
        _: Request<proto::RequestConsentRequest>,
    ) -> Result<Response<proto::RequestConsentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn record_notice_sent(
        &self,
        _: Request<proto::RecordNoticeSentRequest>,
    ) -> Result<Response<proto::RecordNoticeSentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn verify_guardian(
        &self,
        _: Request<proto::VerifyGuardianRequest>,
    ) -> Result<Response<proto::VerifyGuardianResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_consents(
        &self,
        _: Request<proto::ListConsentsRequest>,
    ) -> Result<Response<proto::ListConsentsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn change_scope(
        &self,
        _: Request<proto::ChangeScopeRequest>,
    ) -> Result<Response<proto::ChangeScopeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn withdraw(&self, _: Request<proto::WithdrawRequest>) -> Result<Response<proto::WithdrawResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reaffirm(&self, _: Request<proto::ReaffirmRequest>) -> Result<Response<proto::ReaffirmResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn erase_subject(
        &self,
        _: Request<proto::EraseSubjectRequest>,
    ) -> Result<Response<proto::EraseSubjectResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A caller of idgate: the channel and what authorises it.
#[derive(Clone)]
struct Caller {
    channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Caller {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Runs `calls` calls, `at_once` at a time, and returns calls a second.
async fn rate<F, G>(calls: &[G], at_once: usize, call: impl Fn(G) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
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

/// One consent that a guardian may answer now.
async fn answerable(caller: Caller, n: usize) -> proto::RespondRequest {
    let subject = format!("subject-{n}");
    let mut ages = AgeGateServiceClient::new(caller.channel.clone());
    let year = jiff::Zoned::now().year() - 15;
    let check = proto::CheckAgeRequest {
        subject_ref: subject.clone(),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: format!("check-{n}"),
        language: String::new(),
        evidence: Some(Evidence::DeclaredBirthDate(format!("{year}-01-01"))),
    };
    let decision = ages.check_age(caller.request(check)).await.unwrap().into_inner().decision_id;
    let mut consents = ConsentServiceClient::new(caller.channel.clone());
    let purposes = vec![proto::ConsentPurpose::Collection.into()];
    let ask = proto::RequestConsentRequest {
        subject_ref: subject,
        decision_id: decision,
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (calls, at_once) = (arguments.next().unwrap_or(2000), arguments.next().unwrap_or(64));
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("idgate");
    settings.checks.relying_party_attempts = 0;
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.admin = settings.server.listen;
    let never = Arc::new(|_, _, _: &_| panic!("no picture is read here"));
    let app: App = config::open(&settings, never).unwrap();
    let bound = server::bind(settings.server.clone(), Arc::new(app)).await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.run(std::future::pending()));
    let bearer = keys::Bearer {
        relying_party: "shop".parse().unwrap(),
        scopes: vec![Scope::AgeCheck, Scope::ConsentRead, Scope::ConsentWrite],
        purposes: Vec::new(),
        minutes: 120,
    };
    let bearer = format!("Bearer {}", keys::mint(&settings, None, bearer).unwrap().as_str()).parse().unwrap();
    let caller = Caller { channel: connect(address).await, bearer };

    let mut grants = Vec::new();
    let mut making = JoinSet::new();
    for n in 0..calls * ROUNDS {
        if making.len() >= at_once {
            grants.push(making.join_next().await.unwrap().unwrap());
        }
        making.spawn(answerable(caller.clone(), n));
    }
    while let Some(made) = making.join_next().await {
        grants.push(made.unwrap());
    }

    let sample = ConsentServiceClient::new(caller.channel.clone())
        .get_consent(caller.request(proto::GetConsentRequest { consent_id: grants[0].consent_id.clone() }))
        .await
        .unwrap()
        .into_inner()
        .consent
        .unwrap();
    let size = 3000;
    let place = StoreSettings { directory: directory.path().join("bare"), ..StoreSettings::default() };
    let bare = Bare {
        store: Embedded::open(&place).unwrap(),
        handles: Handles::new(Sensitive::new([7; 32])),
        value: vec![b'x'; size],
        receipt: sample.receipt.clone(),
    };
    let key = bare.key("same");
    bare.store.commit(Batch::new(key.partition()).put(key, bare.value.clone(), None), Timestamp::now()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bare_address = listener.local_addr().unwrap();
    let served = Server::builder().add_service(ConsentServiceServer::new(bare));
    tokio::spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
    let bare = Caller { channel: connect(bare_address).await, bearer: caller.bearer.clone() };

    println!("{calls} calls a round, {at_once} at once, {ROUNDS} rounds; receipt of {} bytes", sample.receipt.len());
    let mut table = [("GetConsent", Vec::new()), ("Respond", Vec::new())];
    for round in grants.chunks(calls) {
        let get = |of: Caller| {
            move |grant: proto::RespondRequest| {
                let of = of.clone();
                async move {
                    let request = of.request(proto::GetConsentRequest { consent_id: grant.consent_id });
                    ConsentServiceClient::new(of.channel.clone()).get_consent(request).await.unwrap();
                }
            }
        };
        let respond = |of: Caller| {
            move |grant: proto::RespondRequest| {
                let of = of.clone();
                async move {
                    let request = of.request(grant);
                    let answer = ConsentServiceClient::new(of.channel.clone()).respond(request).await.unwrap();
                    let given = answer.into_inner().outcome.unwrap();
                    assert!(matches!(given, proto::respond_response::Outcome::Given(_)));
                }
            }
        };
        table[0]
            .1
            .push((rate(round, at_once, get(caller.clone())).await, rate(round, at_once, get(bare.clone())).await));
        table[1].1.push((
            rate(round, at_once, respond(caller.clone())).await,
            rate(round, at_once, respond(bare.clone())).await,
        ));
    }
    println!("{:<12} {:>12} {:>12} {:>8}", "", "idgate /s", "bare /s", "ratio");
    for (name, rounds) in table {
        let ours = median(rounds.iter().map(|(ours, _)| *ours).collect());
        let theirs = median(rounds.iter().map(|(_, theirs)| *theirs).collect());
        let ratio = median(rounds.iter().map(|(ours, theirs)| ours / theirs).collect());
        println!("{name:<12} {ours:>12.0} {theirs:>12.0} {ratio:>8.2}");
    }
}
