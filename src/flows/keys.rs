//! The signing keys are followed while the server runs: a rotation needs no restart.

use super::App;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

impl App {
    /// Reads the signing keys again from where they lie, now and again, without end; never if `every` is nothing. Keys that
    /// cannot be read change nothing.
    pub async fn follow_keys(self: &Arc<Self>, every: Duration) {
        if every.is_zero() {
            std::future::pending::<()>().await;
        }
        let mut every = tokio::time::interval(every);
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            let app = Arc::clone(self);
            match tokio::task::spawn_blocking(move || app.issuer.reload()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the signing keys cannot be read again; those from before hold")
                }
                Err(_) => tracing::error!("the signing keys could not be read again; those from before hold"),
            }
        }
    }
}
