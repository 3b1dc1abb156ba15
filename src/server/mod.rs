//! The transport: the list of layers and services, from the socket inwards.
//!
//! Every call passes the guard first. Health and reflection are open to anyone; everything else has a row in
//! [`access`]. When the server is told to stop it says so to health checks, goes on for a moment so that load balancers
//! can look elsewhere, then takes no new connections, tells the clients on the old ones (GOAWAY), and finishes every
//! call that still comes on them, within a limit.

pub mod access;
mod admin;
#[doc(hidden)] // for the fuzz targets: how a picture in pieces is put together
pub mod age_gate;
mod budget;
mod connections;
mod consent;
mod convert;
mod document;
mod events;
mod exposure;
mod guard;
mod key;
pub mod messages;
mod pace;
pub mod proto;
pub mod quota;
mod rights;
mod service;
pub mod status;
mod steps;
mod streams;
pub mod tls;
mod wiped;

pub use exposure::{Unfit, check};

use crate::flows::events::Cursor;
use crate::flows::{App, Turns, callers, webhooks};
use age_gate::AgeGate;
use connections::Incoming;
use consent::Consents;
use document::Documents;
use events::Events;
use guard::{Gate, GuardLayer};
use key::Keys;
use pace::Pace;
use proto::age_gate_service_server::AgeGateServiceServer;
use proto::consent_service_server::ConsentServiceServer;
use proto::document_service_server::DocumentServiceServer;
use proto::event_service_server::EventServiceServer;
use proto::key_service_server::KeyServiceServer;
use proto::rights_service_server::RightsServiceServer;
use rights::Rights;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::{Keeper, NamesLayer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
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
    /// How much of that one relying party may hold, in percent.
    pub caller_percent: u8,
    /// The longest time for one call, in seconds.
    pub call_seconds: u32,
    /// The longest life of a stream that nobody has to end (events, health watches, reflection), in seconds.
    pub stream_seconds: u32,
    /// The most streams of events that one relying party may have open at once.
    pub watches_per_caller: u16,
    /// A stream of events on which nothing is to be told shows so often that it lives, in seconds.
    pub heartbeat_seconds: u32,
    /// How often it is looked for events that another server recorded, in seconds.
    pub look_seconds: u32,
    /// For how long the server goes on after it was told to stop, so that load balancers hear of it, in seconds.
    pub drain_notice_seconds: u32,
    /// How long calls may take to finish after that, in seconds.
    pub drain_seconds: u32,
    /// How often an idle connection is checked, in seconds.
    pub keepalive_seconds: u32,
    /// The most connections at once; 0 for no limit.
    pub connections: u32,
    /// The most of them from one address; 0 for no limit.
    pub connections_per_address: u32,
    /// Within how many seconds a connection must show that a client of HTTP/2 is there.
    pub handshake_seconds: u32,
    /// After how many seconds a connection is told to end; 0 for never.
    pub connection_seconds: u32,
    /// The longest time in which nothing comes of a request, or nothing is taken of what is sent, in seconds.
    pub slow_seconds: u32,
    /// The least bytes a second of a request that takes longer than that.
    pub slow_bytes_per_second: u32,
    /// How often timers are looked at: requests that time out, ages that are reached. In seconds; 0 for never,
    /// where another server of the same store does.
    pub timer_seconds: u32,
    /// The most calls at once on one connection.
    pub streams_per_connection: u32,
    /// Whether gRPC may be served without TLS to others than this machine.
    pub public_plain_text: bool,
    /// Whether the admin port may be served to others than this machine.
    pub public_admin: bool,
    /// With which certificates TLS is spoken.
    pub tls: tls::Settings,
    /// How many calls a second one relying party may make.
    pub quotas: quota::Settings,
}

impl Settings {
    /// The most bytes that the calls of one relying party may hold.
    pub fn caller_bytes(&self) -> usize {
        self.bytes_in_flight / 100 * usize::from(self.caller_percent.min(100))
    }

    /// After which age connections are told to end.
    fn connection_age(&self) -> Option<Duration> {
        (self.connection_seconds > 0).then(|| Duration::from_secs(self.connection_seconds.into()))
    }

    /// How slowly requests may come.
    fn pace(&self) -> Pace {
        Pace { longest: Duration::from_secs(self.slow_seconds.into()), least: self.slow_bytes_per_second.into() }
    }

