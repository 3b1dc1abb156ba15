//! What consent tests share: a clock that the test turns, and the calls of a signup team in one line each.

use super::{SHOP, World, ask};
use idgate::flows::App;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::{
    self, CheckAgeResponse, Consent, ConsentActor, ConsentPurpose, ConsentState, Notice, RequestConsentRequest,
    RespondRequest, VerificationMethod, VerifyGuardianRequest, respond_request, verify_guardian_request,
};
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use tonic::Status;
use tonic::transport::Channel;

/// A clock that stands still until it is turned.
#[derive(Clone)]
pub struct TurnedClock(Arc<Mutex<Timestamp>>);

impl TurnedClock {
    pub fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.parse().unwrap())))
    }

    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub fn turn_to(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }

    /// Puts the clock into a server.
    pub fn wind(&self, app: &mut App) {
        let clock = self.clone();
        app.clock = Box::new(move || clock.now());
    }
}

/// A request that was made.
pub struct Asked {
    pub id: String,
    pub link: String,
    pub consent: Consent,
}

/// What most requests ask for.
pub fn purposes() -> Vec<i32> {
    vec![ConsentPurpose::Collection.into(), ConsentPurpose::Marketing.into()]
}

impl World {
    pub fn consents(&self) -> ConsentServiceClient<Channel> {
        ConsentServiceClient::new(self.channel.clone())
    }

    /// Checks a child and expects that a guardian is asked for; the decision's name.
    pub async fn consent_required(&self, subject: &str, born: &str) -> String {
        let key = format!("check-{subject}-{born}-{}", uuid::Uuid::new_v4());
        let answer = self.check(ask(subject, &key, &format!("read {born}"))).await.unwrap();
        assert!(matches!(answer.outcome, Some(Checked::ConsentRequired(_))), "{:?}", answer.outcome);
        answer.decision_id
    }

    pub fn consent_request(
        &self,
        subject: &str,
        decision: &str,
        methods: &[VerificationMethod],
    ) -> RequestConsentRequest {
        RequestConsentRequest {
            subject_ref: subject.to_owned(),
            decision_id: decision.to_owned(),
            purposes: purposes(),
            notice: Some(Notice {
                version: "notice-3".to_owned(),
                text_sha256: "ab".repeat(32),
                language: "ko".to_owned(),
            }),
            methods: methods.iter().map(|method| (*method).into()).collect(),
            guardian_ref: String::new(),
            idempotency_key: format!("request-{}", uuid::Uuid::new_v4()),
            language: String::new(),
        }
    }

    /// Asks for consent with these methods.
    pub async fn request_with(&self, request: RequestConsentRequest) -> Asked {
        let answer = self.consents().request_consent(self.authorized(SHOP, request)).await.unwrap().into_inner();
        let Some(proto::request_consent_response::Outcome::Requested(consent)) = answer.outcome else {
            panic!("{:?}", answer.outcome)
        };
        assert_eq!(consent.state(), ConsentState::Requested);
        assert!(!answer.guardian_link_token.is_empty());
        Asked { id: consent.consent_id.clone(), link: answer.guardian_link_token, consent }
    }

    /// Checks a child and asks for consent by the guardian's card.
    pub async fn requested(&self, subject: &str, born: &str) -> Asked {
        let decision = self.consent_required(subject, born).await;
        self.request_with(self.consent_request(subject, &decision, &[VerificationMethod::IdScan])).await
    }

    pub async fn verify_guardian(
        &self,
        id: &str,
        proof: verify_guardian_request::Proof,
    ) -> Result<proto::verify_guardian_response::Outcome, Status> {
        let picture = match &proof {
            verify_guardian_request::Proof::Image(picture) => Some(picture.clone()),
            _ => None,
        };
        let request = VerifyGuardianRequest {
            consent_id: id.to_owned(),
            proof: Some(proof),
            idempotency_key: format!("verify-{}", uuid::Uuid::new_v4()),
            language: String::new(),
        };
        let answer = self.consents().verify_guardian(self.authorized(SHOP, request)).await?.into_inner();
        assert_eq!(picture.is_some(), answer.disposal.is_some());
        if let (Some(picture), Some(receipt)) = (picture, &answer.disposal) {
            super::disposal::claims_of(&self.app, SHOP, &picture, receipt);
        }
        Ok(answer.outcome.unwrap())
    }

