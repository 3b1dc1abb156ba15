//! The pace of a request: it must keep coming, and not be received in vain.
//!
//! A request of which nothing comes for a while, or less in all than a slow line would bring, ends with an error for
//! whoever reads it, so its call ends and gives back what it holds. Only time in which the service waited for the caller
//! counts. Once a request has become larger than anything but a picture, it is asked whether a picture would be read at
//! all; if not, the rest is not received.

use super::status;
use crate::telemetry::Metrics;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

/// The bytes beyond which a request carries a picture: texts in requests are far smaller.
const PICTURE: u64 = 16 * 1024;

/// Why the picture that is coming would not be read.
pub type Obstacle = Box<dyn FnOnce() -> Option<Status> + Send>;

/// How slowly a request may come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The longest time in which nothing comes.
    pub longest: Duration,
    /// The least bytes a second, once more time than that has passed.
    pub least: u64,
}

impl Pace {
    /// How long it may be waited in all for so many bytes.
    fn allows(self, bytes: u64) -> Duration {
        let by_size = bytes.saturating_mul(1000).checked_div(self.least).map_or(Duration::MAX, Duration::from_millis);
        self.longest.saturating_add(by_size)
    }
}

/// A request's body that must keep coming.
pub struct Paced {
    inner: Body,
    pace: Pace,
    bytes: u64,
    /// How long it was waited in all, before the wait of now.
    waited: Duration,
    /// Since when it is waited, and until when at most.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    obstacle: Option<Obstacle>,
    metrics: Arc<Metrics>,
}

impl Paced {
    /// Lets `body` come at this pace.
    pub fn new(body: Body, pace: Pace, obstacle: Option<Obstacle>, metrics: Arc<Metrics>) -> Self {
        Self { inner: body, pace, bytes: 0, waited: Duration::ZERO, waiting: None, obstacle, metrics }
    }

    fn end(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = Body::empty();
        self.waiting = None;
        Poll::Ready(Some(Err(status)))
    }

    /// Counts what came, and asks once whether more should.
    fn came(&mut self, bytes: usize) -> Result<(), Status> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        match if self.bytes > PICTURE { self.obstacle.take() } else { None } {
            Some(obstacle) => obstacle().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.waited = self.waited.saturating_add(since.elapsed());
                }
                match self.came(frame.data_ref().map_or(0, Bytes::len)) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(status) => self.end(status),
                }
            }
            Poll::Pending => {
                let left = self.pace.allows(self.bytes).saturating_sub(self.waited).min(self.pace.longest);
                let (_, alarm) = self.waiting.get_or_insert_with(|| {
                    let now = Instant::now();
                    (now, Box::pin(sleep_until(now + left)))
                });
                match alarm.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        self.metrics.refused("too_slow");
                        self.end(status::too_slow())
                    }
                }
            }
            other => other,
        }
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
    fn time_is_allowed_by_what_has_come() {
        let pace = Pace { longest: Duration::from_secs(10), least: 1000 };
        assert_eq!(pace.allows(0), Duration::from_secs(10));
        assert_eq!(pace.allows(5000), Duration::from_secs(15));
        assert_eq!(Pace { least: 0, ..pace }.allows(1), Duration::MAX);
    }
}
