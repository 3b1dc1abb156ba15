//! Whose calls are taken: bearer tokens against callers' keys, and those keys kept fresh without a restart.
//!
//! Every source of keys that can change (a file, a URL) has a task of its own that looks at it now and again. A token
//! that names an unknown key makes it look at once, but not more often than is set however many ask, and all who ask
//! wait for the same look. While a source does not answer, its last keys count for a bounded time, and then none do. A
//! source that never answered keeps no server from starting: its callers are told to come back, everybody else is served.

mod fetch;

pub use fetch::Place;

use super::{App, Deadline};
use crate::tokens::Rejected;
use crate::tokens::callers::{Caller, Certificate};
use fetch::{Failed, Fetched};
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The longest that a call waits for keys that it made somebody look for.
const PATIENCE: Duration = Duration::from_secs(3);

/// How fresh callers' keys are kept.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// A source is looked at so often, or more often if its answer says so.
    pub every: Duration,
    /// But never more often than this.
    pub soonest: Duration,
    /// For so long keys count after they were last seen.
    pub stale: SignedDuration,
}

/// No caller is known by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// The token does not hold.
    Rejected(Rejected),
    /// Its key is not known, and there are callers whose keys are missing: it may be a good one.
    KeysAway {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// How far a source has come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// How often it was looked at.
    rounds: u64,
    /// Whether it is being looked at.
    looking: bool,
    /// It may be looked at again from then on; `None` while no task keeps it.
    again: Option<Instant>,
}

/// Where one source's keys come from.
struct Kept {
    /// Its number among all sources.
    source: usize,
    place: Place,
    progress: watch::Sender<Progress>,
    poke: Notify,
}

/// All sources that can change.
pub struct KeySources {
    freshness: Freshness,
    kept: Vec<Kept>,
}

impl KeySources {
    /// Keeps nothing yet.
    pub fn new(freshness: Freshness) -> Self {
        Self { freshness, kept: Vec::new() }
    }

    /// Keeps the keys of this source, which lie there.
    pub fn keep(&mut self, source: usize, place: Place) {
        self.kept.push(Kept { source, place, progress: watch::Sender::default(), poke: Notify::new() });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// For how long keys count after they were seen.
    pub fn stale(&self) -> SignedDuration {
        self.freshness.stale
    }

    /// Has every source looked at that may be, and waits for them. Whether there was any.
    async fn look_again(&self, until: Instant) -> bool {
        let mut waiting = Vec::new();
        for kept in &self.kept {
            let mut progress = kept.progress.subscribe();
            let seen = *progress.borrow_and_update();
            let may = seen.again.is_some_and(|again| Instant::now() >= again);
            if may {
                kept.poke.notify_one();
            }
            if may || seen.looking {
                waiting.push((progress, seen.rounds));
            }
        }
        let any = !waiting.is_empty();
        for (mut progress, seen) in waiting {
            // Whoever waited long enough is answered with what is known by then.
            drop(timeout_at(until, progress.wait_for(|now| now.rounds > seen)).await);
        }
        any
    }
}

impl App {
    /// Who a bearer token belongs to, on a connection with this client certificate.
    pub async fn caller(
        &self,
        bearer: &str,
        certificate: Option<Certificate<'_>>,
        deadline: Deadline,
    ) -> Result<Caller, Unknown> {
        let judged = self.callers.verify(bearer, certificate, self.now());
        let Err(Rejected::UnknownKey) = judged else { return judged.map_err(Unknown::Rejected) };
        let patience = Instant::now() + PATIENCE;
        let looked = self.key_sources.look_again(patience.min(deadline.instant().into())).await;
        let judged = if looked { self.callers.verify(bearer, certificate, self.now()) } else { judged };
        judged.map_err(|rejected| match rejected {
            Rejected::UnknownKey if self.callers.incomplete(self.now()) => {
                Unknown::KeysAway { retry_after: self.key_sources.freshness.soonest }
            }
            rejected => Unknown::Rejected(rejected),
        })
    }
}

/// Keeps the keys of one source fresh, without end.
pub async fn keep_fresh(app: Arc<App>, number: usize) {
    let Some(kept) = app.key_sources.kept.get(number) else { return };
    let Freshness { every, soonest, .. } = app.key_sources.freshness;
    let mut failures = 0u32;
    loop {
        kept.progress.send_modify(|progress| progress.looking = true);
        let again = Instant::now() + soonest;
        let looked = look(&app, kept).await;
        kept.progress.send_modify(|now| *now = Progress { rounds: now.rounds + 1, looking: false, again: Some(again) });
        let wait = match looked {
            Ok(asked) => {
                if failures > 0 {
                    app.metrics.caller_keys_failing(-1);
                    tracing::info!(from = kept.place.name(), "callers' keys come again");
                }
                failures = 0;
                asked.unwrap_or(every).max(soonest).min(every)
            }
            Err(why) => {
                if failures == 0 {
                    app.metrics.caller_keys_failing(1);
                }
                let from = kept.place.name();
                tracing::warn!(
                    from,
                    why = why.as_str(),
                    failures,
                    "callers' keys do not come; the last ones count a while"
                );
                failures = failures.saturating_add(1);
                soonest.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(every)
            }
        };
        let next = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(next) => break,
                () = kept.poke.notified() => if Instant::now() >= again { break },
            }
        }
    }
}

/// Looks once. How long the answer is good for, if it says so.
async fn look(app: &App, kept: &Kept) -> Result<Option<Duration>, Failed> {
    let looked = async {
        let Fetched { keys, good_for } = kept.place.fetch().await?;
        let until = super::later(app.now(), app.key_sources.freshness.stale);
        let changed = app.callers.renew(kept.source, keys, until).map_err(Failed::from)?;
        Ok((changed, good_for))
    };
    let looked = looked.await;
    let came_to = match looked {
        Ok((true, _)) => "changed",
        Ok((false, _)) => "same",
        Err(why) => Failed::as_str(why),
    };
    app.metrics.caller_keys_looked_at(came_to);
    let (changed, good_for) = looked?;
    if changed {
        tracing::info!(from = kept.place.name(), "callers' keys have changed");
    }
    Ok(good_for)
}
