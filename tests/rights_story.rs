//! Eight rights requests, told over the wire with real pictures: what a rights team calls and sees.
//!
//! `cargo run --release --example rights_story` starts a server with its defaults on a free port, removes its store
//! afterwards, and prints every call. The cards are the shipped samples of people who do not exist.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use idgate::config::{self, Settings, keys};
use idgate::server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::{self, ActingAs, DataPointKind, Right, Vouched, close_request, prove_requester_response};
use idgate::terms::Scope;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Streaming};

const MASKED: &[u8] = include_bytes!("golden/cards/kr_resident_masked.jpg");
const CHILD: &[u8] = include_bytes!("golden/cards/td3_age_15.jpg");
const GUARDIAN: &[u8] = include_bytes!("golden/cards/kr_resident_adult.jpg");

struct Team {
    bearer: MetadataValue<Ascii>,
    rights: RightsServiceClient<Channel>,
    ages: AgeGateServiceClient<Channel>,
    consents: ConsentServiceClient<Channel>,
    events: Streaming<proto::WatchResponse>,
    calls: u32,
}

impl Team {
    fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    fn key(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }

    /// Takes a request and tells its terms.
    async fn open(
        &mut self,
        subject: &str,
        right: Right,
        place: &str,
        vouched: &[Vouched],
    ) -> proto::OpenRequestResponse {
        self.open_as(subject, right, place, (ActingAs::Self_, ""), vouched).await
    }

    async fn open_as(
        &mut self,
        subject: &str,
        right: Right,
        place: &str,
        (acting, guardian): (ActingAs, &str),
        vouched: &[Vouched],
    ) -> proto::OpenRequestResponse {
        let request = proto::OpenRequestRequest {
            subject_ref: subject.to_owned(),
            right: right.into(),
            jurisdiction: place.to_owned(),
            acting_as: acting.into(),
            guardian_ref: guardian.to_owned(),
            vouched: vouched.iter().map(|way| (*way).into()).collect(),
            idempotency_key: self.key(),
            ..Default::default()
        };
        let request = self.signed(request);
        let opened = self.rights.open_request(request).await.unwrap().into_inner();
        let of = opened.request.clone().unwrap();
        let due = of.due_date.unwrap();
        println!(
            "   OpenRequest: {} under {}, needs {}, due {}-{:02}-{:02}, identity card {}",
            of.right().as_str_name(),
            of.regime().as_str_name(),
            of.required_level().as_str_name(),
            due.year,
            due.month,
            due.day,
            of.id_document().as_str_name(),
        );
        opened
    }

    /// Shows one thing and tells what it came to.
    async fn prove(&mut self, subject: &str, id: &str, proof: Proof) -> proto::ProveRequesterResponse {
        let request = proto::ProveRequesterRequest {
            request_id: id.to_owned(),
            subject_ref: subject.to_owned(),
            proof: Some(proof),
            single_use: true,
            language: "en".to_owned(),
            idempotency_key: self.key(),
        };
        let request = self.signed(request);
        let proved = self.rights.prove_requester(request).await.unwrap().into_inner();
        let missing: Vec<&str> = match &proved.outcome {
            Some(prove_requester_response::Outcome::Accepted(of)) => {
                of.missing().map(|what| what.as_str_name()).collect()
            }
            other => panic!("{other:?}"),
        };
        println!("   ProveRequester: {} {missing:?}", proved.message);
        proved
    }

    /// Has a code made, delivers it, and gets it back from the requester.
    async fn code(&mut self, subject: &str, id: &str, channel: proto::CodeChannel) -> Proof {
        let request = self.signed(proto::IssueCodeRequest {
            request_id: id.to_owned(),
            subject_ref: subject.to_owned(),
            channel: channel.into(),
            language: "en".to_owned(),
        });
        let issued = self.rights.issue_code(request).await.unwrap().into_inner();
        let Some(proto::issue_code_response::Outcome::Issued(issued)) = issued.outcome else { panic!() };
        println!("   IssueCode: {} digits by {}", issued.code.len(), channel.as_str_name());
        Proof::Code(proto::CodeProof { code: issued.code })
    }

