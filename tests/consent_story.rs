//! The whole life of a guardian's consent, told over the wire with real pictures: what a signup team calls and sees.
//!
//! `cargo run --release --example consent_story` starts a server with its defaults on a free port, removes its store
//! afterwards, and prints every call. The cards are the shipped samples of people who do not exist.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use idgate::config::{self, Settings, keys};
use idgate::server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::{self, CheckAgeRequest, ConsentPurpose, VerificationMethod};
use idgate::terms::Scope;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Streaming};

const CHILD: &[u8] = include_bytes!("golden/cards/td3_age_15.jpg");
const GUARDIAN: &[u8] = include_bytes!("golden/cards/kr_resident_adult.jpg");

struct Shop {
    bearer: MetadataValue<Ascii>,
    ages: AgeGateServiceClient<tonic::transport::Channel>,
    consents: ConsentServiceClient<tonic::transport::Channel>,
    events: Streaming<proto::WatchResponse>,
}

impl Shop {
    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    /// Checks the child's age, by their card or by a consent.
    async fn check(&mut self, key: &str, evidence: Evidence) -> proto::CheckAgeResponse {
        let request = self.signed(CheckAgeRequest {
            subject_ref: "user-4711".to_owned(),
            jurisdiction: "KR".to_owned(),
            purpose: proto::Purpose::Signup.into(),
            idempotency_key: key.to_owned(),
            language: "en".to_owned(),
            evidence: Some(evidence),
        });
        self.ages.check_age(request).await.unwrap().into_inner()
    }

    async fn token_status(&mut self, token: &str) -> &'static str {
        let request = self.signed(proto::GetTokenStatusRequest { token: token.to_owned() });
        self.ages.get_token_status(request).await.unwrap().into_inner().status().as_str_name()
    }

    /// Waits until an event of this type comes in.
    async fn event(&mut self, wanted: proto::EventType) {
        loop {
            let message = self.events.message().await.unwrap().unwrap();
            let Some(event) = message.event else { continue };
            println!("   event  {} {}", event.r#type().as_str_name(), event.consent_id);
            if event.r#type() == wanted {
                return;
            }
        }
    }
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::load(None).unwrap();
    settings.data_dir = directory.path().join("data");
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.admin = settings.server.listen;
    let app = config::open(&settings, config::reader(Path::new("")).unwrap()).unwrap();
    let bound = server::bind(settings.server.clone(), Arc::new(app)).await.unwrap();
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", bound.address().unwrap())).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
    let channel = channel.connect().await.unwrap();
    let bearer = keys::Bearer {
        relying_party: "demo-shop".parse().unwrap(),
        scopes: vec![Scope::AgeCheck, Scope::DecisionRead, Scope::ConsentRead, Scope::ConsentWrite, Scope::EventRead],
        purposes: Vec::new(),
        minutes: 10,
    };
    let bearer: MetadataValue<Ascii> =
        format!("Bearer {}", keys::mint(&settings, None, bearer).unwrap().as_str()).parse().unwrap();
    let mut watch = Request::new(proto::WatchRequest::default());
    watch.metadata_mut().insert("authorization", bearer.clone());
    let events = EventServiceClient::new(channel.clone()).watch(watch).await.unwrap().into_inner();
    let mut shop = Shop {
        bearer,
        ages: AgeGateServiceClient::new(channel.clone()),
        consents: ConsentServiceClient::new(channel),
        events,
    };
    story(&mut shop).await;
    drop(shop);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

