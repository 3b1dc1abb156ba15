//! Timers of many servers on one store: one server's at a time, and taken over.

use crate::support::rights::asks;
use crate::support::{TurnedClock, World};
use idgate::flows::{App, Turns};
use idgate::server::proto::Right;

fn wind(clock: &TurnedClock) -> impl FnOnce(&mut App) + use<> {
    let clock = clock.clone();
    move |app| clock.wind(app)
}

#[tokio::test]
async fn timers_are_one_servers_at_a_time_and_taken_over_when_it_is_gone() {
    let clock = TurnedClock::at("2027-01-31T03:00:00Z");
    let world = World::wound(&clock).await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[])).await;
    let replica = world.replica(wind(&clock)).await;
    let (mut here, mut there) = (Turns::new(), Turns::new());
    assert_eq!(world.app.run_due_in_turn(&mut here).await.unwrap(), 0);
    assert_eq!(replica.app.run_due_in_turn(&mut there).await.unwrap(), 0);
    assert_eq!((here.held(), there.held()), (16, 0));

    // The reminder of a week before. Who does not hold the timers lets them be.
    clock.turn_to("2027-02-07T15:00:00Z");
    assert_eq!(world.app.run_due_in_turn(&mut here).await.unwrap(), 1, "it says so again first: its lease had lapsed");
    assert_eq!(replica.app.run_due_in_turn(&mut there).await.unwrap(), 0);
    assert_eq!(there.held(), 0);

    // The first is gone without a word: until its lease lapses nobody has its turns.
    clock.turn_to("2027-02-07T15:00:09Z");
    replica.app.run_due_in_turn(&mut there).await.unwrap();
    assert_eq!(there.held(), 0);
    clock.turn_to("2027-02-07T15:00:10Z");
    replica.app.run_due_in_turn(&mut there).await.unwrap();
    assert_eq!(there.held(), 16);
    clock.turn_to("2027-02-10T15:00:00Z");
    assert_eq!(replica.app.run_due_in_turn(&mut there).await.unwrap(), 1);
    assert_eq!(
        world.told_of(&taken).await,
        ["RIGHTS_OPENED", "RIGHTS_DUE_SOON", "RIGHTS_ACKNOWLEDGE_OVERDUE", "RIGHTS_OVERDUE"]
    );

    // One that ends lets go at once.
    let mut next = Turns::new();
    world.app.run_due_in_turn(&mut next).await.unwrap();
    assert_eq!(next.held(), 0);
    replica.app.end_turns(there).await.unwrap();
    world.app.run_due_in_turn(&mut next).await.unwrap();
    assert_eq!(next.held(), 16);
}

#[tokio::test]
async fn two_servers_that_both_take_themselves_for_the_one_do_a_thing_once() {
    let (clock, fast) = (TurnedClock::at("2027-01-31T03:00:00Z"), TurnedClock::at("2027-02-07T15:00:09Z"));
    let world = World::wound(&clock).await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &[])).await;
    let replica = world.replica(wind(&fast)).await;
    let (mut here, mut there) = (Turns::new(), Turns::new());
    clock.turn_to("2027-02-07T14:59:58Z");
    assert_eq!(world.app.run_due_in_turn(&mut here).await.unwrap(), 0);
    // By the clock of the second the lease of the first is over; the first need not look for some seconds.
    clock.turn_to("2027-02-07T15:00:00Z");
    let (one, other) = tokio::join!(world.app.run_due_in_turn(&mut here), replica.app.run_due_in_turn(&mut there));
    assert_eq!((here.held(), there.held()), (16, 16));
    assert!(one.unwrap() + other.unwrap() <= 1);
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED", "RIGHTS_DUE_SOON"]);
}
