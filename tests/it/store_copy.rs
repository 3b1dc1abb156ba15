//! Moving from the embedded store to Redis: everything arrives as it was, or the copy cannot be used.

use crate::support::redis::Redis;
use crate::support::{SHOP, World, born, kinds};
use async_trait::async_trait;
use idgate::audit::{DocumentRead, Entry, Field, Head, Link, verify_chain};
use idgate::secret::Sensitive;
use idgate::server::proto::ConsentActor;
use idgate::store::copy::{self, CopyError, Counts, Destination, Item};
use idgate::store::embedded::{Embedded, Settings};
use idgate::store::shared::{Shared, copy::Target};
use idgate::store::{Batch, Expect, Handles, Key, KeyId, Limit, Partition, Space, Store, StoreError, Stored};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

fn now() -> Timestamp {
    // By the real clock, since Redis forgets by its own.
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn after(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn key(space: Space, number: u8, name: &str) -> Key {
    let partition = Partition::new(number).unwrap();
    Handles::new(Sensitive::new([7; 32])).key(space, partition, &"shop".parse().unwrap(), name)
}

fn entry(partition: Partition) -> Entry {
    Entry::DocumentRead(Box::new(DocumentRead {
        at: now(),
        decision_id: partition.stamp(uuid::Uuid::now_v7()),
        relying_party: "shop".parse().unwrap(),
        fields: vec![Field::DateOfBirth],
        document: None,
        assurance: None,
        reasons: vec![],
        image: None,
    }))
}

fn limit() -> Limit {
    Limit::new(3, SignedDuration::from_hours(24)).unwrap()
}

/// A store with something of everything, and what a reader must find in it.
struct Filled {
    store: Arc<Embedded>,
    values: Vec<(Key, Stored)>,
    expired: Key,
    keys: Vec<(KeyId, [u8; 32])>,
    gone: KeyId,
    home: tempfile::TempDir,
}

async fn filled() -> Filled {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { directory: home.path().join("store"), cache_bytes: 4 << 20, ..Settings::default() };
    let store = Arc::new(Embedded::open(&settings).unwrap());
    let mut values = Vec::new();
    for partition in Partition::all() {
        let number = partition.number();
        for i in 0..9usize {
            let name = format!("value {i}");
            let k = key([Space::Decision, Space::Consent, Space::Subject][i % 3], number, &name);
            let until = (i % 2 == 0).then(|| after(1 + i64::from(number)));
            let bytes = vec![number; i * 4099 % 20_000];
            let batch = Batch::new(partition).put(k, bytes, until).file(key(Space::Due, number, "list"), k);
            // A second version now and then.
            let batch = if i % 4 == 0 { batch.put(key(Space::Cursor, number, "far"), vec![1], None) } else { batch };
            store.commit(batch.record(entry(partition)), now()).await.unwrap();
            values.push((k, store.get(&k, now()).await.unwrap().unwrap()));
        }
        for _ in 0..=number % 4 {
            store.count(&key(Space::Attempts, number, "tries"), limit(), now()).await.unwrap();
        }
    }
    let expired = key(Space::Held, 0, "expired");
    let batch =
        Batch::new(Partition::new(0).unwrap()).put(expired, vec![1], Some(now() - SignedDuration::from_secs(1)));
    store.commit(batch, now() - SignedDuration::from_secs(9)).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..40 {
        let (id, bytes) = store.forge().await.unwrap();
        keys.push((id, *bytes.expose()));
    }
    let gone = keys.remove(7).0;
    store.shred(gone).await.unwrap();
    Filled { store, values, expired, keys, gone, home }
}

const ALL: Counts = Counts { values: 16 * 10, attempts: 16, filed: 16 * 9, entries: 16 * 9, keys: 39 };

impl Filled {
    /// That a store has all of it, and that life goes on there.
    async fn is_in(&self, store: &dyn Store) {
        for (k, stored) in &self.values {
            assert_eq!(store.get(k, now()).await.unwrap().as_ref(), Some(stored), "with its version and its expiry");
        }
        assert_eq!(store.get(&self.expired, now()).await.unwrap(), None);
        for (id, bytes) in &self.keys {
            assert_eq!(store.find_key(*id).await.unwrap().unwrap().expose(), bytes);
        }
        assert!(store.find_key(self.gone).await.unwrap().is_none());
        for partition in Partition::all() {
            let number = partition.number();
            let filed = store.filed(&key(Space::Due, number, "list"), None, 100).await.unwrap();
            let own = self.values.iter().filter(|(k, _)| k.partition() == partition).map(|(k, _)| k.bytes());
            assert_eq!(filed.iter().map(Key::bytes).collect::<BTreeSet<_>>(), own.collect());
            let links = store.trail(partition, 0, 100).await.unwrap();
            let head = store.head(partition).await.unwrap();
            assert_eq!(links, self.store.trail(partition, 0, 100).await.unwrap());
            assert_eq!(verify_chain(number, Head::GENESIS, &links, Some(head)).unwrap().seq, 9);
            let tries = store.count(&key(Space::Attempts, number, "tries"), limit(), now()).await.unwrap();
            let made = u16::from(number % 4 + 1).min(3);
            assert_eq!((tries.allowed, tries.count), (made < 3, (made + 1).min(3)), "attempts go on where they were");
        }
        // A version that was read before the move is good for one change after it.
        let (k, stored) = &self.values[0];
        let change = Batch::new(k.partition()).require(*k, Expect::Version(stored.version)).put(*k, vec![9], None);
        let receipt = store.commit(change.clone().record(entry(k.partition())), now()).await.unwrap();
        assert!(receipt.version > stored.version && receipt.head.seq == 10);
        assert!(store.commit(change, now()).await.is_err());
        store.shred(self.keys[0].0).await.unwrap();
        assert!(store.find_key(self.keys[0].0).await.unwrap().is_none());
    }
}

/// A destination that keeps things in memory, and may be told to do it wrong.
#[derive(Default)]
struct Memory {
    items: Mutex<Vec<Item>>,
    wrong: Option<Wrong>,
    begun: Mutex<bool>,
    finished: Mutex<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Drops,
    Changes,
    Adds,
    Ages,
    TellsTwice,
    LosesALink,
    Fails,
}

#[async_trait]
impl Destination for Memory {
    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.items.lock().unwrap().is_empty() && !*self.begun.lock().unwrap())
    }

    async fn begin(&self) -> Result<(), StoreError> {
        *self.begun.lock().unwrap() = true;
        Ok(())
    }

    async fn import(&self, mut items: Vec<Item>, _: Timestamp) -> Result<(), StoreError> {
        let mut all = self.items.lock().unwrap();
        // Something is done wrong to the first value there is.
        let value = items.iter().position(|item| matches!(item, Item::Value { .. }));
        let first = !all.iter().any(|item| matches!(item, Item::Value { .. }));
        match (self.wrong, value.filter(|_| first).map(|at| &mut items[at])) {
            (Some(Wrong::Drops), Some(_)) => drop(items.remove(value.unwrap())),
            (Some(Wrong::Changes), Some(Item::Value { value, .. })) => value.push(0),
            (Some(Wrong::Ages), Some(Item::Value { expires_at, .. })) => *expires_at = Some(after(10_000)),
            (Some(Wrong::Adds), Some(item)) => {
                let Item::Value { value, version, .. } = item.clone() else { unreachable!() };
                let k = key(Space::Decision, 0, "never sent");
                items.push(Item::Value { key: k, value, version, expires_at: None });
            }
            (Some(Wrong::TellsTwice), Some(item)) => {
                let again = item.clone();
                items.push(again);
            }
            (Some(Wrong::LosesALink), _) => {
                let end = |item: &Item| matches!(item, Item::Link { link, .. } if link.seq == 9);
                items.retain(|item| !end(item));
            }
            (Some(Wrong::Fails), None) => return Err(StoreError::Unavailable),
            _ => {}
        }
        all.extend(items);
        Ok(())
    }

    async fn export(&self, cursor: Option<String>) -> Result<(Vec<Item>, Option<String>), StoreError> {
        let all = self.items.lock().unwrap();
        let from: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let to = (from + 100).min(all.len());
        Ok((all[from..to].to_vec(), (to < all.len()).then(|| to.to_string())))
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        let links = self.trail(partition, 0, usize::MAX).await?;
        Ok(links.last().map_or(Head::GENESIS, |link| Head { seq: link.seq, hash: link.hash }))
    }

    async fn trail(&self, of: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        let all = self.items.lock().unwrap();
        let links = all.iter().filter_map(|item| match item {
            Item::Link { partition, link } if *partition == of && link.seq > after => Some(link.clone()),
            _ => None,
        });
        let mut links: Vec<Link> = links.collect();
        links.sort_by_key(|link| link.seq);
        links.dedup();
        links.truncate(at_most);
        Ok(links)
    }

    async fn finish(&self) -> Result<(), StoreError> {
        *self.finished.lock().unwrap() = true;
        Ok(())
    }
}

