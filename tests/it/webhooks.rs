//! Webhooks: the same events, signed, until they are taken; each for itself.

use crate::support::{Post, Receiver, SHOP, World, ask, born};
use idgate::config::Settings;
use idgate::flows::webhooks::signing::{Refused, Secrets, verify};
use idgate::flows::webhooks::{self, Webhook};
use idgate::secret::Sensitive;
use idgate::terms::EventKind;
use idgate::tokens::files;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// What the receiver shares with the server, as a file says it.
const SECRET: &str = "whsec_c3ludGhldGljIHNlY3JldCBmb3IgdGVzdHM=";

fn secrets(text: &str) -> Secrets {
    Secrets::parse(&Sensitive::new(text.as_bytes().to_vec())).unwrap()
}

/// A webhook of the shop.
fn webhook(settings: &Settings, url: &str) -> webhooks::Settings {
    let directory = settings.data_dir.parent().unwrap();
    let secret = directory.join("webhook.secret");
    files::write_private(&secret, &Sensitive::new(SECRET.as_bytes().to_vec())).unwrap();
    webhooks::Settings {
        relying_party: SHOP.parse().unwrap(),
        url: url.to_owned(),
        secret: secret.into(),
        name: String::new(),
        types: [].into(),
        from: webhooks::From::Start,
        ca: PathBuf::new(),
    }
}

async fn world(urls: &[&str]) -> World {
    let set = |settings: &mut Settings| {
        settings.webhooks = urls.iter().map(|url| webhook(settings, url)).collect();
        settings.checks.subject_attempts = 100;
    };
    World::with(set, |_| {}).await
}

/// The shop checks somebody; the decision's name.
async fn decide(world: &World, key: &str) -> String {
    world.check(ask("canary-s-1", key, "read 1990-05-05")).await.unwrap().decision_id
}

fn decision(post: &Post) -> String {
    post.json()["data"]["decision_id"].as_str().unwrap().to_owned()
}

fn check(post: &Post, secret: &str, now: Timestamp) -> Result<(), Refused> {
    verify(&secrets(secret), (&post.id, &post.timestamp, &post.signature), &post.body, now)
}

