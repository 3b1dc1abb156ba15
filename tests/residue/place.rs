//! The server under test as a process, and everywhere that something of a picture could be.

#![allow(clippy::disallowed_methods, reason = "another process tells nobody when it has got somewhere")]

use super::search::{Found, Index};
use idgate::config::{Settings, keys};
use idgate::terms::{Purpose, Scope};
use idgate::tokens::callers::{Mint, mint};
use idgate::tokens::files;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a server is started.
pub struct Order<'a> {
    pub program: &'a Path,
    /// `scripted` or `ocr`.
    pub reader: &'a str,
    /// Put after what every server has.
    pub settings: &'a str,
    /// A shell's words before the server is executed.
    pub before: &'a str,
}

/// What every server has: small limits, so that all of them can be reached.
pub const SETTINGS: &str = r#"
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
message_bytes = 1_600_000
image_bytes = 1_500_000
timer_seconds = 0
slow_seconds = 1
drain_notice_seconds = 0
[ocr]
workers = 2
queue = 4
read_seconds = 1
[checks]
relying_party_attempts = 0
"#;

/// Lets the process be looked into, and dump its core.
pub const OPEN: &str = "[memory]\ncore_dumps = true\n";

pub struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What it said on standard output.
    said: String,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub settings: Settings,
    /// How much of its log was searched.
    logged: AtomicUsize,
    home: TempDir,
}

/// Bytes found, by place and form.
pub type Places = BTreeMap<&'static str, Found>;

impl Server {
    pub fn start(order: &Order<'_>) -> Self {
        let home = TempDir::new().unwrap();
        let data = home.path().join("data");
        let mut text = format!("data_dir = {:?}\n{SETTINGS}{}", data.to_str().unwrap(), order.settings);
        if order.reader == "ocr" {
            text = text.replace("read_seconds = 1", "read_seconds = 60");
        }
        let config = home.path().join("config.toml");
        std::fs::write(&config, &text).unwrap();
        let errors = File::create(home.path().join("stderr")).unwrap();
        let script = format!("{} exec \"$0\" \"$@\"", order.before);
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(order.program)
            .arg(&config)
            .arg(order.reader)
            .current_dir(home.path())
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        answers.read_line(&mut said).unwrap();
        let told: Vec<SocketAddr> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [address, admin] = told[..] else {
            panic!("no server: {said}{}", std::fs::read_to_string(home.path().join("stderr")).unwrap())
        };
        let settings = Settings::parse(&text).unwrap();
        Self { child, orders, answers, said, address, admin, settings, logged: AtomicUsize::new(0), home }
    }

    /// Has it do something.
    pub fn order(&mut self, line: &str) {
        self.send(line);
        let before = self.said.len();
        self.answers.read_line(&mut self.said).unwrap();
        assert_eq!(&self.said[before..], "ok\n", "{line}");
    }