#[tokio::test]
async fn everything_is_copied_once_and_compared() {
    let filled = filled().await;
    assert_eq!(copy::survey(&filled.store, now()).await.unwrap(), ALL);
    let memory = Memory::default();
    assert_eq!(copy::copy(&filled.store, &memory, &now).await.unwrap(), ALL);
    assert!(*memory.finished.lock().unwrap());
    assert_eq!(memory.items.lock().unwrap().len(), 503);
    assert!(matches!(copy::copy(&filled.store, &memory, &now).await, Err(CopyError::NotEmpty)));
    let twice = Memory { wrong: Some(Wrong::TellsTwice), ..Memory::default() };
    assert_eq!(copy::copy(&filled.store, &twice, &now).await.unwrap(), ALL, "telling a thing twice is no harm");
}

#[tokio::test]
async fn whatever_did_not_arrive_as_it_was_leaves_the_copy_unfinished() {
    let filled = filled().await;
    for (wrong, missing, more) in [
        (Wrong::Drops, 1, 0),
        (Wrong::Changes, 1, 1),
        (Wrong::Ages, 1, 1),
        (Wrong::Adds, 0, 1),
        (Wrong::LosesALink, 16, 0),
    ] {
        let memory = Memory { wrong: Some(wrong), ..Memory::default() };
        match copy::copy(&filled.store, &memory, &now).await {
            Err(CopyError::Differs { missing: m, more: n }) => assert_eq!((m, n), (missing, more), "{wrong:?}"),
            other => panic!("{wrong:?}: {other:?}"),
        }
        assert!(*memory.begun.lock().unwrap() && !*memory.finished.lock().unwrap(), "{wrong:?}");
    }
    let memory = Memory { wrong: Some(Wrong::Fails), ..Memory::default() };
    let failed = copy::copy(&filled.store, &memory, &now).await;
    assert!(matches!(failed, Err(CopyError::Destination(StoreError::Unavailable))), "{failed:?}");
    assert!(!*memory.finished.lock().unwrap());
}

