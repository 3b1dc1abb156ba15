//! ConsentService: parse, run the flow, answer.

use super::convert::consent as wire;
use super::messages::Language;
use super::proto;
use super::proto::consent_service_server::ConsentService;
use super::service::{self, Entered, enter};
use crate::consent::Consent;
use crate::flows::consent::{Changed, ScopeChange};
use crate::flows::{App, Done};
use crate::terms::NotPossible;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct Consents {
    app: Arc<App>,
}

/// What a change came to, on the wire.
enum Told {
    Done(Done, Box<Consent>),
    NotPossible(Box<proto::ConsentNotPossible>),
}

impl Consents {
    /// Serves the flows of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The consent with the receipt of its last event.
    fn shown(&self, consent: &Consent) -> Result<proto::Consent, Status> {
        Ok(wire::consent(consent, self.app.receipt(consent)?))
    }

    fn link(&self, consent: &Consent) -> Result<String, Status> {
        Ok(self.app.link(consent)?.unwrap_or_default())
    }

    /// Changes what is consented to, for the three methods that do.
    async fn change(
        &self,
        entered: Entered,
        (id, actor, key): (&str, i32, &str),
        change: ScopeChange,
        language: Language,
    ) -> Result<Told, Status> {
        let (id, actor, key) = (wire::consent_id(id)?, wire::actor(actor)?, wire::key(key)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let changed = entered.run(async move { app.change_consent(&party, &id, actor, &change, &key).await }).await?;
        Ok(told(changed, language))
    }
}

fn told(changed: Changed, language: Language) -> Told {
    match changed.outcome {
        Ok(done) => Told::Done(done, Box::new(changed.consent)),
        Err(why) => Told::NotPossible(Box::new(wire::not_possible(&changed.consent, why, language))),
    }
}

/// That a consent cannot be asked for like this: there is none to show.
fn not_asked(why: NotPossible, language: Language) -> proto::RequestConsentResponse {
    use proto::request_consent_response::Outcome;
    let refused = wire::not_asked(why, language);
    proto::RequestConsentResponse { outcome: Some(Outcome::NotPossible(refused)), guardian_link_token: String::new() }
}

#[tonic::async_trait]
impl ConsentService for Consents {
    async fn request_consent(
        &self,
        mut request: Request<proto::RequestConsentRequest>,
    ) -> Result<Response<proto::RequestConsentResponse>, Status> {
        use proto::request_consent_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let language = Language::of(&wire.language);
        let ask = wire::request(wire)?;
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let asked = entered.run(async move { app.request_consent(ask, &party).await }).await?;
        let consent = match asked {
            Ok(consent) => consent,
            Err(why) => return Ok(Response::new(not_asked(why, language))),
        };
        Ok(Response::new(proto::RequestConsentResponse {
            guardian_link_token: self.link(&consent)?,
            outcome: Some(Outcome::Requested(self.shown(&consent)?)),
        }))
    }

    async fn record_notice_sent(
        &self,
        mut request: Request<proto::RecordNoticeSentRequest>,
    ) -> Result<Response<proto::RecordNoticeSentResponse>, Status> {
        use proto::record_notice_sent_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let (id, key) = (wire::consent_id(&wire.consent_id)?, wire::key(&wire.idempotency_key)?);
        let (app, party, new_link) = (Arc::clone(&self.app), entered.call.relying_party.clone(), wire.new_link);
        let changed = entered.run(async move { app.notice_sent(&party, &id, new_link, &key).await }).await?;
        let (outcome, guardian_link_token) = match told(changed, Language::of(&wire.language)) {
            Told::Done(_, consent) => {
                let link = if new_link { self.link(&consent)? } else { String::new() };
                (Outcome::Recorded(self.shown(&consent)?), link)
            }
            Told::NotPossible(why) => (Outcome::NotPossible(*why), String::new()),
        };
        Ok(Response::new(proto::RecordNoticeSentResponse { outcome: Some(outcome), guardian_link_token }))
    }

    async fn verify_guardian(
        &self,
        mut request: Request<proto::VerifyGuardianRequest>,
    ) -> Result<Response<proto::VerifyGuardianResponse>, Status> {
        use proto::verify_guardian_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let language = Language::of(&wire.language);
        let custody = entered.custody()?;
        let ask = wire::guardian(wire, &custody, self.app.now())?;
        let (app, call) = (Arc::clone(&self.app), entered.call.clone());
        let party = call.relying_party.clone();
        let changed = entered.run(async move { app.verify_guardian(ask, call).await }).await?;
        let unreadable = matches!(&changed.outcome, Ok(Done::GuardianRefused { problems, .. }) if problems.is_empty());
        let disposal = service::receipt(&self.app, &custody, &party, custody.answered(!unreadable)).await;
        let outcome = match told(changed, language) {
            Told::Done(Done::GuardianRefused { problems, reasons }, _) => {
                Outcome::Refused(wire::guardian_refused(&problems, &reasons, language))
            }
            Told::Done(Done::InReview, consent) => Outcome::InReview(self.shown(&consent)?),
            Told::Done(_, consent) => Outcome::Verified(self.shown(&consent)?),
            Told::NotPossible(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::VerifyGuardianResponse { outcome: Some(outcome), disposal }))
    }

