//! The search for what pictures leave behind: a server as its own process, pictures that can be told from everything
//! else, everything that can become of them, and then every byte of its memory, its files and its output.

pub mod caller;
pub mod canary;
pub mod cost;
pub mod engine;
pub mod kinds;
pub mod place;
pub mod report;
pub mod search;
pub mod texts;

use crate::support::redis::Redis;
use caller::Caller;
use canary::Picture;
use kinds::{Batch, DISK_FULL, KINDS, Kind, ON_REDIS, REDIS_GONE};
use place::{OPEN, Order, Places, Server};
use report::Row;
use search::Index;
use std::path::Path;
use std::sync::Mutex;

/// What is looked for where.
pub struct Plan<'a> {
    pub program: &'a Path,
    /// Requests of each kind, by the hundred of its percent.
    pub requests: usize,
    /// The most requests between two searches.
    pub batch: usize,
    /// Put after what every server has.
    pub settings: &'a str,
    pub seed: u64,
    /// What should have happened and did not.
    pub wrong: &'a Mutex<Vec<String>>,
}

impl Plan<'_> {
    /// What should have happened and did not.
    fn note(&self, wrong: Option<String>) {
        wrong.iter().for_each(|wrong| eprintln!("NOT AS IT SHOULD BE: {wrong}"));
        self.wrong.lock().unwrap().extend(wrong);
    }

    pub fn start(&self, reader: &str) -> Server {
        let settings = format!("{}{OPEN}", self.settings);
        Server::start(&Order { program: self.program, reader, settings: &settings, before: "ulimit -c unlimited;" })
    }

    /// Some kinds on Redis, which is then killed and started again; its files count as well.
    pub async fn run_redis(&self) -> Vec<Row> {
        let mut redis = Redis::single();
        let url = redis.urls().remove(0);
        let settings = format!("{}[store.redis]\nurls = [{url:?}]\ncall_ms = 2_000\n", self.settings);
        let plan = Plan { settings: &settings, ..*self };
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (mut server, mut rows) = (plan.start("scripted"), Vec::new());
        for kind in ON_REDIS.iter().chain([&REDIS_GONE]) {
            let mut row = Row::new(&format!("Redis: {}", kind.name));
            let count = (self.requests * kind.percent).div_ceil(100).clamp(8, self.batch).next_multiple_of(2);
            if kind.name == REDIS_GONE.name {
                redis.nodes[0].kill();
            }
            let pictures = batch(&mut server, kind.name, &mut random, count, &mut row).await;
            if redis.nodes[0].runs() {
                redis.nodes[0].ask(&["SAVE"]);
            } else {
                redis.nodes[0].start_again();
            }
            let index = Index::new(pictures.iter().flat_map(|picture| &picture.canaries));
            let dump = redis.nodes[0].directory();
            assert!(dump.join("dump.rdb").exists(), "a dump was written");
            place::search_directory(dump, &index, row.closed.entry("redis").or_default());
            eprintln!("{row}");
            self.note(row.expect(kind));
            rows.push(row);
        }
        rows
    }

    /// On a store whose file may not grow.
    pub async fn run_full(&self) -> Row {
        let settings = format!("{}{OPEN}", self.settings);
        // In blocks of 512 bytes: what an empty store takes, and little more. Without a signal, as on a full disk.
        let before = "trap '' XFSZ; ulimit -S -f 2000;";
        let mut server =
            Server::start(&Order { program: self.program, reader: "scripted", settings: &settings, before });
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (mut filling, mut row) = (Row::new("filling the disk"), Row::new(DISK_FULL.name));
        for _ in 0..200 {
            batch(&mut server, "allowed", &mut random, 20, &mut filling).await;
            if filling.answers.contains_key("STORE_UNAVAILABLE") {
                break;
            }
        }
        let count = (self.requests * DISK_FULL.percent).div_ceil(100).clamp(8, self.batch).next_multiple_of(2);
        batch(&mut server, DISK_FULL.name, &mut random, count, &mut row).await;
        eprintln!("{row}");
        self.note(row.expect(&DISK_FULL));
        row
    }

    /// Every kind on one server; at the end the server is aborted and its core searched.
    pub async fn run(&self, kinds: &[&'static Kind]) -> Vec<Row> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut server = self.start("scripted");
        let (mut rows, mut all) = (Vec::new(), Vec::new());
        for kind in kinds {
            let mut row = Row::new(kind.name);
            // Even: a guardian and a child go together.
            let mut left = (self.requests * kind.percent).div_ceil(100).max(8).next_multiple_of(2);
            while left > 0 {
                let count = left.min(self.batch.next_multiple_of(2));
                left -= count;
                let last = batch(&mut server, kind.name, &mut random, count, &mut row).await;
                all.extend(last.into_iter().take(2));
            }
            eprintln!("{row}");
            self.note(row.expect(kind));
            rows.push(row);
        }
        rows.push(strangers(&server, &mut random, (2 * self.requests).min(500)));
        rows.push(core(server, &all));
        rows
    }
}

