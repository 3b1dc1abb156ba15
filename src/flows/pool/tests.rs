//! Places, deadlines and the time that readings take, with a reader that takes none.

use super::*;
use crate::evidence::Timings;
use crate::evidence::validate::{Unreadable, Verdict};
use crate::flows::deadline::Presence;
use crate::terms::Reason;

fn pool(queue: usize) -> Pool {
    let read = |_, _, _: &Limits| {
        let why = Unreadable { reasons: vec![Reason::NoDocument], signals: vec![], kind: None, youngest: None };
        Extraction { verdict: Verdict::Unreadable(why), timings: Timings::default() }
    };
    let settings = Settings { workers: 1, queue, read_seconds: 1, nice: 0, weights: Weights::new() };
    Pool::start(&settings, Arc::new(read), Arc::default()).unwrap()
}

fn after(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

fn shop() -> RelyingParty {
    "shop".parse().unwrap()
}

#[test]
fn a_picture_that_cannot_be_read_before_the_deadline_is_refused_at_once() {
    let pool = pool(9);
    pool.shared.state().times = Times { mean: 20_000_000, deviation: 0 };
    let _held: Vec<Place> = (0..3).map(|_| pool.admit(&shop(), after(3600)).ok().unwrap()).collect();
    // Three before it and itself, twenty seconds each.
    for refused in [pool.admit(&shop(), after(79)).err(), pool.refuses(&shop(), after(79))] {
        assert!(matches!(refused, Some(Unread::NoTime { .. })), "{refused:?}");
    }
    assert_eq!(pool.refuses(&shop(), after(90)), None);
    assert_eq!(pool.refuses(&shop(), after(0)), Some(Unread::Late));
    // Of another party only one comes before it.
    assert_eq!(pool.refuses(&"other".parse().unwrap(), after(45)), None);
    assert!(pool.admit(&"other".parse().unwrap(), after(39)).is_err());
}

#[test]
fn times_that_scatter_are_allowed_for() {
    let mut times = Times::default();
    times.add(1000);
    assert_eq!(times.likely(), Duration::from_micros(1500));
    (0..100).for_each(|_| times.add(1000));
    assert!(times.likely() < Duration::from_micros(1050), "{times:?}");
    (0..100).for_each(|n| times.add(if n % 2 == 0 { 500 } else { 1500 }));
    assert!(times.likely() > Duration::from_micros(1500), "{times:?}");
}

#[tokio::test]
async fn an_idle_pool_tries_whatever_it_thinks_and_learns() {
    let pool = pool(1);
    let today = jiff::civil::date(2026, 11, 22);
    let presence = Presence::new();
    pool.shared.state().times = Times { mean: 20_000_000, deviation: 0 };
    let place = pool.admit(&shop(), after(5)).ok().unwrap();
    assert!(matches!(pool.refuses(&shop(), after(5)), Some(Unread::NoTime { .. })), "it is not idle any more");
    let read = pool
        .read(
            place,
            Picture::unattended(Sensitive::new(vec![1]), jiff::Timestamp::UNIX_EPOCH),
            today,
            1,
            (after(5), presence.watch()),
        )
        .await;
    assert!(read.is_ok());
    assert!(pool.shared.state().times.mean < 20_000_000);
}

#[test]
fn places_are_bounded_and_given_back() {
    let pool = pool(1);
    let held: Vec<Place> = (0..2).map(|_| pool.admit(&shop(), after(60)).ok().unwrap()).collect();
    assert!(matches!(pool.admit(&shop(), after(60)), Err(Unread::Full { .. })));
    drop(held);
    assert!(pool.admit(&shop(), after(60)).is_ok());
}

#[tokio::test]
async fn a_picture_whose_place_went_to_somebody_with_less_is_refused() {
    let pool = pool(1);
    let today = jiff::civil::date(2026, 11, 22);
    let presence = Presence::new();
    let (_first, second) = (pool.admit(&shop(), after(60)).ok().unwrap(), pool.admit(&shop(), after(60)).ok().unwrap());
    let other = pool.admit(&"other".parse().unwrap(), after(60)).ok().unwrap();
    let read = async |place| {
        pool.read(
            place,
            Picture::unattended(Sensitive::new(vec![1]), jiff::Timestamp::UNIX_EPOCH),
            today,
            1,
            (after(60), presence.watch()),
        )
        .await
        .map(drop)
    };
    assert!(matches!(read(second).await, Err(Unread::Full { .. })));
    assert_eq!(read(other).await, Ok(()));
}

#[tokio::test]
async fn a_caller_who_has_left_and_a_deadline_that_has_passed_are_not_read_for() {
    let pool = pool(1);
    let today = jiff::civil::date(2026, 11, 22);
    let presence = Presence::new();
    let call = async |deadline, watch| {
        let place = pool.admit(&shop(), after(60)).ok().unwrap();
        pool.read(
            place,
            Picture::unattended(Sensitive::new(vec![1]), jiff::Timestamp::UNIX_EPOCH),
            today,
            1,
            (deadline, watch),
        )
        .await
        .map(drop)
    };
    assert_eq!(call(after(60), presence.watch()).await, Ok(()));
    assert_eq!(call(after(0), presence.watch()).await, Err(Unread::Late));
    let watch = presence.watch();
    drop(presence);
    assert_eq!(call(after(60), watch).await, Err(Unread::Abandoned));
}
