//! GetConsent and Respond beside a bare service that does one read or one write of the same size in the same kind of
//! store, over the same transport, in one run: how much of a call is ours.
//!
//! `cargo run --release --example bench_consent -- [calls] [at once]`: rounds alternate between the two, and the median
//! of the rounds' ratios is printed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "support/mod.rs"]
mod support;

use idgate::secret::Sensitive;
use idgate::server::proto;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::consent_service_server::{ConsentService, ConsentServiceServer};
use idgate::store::embedded::{Embedded, Settings as StoreSettings};
use idgate::store::{Batch, Handles, Key, Space, Store};
use jiff::Timestamp;
use support::{Caller, answerable, connect, make, print, rate, serve};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
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

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (calls, at_once) = (arguments.next().unwrap_or(2000), arguments.next().unwrap_or(64));
    let directory = tempfile::tempdir().unwrap();
    let caller = serve(directory.path(), |_| ()).await;
    let grants = make(calls * ROUNDS, at_once, |n| answerable(caller.clone(), n)).await;

    let sample = ConsentServiceClient::new(caller.channel.clone())
        .get_consent(caller.request(proto::GetConsentRequest { consent_id: grants[0].consent_id.clone() }))
        .await
        .unwrap()
        .into_inner()
        .consent
        .unwrap();
    let size = 1650;
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
    tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
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
    print(&table);
}
