//! Frames that are put between those of a client: calls never notice, however their own frames lie.

use crate::support::frames::{
    self, CONTINUATION, DATA, END_HEADERS, Frame, HEADERS, PING, RST_STREAM, WINDOW_UPDATE, Wire, frame,
};
use crate::support::tls::{self, Authority, client, connect};
use crate::support::{SHOP, World, ask};
use idgate::server::proto::CheckAgeResponse;
use idgate::server::proto::check_age_response::Outcome;
use prost::Message as _;
use std::collections::BTreeMap;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};

const END_STREAM: u8 = 1;
const PADDED: u8 = 8;
const CHECK: &str = "/idgate.v1.AgeGateService/CheckAge";

/// A picture as one message of gRPC.
fn message(key: &str, bytes: usize) -> Vec<u8> {
    let picture = format!("read 1990-05-05{}", ".".repeat(bytes));
    let message = ask(key, key, &picture).encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    body
}

/// Headers in pieces, more than a frame takes together.
fn headers(stream: u32, bearer: &str, pieces: usize) -> Vec<u8> {
    let mut block = frames::call(CHECK, Some(bearer));
    for n in 0..8 {
        // A literal that the table keeps, without compression.
        let (name, value) = (format!("x-filler-{n}"), "f".repeat(120));
        block.extend([0x40, u8::try_from(name.len()).unwrap()]);
        block.extend(name.as_bytes());
        block.push(120);
        block.extend(value.as_bytes());
    }
    let size = block.len().div_ceil(pieces);
    let mut parts = block.chunks(size).enumerate().peekable();
    let mut out = Vec::new();
    while let Some((n, part)) = parts.next() {
        let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
        out.extend(frame(if n == 0 { HEADERS } else { CONTINUATION }, flags, stream, part));
    }
    out
}

/// A picture in frames of a size, every third with padding.
fn data(stream: u32, body: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut parts = body.chunks(size).enumerate().peekable();
    let mut out = Vec::new();
    while let Some((n, part)) = parts.next() {
        let end = if parts.peek().is_none() { END_STREAM } else { 0 };
        out.push(match n % 3 {
            2 => frame(DATA, end | PADDED, stream, &[&[9], part, &[0; 9]].concat()),
            _ => frame(DATA, end, stream, part),
        });
    }
    out
}

/// Reads until each of these streams has ended; what each was answered.
async fn answers<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, count: usize) -> BTreeMap<u32, Vec<u8>> {
    let (mut bodies, mut ended) = (BTreeMap::<u32, Vec<u8>>::new(), 0);
    while ended < count {
        let Frame { kind, flags, stream, payload } = wire.next().await.expect("open: what is put between is no error");
        assert_ne!(kind, frames::GOAWAY, "{payload:?}");
        assert_ne!(kind, RST_STREAM, "{payload:?}");
        if kind == DATA {
            bodies.entry(stream).or_default().extend(payload);
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            ended += 1;
        }
    }
    bodies
}

fn allowed(body: &[u8]) -> bool {
    let answer = CheckAgeResponse::decode(&body[5..]).unwrap();
    matches!(answer.outcome, Some(Outcome::Allowed(_)))
}

/// Sends pictures in every way that frames can lie, on one connection.
async fn send_all<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, bearer: &str, name: &str) {
    // From here on the windows are as large as the server says.
    wire.until(frames::SETTINGS).await.unwrap();
    wire.send(&frame(frames::SETTINGS, 1, 0, &[])).await.unwrap();
    wire.until(WINDOW_UPDATE).await.unwrap();
    let mut stream = 1;
    for (pieces, size, write) in [(1, 16_384 - 10, usize::MAX), (4, 700, 1000), (3, 9000, 13), (7, 100, 4096)] {
        let (first, second) = (stream, stream + 2);
        stream += 4;
        let bytes = if write < 100 { 20_000 } else { 120_000 };
        let (one, two) = (message(&format!("{name}-{first}"), bytes), message(&format!("{name}-{second}"), bytes / 2));
        let (mut a, mut b) = (data(first, &one, size).into_iter(), data(second, &two, size).into_iter());
        let mut all = headers(first, bearer, pieces);
        // The second begins in the middle of the first, and both go on in turn, with questions between.
        all.extend(a.next().unwrap());
        all.extend(headers(second, bearer, pieces));
        loop {
            let (left, right) = (a.next(), b.next());
            if left.is_none() && right.is_none() {
                break;
            }
            all.extend([left, right].into_iter().flatten().flatten());
            all.extend(frame(PING, 0, 0, &[1; 8]));
        }
        for part in all.chunks(write.min(all.len())) {
            wire.send(part).await.unwrap();
        }
        let bodies = answers(wire, 2).await;
        assert!(allowed(&bodies[&first]) && allowed(&bodies[&second]), "{pieces}, {size}, {write}");
        wire.send(&frame(WINDOW_UPDATE, 0, 0, &60_000u32.to_be_bytes())).await.unwrap();
    }
    // Begun and broken off, or left: the connection goes on.
    wire.send(&headers(stream, bearer, 2)).await.unwrap();
    wire.send(&frame(DATA, 0, stream, &[7; 5000])).await.unwrap();
    wire.send(&frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())).await.unwrap();
    stream += 2;
    let whole = [headers(stream, bearer, 1), data(stream, &message(&format!("{name}-last"), 3000), 1000).concat()];
    wire.send(&whole.concat()).await.unwrap();
    assert!(allowed(&answers(wire, 1).await[&stream]));
}

fn bearer(world: &World) -> String {
    world.authorized(SHOP, ()).metadata().get("authorization").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn calls_do_not_notice_what_is_put_between() {
    let world = World::with(|settings| settings.checks.relying_party_attempts = 0, |_| {}).await;
    let mut wire = Wire::open(world.address, &[]).await;
    send_all(&mut wire, &bearer(&world), "plain").await;
}

#[tokio::test]
async fn nor_do_they_over_tls() {
    let (directory, authority) = (TempDir::new().unwrap(), Authority::new("authority"));
    let tls = tls::settings(directory.path(), &authority, None);
    let world = World::with(|settings| settings.server.tls = tls, |_| {}).await;
    let stream = connect(world.address, client(&authority, None)).await.unwrap();
    let mut wire = Wire { stream }.begin(&[]).await;
    send_all(&mut wire, &bearer(&world), "tls").await;
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_frame_is_refused_and_then_closed() {
    let world = World::with(|settings| settings.server.slow_seconds = 1, |_| {}).await;
    let mut wire = Wire::open(world.address, &[]).await;
    wire.send(&headers(1, &bearer(&world), 1)).await.unwrap();
    let half = frame(DATA, 0, 1, &[7; 5000]);
    wire.send(&half[..2000]).await.unwrap();
    wire.until(HEADERS).await.expect("the call is refused");
    wire.closed().await;
    let page = world.http("/metrics").await.1;
    assert!(page.contains("idgate_connections_ended_total{reason=\"stalled\"} 1"), "{page}");
}
