//! The store's contract on real servers: one, one with TLS and a user with few rights, a Cluster, and with Sentinels; each
//! from two processes' view. And what only they must do.

use crate::store::{Sweeping, at, contract, entry, key, partition, verified};
use crate::support::redis::{MASTER, Redis, Reply, private, until};
use idgate::store::shared::{Settings, Shared};
use idgate::store::{Batch, CommitError, Expect, Space, Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

fn open(settings: &Settings) -> Arc<dyn Store> {
    Arc::new(Shared::new(settings).unwrap())
}

async fn keeps_the_contract(redis: &Redis) {
    let settings = redis.settings();
    contract(open(&settings), open(&settings), Sweeping::ByItself).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_single_redis_keeps_the_contract() {
    keeps_the_contract(&Redis::single()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_keeps_the_contract() {
    let redis = Redis::cluster();
    keeps_the_contract(&redis).await;
    for node in &redis.nodes {
        assert_ne!(node.ask(&["DBSIZE"]), Reply::Number(0), "the partitions are spread over all masters");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_with_sentinels_keeps_the_contract() {
    let redis = Redis::sentinel();
    keeps_the_contract(&redis).await;
    let sizes: Vec<Reply> = redis.nodes.iter().map(|node| node.ask(&["DBSIZE"])).collect();
    assert!(sizes[0] != Reply::Number(0) && sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}

/// What the recommended file allows the user.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/redis.conf")).unwrap();
    let line = text.lines().find(|line| line.starts_with("user idgate ")).unwrap().to_owned();
    line.split(' ').filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redis_with_tls_and_few_rights_keeps_the_contract() {
    let redis = Redis::secured();
    keeps_the_contract(&redis).await;
    let node = &redis.nodes[0];
    // Nothing is allowed that is not used. What has to do with other set-ups is not seen here.
    let stats = node.ask(&["INFO", "commandstats"]);
    let used = |name: &str| stats.text().contains(&format!("cmdstat_{name}:"));
    let elsewhere = ["role", "cluster|slots", "asking", "hello", "ping", "select", "wait"];
    let unused: Vec<String> =
        allowed().into_iter().filter(|name| !elsewhere.contains(&name.as_str()) && !used(name)).collect();
    assert_eq!(unused, Vec::<String>::new());
    // Nor could it do harm, or see what is not its own.
    let refused = |words: &[&str]| {
        let reply = node.ask(&[&["ACL", "DRYRUN", "idgate"][..], words].concat());
        assert!(reply.text().contains("has no permissions"), "{words:?}: {reply:?}");
    };
    for words in [&["FLUSHALL"][..], &["KEYS", "*"], &["CONFIG", "GET", "dir"], &["GET", "other:key"], &["SCAN", "0"]] {
        refused(words);
    }
    assert_eq!(node.ask(&["ACL", "DRYRUN", "idgate", "GET", "idgate:key"]).text(), "OK");
}

#[tokio::test]
async fn nobody_is_let_in_without_password_certificate_or_trust() {
    let redis = Redis::secured();
    let good = redis.settings();
    open(&good).health().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "something else").unwrap();
    private(&wrong);
    for settings in [
        Settings { password: wrong.into(), ..good.clone() },
        Settings { username: String::new(), password: Default::default(), ..good.clone() },
        Settings { certificate: Default::default(), key: Default::default(), ..good.clone() },
        Settings { ca: Default::default(), ..good.clone() },
        Settings { urls: vec![good.urls[0].replace("rediss", "redis")], ..good.clone() },
    ] {
        assert_eq!(open(&settings).health().await, Err(StoreError::Unavailable), "{settings:?}");
    }
}

#[tokio::test]
async fn two_namespaces_know_nothing_of_each_other() {
    let redis = Redis::single();
    let (one, other) = (open(&redis.settings()), open(&Settings { namespace: "other".into(), ..redis.settings() }));
    let k = key(Space::Decision, 0, "k");
    let batch = || Batch::new(partition(0)).put(k, b"v".into(), None).record(entry(0));
    one.commit(batch(), at(0)).await.unwrap();
    let id = one.forge().await.unwrap().0;
    assert!(other.get(&k, at(0)).await.unwrap().is_none());
    assert!(other.find_key(id).await.unwrap().is_none());
    other.shred(id).await.unwrap();
    assert!(one.find_key(id).await.unwrap().is_some());
    other.commit(batch(), at(0)).await.unwrap();
    assert_eq!((verified(&*one, partition(0)).await, verified(&*other, partition(0)).await), (1, 1));
}

#[tokio::test]
async fn names_and_values_in_redis_expire_with_what_they_hold() {
    let redis = Redis::single();
    let store = open(&redis.settings());
    let (mortal, lasting) = (key(Space::SingleUse, 0, "mortal"), key(Space::Decision, 0, "lasting"));
    let batch = Batch::new(partition(0)).put(mortal, b"v".into(), Some(at(10))).put(lasting, b"v".into(), None);
    store.commit(batch, at(0)).await.unwrap();
    let limit = idgate::store::Limit::new(3, jiff::SignedDuration::from_secs(10)).unwrap();
    store.count(&key(Space::Attempts, 0, "counted"), limit, at(0)).await.unwrap();
    let Reply::List(names) = redis.nodes[0].ask(&["KEYS", "*"]) else { panic!("no keys") };
    let mut mortals = BTreeSet::new();
    for name in &names {
        let Reply::Number(life) = redis.nodes[0].ask(&["PTTL", name.text()]) else { panic!("no life") };
        if life > 0 {
            assert!((10_000..=70_000).contains(&life), "{life} ms");
            mortals.insert(name.text().split(':').nth(2).unwrap().to_owned());
        }
    }
    assert_eq!(mortals, BTreeSet::from(["a".to_owned(), "s".to_owned()]));
}

/// Answers until it can be used again.
async fn back(store: &dyn Store) {
    while store.health().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_and_failover() {
    let mut redis = Redis::sentinel();
    redis.impatient();
    let store = open(&redis.brisk_settings());
    let name = |round: usize| key(Space::Decision, 3, &format!("survives-{round}"));
    for round in 0..3 {
        let batch = Batch::new(partition(3)).put(name(round), b"v".into(), None).record(entry(0));
        let mut first = store.commit(batch.clone(), at(0)).await;
        while matches!(first, Err(CommitError::Store(_))) {
            back(&*store).await;
            first = store.commit(batch.clone(), at(0)).await;
        }
        first.unwrap();
        let master = redis.master().unwrap();
        match round {
            0 => {
                redis.nodes[master].kill();
                until("another is the master", || redis.master().is_some_and(|now| now != master));
                redis.nodes[master].start_again();
            }
            1 => redis.fail_over(),
            _ => {
                redis.nodes[master].stop();
                redis.nodes[master].start_again();
            }
        }
        redis.until_well();
        back(&*store).await;
        for round in 0..=round {
            let found = store.get(&name(round), at(0)).await.unwrap();
            assert!(found.is_some(), "lost in round {round}");
        }
    }
    assert!(verified(&*store, partition(3)).await >= 3);
    assert_eq!(redis.sentinels[0].ask(&["SENTINEL", "CKQUORUM", MASTER]).text().get(..2), Some("OK"));
}

/// A read may tell of a change that nobody acknowledged; a change that requires it makes sure. So are retries answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_replaced_confirms_nothing_of_what_it_alone_has() {
    let redis = Redis::sentinel();
    redis.impatient();
    let settings = redis.brisk_settings();
    // Processes that have not heard of any other master.
    let late = Settings { urls: vec![format!("redis://127.0.0.1:{}", redis.nodes[0].port)], ..settings };
    let late = Settings { topology: idgate::store::shared::Topology::Single, ..late };
    let (writer, reader) = (open(&late), open(&late));
    back(&*writer).await;
    back(&*reader).await;
    let k = key(Space::Decision, 3, "alone");
    writer.commit(Batch::new(partition(3)), at(0)).await.unwrap();
    redis.nodes[0].pause();
    // It lies before the paused master, who does it when it wakes up, alone.
    let commit = writer.commit(Batch::new(partition(3)).put(k, b"v".into(), None), at(0)).await;
    assert!(matches!(commit, Err(CommitError::Store(StoreError::Unavailable))));
    until("another is the master", || redis.nodes[1..].iter().any(crate::support::redis::Node::is_master));
    redis.sentinels_look_every(std::time::Duration::from_secs(10), std::time::Duration::from_secs(20));
    redis.nodes[0].resume();
    let has = ["EXISTS", &format!("idgate:{{311}}:d:{}", base64_of(&k))];
    until("the old master has done it", || redis.nodes[0].ask(&has) == Reply::Number(1));
    assert!(redis.nodes[0].is_master(), "it still takes itself for the master");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < end && redis.nodes[0].is_master() {
        if let Ok(Some(told)) = reader.get(&k, at(0)).await {
            let sure = Batch::new(partition(3)).require(k, Expect::Version(told.version));
            let sure = reader.commit(sure, at(0)).await;
            assert!(sure.is_err(), "confirmed what is about to be lost");
        }
    }
}

fn base64_of(key: &idgate::store::Key) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&key.bytes()[2..])
}
