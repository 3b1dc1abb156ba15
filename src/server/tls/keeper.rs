//! Keeps TLS as its files say, without a restart: connections that are open go on as they began, new ones find what was
//! loaded last. What cannot be used is told once and changes nothing.

use super::files::Contents;
use super::{Loaded, Settings, TlsError};
use crate::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// From when on it is told that the certificate ends soon.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How often that is told.
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// How TLS is spoken now.
#[derive(Clone)]
pub struct Current(watch::Receiver<Arc<ServerConfig>>);

impl Current {
    /// For a connection that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow())
    }
}

/// Holds what was loaded, and looks for something newer.
pub struct Keeper {
    settings: Settings,
    metrics: Arc<Metrics>,
    current: watch::Sender<Arc<ServerConfig>>,
    until: Timestamp,
    told: Option<Timestamp>,
    /// What was last seen in the files, whether it could be used or not.
    seen: Result<[u8; 32], String>,
}

impl Keeper {
    /// Loads what the settings name, which must be valid now; `None` where no TLS is set. Blocks.
    pub fn open(settings: &Settings, metrics: Arc<Metrics>) -> Result<Option<Self>, TlsError> {
        if !settings.used() {
            return Ok(None);
        }
        let contents = Contents::read(settings)?;
        let Loaded { config, until } = contents.load(settings, Timestamp::now())?;
        metrics.tls_valid_until(until.as_second());
        let settings = settings.clone();
        let (current, seen) = (watch::Sender::new(config), Ok(contents.digest()));
        Ok(Some(Self { settings, metrics, current, until, told: None, seen }))
    }

    /// What new connections begin with.
    pub fn current(&self) -> Current {
        Current(self.current.subscribe())
    }

    /// Looks at the files now and again, and at once when the process is told to (SIGHUP). Without end.
    pub async fn keep(mut self) {
        let mut every = tokio::time::interval(Duration::from_secs(self.settings.reload_seconds.max(1).into()));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Told::new();
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = told.reload() => {}
            }
            let settings = self.settings.clone();
            let read = tokio::task::spawn_blocking(move || Contents::read(&settings)).await;
            // An error means that the runtime ends.
            let Ok(read) = read else { continue };
            self.look(read, Timestamp::now());
        }
    }

    /// What the files hold now.
    pub(super) fn look(&mut self, read: Result<Contents, TlsError>, now: Timestamp) {
        let seen = read.as_ref().map(Contents::digest).map_err(TlsError::to_string);
        if seen != self.seen {
            let before = std::mem::replace(&mut self.seen, seen);
            match read.and_then(|contents| contents.load(&self.settings, now)) {
                Ok(Loaded { config, until }) => {
                    self.current.send_replace(config);
                    (self.until, self.told) = (until, None);
                    self.metrics.tls_valid_until(until.as_second());
                    self.metrics.tls_reloaded("loaded");
                    tracing::info!(%until, "TLS: new certificates are served from now on");
                }
                Err(error) => {
                    // Tried again at the next look: a certificate may only have to become valid. Told once.
                    self.seen = Err(error.to_string());
                    if self.seen != before {
                        self.metrics.tls_reloaded("refused");
                        tracing::error!(%error, "TLS: the files have changed and cannot be used; those before them stay");
                    }
                }
            }
        }
        self.tell(now);
    }

    /// Tells that the certificate ends, now and again.
    fn tell(&mut self, now: Timestamp) {
        let (left, until) = (self.until.duration_since(now), self.until);
        let silent = self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY);
        if left > SOON || silent {
            return;
        }
        self.told = Some(now);
        if left.is_negative() {
            tracing::error!(%until, "TLS: the server's certificate has expired; clients will refuse it");
        } else {
            tracing::warn!(%until, "TLS: the server's certificate expires soon");
        }
    }
}

/// The signal to look at once, where there is one.
#[cfg(unix)]
struct Told(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Told {
    fn new() -> Self {
        Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
    }

    async fn reload(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// The signal to look at once, where there is one.
#[cfg(not(unix))]
struct Told;

#[cfg(not(unix))]
impl Told {
    fn new() -> Self {
        Self
    }

    async fn reload(&mut self) {
        std::future::pending().await
    }
}
