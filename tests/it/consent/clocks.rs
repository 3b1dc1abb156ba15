//! What happens because time passes: to the minute, by itself, once, wherever and after whatever.

use crate::support::{SHOP, TurnedClock, World, ask, kinds};
use idgate::audit::Entry;
use idgate::flows::App;
use idgate::policy::RuleSet;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::{self, ConsentActor, ConsentState, VerificationMethod};
use idgate::store::Partition;
use idgate::terms::{ConsentState as State, EventKind};

/// Every age that was reached: the line, whether it was the last, and when by the record.
async fn aged_out(app: &App) -> Vec<(u8, bool, String)> {
    let mut found = Vec::new();
    for partition in Partition::all() {
        for link in app.store.trail(partition, 0, 1000).await.unwrap() {
            if let Entry::ConsentMoved(moved) = link.entry().unwrap()
                && moved.kind == EventKind::ConsentAgedOut
            {
                found.push((moved.line.unwrap(), moved.last_line, moved.at.to_string()));
            }
        }
    }
    found
}

/// A consent that was given for a child in `place`.
async fn given_in(world: &World, place: &str, born: &str) -> String {
    let mut check = ask("minsu", &format!("check-{place}"), &format!("read {born}"));
    check.jurisdiction = place.to_owned();
    let decision = world.check(check).await.unwrap();
    assert!(matches!(decision.outcome, Some(Checked::ConsentRequired(_))), "{:?}", decision.outcome);
    let methods = [VerificationMethod::IdScan, VerificationMethod::KrPaper];
    let asked = world.request_with(world.consent_request("minsu", &decision.decision_id, &methods)).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    if decision_is_legal(&asked.consent) {
        let attested = proto::AttestedMethod { method: VerificationMethod::KrPaper.into(), staff_ref: String::new() };
        world.verify_guardian(&asked.id, proto::verify_guardian_request::Proof::Attested(attested)).await.unwrap();
    }
    let answer = world.respond(world.grant_request(&asked)).await;
    assert!(matches!(answer, proto::respond_response::Outcome::Given(_)), "{answer:?}");
    asked.id
}

fn decision_is_legal(consent: &proto::Consent) -> bool {
    consent.legal_guardian
}

async fn world_at(clock: &TurnedClock) -> World {
    let clock = clock.clone();
    World::with(|settings| settings.consent.lapse_days = 9_000, move |app| clock.wind(app)).await
}

/// Two servers on one store, by one clock.
async fn two_servers() -> (TurnedClock, World, World) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let ours = clock.clone();
    let replica = world.replica(move |app| ours.wind(app)).await;
    (clock, world, replica)
}

#[tokio::test]
async fn the_age_from_which_nobody_consents_any_more_comes_at_midnight_in_seoul() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    clock.turn_to("2029-03-09T14:59:59Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::Given);
    clock.turn_to("2029-03-09T15:00:00Z");
    assert_eq!(world.app.run_due().await.unwrap(), 1);
    let consent = world.get_consent(&id).await;
    assert_eq!(consent.state(), ConsentState::AgedOut);
    assert!(!consent.guardian_access);
    assert_eq!(aged_out(&world.app).await, [(18, true, "2029-03-01T00:00:00Z".to_owned())], "the month only");
    let late = world.withdraw(&id, ConsentActor::Guardian).await;
    assert!(matches!(late, proto::withdraw_response::Outcome::NotPossible(_)), "the guardian's access has ended");
}

#[tokio::test]
async fn a_child_of_fourteen_acts_alone_and_the_consent_stays() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2013-03-10").await;
    assert!(world.get_consent(&id).await.legal_guardian);
    clock.turn_to("2027-03-09T15:00:00Z");
    world.app.run_due().await.unwrap();
    let consent = world.get_consent(&id).await;
    assert_eq!((consent.state(), consent.guardian_access), (ConsentState::Given, false));
    assert_eq!(aged_out(&world.app).await, [(14, false, "2027-03-01T00:00:00Z".to_owned())]);
    let guardian = world.withdraw(&id, ConsentActor::Guardian).await;
    let proto::withdraw_response::Outcome::NotPossible(why) = guardian else { panic!() };
    assert_eq!(why.reason(), proto::NotPossibleReason::GuardianAccessEnded);
    clock.turn_to("2031-03-09T15:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
    assert_eq!(aged_out(&world.app).await.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [14, 18]);
}

