//! Who holds a picture: one owner from the wire to the thread that reads it, so that it is known when it is gone.
//!
//! The server gives the bytes of a call to its [`Custody`] and hands a [`Picture`] to the flow. The picture is a handle:
//! the bytes stay in custody until a reading thread takes them out ([`Picture::open`]), which commits to them first and
//! says when it has let go of everything that came of them. When the call is answered, whoever answers asks for the
//! receipt ([`App::disposal`]): bytes that nobody took out are committed to and overwritten then, away from the threads
//! that serve the network if they are many; bytes that are being read are waited for within a bound.
//!
//! Always: a receipt is made only after the bytes are overwritten and the work on them has ended, by an answer or by a
//! panic; where that cannot be said in time there is no receipt, and that is counted. When the caller leaves, the bytes
//! in custody are overwritten at once, and nothing is committed to. A commitment lives as long as its call.

use super::App;
use crate::secret::Sensitive;
use crate::terms::{DisposalPath, RelyingParty};
use crate::tokens::disposal::{Commitment, Disposed, Opening};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Up to so many bytes are committed to and overwritten where they are: tens of microseconds.
const AT_ONCE: usize = 128 * 1024;

type Sealed = Option<(Commitment, Opening)>;

/// Where the bytes of a call are.
enum Stage {
    /// None came.
    Empty,
    /// In custody.
    Held(Sensitive<Vec<u8>>),
    /// With somebody who reads or overwrites them.
    Out,
    /// Overwritten.
    Gone(Sealed),
}

struct State {
    stage: Stage,
    /// When the last byte had come.
    received_at: Timestamp,
    /// Whether all bytes have come.
    whole: bool,
    /// Whether they were taken out to be read.
    read: bool,
    /// Whether the caller has left, so that nobody will ask for a receipt.
    alone: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Tells that they are.
    gone: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step, and nothing that is foreign runs under the lock but a digest.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until they are gone.
    async fn wait(&self) {
        loop {
            // Before the look: an end between the two is told.
            let gone = self.gone.notified();
            if matches!(self.state().stage, Stage::Gone(_)) {
                return;
            }
            gone.await;
        }
    }

    fn ended(&self, sealed: Sealed) {
        self.state().stage = Stage::Gone(sealed);
        self.gone.notify_waiters();
    }
}

/// The caller's side of it: held by whoever answers. When the last copy is dropped, the caller has been answered or has
/// left, and bytes that are still in custody are overwritten.
#[derive(Clone)]
pub struct Custody(Arc<Keeper>);

struct Keeper(Arc<Shared>);

impl Drop for Keeper {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.state();
            state.alone = true;
            match std::mem::replace(&mut state.stage, Stage::Out) {
                Stage::Held(bytes) => Some(bytes),
                Stage::Gone(sealed) => {
                    state.stage = Stage::Gone(sealed);
                    None
                }
                Stage::Empty | Stage::Out => None,
            }
        };
        if let Some(bytes) = left {
            drop(bytes); // not under the lock: overwriting takes its time
            self.0.ended(None);
        }
    }
}

impl Custody {
    /// Of a call that has sent no picture yet.
    #[expect(clippy::new_without_default, reason = "one belongs to a call, there is no default one")]
    pub fn new() -> Self {
        let state =
            State { stage: Stage::Empty, received_at: Timestamp::UNIX_EPOCH, whole: false, read: false, alone: false };
        Self(Arc::new(Keeper(Arc::new(Shared { state: Mutex::new(state), gone: Notify::new() }))))
    }

    /// Takes the picture of the call, which had come by `now`.
    pub fn take(&self, bytes: Vec<u8>, now: Timestamp) -> Picture {
        let picture = self.begin(Sensitive::new(bytes), now);
        picture.0.state().whole = true;
        picture
    }

    /// Takes room for a picture of which all is to come.
    pub fn expect(&self, bytes: usize, now: Timestamp) -> Picture {
        self.begin(Sensitive::new(Vec::with_capacity(bytes)), now)
    }

    fn begin(&self, bytes: Sensitive<Vec<u8>>, now: Timestamp) -> Picture {
        let shared = Arc::clone(&self.0.0);
        {
            let mut state = shared.state();
            state.stage = Stage::Held(bytes);
            state.received_at = now;
        }
        Picture(shared)
    }

    /// How a call ended that was answered, with a date of birth or without.
    pub fn answered(&self, readable: bool) -> DisposalPath {
        match (self.0.0.state().read, readable) {
            (false, _) => DisposalPath::NotRead,
            (true, true) => DisposalPath::Answered,
            (true, false) => DisposalPath::Unreadable,
        }
    }

    /// How a call ended that was not answered: as `path` says, if its picture had come at all.
    pub fn refused(&self, path: DisposalPath) -> DisposalPath {
        if self.0.0.state().whole { path } else { DisposalPath::Incomplete }
    }

    /// Whether a picture was taken.
    fn took_one(&self) -> bool {
        !matches!(self.0.0.state().stage, Stage::Empty)
    }

