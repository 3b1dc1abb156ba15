//! What is put between, and that it does what it is for: the memory that HTTP/2 was really read into is looked at.

use super::*;
use std::collections::BTreeMap;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.resize(HEAD + length, 0xAA);
    bytes
}

fn preface() -> Vec<u8> {
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
}

/// What comes out of a wash: the client's bytes, and where in them something was put between, and how much.
#[derive(Debug, Default, PartialEq, Eq)]
struct Out {
    bytes: Vec<u8>,
    between: BTreeMap<usize, usize>,
}

/// Hands up these bytes as they come in these parts, into a buffer with so much room that is full again and again.
fn run(parts: &[&[u8]], room: usize) -> Out {
    let (mut wash, mut out, mut waiting) = (Wash::new(), Out::default(), Vec::new());
    let mut left = room;
    for part in parts {
        waiting.extend_from_slice(part);
        loop {
            let mut memory = vec![0; left];
            if wash.washing() {
                let mut buffer = ReadBuf::new(&mut memory);
                wash.fill(&mut buffer);
                *out.between.entry(out.bytes.len()).or_default() += buffer.filled().len();
                left = if buffer.remaining() == 0 { room } else { buffer.remaining() };
                continue;
            }
            let handed = wash.hand_up(&waiting, left);
            out.bytes.extend(waiting.drain(..handed));
            left = if handed == left { room } else { left - handed };
            if handed == 0 && !wash.washing() {
                break;
            }
        }
    }
    assert!(waiting.len() < HEAD, "nothing but a part of a head is held back");
    out
}

fn upload() -> Vec<Vec<u8>> {
    vec![
        preface(),
        frame(SETTINGS, 0, 0, 12),
        frame(HEADERS, 0, 1, 70),
        frame(CONTINUATION, END_HEADERS, 1, 30),
        frame(DATA, 0, 1, 700),
        frame(DATA, END_STREAM, 1, 300),
        frame(HEADERS, END_HEADERS, 3, 20),
        frame(DATA, END_STREAM, 3, 40),
        frame(HEADERS, END_HEADERS, 5, 20),
        frame(DATA, 0, 5, 600),
        frame(RST_STREAM, 0, 5, 4),
    ]
}

/// After how many bytes each of these frames has ended.
fn ends(frames: &[Vec<u8>]) -> Vec<usize> {
    let mut sum = 0;
    frames
        .iter()
        .map(|frame| {
            sum += frame.len();
            sum
        })
        .collect()
}

#[test]
fn something_is_put_between_frames_only_and_where_it_is_needed() {
    let (frames, at) = (upload(), ends(&upload()));
    let out = run(&[&frames.concat()], 8192);
    assert_eq!(out.bytes, frames.concat());
    // Between headers and the picture, after it, and again; the small call pays nothing.
    assert_eq!(out.between.keys().copied().collect::<Vec<_>>(), [at[3], at[5], at[8], at[10]]);
    for (place, count) in &out.between {
        assert_eq!(count % FRAME, 0, "at {place}: whole frames");
        assert!(*count <= 4 * 8192, "at {place}: {count}");
    }
}

#[test]
fn however_the_bytes_come_the_same_is_put_at_the_same_places() {
    let bytes = upload().concat();
    let whole = run(&[&bytes], 8192);
    for at in 0..=bytes.len() {
        let split = run(&[&bytes[..at], &bytes[at..]], 8192);
        assert_eq!(split.bytes, bytes);
        assert!(split.between.keys().eq(whole.between.keys()), "split at {at}");
    }
    for size in [1, 2, 5, 9, 10, 24, 100] {
        let parts: Vec<&[u8]> = bytes.chunks(size).collect();
        let split = run(&parts, 8192);
        assert_eq!(split.bytes, bytes);
        assert!(split.between.keys().eq(whole.between.keys()), "by {size}");
    }
}

#[test]
fn what_a_client_leaves_half_sent_is_overwritten_when_it_is_silent_or_answered() {
    let whole = [preface(), frame(HEADERS, END_HEADERS, 1, 20), frame(DATA, 0, 1, 100)].concat();
    let hand_up = |bytes: &[u8]| {
        let (mut wash, mut rest) = (Wash::new(), bytes);
        while !rest.is_empty() {
            let mut memory = [0; 8192];
            while wash.washing() {
                wash.fill(&mut ReadBuf::new(&mut memory));
            }
            rest = &rest[wash.hand_up(rest, usize::MAX)..];
        }
        wash
    };
    let mut wash = hand_up(&whole);
    assert!(wash.waits() && wash.rest() && wash.washing() && !wash.waits(), "silent");
    let mut wash = hand_up(&whole);
    assert!(!wash.answered(3), "another stream");
    assert!(wash.answered(1) && !wash.washing());
    assert_eq!(wash.hand_up(&[], 1), 0);
    assert!(wash.washing(), "answered");
    // Half a frame: nothing can be put between.
    let mut wash = hand_up(&whole[..whole.len() - 1]);
    assert!(wash.waits() && !wash.rest() && !wash.washing());
    // A block of headers that goes on.
    let mut wash = hand_up(&[&whole[..], &frame(HEADERS, 0, 3, 4)].concat());
    assert!(!wash.rest() && !wash.waits(), "overwritten before the headers");
    assert!(!wash.washing());
}

