//! A picture that comes in pieces: put together exactly as it was sent and announced, or refused. `R` is bytes as they
//! might come off the wire, cut anywhere; `M` is whole messages, against what must come of them.

use super::input::Input;
use http_body::{Body, Frame, SizeHint};
use idgate::flows::Custody;
use idgate::server::age_gate::{CHUNK, header, image};
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::{CheckAgeStreamHeader, CheckAgeStreamRequest};
use jiff::Timestamp;
use prost::Message as _;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tonic::codec::Codec as _;
use tonic::codegen::Bytes;
use tonic::{Status, Streaming};

/// The largest picture.
const MOST: usize = 3 * CHUNK / 2;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() {
        b'R' => {
            let cuts = usize::from(input.byte() % 16) + 1;
            let pieces = input.0.chunks(input.0.len().div_ceil(cuts).max(1)).map(Bytes::copy_from_slice).collect();
            if let Ok((announced, got)) = receive(pieces) {
                assert_eq!(announced, got.len());
                assert!(got.len() <= data.len());
            }
        }
        b'M' => {
            let (messages, expected) = messages(input);
            let pieces = messages.iter().flat_map(frame).collect();
            match (receive(pieces), expected) {
                (Ok((_, got)), Some(expected)) => assert!(got == expected, "another picture than was sent"),
                (Err(_), None) => {}
                (Ok(_), None) => panic!("taken, though not as it must be"),
                (Err(status), Some(_)) => panic!("refused, though as it must be: {:?}", status.code()),
            }
        }
        _ => {}
    }
}

/// Messages as the input says, and the picture that they come to.
fn messages(mut input: Input) -> (Vec<CheckAgeStreamRequest>, Option<Vec<u8>>) {
    // In chunks of 64 bytes: up to 4 MiB.
    let announced = usize::from(input.short()) * 64 + usize::from(input.byte());
    let first = CheckAgeStreamHeader { image_bytes: u64::try_from(announced).unwrap(), ..Default::default() };
    let mut messages = vec![part(Part::Header(first))];
    let mut picture = Some(Vec::new());
    while !input.0.is_empty() && messages.len() < 64 {
        match input.byte() % 8 {
            0 => {
                messages.push(part(Part::Header(CheckAgeStreamHeader::default())));
                picture = None;
            }
            1 => {
                messages.push(CheckAgeStreamRequest { part: None });
                picture = None;
            }
            times => {
                let length = usize::from(input.short()) * if times == 7 { 24 } else { 1 };
                let fill = input.byte();
                messages.push(part(Part::Chunk(vec![fill; length])));
                picture = picture.filter(|_| length <= CHUNK).map(|mut so_far: Vec<u8>| {
                    so_far.resize(so_far.len() + length, fill);
                    so_far
                });
            }
        }
    }
    (messages, picture.filter(|picture| picture.len() == announced && announced <= MOST))
}

fn part(part: Part) -> CheckAgeStreamRequest {
    CheckAgeStreamRequest { part: Some(part) }
}

/// A message as it goes over the wire: a flag, its length, itself.
fn frame(message: &CheckAgeStreamRequest) -> [Bytes; 2] {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [Bytes::from([&[0], length.as_slice()].concat()), Bytes::from(message)]
}

/// What the service makes of it: how much was announced, and the picture.
fn receive(pieces: VecDeque<Bytes>) -> Result<(usize, Vec<u8>), Status> {
    let decoder = tonic_prost::ProstCodec::<CheckAgeStreamRequest, CheckAgeStreamRequest>::default().decoder();
    let body = Pieces { pieces, wait: false };
    let mut parts = Streaming::new_request(decoder, body, None, Some(2 * CHUNK));
    let received = async {
        let header = header(&mut parts).await?;
        let custody = Custody::new();
        let image = image(&mut parts, &header, MOST, &custody, || Timestamp::UNIX_EPOCH).await?;
        let got = image.with(<[u8]>::to_vec).expect("it is in custody");
        Ok((usize::try_from(header.image_bytes).unwrap(), got))
    };
    finish(received)
}

/// Drives a future that is never left waiting for anybody.
fn finish<F: Future>(future: F) -> F::Output {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    for _ in 0..1_000_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
    panic!("it waits for ever")
}

/// A body in pieces, each after a wait.
struct Pieces {
    pieces: VecDeque<Bytes>,
    wait: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.wait = !self.wait;
        if self.wait {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
