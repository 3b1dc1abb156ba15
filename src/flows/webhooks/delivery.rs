//! The task of one webhook: takes what is new, posts it one by one, and writes how far it has come.
//!
//! Nothing ends it but the end of the server: a store that does not answer is asked again, and an endpoint that does not
//! take an event gets it again, ever later, for as long as it takes. What comes after that event waits in the log.

use super::client::Attempt;
use super::position::{Claim, Lost, Position, RENEW};
use super::{From, Webhook, body, schedule, signing};
use crate::flows::events::{Cursor, Event, Follower, Page};
use crate::flows::{App, Error};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// How soon what failed here, and not at the endpoint, is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether a lease of another process has lapsed.
const LOOK: Duration = Duration::from_secs(5);

/// Delivers until told to stop, then writes how far it has come and lets go. `end` is where the log ended when the server
/// started, if it could be told.
pub async fn deliver(app: Arc<App>, number: usize, end: Option<Cursor>, mut stop: watch::Receiver<bool>) {
    let Some(webhook) = app.webhooks.get(number) else { return };
    let mut delivery = Delivery::new(&app, webhook, end);
    tokio::select! {
        never = delivery.run() => match never {},
        // An error means that the sender is gone, and with it the server.
        _ = stop.wait_for(|stop| *stop) => {}
    }
    if let Some(position) = delivery.position.take() {
        // If it cannot be written, what was posted since is posted again.
        drop(position.release(&app).await);
    }
}

/// Why delivering stopped for now.
enum Interrupted {
    Lost(Lost),
    Failed(Error),
}

impl std::convert::From<Lost> for Interrupted {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl std::convert::From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Delivery<'a> {
    app: &'a Arc<App>,
    webhook: &'a Webhook,
    holder: Uuid,
    position: Option<Position>,
    /// When the position was last written.
    saved: Instant,
    /// Where the log ended when the server started, or was first seen.
    end: Option<Cursor>,
    failures: u32,
    /// What metrics were told: how far behind.
    behind: i64,
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.tell_behind(0);
        self.tell_failures(0);
    }
}

impl<'a> Delivery<'a> {
    fn new(app: &'a Arc<App>, webhook: &'a Webhook, end: Option<Cursor>) -> Self {
        Self {
            app,
            webhook,
            holder: Uuid::now_v7(),
            position: None,
            saved: Instant::now(),
            end,
            failures: 0,
            behind: 0,
        }
    }

    async fn run(&mut self) -> Infallible {
        loop {
            let Err(interrupted) = self.turn().await;
            self.position = None;
            self.tell_behind(0);
            let party = self.webhook.wanted.relying_party.as_str();
            match interrupted {
                Interrupted::Lost(Lost::TakenOver) => tracing::info!(party, "another server delivers this webhook"),
                Interrupted::Lost(Lost::Store(error)) | Interrupted::Failed(error) => {
                    tracing::error!(party, %error, "a webhook cannot go on");
                }
            }
            pause(AGAIN).await;
        }
    }

    /// Asks for the lease and delivers for as long as it is held.
    async fn turn(&mut self) -> Result<Infallible, Interrupted> {
        let cursor = self.claim().await?;
        let mut follower = Follower::open(Arc::clone(self.app), self.webhook.wanted.clone(), cursor).await?;
        loop {
            let page = follower.page().await?;
            let more = page.more;
            self.pass_on(page).await?;
            if !more && timeout(RENEW, follower.stirs()).await.is_err() {
                self.save().await?;
            }
        }
    }

    /// Where to go on from, as soon as the lease is this process's.
    async fn claim(&mut self) -> Result<Cursor, Error> {
        let first = match (self.webhook.from, self.end) {
            (From::Start, _) => Cursor::START,
            (From::Now, Some(end)) => end,
            (From::Now, None) => *self.end.insert(Cursor::after(self.app.look().await?)),
        };
        let (party, name) = (&self.webhook.wanted.relying_party, self.webhook.name.as_str());
        loop {
            match Position::claim(self.app, party, name, self.holder, first).await? {
                Claim::Held(position) => {
                    self.saved = Instant::now();
                    return Ok(self.position.insert(position).cursor);
                }
                Claim::Elsewhere(until) => {
                    let left = until.duration_since(self.app.now());
                    pause(Duration::try_from(left).unwrap_or_default().clamp(Duration::from_millis(100), LOOK)).await;
                }
            }
        }
    }