    async fn redeem(&mut self, proved: &proto::ProveRequesterResponse) -> &'static str {
        let token = proved.proof.clone().unwrap().token;
        let request = self.signed(proto::RedeemProofRequest { token });
        self.rights.redeem_proof(request).await.unwrap().into_inner().redemption().as_str_name()
    }

    async fn close(&mut self, id: &str, answer: close_request::Answer) -> proto::CloseResponse {
        let request = proto::CloseRequest {
            request_id: id.to_owned(),
            answer: Some(answer),
            language: "en".to_owned(),
            idempotency_key: self.key(),
        };
        let request = self.signed(request);
        let closed = self.rights.close(request).await.unwrap().into_inner();
        match &closed.outcome {
            Some(proto::close_response::Outcome::Closed(of)) => println!("   Close: {}", of.state().as_str_name()),
            other => println!("   Close: {other:?}"),
        }
        closed
    }

    async fn done(&mut self, id: &str) {
        let staff_ref = "staff-7".to_owned();
        self.close(id, close_request::Answer::Done(proto::Done { staff_ref, partly_refused: 0 })).await;
    }

    async fn extend(&mut self, id: &str, reason: proto::ExtensionReason) {
        use proto::extend_response::Outcome;
        let request = proto::ExtendRequest {
            request_id: id.to_owned(),
            reason: reason.into(),
            staff_ref: "staff-7".to_owned(),
            language: "en".to_owned(),
            idempotency_key: self.key(),
        };
        let request = self.signed(request);
        match self.rights.extend(request).await.unwrap().into_inner().outcome {
            Some(Outcome::Extended(of)) => println!("   Extend: due {:?}", of.due_date.unwrap()),
            Some(Outcome::NotPossible(why)) => println!("   Extend: {}", why.message),
            None => panic!(),
        }
    }

    /// Waits until an event of this type comes in.
    async fn event(&mut self, wanted: proto::EventType) {
        loop {
            let message = self.events.message().await.unwrap().unwrap();
            let Some(event) = message.event else { continue };
            println!("   event  {} {}", event.r#type().as_str_name(), event.proof_method);
            if event.r#type() == wanted {
                return;
            }
        }
    }

    async fn check(&mut self, subject: &str, evidence: Evidence) -> proto::CheckAgeResponse {
        let request = proto::CheckAgeRequest {
            subject_ref: subject.to_owned(),
            jurisdiction: "KR".to_owned(),
            purpose: proto::Purpose::Signup.into(),
            idempotency_key: self.key(),
            language: "en".to_owned(),
            evidence: Some(evidence),
        };
        let request = self.signed(request);
        self.ages.check_age(request).await.unwrap().into_inner()
    }

    async fn token_status(&mut self, token: &str) -> &'static str {
        let request = self.signed(proto::GetTokenStatusRequest { token: token.to_owned() });
        self.ages.get_token_status(request).await.unwrap().into_inner().status().as_str_name()
    }

    /// A child whose guardian has consented: the consent's name.
    async fn child(&mut self, subject: &str, guardian: &str) -> String {
        let checked = self.check(subject, Evidence::Image(CHILD.to_vec())).await;
        let key = self.key();
        let request = self.signed(proto::RequestConsentRequest {
            subject_ref: subject.to_owned(),
            decision_id: checked.decision_id,
            purposes: vec![proto::ConsentPurpose::Collection.into()],
            notice: Some(proto::Notice {
                version: "2026-11".to_owned(),
                text_sha256: "5d".repeat(32),
                language: "ko".to_owned(),
            }),
            methods: vec![proto::VerificationMethod::IdScan.into()],
            guardian_ref: guardian.to_owned(),
            idempotency_key: key,
            language: "en".to_owned(),
        });
        let asked = self.consents.request_consent(request).await.unwrap().into_inner();
        let Some(proto::request_consent_response::Outcome::Requested(consent)) = asked.outcome else { panic!() };
        let key = self.key();
        let request = self.signed(proto::VerifyGuardianRequest {
            consent_id: consent.consent_id.clone(),
            proof: Some(proto::verify_guardian_request::Proof::Image(GUARDIAN.to_vec())),
            idempotency_key: key,
            language: "en".to_owned(),
        });
        self.consents.verify_guardian(request).await.unwrap();
        let key = self.key();
        let request = self.signed(proto::RespondRequest {
            consent_id: consent.consent_id.clone(),
            guardian_link_token: asked.guardian_link_token,
            answer: Some(proto::respond_request::Answer::Grant(proto::Grant {
                purposes: vec![proto::ConsentPurpose::Collection.into()],
                relationship: proto::Relationship::Parent.into(),
                attestation_text_id: "i-am-the-parent-1".to_owned(),
            })),
            idempotency_key: key,
            language: "en".to_owned(),
        });
        self.consents.respond(request).await.unwrap();
        consent.consent_id
    }
}

