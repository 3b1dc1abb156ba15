//! A sealing key is given up only when nothing rests under it: what does is counted, and sealed anew.

use crate::support::redis::Redis;
use crate::support::{World, born};
use idgate::config::seals::{self, Seals, SealsError};
use idgate::config::{Settings, keys};
use idgate::source::Source;
use std::path::Path;

/// A sealing key in a file of its own.
fn key(directory: &Path, name: &str) -> Source {
    let file = directory.join(name);
    keys::secret(&file).unwrap();
    file.into()
}

/// Looks at what rests, as the command does: on a runtime of its own.
fn look(settings: &Settings, renew: bool) -> Result<Seals, SealsError> {
    let look = || tokio::runtime::Runtime::new().unwrap().block_on(seals::seals(settings, renew));
    std::thread::scope(|scope| scope.spawn(look).join().unwrap())
}

#[tokio::test]
async fn what_rests_under_an_older_key_is_counted_and_sealed_anew() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (key(home.path(), "one"), key(home.path(), "two"));
    let world = World::with(|settings| settings.store.sealing = vec![one.clone()], |_| {}).await;
    if world.settings.store.redis.used() {
        return;
    }
    let asked = world.given("minsu", &born(15, -40)).await;
    world.requested("jimin", &born(15, -41)).await;
    world.consent_required("seoyeon", &born(15, -42)).await;
    assert!(matches!(look(&world.settings, false), Err(SealsError::Embedded(..))), "a server has the store open");

    let mut rotated = world.settings.clone();
    rotated.store.sealing = vec![two.clone(), one];
    let between = |_: &Path| {
        let seals = |under: [u64; 2], renewed| Seals { under: under.into(), renewed, ..Seals::default() };
        assert_eq!(look(&rotated, false).unwrap(), seals([0, 3], 0));
        assert_eq!(look(&rotated, true).unwrap(), seals([3, 0], 3));
        assert_eq!(look(&rotated, true).unwrap(), seals([3, 0], 0), "once is enough");
    };
    let world = world.moved(|settings| settings.store.sealing = vec![two], between).await;
    world.check_by_consent("minsu", &asked.id).await.expect("what was remembered is known without the older key");
}

#[tokio::test]
async fn a_shared_store_is_looked_at_while_servers_use_it() {
    let redis = Redis::single();
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (key(home.path(), "one"), key(home.path(), "two"));
    let set = |settings: &mut Settings| {
        settings.store.redis = redis.settings();
        settings.store.sealing = vec![two.clone(), one.clone()];
    };
    // One server does not know yet that the keys were exchanged.
    let old = World::with(
        |settings| {
            set(settings);
            settings.store.sealing = vec![one.clone()];
        },
        |_| {},
    )
    .await;
    old.requested("minsu", &born(15, -40)).await;
    let mut settings = old.settings.clone();
    set(&mut settings);
    let seals = |under: [u64; 2], renewed| Seals { under: under.into(), renewed, ..Seals::default() };
    assert_eq!(look(&settings, false).unwrap(), seals([0, 1], 0));
    assert_eq!(look(&settings, true).unwrap(), seals([1, 0], 1));
    settings.store.sealing = vec![one];
    assert_eq!(look(&settings, true).unwrap(), Seals { under: vec![0], unknown: 1, ..Seals::default() });
}
