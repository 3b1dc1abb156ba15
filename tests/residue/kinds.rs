//! What can become of a picture: each kind sends pictures, has something happen to them, and tells what was answered.

use super::caller::{Answer, Caller, ask, fresh, head, pieces};
use super::canary::{self, Picture};
use super::place::Server;
use crate::support::frames::{END_HEADERS, HEADERS, Wire, call, frame, unary};
use fastrand::Rng;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::terms::Scope;
use std::time::Duration;
use tokio::task::JoinSet;

/// One kind: its name, what must have been answered (of each of these at least one), and how many of the others' requests
/// it makes, in percent: some take their time.
pub struct Kind {
    pub name: &'static str,
    pub expected: &'static [&'static str],
    /// What may have been answered besides.
    pub also: &'static [&'static str],
    pub percent: usize,
}

const fn kind(name: &'static str, expected: &'static [&'static str], percent: usize) -> Kind {
    Kind { name, expected, also: &[], percent }
}

/// Every kind, in the order in which they are tried; the last one ends the server.
pub const KINDS: &[Kind] = &[
    kind("allowed", &["Allowed"], 200),
    kind("a child", &["ConsentRequired"], 100),
    kind("many at once", &["Allowed"], 200),
    kind("in pieces", &["Allowed"], 150),
    kind("ReadDocument", &["read"], 150),
    kind("VerifyGuardian", &["Verified"], 50),
    kind("ProveRequester", &["Accepted"], 50),
    kind("no text", &["Unreadable"], 100),
    kind("no picture", &["Unreadable"], 100),
    kind("cut short", &["Unreadable"], 150),
    kind("corrupt", &["Unreadable"], 150),
    kind("too many pixels", &["Unreadable"], 100),
    kind("too small", &["Unreadable"], 100),
    kind("message too large", &["MESSAGE_TOO_LARGE"], 10),
    kind("picture too large", &["BAD_REQUEST"], 10),
    kind("not as announced", &["BAD_REQUEST"], 100),
    kind("chunk too large", &["BAD_REQUEST"], 10),
    kind("chunk before header", &["BAD_REQUEST"], 100),
    kind("stream cut", &["cut"], 100),
    kind("caller gone", &["gone"], 100),
    // Once the pool has seen how long readings take, it refuses earlier; on a busy machine the client ends a call itself.
    Kind {
        also: &["DEADLINE_TOO_SHORT", "QUEUE_FULL", "Cancelled"],
        ..kind("caller's deadline", &["DEADLINE_EXCEEDED"], 50)
    },
    kind("read timed out", &["Unreadable"], 10),
    kind("panic in find", &["INTERNAL"], 100),
    kind("panic in legibility", &["INTERNAL"], 100),
    kind("panic in read", &["INTERNAL"], 100),
    kind("panic in title", &["INTERNAL"], 100),
    kind("engine fault", &["Unreadable"], 100),
    kind("queue full", &["Allowed", "QUEUE_FULL"], 100),
    kind("displaced", &["Allowed", "QUEUE_FULL"], 50),
    kind("quota reached", &["Allowed", "SUBJECT_ATTEMPTS"], 100),
    kind("no token", &["TOKEN_MISSING"], 100),
    kind("no scope", &["SCOPE_MISSING"], 100),
    kind("unusable field", &["BAD_REQUEST"], 100),
    kind("no message", &["refused"], 100),
    kind("compressed", &["refused"], 100),
    kind("nothing can be reserved", &["STORE_UNAVAILABLE"], 100),
    kind("nothing can be kept", &["STORE_UNAVAILABLE"], 100),
    kind("store away", &["STORE_UNAVAILABLE"], 100),
    kind("sent again", &["Allowed"], 100),
    kind("another picture under the key", &["Allowed", "IDEMPOTENCY_KEY_REUSED"], 100),
    kind("sender too slow", &["refused"], 20),
    kind("connection reset", &["reset"], 100),
    kind("while it drains", &["Allowed"], 20),
];

/// What is tried on Redis, and then without it.
pub const ON_REDIS: &[Kind] = &[
    kind("allowed", &["Allowed"], 100),
    kind("a child", &["ConsentRequired"], 100),
    kind("in pieces", &["Allowed"], 100),
    kind("ReadDocument", &["read"], 100),
    kind("VerifyGuardian", &["Verified"], 50),
    kind("another picture under the key", &["Allowed", "IDEMPOTENCY_KEY_REUSED"], 100),
];
pub const REDIS_GONE: Kind = kind("Redis gone", &["STORE_UNAVAILABLE"], 100);
/// What is tried where the store's file may not grow.
pub const DISK_FULL: Kind = kind("disk full", &["STORE_UNAVAILABLE"], 50);

/// One batch: the server, a caller, the pictures to send, and what was answered.
pub struct Batch<'a> {
    pub server: &'a mut Server,
    pub caller: Caller,
    pub random: &'a mut Rng,
    pub count: usize,
    /// Whose canaries are searched for.
    pub pictures: Vec<Picture>,
    pub answers: Vec<Answer>,
}