#[test]
fn before_headers_whatever_was_left_is_overwritten() {
    let frames =
        [preface(), frame(HEADERS, END_HEADERS, 1, 20), frame(DATA, 0, 1, 10), frame(HEADERS, END_HEADERS, 3, 20)];
    let out = run(&[&frames.concat()], 8192);
    let at = ends(&frames);
    assert_eq!(out.between.keys().copied().collect::<Vec<_>>(), [at[1], at[2]]);
    assert!(out.between[&at[2]] >= 2 * FRAME, "twice to the end");
    assert_eq!(usize::from(PAYLOAD) + HEAD, FRAME);
}

/// A real connection of the HTTP/2 library, of which the memory that it reads into is looked at afterwards.
#[cfg(target_os = "linux")]
mod memory {
    use super::*;
    use crate::server::wiped::Wiped;
    use std::fs::File;
    use std::io::Result;
    use std::os::unix::fs::FileExt as _;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, ready};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

    /// Where in memory was read to, since it last went on at a lower address or at another place.
    #[derive(Default)]
    struct Places {
        all: Vec<(usize, usize)>,
        put_between: usize,
    }

    /// Between the socket and HTTP/2: a wash, or none, and notes of where was read to.
    struct Spied {
        socket: DuplexStream,
        intake: Wiped,
        wash: Option<Wash>,
        pauses: usize,
        places: Arc<Mutex<Places>>,
    }

    /// How often others have their turn before a silence is long enough: time to take what has come.
    const PAUSES: usize = 50;

    impl AsyncRead for Spied {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            let this = &mut *self;
            let (from, room) = (buffer.filled().as_ptr().addr(), buffer.remaining());
            if room > 24 {
                this.places.lock().unwrap().all.push((from, from + room));
            }
            let Some(wash) = &mut this.wash else { return Pin::new(&mut this.socket).poll_read(cx, buffer) };
            loop {
                if wash.washing() {
                    let before = buffer.filled().len();
                    wash.fill(buffer);
                    this.places.lock().unwrap().put_between += buffer.filled().len() - before;
                    return Poll::Ready(Ok(()));
                }
                let count = wash.hand_up(this.intake.waiting(), buffer.remaining());
                if count > 0 {
                    buffer.put_slice(&this.intake.waiting()[..count]);
                    this.intake.take(count);
                    return Poll::Ready(Ok(()));
                }
                if wash.washing() {
                    continue;
                }
                let mut room = ReadBuf::new(this.intake.room(8 * 1024));
                match Pin::new(&mut this.socket).poll_read(cx, &mut room)? {
                    Poll::Pending if wash.waits() && this.pauses < PAUSES => {
                        this.pauses += 1;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Pending if wash.rest() => {
                        this.pauses = 0;
                        continue;
                    }
                    pending => ready!(pending),
                }
                let count = room.filled().len();
                this.intake.put(count);
                if count == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    impl AsyncWrite for Spied {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Pin::new(&mut self.socket).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
            Pin::new(&mut self.socket).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
            Pin::new(&mut self.socket).poll_shutdown(cx)
        }
    }

    /// The memory that the connection keeps: from where it last began, to the end, as it is now.
    fn kept(places: &Places) -> Vec<u8> {
        let (mut from, mut to) = *places.all.last().unwrap();
        for (start, end) in places.all.iter().rev() {
            if *end != to {
                break;
            }
            (from, to) = (from.min(*start), *end);
        }
        let mut bytes = vec![0; to - from];
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, u64::try_from(from).unwrap()).unwrap();
        bytes
    }

    /// A header without compression, which the table keeps: it holds on to the memory that it was read to.
    fn held(name: u8, value: &str) -> Vec<u8> {
        let mut bytes = vec![0x40 | name, u8::try_from(value.len()).unwrap()];
        bytes.extend(value.as_bytes());
        bytes
    }

    fn call(stream: u32, path: &str) -> Vec<u8> {
        // Static names: `:method: POST` and `:scheme: http` whole, `:path` and `:authority` with values that are kept.
        let block = [vec![0x83, 0x86], held(4, path), held(1, "here")].concat();
        let mut bytes = frame(HEADERS, END_HEADERS, stream, block.len());
        bytes[HEAD..].copy_from_slice(&block);
        bytes
    }

    /// Random bytes that are nowhere else.
    fn picture(length: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..length).map(|_| random.u8(1..)).collect()
    }

    /// How many windows of the picture are in this memory.
    fn found(picture: &[u8], memory: &[u8]) -> usize {
        let windows: std::collections::HashSet<&[u8]> = picture.windows(24).collect();
        memory.windows(24).filter(|window| windows.contains(window)).count()
    }

    /// Asks whether all that was sent has been read, and waits for the answer.
    async fn ping(client: &mut DuplexStream) {
        client.write_all(&frame(6, 0, 0, 8)).await.unwrap();
        let mut answers = Vec::new();
        while !answers.windows(HEAD).any(|window: &[u8]| window == [0, 0, 8, 6, 1, 0, 0, 0, 0]) {
            let mut some = [0; 4096];
            let read = client.read(&mut some).await.unwrap();
            assert!(read > 0, "closed: what was put between was not ignored");
            answers.extend(&some[..read]);
        }
    }

    /// Sends these requests (pictures by frames of a size, each in its own stream) and tells how much of them is left in
    /// the memory that the connection keeps, how large that is, and how much was put between.
    async fn left(wash: bool, sizes: &[(usize, usize)], end: bool, write: usize) -> (usize, usize, usize) {
        let (mut client, socket) = tokio::io::duplex(256 * 1024);
        let places = Arc::<Mutex<Places>>::default();
        let spied = Spied {
            socket,
            intake: Wiped::new(16 * 1024),
            wash: wash.then(Wash::new),
            pauses: 0,
            places: Arc::clone(&places),
        };
        let count = sizes.len();
        let serving = tokio::spawn(async move {
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
            let mut connection = builder.handshake::<_, tonic::codegen::Bytes>(spied).await.unwrap();
            let mut seen = 0;
            let mut bodies = tokio::task::JoinSet::new();
            while let Some(request) = connection.accept().await {
                let (request, respond) = request.unwrap();
                seen += 1;
                bodies.spawn(async move {
                    let (_respond, mut body) = (respond, request.into_body());
                    while let Some(Ok(data)) = body.data().await {
                        body.flow_control().release_capacity(data.len()).unwrap();
                    }
                });
            }
            bodies.abort_all();
            (connection, seen)
        });
        // The windows are as large as the server says from when its settings are acknowledged.
        client.write_all(&[preface(), frame(SETTINGS, 0, 0, 0), frame(SETTINGS, 1, 0, 0)].concat()).await.unwrap();
        ping(&mut client).await;
        let mut all = Vec::new();
        let mut pictures = Vec::new();
        for (n, (size, by)) in sizes.iter().enumerate() {
            let stream = u32::try_from(2 * n + 1).unwrap();
            let picture = picture(*size, n as u64 + 1);
            all.extend(call(stream, &format!("/path/{n}")));
            let mut parts = picture.chunks(*by).peekable();
            while let Some(part) = parts.next() {
                let flags = if end && parts.peek().is_none() { END_STREAM } else { 0 };
                let mut data = frame(DATA, flags, stream, part.len());
                data[HEAD..].copy_from_slice(part);
                all.extend(data);
            }
            pictures.extend(picture);
        }
        for part in all.chunks(write) {
            client.write_all(part).await.unwrap();
            client.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        for _ in 0..4 * PAUSES {
            tokio::task::yield_now().await;
        }
        // It has read all of it and waits, once the answer to a ping that was sent last is there.
        ping(&mut client).await;
        let memory = kept(&places.lock().unwrap());
        let between = places.lock().unwrap().put_between;
        drop(client);
        let (_connection, seen) = serving.await.unwrap();
        assert_eq!(seen, count);
        (found(&pictures, &memory), memory.len(), between)
    }

    #[tokio::test]
    async fn nothing_of_a_picture_is_left_in_the_memory_that_was_read_to() {
        let (mut largest, mut most) = (0, 0);
        for sizes in [
            vec![(600, 600)],
            vec![(5000, 4000)],
            vec![(60_000, 16_384)],
            vec![(300_000, 16_384)],
            vec![(300_000, 1000), (700, 700), (90_000, 16_000)],
            vec![(20_000, 16_384); 12],
            vec![(9000, 37)],
        ] {
            for write in [100_000, 16_384 + 9, 3000] {
                for end in [true, false] {
                    let (found, memory, between) = left(true, &sizes, end, write).await;
                    assert_eq!(found, 0, "{sizes:?} written by {write}, ended: {end}: in {memory} bytes");
                    assert!(between > 0);
                    largest = largest.max(memory);
                    most = most.max(between / sizes.len());
                }
            }
        }
        println!("bytes put between for a picture: at most {most}; the memory kept: at most {largest}");
        assert!(largest > 12 * 1024, "it was overwritten in place, too: {largest}");
    }

    #[tokio::test]
    async fn without_a_wash_it_is() {
        let (found, ..) = left(false, &[(300_000, 16_384)], true, 100_000).await;
        assert!(found > 1000, "{found}");
    }
}
