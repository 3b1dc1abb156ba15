//! AgeGateService: parse, run the flow, answer.

use super::convert::{self, Problem, bad};
use super::messages::Language;
use super::proto::age_gate_service_server::AgeGateService;
use super::proto::{
    CheckAgeRequest, CheckAgeResponse, CheckAgeStreamHeader, CheckAgeStreamRequest, CheckAgeStreamResponse,
    ExplainDecisionRequest, ExplainDecisionResponse, GetDecisionRequest, GetDecisionResponse, GetTokenStatusRequest,
    GetTokenStatusResponse, ReportUnderageRequest, ReportUnderageResponse, check_age_stream_request::Part,
};
use super::service::{self, Entered, enter};
use crate::flows::{App, Ask, Custody, Done, Outcome, Picture};
use crate::secret::Sensitive;
use jiff::Timestamp;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The most bytes of one chunk.
pub const CHUNK: usize = 1024 * 1024;

/// The service.
pub struct AgeGate {
    app: Arc<App>,
}

impl AgeGate {
    /// Serves the flows of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn check(&self, entered: Entered, ask: Ask, language: Language) -> Result<CheckAgeResponse, Status> {
        let (app, call) = (Arc::clone(&self.app), entered.call.clone());
        let (custody, party) = (entered.custody()?, call.relying_party.clone());
        let answer = entered.run(async move { app.check_age(ask, call).await }).await?;
        let path = custody.answered(!matches!(answer.outcome, Outcome::Unreadable { .. }));
        let disposal = service::receipt(&self.app, &custody, &party, path).await;
        Ok(CheckAgeResponse { disposal, ..convert::answer(&answer, language) })
    }
}

#[tonic::async_trait]
impl AgeGateService for AgeGate {
    async fn check_age(&self, mut request: Request<CheckAgeRequest>) -> Result<Response<CheckAgeResponse>, Status> {
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let language = Language::of(&wire.language);
        let ask = convert::ask(wire, &entered.custody()?, self.app.now())?;
        self.check(entered, ask, language).await.map(Response::new)
    }

    async fn check_age_stream(
        &self,
        mut request: Request<Streaming<CheckAgeStreamRequest>>,
    ) -> Result<Response<CheckAgeStreamResponse>, Status> {
        let entered = enter(&mut request)?;
        let mut parts = request.into_inner();
        let header = header(&mut parts).await?;
        let (most, clock) = (self.app.image_bytes, || self.app.now());
        let image = image(&mut parts, &header, most, &entered.custody()?, clock).await?;
        // With it goes what it has buffered of the picture.
        drop(parts);
        let ask = convert::ask_of_stream(&header, image)?;
        let answer = self.check(entered, ask, Language::of(&header.language)).await?;
        Ok(Response::new(CheckAgeStreamResponse { answer: Some(answer) }))
    }

    async fn get_decision(
        &self,
        mut request: Request<GetDecisionRequest>,
    ) -> Result<Response<GetDecisionResponse>, Status> {
        let entered = enter(&mut request)?;
        let decision = convert::decision_id(&request.get_ref().decision_id)?;
        let told = self.app.told(&entered.call.relying_party, decision).await?;
        Ok(Response::new(convert::told(&told)))
    }

    async fn explain_decision(
        &self,
        mut request: Request<ExplainDecisionRequest>,
    ) -> Result<Response<ExplainDecisionResponse>, Status> {
        let entered = enter(&mut request)?;
        let decision = convert::decision_id(&request.get_ref().decision_id)?;
        let told = self.app.explain(&entered.call.relying_party, decision).await?;
        Ok(Response::new(convert::explanation(&told, Language::of(&request.get_ref().language))))
    }

    async fn get_token_status(
        &self,
        mut request: Request<GetTokenStatusRequest>,
    ) -> Result<Response<GetTokenStatusResponse>, Status> {
        let entered = enter(&mut request)?;
        if request.get_ref().token.is_empty() {
            return Err(bad("token", Problem::Missing).into());
        }
        let state = self.app.token_state(&request.get_ref().token, &entered.call.relying_party).await?;
        Ok(Response::new(GetTokenStatusResponse { status: convert::consent::token_state(state).into() }))
    }

    async fn report_underage(
        &self,
        mut request: Request<ReportUnderageRequest>,
    ) -> Result<Response<ReportUnderageResponse>, Status> {
        let entered = enter(&mut request)?;
        let ask = convert::consent::report(request.get_ref())?;
        let (app, party) = (Arc::clone(&self.app), entered.call.relying_party.clone());
        let done = entered.run(async move { app.report_underage(ask, &party).await }).await?;
        match done {
            Done::Reported { report, deadline, guardian_verified } => Ok(Response::new(ReportUnderageResponse {
                report_id: report.to_string(),
                deadline: Some(convert::timestamp(deadline)),
                guardian_verified,
            })),
            _ => Err(super::status::internal()),
        }
    }
}

/// The first message of a stream.
pub async fn header(parts: &mut Streaming<CheckAgeStreamRequest>) -> Result<CheckAgeStreamHeader, Status> {
    match parts.message().await?.and_then(|message| message.part) {
        Some(Part::Header(header)) => Ok(header),
        Some(Part::Chunk(chunk)) => {
            drop(Sensitive::new(chunk));
            Err(bad("part", Problem::NotAllowedHere).into())
        }
        None => Err(bad("header", Problem::Missing).into()),
    }
}

/// The picture, piece by piece into memory that was taken once, so that no copy of it is left behind by growing; at most
/// `most` bytes.
pub async fn image(
    parts: &mut Streaming<CheckAgeStreamRequest>,
    header: &CheckAgeStreamHeader,
    most: usize,
    custody: &Custody,
    clock: impl Fn() -> Timestamp,
) -> Result<Picture, Status> {
    let announced = usize::try_from(header.image_bytes).ok().filter(|bytes| *bytes <= most);
    let announced = announced.ok_or_else(|| bad("header.image_bytes", Problem::TooLarge))?;
    let mut image = custody.expect(announced, clock());
    while let Some(message) = parts.message().await? {
        let chunk = match message.part {
            Some(Part::Chunk(chunk)) => Sensitive::new(chunk),
            Some(Part::Header(_)) | None => return Err(bad("part", Problem::NotAllowedHere).into()),
        };
        if chunk.expose().len() > CHUNK {
            return Err(bad("chunk", Problem::TooLarge).into());
        }
        let fits = image.len().saturating_add(chunk.expose().len()) <= announced;
        if !fits || !image.append(chunk.expose()) {
            return Err(bad("chunk", Problem::NotAsAnnounced).into());
        }
    }
    if image.len() != announced {
        return Err(bad("chunk", Problem::NotAsAnnounced).into());
    }
    image.complete(clock());
    Ok(image)
}
