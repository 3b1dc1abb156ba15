//! Events: told to their relying party alone, in order, at least once, as slowly as anybody likes; by stream.

use crate::support::{SHOP, World, ask, assert_retry_later, born, reason};
use idgate::audit::{ConsentMoved, DocumentRead, Entry, SubjectErased};
use idgate::server::proto::event_service_client::EventServiceClient;
use idgate::server::proto::{Event, EventType, WatchRequest, WatchResponse};
use idgate::store::{Batch, Partition, Store};
use idgate::terms::{ConsentActor, ConsentId, ConsentPurpose, ConsentState, EventKind};
use jiff::Timestamp;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

type Watching = Streaming<WatchResponse>;

fn from(cursor: &str) -> WatchRequest {
    WatchRequest { cursor: cursor.to_owned(), types: vec![] }
}

async fn watch_as(world: &World, party: &str, request: WatchRequest) -> Result<Watching, Status> {
    let mut client = EventServiceClient::new(world.channel.clone());
    client.watch(world.authorized(party, request)).await.map(|answer| answer.into_inner())
}

async fn watch(world: &World, request: WatchRequest) -> Watching {
    watch_as(world, SHOP, request).await.unwrap()
}

/// The next event with its cursor; marks are passed over.
async fn next(watching: &mut Watching) -> (String, Event) {
    loop {
        let WatchResponse { cursor, event } = watching.message().await.unwrap().expect("the stream goes on");
        if let Some(event) = event {
            return (cursor, event);
        }
    }
}

/// The next mark's cursor; there must be no event before it.
async fn mark(watching: &mut Watching) -> String {
    let message = watching.message().await.unwrap().expect("the stream goes on");
    assert_eq!(message.event, None);
    message.cursor
}

/// The events up to where there is nothing else, each with its cursor.
async fn all(watching: &mut Watching) -> Vec<(String, Event)> {
    let mut events = Vec::new();
    loop {
        let WatchResponse { cursor, event } = watching.message().await.unwrap().expect("the stream goes on");
        match event {
            Some(event) => events.push((cursor, event)),
            None => return events,
        }
    }
}

fn ids(events: &[(String, Event)]) -> Vec<&str> {
    events.iter().map(|(_, event)| event.event_id.as_str()).collect()
}

/// A world and its store, to record into.
async fn world(set: impl FnOnce(&mut idgate::config::Settings)) -> (World, Arc<dyn Store>) {
    let place = Arc::new(Mutex::new(None));
    let store = Arc::clone(&place);
    let world = World::with(set, move |app| *store.lock().unwrap() = Some(Arc::clone(&app.store))).await;
    let store = place.lock().unwrap().take().unwrap();
    (world, store)
}

fn erased(party: &str) -> Entry {
    Entry::SubjectErased(SubjectErased { at: Timestamp::now(), relying_party: party.parse().unwrap() })
}

/// A consent that has moved for the `number`th time.
fn moved(consent: ConsentId, number: u64) -> Entry {
    Entry::ConsentMoved(Box::new(ConsentMoved {
        kind: EventKind::ConsentChanged,
        at: Timestamp::from_second(1_800_000_000 + i64::try_from(number).unwrap()).unwrap(),
        consent_id: consent,
        relying_party: SHOP.parse().unwrap(),
        decision_id: None,
        state: ConsentState::Given,
        actor: ConsentActor::Guardian,
        granted: vec![ConsentPurpose::Collection, ConsentPurpose::Marketing],
        method: None,
        line: None,
        last_line: false,
        rule: None,
        policy: None,
        image: None,
    }))
}

async fn record(store: &dyn Store, partition: u8, entries: impl IntoIterator<Item = Entry>) {
    let mut entries = entries.into_iter().peekable();
    let partition = Partition::new(partition).unwrap();
    while entries.peek().is_some() {
        let batch = entries.by_ref().take(Batch::MAX_ITEMS).fold(Batch::new(partition), Batch::record);
        store.commit(batch, Timestamp::now()).await.unwrap();
    }
}