#[tokio::test]
async fn redis_has_everything_as_it_was_alone_and_as_a_cluster() {
    for redis in [Redis::single(), Redis::cluster()] {
        let filled = filled().await;
        let target = Target::new(&redis.settings()).unwrap();
        assert!(target.is_empty().await.unwrap(), "{:?}", redis.kind);
        assert_eq!(copy::copy(&filled.store, &target, &now).await.unwrap(), ALL, "{:?}", redis.kind);
        filled.is_in(&Shared::new(&redis.settings()).unwrap()).await;
        let again = copy::copy(&filled.store, &Target::new(&redis.settings()).unwrap(), &now).await;
        assert!(matches!(again, Err(CopyError::NotEmpty)), "{again:?}");
    }
}

#[tokio::test]
async fn an_unfinished_copy_is_used_by_no_server_and_copied_over_by_nobody() {
    let (redis, filled) = (Redis::single(), filled().await);
    let target = Target::new(&redis.settings()).unwrap();
    assert!(target.is_empty().await.unwrap());
    target.begin().await.unwrap();
    let mut pages = Vec::new();
    filled
        .store
        .export(100, now(), |page| {
            pages.push(page);
            pages.len() < 2
        })
        .unwrap();
    for page in pages {
        target.import(page, now()).await.unwrap();
    }
    drop(target);
    let store = Shared::new(&redis.settings()).unwrap();
    assert_eq!(store.health().await, Err(StoreError::Unavailable));
    assert_eq!(store.get(&filled.values[0].0, now()).await, Err(StoreError::Unavailable));
    let again = copy::copy(&filled.store, &Target::new(&redis.settings()).unwrap(), &now).await;
    assert!(matches!(again, Err(CopyError::NotEmpty)), "{again:?}");
    redis.nodes[0].ask(&["FLUSHALL"]);
    let counts = copy::copy(&filled.store, &Target::new(&redis.settings()).unwrap(), &now).await.unwrap();
    assert_eq!(counts, ALL);
}

