//! KeyService: the public keys.

use super::proto::key_service_server::KeyService;
use super::proto::{GetJwksRequest, GetJwksResponse};
use crate::flows::App;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct Keys {
    app: Arc<App>,
}

impl Keys {
    /// Serves the keys of `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl KeyService for Keys {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        Ok(Response::new(GetJwksResponse { jwks_json: self.app.jwks() }))
    }
}