    /// What is known once nothing is left of the picture; nothing if that is not so within `bound`.
    async fn emptied(&self, bound: Duration) -> Option<(Timestamp, Commitment, Opening)> {
        let shared = Arc::clone(&self.0.0);
        let held = {
            let mut state = shared.state();
            match std::mem::replace(&mut state.stage, Stage::Out) {
                Stage::Held(bytes) => Some(bytes),
                other => {
                    state.stage = other;
                    None
                }
            }
        };
        if let Some(bytes) = held {
            let few = bytes.expose().len() <= AT_ONCE;
            let shared = Arc::clone(&shared);
            let dispose = move || {
                let sealed = Commitment::to(bytes.expose());
                drop(bytes);
                shared.ended(sealed);
            };
            match few {
                true => dispose(),
                // If the runtime is going down, the closure is dropped, and the bytes with it: no receipt.
                false => tokio::task::spawn_blocking(dispose).await.ok()?,
            }
        }
        tokio::time::timeout(bound, shared.wait()).await.ok()?;
        let mut state = shared.state();
        let Stage::Gone(sealed) = &mut state.stage else { return None };
        let (commitment, opening) = sealed.take()?;
        Some((state.received_at, commitment, opening))
    }
}

/// The picture of a call, for the flow. It can be looked at only by taking it out.
pub struct Picture(Arc<Shared>);

impl Picture {
    /// A picture that nobody waits for: no receipt can be had for it.
    pub fn unattended(bytes: Sensitive<Vec<u8>>, now: Timestamp) -> Self {
        let state = State { stage: Stage::Held(bytes), received_at: now, whole: true, read: false, alone: true };
        Self(Arc::new(Shared { state: Mutex::new(state), gone: Notify::new() }))
    }

    /// Adds the next bytes, if there is room for them.
    pub fn append(&mut self, more: &[u8]) -> bool {
        match &mut self.0.state().stage {
            Stage::Held(bytes) if bytes.expose().capacity() - bytes.expose().len() >= more.len() => {
                bytes.expose_mut().extend_from_slice(more);
                true
            }
            Stage::Held(_) | Stage::Empty | Stage::Out | Stage::Gone(_) => false,
        }
    }

    /// All bytes have come by `now`.
    pub fn complete(&mut self, now: Timestamp) {
        let mut state = self.0.state();
        state.whole = true;
        state.received_at = now;
    }

    /// How many bytes have come.
    pub fn len(&self) -> usize {
        self.with(<[u8]>::len).unwrap_or_default()
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the last byte had come.
    pub fn received_at(&self) -> Timestamp {
        self.0.state().received_at
    }

    /// What a digest of the bytes comes to. Nothing if they are gone: the caller has left or was answered.
    pub fn with<T>(&self, digest: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match &self.0.state().stage {
            Stage::Held(bytes) => Some(digest(bytes.expose())),
            Stage::Empty | Stage::Out | Stage::Gone(_) => None,
        }
    }

    /// Takes the bytes out to be read, on a thread that may take its time: they are committed to first. What comes with
    /// them is to be dropped when nothing that came of them is left.
    pub fn open(self) -> Option<(Sensitive<Vec<u8>>, Reading)> {
        let (bytes, alone) = {
            let mut state = self.0.state();
            match std::mem::replace(&mut state.stage, Stage::Out) {
                Stage::Held(bytes) => {
                    state.read = true;
                    (bytes, state.alone)
                }
                other => {
                    state.stage = other;
                    return None;
                }
            }
        };
        let sealed = if alone { None } else { Commitment::to(bytes.expose()) };
        Some((bytes, Reading { shared: self.0, sealed }))
    }
}

/// Somebody reads the picture. Dropped when they have let go of it, by an answer or by a panic.
pub struct Reading {
    shared: Arc<Shared>,
    sealed: Sealed,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.ended(self.sealed.take());
    }
}

/// A disposal receipt, with what opens it. `Debug` shows neither.
pub struct Receipt {
    /// The signed receipt.
    pub token: String,
    /// The key of its commitment.
    pub opening: Opening,
}

impl App {
    /// The receipt for the picture of a call, once nothing of it is left; waits for that up to `bound`. Nothing if the
    /// call took none, and nothing, which is counted, if it cannot be said or signed.
    pub async fn disposal(
        &self,
        custody: &Custody,
        relying_party: &RelyingParty,
        path: DisposalPath,
        bound: Duration,
    ) -> Option<Receipt> {
        if !custody.took_one() {
            return None;
        }
        let receipt = self.receipt_of(custody, relying_party, path, bound).await;
        self.metrics.disposal(if receipt.is_some() { path.as_str() } else { "no_receipt" });
        receipt
    }

    async fn receipt_of(
        &self,
        custody: &Custody,
        relying_party: &RelyingParty,
        path: DisposalPath,
        bound: Duration,
    ) -> Option<Receipt> {
        let (received_at, commitment, opening) = custody.emptied(bound).await?;
        // Read now, after the fact: a bound from above, which holds whatever the threads were doing.
        let disposed_at = self.now().max(received_at);
        let of = Disposed { relying_party: relying_party.clone(), received_at, disposed_at, path, commitment };
        let token = self.issuer.sign_disposal(&of).ok()?;
        Some(Receipt { token, opening })
    }
}

#[cfg(test)]
mod tests;
