//! The connections: how many there may be, from where, and that each shows life.
//!
//! A connection more than allowed is closed at once, before anything is read from it. One on which no client of HTTP/2
//! shows itself is closed, so is one that takes nothing of what is sent, and one that outlives its age by more than any
//! call may take. Connections that are silent but answer are checked by the keepalive of HTTP/2.

use super::Settings;
use crate::telemetry::Metrics;
use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Result};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// The preface of HTTP/2 and the head of the first frame. From then on its own keepalive sees whether anybody is there.
const HANDSHAKE: usize = 24 + 9;
/// How long nothing is accepted when the system has no more connections to give, such as open files.
const PAUSE: Duration = Duration::from_millis(100);
/// By how much a connection may outlive its age and the longest call on it.
const AFTER: Duration = Duration::from_secs(2);

/// What every connection must keep to.
#[derive(Debug, Clone, Copy)]
struct Limits {
    all: usize,
    per_address: usize,
    handshake: Duration,
    stall: Duration,
    longest: Option<Duration>,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let limit = |most: u32| if most == 0 { usize::MAX } else { usize::try_from(most).unwrap_or(usize::MAX) };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let grace = seconds(settings.call_seconds.max(settings.stream_seconds)).saturating_add(AFTER);
        Self {
            all: limit(settings.connections),
            per_address: limit(settings.connections_per_address),
            handshake: seconds(settings.handshake_seconds),
            stall: seconds(settings.slow_seconds),
            longest: settings.connection_age().map(|age| age.saturating_add(grace)),
        }
    }
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

struct Doors {
    limits: Limits,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

impl Doors {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Counts are changed in one step each, so they hold after a panic too.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection more, if there may be.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let address = one_holder(peer);
        let mut open = self.open();
        let own = open.by_address.get(&address).copied().unwrap_or_default();
        let refused = if open.all >= self.limits.all {
            Some("too_many")
        } else {
            (own >= self.limits.per_address).then_some("too_many_of_address")
        };
        if let Some(reason) = refused {
            self.metrics.connection_ended(reason);
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, own + 1);
        drop(open);
        self.metrics.connections(1);
        Some(Seat { doors: Arc::clone(self), address })
    }
}

/// The address as one holder has it: an IPv6 host is given a whole /64, so that is what counts.
fn one_holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// One of the connections that may be open; given back when dropped.
struct Seat {
    doors: Arc<Doors>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.doors.open();
        open.all = open.all.saturating_sub(1);
        match open.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(open.by_address.remove(&self.address)),
        }
        drop(open);
        self.doors.metrics.connections(-1);
    }
}

/// The connections as they come.
pub struct Incoming {
    listener: TcpListener,
    doors: Arc<Doors>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// Accepts as many as the settings allow.
    pub fn new(listener: TcpListener, settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let doors = Doors { limits: Limits::of(settings), open: Mutex::default(), metrics };
        Self { listener, doors: Arc::new(doors), pause: None }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
        let seat = self.doors.enter(peer.ip())?;
        stream.set_nodelay(true).ok()?;
        Some(Connection::new(stream, seat))
    }
}

impl Stream for Incoming {
    type Item = Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    if let Some(connection) = self.welcome(stream, peer) {
                        return Poll::Ready(Some(Ok(connection)));
                    }
                }
                Err(error) if of_one_connection(error.kind()) => {}
                Err(error) => {
                    // Trying again at once would only keep a core busy until a file is closed.
                    tracing::warn!(%error, "no connection can be accepted");
                    self.pause = Some(Box::pin(sleep_until(Instant::now() + PAUSE)));
                }
            }
        }
    }
}

/// Whether accepting failed because of the connection, not of the listener.
fn of_one_connection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::Interrupted
    )
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    /// How much of the handshake has come.
    received: usize,
    /// When it must have shown itself, then when its time is over.
    end: Option<Pin<Box<Sleep>>>,
    longest: Option<Instant>,
    /// Runs while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    seat: Seat,
}

impl Connection {
    fn new(stream: TcpStream, seat: Seat) -> Self {
        let (now, limits) = (Instant::now(), seat.doors.limits);
        let end = Some(Box::pin(sleep_until(now + limits.handshake)));
        let longest = limits.longest.and_then(|longest| now.checked_add(longest));
        Self { stream, received: 0, end, longest, stalled: None, seat }
    }

    /// Counts what came, until somebody has shown themselves.
    fn came(&mut self, bytes: usize) {
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
        self.seat.doors.metrics.connection_ended(reason);
        Err(ErrorKind::TimedOut.into())
    }

    /// What came of sending.
    fn sent<T>(&mut self, cx: &mut Context<'_>, sent: Poll<Result<T>>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let stall = self.seat.doors.limits.stall;
        self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        match self.over(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        if let Err(error) = self.over(cx) {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.came(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.sent(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(all: usize, per_address: usize) -> Arc<Doors> {
        let limits = Limits { all, per_address, handshake: AFTER, stall: AFTER, longest: None };
        Arc::new(Doors { limits, open: Mutex::default(), metrics: Arc::default() })
    }

    #[test]
    fn connections_are_bounded_together_and_by_address_and_given_back() {
        let (doors, [a, b, c]) = (doors(3, 2), [1, 2, 3].map(|n| IpAddr::from([10, 0, 0, n])));
        let (first, second) = (doors.enter(a).unwrap(), doors.enter(a).unwrap());
        assert!(doors.enter(a).is_none(), "a third of one address");
        let third = doors.enter(b).unwrap();
        assert!(doors.enter(c).is_none(), "a fourth of all");
        drop(first);
        let fourth = doors.enter(a).unwrap();
        drop((second, third, fourth));
        let open = doors.open();
        assert_eq!((open.all, open.by_address.len()), (0, 0));
    }

    #[test]
    fn who_holds_many_addresses_of_one_network_is_one() {
        let doors = doors(9, 1);
        let network = |text: &str| text.parse::<IpAddr>().unwrap();
        let _seat = doors.enter(network("2001:db8:1:2::3")).unwrap();
        assert!(doors.enter(network("2001:db8:1:2:ffff::4")).is_none());
        let _other = doors.enter(network("2001:db8:1:3::3")).unwrap();
        let _old = doors.enter(network("10.0.0.1")).unwrap();
        assert!(doors.enter(network("::ffff:10.0.0.1")).is_none(), "the same address in other words");
    }
}