#[tokio::test]
async fn an_event_is_posted_signed_and_without_anything_about_a_person() {
    let receiver = Receiver::start().await;
    let world = world(&[&receiver.url()]).await;
    let decided = decide(&world, "canary-key-1").await;
    world.check(ask("canary-child", "canary-key-2", &format!("read {}", born(9, 3)))).await.unwrap();
    world.check_as("another-shop", ask("canary-s-1", "canary-key-3", "read 1990-05-05")).await.unwrap();
    let last = decide(&world, "canary-key-4").await;
    let posts = receiver.until(3).await;
    // What happens to one person is in order; what happens to two need not be.
    let (decisions, blocked): (Vec<&Post>, Vec<&Post>) =
        posts.iter().partition(|post| post.json()["type"] == "decision.made");
    let told: Vec<String> = decisions.iter().map(|post| decision(post)).collect();
    assert_eq!(told, [decided, last], "and none of another's");

    let now = Timestamp::now();
    for post in &posts {
        assert_eq!(check(post, SECRET, now), Ok(()));
        assert_eq!(check(post, &"0a".repeat(32), now), Err(Refused::Signature));
        for moved in [SignedDuration::from_mins(-6), SignedDuration::from_mins(6)] {
            assert_eq!(check(post, SECRET, now + moved), Err(Refused::OutOfWindow));
        }
        let changed = Post { body: String::from_utf8_lossy(&post.body).replace('e', "3").into_bytes(), ..post.clone() };
        assert_eq!(check(&changed, SECRET, now), Err(Refused::Signature));
        let text = format!("{}{}{}", post.path, post.headers, String::from_utf8_lossy(&post.body));
        assert!(["canary", "1990-05", &born(9, 3)].iter().all(|canary| !text.contains(canary)), "{text}");
    }
    let json = decisions[0].json();
    assert_eq!((&json["type"], &json["data"]["event_id"]), (&"decision.made".into(), &decisions[0].id.as_str().into()));
    assert!(json["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    let blocked = blocked[0].json();
    assert_eq!((&blocked["type"], blocked["data"].as_object().unwrap().len()), (&"age.blocked".into(), 1));
}

#[tokio::test]
async fn what_is_not_taken_is_posted_again_before_anything_else() {
    let receiver = Receiver::start().await;
    receiver.answer([500, 410]);
    let world = world(&[&receiver.url()]).await;
    let first = decide(&world, "key-1").await;
    let second = decide(&world, "key-2").await;
    let posts = receiver.until(4).await;
    let told: BTreeSet = posts.iter().map(decision).collect();
    assert_eq!(told, [first, second].into());
    assert!(posts[0].id == posts[1].id && posts[1].id == posts[2].id && posts[2].id != posts[3].id);
    assert!(posts[0].body == posts[2].body && posts.iter().all(|post| check(post, SECRET, Timestamp::now()).is_ok()));
    let metrics = until_metrics(&world, r#"idgate_webhook_attempts_total{came_to="delivered"} 2"#).await;
    for line in [
        r#"idgate_webhook_attempts_total{came_to="failing"} 1"#,
        r#"idgate_webhook_attempts_total{came_to="gone"} 1"#,
        "idgate_webhooks_failing 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

type BTreeSet = std::collections::BTreeSet<String>;

async fn until_metrics(world: &World, line: &str) -> String {
    loop {
        let metrics = world.http("/metrics").await.1;
        if metrics.contains(line) {
            return metrics;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn it_goes_on_where_it_was_after_a_restart() {
    let receiver = Receiver::start().await;
    let world = world(&[&receiver.url()]).await;
    let first = decide(&world, "key-1").await;
    receiver.until(1).await;
    until_metrics(&world, "idgate_webhooks_behind 0\n").await;
    receiver.always(503);
    let second = decide(&world, "key-2").await;
    receiver.until(2).await;
    until_metrics(&world, "idgate_webhooks_failing 1\n").await;
    let world = world.restart(|_| {}).await;
    // It still fails; once it does not any more, what was not taken comes, and after it what is new.
    let failed = receiver.until(3).await.len();
    receiver.always(200);
    let third = decide(&world, "key-3").await;
    until_metrics(&world, r#"idgate_webhook_attempts_total{came_to="delivered"} 2"#).await;
    let posts = receiver.until(failed + 1).await;
    let told: Vec<String> = posts.iter().map(decision).collect();
    assert_eq!(told.iter().filter(|id| **id == first).count(), 1, "what was taken is not posted again");
    assert_eq!(told.iter().collect::<std::collections::BTreeSet<_>>(), [&first, &second, &third].into());
}

#[tokio::test]
async fn a_dead_endpoint_holds_back_no_other() {
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    dead.always(500);
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let refusing = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    // Takes connections and never answers.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let waiting = format!("http://{}/", silent.local_addr().unwrap());
    let world = world(&[&dead.url(), &refusing, &waiting, &alive.url()]).await;
    let mut decided = BTreeSet::new();
    for n in 0..20 {
        decided.insert(decide(&world, &format!("key-{n}")).await);
    }
    let told: BTreeSet = alive.until(20).await.iter().map(decision).collect();
    assert_eq!(told, decided);
    let stuck = dead.until(1).await;
    assert!(stuck.iter().all(|post| post.id == stuck[0].id), "it waits for its first");
    until_metrics(&world, "idgate_webhooks_failing 2\n").await;
    drop(silent);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await;
    receiver.answer([307, 302]);
    let world = world(&[&receiver.url()]).await;
    decide(&world, "key-1").await;
    let posts = receiver.until(3).await;
    assert!(posts.iter().all(|post| post.path == "/hooks" && post.id == posts[0].id));
}

#[tokio::test]
async fn it_begins_at_the_end_of_the_log_and_tells_only_what_is_asked_for() {
    let receiver = Receiver::start().await;
    let world = world(&[]).await;
    decide(&world, "key-1").await;
    let add = |from, kind: EventKind| {
        let mut set = webhook(&world.settings, &receiver.url());
        (set.from, set.types, set.name) = (from, [kind].into(), kind.to_string());
        set
    };
    let secret = Sensitive::new(SECRET.as_bytes().to_vec());
    let hooks = [add(webhooks::From::Now, EventKind::DecisionMade), add(webhooks::From::Start, EventKind::AgeBlocked)]
        .map(|set| Webhook::new(&set, &secret, None).unwrap());
    let world = world.restart(|app| app.webhooks.extend(hooks)).await;
    let second = decide(&world, "key-2").await;
    world.check(ask("child", "key-3", &format!("read {}", born(9, 3)))).await.unwrap();
    let posts = receiver.until(2).await;
    let mut kinds: Vec<String> = posts.iter().map(|post| post.json()["type"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    assert_eq!(kinds, ["age.blocked", "decision.made"]);
    let told = posts.iter().find_map(|post| post.json()["data"]["decision_id"].as_str().map(str::to_owned));
    assert_eq!(told, Some(second), "and not what was there before");
}

#[tokio::test]
async fn of_two_servers_one_delivers() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    let mut set = None;
    let world = World::with(|settings| set = Some(webhook(settings, &url)), |_| {}).await;
    let set = set.unwrap();
    let secret = Sensitive::new(SECRET.as_bytes().to_vec());
    // Two tasks with the same webhook over one store, each as if it were alone.
    let twice = [(); 2].map(|()| Webhook::new(&set, &secret, None).unwrap());
    let world = world.restart(|app| app.webhooks.extend(twice)).await;
    let mut decided = Vec::new();
    for n in 0..4 {
        decided.push(decide(&world, &format!("key-{n}")).await);
    }
    until_metrics(&world, r#"idgate_webhook_attempts_total{came_to="delivered"} 4"#).await;
    let mut told: Vec<String> = receiver.until(4).await.iter().map(decision).collect();
    told.sort();
    decided.sort();
    assert_eq!(told, decided, "each once");
    world.restart(|app| app.webhooks.clear()).await;
    assert_eq!(receiver.until(4).await.len(), 4);
}

#[tokio::test]
async fn of_a_server_that_was_killed_the_next_takes_over_when_its_lease_has_lapsed() {
    let receiver = Receiver::start().await;
    receiver.always(500);
    let world = world(&[&receiver.url()]).await;
    let decided = decide(&world, "key-1").await;
    receiver.until(1).await;
    let later = || Timestamp::now() + SignedDuration::from_secs(61);
    let world = world.crash(move |app| app.clock = Box::new(later)).await;
    receiver.always(200);
    until_metrics(&world, r#"idgate_webhook_attempts_total{came_to="delivered"} 1"#).await;
    assert!(receiver.until(2).await.iter().all(|post| decision(post) == decided));
}

#[tokio::test]
async fn tls_is_spoken_and_only_a_trusted_certificate_is_believed() {
    let receiver = Receiver::start().await;
    let port = receiver.behind_tls().await.port();
    let by_name = |host: &str| format!("https://{host}:{port}/hooks");
    let ca = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/webhook/ca.pem");
    let set = |settings: &mut Settings| {
        let (mut trusted, mut misnamed) =
            (webhook(settings, &by_name("localhost")), webhook(settings, &by_name("127.0.0.1")));
        trusted.types = [EventKind::DecisionMade].into();
        (trusted.ca, misnamed.ca) = (ca.clone(), ca.clone());
        let untrusted = webhooks::Settings { name: "untrusted".to_owned(), ca: PathBuf::new(), ..trusted.clone() };
        settings.webhooks = vec![untrusted, misnamed, trusted];
    };
    let world = World::with(set, |_| {}).await;
    let decided = decide(&world, "key-1").await;
    let posts = receiver.until(1).await;
    assert_eq!((decision(&posts[0]), check(&posts[0], SECRET, Timestamp::now())), (decided, Ok(())));
    let metrics = until_metrics(&world, "idgate_webhooks_failing 2\n").await;
    assert!(metrics.contains(r#"idgate_webhook_attempts_total{came_to="unreachable"}"#), "{metrics}");
    assert_eq!(receiver.until(1).await.len(), 1, "the others got nowhere");
}