    async fn respond(
        &self,
        mut request: Request<proto::RespondRequest>,
    ) -> Result<Response<proto::RespondResponse>, Status> {
        use proto::respond_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let language = Language::of(&wire.language);
        let (id, key) = (wire::consent_id(&wire.consent_id)?, wire::key(&wire.idempotency_key)?);
        let (answer, token) = (wire::answer(wire.answer)?, wire.guardian_link_token);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let changed = entered.run(async move { app.respond(&party, &id, &token, &answer, &key).await }).await?;
        let outcome = match told(changed, language) {
            Told::Done(Done::Refused, consent) => Outcome::Refused(self.shown(&consent)?),
            Told::Done(_, consent) => Outcome::Given(self.shown(&consent)?),
            Told::NotPossible(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::RespondResponse { outcome: Some(outcome) }))
    }

    async fn get_consent(
        &self,
        mut request: Request<proto::GetConsentRequest>,
    ) -> Result<Response<proto::GetConsentResponse>, Status> {
        let entered = enter(&mut request)?;
        let id = wire::consent_id(&request.get_ref().consent_id)?;
        let consent = self.app.consent(&entered.call.relying_party, &id).await?;
        Ok(Response::new(proto::GetConsentResponse { consent: Some(self.shown(&consent)?) }))
    }

    async fn list_consents(
        &self,
        mut request: Request<proto::ListConsentsRequest>,
    ) -> Result<Response<proto::ListConsentsResponse>, Status> {
        let entered = enter(&mut request)?;
        let subject = wire::subject(&request.get_ref().subject_ref)?;
        let consents = self.app.consents(&entered.call.relying_party, &subject).await?;
        let consents = consents.iter().map(|consent| wire::consent(consent, None)).collect();
        Ok(Response::new(proto::ListConsentsResponse { consents }))
    }

    async fn change_scope(
        &self,
        mut request: Request<proto::ChangeScopeRequest>,
    ) -> Result<Response<proto::ChangeScopeResponse>, Status> {
        use proto::change_scope_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let change = ScopeChange::Scope(wire::purposes("purposes", &wire.purposes)?);
        let names = (wire.consent_id.as_str(), wire.actor, wire.idempotency_key.as_str());
        let outcome = match self.change(entered, names, change, Language::of(&wire.language)).await? {
            Told::Done(_, consent) => Outcome::Changed(self.shown(&consent)?),
            Told::NotPossible(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::ChangeScopeResponse { outcome: Some(outcome) }))
    }

    async fn withdraw(
        &self,
        mut request: Request<proto::WithdrawRequest>,
    ) -> Result<Response<proto::WithdrawResponse>, Status> {
        use proto::withdraw_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let names = (wire.consent_id.as_str(), wire.actor, wire.idempotency_key.as_str());
        let outcome = match self.change(entered, names, ScopeChange::Withdraw, Language::of(&wire.language)).await? {
            Told::Done(_, consent) => Outcome::Withdrawn(self.shown(&consent)?),
            Told::NotPossible(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::WithdrawResponse { outcome: Some(outcome) }))
    }

    async fn reaffirm(
        &self,
        mut request: Request<proto::ReaffirmRequest>,
    ) -> Result<Response<proto::ReaffirmResponse>, Status> {
        use proto::reaffirm_response::Outcome;
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let names = (wire.consent_id.as_str(), wire.actor, wire.idempotency_key.as_str());
        let outcome = match self.change(entered, names, ScopeChange::Reaffirm, Language::of(&wire.language)).await? {
            Told::Done(_, consent) => Outcome::Reaffirmed(self.shown(&consent)?),
            Told::NotPossible(why) => Outcome::NotPossible(*why),
        };
        Ok(Response::new(proto::ReaffirmResponse { outcome: Some(outcome) }))
    }

    async fn erase_subject(
        &self,
        mut request: Request<proto::EraseSubjectRequest>,
    ) -> Result<Response<proto::EraseSubjectResponse>, Status> {
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let (subject, key) = (wire::subject(&wire.subject_ref)?, wire::key(&wire.idempotency_key)?);
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        entered.run(async move { app.erase_subject(&subject, &party, &key).await }).await?;
        Ok(Response::new(proto::EraseSubjectResponse {}))
    }
}
