//! The bound on what calls hold in memory: every byte of a request is counted as it arrives, until its call has ended.
//!
//! A call that would go over the bound is refused while it is still arriving, so many large calls at once cannot take
//! the machine's memory. One relying party gets a share of it at most, and whoever has shown no token gets none: a call
//! that is open to anyone may send a few kilobytes, which belong to that call alone. A message is held up to twice for
//! a moment (as received and as decoded), so the memory that calls take is at most twice the bound, plus what reading
//! itself takes on each of its threads.

use super::status;
use crate::telemetry::Metrics;
use crate::terms::RelyingParty;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

/// The most bytes of all messages of a call that is open to anyone.
pub const ANONYMOUS_BYTES: usize = 64 * 1024;

/// The bytes that calls hold, together and by relying party.
#[derive(Default)]
struct Ledger {
    all: usize,
    by_party: HashMap<RelyingParty, usize>,
}

/// The bytes that all calls together may hold.
pub struct Budget {
    limit: usize,
    share: usize,
    ledger: Mutex<Ledger>,
    metrics: Arc<Metrics>,
}

/// Whose bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// That of all callers together.
    Everyone,
    /// That of the relying party.
    Caller,
}

impl Over {
    /// The name in metrics.
    const fn label(self) -> &'static str {
        match self {
            Self::Everyone => "bytes",
            Self::Caller => "caller_bytes",
        }
    }
}

impl Budget {
    /// At most `limit` bytes at once, and `share` of them for one relying party.
    pub fn new(limit: usize, share: usize, metrics: Arc<Metrics>) -> Self {
        Self { limit, share, ledger: Mutex::default(), metrics }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Sums are changed in one step each, so they hold after a panic too.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, party: &RelyingParty, bytes: usize) -> Result<(), Over> {
        self.try_take(party, bytes).inspect_err(|over| self.metrics.refused(over.label()))
    }

    fn try_take(&self, party: &RelyingParty, bytes: usize) -> Result<(), Over> {
        let mut ledger = self.ledger();
        let Ledger { all, by_party } = &mut *ledger;
        let sum = all.checked_add(bytes).filter(|sum| *sum <= self.limit).ok_or(Over::Everyone)?;
        let own = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.share).ok_or(Over::Caller);
        match by_party.get_mut(party) {
            Some(held) => *held = own(*held)?,
            None => drop(by_party.insert(party.clone(), own(0)?)),
        }
        *all = sum;
        self.metrics.images_held(sum);
        Ok(())
    }

    fn give_back(&self, party: &RelyingParty, bytes: usize) {
        let mut ledger = self.ledger();
        ledger.all = ledger.all.saturating_sub(bytes);
        if let Some(held) = ledger.by_party.get_mut(party) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                ledger.by_party.remove(party);
            }
        }
        self.metrics.images_held(ledger.all);
    }
}

/// What one call holds; given back when the last copy is dropped.
#[derive(Clone)]
pub struct Held(Arc<Share>);

struct Share {
    budget: Arc<Budget>,
    party: RelyingParty,
    bytes: AtomicUsize,
}

impl Held {
    /// A call of this relying party that holds nothing yet.
    pub fn nothing(budget: &Arc<Budget>, party: RelyingParty) -> Self {
        Self(Arc::new(Share { budget: Arc::clone(budget), party, bytes: AtomicUsize::new(0) }))
    }

    /// Holds that many bytes more, if the budget allows it.
    pub fn take(&self, bytes: usize) -> Result<(), Over> {
        self.0.budget.take(&self.0.party, bytes)?;
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(&self.party, self.bytes.load(Ordering::Relaxed));
    }
}

/// What the bytes of a request are counted against.
pub enum Meter {
    /// The budget.
    Shared(Held),
    /// What is left of the call's own few kilobytes.
    Alone(usize),
}

impl Meter {
    fn take(&mut self, bytes: usize) -> Result<(), Status> {
        match self {
            Self::Shared(held) => held.take(bytes).map_err(status::over_budget),
            Self::Alone(left) => {
                *left = left.checked_sub(bytes).ok_or_else(status::too_large)?;
                Ok(())
            }
        }
    }
}

/// A request's body whose bytes are counted as they arrive.
pub struct Counted<B> {
    inner: B,
    meter: Meter,
}

impl<B> Counted<B>
where
    B: HttpBody<Data = Bytes, Error = Status> + Unpin + Send + 'static,
{
    /// Counts `body`.
    pub fn body(body: B, meter: Meter) -> Body {
        Body::new(Self { inner: body, meter })
    }
}

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for Counted<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len());
                Some(self.meter.take(bytes).map(|()| frame))
            }
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(budget: &Arc<Budget>, party: &str) -> Held {
        Held::nothing(budget, party.parse().unwrap())
    }

    #[test]
    fn what_is_taken_is_given_back_with_the_last_copy_and_never_exceeds_the_limit() {
        let budget = Arc::new(Budget::new(100, 100, Arc::default()));
        let (one, two) = (held(&budget, "a"), held(&budget, "b"));
        assert_eq!(one.take(60), Ok(()));
        assert_eq!(two.take(41), Err(Over::Everyone));
        assert_eq!((two.take(40), one.take(1)), (Ok(()), Err(Over::Everyone)));
        let copy = one.clone();
        drop(one);
        assert!(two.take(1).is_err(), "a copy is still there");
        drop(copy);
        assert_eq!(two.take(60), Ok(()));
        drop(two);
        let ledger = budget.ledger();
        assert_eq!((ledger.all, ledger.by_party.len()), (0, 0));
    }

    #[test]
    fn one_relying_party_gets_its_share_over_all_its_calls() {
        let budget = Arc::new(Budget::new(100, 50, Arc::default()));
        let (one, more, other) = (held(&budget, "a"), held(&budget, "a"), held(&budget, "b"));
        assert_eq!((one.take(30), more.take(20), more.take(1)), (Ok(()), Ok(()), Err(Over::Caller)));
        assert_eq!(other.take(50), Ok(()));
        drop(one);
        assert_eq!(more.take(30), Ok(()));
    }

    #[test]
    fn a_call_that_is_open_to_anyone_has_its_own_few_bytes() {
        let mut alone = Meter::Alone(10);
        assert!(alone.take(10).is_ok() && alone.take(1).is_err());
    }
}