#[tokio::test]
async fn where_the_place_is_unknown_the_last_midnight_of_the_world_counts() {
    // UTC-12 is the last place where a day begins: noon of that day by UTC.
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "ZZ", "2011-03-10").await;
    clock.turn_to("2029-03-10T11:59:59Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::Given);
    clock.turn_to("2029-03-10T12:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
}

/// The rules as they are, but that Korea lies in another time zone.
fn korea_in(zone: &str) -> RuleSet {
    let rules = include_str!("../../../src/policy/rules.toml");
    let moved = rules.replace("KR = [\"Asia/Seoul\"]", &format!("KR = [\"{zone}\"]"));
    assert_ne!(rules, moved);
    RuleSet::parse(&moved).unwrap()
}

#[tokio::test]
async fn midnight_is_local_from_the_first_zone_of_the_world_to_the_last() {
    for (zone, last_second, midnight) in [
        ("Etc/GMT-14", "2029-03-09T09:59:59Z", "2029-03-09T10:00:00Z"),
        ("Etc/GMT+12", "2029-03-10T11:59:59Z", "2029-03-10T12:00:00Z"),
        ("Pacific/Chatham", "2029-03-09T10:14:59Z", "2029-03-09T10:15:00Z"),
    ] {
        let clock = TurnedClock::at("2026-11-22T03:00:00Z");
        let wound = clock.clone();
        let world = World::with(
            |settings| settings.consent.lapse_days = 9_000,
            move |app| {
                wound.wind(app);
                app.rules = korea_in(zone);
            },
        )
        .await;
        let id = given_in(&world, "KR", "2011-03-10").await;
        clock.turn_to(last_second);
        assert_eq!(world.app.run_due().await.unwrap(), 0, "{zone}");
        assert_eq!(world.get_consent(&id).await.state(), ConsentState::Given, "{zone}");
        clock.turn_to(midnight);
        assert_eq!(world.app.run_due().await.unwrap(), 1, "{zone}");
        assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut, "{zone}");
    }
}

#[tokio::test]
async fn who_was_born_on_29_february_comes_of_age_on_1_march() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2012-02-29").await;
    clock.turn_to("2030-02-28T14:59:59Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::Given);
    clock.turn_to("2030-02-28T15:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
}

#[tokio::test]
async fn a_restart_at_the_very_boundary_loses_nothing_and_repeats_nothing() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    world.app.run_due().await.unwrap();
    clock.turn_to("2029-03-09T15:00:00Z");
    let (again, after) = (clock.clone(), clock.clone());
    let world = world.restart(move |app| again.wind(app)).await;
    world.app.run_due().await.unwrap();
    let world = world.restart(move |app| after.wind(app)).await;
    world.app.run_due().await.unwrap();
    assert_eq!(aged_out(&world.app).await.len(), 1);
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
}

#[tokio::test]
async fn after_a_long_sleep_everything_is_made_up_for_in_order() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2013-03-10").await;
    world.app.run_due().await.unwrap();
    clock.turn_to("2031-04-01T00:00:00Z");
    // By the timers alone: nobody asked.
    assert_eq!(world.app.run_due().await.unwrap(), 1);
    assert_eq!(aged_out(&world.app).await.len(), 2);
    let consent = world.get_consent(&id).await;
    assert_eq!(consent.state(), ConsentState::AgedOut);
    assert_eq!(kinds(&consent).iter().filter(|kind| **kind == "consent.aged_out").count(), 2);
    assert_eq!(world.app.run_due().await.unwrap(), 0);
    assert_eq!(aged_out(&world.app).await.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [14, 18]);
}

#[tokio::test]
async fn whoever_asks_is_told_the_truth_whether_or_not_the_timers_ran() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    clock.turn_to("2029-03-09T15:00:00Z");
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
    assert_eq!(aged_out(&world.app).await.len(), 1);
}

