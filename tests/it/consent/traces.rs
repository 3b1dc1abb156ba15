//! What is left in the store, byte by byte, when nothing may be.

use crate::support::{SHOP, TurnedClock, Wilful, World};
use idgate::seal::SealRing;
use idgate::secret::Sensitive;
use idgate::server::proto::{self, ConsentActor, ConsentState, VerificationMethod};
use std::sync::Arc;

/// What must never be found: the names that the relying party gave, the dates in every form they could be written in.
const CANARIES: &[&str] = &[
    "canary-subject",
    "canary-guardian",
    "2011-03-10",
    "20110310",
    "1980-01-02",
    "19800102",
    "2029-03-10",
    "2029-03-09",
];

fn assert_clean(world: &World, when: &str) {
    let bytes = world.everything_written();
    assert!(bytes.windows(6).any(|window| window == b"idgate"), "something was read at all");
    for canary in CANARIES {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} is in the store {when}");
    }
}

/// The keys that seal what rests, as they lie in the file of keys: everything in it that is not zero.
fn sealed_keys(world: &World) -> usize {
    let bytes = std::fs::read(world.settings.data_dir.join("store").join("shred.keys")).unwrap();
    bytes.chunks(64).filter(|slot| slot.iter().any(|byte| *byte != 0)).count()
}

async fn requested(world: &World) -> crate::support::Asked {
    let decision = world.consent_required("canary-subject", "2011-03-10").await;
    let mut request = world.consent_request("canary-subject", &decision, &[VerificationMethod::IdScan]);
    request.guardian_ref = "canary-guardian".to_owned();
    world.request_with(request).await
}

async fn world() -> (World, TurnedClock) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let wound = clock.clone();
    (World::with(|_| {}, move |app| wound.wind(app)).await, clock)
}

async fn listed(world: &World) -> usize {
    let list = proto::ListConsentsRequest { subject_ref: "canary-subject".to_owned() };
    world.consents().list_consents(world.authorized(SHOP, list)).await.unwrap().into_inner().consents.len()
}

#[tokio::test]
async fn while_a_consent_lives_nothing_personal_is_readable() {
    let (world, _) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    world.respond(world.grant_request(&asked)).await;
    assert_clean(&world, "while the consent lives");
    assert_eq!(sealed_keys(&world), base + 1, "what is remembered has one key");
}

#[tokio::test]
async fn after_a_refusal_the_key_is_destroyed_and_nothing_leads_to_the_person() {
    let (world, _) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    let refused = world.refuse(&asked).await;
    assert!(matches!(refused, proto::respond_response::Outcome::Refused(_)), "{refused:?}");
    assert_eq!((sealed_keys(&world), listed(&world).await), (base, 0));
    assert_clean(&world, "after a refusal");
    let consent = world.get_consent(&asked.id).await;
    assert_eq!(consent.state(), ConsentState::Refused);
    assert!(consent.events.is_empty() && consent.receipt.is_empty() && consent.notice.is_none());
}

#[tokio::test]
async fn after_a_time_out_as_well() {
    let (world, clock) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    clock.turn_to("2026-11-25T03:00:00Z");
    world.app.run_due().await.unwrap();
    assert_eq!((sealed_keys(&world), listed(&world).await), (base, 0));
    assert_clean(&world, "after a time-out");
    assert_eq!(world.get_consent(&asked.id).await.state(), ConsentState::TimedOut);
}

#[tokio::test]
async fn after_erasing_as_well_whatever_there_was() {
    let (world, _) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    world.respond(world.grant_request(&asked)).await;
    // A second reading, for another place, that no consent was asked for yet.
    let mut elsewhere = crate::support::ask("canary-subject", "elsewhere", "read 2011-03-10");
    elsewhere.jurisdiction = "JP".to_owned();
    world.check(elsewhere).await.unwrap();
    assert_eq!(sealed_keys(&world), base + 2);
    world.erase("canary-subject").await;
    world.erase("canary-subject").await;
    assert_eq!((sealed_keys(&world), listed(&world).await), (base, 0));
    assert_clean(&world, "after erasing");
    assert_eq!(world.get_consent(&asked.id).await.state(), ConsentState::Erased);
}

#[tokio::test]
async fn a_withdrawn_consent_keeps_its_record_and_loses_what_was_sealed() {
    let (world, _) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    world.respond(world.grant_request(&asked)).await;
    world.withdraw(&asked.id, ConsentActor::Guardian).await;
    assert_eq!((sealed_keys(&world), listed(&world).await), (base, 1));
    let consent = world.get_consent(&asked.id).await;
    assert_eq!(consent.events.len(), 4, "{:?}", consent.events);
    assert!(!consent.receipt.is_empty());
    assert_clean(&world, "after a withdrawal");
}

#[tokio::test]
async fn a_server_killed_between_the_record_and_the_key_finishes_when_it_is_back() {
    // As if the process had ended after the record was written: the mark is there, the key is, too.
    let (world, clock) = world().await;
    let base = sealed_keys(&world);
    let asked = requested(&world).await;
    assert_eq!(sealed_keys(&world), base + 1);
    let failing = Arc::new(Wilful::unshredding(Arc::clone(&world.app.store)));
    let wound = clock.clone();
    let failing_world = world
        .replica(move |app| {
            wound.wind(app);
            app.store = failing;
        })
        .await;
    let refuse = proto::RespondRequest {
        answer: Some(proto::respond_request::Answer::Refuse(proto::Refuse {})),
        ..world.grant_request(&asked)
    };
    let error = failing_world.consents().respond(world.authorized(SHOP, refuse)).await.unwrap_err();
    assert_eq!(crate::support::reason(&error), "STORE_UNAVAILABLE");
    assert_eq!(sealed_keys(&world), base + 1, "the key is still there");
    world.app.run_due().await.unwrap();
    assert_eq!(sealed_keys(&world), base, "the timers have finished it");
    assert_eq!(world.get_consent(&asked.id).await.state(), ConsentState::Refused);
}

#[tokio::test]
async fn sealing_keys_are_rotated_while_consents_live() {
    let ring = |current: u8, older: &[u8]| {
        let key = |byte: &u8| Sensitive::new([*byte; 32]);
        SealRing::new(key(&current), older.iter().map(key).collect())
    };
    let world = World::with(|_| {}, |app| app.seal = ring(1, &[])).await;
    let born = crate::support::born(15, -40);
    let (seen, unseen) = (world.given("seen", &born).await, world.given("unseen", &born).await);
    let world = world.restart(|app| app.seal = ring(2, &[1])).await;
    world.get_consent(&seen.id).await;
    let world = world.restart(|app| app.seal = ring(2, &[])).await;
    world.check_by_consent("seen", &seen.id).await.unwrap();
    let lost = world.check_by_consent("unseen", &unseen.id).await.unwrap_err();
    assert_eq!(crate::support::reason(&lost), "CONSENT_NOT_IN_FORCE", "what cannot be opened permits nothing");
    // And it can be withdrawn and erased all the same.
    let withdrawn = world.withdraw(&unseen.id, ConsentActor::Guardian).await;
    assert!(matches!(withdrawn, proto::withdraw_response::Outcome::Withdrawn(_)), "{withdrawn:?}");
    world.erase("unseen").await;
    assert_eq!(world.get_consent(&unseen.id).await.state(), ConsentState::Erased);
}
