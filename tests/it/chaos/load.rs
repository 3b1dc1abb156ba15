//! What callers do while everything breaks, and what they were told: the ledger that is compared with the store
//! afterwards.

#![allow(clippy::disallowed_methods, reason = "a guess has to wait")]

use super::fleet::Caller;
use crate::support::rights::{asks, code, done, fresh_key, other_than, two_points};
use crate::support::{ask, born, purposes};
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::prove_requester_response::Outcome as Proved;
use idgate::server::proto::request_consent_response::Outcome as Requested;
use idgate::server::proto::respond_response::Outcome as Responded;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::verify_guardian_request::Proof as Guardian;
use idgate::server::proto::{
    self, CheckAgeRequest, CodeChannel, ConsentActor, ConsentState, EventType, ProveRequesterRequest, Redemption,
    RequestState, RespondRequest, Right, VerificationMethod, Vouched, issue_code_response, respond_request,
    withdraw_response,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::Status;

/// What callers were told, and so what must be true.
#[derive(Default)]
pub struct Ledger {
    /// Decisions, by name.
    pub decisions: Mutex<Vec<String>>,
    /// Where each consent stood when it was last told.
    pub consents: Mutex<BTreeMap<String, ConsentState>>,
    /// How often a guardian was shown until it was answered.
    pub asked: Mutex<BTreeMap<String, u32>>,
    /// Where each rights request stood when it was last told.
    pub requests: Mutex<BTreeMap<String, RequestState>>,
    /// Events that must be told: of what, and whose name.
    pub events: Mutex<Vec<(EventType, String)>>,
    /// How many changes were acknowledged.
    pub acknowledged: AtomicU64,
    /// Tokens for one use, and how often more than one caller was told that it was theirs.
    pub tokens: AtomicU64,
    pub spent_twice: AtomicU64,
    /// Codes and limits, and how often one was passed.
    pub limits: AtomicU64,
    pub over_limit: AtomicU64,
    /// Whole stories that came to their end.
    pub stories: AtomicU64,
    /// Answers that nobody should get.
    pub wrong: Mutex<Vec<String>>,
}

impl Ledger {
    fn acknowledge(&self, event: EventType, name: &str) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.events.lock().unwrap().push((event, name.to_owned()));
    }

    fn consent(&self, event: EventType, consent: &proto::Consent) {
        self.acknowledge(event, &consent.consent_id);
        self.consents.lock().unwrap().insert(consent.consent_id.clone(), consent.state());
    }

    fn request(&self, event: EventType, request: &proto::RightsRequest) {
        self.acknowledge(event, &request.request_id);
        self.requests.lock().unwrap().insert(request.request_id.clone(), request.state());
    }

    fn token(&self, uses: usize) {
        self.tokens.fetch_add(1, Ordering::Relaxed);
        self.spent_twice.fetch_add(u64::from(uses > 1), Ordering::Relaxed);
    }

    fn limit(&self, uses: usize, most: usize) {
        self.limits.fetch_add(1, Ordering::Relaxed);
        self.over_limit.fetch_add(u64::from(uses > most), Ordering::Relaxed);
    }

    fn wrong(&self, what: impl Into<String>) {
        self.wrong.lock().unwrap().push(what.into());
    }
}

/// Tells one story after the other until the time is over.
pub async fn stories(caller: Arc<Caller>, ledger: Arc<Ledger>, end: Instant) {
    while Instant::now() < end {
        let told = match caller.random(5) {
            0 | 1 => consent(&caller, &ledger).await,
            2 | 3 => rights(&caller, &ledger).await,
            _ => attempts(&caller, &ledger).await,
        };
        match told {
            Ok(()) => drop(ledger.stories.fetch_add(1, Ordering::Relaxed)),
            Err(status) => ledger.wrong(format!("{:?}: {}", status.code(), status.message())),
        }
    }
}

fn subject() -> String {
    format!("subject-{}", uuid::Uuid::new_v4())
}

/// A child that says so itself: cheap, for nothing is read.
pub fn declared(subject: &str) -> CheckAgeRequest {
    let evidence = Some(Evidence::DeclaredBirthDate(born(15, -40)));
    CheckAgeRequest { evidence, ..ask(subject, &fresh_key(), "") }
}