#[tokio::test]
async fn what_was_told_shortly_before_is_not_told_after() {
    let (clock, world, replica) = two_servers().await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    // A look is remembered for ten minutes, but not if something is due in them, as for the two last.
    for before in ["14:30:00", "14:35:00", "14:42:00", "14:52:00", "14:59:59"] {
        clock.turn_to(&format!("2029-03-09T{before}Z"));
        for server in [&world, &replica] {
            assert_eq!(server.get_consent(&id).await.state(), ConsentState::Given, "{before}");
        }
    }
    clock.turn_to("2029-03-09T15:00:00Z");
    assert_eq!(replica.get_consent(&id).await.state(), ConsentState::AgedOut);
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::AgedOut);
}

#[tokio::test]
async fn what_another_server_did_is_told_at_once() {
    let (clock, world, replica) = two_servers().await;
    let id = given_in(&world, "KR", "2013-03-10").await;
    for server in [&world, &replica, &world, &replica] {
        assert_eq!(server.get_consent(&id).await.state(), ConsentState::Given);
    }
    world.withdraw(&id, ConsentActor::Guardian).await;
    assert_eq!(replica.get_consent(&id).await.state(), ConsentState::Withdrawn);
    clock.turn_to("2026-11-22T02:00:00Z");
    assert_eq!(replica.get_consent(&id).await.state(), ConsentState::Withdrawn, "a clock that was set back");
}

#[tokio::test]
async fn of_two_servers_on_one_store_one_makes_the_step() {
    let (clock, world, replica) = two_servers().await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    clock.turn_to("2029-03-09T15:00:00Z");
    for _ in 0..20 {
        let (a, b) = tokio::join!(world.app.run_due(), replica.app.run_due());
        assert!(a.unwrap() + b.unwrap() <= 1);
    }
    assert_eq!(aged_out(&world.app).await.len(), 1);
    assert_eq!(replica.get_consent(&id).await.state(), ConsentState::AgedOut);
}

#[tokio::test]
async fn a_request_that_nobody_answers_times_out_to_the_second_and_cannot_be_answered_after() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let asked = world.requested("minsu", "2011-03-10").await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    clock.turn_to("2026-11-25T02:59:59Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&asked.id).await.state(), ConsentState::GuardianVerified);
    clock.turn_to("2026-11-25T03:00:00Z");
    let answer = world.respond(world.grant_request(&asked)).await;
    let proto::respond_response::Outcome::NotPossible(why) = answer else { panic!("{answer:?}") };
    assert_eq!(why.consent.unwrap().state(), ConsentState::TimedOut);
    world.app.run_due().await.unwrap();
    let ends = moved_to(&world.app, State::TimedOut).await;
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn a_consent_lapses_unless_it_is_reaffirmed() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let wound = clock.clone();
    let world = World::with(|settings| settings.consent.lapse_days = 30, move |app| wound.wind(app)).await;
    let id = given_in(&world, "KR", "2011-03-10").await;
    clock.turn_to("2026-12-20T00:00:00Z");
    let reaffirm = proto::ReaffirmRequest {
        consent_id: id.clone(),
        actor: ConsentActor::Guardian.into(),
        idempotency_key: "reaffirm".to_owned(),
        language: String::new(),
    };
    world.app.run_due().await.unwrap();
    world.consents().reaffirm(world.authorized(SHOP, reaffirm)).await.unwrap();
    clock.turn_to("2026-12-23T00:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::Given);
    clock.turn_to("2027-01-19T00:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!(moved_to(&world.app, State::Expired).await, 1);
    assert_eq!(world.get_consent(&id).await.state(), ConsentState::Expired);
}

#[tokio::test]
async fn a_reading_that_nobody_asks_a_consent_for_is_purged() {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let world = world_at(&clock).await;
    let decision = world.consent_required("minsu", "2011-03-10").await;
    clock.turn_to("2026-11-25T03:00:00Z");
    assert_eq!(world.app.run_due().await.unwrap(), 1);
    let request = world.consent_request("minsu", &decision, &[VerificationMethod::IdScan]);
    let late = world.consents().request_consent(world.authorized(SHOP, request)).await.unwrap_err();
    assert_eq!(crate::support::reason(&late), "DECISION_TOO_OLD");
}

async fn moved_to(app: &App, state: State) -> usize {
    let mut count = 0;
    for partition in Partition::all() {
        for link in app.store.trail(partition, 0, 1000).await.unwrap() {
            count += usize::from(matches!(link.entry().unwrap(), Entry::ConsentMoved(moved) if moved.state == state));
        }
    }
    count
}
