//! Events: the audit chains as relying parties may see them.
//!
//! There is no second log that could disagree with the first: an event is a projection of an audit entry, which was
//! committed in one batch with the change that it tells of, so none can be lost and none be told that did not happen.
//! Everything that names one person's decisions and consents lies in one partition (who was turned away below the block
//! age is named by nothing and may lie anywhere), and a partition is told in its order. A follower pulls; what it has
//! not pulled costs nothing but its place in the log.

mod cursor;
mod happened;

pub use cursor::{Cursor, Place};
pub use happened::{About, Happened};

use super::{App, Error};
use crate::store::{Heads, Partition};
use crate::terms::{EventKind, RelyingParty};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The most entries that one page looks at.
pub const PAGE: usize = 256;

/// What somebody wants to be told.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose events.
    pub relying_party: RelyingParty,
    /// Only these types; all if empty.
    pub types: BTreeSet<EventKind>,
}

impl Wanted {
    fn has(&self, party: &RelyingParty, kind: EventKind) -> bool {
        *party == self.relying_party && (self.types.is_empty() || self.types.contains(&kind))
    }
}

/// An event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it lies, and so its name.
    pub place: Place,
    /// What happened.
    pub happened: Happened,
}

/// Some events, and where it goes on after them.
#[derive(Debug)]
pub struct Page {
    /// The events, those of one partition in order.
    pub events: Vec<Event>,
    /// After all of them, and after what was looked at and is not for this follower.
    pub cursor: Cursor,
    /// Whether there is more at once.
    pub more: bool,
}

impl App {
    /// Looks how far the log has come, also by what other processes recorded.
    pub async fn look(&self) -> Result<Heads, Error> {
        Ok(self.stirred.look(&*self.store).await?)
    }

    /// What was recorded after `cursor`, as far as it is wanted, of at most so many entries (at least one of each
    /// partition that has any). Every partition gets the same share.
    pub async fn events(&self, wanted: &Wanted, mut cursor: Cursor, at_most: usize) -> Result<Page, Error> {
        let heads = self.stirred.heads();
        let head = |partition: &Partition| heads.get(usize::from(partition.number())).copied().unwrap_or(0);
        let ahead: Vec<_> =
            Partition::all().filter(|partition| cursor.position(*partition) < head(partition)).collect();
        let share = (at_most / ahead.len().max(1)).max(1);
        let (mut lanes, mut more) = (Vec::with_capacity(ahead.len()), false);
        for partition in ahead {
            let links = self.store.trail(partition, cursor.position(partition), share).await?;
            more |= links.len() >= share && links.last().is_some_and(|link| link.seq < head(&partition));
            let mut lane = Vec::new();
            for link in links {
                let place = Place { partition, seq: link.seq };
                cursor.advance(place);
                let Ok(entry) = link.entry() else {
                    // Recorded by a newer version, or damaged: it must not hold up what comes after it.
                    tracing::error!(partition = partition.number(), seq = link.seq, "an entry cannot be read");
                    continue;
                };
                let told = Happened::of(entry);
                if let Some((party, mut happened)) = told
                    && wanted.has(&party, happened.kind)
                {
                    if happened.kind == EventKind::ErasureRequired
                        && let Some(controller) = self.consent.controllers.get(&party)
                    {
                        happened.about.recipients.clone_from(&controller.recipients);
                    }
                    lane.push(Event { place, happened });
                }
            }
            lanes.push(lane.into_iter());
        }
        Ok(Page { events: in_turn(lanes), cursor, more })
    }
}

/// One of each lane in turn, so that none waits for another to end.
fn in_turn(mut lanes: Vec<std::vec::IntoIter<Event>>) -> Vec<Event> {
    let mut events = Vec::new();
    while !lanes.is_empty() {
        lanes.retain_mut(|lane| {
            let next = lane.next();
            let has = next.is_some();
            events.extend(next);
            has
        });
    }
    events
}

/// Somebody who follows the events, from page to page.
pub struct Follower {
    app: Arc<App>,
    wanted: Wanted,
    cursor: Cursor,
    stirred: watch::Receiver<Heads>,
}

/// How long a follower that was woken waits for more, so that a busy log does not wake it for every entry.
const GATHER: Duration = Duration::from_millis(10);

impl Follower {
    /// Follows from `cursor`, which must lie within the log.
    pub async fn open(app: Arc<App>, wanted: Wanted, cursor: Cursor) -> Result<Self, Error> {
        if !cursor.within(&app.look().await?) {
            return Err(Error::CursorAhead);
        }
        let stirred = app.stirred.subscribe();
        Ok(Self { app, wanted, cursor, stirred })
    }

    /// The next page; empty if there is nothing.
    pub async fn page(&mut self) -> Result<Page, Error> {
        let page = self.app.events(&self.wanted, self.cursor, PAGE).await?;
        self.cursor = page.cursor;
        Ok(page)
    }

    /// Waits until something was recorded that was not looked at. Nothing is lost when this is dropped.
    pub async fn stirs(&mut self) {
        let cursor = self.cursor;
        if self.stirred.wait_for(|heads| cursor.behind(heads) > 0).await.is_err() {
            // Nobody is left who records: there will be nothing.
            std::future::pending::<()>().await;
        }
        // A wait that nothing ends but its time.
        drop(tokio::time::timeout(GATHER, std::future::pending::<()>()).await);
    }
}
