//! The connections: how many there may be, from where, and that each shows life.
//!
//! A connection more than allowed is closed at once, before anything is read from it. One on which no client of HTTP/2
//! shows itself is closed, so is one that takes nothing of what is sent, and one that outlives its age by more than any
//! call may take. Connections that are silent but answer are checked by the keepalive of HTTP/2. Where TLS is set, each
//! shakes hands on its own, so a slow one keeps nobody waiting, and what failed never reaches HTTP/2.

mod connection;
mod frames;
mod wash;

use super::Settings;
use super::tls::{Current, TlsStream};
use crate::telemetry::Metrics;
use connection::{Connection, Link};
use std::collections::HashMap;
use std::io::{ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_stream::Stream;

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

impl Seat {
    fn limits(&self) -> &Limits {
        &self.doors.limits
    }

    /// The connection is cut off, for this reason.
    fn ended(&self, reason: &'static str) {
        self.doors.metrics.connection_ended(reason);
    }
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
    tls: Option<Current>,
    /// Those that shake hands.
    shaking: JoinSet<Option<Connection>>,
}

impl Incoming {
    /// Accepts as many as the settings allow.
    pub fn new(listener: TcpListener, settings: &Settings, tls: Option<Current>, metrics: Arc<Metrics>) -> Self {
        let doors = Doors { limits: Limits::of(settings), open: Mutex::default(), metrics };
        Self { listener, doors: Arc::new(doors), pause: None, tls, shaking: JoinSet::new() }
    }

    /// A connection, unless it is one too many or shakes hands first.
    fn welcome(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
        let seat = self.doors.enter(peer.ip())?;
        stream.set_nodelay(true).ok()?;
        let until = Instant::now() + seat.limits().handshake;
        match &self.tls {
            None => Some(Connection::new(Link::Plain(stream), seat, until)),
            Some(tls) => {
                self.shaking.spawn(shake(stream, seat, until, tls.clone()));
                None
            }
        }
    }

    /// A connection that is ready for HTTP/2, if one is at once.
    fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Option<Connection> {
        while let Poll::Ready(Some(shaken)) = self.shaking.poll_join_next(cx) {
            // One that failed was counted.
            if let Ok(Some(connection)) = shaken {
                return Some(connection);
            }
        }
        None
    }
}

/// Shakes hands within the time that a connection has to show itself.
async fn shake(stream: TcpStream, seat: Seat, until: Instant, tls: Current) -> Option<Connection> {
    match timeout_at(until, TlsStream::accept(stream, tls.config())).await {
        Ok(Ok(stream)) => Some(Connection::new(Link::Tls(Box::new(stream)), seat, until)),
        Ok(Err(why)) => {
            seat.ended(why.as_str());
            tracing::debug!(reason = why.as_str(), "no TLS");
            None
        }
        Err(_) => {
            seat.ended("handshake");
            None
        }
    }
}

impl Stream for Incoming {
    type Item = Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(connection) = self.poll_shaken(cx) {
                return Poll::Ready(Some(Ok(connection)));
            }
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
