//! Three servers on one Redis with Sentinels, used all the time, while the servers are killed and Redis is killed,
//! restarted, paused and failed over: nothing that was acknowledged is lost, nothing is used twice, no limit is passed,
//! the audit chain holds, every event is told, and each timer fires once.
//!
//! `IDGATE_CHAOS_SECONDS=300` makes it as long as it should be before a release, `IDGATE_CHAOS_SEED` another run. The
//! figures are printed. It holds with the settings of deploy/redis.conf and every replica acknowledging.

#![allow(clippy::disallowed_methods, reason = "servers and faults take their time")]

mod fleet;
mod load;

use crate::support::faults::{Faults, seconds, seeded};
use crate::support::redis::Redis;
use crate::support::{SHOP, World};
use fleet::{Caller, Servers};
use idgate::audit::{Entry, Head, verify_chain};
use idgate::server::proto::age_gate_service_client::AgeGateServiceClient;
use idgate::server::proto::consent_service_client::ConsentServiceClient;
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::rights_service_client::RightsServiceClient;
use idgate::server::proto::{
    self, ConsentState, Event, EventType, RequestState, VerificationMethod, WatchRequest, WatchResponse,
};
use idgate::store::shared::Shared;
use idgate::store::{Partition, Store};
use idgate::terms::EventKind;
use jiff::{SignedDuration, Timestamp};
use load::{Ledger, declared, stories};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// Callers at the same time.
const CALLERS: usize = 10;
/// Hours until a consent that nobody answers is purged.
const ANSWER: SignedDuration = SignedDuration::from_hours(72);

/// Consents that were asked for three days ago, to time out while everything breaks; and where the keys lie.
async fn long_ago(redis: &Redis, window: u64) -> (World, Vec<String>) {
    let ago = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&ago);
    let settings = redis.settings();
    let world = World::with(
        |set| {
            set.store.redis = settings;
            set.checks.relying_party_attempts = 0;
            set.server.timer_seconds = 1;
            set.server.call_seconds = 5;
            set.checks.lease_seconds = 6;
            set.ocr.workers = 1;
        },
        |app| {
            app.clock = Box::new(move || Timestamp::now() - SignedDuration::from_secs(clock.load(Ordering::Relaxed)));
        },
    )
    .await;
    let mut random = fastrand::Rng::with_seed(seeded() + 3);
    let mut asked = Vec::new();
    for number in 0..window.max(30) {
        // Until the servers are there, none is due.
        let due = SignedDuration::from_secs(random.i64(15..i64::try_from(window).unwrap() + 15));
        ago.store((ANSWER - due).as_secs(), Ordering::Relaxed);
        let subject = format!("long-ago-{number}");
        let check = declared(&subject);
        let decision = tried(async || world.check(check.clone()).await).await.decision_id;
        let request = world.consent_request(&subject, &decision, &[VerificationMethod::SignedForm]);
        let requested = tried(async || {
            let request = world.authorized(SHOP, request.clone());
            world.consents().request_consent(request).await.map(tonic::Response::into_inner)
        });
        match requested.await.outcome {
            Some(proto::request_consent_response::Outcome::Requested(consent)) => asked.push(consent.consent_id),
            other => panic!("{other:?}"),
        }
    }
    (world, asked)
}