/// The same question at several servers at once; the answers there were.
async fn at_once<Q, A, F>(
    caller: &Arc<Caller>,
    messages: impl IntoIterator<Item = Q>,
    call: impl Fn(tonic::transport::Channel, tonic::Request<Q>) -> F + Copy + Send + Sync + 'static,
) -> Result<Vec<A>, Status>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<tonic::Response<A>, Status>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (server, message) in messages.into_iter().enumerate() {
        let caller = Arc::clone(caller);
        running.spawn(async move { caller.once(server, message, call).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = running.join_next().await {
        answers.extend(answer.unwrap()?);
    }
    Ok(answers)
}

/// A child, a guardian, an answer that can be given once, and sometimes a withdrawal.
async fn consent(caller: &Arc<Caller>, ledger: &Ledger) -> Result<(), Status> {
    let subject = subject();
    let check = declared(&subject);
    let decided = caller.ask(&check, |to, ask| async { AgeGateServiceClient::new(to).check_age(ask).await }).await?;
    if !matches!(decided.outcome, Some(Checked::ConsentRequired(_))) {
        ledger.wrong(format!("a child: {:?}", decided.outcome));
        return Ok(());
    }
    ledger.acknowledge(EventType::DecisionMade, &decided.decision_id);
    ledger.decisions.lock().unwrap().push(decided.decision_id.clone());

    let request = proto::RequestConsentRequest {
        subject_ref: subject.clone(),
        decision_id: decided.decision_id,
        purposes: purposes(),
        notice: Some(proto::Notice {
            version: "notice-1".to_owned(),
            text_sha256: "ab".repeat(32),
            language: "ko".to_owned(),
        }),
        methods: vec![VerificationMethod::SignedForm.into()],
        guardian_ref: String::new(),
        idempotency_key: fresh_key(),
        language: String::new(),
    };
    let ask = |to, ask| async { ConsentServiceClient::new(to).request_consent(ask).await };
    let requested = caller.ask(&request, ask).await?;
    let Some(Requested::Requested(asked)) = requested.outcome else {
        ledger.wrong(format!("consent could not be asked for: {:?}", requested.outcome));
        return Ok(());
    };
    ledger.consent(EventType::ConsentRequested, &asked);
    let id = asked.consent_id;

    let request = proto::VerifyGuardianRequest {
        consent_id: id.clone(),
        proof: Some(Guardian::Attested(proto::AttestedMethod {
            method: VerificationMethod::SignedForm.into(),
            staff_ref: "staff-7".to_owned(),
        })),
        idempotency_key: fresh_key(),
        language: String::new(),
    };
    let ask = |to, ask| async { ConsentServiceClient::new(to).verify_guardian(ask).await };
    let (answer, times) = caller.ask_often(&request, ask).await?;
    match answer.outcome {
        Some(proto::verify_guardian_response::Outcome::Verified(consent)) => {
            ledger.consent(EventType::ConsentGuardianVerified, &consent);
            ledger.asked.lock().unwrap().insert(id.clone(), times);
        }
        other => ledger.wrong(format!("a guardian: {other:?}")),
    }

    // The link is good for one answer. Six are given at once, each as a request of its own.
    let answer = |_| RespondRequest {
        consent_id: id.clone(),
        guardian_link_token: requested.guardian_link_token.clone(),
        answer: Some(respond_request::Answer::Grant(proto::Grant {
            purposes: purposes(),
            relationship: proto::Relationship::Parent.into(),
            attestation_text_id: "attest-1".to_owned(),
        })),
        idempotency_key: fresh_key(),
        language: String::new(),
    };
    let ask = |to, ask| async { ConsentServiceClient::new(to).respond(ask).await };
    let answers = at_once(caller, (0..6).map(answer), ask).await?;
    let given: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| match answer.outcome {
            Some(Responded::Given(consent)) => Some(consent),
            _ => None,
        })
        .collect();
    ledger.token(given.len());
    let Some(consent) = given.first() else { return Ok(()) };
    ledger.consent(EventType::ConsentGiven, consent);
    if caller.random(2) == 0 {
        let request = proto::WithdrawRequest {
            consent_id: id,
            actor: ConsentActor::Guardian.into(),
            idempotency_key: fresh_key(),
            language: String::new(),
        };
        let ask = |to, ask| async { ConsentServiceClient::new(to).withdraw(ask).await };
        match caller.ask(&request, ask).await?.outcome {
            Some(withdraw_response::Outcome::Withdrawn(consent)) => {
                ledger.consent(EventType::ConsentWithdrawn, &consent);
            }
            other => ledger.wrong(format!("a withdrawal: {other:?}")),
        }
    }
    Ok(())
}

/// The most codes that a person gets in an hour, and the most tries that a code has.
const CODES: usize = 3;
const TRIES: usize = 5;

/// A request for erasure: a code that is guessed at from all sides, data points, a token for one use, the end.
async fn rights(caller: &Arc<Caller>, ledger: &Ledger) -> Result<(), Status> {
    let subject = subject();
    let request = asks(&subject, Right::Delete, "KR", &[Vouched::Email]);
    let request = proto::OpenRequestRequest { ..request };
    let ask = |to, ask| async { RightsServiceClient::new(to).open_request(ask).await };
    let opened = caller.ask(&request, ask).await?.request.unwrap();
    ledger.request(EventType::RightsOpened, &opened);
    let id = opened.request_id;

    let issue = |_| proto::IssueCodeRequest {
        request_id: id.clone(),
        subject_ref: subject.clone(),
        channel: CodeChannel::Email.into(),
        language: String::new(),
    };
    let prove = |proof, single_use| ProveRequesterRequest {
        request_id: id.clone(),
        subject_ref: subject.clone(),
        proof: Some(proof),
        single_use,
        language: String::new(),
        idempotency_key: fresh_key(),
    };
    let asked = |to, ask| async { RightsServiceClient::new(to).issue_code(ask).await };
    if caller.random(3) == 0 {
        // Nobody is told of more codes than there may be, however they ask.
        let answers = at_once(caller, (0..8).map(issue), asked).await?;
        let issued =
            answers.iter().filter(|answer| matches!(answer.outcome, Some(issue_code_response::Outcome::Issued(_))));
        ledger.limit(issued.count(), CODES);
        return Ok(());
    }
    let Some(answer) = caller.once(caller.random(3), issue(0), asked).await? else { return Ok(()) };
    let Some(issue_code_response::Outcome::Issued(issued)) = answer.outcome else { return Ok(()) };
    ledger.acknowledge(EventType::RightsCodeMade, &id);
    let (mut looked_at, mut accepted) = (0, 0);
    for round in 0..4 {
        let guess = |n: usize| {
            let right = round > 0 && n.is_multiple_of(2);
            prove(code(&if right { issued.code.clone() } else { other_than(&issued.code) }), false)
        };
        let ask = |to, ask| async { RightsServiceClient::new(to).prove_requester(ask).await };
        for answer in at_once(caller, (0..6).map(guess), ask).await? {
            match answer.outcome {
                Some(Proved::Accepted(request)) => {
                    (looked_at, accepted) = (looked_at + 1, accepted + 1);
                    ledger.request(EventType::RightsProofShown, &request);
                }
                Some(Proved::NotAccepted(request)) => {
                    looked_at += 1;
                    ledger.request(EventType::RightsProofFailed, &request);
                }
                _ => {}
            }
        }
        if accepted > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1_000 << round)).await;
    }
    ledger.limit(looked_at, TRIES);
    ledger.token(accepted);
    if accepted == 0 {
        return Ok(());
    }

    let request = prove(two_points(), true);
    let ask = |to, ask| async { RightsServiceClient::new(to).prove_requester(ask).await };
    let proved = caller.ask(&request, ask).await?;
    let (Some(Proved::Accepted(request)), Some(proof)) = (&proved.outcome, &proved.proof) else { return Ok(()) };
    ledger.request(EventType::RightsVerified, request);
    let redeem = |_| proto::RedeemProofRequest { token: proof.token.clone() };
    let ask = |to, ask| async { RightsServiceClient::new(to).redeem_proof(ask).await };
    let mut redeemed = 0;
    for _ in 0..2 {
        let answers = at_once(caller, (0..6).map(redeem), ask).await?;
        redeemed += answers.iter().filter(|answer| answer.redemption() == Redemption::Redeemed).count();
    }
    ledger.token(redeemed);
    if redeemed > 0 {
        ledger.acknowledge(EventType::RightsProofRedeemed, &id);
    }

    let request = proto::CloseRequest {
        request_id: id,
        answer: Some(done()),
        language: String::new(),
        idempotency_key: fresh_key(),
    };
    let ask = |to, ask| async { RightsServiceClient::new(to).close(ask).await };
    match caller.ask(&request, ask).await?.outcome {
        Some(proto::close_response::Outcome::Closed(request)) => ledger.request(EventType::RightsDone, &request),
        other => ledger.wrong(format!("the end of a request: {other:?}")),
    }
    Ok(())
}

/// The most attempts of one person in a day.
const ATTEMPTS: usize = 5;

/// Somebody tries one age after the other, everywhere at once.
async fn attempts(caller: &Arc<Caller>, ledger: &Ledger) -> Result<(), Status> {
    let subject = subject();
    let ask = |to, ask| async { AgeGateServiceClient::new(to).check_age(ask).await };
    let answers = at_once(caller, (0..12).map(|_| declared(&subject)), ask).await?;
    for answer in &answers {
        ledger.acknowledge(EventType::DecisionMade, &answer.decision_id);
        ledger.decisions.lock().unwrap().push(answer.decision_id.clone());
    }
    ledger.limit(answers.len(), ATTEMPTS);
    Ok(())
}
