//! EventService: passes events on as fast as the caller takes them, and no faster.
//!
//! A stream holds one page and a few messages. Who does not read keeps its place in the log, and nobody else waits for
//! it. A stream ends when the server goes down and when its time is over (see `streams`); the caller opens another one
//! with its last cursor.

use super::proto::event_service_server::EventService;
use super::proto::{WatchRequest, WatchResponse};
use super::service::enter;
use super::{Settings, convert, status};
use crate::flows::App;
use crate::flows::events::{Cursor, Follower};
use crate::terms::RelyingParty;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The messages that may wait for the caller to take them.
const WAITING: usize = 4;

/// The service.
pub struct Events {
    app: Arc<App>,
    heartbeat: Duration,
    open: Arc<Open>,
}

impl Events {
    /// Serves the events of `app`.
    pub fn new(app: Arc<App>, settings: &Settings) -> Self {
        let open = Open { app: Arc::clone(&app), most: settings.watches_per_caller, by_party: Mutex::default() };
        Self { app, heartbeat: Duration::from_secs(settings.heartbeat_seconds.into()), open: Arc::new(open) }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(&self, mut request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let entered = enter(&mut request)?;
        let party = entered.call.relying_party.clone();
        let (wanted, cursor) = convert::wanted(party.clone(), request.get_ref())?;
        let slot = Slot::take(&self.open, party).ok_or_else(status::too_many_watches)?;
        let follower = Follower::open(Arc::clone(&self.app), wanted, cursor).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let watch = Watch { app: Arc::clone(&self.app), heartbeat: self.heartbeat, sender, _slot: slot };
        tokio::spawn(async move {
            if let Err(Ended::Failed(status)) = watch.run(follower, cursor).await {
                // Nobody has to be there to hear it.
                drop(watch.sender.send(Err(status)).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Why a stream does not go on.
enum Ended {
    /// The caller has left, or the stream was ended around it.
    Left,
    /// The log cannot be read.
    Failed(Status),
}

/// One open stream.
struct Watch {
    app: Arc<App>,
    heartbeat: Duration,
    sender: Sender<Result<WatchResponse, Status>>,
    _slot: Slot,
}

impl Watch {
    async fn run(&self, mut follower: Follower, mut cursor: Cursor) -> Result<(), Ended> {
        // Overdue at first, so that who is up to date hears so at once.
        let mut due = Instant::now();
        loop {
            let page = follower.page().await.map_err(|error| Ended::Failed(error.into()))?;
            for event in &page.events {
                cursor.advance(event.place);
                self.send(convert::told_event(&cursor, event)).await?;
                self.app.metrics.event_streamed();
            }
            cursor = page.cursor;
            if page.more {
                continue;
            }
            if Instant::now() >= due {
                self.send(convert::mark(&cursor)).await?;
                due = Instant::now() + self.heartbeat;
            }
            tokio::select! {
                () = self.sender.closed() => return Err(Ended::Left),
                // Its time or something to tell: both are seen above.
                _ = timeout_at(due, follower.stirs()) => {}
            }
        }
    }

    async fn send(&self, message: WatchResponse) -> Result<(), Ended> {
        self.sender.send(Ok(message)).await.map_err(|_| Ended::Left)
    }
}

/// How many streams are open.
struct Open {
    app: Arc<App>,
    most: u16,
    by_party: Mutex<HashMap<RelyingParty, u16>>,
}

impl Open {
    fn by_party(&self) -> MutexGuard<'_, HashMap<RelyingParty, u16>> {
        // Counts are changed in one step each, so they hold after a panic too.
        self.by_party.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the streams that a relying party may have open; given back when dropped.
struct Slot {
    open: Arc<Open>,
    party: RelyingParty,
}

impl Slot {
    fn take(open: &Arc<Open>, party: RelyingParty) -> Option<Self> {
        let mut by_party = open.by_party();
        let count = by_party.get(&party).copied().unwrap_or_default();
        let more = count.checked_add(1).filter(|more| *more <= open.most)?;
        by_party.insert(party.clone(), more);
        drop(by_party);
        open.app.metrics.watches(1);
        Some(Self { open: Arc::clone(open), party })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by_party = self.open.by_party();
        match by_party.get_mut(&self.party) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(by_party.remove(&self.party)),
        }
        drop(by_party);
        self.open.app.metrics.watches(-1);
    }
}