/// Asks until it is answered: nothing breaks yet, but everything may be slow.
async fn tried<A>(call: impl AsyncFn() -> Result<A, Status>) -> A {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(status) => assert!(Instant::now() < end && status.code() == Code::Unavailable, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Follows the events from server to server, as one should; tells what came, in order, and how many streams that took.
async fn follow(caller: Arc<Caller>, mut stop: watch::Receiver<bool>) -> (Vec<String>, u32) {
    let (mut seen, mut cursor, mut opened, mut server) = (Vec::new(), String::new(), 0, 0);
    loop {
        server += 1;
        let (channel, request) = caller.to(server, WatchRequest { cursor: cursor.clone(), types: vec![] });
        let mut client = EventServiceClient::new(channel);
        let watching = tokio::time::timeout(Duration::from_secs(3), client.watch(request)).await;
        if let Ok(Ok(answer)) = watching {
            opened += 1;
            let mut watching = answer.into_inner();
            loop {
                // A server that says nothing for longer than its sign of life is given up.
                let next = tokio::time::timeout(Duration::from_secs(4), watching.message()).await;
                let Ok(Ok(Some(WatchResponse { cursor: next, event }))) = next else { break };
                cursor = next;
                if let Some(event) = event {
                    seen.push(event.event_id);
                } else if *stop.borrow_and_update() {
                    return (seen, opened);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every event that is kept, as any server tells it.
async fn all_events(caller: &Caller) -> Vec<Event> {
    let (channel, request) = caller.to(0, WatchRequest::default());
    let mut watching = EventServiceClient::new(channel).watch(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = watching.message().await.unwrap().unwrap().event {
        events.push(event);
    }
    events
}

/// Checks every chain; how many entries there are, and how often each consent timed out.
async fn chains(store: &dyn Store) -> (u64, BTreeMap<String, u32>) {
    let (mut entries, mut timed_out) = (0, BTreeMap::new());
    for partition in Partition::all() {
        let mut end = Head::GENESIS;
        loop {
            let page = store.trail(partition, end.seq, 1_000).await.unwrap();
            if page.is_empty() {
                break;
            }
            end = verify_chain(partition.number(), end, &page, None).expect("the chain holds");
            for link in &page {
                if let Entry::ConsentMoved(moved) = link.entry().unwrap()
                    && moved.kind == EventKind::ConsentTimedOut
                {
                    *timed_out.entry(moved.consent_id.to_string()).or_default() += 1;
                }
            }
        }
        assert_eq!(end, store.head(partition).await.unwrap());
        entries += end.seq;
    }
    (entries, timed_out)
}

/// What was acknowledged and is not so: decisions, consents, rights requests.
async fn lost(caller: &Caller, ledger: &Ledger) -> Vec<String> {
    let mut lost = Vec::new();
    let decisions = ledger.decisions.lock().unwrap().clone();
    for decision_id in decisions {
        let request = proto::GetDecisionRequest { decision_id: decision_id.clone() };
        let ask = |to, ask| async { AgeGateServiceClient::new(to).get_decision(ask).await };
        if let Err(status) = caller.ask(&request, ask).await {
            lost.push(format!("decision {decision_id}: {}", status.message()));
        }
    }
    // What was told last holds, or what a caller asked for after it whose answer was lost.
    let consents = ledger.consents.lock().unwrap().clone();
    for (consent_id, told) in consents {
        let request = proto::GetConsentRequest { consent_id: consent_id.clone() };
        let ask = |to, ask| async { ConsentServiceClient::new(to).get_consent(ask).await };
        let is = caller.ask(&request, ask).await.map(|answer| answer.consent.unwrap().state());
        let order =
            [ConsentState::Requested, ConsentState::GuardianVerified, ConsentState::Given, ConsentState::Withdrawn];
        let place = |state: &ConsentState| order.iter().position(|known| known == state);
        if !is.as_ref().is_ok_and(|is| place(is) >= place(&told) && place(is).is_some()) {
            let asked = ledger.asked.lock().unwrap().get(&consent_id).copied();
            lost.push(format!("consent {consent_id}: told {told:?} ({asked:?} times asked), is {is:?}"));
        }
    }
    let requests = ledger.requests.lock().unwrap().clone();
    for (request_id, told) in requests {
        let request = proto::GetRequestRequest { request_id: request_id.clone(), language: String::new() };
        let ask = |to, ask| async { RightsServiceClient::new(to).get_request(ask).await };
        let is = caller.ask(&request, ask).await.map(|answer| answer.request.unwrap().state());
        let holds = match told {
            RequestState::Open => is.is_ok(),
            RequestState::Verified => matches!(is, Ok(RequestState::Verified | RequestState::Done)),
            other => is.is_ok_and(|is| is == other),
        };
        if !holds {
            lost.push(format!("request {request_id}: told {told:?}"));
        }
    }
    lost
}

/// The event's subject, as far as it is named.
fn name(event: &Event) -> &str {
    let names = [&event.consent_id, &event.request_id, &event.decision_id];
    names.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
}

/// How many events came before one that is before them in the log, of the same thing.
fn disorder(told: &[Event], came: &BTreeMap<&str, usize>) -> usize {
    let (mut last, mut late) = (BTreeMap::new(), 0);
    // What names nobody (an erasure) has no place among others.
    for event in told.iter().filter(|event| !name(event).is_empty()) {
        let place = came.get(event.event_id.as_str()).copied().unwrap_or(usize::MAX);
        let before = last.insert(name(event), place);
        late += usize::from(before.is_some_and(|before| before > place));
    }
    late
}

/// How much of the time the store could be used, until it is told to end.
async fn usable(store: Arc<Shared>, until: Instant) -> f64 {
    let (mut good, mut looks) = (0u32, 0u32);
    while Instant::now() < until {
        looks += 1;
        good += u32::from(store.health().await.is_ok());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    f64::from(good) / f64::from(looks.max(1))
}

/// Waits until a condition holds that servers bring about, at most so long.
async fn wait_for(longest: u64, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(longest);
    while !holds().await {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_or_done_twice_while_everything_breaks() {
    let window = seconds("IDGATE_CHAOS_SECONDS", 30);
    let redis = Redis::sentinel();
    let (past, asked) = long_ago(&redis, window).await;
    redis.impatient();
    let home = tempfile::tempdir().unwrap();
    let mut settings = past.settings.clone();
    settings.store.redis = redis.brisk_settings();
    // With fewer than all, acknowledged changes can be lost.
    let acknowledged = seconds("IDGATE_CHAOS_ACKNOWLEDGED", settings.store.redis.acknowledged_replicas.into());
    settings.store.redis.acknowledged_replicas = acknowledged.try_into().unwrap();
    settings.server.heartbeat_seconds = 1;
    settings.log.filter = "trace".to_owned();
    let servers = Servers::start(home.path(), &settings);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(window + 10);
    let caller = Arc::new(Caller::new(&servers, &settings, end + Duration::from_secs(60)));
    let ledger = Arc::new(Ledger::default());
    let (stop, stopped) = watch::channel(false);
    let follower = tokio::spawn(follow(Arc::clone(&caller), stopped));
    // The servers load their models first.
    let jwks = proto::GetJwksRequest::default();
    for server in 0..3 {
        let ask = |to, ask| async { proto::key_service_client::KeyServiceClient::new(to).get_jwks(ask).await };
        assert!(wait_for(60, async || caller.once(server, jwks, ask).await.is_ok_and(|a| a.is_some())).await);
    }
    caller.refusals.lock().unwrap().clear();
    let ready = begun.elapsed();

    let end = Instant::now() + Duration::from_secs(window);
    let faults = Faults::start(redis, seeded(), end);
    let killer = servers.kill_until(end);
    let store = Arc::new(Shared::new(&settings.store.redis).unwrap());
    let usable = tokio::spawn(usable(Arc::clone(&store), end));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(stories(Arc::clone(&caller), Arc::clone(&ledger), end));
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let (redis, faults, servers) = tokio::task::spawn_blocking(move || {
        let (redis, faults) = faults.end();
        (redis, faults, killer.join().unwrap())
    })
    .await
    .unwrap();

    let usable = usable.await.unwrap() * 100.0;
    let all_fired =
        wait_for(90, async || store.health().await.is_ok() && chains(&*store).await.1.len() >= asked.len()).await;
    // Whatever would fire a second time has the time to.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let lost = lost(&caller, &ledger).await;
    let (entries, timed_out) = chains(&*store).await;
    let told = all_events(&caller).await;
    stop.send(true).unwrap();
    let (seen, opened) = follower.await.unwrap();

    let ids: BTreeSet<&str> = told.iter().map(|event| event.event_id.as_str()).collect();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, id) in seen.iter().enumerate() {
        first.entry(id).or_insert(place);
    }
    let missed = ids.iter().filter(|id| !first.contains_key(**id)).count();
    let out_of_order = disorder(&told, &first);
    let mut named: BTreeMap<(EventType, &str), u32> = BTreeMap::new();
    for event in &told {
        *named.entry((event.r#type(), name(event))).or_default() += 1;
    }
    let promised = ledger.events.lock().unwrap().clone();
    let untold: Vec<_> = promised.iter().filter(|(kind, name)| !named.contains_key(&(*kind, name.as_str()))).collect();
    let fired = asked.iter().filter(|id| timed_out.get(*id) == Some(&1)).count();
    let told_once = asked.iter().filter(|id| named.get(&(EventType::ConsentTimedOut, id.as_str())) == Some(&1)).count();
    let given_twice = named.iter().filter(|((kind, _), times)| *kind == EventType::ConsentGiven && **times > 1).count();
    let used_twice =
        named.iter().filter(|((kind, _), times)| *kind == EventType::RightsProofRedeemed && **times > 1).count();
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let complaints: Vec<String> = servers.running.iter().flat_map(fleet::Server::complaints).collect();
    println!("chaos: seed {}, {window} s after {ready:?}; servers killed {}, Redis {faults}", seeded(), servers.kills);
    println!("  {acknowledged} replicas acknowledge; the store could be used {usable:.0} % of the time");
    println!(
        "  stories {}, changes acknowledged {}, lost {}",
        count(&ledger.stories),
        count(&ledger.acknowledged),
        lost.len()
    );
    println!(
        "  single-use tokens {}, spent twice {} (in the trail: {given_twice} answers, {used_twice} proofs)",
        count(&ledger.tokens),
        count(&ledger.spent_twice)
    );
    println!("  codes and limits {}, over their limit {}", count(&ledger.limits), count(&ledger.over_limit));
    println!("  audit entries {entries}, all chains hold");
    println!(
        "  events {} ({} told again, {opened} streams), never told {missed}, out of order {out_of_order}, promised and not there {}",
        ids.len(),
        seen.len() - first.len(),
        untold.len()
    );
    println!("  timers {}, fired once {fired}, told once {told_once}, all in time: {all_fired}", asked.len());
    println!("  not answered: {:?}", caller.refusals.lock().unwrap());
    println!("  complaints in the logs: {} {:#?}", complaints.len(), complaints.iter().take(5).collect::<Vec<_>>());
    println!("  lost: {lost:#?}\n  untold: {untold:#?}\n  wrong: {:#?}", ledger.wrong.lock().unwrap());

    let (leaks, lines): (Vec<_>, Vec<_>) = servers.running.iter().map(fleet::Server::leaks).unzip();
    println!("  lines in the logs: {}, leaks: {leaks:?}", lines.iter().sum::<usize>());

    drop((servers, redis, past));
    assert!(leaks.iter().all(Vec::is_empty) && lines.iter().all(|count| *count > 0));
    assert!(lost.is_empty() && untold.is_empty());
    assert_eq!((count(&ledger.spent_twice), given_twice, used_twice, count(&ledger.over_limit)), (0, 0, 0, 0));
    assert_eq!((ids.len(), missed, out_of_order), (told.len(), 0, 0));
    assert_eq!((fired, told_once), (asked.len(), asked.len()));
    assert!(ledger.wrong.lock().unwrap().is_empty());
    assert!(!complaints.iter().any(|line| line.contains("panicked")));
    assert!(
        count(&ledger.acknowledged) > 20 && count(&ledger.tokens) > 0 && count(&ledger.limits) > 0,
        "nothing was tried"
    );
}
