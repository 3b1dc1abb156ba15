//! The legal clock: by the calendar of the place, told once, listed by date without loss.

use crate::support::rights::{asks, at, date, day, done, fresh_key, pass, wire};
use crate::support::{SHOP, TurnedClock, World, reason};
use idgate::flows::App;
use idgate::server::proto::{
    self, EventType, ExtensionReason, ListDueRequest, OpenRequestRequest, Regime, RequestState, Right, RightsRequest,
    Vouched,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Code;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

async fn world_at(now: &str) -> (World, TurnedClock) {
    let clock = TurnedClock::at(now);
    (World::wound(&clock).await, clock)
}

fn wind(clock: &TurnedClock) -> impl FnOnce(&mut App) + use<> {
    let clock = clock.clone();
    move |app| clock.wind(app)
}

/// What came in then.
fn received(at: &str, ask: OpenRequestRequest) -> OpenRequestRequest {
    let at: Timestamp = at.parse().unwrap();
    OpenRequestRequest { received_at: Some(wire(at)), idempotency_key: fresh_key(), ..ask }
}

#[tokio::test]
async fn due_dates_are_by_the_calendar_and_zone_of_the_place() {
    let (world, _) = world_at("2027-12-31T23:00:00Z").await;
    // Place, right, when it came in; then: due, the end of that day in the first zone of the place, acknowledge by.
    let mut wrong = Vec::new();
    for (place, right, came, due, due_at, acknowledge) in [
        // A month from 31 January ends with February, before the 30 days of the policy.
        ("DE", Right::Access, "2027-01-31T11:00:00Z", "2027-02-28", "2027-02-28T23:00:00Z", "2027-02-10"),
        ("DE", Right::Access, "2027-01-30T11:00:00Z", "2027-02-28", "2027-02-28T23:00:00Z", "2027-02-09"),
        // And in a month of 31 days the 30 days are less.
        ("DE", Right::Access, "2027-05-15T11:00:00Z", "2027-06-14", "2027-06-14T22:00:00Z", "2027-05-25"),
        // Midnight in Berlin, an hour apart.
        ("DE", Right::Access, "2027-06-09T21:59:59Z", "2027-07-09", "2027-07-09T22:00:00Z", "2027-06-19"),
        ("DE", Right::Access, "2027-06-09T22:00:00Z", "2027-07-10", "2027-07-10T22:00:00Z", "2027-06-20"),
        // Korea: ten days, five for a consent that is taken back, thirty for an explanation; midnight is at 15:00.
        ("KR", Right::Access, "2027-01-31T03:00:00Z", "2027-02-10", "2027-02-10T15:00:00Z", "2027-02-10"),
        ("KR", Right::Access, "2027-01-31T14:59:59Z", "2027-02-10", "2027-02-10T15:00:00Z", "2027-02-10"),
        ("KR", Right::Access, "2027-01-31T15:00:00Z", "2027-02-11", "2027-02-11T15:00:00Z", "2027-02-11"),
        ("KR", Right::WithdrawConsent, "2027-01-31T03:00:00Z", "2027-02-05", "2027-02-05T15:00:00Z", "2027-02-05"),
        ("KR", Right::ExplainDecision, "2027-01-31T03:00:00Z", "2027-02-28", "2027-02-28T15:00:00Z", "2027-02-10"),
        // California: the policy's 30 days come before the 45, its ten days before ten business days.
        ("US-CA", Right::Delete, "2027-06-01T20:00:00Z", "2027-07-01", "2027-07-02T07:00:00Z", "2027-06-11"),
        // Fifteen business days: the fifth of July is a holiday (the fourth is a Sunday).
        ("US-CA", Right::OptOut, "2027-07-01T20:00:00Z", "2027-07-23", "2027-07-24T07:00:00Z", "2027-07-11"),
        ("US-CA", Right::OptOut, "2027-08-02T20:00:00Z", "2027-08-23", "2027-08-24T07:00:00Z", "2027-08-12"),
        // A day of the United States begins last in Pago Pago and ends first on Wake.
        ("US", Right::Delete, "2027-06-02T10:59:59Z", "2027-07-01", "2027-07-01T12:00:00Z", "2027-06-11"),
        ("US", Right::Delete, "2027-06-02T11:00:00Z", "2027-07-02", "2027-07-02T12:00:00Z", "2027-06-12"),
        // Nobody knows under which law: Korea's ten days are the first. Nor where: it begins last at UTC-12 and ends first at UTC+14.
        ("ZZ", Right::Access, "2027-01-31T12:00:00Z", "2027-02-10", "2027-02-10T10:00:00Z", "2027-02-10"),
        ("ZZ", Right::Access, "2027-06-10T11:59:59Z", "2027-06-19", "2027-06-19T10:00:00Z", "2027-06-19"),
    ] {
        let taken = world.open(received(came, asks("haneul", right, place, &[]))).await;
        let request = taken.request();
        let found = (
            day(request.due_date.as_ref()),
            at(request.due_at.as_ref()),
            day(request.acknowledge_by.as_ref()),
            at(request.received_at.as_ref()),
        );
        if found != (due.to_owned(), due_at.to_owned(), acknowledge.to_owned(), came.to_owned()) {
            wrong.push(format!("{place} {right:?} {came}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_stricter_of_policy_and_regime_holds_wherever_the_person_is() {
    let (world, _) = world_at("2027-06-01T03:00:00Z").await;
    for (place, regime, named, due) in [
        ("KR", Regime::Unspecified, Regime::Pipa, "2027-06-11"),
        ("FR", Regime::Unspecified, Regime::Gdpr, "2027-06-30"),
        ("US-NY", Regime::Unspecified, Regime::Policy, "2027-06-30"),
        ("JP", Regime::Ccpa, Regime::Ccpa, "2027-07-01"),
    ] {
        let ask = OpenRequestRequest { regime: regime.into(), ..asks("haneul", Right::Access, place, &[]) };
        let taken = world.open(ask).await;
        assert_eq!(
            (taken.request().regime(), day(taken.request().due_date.as_ref()).as_str()),
            (named, due),
            "{place}"
        );
    }
    let weaker = OpenRequestRequest { regime: Regime::Policy.into(), ..asks("haneul", Right::Access, "KR", &[]) };
    let refused = world.open_as(SHOP, weaker).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "REGIME_NOT_OF_PLACE"));
}

#[tokio::test]
async fn when_it_came_in_counts_and_not_when_it_was_entered() {
    let (world, clock) = world_at("2027-06-20T03:00:00Z").await;
    let late = world.open(received("2027-06-01T03:00:00Z", asks("haneul", Right::Access, "KR", &[]))).await;
    assert_eq!(day(late.request().due_date.as_ref()), "2027-06-11");
    assert!(world.stands(&late).await.overdue);
    world.app.run_due().await.unwrap();
    world.app.run_due().await.unwrap();
    let told = world.told_of(&late).await;
    assert_eq!((told.first(), told.last()), (Some(&"RIGHTS_OPENED"), Some(&"RIGHTS_OVERDUE")));
    assert_eq!(told.iter().filter(|kind| **kind == "RIGHTS_OVERDUE").count(), 1, "{told:?}");
    let future = OpenRequestRequest {
        received_at: Some(wire(clock.now() + 2 * HOUR)),
        ..asks("haneul", Right::Access, "KR", &[])
    };
    assert_eq!(world.open_as(SHOP, future).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_reminder_and_the_end_are_told_to_the_second_once_after_restarts_and_by_two_servers() {
    let (world, clock) = world_at("2027-01-31T03:00:00Z").await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[])).await;
    let answered = world.open(asks("haneul", Right::OptOut, "KR", &[])).await;
    world.close(&answered, done()).await.unwrap();
    let world = world.restart(wind(&clock)).await;
    clock.turn_to("2027-02-07T14:59:59Z");
    assert_eq!(world.app.run_due().await.unwrap(), 0);
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED"]);
    clock.turn_to("2027-02-07T15:00:00Z");
    let replica = world.replica(wind(&clock)).await;
    let (here, there) = tokio::join!(world.app.run_due(), replica.app.run_due());
    assert!(here.unwrap() + there.unwrap() <= 1);
    for world in [&world, &replica] {
        assert_eq!(world.app.run_due().await.unwrap(), 0);
    }
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED", "RIGHTS_DUE_SOON"]);
    let soon = world.told().await.into_iter().find(|event| event.r#type() == EventType::RightsDueSoon).unwrap();
    assert_eq!(
        (soon.due_date.as_str(), at(soon.occurred_at.as_ref()).as_str()),
        ("2027-02-10", "2027-02-07T15:00:00Z")
    );
    drop(replica);

    // A server that was down in that moment makes up for it, and tells when it was.
    clock.turn_to("2027-02-10T14:59:59Z");
    assert!(!world.stands(&taken).await.overdue);
    clock.turn_to("2027-02-12T03:00:00Z");
    let world = world.restart(wind(&clock)).await;
    world.app.run_due().await.unwrap();
    let world = world.crash(wind(&clock)).await;
    let replica = world.replica(wind(&clock)).await;
    let (here, there) = tokio::join!(world.app.run_due(), replica.app.run_due());
    assert_eq!((here.unwrap(), there.unwrap()), (0, 0));
    assert_eq!(
        world.told_of(&taken).await,
        ["RIGHTS_OPENED", "RIGHTS_DUE_SOON", "RIGHTS_ACKNOWLEDGE_OVERDUE", "RIGHTS_OVERDUE"]
    );
    let over = world.told().await.into_iter().find(|event| event.r#type() == EventType::RightsOverdue).unwrap();
    assert_eq!(at(over.occurred_at.as_ref()), "2027-02-10T15:00:00Z");
    assert!(world.stands(&taken).await.overdue);
    clock.turn_to("2030-01-01T00:00:00Z");
    assert_eq!(world.app.run_due().await.unwrap(), 0, "it is over once");
    assert_eq!(world.told_of(&answered).await, ["RIGHTS_OPENED", "RIGHTS_DONE"], "what was answered is not due");
}

#[tokio::test]
async fn after_an_extension_the_reminder_and_the_end_come_anew() {
    let (world, clock) = world_at("2027-01-31T03:00:00Z").await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[])).await;
    world.acknowledge(&taken).await.unwrap();
    clock.turn_to("2027-02-08T03:00:00Z");
    world.app.run_due().await.unwrap();
    let longer = world.extend(&taken, ExtensionReason::JustCause).await.unwrap();
    assert_eq!(day(longer.due_date.as_ref()), "2027-03-02");
    for now in ["2027-02-10T15:00:00Z", "2027-02-27T14:59:59Z"] {
        clock.turn_to(now);
        assert_eq!(world.app.run_due().await.unwrap(), 0);
    }
    for now in ["2027-02-27T15:00:00Z", "2027-03-02T15:00:00Z"] {
        clock.turn_to(now);
        assert_eq!(world.app.run_due().await.unwrap(), 1);
    }
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_ACKNOWLEDGED",
            "RIGHTS_DUE_SOON",
            "RIGHTS_EXTENDED",
            "RIGHTS_DUE_SOON",
            "RIGHTS_OVERDUE"
        ]
    );
}

/// All pages of so many requests each.
async fn pages(world: &World, ask: ListDueRequest) -> Vec<RightsRequest> {
    let (mut found, mut token) = (Vec::new(), ask.page_token.clone());
    loop {
        let request = ListDueRequest { page_token: token, ..ask.clone() };
        let page = world.rights().list_due(world.authorized(SHOP, request)).await.unwrap().into_inner();
        assert!(page.requests.len() <= usize::try_from(ask.page_size.max(1)).unwrap() || ask.page_size == 0);
        let more = !page.next_page_token.is_empty();
        assert!(
            !more || page.requests.len() == usize::try_from(ask.page_size).unwrap(),
            "a page that is not the last is full"
        );
        found.extend(page.requests);
        if !more {
            return found;
        }
        token = page.next_page_token;
    }
}

/// The name and due date of each.
fn listed(found: &[RightsRequest]) -> BTreeMap<String, String> {
    found.iter().map(|of| (of.request_id.clone(), day(of.due_date.as_ref()))).collect()
}

#[tokio::test]
async fn what_is_due_is_listed_by_date_page_by_page_without_loss() {
    let (world, _) = world_at("2027-02-01T03:00:00Z").await;
    let mut expected = BTreeMap::new();
    let mut taken = Vec::new();
    // Over eleven days, over the end of a month, and over all parts of the store: three on each day.
    for n in 0..33 {
        let came = format!("2027-01-{:02}T03:00:00Z", 15 + n % 11);
        let ask = asks(&format!("subject-{n}"), Right::ExplainDecision, "KR", &[Vouched::Email]);
        let one = world.open(received(&came, ask)).await;
        expected.insert(one.id.clone(), day(one.request().due_date.as_ref()));
        taken.push(one);
    }
    let days: BTreeSet<&String> = expected.values().collect();
    assert_eq!((days.len(), days.first().unwrap().as_str()), (11, "2027-02-14"));
    for page_size in [1, 2, 3, 7, 33, 100] {
        let found = pages(&world, ListDueRequest { page_size, ..Default::default() }).await;
        assert_eq!((found.len(), listed(&found)), (33, expected.clone()), "pages of {page_size}");
        let order: Vec<String> = found.iter().map(|of| day(of.due_date.as_ref())).collect();
        assert!(order.is_sorted(), "pages of {page_size}: {order:?}");
    }
    // Between two dates, both included.
    let some =
        ListDueRequest { from: date("2027-02-16"), until: date("2027-02-18"), page_size: 2, ..Default::default() };
    let found = pages(&world, some).await;
    assert_eq!(found.len(), 9);
    assert!(found.iter().all(|of| ("2027-02-16".."2027-02-19").contains(&day(of.due_date.as_ref()).as_str())));
    let none = ListDueRequest { from: date("2027-02-25"), until: date("2027-02-26"), ..Default::default() };
    assert_eq!(pages(&world, none).await, []);

    // What is answered is gone, what takes longer has moved, what is verified still waits.
    for one in &taken[..5] {
        let withdrawn = proto::close_request::Answer::Withdrawn(proto::Withdrawal { staff_ref: "staff-7".to_owned() });
        world.close(one, withdrawn).await.unwrap();
        expected.remove(&one.id);
    }
    for one in &taken[5..9] {
        let longer = world.extend(one, ExtensionReason::JustCause).await.unwrap();
        expected.insert(one.id.clone(), day(longer.due_date.as_ref()));
    }
    world.prove_code(&taken[9], proto::CodeChannel::Email).await;
    world.prove(&taken[9], crate::support::rights::two_points()).await;
    let found = pages(&world, ListDueRequest { page_size: 2, ..Default::default() }).await;
    assert_eq!((found.len(), listed(&found)), (28, expected.clone()));
    assert_eq!(found.iter().filter(|of| of.state() == RequestState::Verified).count(), 1);
    assert!(found.iter().map(|of| day(of.due_date.as_ref())).is_sorted());
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_whatever_happened_meanwhile() {
    let (world, _) = world_at("2027-02-01T03:00:00Z").await;
    let mut taken = BTreeMap::new();
    for n in 0..12 {
        let one = world.open(asks(&format!("subject-{n}"), Right::Access, "KR", &[])).await;
        taken.insert(one.id.clone(), one);
    }
    let page = |token: String| ListDueRequest { page_size: 4, page_token: token, ..Default::default() };
    let first = world.rights().list_due(world.authorized(SHOP, page(String::new()))).await.unwrap().into_inner();
    // Everything on the page before is answered, and the last of it is what the token names.
    for of in &first.requests {
        let withdrawn = proto::close_request::Answer::Withdrawn(proto::Withdrawal { staff_ref: "staff-7".to_owned() });
        world.close(&taken[&of.request_id], withdrawn).await.unwrap();
        taken.remove(&of.request_id);
    }
    let rest = pages(&world, page(first.next_page_token)).await;
    assert_eq!(listed(&rest).keys().collect::<Vec<_>>(), taken.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_overdue_stays_listed_and_the_range_must_make_sense() {
    let (world, clock) = world_at("2027-02-01T03:00:00Z").await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[])).await;
    pass(&clock, 200 * 24 * HOUR);
    let found = pages(&world, ListDueRequest::default()).await;
    assert_eq!((found.len(), found[0].overdue, &found[0].request_id), (1, true, &taken.id));
    for bad in [
        ListDueRequest { from: date("2027-02-02"), until: date("2027-02-01"), ..Default::default() },
        ListDueRequest { from: Some(proto::Date { year: 2027, month: 2, day: 30 }), ..Default::default() },
        ListDueRequest { page_size: 101, ..Default::default() },
        ListDueRequest { page_token: "nonsense".to_owned(), ..Default::default() },
    ] {
        let error = world.rights().list_due(world.authorized(SHOP, bad)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}
