//! The admin port: plain HTTP for machines that watch over the server. Nothing here needs or shows anything secret.

use super::guard::Gate;
use crate::flows::App;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

/// What the pages show.
#[derive(Clone)]
pub(super) struct Pages {
    pub app: Arc<App>,
    pub metrics: Arc<Metrics>,
    pub gate: Arc<Gate>,
}

/// The pages.
pub(super) fn router(pages: Pages) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks.json", get(jwks))
        .with_state(pages)
}

/// Whether calls should be sent here.
async fn ready(State(pages): State<Pages>) -> (StatusCode, &'static str) {
    if pages.gate.draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match pages.app.ready().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store is not available\n"),
    }
}

async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], pages.metrics.render())
}

async fn jwks(State(pages): State<Pages>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, pages.app.jwks())
}