    /// Shows the guardian's card.
    pub async fn guardian_card(&self, id: &str, picture: &str) -> proto::verify_guardian_response::Outcome {
        let image = verify_guardian_request::Proof::Image(picture.as_bytes().to_vec());
        self.verify_guardian(id, image).await.unwrap()
    }

    pub fn grant_request(&self, asked: &Asked) -> RespondRequest {
        RespondRequest {
            consent_id: asked.id.clone(),
            guardian_link_token: asked.link.clone(),
            answer: Some(respond_request::Answer::Grant(proto::Grant {
                purposes: purposes(),
                relationship: proto::Relationship::Parent.into(),
                attestation_text_id: "attest-1".to_owned(),
            })),
            idempotency_key: format!("respond-{}", uuid::Uuid::new_v4()),
            language: String::new(),
        }
    }

    pub async fn respond(&self, request: RespondRequest) -> proto::respond_response::Outcome {
        self.consents().respond(self.authorized(SHOP, request)).await.unwrap().into_inner().outcome.unwrap()
    }

    pub async fn refuse(&self, asked: &Asked) -> proto::respond_response::Outcome {
        let answer = Some(respond_request::Answer::Refuse(proto::Refuse {}));
        self.respond(RespondRequest { answer, ..self.grant_request(asked) }).await
    }

    /// The whole way: a child, a guardian born in 1980, consent given.
    pub async fn given(&self, subject: &str, born: &str) -> Asked {
        let asked = self.requested(subject, born).await;
        let verified = self.guardian_card(&asked.id, "read 1980-01-02").await;
        assert!(matches!(verified, proto::verify_guardian_response::Outcome::Verified(_)), "{verified:?}");
        let answer = self.respond(self.grant_request(&asked)).await;
        assert!(matches!(answer, proto::respond_response::Outcome::Given(_)), "{answer:?}");
        asked
    }

    pub async fn get_consent(&self, id: &str) -> Consent {
        let request = proto::GetConsentRequest { consent_id: id.to_owned() };
        let answer = self.consents().get_consent(self.authorized(SHOP, request)).await.unwrap();
        answer.into_inner().consent.unwrap()
    }

    pub async fn withdraw(&self, id: &str, actor: ConsentActor) -> proto::withdraw_response::Outcome {
        let request = proto::WithdrawRequest {
            consent_id: id.to_owned(),
            actor: actor.into(),
            idempotency_key: format!("withdraw-{}", uuid::Uuid::new_v4()),
            language: String::new(),
        };
        self.consents().withdraw(self.authorized(SHOP, request)).await.unwrap().into_inner().outcome.unwrap()
    }

    pub async fn erase(&self, subject: &str) {
        let request = proto::EraseSubjectRequest {
            subject_ref: subject.to_owned(),
            idempotency_key: format!("erase-{}", uuid::Uuid::new_v4()),
        };
        self.consents().erase_subject(self.authorized(SHOP, request)).await.unwrap();
    }

    pub async fn token_status(&self, token: &str) -> proto::TokenStatus {
        let request = proto::GetTokenStatusRequest { token: token.to_owned() };
        self.age_gate().get_token_status(self.authorized(SHOP, request)).await.unwrap().into_inner().status()
    }

    /// Checks an age by a consent.
    pub async fn check_by_consent(&self, subject: &str, consent: &str) -> Result<CheckAgeResponse, Status> {
        let evidence = Some(proto::check_age_request::Evidence::ConsentId(consent.to_owned()));
        let key = format!("by-consent-{}", uuid::Uuid::new_v4());
        self.check(proto::CheckAgeRequest { evidence, ..ask(subject, &key, "") }).await
    }
}

/// The kinds of events that a consent has seen.
pub fn kinds(consent: &Consent) -> Vec<&str> {
    consent.events.iter().map(|event| event.kind.as_str()).collect()
}
