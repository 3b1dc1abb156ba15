//! One connection: the bytes between its socket and HTTP/2, and the times that it must keep.

use super::frames::Sent;
use super::wash::Wash;
use super::{AFTER, Seat};
use crate::server::tls::{Peer, TlsStream};
use crate::server::wiped::Wiped;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::transport::server::Connected;

/// The preface of HTTP/2 and the head of the first frame. From then on its own keepalive sees whether anybody is there.
const HANDSHAKE: usize = 24 + 9;
/// The most that is taken from the socket at once.
const INTAKE: usize = 16 * 1024;
/// For how long a client may be silent in the middle of a picture before what it sent is overwritten.
const QUIET: Duration = Duration::from_millis(50);

/// What carries the bytes.
pub enum Link {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Runs one body for either kind of link.
macro_rules! with_link {
    ($link:expr, $stream:ident => $body:expr) => {
        match $link {
            Link::Plain($stream) => $body,
            Link::Tls($stream) => $body,
        }
    };
}

/// One connection.
pub struct Connection {
    link: Link,
    /// What has come and was not handed up.
    intake: Wiped,
    wash: Wash,
    /// What was sent.
    sent: Sent,
    /// How much of the handshake has come.
    received: usize,
    /// When it must have shown itself, then when its time is over.
    end: Option<Pin<Box<Sleep>>>,
    longest: Option<Instant>,
    /// Runs while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs while the other side sends nothing and something of a picture is left.
    quiet: Option<Pin<Box<Sleep>>>,
    /// When something last came.
    last: Instant,
    /// Who waits for something to come, while something of a picture is left.
    reader: Option<Waker>,
    seat: Seat,
}

impl Connection {
    /// A connection that must have shown itself until then.
    pub(super) fn new(link: Link, seat: Seat, handshake: Instant) -> Self {
        let now = Instant::now();
        Self {
            link,
            intake: Wiped::new(INTAKE),
            wash: Wash::new(),
            sent: Sent::default(),
            received: 0,
            end: Some(Box::pin(sleep_until(handshake))),
            longest: seat.limits().longest.and_then(|longest| now.checked_add(longest)),
            stalled: None,
            quiet: None,
            last: now,
            reader: None,
            seat,
        }
    }

    /// Counts what came, until somebody has shown themselves.
    fn came(&mut self, bytes: usize) {
        self.last = Instant::now();
        // Set for the silence within a frame, which has ended.
        self.quiet.take_if(|quiet| quiet.deadline() > self.last + QUIET);
        if self.received < HANDSHAKE {
            self.received += bytes;
            if self.received >= HANDSHAKE {
                self.end = self.longest.map(|until| Box::pin(sleep_until(until)));
            }
        }
    }

    /// Why it must end now, if it must.
    fn over(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let reason = if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            self.end = None; // not to be asked again
            if self.received < HANDSHAKE { "handshake" } else { "age" }
        } else if self.stalled.as_mut().is_some_and(|stalled| stalled.as_mut().poll(cx).is_ready()) {
            self.stalled = None;
            "stalled"
        } else {
            return Ok(());
        };
        self.cut_off(reason)
    }

    fn cut_off(&self, reason: &'static str) -> Result<()> {
        self.seat.ended(reason);
        Err(ErrorKind::TimedOut.into())
    }

    /// What came of sending.
    fn sent<T>(&mut self, cx: &mut Context<'_>, sent: Poll<Result<T>>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let stall = self.seat.limits().stall;
        self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        match self.over(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Notes the streams that ended with these bytes, which were sent.
    fn note(&mut self, bytes: &[u8]) {
        let (wash, mut due) = (&mut self.wash, false);
        self.sent.pass(bytes, |stream| due |= wash.answered(stream));
        if due && let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Takes what has come from the socket; how much that was, and nothing at its end.
    fn take_in(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let mut room = ReadBuf::new(self.intake.room(INTAKE / 2));
        ready!(with_link!(&mut self.link, stream => Pin::new(stream).poll_read(cx, &mut room)))?;
        let count = room.filled().len();
        self.intake.put(count);
        self.came(count);
        Poll::Ready(Ok(count))
    }

    /// Nothing comes. Whether something must be put into the silence.
    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.wash.waits() {
            self.reader = None;
            return Poll::Pending;
        }
        let (last, longest) = (self.last, self.seat.limits().stall + AFTER);
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep_until(last + QUIET)));
        while quiet.as_mut().poll(cx).is_ready() {
            let silent = last.elapsed();
            if silent < QUIET {
                quiet.as_mut().reset(last + QUIET);
            } else if self.wash.rest() {
                self.quiet = None;
                return Poll::Ready(Ok(()));
            } else if silent < longest {
                quiet.as_mut().reset(last + longest);
            } else {
                // Half a frame of a picture, which nothing can overwrite as long as the connection is open.
                self.quiet = None;
                return Poll::Ready(self.cut_off("stalled"));
            }
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        this.over(cx)?;
        loop {
            if this.wash.washing() {
                this.wash.fill(buffer);
                return Poll::Ready(Ok(()));
            }
            let count = this.wash.hand_up(this.intake.waiting(), buffer.remaining());
            if count > 0 {
                buffer.put_slice(&this.intake.waiting()[..count]);
                this.intake.take(count);
                return Poll::Ready(Ok(()));
            }
            if this.wash.washing() {
                continue;
            }
            match this.take_in(cx)? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {}
                Poll::Pending => ready!(this.silence(cx))?,
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let sent = with_link!(&mut self.link, stream => Pin::new(stream).poll_write(cx, bytes));
        if let Poll::Ready(Ok(count)) = sent {
            self.note(&bytes[..count.min(bytes.len())]);
        }
        self.sent(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let sent = with_link!(&mut self.link, stream => Pin::new(stream).poll_write_vectored(cx, parts));
        if let Poll::Ready(Ok(count)) = sent {
            let mut left = count;
            for part in parts {
                let gone = left.min(part.len());
                self.note(&part[..gone]);
                left -= gone;
            }
        }
        self.sent(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        with_link!(&self.link, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let sent = with_link!(&mut self.link, stream => Pin::new(stream).poll_flush(cx));
        self.sent(cx, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let sent = with_link!(&mut self.link, stream => Pin::new(stream).poll_shutdown(cx));
        self.sent(cx, sent)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        match &self.link {
            Link::Plain(_) => Peer::default(),
            Link::Tls(stream) => Peer::of(stream),
        }
    }
}