    fn send(&mut self, line: &str) {
        self.orders.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// A bearer token for this party.
    pub fn bearer(&self, party: &str, scopes: &[Scope]) -> String {
        let key = files::load_key(&keys::caller_key(&self.settings)).unwrap();
        let wanted = Mint {
            relying_party: party.parse().unwrap(),
            audience: self.settings.callers.audience.clone(),
            scopes: scopes.to_vec(),
            purposes: vec![Purpose::DobExtraction],
            ttl: SignedDuration::from_hours(12),
        };
        format!("Bearer {}", mint(&key, &wanted, Timestamp::now()).unwrap().as_str())
    }

    /// The page with the metrics; none once it has stopped.
    fn metrics(&self) -> Option<String> {
        use std::io::Read as _;
        let mut stream = std::net::TcpStream::connect(self.admin).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        Some(page)
    }

    /// The value of a gauge.
    pub fn gauge(&self, name: &str) -> i64 {
        let page = self.metrics().expect("it runs");
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("idgate_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Waits until a gauge has this value.
    pub fn until(&self, name: &str, value: i64) {
        let limit = Instant::now() + Duration::from_secs(60);
        while self.gauge(name) != value {
            assert!(Instant::now() < limit, "{name} is {} and not {value}", self.gauge(name));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until nothing is worked on.
    pub fn quiet(&self) {
        for gauge in ["reads_waiting", "reads_running", "images_held_bytes"] {
            self.until(gauge, 0);
        }
        // What was counted last may still be dropping its last values.
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Everything in its memory, of the process as it is now.
    pub fn search_memory(&self, index: &Index, places: &mut Places) -> usize {
        let root = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stacks = stack_pointers(&root);
        let denied = "the memory of another process can be searched by its user, or as root with CAP_SYS_PTRACE";
        let memory = File::open(root.join("mem")).expect(denied);
        let pages = File::open(root.join("pagemap")).expect(denied);
        let mut searched = 0;
        for line in std::fs::read_to_string(root.join("maps")).unwrap().lines() {
            let mut words = line.split_whitespace();
            let (range, rights, name) = (words.next().unwrap(), words.next().unwrap(), words.nth(3).unwrap_or(""));
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let place = match name {
                "[stack]" => "stack",
                _ if stacks.iter().any(|stack| (from..to).contains(stack)) => "stack",
                "" | "[heap]" => "heap",
                _ if name.starts_with("[anon") => "heap",
                _ => "other",
            };
            for (begin, end) in present(&pages, from, to) {
                let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
                // What was unmapped meanwhile is gone.
                if memory.read_exact_at(&mut bytes, begin).is_ok() {
                    searched += bytes.len();
                    let found = places.entry(place).or_default();
                    let before = found.clone();
                    index.search(&bytes, found);
                    if *found != before && std::env::var_os("RESIDUE_SHOW").is_some() {
                        eprintln!("{place} {line}: {begin:x}-{end:x} {found:?}");
                    }
                }
            }
        }
        searched
    }

    /// Every file that it wrote, what it said, and its metrics.
    pub fn search_written(&self, index: &Index, places: &mut Places) {
        index.search(self.said.as_bytes(), places.entry("output").or_default());
        // What was there before these pictures came holds nothing of them.
        let output = std::fs::read(self.home.path().join("stderr")).unwrap();
        let before = self.logged.swap(output.len(), Ordering::Relaxed);
        index.search(&output[before..], places.entry("output").or_default());
        let metrics = self.metrics().unwrap_or_default();
        index.search(metrics.as_bytes(), places.entry("output").or_default());
        search_directory(&self.home.path().join("data"), index, places.entry("disk").or_default());
    }

    /// The most stack that the threads whose names begin so have used, in bytes.
    pub fn stack_used(&self, names: &str) -> u64 {
        let root = PathBuf::from(format!("/proc/{}", self.child.id()));
        let smaps = std::fs::read_to_string(root.join("smaps")).unwrap();
        let tasks = std::fs::read_dir(root.join("task")).unwrap().map(|task| task.unwrap().path());
        let named =
            |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with(names));
        let pointers: Vec<u64> = tasks.filter(named).filter_map(|task| stack_pointer(&task)).collect();
        let (mut within, mut most) = (false, 0);
        for line in smaps.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            if let Some((from, to)) = first.split_once('-') {
                let ends = [from, to].map(|text| u64::from_str_radix(text, 16));
                let [Ok(from), Ok(to)] = ends else { continue };
                within = pointers.iter().any(|pointer| (from..to).contains(pointer));
            } else if within && first == "Rss:" {
                let size: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
                most = most.max(size * 1024);
            }
        }
        most
    }

    /// Aborts it; the core file that it left, if there is one.
    pub fn abort(mut self) -> (Option<Vec<u8>>, TempDir) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::ABORT).unwrap();
        self.child.wait().unwrap();
        let files = std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().path());
        let core = files.into_iter().find(|file| file.file_name().unwrap().to_string_lossy().starts_with("core"));
        let home = std::mem::replace(&mut self.home, TempDir::new().unwrap());
        (core.map(|file| std::fs::read(file).unwrap()), home)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether aborted processes leave a plain file where they were.
pub fn cores_are_files() -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    !pattern.starts_with('|') && !pattern.contains('/')
}

/// Everything in every file below.
pub fn search_directory(directory: &Path, index: &Index, found: &mut Found) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search_directory(&path, index, found);
        } else if path.is_file() {
            // Sockets hold nothing.
            index.search(&std::fs::read(&path).unwrap(), found);
        }
    }
}

fn stack_pointers(root: &Path) -> Vec<u64> {
    let tasks = std::fs::read_dir(root.join("task")).unwrap();
    tasks.filter_map(|task| stack_pointer(&task.unwrap().path())).collect()
}

/// Where the stack of a waiting thread is: the last but one word of `syscall`.
fn stack_pointer(task: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(task.join("syscall")).ok()?;
    let pointer = text.split_whitespace().rev().nth(1)?;
    u64::from_str_radix(pointer.strip_prefix("0x")?, 16).ok()
}

/// The parts of a mapping that are there, in memory or in swap, in pieces of bounded size that overlap a little.
fn present(pages: &File, from: u64, to: u64) -> Vec<(u64, u64)> {
    const PAGE: u64 = 4096;
    const MOST: u64 = 64 * 1024 * 1024;
    let count = usize::try_from((to - from) / PAGE).unwrap();
    let mut entries = vec![0; count * 8];
    if pages.read_exact_at(&mut entries, from / PAGE * 8).is_err() {
        return vec![(from, to)];
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (n, entry) in entries.chunks_exact(8).enumerate() {
        if u64::from_le_bytes(entry.try_into().unwrap()) >> 62 == 0 {
            continue;
        }
        let begin = from + u64::try_from(n).unwrap() * PAGE;
        match runs.last_mut() {
            Some((first, end)) if *end == begin && begin - *first < MOST => *end = begin + PAGE,
            // A piece that continues another begins one page early, so that nothing lies on the border.
            Some((_, end)) if *end == begin => runs.push((begin - PAGE, begin + PAGE)),
            _ => runs.push((begin, begin + PAGE)),
        }
    }
    runs
}