/// So many events of the shop, unevenly over the partitions, between as many of another's and some of nobody's.
async fn record_mixed(store: &dyn Store, count: u64) {
    let mut by_partition: BTreeMap<u8, Vec<Entry>> = BTreeMap::new();
    for number in 0..count {
        let consent = ConsentId(Uuid::from_u128(u128::from(number % 7)));
        let partition = [0, 3, 3, 7, 8, 15, 15][usize::try_from(number % 7).unwrap()];
        let read = DocumentRead {
            at: Timestamp::now(),
            decision_id: Partition::new(0).unwrap().stamp(Uuid::nil()),
            relying_party: SHOP.parse().unwrap(),
            fields: vec![],
            document: None,
            assurance: None,
            reasons: vec![],
            image: None,
        };
        let untold = Entry::DocumentRead(Box::new(read));
        by_partition.entry(partition).or_default().extend([erased("another-shop"), moved(consent, number), untold]);
    }
    for (partition, entries) in by_partition {
        record(store, partition, entries).await;
    }
}

#[tokio::test]
async fn a_decision_is_told_at_once_and_to_its_relying_party_alone() {
    let world = World::start().await;
    let mut shop = watch(&world, from("")).await;
    let mut other = watch_as(&world, "another-shop", from("")).await.unwrap();
    mark(&mut shop).await;
    mark(&mut other).await;
    let answer = world.check(ask("s-1", "key-1", "read 1990-05-05")).await.unwrap();
    let (_, event) = next(&mut shop).await;
    assert_eq!((event.r#type(), &event.decision_id), (EventType::DecisionMade, &answer.decision_id));
    assert!(event.occurred_at.is_some() && event.event_id.starts_with("evt_"));

    let theirs = world.check_as("another-shop", ask("s-1", "key-1", "blurred")).await.unwrap();
    let (_, event) = next(&mut other).await;
    assert_eq!(event.decision_id, theirs.decision_id, "the first they are told is their own");
    assert_eq!(all(&mut watch(&world, from("")).await).await.len(), 1);
    assert_eq!(all(&mut watch_as(&world, "a-third-shop", from("")).await.unwrap()).await, []);
}

#[tokio::test]
async fn of_a_blocked_child_the_hour_is_told_and_nothing_else() {
    let world = World::start().await;
    world.check(ask("child", "key-1", &format!("read {}", born(9, 3)))).await.unwrap();
    let (_, event) = next(&mut watch(&world, from("")).await).await;
    let hour = event.occurred_at.unwrap();
    assert_eq!((hour.seconds % 3600, hour.nanos), (0, 0));
    let bare = Event {
        event_id: event.event_id.clone(),
        r#type: EventType::AgeBlocked.into(),
        occurred_at: event.occurred_at,
        ..Event::default()
    };
    assert_eq!(event, bare);
}

#[tokio::test]
async fn no_event_holds_a_reference_or_a_date_of_birth() {
    let world = World::start().await;
    for (n, picture) in ["read 1990-05-05", "read 1971-12-24", "blurred", "conflict 1990-01-01"].iter().enumerate() {
        world.check(ask("canary-8c1f", &format!("canary-key-{n}"), picture)).await.unwrap();
    }
    world.check(ask("canary-child", "canary-key-9", &format!("read {}", born(9, 3)))).await.unwrap();
    let mut watching = watch(&world, from("")).await;
    let events = all(&mut watching).await;
    assert_eq!(events.len(), 5);
    for (cursor, event) in events {
        let bytes = [event.encode_to_vec(), cursor.into_bytes()].concat();
        for canary in ["canary", "1990-05", "1971", "12-24", &born(9, 3)] {
            assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary} in {event:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_misses_nothing_and_repeats_nothing_that_was_dealt_with() {
    let (world, store) = world(|_| {}).await;
    record_mixed(&*store, 700).await;
    let events = all(&mut watch(&world, from("")).await).await;
    assert_eq!(events.len(), 700);
    let whole: BTreeSet<&str> = ids(&events).into_iter().collect();
    assert_eq!(whole.len(), 700, "each once");
    for dealt_with in [1, 2, 50, 255, 256, 257, 511, 699] {
        let (before, _) = events.split_at(dealt_with);
        let again = all(&mut watch(&world, from(&before[dealt_with - 1].0)).await).await;
        let mut union: BTreeSet<&str> = ids(before).into_iter().collect();
        assert!(ids(&again).iter().all(|id| union.insert(id)), "repeated after {dealt_with}");
        assert_eq!(union, whole, "missed after {dealt_with}");
    }
    // The last cursor is at the end, and the mark's as well, which is also past what is not told.
    let mut watching = watch(&world, from(&events[699].0)).await;
    let end = mark(&mut watching).await;
    record(&*store, 5, [erased(SHOP)]).await;
    let (_, event) = next(&mut watching).await;
    let again = all(&mut watch(&world, from(&end)).await).await;
    assert_eq!(ids(&again), [event.event_id]);
}

#[tokio::test]
async fn what_concerns_one_person_comes_in_order() {
    let (world, store) = world(|_| {}).await;
    record_mixed(&*store, 600).await;
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (_, event) in all(&mut watch(&world, from("")).await).await {
        assert_eq!(event.granted.len(), 2);
        let second = event.occurred_at.unwrap().seconds;
        assert!(last.insert(event.consent_id, second).is_none_or(|before| before < second));
    }
    assert_eq!(last.len(), 7);
}

#[tokio::test]
async fn no_partition_waits_for_another_to_end() {
    let (world, store) = world(|_| {}).await;
    record(&*store, 2, (0..2000).map(|n| moved(ConsentId(Uuid::nil()), n))).await;
    record(&*store, 9, [erased(SHOP)]).await;
    let mut watching = watch(&world, from("")).await;
    for _ in 0..3 {
        if next(&mut watching).await.1.r#type() == EventType::SubjectErased {
            return;
        }
    }
    panic!("the one event of a quiet partition waits behind a busy one's");
}

#[tokio::test]
async fn a_cursor_outlives_the_server() {
    let (world, store) = world(|_| {}).await;
    record_mixed(&*store, 40).await;
    drop(store);
    let events = all(&mut watch(&world, from("")).await).await;
    let world = world.restart(|_| {}).await;
    let answer = world.check(ask("s-1", "key-1", "read 1990-05-05")).await.unwrap();
    let after = all(&mut watch(&world, from(&events[19].0)).await).await;
    assert_eq!(after.len(), 21);
    assert!(ids(&after).iter().all(|id| !ids(&events[..20]).contains(id)), "the names are the same after a restart");
    assert!(after.iter().any(|(_, event)| event.decision_id == answer.decision_id));
}

/// A connection that takes no more than the protocol's smallest window while nobody reads.
async fn narrow_channel(world: &World) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", world.address)).unwrap();
    endpoint.initial_stream_window_size(65_535).connect().await.unwrap()
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_more_and_holds_nobody_back() {
    let (world, store) = world(|_| {}).await;
    let mut slow = EventServiceClient::new(narrow_channel(&world).await)
        .watch(world.authorized(SHOP, from("")))
        .await
        .unwrap()
        .into_inner();
    mark(&mut slow).await;
    let mut quick = watch(&world, from("")).await;
    mark(&mut quick).await;
    record_mixed(&*store, 3000).await;
    let mut seen = Vec::new();
    while seen.len() < 3000 {
        seen.push(next(&mut quick).await.1.event_id);
    }
    let streamed = metric(&world, "idgate_events_streamed_total").await;
    assert!((3000..4000).contains(&streamed), "{streamed}: what is not read waits in the log");
    let mut late = Vec::new();
    while late.len() < 3000 {
        late.push(next(&mut slow).await.1.event_id);
    }
    late.sort();
    seen.sort();
    assert_eq!(late, seen, "and comes when it is read");
}

pub async fn metric(world: &World, name: &str) -> i64 {
    let text = world.http("/metrics").await.1;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn what_another_server_records_is_seen_too() {
    // The store tells somebody else what it recorded, as another server's would.
    let world = World::with(|_| {}, |app| app.stirred = Arc::default()).await;
    let mut watching = watch(&world, from("")).await;
    mark(&mut watching).await;
    let answer = world.check(ask("s-1", "key-1", "read 1990-05-05")).await.unwrap();
    assert_eq!(next(&mut watching).await.1.decision_id, answer.decision_id);
}

#[tokio::test]
async fn a_cursor_that_is_none_or_of_another_log_is_refused() {
    let (world, store) = world(|_| {}).await;
    let start = mark(&mut watch(&world, from("")).await).await;
    record(&*store, 4, [erased(SHOP)]).await;
    let (cursor, _) = next(&mut watch(&world, from(&start)).await).await;
    for garbled in ["x", &cursor[1..], &cursor[..cursor.len() - 1], &cursor.to_uppercase(), &format!("{cursor}=")] {
        let refused = watch_as(&world, SHOP, from(garbled)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BAD_REQUEST"));
        assert!(refused.message().starts_with("cursor") && !refused.message().contains(garbled));
    }
    let elsewhere = World::start().await;
    let ahead = watch_as(&elsewhere, SHOP, from(&cursor)).await.unwrap_err();
    assert_eq!((ahead.code(), reason(&ahead).as_str()), (Code::FailedPrecondition, "CURSOR_AHEAD"));
}

#[tokio::test]
async fn only_the_types_that_are_asked_for_are_told() {
    let (world, store) = world(|settings| settings.server.heartbeat_seconds = 1).await;
    record_mixed(&*store, 20).await;
    record(&*store, 1, [erased(SHOP)]).await;
    let only = |kind: EventType| WatchRequest { types: vec![kind.into()], ..from("") };
    let mut erasures = watch(&world, only(EventType::SubjectErased)).await;
    assert_eq!(all(&mut erasures).await.len(), 1);
    assert_eq!(all(&mut watch(&world, only(EventType::ConsentChanged)).await).await.len(), 20);
    let end = mark(&mut erasures).await;
    assert_eq!(all(&mut watch(&world, from(&end)).await).await, [], "a sign of life is past what was left out");
    let refused = watch_as(&world, SHOP, only(EventType::Unspecified)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BAD_REQUEST"));
}

#[tokio::test]
async fn a_relying_party_may_have_so_many_streams_open() {
    let world = World::with(|settings| settings.server.watches_per_caller = 2, |_| {}).await;
    let mut first = watch(&world, from("")).await;
    let second = watch(&world, from("")).await;
    let refused = watch_as(&world, SHOP, from("")).await.unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "TOO_MANY_WATCHES");
    watch_as(&world, "another-shop", from("")).await.expect("its own share");
    drop(second);
    while watch_as(&world, SHOP, from("")).await.is_err() {
        tokio::task::yield_now().await;
    }
    mark(&mut first).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_server_and_when_its_time_is_over() {
    let mut world = World::with(|settings| settings.server.drain_seconds = 5, |_| {}).await;
    let mut watching = watch(&world, from("")).await;
    mark(&mut watching).await;
    world.stop();
    let status = watching.message().await.unwrap_err();
    assert_retry_later(&status, Code::Unavailable, "SHUTTING_DOWN");
    world.ended().await.expect("in time, with the stream still in the caller's hands");

    let world = World::with(|settings| settings.server.stream_seconds = 1, |_| {}).await;
    let mut watching = watch(&world, from("")).await;
    let cursor = mark(&mut watching).await;
    let status = watching.message().await.unwrap_err();
    assert_retry_later(&status, Code::Unavailable, "STREAM_OVER");
    let answer = world.check(ask("s-1", "key-1", "read 1990-05-05")).await.unwrap();
    let (_, event) = next(&mut watch(&world, from(&cursor)).await).await;
    assert_eq!(event.decision_id, answer.decision_id);
}
