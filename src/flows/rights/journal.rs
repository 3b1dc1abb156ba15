//! Requests that end a use (opting out of sale and sharing, limiting sensitive data) are taken while the store is away.
//!
//! Only those that need no proof: nothing is disclosed, changed or signed by them, and refusing one would go on with a use
//! that a person has objected to. The request is written to a journal on this machine before it is answered, sealed,
//! under the name that it will have in the store, which follows from the call; its clock runs from its receipt. When the
//! store is back, each is recorded there in order, once: whoever finds it recorded already (the store had failed after
//! doing it, or the call was a retry of one from before) leaves it at that. Until then only this process knows of it; no token is signed for it.

use super::super::once::{Done, Once, Written};
use super::super::{App, Error};
use super::{Handle, OpenAsk, Opened, RightsNote, RightsRecord, Subject, moved, partition_of};
use crate::rights::RightsRequest;
use crate::seal::{SealRing, Sealed};
use crate::secret::Sensitive;
use crate::store::journal::{Bounds, Journal, JournalError};
use crate::store::{Batch, Expect, StoreError};
use crate::terms::{RelyingParty, RequestId};
use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the notes are sealed for. Their holder is nobody in particular: the ring alone opens them.
const PLACE: &[u8] = b"idgate rights journal 1";
/// The longest pause between two attempts to deliver.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A request that waits for the store.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    once: Written,
    record: RightsRecord,
}

/// The requests that wait for the store.
pub struct OptOuts {
    inner: Mutex<Inner>,
    /// Held by whoever delivers, so that they are delivered in order.
    delivering: tokio::sync::Mutex<()>,
    share: usize,
}

struct Inner {
    journal: Journal,
    waiting: BTreeMap<u64, Waiting>,
    /// What could not be delivered for a reason of its own, and was told.
    troubled: BTreeSet<u64>,
}

impl OptOuts {
    /// Opens the journal in a directory. A note that does not open (its key has left the ring) stays where it is.
    pub fn open(directory: &Path, ring: &SealRing, bounds: Bounds) -> std::io::Result<Self> {
        let journal = Journal::open(directory, bounds)?;
        let mut waiting = BTreeMap::new();
        for (number, note) in journal.notes() {
            match unseal(ring, note) {
                Some(note) => drop(waiting.insert(number, note)),
                None => tracing::error!("a request in the journal does not open; bring its sealing key back"),
            }
        }
        if !waiting.is_empty() {
            tracing::warn!(count = waiting.len(), "requests in the journal wait to be delivered to the store");
        }
        let inner = Mutex::new(Inner { journal, waiting, troubled: BTreeSet::new() });
        // One relying party's flood must leave room for the others.
        Ok(Self { inner, delivering: tokio::sync::Mutex::new(()), share: bounds.notes.div_ceil(2) })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call came to that waits here.
    fn earlier(&self, once: &Once) -> Result<Option<RightsRequest>, Error> {
        self.lock().earlier(&once.written())
    }

    /// The request of this name, if it waits here.
    pub(super) fn request(&self, party: &RelyingParty, id: &RequestId) -> Option<RightsRequest> {
        let inner = self.lock();
        let mut requests = inner.waiting.values().map(|waiting| &waiting.record.request);
        requests.find(|request| request.id() == *id && request.relying_party() == party).cloned()
    }

    /// Writes a request down, unless the same call was before. It is on disk when this answers. Blocks.
    fn add(&self, waiting: Waiting, note: Vec<u8>) -> Result<RightsRequest, Error> {
        let mut inner = self.lock();
        if let Some(request) = inner.earlier(&waiting.once)? {
            return Ok(request);
        }
        let party = waiting.record.request.relying_party();
        let own = inner.waiting.values().filter(|other| other.record.request.relying_party() == party).count();
        let number = if own >= self.share { Err(JournalError::Full) } else { inner.journal.add(note) };
        let number = number.map_err(|error| {
            tracing::error!(%error, "a request that needs no proof could not be taken");
            Error::Store(StoreError::Unavailable)
        })?;
        let request = waiting.record.request.clone();
        inner.waiting.insert(number, waiting);
        Ok(request)
    }

    /// The first that waits after `after`.
    fn next(&self, after: Option<u64>) -> Option<(u64, Waiting)> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        self.lock().waiting.range(from..).next().map(|(number, waiting)| (*number, waiting.clone()))
    }

    /// It is in the store. Blocks.
    fn take_off(&self, number: u64) {
        let mut inner = self.lock();
        if let Err(error) = inner.journal.take_off(number) {
            // It is found in the store when it is delivered again after a restart.
            tracing::warn!(%error, "a request that was delivered could not be taken off the journal");
        }
        inner.waiting.remove(&number);
    }
}

impl Inner {
    fn earlier(&self, once: &Written) -> Result<Option<RightsRequest>, Error> {
        match self.waiting.values().find(|waiting| waiting.once.key == once.key) {
            Some(waiting) if waiting.once.fingerprint != once.fingerprint => Err(Error::KeyReused),
            found => Ok(found.map(|waiting| waiting.record.request.clone())),
        }
    }
}

