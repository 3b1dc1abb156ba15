//! A relying party that sends pictures over real gRPC, in every call that takes one.

use super::canary::Picture;
use super::place::Server;
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::document_service_client::DocumentServiceClient;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::{
    self, CheckAgeRequest, CheckAgeStreamHeader, CheckAgeStreamRequest, check_age_request::Evidence,
};
use idgate::terms::Scope;
use jiff::Timestamp;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// What a call came to: the outcome, or the reason of its refusal.
pub type Answer = String;

#[derive(Clone)]
pub struct Caller {
    pub channel: Channel,
    pub bearer: String,
    pub within: Option<Duration>,
}

/// A name that was never used.
pub fn fresh(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4().simple())
}

fn told<T>(answer: Result<T, Status>, outcome: impl FnOnce(T) -> String) -> Answer {
    match answer {
        Ok(answer) => outcome(answer),
        Err(status) => status
            .get_error_details()
            .error_info()
            .map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone()),
    }
}

/// The first word of how a value is shown: the name of its variant.
fn variant<T: std::fmt::Debug>(value: Option<T>) -> String {
    let shown = value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"));
    shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

impl Caller {
    pub async fn of(server: &Server, party: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
        Self { channel, bearer: server.bearer(party, Scope::ALL), within: None }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.bearer.is_empty() {
            request.metadata_mut().insert("authorization", self.bearer.parse().unwrap());
        }
        self.within.inspect(|within| request.set_timeout(*within));
        request
    }

    /// CheckAge.
    pub async fn check(&self, picture: &Picture) -> Answer {
        self.check_as(&fresh("subject"), &fresh("key"), &picture.file).await
    }

    pub async fn check_as(&self, subject: &str, key: &str, image: &[u8]) -> Answer {
        self.check_in("KR", subject, key, image).await
    }

    pub async fn check_in(&self, jurisdiction: &str, subject: &str, key: &str, image: &[u8]) -> Answer {
        let ask = ask(jurisdiction, subject, key, image);
        let answer = AgeGateServiceClient::new(self.channel.clone()).check_age(self.request(ask)).await;
        told(answer, |answer| variant(answer.into_inner().outcome))
    }

    /// CheckAgeStream, with these parts.
    pub async fn stream(&self, parts: Vec<Part>) -> Answer {
        let parts = parts.into_iter().map(|part| CheckAgeStreamRequest { part: Some(part) });
        let mut client = AgeGateServiceClient::new(self.channel.clone());
        let answer = client.check_age_stream(self.request(tokio_stream::iter(parts))).await;
        told(answer, |answer| variant(answer.into_inner().answer.and_then(|answer| answer.outcome)))
    }

    /// ReadDocument, all fields.
    pub async fn read(&self, picture: &Picture) -> Answer {
        let ask = proto::ReadDocumentRequest {
            subject_ref: fresh("subject"),
            image: picture.file.clone(),
            fields: vec![proto::DocumentField::DateOfBirth.into(), proto::DocumentField::DocumentKind.into()],
            ..proto::ReadDocumentRequest::default()
        };
        let answer = DocumentServiceClient::new(self.channel.clone()).read_document(self.request(ask)).await;
        told(answer, |answer| variant(answer.into_inner().outcome))
    }

    /// CheckAge with a child's picture, RequestConsent, and VerifyGuardian with another.
    pub async fn guardian(&self, child: &Picture, guardian: &Picture) -> Answer {
        let subject = fresh("child");
        let ask = ask("KR", &subject, &fresh("key"), &child.file);
        let checked = AgeGateServiceClient::new(self.channel.clone()).check_age(self.request(ask)).await;
        let decision_id = match checked {
            Ok(checked) => checked.into_inner().decision_id,
            failed => return told(failed, |_| String::new()),
        };
        let request = proto::RequestConsentRequest {
            subject_ref: subject,
            decision_id,
            purposes: vec![proto::ConsentPurpose::Collection.into()],
            notice: Some(proto::Notice {
                version: "notice-3".to_owned(),
                text_sha256: "ab".repeat(32),
                language: "ko".to_owned(),
            }),
            methods: vec![proto::VerificationMethod::IdScan.into()],
            idempotency_key: fresh("request"),
            ..proto::RequestConsentRequest::default()
        };
        let mut consents = ConsentServiceClient::new(self.channel.clone());
        let asked = consents.request_consent(self.request(request)).await.map(|answer| answer.into_inner().outcome);
        let consent_id = match asked {
            Ok(Some(proto::request_consent_response::Outcome::Requested(consent))) => consent.consent_id,
            other => return told(other, variant),
        };
        let request = proto::VerifyGuardianRequest {
            consent_id,
            proof: Some(proto::verify_guardian_request::Proof::Image(guardian.file.clone())),
            idempotency_key: fresh("verify"),
            language: String::new(),
        };
        let answer = consents.verify_guardian(self.request(request)).await;
        told(answer, |answer| variant(answer.into_inner().outcome))
    }

    /// OpenRequest, ProveRequester by a session and a code, and then by a card.
    pub async fn requester(&self, card: &Picture) -> Answer {
        let mut rights = RightsServiceClient::new(self.channel.clone());
        let subject = fresh("requester");
        let open = proto::OpenRequestRequest {
            subject_ref: subject.clone(),
            right: proto::Right::CorrectBirthDate.into(),
            jurisdiction: "KR".to_owned(),
            acting_as: proto::ActingAs::Self_.into(),
            vouched: vec![proto::Vouched::Session.into(), proto::Vouched::Email.into()],
            idempotency_key: fresh("open"),
            ..proto::OpenRequestRequest::default()
        };
        let opened = rights.open_request(self.request(open)).await.unwrap().into_inner();
        let request_id = opened.request.unwrap().request_id;
        let prove = |proof| proto::ProveRequesterRequest {
            request_id: request_id.clone(),
            subject_ref: subject.clone(),
            proof: Some(proof),
            single_use: false,
            language: String::new(),
            idempotency_key: fresh("prove"),
        };
        let since = prost_types::Timestamp { seconds: Timestamp::now().as_second(), nanos: 0 };
        let session = Proof::Session(proto::SessionProof { authenticated_at: Some(since) });
        rights.prove_requester(self.request(prove(session))).await.unwrap();
        let issue = proto::IssueCodeRequest {
            request_id: request_id.clone(),
            subject_ref: subject.clone(),
            channel: proto::CodeChannel::Email.into(),
            language: String::new(),
        };
        let issued = rights.issue_code(self.request(issue)).await.unwrap().into_inner().outcome;
        let Some(proto::issue_code_response::Outcome::Issued(issued)) = issued else { return variant(issued) };
        let code = Proof::Code(proto::CodeProof { code: issued.code });
        rights.prove_requester(self.request(prove(code))).await.unwrap();
        let (image, expected_date_of_birth) = (card.file.clone(), card.birth.clone());
        let card = Proof::IdCard(proto::IdCardProof { image, expected_date_of_birth });
        let answer = rights.prove_requester(self.request(prove(card))).await;
        told(answer, |answer| variant(answer.into_inner().outcome))
    }
}

pub fn ask(jurisdiction: &str, subject: &str, key: &str, image: &[u8]) -> CheckAgeRequest {
    CheckAgeRequest {
        subject_ref: subject.to_owned(),
        jurisdiction: jurisdiction.to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: key.to_owned(),
        language: String::new(),
        evidence: Some(Evidence::Image(image.to_vec())),
    }
}

/// The head of a stream that announces so many bytes.
pub fn head(bytes: usize) -> Part {
    Part::Header(CheckAgeStreamHeader {
        subject_ref: fresh("subject"),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: fresh("key"),
        language: String::new(),
        image_bytes: u64::try_from(bytes).unwrap(),
    })
}

/// A picture in pieces of so many bytes, with its head.
pub fn pieces(picture: &Picture, size: usize) -> Vec<Part> {
    let chunks = picture.file.chunks(size).map(|chunk| Part::Chunk(chunk.to_vec()));
    std::iter::once(head(picture.file.len())).chain(chunks).collect()
}
