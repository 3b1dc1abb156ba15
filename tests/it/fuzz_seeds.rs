//! What is fuzzed, without a fuzzer: every seed and every input that once broke something, and for a moment inputs that
//! are made from them by chance. The long runs are `.ci/fuzz`'s.

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bodies::{TARGETS, Target};
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// For how long each target gets changed inputs; with IDGATE_FUZZ_SECONDS for so many seconds, where no fuzzer can be had.
fn moment() -> Duration {
    let seconds = std::env::var("IDGATE_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_millis(600), Duration::from_secs)
}

/// No input grows beyond this.
const LONGEST: usize = 16 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

fn inputs((name, _): &Target) -> Vec<(String, Vec<u8>)> {
    ["seeds", "regressions"].iter().flat_map(|kind| files(&folder().join(kind).join(name))).collect()
}

/// An input that takes so long is never done with.
const STUCK: Duration = Duration::from_secs(60);

/// What runs in each thread, and since when.
static RUNNING: LazyLock<Mutex<HashMap<ThreadId, Running>>> = LazyLock::new(Mutex::default);

struct Running {
    since: Instant,
    target: &'static str,
    origin: String,
    input: Vec<u8>,
}

impl Running {
    /// Keeps the input, so that it can be looked at and put among the regressions. It is also told whole, because the
    /// files of a test run may not outlive it.
    fn tell(&self, what: &str) -> String {
        let Running { target, origin, input, .. } = self;
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{}", std::process::id()));
        // Where it cannot be written it is told all the same.
        drop(std::fs::write(&kept, input));
        let (kept, input) = (kept.display(), STANDARD.encode(input));
        format!("the fuzz target {target} {what} on an input made from {origin}; it is kept in {kept}: {input}")
    }
}

/// Ends the tests when an input is stuck: nothing else could.
static WATCH: LazyLock<()> = LazyLock::new(|| {
    std::thread::spawn(|| {
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let running = RUNNING.lock().unwrap();
            if let Some(stuck) = running.values().find(|running| running.since.elapsed() > STUCK) {
                eprintln!("{}", stuck.tell("is stuck"));
                std::process::abort();
            }
        }
    });
});

/// Runs one input.
fn run(&(target, body): &Target, origin: &str, input: &[u8]) {
    LazyLock::force(&WATCH);
    let running = Running { since: Instant::now(), target, origin: origin.to_owned(), input: input.to_vec() };
    let thread = std::thread::current().id();
    RUNNING.lock().unwrap().insert(thread, running);
    let broke = catch_unwind(AssertUnwindSafe(|| body(input))).is_err();
    let running = RUNNING.lock().unwrap().remove(&thread).unwrap();
    assert!(!broke, "{}", running.tell("broke"));
}

#[test]
fn every_target_has_seeds_and_a_file_for_the_fuzzer() {
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let folders = |kind: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(folders("seeds"), named);
    assert_eq!(folders("fuzz_targets"), named);
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(inputs(target).len() >= 5, "{}", target.0);
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{}.rs\"", target.0)), "{}", target.0);
    }
}

#[test]
fn no_seed_and_nothing_that_once_broke_breaks_anything() {
    for target in TARGETS {
        for (path, input) in inputs(target) {
            run(target, &path, &input);
        }
    }
}

#[test]
fn changed_seeds_break_nothing() {
    for target in TARGETS {
        let inputs = inputs(target);
        let mut random = fastrand::Rng::new();
        let (start, mut runs) = (Instant::now(), 0u32);
        while start.elapsed() < moment() {
            let (path, input) = &inputs[random.usize(..inputs.len())];
            let (_, other) = &inputs[random.usize(..inputs.len())];
            let mut input = input.clone();
            for _ in 0..=random.usize(..4) {
                change(&mut input, other, &mut random);
            }
            run(target, path, &input);
            runs += 1;
        }
        assert!(runs > 0);
        println!("{}: {runs} runs", target.0);
    }
}

/// Changes an input by chance: bits, bytes, numbers, parts that are doubled, dropped, moved or another input's.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let end = (at + random.usize(..64)).min(input.len());
    match random.u8(..9) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => input.insert(at, *random.choice(b"\0\n09<>{}[]\",.:|AZ\x7f\x80\xff").unwrap()),
        3 => drop(input.drain(at..end)),
        4 => {
            let part = input[at..end].to_vec();
            let to = random.usize(..=input.len());
            input.splice(to..to, part);
        }
        5 if !other.is_empty() => {
            let from = random.usize(..other.len());
            let part = other[from..(from + random.usize(..128)).min(other.len())].to_vec();
            input.splice(at..end, part);
        }
        6 => {
            let number = random.choice(["0", "-1", "255", "65536", "4294967296", "99999999999999999999"]).unwrap();
            input.splice(at..end.min(at + 4).max(at), number.bytes());
        }
        7 => input.truncate(at),
        _ => input[at..end].reverse(),
    }
    input.truncate(LONGEST);
}
