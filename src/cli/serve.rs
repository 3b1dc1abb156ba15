//! `idgate serve`: opens everything, serves until told to stop, finishes what is running.

use super::harden::harden;
use super::{Failed, Outcome, Place};
use crate::config::{self, Settings};
use crate::flows::App;
use crate::{server, telemetry};
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let settings = arguments.place.settings()?;
    telemetry::start(&settings.log)?;
    harden(&settings.memory, settings.production())?;
    if !settings.production() {
        tracing::warn!("DEVELOPMENT mode: see `idgate check-config --defaults` for production");
    }
    let app = Arc::new(config::open(&settings, config::server_reader(&settings)?)?);
    runtime()?.block_on(serve(settings, app))
}

/// The runtime that serves the network; reading has threads of its own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

async fn serve(settings: Settings, app: Arc<App>) -> Outcome {
    let reload = Duration::from_secs(settings.tokens.reload_seconds.into());
    let bound = server::bind(settings.server, Arc::clone(&app)).await?;
    tracing::info!(grpc = %bound.address()?, admin = %bound.admin_address()?, "serving");
    let stop = stop()?;
    tokio::select! {
        served = bound.run(stop) => served?,
        () = sweep(&app) => {}
        () = app.follow_keys(reload) => {}
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Removes what has expired from the store, now and again.
async fn sweep(app: &App) {
    let mut every = tokio::time::interval(Duration::from_secs(600));
    loop {
        every.tick().await;
        if app.sweep().await.is_err() {
            tracing::error!("the store could not be swept");
        }
    }
}

/// Ends when the process is told to stop.
#[cfg(unix)]
fn stop() -> Result<impl Future<Output = ()>, Failed> {
    use signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends when the process is told to stop.
#[cfg(not(unix))]
fn stop() -> Result<impl Future<Output = ()>, Failed> {
    Ok(async { drop(signal::ctrl_c().await) })
}