/// How many readings and waiting pictures there is room for.
const PLACES: usize = 6;
const READERS: i64 = 2;

impl Batch<'_> {
    /// Sends all pictures of a kind.
    pub async fn send(&mut self, kind: &str) {
        self.make(kind);
        match kind {
            "many at once" => self.groups(PLACES, false).await,
            "in pieces" => self.each(async |caller, picture| caller.stream(pieces(picture, 4_000)).await).await,
            "ReadDocument" => self.each(async |caller, picture| caller.read(picture).await).await,
            "VerifyGuardian" => {
                for pair in self.pictures.chunks(2) {
                    self.answers.push(self.caller.guardian(&pair[0], &pair[1]).await);
                }
            }
            "ProveRequester" => self.each(async |caller, picture| caller.requester(picture).await).await,
            "no text" => self.told("reader nothing -").await,
            "not as announced" => {
                self.each(async |caller, picture| {
                    let mut parts = pieces(picture, 4_000);
                    parts[0] = head(picture.file.len() - 1_000);
                    caller.stream(parts).await
                })
                .await;
            }
            "picture too large" => {
                self.each(async |caller, picture| caller.stream(pieces(picture, 500_000)).await).await
            }
            "chunk too large" => {
                self.each(async |caller, picture| caller.stream(pieces(picture, 1_200_000)).await).await
            }
            "chunk before header" => {
                self.each(async |caller, picture| caller.stream(vec![Part::Chunk(picture.file.clone())]).await).await;
            }
            "stream cut" | "connection reset" | "sender too slow" | "no message" | "compressed" => {
                self.by_hand(kind).await
            }
            "caller gone" => self.groups(PLACES, true).await,
            "caller's deadline" => {
                self.caller.within = Some(Duration::from_millis(250));
                self.server.order("hold");
                self.groups_unheld(PLACES).await;
                self.server.order("let-go");
            }
            "read timed out" => self.told("reader slow find").await,
            "panic in find" | "panic in legibility" | "panic in read" | "panic in title" => {
                let step = kind.strip_prefix("panic in ").unwrap();
                self.told(&format!("reader panic {step}")).await;
            }
            "engine fault" => self.told("reader fault read").await,
            "queue full" => self.groups(2 * PLACES, false).await,
            "displaced" => self.displaced().await,
            "quota reached" => {
                for some in self.pictures.chunks(8) {
                    let subject = fresh("subject");
                    for picture in some {
                        self.answers.push(self.caller.check_as(&subject, &fresh("key"), &picture.file).await);
                    }
                }
            }
            "no token" => {
                self.caller.bearer = String::new();
                self.checks().await;
            }
            "no scope" => {
                self.caller.bearer = self.server.bearer("shop", &[Scope::DecisionRead]);
                self.checks().await;
            }
            "unusable field" => {
                self.each(async |caller, picture| {
                    caller.check_in("nowhere", &fresh("subject"), &fresh("key"), &picture.file).await
                })
                .await;
            }
            "nothing can be reserved" => self.commits(0).await,
            "nothing can be kept" => self.commits(1).await,
            "store away" => {
                self.server.order("store away");
                self.checks().await;
                self.server.order("store back");
            }
            "sent again" => {
                for picture in &self.pictures {
                    let (subject, key) = (fresh("subject"), fresh("key"));
                    for _ in 0..2 {
                        self.answers.push(self.caller.check_as(&subject, &key, &picture.file).await);
                    }
                }
            }
            "another picture under the key" => {
                for pair in self.pictures.chunks(2) {
                    let (subject, key) = (fresh("subject"), fresh("key"));
                    for picture in pair {
                        self.answers.push(self.caller.check_as(&subject, &key, &picture.file).await);
                    }
                }
            }
            "while it drains" => self.drain().await,
            _ => self.checks().await,
        }
    }

    /// Makes the pictures of a kind.
    fn make(&mut self, kind: &str) {
        let random = &mut *self.random;
        let make = |n: usize| match kind {
            "a child" => canary::noise_of(random, false),
            "VerifyGuardian" => canary::noise_of(random, n % 2 == 1),
            "no picture" => canary::no_picture(random, 20_000),
            "cut short" => canary::spoilt(canary::noise(random), |file| file.truncate(file.len() * 2 / 3)),
            "corrupt" => canary::spoilt(canary::noise_png(random), |file| {
                let middle = file.len() / 2;
                file[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x5A);
            }),
            "too many pixels" => canary::too_many_pixels(random),
            "too small" => canary::sized(random, (96, 96)),
            "message too large" => canary::no_picture(random, 1_700_000),
            "picture too large" => canary::no_picture(random, 1_510_000),
            "chunk too large" => canary::no_picture(random, 1_300_000),
            _ => canary::noise_of(random, true),
        };
        self.pictures = (0..self.count).map(make).collect();
    }

    /// One call after the other.
    async fn each(&mut self, call: impl AsyncFn(&Caller, &Picture) -> Answer) {
        for picture in &self.pictures {
            self.answers.push(call(&self.caller, picture).await);
        }
    }

    async fn checks(&mut self) {
        self.each(async |caller, picture| caller.check(picture).await).await;
    }

    /// While the reader does as it is told.
    async fn told(&mut self, order: &str) {
        self.server.order(order);
        self.checks().await;
        self.server.order("reader - -");
    }

    /// Each while so many changes of the store are made and no more.
    async fn commits(&mut self, count: usize) {
        for picture in &self.pictures {
            self.server.order(&format!("commits {count}"));
            self.answers.push(self.caller.check(picture).await);
        }
        self.server.order("store mend");
    }

    fn begin(&self, picture: &Picture, caller: &Caller) -> impl Future<Output = Answer> + Send + use<> {
        let (caller, image) = (caller.clone(), picture.file.clone());
        async move { caller.check_as(&fresh("subject"), &fresh("key"), &image).await }
    }

    /// Groups of calls at once, of which none is read before all have come. If they leave, nobody waits for the answers.
    async fn groups(&mut self, size: usize, leave: bool) {
        for some in 0..self.pictures.len().div_ceil(size) {
            self.server.order("hold");
            let mut calls = JoinSet::new();
            let group = &self.pictures[some * size..self.pictures.len().min((some + 1) * size)];
            for picture in group {
                calls.spawn(self.begin(picture, &self.caller));
            }
            let (count, readers) = (i64::try_from(group.len().min(PLACES)).unwrap(), READERS);
            self.server.until("reads_running", count.min(readers));
            self.server.until("reads_waiting", (count - readers).max(0));
            if leave {
                self.answers.extend(group.iter().map(|_| "gone".to_owned()));
                calls.abort_all();
                while calls.join_next().await.is_some() {}
            } else if group.len() > PLACES {
                // Those for whom there is no room hear it while the others wait.
                for _ in PLACES..group.len() {
                    self.answers.push(calls.join_next().await.unwrap().unwrap());
                }
            }
            self.server.order("let-go");
            self.answers.extend(calls.join_all().await);
            self.server.quiet();
        }
    }

    /// Groups of calls at once, and all their answers.
    async fn groups_unheld(&mut self, size: usize) {
        for some in self.pictures.chunks(size) {
            let mut calls = JoinSet::new();
            some.iter().for_each(|picture| drop(calls.spawn(self.begin(picture, &self.caller))));
            self.answers.extend(calls.join_all().await);
        }
    }

    /// One party takes all places; another comes and gets its share.
    async fn displaced(&mut self) {
        let other = Caller::of(self.server, "other").await;
        for some in 0..self.pictures.len() / (PLACES + 2) {
            self.server.order("hold");
            let group = &self.pictures[some * (PLACES + 2)..(some + 1) * (PLACES + 2)];
            let mut calls = JoinSet::new();
            group[..PLACES].iter().for_each(|picture| drop(calls.spawn(self.begin(picture, &self.caller))));
            self.server.until("reads_waiting", i64::try_from(PLACES).unwrap() - READERS);
            group[PLACES..].iter().for_each(|picture| drop(calls.spawn(self.begin(picture, &other))));
            for _ in 0..2 {
                self.answers.push(calls.join_next().await.unwrap().unwrap());
            }
            self.server.order("let-go");
            self.answers.extend(calls.join_all().await);
        }
    }

    /// What no library lets a client do, one frame after the other.
    async fn by_hand(&mut self, kind: &str) {
        const PATH: &str = "/idgate.v1.AgeGateService/CheckAge";
        let bearer = self.caller.bearer.clone();
        for picture in &self.pictures {
            let message = ask("KR", &fresh("subject"), &fresh("key"), &picture.file);
            let mut whole = unary(1, PATH, &bearer, &message);
            let begin = frame(HEADERS, END_HEADERS, 1, &call(PATH, Some(&bearer))).len() + 9;
            let mut wire = Wire::open(self.server.address, &[]).await;
            if kind == "compressed" {
                whole[begin] = 1;
            }
            if kind == "no message" {
                whole[begin + 5..].iter_mut().zip(&picture.file).for_each(|(to, from)| *to = *from);
            }
            let frames = in_frames(&whole, begin - 9);
            let answer = match kind {
                "stream cut" | "connection reset" => {
                    wire.send(&frames[..frames.len() / 2]).await.unwrap();
                    // What the server sent is not read, so the system resets the connection.
                    drop(wire);
                    if kind == "stream cut" { "cut" } else { "reset" }
                }
                "sender too slow" => {
                    wire.send(&frames[..frames.len() / 2]).await.unwrap();
                    refused(&mut wire).await
                }
                _ => {
                    wire.send(&frames).await.unwrap();
                    refused(&mut wire).await
                }
            };
            self.answers.push(answer.to_owned());
        }
    }

    /// The server is told to stop while pictures wait.
    async fn drain(&mut self) {
        self.server.order("hold");
        let mut calls = JoinSet::new();
        let count = self.pictures.len().min(PLACES);
        self.pictures[..count].iter().for_each(|picture| drop(calls.spawn(self.begin(picture, &self.caller))));
        self.server.until("reads_running", i64::try_from(count).unwrap().min(READERS));
        self.server.until("reads_waiting", (i64::try_from(count).unwrap() - READERS).max(0));
        self.server.order("stop");
        self.server.order("let-go");
        self.answers.extend(calls.join_all().await);
        self.server.order("stopped");
    }
}

/// Whether the answer is a refusal: a head that is also the end.
async fn refused(wire: &mut Wire) -> &'static str {
    match wire.until(HEADERS).await {
        Some(head) if head.flags & 1 == 1 => "refused",
        Some(_) => "answered",
        None => "closed",
    }
}

/// The same bytes with the DATA that begins at `data` in frames of at most 16 KiB.
fn in_frames(whole: &[u8], data: usize) -> Vec<u8> {
    let (head, body) = (&whole[..data], &whole[data + 9..]);
    let mut out = head.to_vec();
    let pieces: Vec<&[u8]> = body.chunks(16_000).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let flags = u8::from(n + 1 == pieces.len());
        out.extend(frame(0, flags, 1, piece));
    }
    out
}
