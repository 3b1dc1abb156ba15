//! Whose turn it is: by hand, and against random steps.

use super::*;
use proptest::prelude::*;

fn party(name: &str) -> RelyingParty {
    name.parse().unwrap()
}

fn queue(places: usize, weights: &[(&str, u8)]) -> Fair<String> {
    let weights = weights.iter().map(|(name, weight)| (party(name), NonZeroU8::new(*weight).unwrap()));
    Fair::new(places, weights.collect())
}

/// Sends pictures of a party, named by it and a number. Tells which was displaced, or `None` for one that was refused.
fn send(queue: &mut Fair<String>, name: &str, number: usize) -> Option<Option<String>> {
    let (ticket, displaced) = queue.admit(&party(name)).ok()?;
    queue.wait(&party(name), ticket, format!("{name}{number}")).unwrap();
    Some(displaced)
}

/// Begins and ends so many turns, each of which takes what it was thought to.
fn turns(queue: &mut Fair<String>, count: usize) -> Vec<String> {
    let turn = |_| {
        let (party, job) = queue.next(100)?;
        queue.done(&party, 100, 100);
        Some(job)
    };
    (0..count).map_while(turn).collect()
}

#[test]
fn one_party_alone_is_served_in_order_and_may_have_all_places() {
    let mut queue = queue(4, &[]);
    for n in 0..4 {
        assert_eq!(send(&mut queue, "a", n), Some(None));
    }
    assert_eq!(send(&mut queue, "a", 4), None);
    assert_eq!(turns(&mut queue, 9), ["a0", "a1", "a2", "a3"]);
    assert!(queue.is_empty() && queue.parties.is_empty());
}

#[test]
fn a_quiet_party_waits_for_no_more_than_one_turn_of_a_noisy_one() {
    let mut queue = queue(200, &[]);
    for n in 0..100 {
        send(&mut queue, "noisy", n);
    }
    assert_eq!(turns(&mut queue, 10).last().unwrap(), "noisy9");
    send(&mut queue, "quiet", 0);
    send(&mut queue, "quiet", 1);
    assert_eq!(turns(&mut queue, 5), ["quiet0", "noisy10", "quiet1", "noisy11", "noisy12"]);
}

#[test]
fn turns_are_shared_by_weight() {
    let mut queue = queue(200, &[("a", 3)]);
    for n in 0..50 {
        send(&mut queue, "a", n);
        send(&mut queue, "b", n);
    }
    let begun = turns(&mut queue, 40);
    assert_eq!(begun.iter().filter(|job| job.starts_with('a')).count(), 30);
}

#[test]
fn whose_pictures_take_longer_gets_fewer_turns() {
    let mut queue = queue(200, &[]);
    for n in 0..60 {
        send(&mut queue, "slow", n);
        send(&mut queue, "fast", n);
    }
    let mut slow = 0;
    for _ in 0..40 {
        let (name, _) = queue.next(100).unwrap();
        slow += usize::from(name == party("slow"));
        queue.done(&name, 100, if name == party("slow") { 300 } else { 100 });
    }
    assert_eq!(slow, 10);
}

#[test]
fn a_party_that_was_away_has_saved_up_nothing() {
    let mut queue = queue(200, &[]);
    send(&mut queue, "away", 0);
    for n in 0..50 {
        send(&mut queue, "here", n);
    }
    turns(&mut queue, 31);
    for n in 1..20 {
        send(&mut queue, "away", n);
    }
    let begun = turns(&mut queue, 20);
    assert_eq!(begun.iter().filter(|job| job.starts_with("away")).count(), 10);
}

#[test]
fn who_has_less_than_its_share_takes_the_youngest_place_of_whoever_has_most() {
    let mut queue = queue(6, &[]);
    for n in 0..4 {
        send(&mut queue, "noisy", n);
    }
    send(&mut queue, "other", 0);
    send(&mut queue, "other", 1);
    assert_eq!(send(&mut queue, "noisy", 4), None, "it has most itself");
    assert_eq!(send(&mut queue, "quiet", 0), Some(Some("noisy3".to_owned())));
    assert_eq!(send(&mut queue, "quiet", 1), Some(Some("noisy2".to_owned())));
    assert_eq!(send(&mut queue, "quiet", 2), None, "two each");
    assert_eq!(send(&mut queue, "other", 2), None);
    assert_eq!(turns(&mut queue, 9), ["noisy0", "other0", "quiet0", "noisy1", "other1", "quiet1"]);
}

