//! The bound on what calls hold in memory: every byte of a request is counted as it arrives, until its call has ended.
//!
//! A call that would go over the bound is refused while it is still arriving, so many large calls at once cannot take
//! the machine's memory. A message is held up to twice for a moment (as received and as decoded), so the memory that
//! calls take is at most twice the bound, plus what reading itself takes on each of its threads.

use super::status;
use crate::telemetry::Metrics;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

/// The bytes that all calls together may hold.
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Budget {
    /// At most `limit` bytes at once.
    pub fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { limit, held: AtomicUsize::new(0), metrics }
    }

    fn take(&self, bytes: usize) -> bool {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok();
        self.metrics.images_held(self.held.load(Ordering::Relaxed));
        taken
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.metrics.images_held(self.held.load(Ordering::Relaxed));
    }
}

/// What one call holds; given back when the last copy is dropped.
#[derive(Clone)]
pub struct Held(Arc<Share>);

struct Share {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

impl Held {
    /// A call that holds nothing yet.
    pub fn nothing(budget: &Arc<Budget>) -> Self {
        Self(Arc::new(Share { budget: Arc::clone(budget), bytes: AtomicUsize::new(0) }))
    }

    /// Holds that many bytes more, if the budget allows it.
    pub fn take(&self, bytes: usize) -> bool {
        let taken = self.0.budget.take(bytes);
        if taken {
            self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.load(Ordering::Relaxed));
    }
}

/// A request's body whose bytes are counted as they arrive.
pub struct Counted {
    inner: Body,
    held: Held,
}

impl Counted {
    /// Counts `body` against what `held` may hold.
    pub fn body(body: Body, held: Held) -> Body {
        Body::new(Self { inner: body, held })
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let within = |frame: &Frame<Bytes>| frame.data_ref().is_none_or(|data| self.held.take(data.len()));
        Poll::Ready(match frame {
            Some(Ok(frame)) if !within(&frame) => Some(Err(status::over_budget())),
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

    #[test]
    fn what_is_taken_is_given_back_with_the_last_copy_and_never_exceeds_the_limit() {
        let budget = Arc::new(Budget::new(100, Arc::default()));
        let (one, two) = (Held::nothing(&budget), Held::nothing(&budget));
        assert!(one.take(60) && !two.take(41) && two.take(40) && !one.take(1));
        let copy = one.clone();
        drop(one);
        assert!(!two.take(1), "a copy is still there");
        drop(copy);
        assert!(two.take(60));
        drop(two);
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