    /// Whether one relying party can send its largest picture, with what stands around it.
    pub fn fits_one_picture(&self) -> bool {
        self.caller_bytes() >= self.image_bytes.saturating_add(self.image_bytes / 64)
    }
}

/// The most bytes of a message of a service that is open to anyone.
const SMALL_MESSAGE: usize = 4 * 1024;
/// How often health checks are told how the store is.
const HEALTH_EVERY: Duration = Duration::from_millis(200);

/// The server could not start or ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be used.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// It must not be served as it is set.
    #[error(transparent)]
    Unfit(#[from] Unfit),
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
    tls: Option<Keeper>,
}

/// Opens the ports. Port 0 takes a free one. Without TLS, only ports that others than this machine cannot reach, unless
/// the settings say so.
pub async fn bind(settings: Settings, app: Arc<App>) -> Result<Bound, ServeError> {
    exposure::private(&settings)?;
    let tls = Keeper::open(&settings.tls, Arc::clone(&app.metrics)).map_err(Unfit::from)?;
    let open = async |address| TcpListener::bind(address).await.map_err(|error| ServeError::Listen(address, error));
    let (listener, admin) = (open(settings.listen).await?, open(settings.admin).await?);
    Ok(Bound { settings, app, listener, admin, tls })
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
        let Self { settings, app, listener, admin, tls } = self;
        let metrics = Arc::clone(&app.metrics);
        let gate = Arc::new(Gate::new(Arc::clone(&app), &settings));
        let (health, routes) = routes(&app, &settings).await?;
        let pages = admin::Pages { app: Arc::clone(&app), metrics, gate: Arc::clone(&gate) };
        let (stopping, stopped) = watch::channel(false);
        let mut deliveries = JoinSet::new();
        // Before any call: what comes from now on is told.
        let end = app.look().await.ok().map(Cursor::after);
        for number in 0..app.webhooks.len() {
            deliveries.spawn(webhooks::deliver(Arc::clone(&app), number, end, stopped.clone()));
        }

        let current = tls.as_ref().map(Keeper::current);
        let mut keeping = JoinSet::new();
        for number in 0..app.key_sources.count() {
            keeping.spawn(callers::keep_fresh(Arc::clone(&app), number));
        }

        let incoming = Incoming::new(listener, &settings, current, Arc::clone(&app.metrics));
        let grpc = builder(&settings)
            .layer(NamesLayer)
            .layer(GuardLayer(Arc::clone(&gate)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, told_to_stop(stopped.clone()));
        let pages = axum::serve(admin, admin::router(pages)).with_graceful_shutdown(told_to_stop(stopped));
        let serving = async {
            let (grpc, pages) = tokio::join!(grpc, pages);
            grpc?;
            pages.map_err(ServeError::Admin)
        };
        let mut turns = Turns::new();
        let mut work = Box::pin(async {
            tokio::join!(
                look(&app, Duration::from_secs(settings.look_seconds.into())),
                app.keep_delivering(),
                keep_time(&app, &mut turns, Duration::from_secs(settings.timer_seconds.into())),
                keep_tls(tls),
            );
        });
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended,
            () = stop => {}
            () = tell_health(&app, &health) => {}
            () = &mut work => {}
        }
        tracing::info!("told to stop: finishing what is running");
        gate.drain();
        set_health(&health, false).await;
        health.set_not_serving::<KeyServiceServer<Keys>>().await;
        let notice = tokio::time::Instant::now() + Duration::from_secs(settings.drain_notice_seconds.into());
        tokio::select! {
            ended = &mut serving => return ended,
            () = tokio::time::sleep_until(notice) => {}
            () = &mut work => {}
        }
        gate.close();
        stopping.send_replace(true);
        drop(work);
        let limit = Duration::from_secs(settings.drain_seconds.into());
        let finishing = async {
            // If the store does not answer, others wait until the lease lapses.
            let _ = app.end_turns(turns).await;
            let served = serving.await;
            while deliveries.join_next().await.is_some() {}
            served
        };
        tokio::time::timeout(limit, finishing).await.unwrap_or(Err(ServeError::CutOff))
    }
}

async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the server.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Streams that a client opened and reset before they were looked at; more end the connection (CVE-2023-44487).
const RESETS_PENDING: usize = 20;
/// Streams of one connection that the server had to reset for an error of the client; more end it (CVE-2025-8671). The
/// builder would otherwise set no bound.
const RESETS_FOR_ERRORS: usize = 256;