fn id_of(opened: &proto::OpenRequestResponse) -> String {
    opened.request.clone().unwrap().request_id
}

/// A session that was begun just now.
fn session() -> Proof {
    let now = jiff::Timestamp::now();
    let authenticated_at = prost_types::Timestamp { seconds: now.as_second(), nanos: 0 };
    Proof::Session(proto::SessionProof { authenticated_at: Some(authenticated_at) })
}

/// What the requester says, beside what is on file.
fn data_points(points: &[(DataPointKind, &str)]) -> Proof {
    let point = |(kind, value): &(DataPointKind, &str)| proto::DataPoint {
        kind: (*kind).into(),
        claimed: (*value).to_owned(),
        on_file: (*value).to_owned(),
    };
    Proof::DataPoints(proto::DataPointsProof { points: points.iter().map(point).collect() })
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
    let channel = Channel::from_shared(format!("http://{}", bound.address().unwrap())).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
    let channel = channel.connect().await.unwrap();
    let bearer = keys::Bearer {
        relying_party: "demo-shop".parse().unwrap(),
        scopes: vec![
            Scope::AgeCheck,
            Scope::DecisionRead,
            Scope::ConsentRead,
            Scope::ConsentWrite,
            Scope::EventRead,
            Scope::RightsRead,
            Scope::RightsWrite,
            Scope::RightsDecide,
        ],
        purposes: Vec::new(),
        minutes: 10,
    };
    let bearer: MetadataValue<Ascii> =
        format!("Bearer {}", keys::mint(&settings, None, bearer).unwrap().as_str()).parse().unwrap();
    let mut watch = Request::new(proto::WatchRequest::default());
    watch.metadata_mut().insert("authorization", bearer.clone());
    let events = EventServiceClient::new(channel.clone()).watch(watch).await.unwrap().into_inner();
    let mut team = Team {
        bearer,
        rights: RightsServiceClient::new(channel.clone()),
        ages: AgeGateServiceClient::new(channel.clone()),
        consents: ConsentServiceClient::new(channel),
        events,
        calls: 0,
    };
    for_oneself(&mut team).await;
    for_another(&mut team).await;
    drop(team);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

async fn for_oneself(team: &mut Team) {
    println!("1. Access, by somebody who is logged in.");
    let id = id_of(&team.open("user-1", Right::Access, "FR", &[Vouched::Session, Vouched::Email]).await);
    team.prove("user-1", &id, session()).await;
    let code = team.code("user-1", &id, proto::CodeChannel::Email).await;
    let proved = team.prove("user-1", &id, code).await;
    println!("   RedeemProof: {}, again: {}", team.redeem(&proved).await, team.redeem(&proved).await);
    team.done(&id).await;
    team.event(proto::EventType::RightsDone).await;

    println!("2. Erasure, by a code to the e-mail address and two data points.");
    let id = id_of(&team.open("user-2", Right::Delete, "KR", &[Vouched::Email]).await);
    let code = team.code("user-2", &id, proto::CodeChannel::Email).await;
    team.prove("user-2", &id, code).await;
    let points = [(DataPointKind::Username, "blue-heron"), (DataPointKind::RegistrationDate, "2024-03-09")];
    team.prove("user-2", &id, data_points(&points)).await;
    team.done(&id).await;
    team.event(proto::EventType::ErasureRequired).await;

    println!("3. Correction of a date of birth, by a masked card: the last resort.");
    let checked = team.check("user-3", Evidence::Image(MASKED.to_vec())).await;
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    let id = id_of(&team.open("user-3", Right::CorrectBirthDate, "KR", &[Vouched::Session, Vouched::Phone]).await);
    team.prove("user-3", &id, session()).await;
    let code = team.code("user-3", &id, proto::CodeChannel::Sms).await;
    team.prove("user-3", &id, code).await;
    let expected_date_of_birth = "1988-02-29".to_owned();
    team.prove("user-3", &id, Proof::IdCard(proto::IdCardProof { image: MASKED.to_vec(), expected_date_of_birth }))
        .await;
    team.done(&id).await;
    team.event(proto::EventType::AgeRecheckRequired).await;
    println!("   GetTokenStatus of an older token: {}", team.token_status(&allowed.token).await);
    team.check("user-3", Evidence::Image(MASKED.to_vec())).await;
    println!("   and after a new CheckAge: {}", team.token_status(&allowed.token).await);

    println!("4. Opting out of sale and sharing, without a session: nothing is asked.");
    let opened = team.open("visitor-4", Right::OptOut, "US-CA", &[]).await;
    println!("   a proof token is there at once: {}", opened.proof.is_some());
    team.done(&id_of(&opened)).await;
    team.event(proto::EventType::RightsDone).await;
}

async fn for_another(team: &mut Team) {
    println!("5. A guardian asks for access for a child.");
    let consent = team.child("child-5", "guardian-5").await;
    let acting = (ActingAs::Guardian, "guardian-5");
    let opened = team.open_as("child-5", Right::Access, "KR", acting, &[Vouched::Email, Vouched::Phone]).await;
    let id = id_of(&opened);
    team.prove("child-5", &id, Proof::Guardian(proto::GuardianProof { consent_id: consent })).await;
    for channel in [proto::CodeChannel::Email, proto::CodeChannel::Sms] {
        let code = team.code("child-5", &id, channel).await;
        team.prove("child-5", &id, code).await;
    }
    let points = [
        (DataPointKind::Username, "small-otter"),
        (DataPointKind::RegistrationDate, "2025-01-31"),
        (DataPointKind::Device, "tablet"),
    ];
    team.prove("child-5", &id, data_points(&points)).await;
    let declaration = proto::DeclarationProof { staff_ref: "staff-7".to_owned() };
    team.prove("child-5", &id, Proof::Declaration(declaration)).await;
    team.done(&id).await;
    team.event(proto::EventType::RightsDone).await;

    println!("6. An agent with permission asks for erasure.");
    let opened = team.open_as("user-6", Right::Delete, "US-CA", (ActingAs::Agent, ""), &[Vouched::Email]).await;
    let id = id_of(&opened);
    let code = team.code("user-6", &id, proto::CodeChannel::Email).await;
    team.prove("user-6", &id, code).await;
    let points = [(DataPointKind::Username, "grey-fox"), (DataPointKind::Payment, "gift of 3 May")];
    team.prove("user-6", &id, data_points(&points)).await;
    let permission = proto::StaffProof { staff_ref: "staff-7".to_owned() };
    team.prove("user-6", &id, Proof::AgentPermission(permission)).await;
    team.done(&id).await;
    team.event(proto::EventType::ErasureRequired).await;

    println!("7. A request is refused: with its ground and what can be done against it.");
    let id = id_of(&team.open("user-7", Right::Object, "DE", &[Vouched::Session]).await);
    team.prove("user-7", &id, session()).await;
    let refusal = proto::Refusal { staff_ref: "staff-7".to_owned(), basis: proto::RefusalBasis::LegalClaims.into() };
    let closed = team.close(&id, close_request::Answer::Refused(refusal)).await;
    println!("   {}\n   {}", closed.ground, closed.remedy);
    team.event(proto::EventType::RightsRefused).await;

    println!("8. More time: once, as the law allows it, and not when the time is over.");
    let id = id_of(&team.open("user-8", Right::Access, "DE", &[Vouched::Email]).await);
    team.extend(&id, proto::ExtensionReason::Complex).await;
    team.extend(&id, proto::ExtensionReason::Complex).await;
    let key = team.key();
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 100);
    let late = team.signed(proto::OpenRequestRequest {
        subject_ref: "user-9".to_owned(),
        right: Right::Access.into(),
        jurisdiction: "DE".to_owned(),
        acting_as: ActingAs::Self_.into(),
        received_at: Some(prost_types::Timestamp { seconds: long_ago.as_second(), nanos: 0 }),
        idempotency_key: key,
        ..Default::default()
    });
    let id = id_of(&team.rights.open_request(late).await.unwrap().into_inner());
    team.extend(&id, proto::ExtensionReason::Complex).await;
}