/// Runs the program.
fn run(from: &Path, configuration: &Path, more: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_idgate"));
    command.args(["store", "copy", "--from"]).arg(from).arg("--config").arg(configuration).args(more);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn configuration(home: &Path, redis: &Redis) -> std::path::PathBuf {
    let file = home.join("idgate.toml");
    std::fs::write(&file, format!("[store.redis]\nurls = {:?}\n", redis.urls())).unwrap();
    file
}

#[tokio::test]
async fn the_command_says_what_it_did_and_refuses_what_it_must() {
    let (redis, filled) = (Redis::single(), filled().await);
    let from = filled.home.path().join("store");
    let file = configuration(filled.home.path(), &redis);
    let refused = |output: Output, why: &str| {
        assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
        assert!(output.stdout.is_empty());
    };
    refused(run(&from, &file, &[]), "a server has this store open; stop it first");
    drop(filled.store);
    let nowhere = filled.home.path().join("nowhere");
    refused(run(&nowhere, &file, &[]), "there is no embedded store here");
    assert!(!nowhere.exists(), "looking made a store");
    let none = filled.home.path().join("none.toml");
    std::fs::write(&none, "").unwrap();
    refused(run(&from, &none, &[]), "store.redis.urls names no destination");

    let dry = run(&from, &file, &["--dry-run"]);
    assert!(dry.status.success(), "{}", said(&dry));
    assert!(said(&dry).contains("nothing was copied"));
    let lines = "values: 160\nattempt counts: 16\nfilings: 144\naudit entries: 144\ndestroyable keys: 39\n";
    assert_eq!(String::from_utf8_lossy(&dry.stdout), lines);
    let copied = run(&from, &file, &["--rename"]);
    assert!(copied.status.success(), "{}", said(&copied));
    assert_eq!(String::from_utf8_lossy(&copied.stdout), lines);
    assert!(!from.exists() && from.with_extension("copied").join("idgate.redb").exists());
    let away = from.with_extension("copied");
    refused(run(&away, &file, &[]), "the destination is not empty");
    refused(run(&away, &file, &["--dry-run"]), "the destination is not empty");
    drop(redis);
    refused(run(&away, &file, &[]), "the destination did not answer");
}

#[tokio::test]
async fn a_server_goes_on_with_the_copy_where_it_stopped() {
    let redis = Redis::single();
    let world = World::start().await;
    let asked = world.given("child", &born(15, -40)).await;
    let before = world.get_consent(&asked.id).await;
    let opted =
        world.open(crate::support::rights::asks("child", idgate::server::proto::Right::OptOut, "KR", &[])).await;
    let told = world.told().await;
    let from = world.settings.data_dir.join("store");
    let file = configuration(world.data(), &redis);
    let busy = run(&from, &file, &[]);
    assert!(!busy.status.success(), "while the server runs");

    let urls = redis.urls();
    let world = world
        .moved(
            |settings| settings.store.redis.urls = urls,
            |data_dir| {
                let copied = run(&data_dir.join("store"), &file, &[]);
                assert!(copied.status.success(), "{}", said(&copied));
            },
        )
        .await;
    assert_eq!(world.told().await, told, "the same events under the same cursors");
    let after = world.get_consent(&asked.id).await;
    assert_eq!((after.state(), kinds(&after)), (before.state(), kinds(&before)));
    assert_eq!(world.stands(&opted).await, *opted.request());
    // The child's date of birth still opens, by the key that moved; and is destroyed with it.
    let check = world.check_by_consent("child", &asked.id).await.unwrap();
    assert!(matches!(check.outcome, Some(idgate::server::proto::check_age_response::Outcome::Allowed(_))), "{SHOP}");
    world.withdraw(&asked.id, ConsentActor::Guardian).await;
    assert!(world.check_by_consent("child", &asked.id).await.is_err());
}
