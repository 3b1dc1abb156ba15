//! Streams that nobody has to end (health watches, reflection): each ends when its time is over or the server goes down,
//! so that whoever leaves one open holds nothing for long and does not hold up the end.
//!
//! Both directions end: a service that still waits for the next request would keep the stream open too. What was ready
//! when the end came is still passed on, once, so that a health watch hears that the server stops serving.

use super::status;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

/// Tells when a stream must end, and with which status.
type End = Pin<Box<dyn Future<Output = Status> + Send>>;

/// By how much the requests of a stream may outlive its answers, so that it is the answers that tell why it ended.
const AFTER: Duration = Duration::from_secs(1);

/// The end of one side of a stream that may take this long, and not longer than the server is open.
fn end(side: Side, longest: Duration, mut closing: watch::Receiver<bool>) -> End {
    let longest = if side == Side::Request { longest.saturating_add(AFTER) } else { longest };
    Box::pin(async move {
        match tokio::time::timeout(longest, closing.wait_for(|closing| *closing)).await {
            // An error in here means that the gate is gone, and with it the server.
            Ok(_) => status::draining(),
            Err(_) => status::stream_over(),
        }
    })
}

/// How a stream tells that it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is received: with an error for the service.
    Request,
    /// What is sent: with trailers for the caller.
    Response,
}

/// A stream that ends.
pub struct Ending {
    inner: Body,
    end: End,
    side: Side,
    over: Option<Status>,
    done: bool,
}

impl Ending {
    /// Lets `body` go on until its end.
    pub fn body(body: Body, side: Side, longest: Duration, closing: watch::Receiver<bool>) -> Body {
        Body::new(Self { inner: body, end: end(side, longest, closing), side, over: None, done: false })
    }

    fn last(&mut self, status: Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.done = true;
        self.inner = Body::empty();
        match self.side {
            Side::Request => Some(Err(status)),
            Side::Response => {
                let mut trailers = HeaderMap::new();
                Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
            }
        }
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if let Some(status) = self.over.take() {
            return Poll::Ready(self.last(status));
        }
        let over = self.end.as_mut().poll(cx);
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        match (over, frame) {
            (Poll::Pending, frame) => {
                let frame = ready!(frame);
                self.done = frame.is_none();
                Poll::Ready(frame)
            }
            (Poll::Ready(status), Poll::Ready(Some(Ok(frame)))) if frame.is_data() => {
                self.over = Some(status);
                Poll::Ready(Some(Ok(frame)))
            }
            // Also where the service has just ended the stream: it saw the end of the requests first.
            (Poll::Ready(status), _) => Poll::Ready(self.last(status)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.over.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.side == Side::Request { self.inner.size_hint() } else { SizeHint::default() }
    }
}