#[test]
fn places_are_shared_by_weight() {
    let mut queue = queue(8, &[("a", 3)]);
    for n in 0..8 {
        send(&mut queue, "b", n);
    }
    let taken = (0..8).filter(|n| send(&mut queue, "a", *n).is_some()).count();
    assert_eq!(taken, 6);
    assert_eq!(send(&mut queue, "b", 9), None);
}

#[test]
fn what_runs_keeps_its_place() {
    let mut queue = queue(2, &[]);
    send(&mut queue, "a", 0);
    send(&mut queue, "a", 1);
    let (name, _) = queue.next(100).unwrap();
    let (other, _) = queue.next(100).unwrap();
    assert!(!queue.admits(&party("b")) && send(&mut queue, "b", 0).is_none());
    queue.done(&name, 100, 100);
    assert_eq!(send(&mut queue, "b", 0), Some(None));
    queue.done(&other, 100, 100);
}

#[test]
fn a_place_that_was_lost_before_its_picture_came_says_so_when_it_comes() {
    let mut queue = queue(2, &[]);
    let (first, _) = queue.admit(&party("a")).unwrap();
    let (second, _) = queue.admit(&party("a")).unwrap();
    assert_eq!(queue.admit(&party("b")).unwrap().1, None);
    assert_eq!(queue.wait(&party("a"), second, "late".to_owned()), Err("late".to_owned()));
    queue.give_back(&party("a"), second);
    assert!(queue.is_full(), "given back once only");
    queue.wait(&party("a"), first, "in time".to_owned()).unwrap();
    assert_eq!(turns(&mut queue, 1), ["in time"]);
}

#[test]
fn what_waits_in_vain_makes_room() {
    let mut queue = queue(2, &[]);
    send(&mut queue, "a", 0);
    send(&mut queue, "a", 1);
    assert_eq!(queue.purge(|job| job == "a0"), ["a0"]);
    assert_eq!(send(&mut queue, "a", 2), Some(None));
    assert_eq!(queue.purge(|_| true).len(), 2);
    assert!(queue.is_empty());
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Hold(usize),
    Next,
    Done(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4usize).prop_map(Step::Send),
        1 => (0..4usize).prop_map(Step::Hold),
        2 => Just(Step::Next),
        2 => (1..1000u64).prop_map(Step::Done),
    ];
    prop::collection::vec(step, 0..200)
}

/// Does the steps; gives the queue and what is still held or running.
fn after(steps: Vec<Step>, places: usize) -> (Fair<String>, Vec<RelyingParty>) {
    let mut queue = queue(places, &[("a", 2), ("b", 5)]);
    let (mut running, mut held) = (Vec::new(), Vec::new());
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Send(who) => drop(send(&mut queue, NAMES[who], n)),
            Step::Hold(who) => match queue.admit(&party(NAMES[who])) {
                Ok((ticket, _)) => held.push((party(NAMES[who]), ticket)),
                Err(Full) => held.drain(..).for_each(|(name, ticket)| queue.give_back(&name, ticket)),
            },
            Step::Next => running.extend(queue.next(100).map(|(name, _)| name)),
            Step::Done(took) => {
                if let Some(name) = running.pop() {
                    queue.done(&name, 100, took);
                }
            }
        }
        let counted: usize = queue.parties.values().map(Party::places).sum();
        assert_eq!(queue.taken, counted);
        assert!(queue.taken <= places);
        assert_eq!(queue.running(), running.len());
    }
    held.into_iter().for_each(|(name, ticket)| queue.give_back(&name, ticket));
    (queue, running)
}

proptest! {
    #[test]
    fn places_are_never_more_than_there_are_and_all_come_back(steps in steps(), places in 1..20usize) {
        let (mut queue, running) = after(steps, places);
        for name in running {
            queue.done(&name, 100, 50);
        }
        turns(&mut queue, usize::MAX);
        prop_assert!(queue.is_empty() && queue.parties.is_empty());
    }

    #[test]
    fn the_turns_that_are_told_to_come_first_are_those_that_do(steps in steps(), who in 0..4usize) {
        let (mut queue, _) = after(steps, 20);
        let ahead = queue.ahead(&party(NAMES[who]), 100);
        let Some(displaced) = send(&mut queue, NAMES[who], 1_000_000) else { return Ok(()) };
        let mine = format!("{}1000000", NAMES[who]);
        let begun = std::iter::from_fn(|| queue.next(100).map(|(_, job)| job)).position(|job| job == mine).unwrap();
        // Who is displaced does not come first after all; among equals the account does not tell who was first.
        let slack = usize::from(displaced.is_some()) + NAMES.len();
        prop_assert!(begun <= ahead && begun + slack >= ahead, "{begun} began, {ahead} were told");
    }
}
