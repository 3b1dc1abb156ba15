//! The transport: the list of layers and services, from the socket inwards.
//!
//! Every call passes the guard first. Health and reflection are open to anyone; everything else has a row in
//! [`access`]. When the server is told to stop it says so to health checks, takes no new calls, and finishes those it
//! has, within a limit.

pub mod access;
mod admin;
mod age_gate;
mod budget;
mod convert;
mod document;
mod guard;
mod key;
pub mod messages;
pub mod proto;
mod service;
pub mod status;
mod steps;

use crate::flows::App;
use age_gate::AgeGate;
use document::Documents;
use guard::{Gate, GuardLayer};
use key::Keys;
use proto::age_gate_service_server::AgeGateServiceServer;
use proto::document_service_server::DocumentServiceServer;
use proto::key_service_server::KeyServiceServer;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::{HealthReporter, health_reporter};

/// Where and how much is served.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where metrics, liveness and keys are served over plain HTTP; keep it inside.
    pub admin: SocketAddr,
    /// The most bytes of one message.
    pub message_bytes: usize,
    /// The most bytes of one picture, however it was sent.
    pub image_bytes: usize,
    /// The most bytes that all calls together may hold.
    pub bytes_in_flight: usize,
    /// The longest time for one call, in seconds.
    pub call_seconds: u32,
    /// How long calls may take to finish after the server was told to stop, in seconds.
    pub drain_seconds: u32,
    /// How often an idle connection is checked, in seconds.
    pub keepalive_seconds: u32,
    /// The most calls at once on one connection.
    pub streams_per_connection: u32,
}

/// The server could not start or ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be used.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The connection machinery failed.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The admin port failed.
    #[error("serving the admin port failed: {0}")]
    Admin(std::io::Error),
    /// The descriptor set cannot be read; the build is broken.
    #[error("the descriptor set cannot be read")]
    Reflection,
    /// Calls were still running when the time to finish them was over.
    #[error("calls were still running after the time to finish them; they were cut off")]
    CutOff,
}

/// A server whose ports are open.
pub struct Bound {
    settings: Settings,
    app: Arc<App>,
    listener: TcpListener,
    admin: TcpListener,
}

/// Opens the ports. Port 0 takes a free one.
pub async fn bind(settings: Settings, app: Arc<App>) -> Result<Bound, ServeError> {
    let open = async |address| TcpListener::bind(address).await.map_err(|error| ServeError::Listen(address, error));
    let (listener, admin) = (open(settings.listen).await?, open(settings.admin).await?);
    Ok(Bound { settings, app, listener, admin })
}

impl Bound {
    /// Where gRPC is served.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the admin pages are served.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop`, then finishes what is running.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let Self { settings, app, listener, admin } = self;
        let metrics = Arc::clone(&app.metrics);
        let longest = Duration::from_secs(settings.call_seconds.into());
        let gate = Arc::new(Gate::new(Arc::clone(&app), Arc::clone(&metrics), longest, settings.bytes_in_flight));
        let (health, routes) = routes(&app, &settings).await?;
        let pages = admin::Pages { app: Arc::clone(&app), metrics, gate: Arc::clone(&gate) };
        let (stopping, stopped) = watch::channel(false);

        let grpc = builder(&settings)
            .layer(GuardLayer(Arc::clone(&gate)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), told_to_stop(stopped.clone()));
        let pages = axum::serve(admin, admin::router(pages)).with_graceful_shutdown(told_to_stop(stopped));
        let serving = async {
            let (grpc, pages) = tokio::join!(grpc, pages);
            grpc?;
            pages.map_err(ServeError::Admin)
        };
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = stop => {}
        }
        tracing::info!("told to stop: finishing what is running");
        gate.drain();
        not_serving(&health).await;
        stopping.send_replace(true);
        let limit = Duration::from_secs(settings.drain_seconds.into());
        tokio::time::timeout(limit, serving).await.unwrap_or(Err(ServeError::CutOff))
    }
}

async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// The limits of connections.
fn builder(settings: &Settings) -> Server {
    let keepalive = Duration::from_secs(settings.keepalive_seconds.max(1).into());
    Server::builder()
        .http2_keepalive_interval(Some(keepalive))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(settings.streams_per_connection)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_max_header_list_size(32 * 1024)
        .tcp_nodelay(true)
}

/// Every service, with its message limits.
async fn routes(app: &Arc<App>, settings: &Settings) -> Result<(HealthReporter, Routes), ServeError> {
    let (health, health_service) = health_reporter();
    health.set_serving::<AgeGateServiceServer<AgeGate>>().await;
    health.set_serving::<DocumentServiceServer<Documents>>().await;
    health.set_serving::<KeyServiceServer<Keys>>().await;
    let age_gate = AgeGateServiceServer::new(AgeGate::new(Arc::clone(app)));
    let documents = DocumentServiceServer::new(Documents::new(Arc::clone(app)));
    let mut routes = Routes::builder();
    routes
        .add_service(age_gate.max_decoding_message_size(settings.message_bytes))
        .add_service(documents.max_decoding_message_size(settings.message_bytes))
        .add_service(KeyServiceServer::new(Keys::new(Arc::clone(app))).max_decoding_message_size(1024))
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(|_| ServeError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(|_| ServeError::Reflection)?);
    Ok((health, routes.routes()))
}

fn reflection<'a>() -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

async fn not_serving(health: &HealthReporter) {
    health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    health.set_not_serving::<AgeGateServiceServer<AgeGate>>().await;
    health.set_not_serving::<DocumentServiceServer<Documents>>().await;
    health.set_not_serving::<KeyServiceServer<Keys>>().await;
}