/// The limits of what is on a connection; those of connections themselves are in [`connections`].
fn builder(settings: &Settings) -> Server {
    let keepalive = Duration::from_secs(settings.keepalive_seconds.max(1).into());
    let builder = Server::builder()
        .http2_max_pending_accept_reset_streams(Some(RESETS_PENDING))
        .http2_max_local_error_reset_streams(Some(RESETS_FOR_ERRORS))
        .http2_keepalive_interval(Some(keepalive))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(settings.streams_per_connection)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_max_header_list_size(32 * 1024);
    match settings.connection_age() {
        // Without the builder's grace, which would cut calls off without a GOAWAY.
        Some(age) => builder.max_connection_age(age),
        None => builder,
    }
}

/// Every service, with its message limits.
async fn routes(app: &Arc<App>, settings: &Settings) -> Result<(HealthReporter, Routes), ServeError> {
    let (health, health_service) = health_reporter();
    set_health(&health, true).await;
    health.set_serving::<KeyServiceServer<Keys>>().await;
    let age_gate = AgeGateServiceServer::new(AgeGate::new(Arc::clone(app)));
    let consents = ConsentServiceServer::new(Consents::new(Arc::clone(app)));
    let documents = DocumentServiceServer::new(Documents::new(Arc::clone(app)));
    let rights = RightsServiceServer::new(Rights::new(Arc::clone(app)));
    let events = EventServiceServer::new(Events::new(Arc::clone(app), settings));
    let v1 = reflection().build_v1().map_err(|_| ServeError::Reflection)?;
    let v1alpha = reflection().build_v1alpha().map_err(|_| ServeError::Reflection)?;
    let mut routes = Routes::builder();
    routes
        .add_service(age_gate.max_decoding_message_size(settings.message_bytes))
        .add_service(consents.max_decoding_message_size(settings.message_bytes))
        .add_service(documents.max_decoding_message_size(settings.message_bytes))
        .add_service(rights.max_decoding_message_size(settings.message_bytes))
        .add_service(events.max_decoding_message_size(SMALL_MESSAGE))
        .add_service(KeyServiceServer::new(Keys::new(Arc::clone(app))).max_decoding_message_size(SMALL_MESSAGE))
        .add_service(health_service.max_decoding_message_size(SMALL_MESSAGE))
        .add_service(v1.max_decoding_message_size(SMALL_MESSAGE))
        .add_service(v1alpha.max_decoding_message_size(SMALL_MESSAGE));
    Ok((health, routes.routes()))
}

fn reflection<'a>() -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Does what is due because time has passed. What fails is done the next time.
async fn keep_time(app: &App, turns: &mut Turns, every: Duration) {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    let mut every = tokio::time::interval(every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        match app.run_due_in_turn(turns).await {
            Ok(0) => {}
            Ok(done) => tracing::info!(done, "timers were due"),
            Err(error) => tracing::warn!(%error, "timers could not be looked at"),
        }
    }
}

/// Tells health checks how the store is, without end (keys are served without it). Asking the store is also what makes a broken one try again.
async fn tell_health(app: &App, health: &HealthReporter) {
    let (mut every, mut told) = (tokio::time::interval(HEALTH_EVERY), true);
    loop {
        every.tick().await;
        let ready = app.ready().await.is_ok();
        if ready != told {
            told = ready;
            tracing::warn!(ready, "the store's health has changed");
            set_health(health, ready).await;
        }
    }
}

/// Keeps TLS as its files say, without end.
async fn keep_tls(tls: Option<Keeper>) {
    match tls {
        Some(tls) => tls.keep().await,
        None => std::future::pending().await,
    }
}

/// Looks now and again what other servers recorded, without end. What this one recorded is known at once.
async fn look(app: &App, every: Duration) {
    let mut every = tokio::time::interval(every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Health says when the store does not answer.
        app.look().await.ok();
    }
}

async fn set_health(health: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    let (age_gate, events) = (AgeGateServiceServer::<AgeGate>::NAME, EventServiceServer::<Events>::NAME);
    let (consents, documents) = (ConsentServiceServer::<Consents>::NAME, DocumentServiceServer::<Documents>::NAME);
    let rights = RightsServiceServer::<Rights>::NAME;
    for service in ["", age_gate, consents, documents, events, rights] {
        health.set_service_status(service, status).await;
    }
}