    /// Posts the events of a page in their order.
    async fn pass_on(&mut self, page: Page) -> Result<(), Interrupted> {
        self.look_behind();
        let delivered = !page.events.is_empty();
        for event in page.events {
            self.post(&event).await?;
            if let Some(position) = &mut self.position {
                position.cursor.advance(event.place);
            }
            self.look_behind();
            self.renew().await?;
        }
        if let Some(position) = &mut self.position {
            position.cursor = page.cursor;
        }
        self.look_behind();
        // A page without events is written with the next renewal: looking at it again costs less than a write.
        if delivered { self.save().await } else { self.renew().await }
    }

    /// Posts one event until it is taken.
    async fn post(&mut self, event: &Event) -> Result<(), Interrupted> {
        let (id, body) = (event.place.to_string(), body::of(event));
        loop {
            let attempt = self.attempt(&id, &body).await;
            self.app.metrics.webhook_attempt(attempt.as_str());
            let (party, host) = (self.webhook.wanted.relying_party.as_str(), self.webhook.client.host());
            if attempt == Attempt::Delivered {
                if self.failures > 0 {
                    tracing::info!(party, host, "a webhook is answered again");
                }
                self.tell_failures(0);
                return Ok(());
            }
            self.tell_failures(self.failures.saturating_add(1));
            let wait = schedule::wait(self.failures, random());
            let (came_to, failures, again) = (attempt.as_str(), self.failures, wait.as_secs());
            tracing::warn!(party, host, came_to, failures, again_in_seconds = again, "a webhook was not delivered");
            self.wait(wait).await?;
        }
    }

    async fn attempt(&self, id: &str, body: &[u8]) -> Attempt {
        let now = self.app.now();
        let (second, signature) = (now.as_second().to_string(), self.webhook.secrets.sign(id, now, body));
        let headers = [(signing::ID, id), (signing::TIMESTAMP, &second), (signing::SIGNATURE, &signature)];
        self.webhook.client.post(headers, body).await
    }

    /// Waits, and holds the lease meanwhile.
    async fn wait(&mut self, wait: Duration) -> Result<(), Interrupted> {
        let end = Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            pause(left.min(RENEW)).await;
            self.renew().await?;
        }
    }

    /// Renews the lease when it is time.
    async fn renew(&mut self) -> Result<(), Interrupted> {
        if self.saved.elapsed() < RENEW { Ok(()) } else { self.save().await }
    }

    async fn save(&mut self) -> Result<(), Interrupted> {
        let Some(position) = &mut self.position else { return Ok(()) };
        position.save(self.app).await?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Tells metrics how many entries of the log it has not come to.
    fn look_behind(&mut self) {
        let heads = self.app.stirred.heads();
        let behind = self.position.as_ref().map_or(0, |position| position.cursor.behind(&heads));
        self.tell_behind(i64::try_from(behind).unwrap_or(i64::MAX));
    }

    fn tell_behind(&mut self, behind: i64) {
        self.app.metrics.webhook_behind(behind.saturating_sub(self.behind));
        self.behind = behind;
    }

    fn tell_failures(&mut self, failures: u32) {
        match (self.failures, failures) {
            (0, 1..) => self.app.metrics.webhooks_failing(1),
            (1.., 0) => self.app.metrics.webhooks_failing(-1),
            (0, 0) | (1.., 1..) => {}
        }
        self.failures = failures;
    }
}

/// A random number; if there is none, waits are only less spread.
fn random() -> u16 {
    let mut bytes = [0u8; 2];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return u16::MAX;
    }
    u16::from_le_bytes(bytes)
}

/// A wait that nothing ends but its time, or that its future is dropped.
async fn pause(wait: Duration) {
    drop(timeout(wait, std::future::pending::<()>()).await);
}
