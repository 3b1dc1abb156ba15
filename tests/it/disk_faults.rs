//! Faults under the embedded store, with a real process and real files: kill -9 at random points, a full disk.
//!
//! Torn writes and power cuts are tested where the store meets the disk: `src/store/embedded/tests`.

use idgate::audit::{DocumentRead, Entry, Field, Head, verify_chain};
use idgate::secret::Sensitive;
use idgate::store::embedded::{Embedded, Settings};
use idgate::store::{Batch, Expect, Handles, Key, KeyId, Limit, Partition, Space, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the process is killed; `IDGATE_TEST_KILLS=200` is the long form.
const KILLS: u32 = 25;
/// Tells the child process where its store lies.
const CHILD: &str = "IDGATE_TEST_KILL_CHILD";
/// The same for the child whose disk fills up.
const FULL: &str = "IDGATE_TEST_FULL_CHILD";

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn partition(number: u8) -> Partition {
    Partition::new(number).unwrap()
}

fn key(space: Space, number: u8, name: &str) -> Key {
    Handles::new(Sensitive::new([7; 32])).key(space, partition(number), &"shop".parse().unwrap(), name)
}

fn limit() -> Limit {
    Limit::new(Limit::MAX, SignedDuration::from_hours(1)).unwrap()
}

fn entry() -> Entry {
    Entry::DocumentRead(Box::new(DocumentRead {
        at: now(),
        decision_id: partition(0).stamp(uuid::Uuid::nil()),
        relying_party: "shop".parse().unwrap(),
        fields: vec![Field::DateOfBirth],
        document: None,
        assurance: None,
        reasons: vec![],
        image: None,
    }))
}

fn open(directory: &Path) -> Embedded {
    let settings = Settings { directory: directory.to_owned(), cache_bytes: 4 << 20, ..Settings::default() };
    Embedded::open(&settings).unwrap_or_else(|error| panic!("does not reopen: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two values, a filing and an entry, all or nothing.
fn put(name: &str) -> Batch {
    let (k, list) = (key(Space::Decision, 5, name), key(Space::Due, 5, "list"));
    let once = key(Space::SingleUse, 5, name);
    let bytes = name.repeat(1 + name.len() % 50).into_bytes();
    let batch = Batch::new(partition(5)).require(k, Expect::Absent).put(k, bytes, None).put(once, vec![1], None);
    batch.file(list, k).record(entry())
}

/// A child of this test binary that runs one of its tests and nothing else.
fn child(test: &str, variable: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(variable, directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Not a test by itself: what [`nothing_acknowledged_is_lost_by_kill_9_at_random_points`] runs as another process. Says
/// each thing before it asks for it and once it is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_that_works_until_it_is_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Arc::new(open(Path::new(&directory)));
    let first = store.head(partition(5)).await.unwrap().seq;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..8u64 {
        let store = Arc::clone(&store);
        workers.spawn(async move {
            for i in 0u64.. {
                let name = format!("{first}-{worker}-{i}");
                println!("\nasks put {name}");
                store.commit(put(&name), now()).await.unwrap();
                println!("\nhas put {name}");
                match i % 4 {
                    0 => {
                        println!("\nasks take {name}");
                        assert!(store.take(&key(Space::SingleUse, 5, &name), now()).await.unwrap().is_some());
                        println!("\nhas take {name}");
                    }
                    1 => {
                        // A new count now and then, since one holds no more than its limit.
                        let of = key(Space::Attempts, 5, &first.to_string());
                        println!("\nasks count {first}");
                        assert!(store.count(&of, limit(), now()).await.unwrap().allowed);
                        println!("\nhas count {first}");
                    }
                    2 => {
                        let (id, bytes) = store.forge().await.unwrap();
                        println!("\nhas forge {id} {}", hex(bytes.expose()));
                        if i % 8 == 2 {
                            println!("\nasks shred {id}");
                            store.shred(id).await.unwrap();
                            println!("\nhas shred {id}");
                        }
                    }
                    _ => {}
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}

/// What the children said, over all rounds.
#[derive(Default)]
struct Said {
    asked: BTreeMap<&'static str, BTreeSet<String>>,
    has: BTreeMap<&'static str, BTreeSet<String>>,
    asked_counts: BTreeMap<String, u16>,
    counts: BTreeMap<String, u16>,
    forged: BTreeMap<String, String>,
}

impl Said {
    fn hear(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["asks", "count", of] => *self.asked_counts.entry((*of).to_owned()).or_default() += 1,
            ["has", "count", of] => *self.counts.entry((*of).to_owned()).or_default() += 1,
            ["has", "forge", id, bytes] => drop(self.forged.insert((*id).to_owned(), (*bytes).to_owned())),
            [said @ ("asks" | "has"), what @ ("put" | "take" | "shred"), name] => {
                let what = ["put", "take", "shred"].into_iter().find(|known| known == what).unwrap();
                let into = if *said == "asks" { &mut self.asked } else { &mut self.has };
                into.entry(what).or_default().insert((*name).to_owned());
            }
            _ => return false,
        }
        true
    }

    fn acknowledged(&self) -> usize {
        let counts: usize = self.counts.values().map(|count| usize::from(*count)).sum();
        self.has.values().map(BTreeSet::len).sum::<usize>() + self.forged.len() + counts
    }

    async fn check(&self, store: &Embedded, directory: &Path) {
        let none = BTreeSet::new();
        let all = |map: &BTreeMap<&str, BTreeSet<String>>, what| map.get(what).unwrap_or(&none).clone();
        let (taken, taking) = (all(&self.has, "take"), all(&self.asked, "take"));
        let (put_surely, put_perhaps) = (all(&self.has, "put"), all(&self.asked, "put"));
        let mut filed = BTreeSet::new();
        let (list, mut last) = (key(Space::Due, 5, "list"), None);
        loop {
            let page = store.filed(&list, last.as_ref(), 1024).await.unwrap();
            let Some(end) = page.last() else { break };
            last = Some(*end);
            filed.extend(page.iter().map(Key::bytes));
        }
        let mut there = 0;
        for name in &put_perhaps {
            let k = key(Space::Decision, 5, name);
            let found = store.get(&k, now()).await.unwrap();
            let once = store.get(&key(Space::SingleUse, 5, name), now()).await.unwrap().is_some();
            assert!(found.is_some() || !put_surely.contains(name), "lost: {name}");
            assert_eq!(found.is_some(), filed.contains(&k.bytes()), "half of a batch: {name}");
            assert!(found.is_none_or(|found| found.value.starts_with(name.as_bytes())));
            there += usize::from(filed.contains(&k.bytes()));
            assert!(!(taken.contains(name) && once), "taken, and there again: {name}");
            if !taking.contains(name) {
                assert_eq!(once, filed.contains(&k.bytes()), "half of a batch: {name}");
            }
        }
        assert_eq!(filed.len(), there, "filed without being asked for");
        for (of, asked) in &self.asked_counts {
            // Asking counts too; the count is put back by what is taken from it here.
            let stored = store.get(&key(Space::Attempts, 5, of), now()).await.unwrap();
            let count = u16::try_from(stored.map_or(0, |stored| stored.value.len() / 8)).unwrap();
            let least = self.counts.get(of).copied().unwrap_or(0);
            assert!((least..=*asked).contains(&count), "{count} counted, {least} to {asked} expected");
        }
        let (shredded, shredding) = (all(&self.has, "shred"), all(&self.asked, "shred"));
        let file = hex(&std::fs::read(directory.join("shred.keys")).unwrap());
        for (name, bytes) in &self.forged {
            let id: KeyId = name.parse().unwrap();
            let found = store.find_key(id).await.unwrap().map(|found| hex(found.expose()));
            assert!(found.as_ref().is_none_or(|found| found == bytes));
            if shredded.contains(name) {
                assert!(found.is_none() && !file.contains(bytes), "a shredded key is there");
            } else {
                assert!(found.is_some() || shredding.contains(name), "a key is lost");
            }
        }
        let mut end = Head::GENESIS;
        loop {
            let page = store.trail(partition(5), end.seq, 1000).await.unwrap();
            if page.is_empty() {
                break;
            }
            end = verify_chain(5, end, &page, None).unwrap();
        }
        assert_eq!(end, store.head(partition(5)).await.unwrap());
        assert_eq!(end.seq, u64::try_from(there).unwrap(), "entries and values differ");
        store.health().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9_at_random_points() {
    let kills = std::env::var("IDGATE_TEST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let mut total = 0;
    let mut home = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..kills {
        if round % 25 == 0 {
            // A fresh one now and then: also making it is killed, and what is checked stays little.
            total += said.acknowledged();
            (home, said) = (tempfile::tempdir().unwrap(), Said::default());
        }
        let mut child = child("disk_faults::child_that_works_until_it_is_killed", CHILD, home.path()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Some die while the store is being opened, the others after that many words.
        let until = if random.u8(0..8) == 0 { 0 } else { random.usize(1..400) };
        let nap = Duration::from_micros(random.u64(0..3000));
        if until == 0 {
            wait(Duration::from_micros(random.u64(0..60_000)));
            child.kill().unwrap();
        }
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            heard += usize::from(said.hear(&line));
            if heard == until && until > 0 {
                wait(nap);
                child.kill().unwrap();
            }
        }
        assert!(heard >= until, "the child died by itself in round {round}");
        let ended = child.wait().unwrap();
        assert!(!ended.success());
        let store = open(home.path());
        said.check(&store, home.path()).await;
    }
    total += said.acknowledged();
    println!("{kills} kills, {total} acknowledged changes: none lost");
    assert!(total > usize::try_from(kills).unwrap() * 20, "only {total} changes were acknowledged");
}

/// Lets a short time pass that no event tells of.
fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::yield_now();
    }
}

/// Not a test by itself: fills its disk, and goes on when there is room.
#[tokio::test]
async fn child_whose_disk_fills_up() {
    let Ok(directory) = std::env::var(FULL) else { return };
    let directory = Path::new(&directory);
    let store = open(&directory.join("store"));
    let stored = AtomicU64::new(0);
    let write = async || {
        let name = format!("full-{}", stored.load(Ordering::SeqCst));
        let k = key(Space::Decision, 5, &name);
        let batch = Batch::new(partition(5)).put(k, vec![0x5a; 48 * 1024], None).record(entry());
        let done = store.commit(batch, now()).await;
        if done.is_ok() {
            stored.fetch_add(1, Ordering::SeqCst);
        }
        done
    };
    let mut forged = Vec::new();
    // What keeps room back, to give it free later.
    let ballast = directory.join("ballast");
    for _ in 0..20 {
        write().await.unwrap();
        forged.push(store.forge().await.unwrap());
    }
    std::fs::write(&ballast, vec![0; 14 << 20]).unwrap();
    for round in 0..3 {
        let mut refused = None;
        for _ in 0..4096 {
            if let Err(error) = write().await {
                refused = Some(error);
                break;
            }
        }
        assert_eq!(refused, Some(StoreError::Unavailable.into()), "the disk did not fill up");
        assert_eq!(store.health().await, Err(StoreError::Unavailable));
        let deadline = Instant::now() + Duration::from_secs(60);
        for i in 0..stored.load(Ordering::SeqCst) {
            let k = key(Space::Decision, 5, &format!("full-{i}"));
            let found = loop {
                match store.get(&k, now()).await {
                    Ok(found) => break found,
                    Err(error) => assert!(Instant::now() < deadline, "reads do not go on: {error}"),
                }
                tokio::task::yield_now().await;
            };
            assert!(found.is_some_and(|found| found.value.len() == 48 * 1024), "lost with a full disk");
        }
        println!("\nfull {round} with {} values", stored.load(Ordering::SeqCst));
        // Room again: the ballast goes.
        std::fs::write(&ballast, vec![0; (14 << 20) - (round + 1) * (4 << 20)]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while store.health().await.is_err() {
            assert!(Instant::now() < deadline, "not back although there is room");
            tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
        }
        write().await.unwrap();
        forged.push(store.forge().await.unwrap());
    }
    drop(store);
    let store = open(&directory.join("store"));
    let entries = store.head(partition(5)).await.unwrap().seq;
    assert!(entries >= stored.load(Ordering::SeqCst));
    for (id, bytes) in &forged {
        assert_eq!(store.find_key(*id).await.unwrap().unwrap().expose(), bytes.expose());
    }
    println!("\nsurvived");
}

/// A child that must say at its end that it survived.
fn survived(mut child: Child) -> bool {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut survived = false;
    for line in lines.map_while(Result::ok) {
        survived |= line == "survived";
    }
    child.wait().unwrap().success() && survived
}

/// On a real file system of a few megabytes, made for this process alone (Linux, where user namespaces are allowed).
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=32m,mode=0700 none \"$0\"";
    let try_out = Command::new("unshare").args(["-rm", "sh", "-c", mount]).arg(home.path()).status();
    if !try_out.is_ok_and(|status| status.success()) {
        println!("no file system can be made here; the next test fills up a file instead");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{mount} && exec \"$1\" --exact disk_faults::child_whose_disk_fills_up --nocapture");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(home.path()).arg(program).env(FULL, home.path());
    assert!(survived(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()));
}

/// With a limit on the size of files, which every Unix has: a write beyond it fails as one on a full disk does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_may_not_grow_loses_nothing_and_the_store_goes_on_when_it_may() {
    let home = tempfile::tempdir().unwrap();
    // The signal that comes with it is ignored, as a server's supervisor would; half kilobytes.
    let script =
        "trap '' XFSZ; ulimit -S -f 6000; exec \"$0\" --exact disk_faults::child_whose_file_may_not_grow --nocapture";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().unwrap()).env(FULL, home.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut survived = false;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if line == "full" {
            let lifted = Command::new("prlimit").arg(format!("--pid={}", child.id())).arg("--fsize=unlimited").status();
            assert!(lifted.unwrap().success());
        }
        survived |= line == "survived";
    }
    assert!(child.wait().unwrap().success() && survived);
}

/// Not a test by itself: its files may not grow beyond a limit, until its parent lifts it.
#[tokio::test]
async fn child_whose_file_may_not_grow() {
    let Ok(directory) = std::env::var(FULL) else { return };
    let store = open(Path::new(&directory));
    let mut stored = 0;
    let name = |i: u64| key(Space::Decision, 5, &format!("grown-{i}"));
    let batch = |i: u64| Batch::new(partition(5)).put(name(i), vec![0x5a; 60 * 1024], None).record(entry());
    while store.commit(batch(stored), now()).await.is_ok() {
        stored += 1;
        assert!(stored < 4096, "the file did not fill up");
    }
    assert_eq!(store.health().await, Err(StoreError::Unavailable));
    println!("\nfull");
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.health().await.is_err() {
        assert!(Instant::now() < deadline, "not back although the file may grow");
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    }
    store.commit(batch(stored), now()).await.unwrap();
    for i in 0..=stored {
        assert!(store.get(&name(i), now()).await.unwrap().is_some(), "lost");
    }
    println!("\nsurvived");
}
