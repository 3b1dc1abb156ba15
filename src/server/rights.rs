//! RightsService: parse, run the flow, answer.

use super::convert::{self, Problem, bad, rights as wire};
use super::messages::{Language, ProofText, Text};
use super::proto;
use super::proto::rights_service_server::RightsService;
use super::service::{self, enter};
use crate::flows::App;
use crate::flows::rights::{Looked, RightsChanged, Verdict};
use crate::terms::{RequestState, Right, Scope};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct Rights {
    app: Arc<App>,
}

impl Rights {
    /// Serves the flows of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// A change on the wire: the request after it, or why it was not changed.
    fn changed(
        &self,
        changed: &RightsChanged,
        language: Language,
    ) -> Result<proto::RightsRequest, Box<proto::RightsImpossible>> {
        let now = self.app.now();
        match changed.outcome {
            Ok(()) => Ok(wire::request(&changed.request, now)),
            Err(why) => Err(Box::new(wire::impossible(why, Some(&changed.request), language, now))),
        }
    }
}

#[tonic::async_trait]
impl RightsService for Rights {
    async fn open_request(
        &self,
        mut request: Request<proto::OpenRequestRequest>,
    ) -> Result<Response<proto::OpenRequestResponse>, Status> {
        let entered = enter(&mut request)?;
        let ask = wire::open(&request.into_inner(), self.app.now())?;
        let subject = ask.subject.clone();
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let opened = entered.run(async move { app.open_request(ask, &party).await }).await?;
        let token = if opened.waits { None } else { self.app.rights_token(&opened.request, &subject)? };
        Ok(Response::new(wire::opened(&opened, token.as_ref(), self.app.now())))
    }

    async fn issue_code(
        &self,
        mut request: Request<proto::IssueCodeRequest>,
    ) -> Result<Response<proto::IssueCodeResponse>, Status> {
        use proto::issue_code_response::Outcome;
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let language = Language::of(&ask.language);
        let (id, subject) = (wire::request_id(&ask.request_id)?, wire::subject(&ask.subject_ref)?);
        let channel = wire::channel(ask.channel)?;
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let issued = entered.run(async move { app.issue_code(&party, &id, &subject, channel).await }).await?;
        let outcome = match issued {
            Ok(code) => Outcome::Issued(wire::issued(&code)),
            Err(why) => Outcome::NotPossible(wire::impossible(why, None, language, self.app.now())),
        };
        Ok(Response::new(proto::IssueCodeResponse { outcome: Some(outcome) }))
    }

    async fn prove_requester(
        &self,
        mut request: Request<proto::ProveRequesterRequest>,
    ) -> Result<Response<proto::ProveRequesterResponse>, Status> {
        use proto::prove_requester_response::Outcome;
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let language = Language::of(&ask.language);
        let custody = entered.custody()?;
        let ask = wire::prove(ask, &custody, self.app.now())?;
        if ask.offered.takes_staff() {
            entered.must_have(Scope::RightsDecide)?;
        }
        let subject = ask.subject.clone();
        let (app, call) = (Arc::clone(&self.app), entered.call.clone());
        let party = call.relying_party.clone();
        let proved = entered.run(async move { app.prove_requester(ask, call).await }).await?;
        // Whether a card could be read is not told: nor is it told why something does not hold.
        let disposal = service::receipt(&self.app, &custody, &party, custody.answered(true)).await;
        let (now, of) = (self.app.now(), &proved.request);
        let verified = of.state() == RequestState::Verified;
        let (outcome, text) = match proved.verdict {
            Verdict::Accepted if verified => {
                (Outcome::Accepted(wire::request(of, now)), Text::Proof(ProofText::Verified))
            }
            Verdict::Accepted => (Outcome::Accepted(wire::request(of, now)), Text::Proof(ProofText::MoreNeeded)),
            Verdict::NotAccepted => (Outcome::NotAccepted(wire::request(of, now)), Text::Proof(ProofText::NotAccepted)),
            Verdict::NotPossible(why) => {
                (Outcome::NotPossible(wire::impossible(why, Some(of), language, now)), Text::RightsNotPossible(why))
            }
        };
        // Only to whoever has just shown what was missing.
        let token = if proved.verified { self.app.rights_token(of, &subject)? } else { None };
        Ok(Response::new(proto::ProveRequesterResponse {
            outcome: Some(outcome),
            proof: token.as_ref().map(wire::proof_token),
            disposal,
            message_key: text.key(),
            message: text.text(language).to_owned(),
        }))
    }

    async fn redeem_proof(
        &self,
        mut request: Request<proto::RedeemProofRequest>,
    ) -> Result<Response<proto::RedeemProofResponse>, Status> {
        let entered = enter(&mut request)?;
        let token = request.into_inner().token;
        if token.is_empty() {
            return Err(bad("token", Problem::Missing).into());
        }
        let redeemed = match self.app.look_at_proof(&token, &entered.call.relying_party).await? {
            Looked::Told(redeemed) => redeemed,
            Looked::Good(good) => {
                let app = Arc::clone(&self.app);
                entered.run(async move { app.use_proof(*good).await }).await?
            }
        };
        let (about, subject) = redeemed.about.unzip();
        Ok(Response::new(proto::RedeemProofResponse {
            redemption: wire::redemption(redeemed.redemption),
            request: about.map(|of| wire::request(&of, self.app.now())),
            subject_ref: subject.map_or_else(String::new, |subject| subject.as_str().to_owned()),
        }))
    }

