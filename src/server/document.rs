//! DocumentService: parse, run the flow, answer.

use super::convert;
use super::messages::Language;
use super::proto::document_service_server::DocumentService;
use super::proto::{ReadDocumentRequest, ReadDocumentResponse};
use super::service::{self, enter};
use crate::flows::{App, ReadAnswer};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct Documents {
    app: Arc<App>,
}

impl Documents {
    /// Serves the flows of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl DocumentService for Documents {
    async fn read_document(
        &self,
        mut request: Request<ReadDocumentRequest>,
    ) -> Result<Response<ReadDocumentResponse>, Status> {
        let entered = enter(&mut request)?;
        let wire = request.into_inner();
        let language = Language::of(&wire.language);
        let custody = entered.custody()?;
        let ask = convert::read_ask(wire, &custody, self.app.now())?;
        let (app, call) = (Arc::clone(&self.app), entered.call.clone());
        let party = call.relying_party.clone();
        let answer = entered.run(async move { app.read_document(ask, call).await }).await?;
        let path = custody.answered(matches!(answer, ReadAnswer::Read { .. }));
        let disposal = service::receipt(&self.app, &custody, &party, path).await;
        Ok(Response::new(ReadDocumentResponse { disposal, ..convert::read_answer(&answer, language) }))
    }
}