/// Every kind there is.
pub fn every() -> Vec<&'static Kind> {
    KINDS.iter().collect()
}

/// One batch and its two searches: while the connection is open, and when it is closed. Gives its pictures.
async fn batch(
    server: &mut Server,
    kind: &str,
    random: &mut fastrand::Rng,
    count: usize,
    row: &mut Row,
) -> Vec<Picture> {
    let caller = Caller::of(server, "shop").await;
    let mut batch = Batch { server, caller, random, count, pictures: Vec::new(), answers: Vec::new() };
    batch.send(kind).await;
    let Batch { server, caller, pictures, answers, .. } = batch;
    row.answered(answers);
    let index = Index::new(pictures.iter().flat_map(|picture| &picture.canaries));
    let ended = kind == "while it drains";
    if !ended {
        server.quiet();
        row.searched += server.search_memory(&index, &mut row.open);
    }
    drop(caller);
    if !ended {
        server.until("connections", 0);
        server.quiet();
    }
    row.searched += server.search_memory(&index, &mut row.closed);
    server.search_written(&index, &mut row.closed);
    pictures
}

/// Looks for pictures that were never sent: what is found of them is chance, and there must be none.
fn strangers(server: &Server, random: &mut fastrand::Rng, count: usize) -> Row {
    let mut row = Row::new("never sent");
    let pictures: Vec<Picture> = (0..count).map(|_| canary::noise(random)).collect();
    // Without the files: those of one format have the same head.
    let index = Index::new(pictures.iter().flat_map(|picture| &picture.canaries).filter(|one| one.form != "file"));
    row.searched += server.search_memory(&index, &mut row.closed);
    eprintln!("{row}");
    row
}

/// Aborts the server and searches its core for some pictures of every kind.
fn core(server: Server, pictures: &[Picture]) -> Row {
    let mut row = Row::new("core");
    let index = Index::new(pictures.iter().flat_map(|picture| &picture.canaries));
    let (core, _home) = server.abort();
    match core {
        Some(core) => {
            row.searched = core.len();
            index.search(&core, row.closed.entry("core").or_default());
            row.answered(vec!["written".to_owned()]);
        }
        None if place::cores_are_files() => panic!("no core was written"),
        None => row.answered(vec!["not written here: core_pattern is no plain file".to_owned()]),
    }
    eprintln!("{row}");
    row
}

/// Whether a server with its default memory settings leaves no core when it is aborted.
pub fn leaves_no_core(program: &Path) -> bool {
    let server = Server::start(&Order { program, reader: "scripted", settings: "", before: "ulimit -c unlimited;" });
    server.abort().0.is_none()
}

/// Bytes found in all places.
pub fn total(places: &Places) -> usize {
    places.values().flat_map(|found| found.values()).sum()
}