fn holder() -> Sensitive<[u8; 32]> {
    let hash = digest(&SHA256, PLACE);
    Sensitive::new(*hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
}

fn seal(ring: &SealRing, waiting: &Waiting) -> Result<Vec<u8>, Error> {
    let plain = Sensitive::new(serde_json::to_vec(waiting).map_err(|_| Error::Broken)?);
    let sealed = ring.seal(&holder(), PLACE, &plain).map_err(|_| Error::Broken)?;
    Ok(String::from(sealed).into_bytes())
}

fn unseal(ring: &SealRing, note: &[u8]) -> Option<Waiting> {
    let sealed = Sealed::try_from(String::from_utf8(note.to_vec()).ok()?).ok()?;
    serde_json::from_slice(ring.open(&holder(), PLACE, &sealed).ok()?.expose()).ok()
}

impl App {
    /// What the same call came to, if its request waits for the store.
    pub(super) fn waiting(&self, once: &Once) -> Result<Option<Opened>, Error> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let found = journal.earlier(once)?;
        Ok(found.map(|request| Opened { plan: self.plan_of(&request), request, waits: true }))
    }

    /// Takes a request into the journal if it needs no proof; otherwise the store's failure is the answer.
    pub(super) async fn open_in_journal(
        &self,
        ask: &OpenAsk,
        (subject, once): (&Subject, &Once),
        (id, now): (RequestId, Timestamp),
        failed: StoreError,
    ) -> Result<Opened, Error> {
        let party = &subject.party;
        // How often it was asked is counted when it is delivered.
        let (request, plan) = self.request(ask, party, id, (1, false), now);
        let Some(journal) = self.journal.as_ref().filter(|_| request.is_free()) else {
            return Err(Error::Store(failed));
        };
        let guardian: Option<Handle> = ask.guardian.as_ref().map(|guardian| self.guardian(party, guardian));
        let subject = subject.handle.clone();
        let record = RightsRecord { request, subject, guardian, consent: None, carry_out: false };
        let waiting = Waiting { once: once.written(), record };
        let (journal, note) = (Arc::clone(journal), seal(&self.seal, &waiting)?);
        let added = tokio::task::spawn_blocking(move || journal.add(waiting, note)).await;
        let request = added.map_err(|_| Error::Store(failed))??;
        if request.id() == id {
            self.metrics.opt_out_journalled();
        }
        Ok(Opened { request, plan, waits: true })
    }

    /// Records in the store what waits in the journal, in order. Tells how many requests that were. Ends at the first
    /// failure of the store.
    pub async fn deliver_opt_outs(&self) -> Result<usize, Error> {
        let Some(journal) = &self.journal else { return Ok(0) };
        let _only = journal.delivering.lock().await;
        let (mut delivered, mut last) = (0usize, None);
        while let Some((number, waiting)) = journal.next(last) {
            last = Some(number);
            match self.deliver(&waiting).await {
                Ok(()) => {
                    let journal = Arc::clone(journal);
                    tokio::task::spawn_blocking(move || journal.take_off(number)).await.map_err(|_| Error::Broken)?;
                    self.metrics.opt_out_delivered();
                    delivered = delivered.saturating_add(1);
                }
                Err(Error::Store(error @ (StoreError::Busy | StoreError::Unavailable))) => return Err(error.into()),
                // It holds up no other. It stays, and is tried again.
                Err(error) if journal.lock().troubled.insert(number) => {
                    tracing::error!(%error, "a request in the journal cannot be delivered");
                }
                Err(_) => {}
            }
        }
        Ok(delivered)
    }

    /// Records one request, once.
    async fn deliver(&self, waiting: &Waiting) -> Result<(), Error> {
        let (request, handle) = (&waiting.record.request, &waiting.record.subject);
        let (party, id) = (request.relying_party(), request.id());
        let (key, partition, once) =
            (self.request_key(party, &id), partition_of(&id), Once::read(&waiting.once).ok_or(Error::Broken)?);
        if self.load_request_at(key).await?.is_some() {
            return Ok(());
        }
        let now = self.now();
        let subject = Subject { party: party.clone(), handle: handle.clone(), partition };
        let times = self.times(party, &subject, request.asked().right, now).await?;
        let record = RightsRecord { request: request.clone().counted(times, now), ..waiting.record.clone() };
        // The second time without the answer for a retry: the key was used for another call meanwhile, at another server. Both
        // were answered, so both must be found.
        for settled in [true, false] {
            let batch = Batch::new(partition).require(key, Expect::Absent);
            let batch = self.put_request(batch, key, None, &record, now)?;
            let batch = batch.record(moved(&record.request, now, &RightsNote::default()));
            let batch = match settled {
                true => self.settle(batch, &once, &Done::Opened { request: id }, now)?,
                false => batch,
            };
            if self.write(batch, now).await? || self.load_request_at(key).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::Store(StoreError::Busy))
    }

    /// Delivers what waits in the journal, now and again, without end. Servers that were cut off together do not come
    /// back together.
    pub async fn keep_delivering(&self) {
        let Some(journal) = &self.journal else { return std::future::pending().await };
        let shortest = Duration::from_secs(self.rights.journal_seconds.max(1).into());
        let mut pause = shortest;
        loop {
            // What never comes is what one can wait for, for a time.
            let _ = tokio::time::timeout(about(pause), std::future::pending::<()>()).await;
            if journal.is_empty() {
                pause = shortest;
                continue;
            }
            match self.deliver_opt_outs().await {
                Ok(delivered) => {
                    pause = shortest;
                    tracing::info!(delivered, "requests of the journal are in the store");
                }
                Err(_) => pause = pause.saturating_mul(2).min(LONGEST_PAUSE.max(shortest)),
            }
        }
    }
}

/// Half to one and a half times as long, by chance.
fn about(time: Duration) -> Duration {
    let mut random = [0u8; 2];
    // Without random bytes it is half the time, which is no harm.
    let _ = aws_lc_rs::rand::fill(&mut random);
    time.mul_f64(0.5 + f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
}