    async fn get_request(
        &self,
        mut request: Request<proto::GetRequestRequest>,
    ) -> Result<Response<proto::GetRequestResponse>, Status> {
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let language = Language::of(&ask.language);
        let id = wire::request_id(&ask.request_id)?;
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let (of, told) = entered
            .run(async move {
                let of = app.rights_request(&party, &id).await?;
                let verified = matches!(of.state(), RequestState::Verified | RequestState::Done);
                let explains = verified && of.asked().right == Right::ExplainDecision;
                let told = if explains { app.explained(&of).await? } else { None };
                Ok((of, told))
            })
            .await?;
        let (remedy, ground) = wire::remedy(&of, language);
        let (plan, now) = (self.app.plan_of(&of), self.app.now());
        let closed_by = of.ending().and_then(|ending| ending.staff.as_ref());
        Ok(Response::new(proto::GetRequestResponse {
            request: Some(wire::request(&of, self.app.now())),
            proofs: wire::records(&of),
            times_asked: of.asked().times.into(),
            repeated_often: of.asked().repeated,
            explanation: told.as_ref().map(|told| convert::explanation(told, language)),
            remedy,
            ground,
            closed_by: closed_by.map_or_else(String::new, |staff| staff.as_str().to_owned()),
            may_ask: wire::may_ask(&of, now),
            never_ask: wire::never_ask(&plan),
            citations: wire::citations(&plan),
        }))
    }

    async fn list_due(
        &self,
        mut request: Request<proto::ListDueRequest>,
    ) -> Result<Response<proto::ListDueResponse>, Status> {
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let range = wire::range(&ask, self.app.usual_range())?;
        let (size, start) = (wire::page_size(ask.page_size)?, wire::page_token(&ask.page_token)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let page = entered.run(async move { app.due_requests(&party, range, start, size).await }).await?;
        Ok(Response::new(wire::due(&page, self.app.now())))
    }

    async fn acknowledge(
        &self,
        mut request: Request<proto::AcknowledgeRequest>,
    ) -> Result<Response<proto::AcknowledgeResponse>, Status> {
        use proto::acknowledge_response::Outcome;
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let (id, key) = (wire::request_id(&ask.request_id)?, wire::key(&ask.idempotency_key)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let changed = entered.run(async move { app.acknowledge_request(&party, &id, &key).await }).await?;
        let outcome = match self.changed(&changed, Language::of(&ask.language)) {
            Ok(of) => Outcome::Acknowledged(of),
            Err(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::AcknowledgeResponse { outcome: Some(outcome) }))
    }

    async fn extend(
        &self,
        mut request: Request<proto::ExtendRequest>,
    ) -> Result<Response<proto::ExtendResponse>, Status> {
        use proto::extend_response::Outcome;
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let (id, key) = (wire::request_id(&ask.request_id)?, wire::key(&ask.idempotency_key)?);
        let why = (wire::extension(ask.reason)?, wire::staff("staff_ref", &ask.staff_ref)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let changed = entered.run(async move { app.extend_request(&party, &id, why, &key).await }).await?;
        let outcome = match self.changed(&changed, Language::of(&ask.language)) {
            Ok(of) => Outcome::Extended(of),
            Err(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::ExtendResponse { outcome: Some(outcome) }))
    }

    async fn close(&self, mut request: Request<proto::CloseRequest>) -> Result<Response<proto::CloseResponse>, Status> {
        use proto::close_response::Outcome;
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let language = Language::of(&ask.language);
        let (id, key) = (wire::request_id(&ask.request_id)?, wire::key(&ask.idempotency_key)?);
        let answer = wire::close(ask.answer)?;
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let changed = entered.run(async move { app.close_request(&party, &id, &answer, &key).await }).await?;
        let (remedy, ground) = wire::remedy(&changed.request, language);
        let outcome = match self.changed(&changed, language) {
            Ok(of) => Outcome::Closed(of),
            Err(why) => Outcome::NotPossible(*why),
        };
        let refused = !ground.is_empty();
        let legal_basis = if refused { wire::citations(&self.app.plan_of(&changed.request)) } else { Vec::new() };
        Ok(Response::new(proto::CloseResponse { outcome: Some(outcome), remedy, ground, legal_basis }))
    }

    async fn unlock(
        &self,
        mut request: Request<proto::UnlockRequest>,
    ) -> Result<Response<proto::UnlockResponse>, Status> {
        let entered = enter(&mut request)?;
        let ask = request.into_inner();
        let (subject, staff) = (wire::subject(&ask.subject_ref)?, wire::staff("staff_ref", &ask.staff_ref)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        entered.run(async move { app.unlock(&subject, staff, &party).await }).await?;
        Ok(Response::new(proto::UnlockResponse {}))
    }
}