async fn story(shop: &mut Shop) {
    println!("1. A child of 15 shows a passport.");
    let checked = shop.check("check-1", Evidence::Image(CHILD.to_vec())).await;
    let Some(Outcome::ConsentRequired(required)) = &checked.outcome else { panic!("{checked:?}") };
    println!("   CheckAge: consent required, of a guardian of at least {}", required.guardian_min_age);
    shop.event(proto::EventType::DecisionMade).await;

    println!("2. The shop asks for a guardian's consent.");
    let purposes = vec![ConsentPurpose::Collection.into(), ConsentPurpose::Marketing.into()];
    let request = shop.signed(proto::RequestConsentRequest {
        subject_ref: "user-4711".to_owned(),
        decision_id: checked.decision_id,
        purposes,
        notice: Some(proto::Notice {
            version: "2026-11".to_owned(),
            text_sha256: "5d".repeat(32),
            language: "ko".to_owned(),
        }),
        methods: vec![VerificationMethod::IdScan.into()],
        guardian_ref: String::new(),
        idempotency_key: "request-1".to_owned(),
        language: "en".to_owned(),
    });
    let asked = shop.consents.request_consent(request).await.unwrap().into_inner();
    let Some(proto::request_consent_response::Outcome::Requested(consent)) = asked.outcome else { panic!() };
    let (id, link) = (consent.consent_id, asked.guardian_link_token);
    println!("   RequestConsent: {id}, with a link token of {} characters for the guardian", link.len());
    shop.event(proto::EventType::ConsentRequested).await;

    println!("3. The guardian opens the link and shows an identity card.");
    let request = shop.signed(proto::VerifyGuardianRequest {
        consent_id: id.clone(),
        proof: Some(proto::verify_guardian_request::Proof::Image(GUARDIAN.to_vec())),
        idempotency_key: "verify-1".to_owned(),
        language: "en".to_owned(),
    });
    let verified = shop.consents.verify_guardian(request).await.unwrap().into_inner();
    assert!(
        matches!(verified.outcome, Some(proto::verify_guardian_response::Outcome::Verified(_))),
        "{:?}",
        verified.outcome
    );
    println!("   VerifyGuardian: verified; nothing of the card is kept but that");
    shop.event(proto::EventType::ConsentGuardianVerified).await;

    println!("4. The guardian says yes to what is needed and no to marketing.");
    let request = shop.signed(proto::RespondRequest {
        consent_id: id.clone(),
        guardian_link_token: link,
        answer: Some(proto::respond_request::Answer::Grant(proto::Grant {
            purposes: vec![ConsentPurpose::Collection.into()],
            relationship: proto::Relationship::Parent.into(),
            attestation_text_id: "i-am-the-parent-1".to_owned(),
        })),
        idempotency_key: "respond-1".to_owned(),
        language: "en".to_owned(),
    });
    let answered = shop.consents.respond(request).await.unwrap().into_inner();
    let Some(proto::respond_response::Outcome::Given(given)) = answered.outcome else { panic!() };
    println!("   Respond: given; the receipt is a signed JWT of {} characters", given.receipt.len());
    shop.event(proto::EventType::ConsentGiven).await;

    println!("5. The child's age is checked again, by the consent: no second picture.");
    let checked = shop.check("check-2", Evidence::ConsentId(id.clone())).await;
    let Some(Outcome::Allowed(allowed)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    println!("   CheckAge: allowed, by consent {}", allowed.consent_id);
    println!("   GetTokenStatus: {}", shop.token_status(&allowed.token).await);
    shop.event(proto::EventType::DecisionMade).await;

    println!("6. The guardian takes it back: one call, no proof.");
    let request = shop.signed(proto::WithdrawRequest {
        consent_id: id.clone(),
        actor: proto::ConsentActor::Guardian.into(),
        idempotency_key: "withdraw-1".to_owned(),
        language: "en".to_owned(),
    });
    shop.consents.withdraw(request).await.unwrap();
    shop.event(proto::EventType::ConsentWithdrawn).await;
    println!("   GetTokenStatus: {}", shop.token_status(&allowed.token).await);

    println!("7. The child's age is checked once more.");
    let checked = shop.check("check-3", Evidence::Image(CHILD.to_vec())).await;
    let Some(Outcome::ConsentRequired(_)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    println!("   CheckAge: consent required again");
}
