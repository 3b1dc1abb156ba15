//! Many at once: one outcome, and a trail that holds.

use crate::support::{SHOP, World, born};
use idgate::audit::{Entry, Head, verify_chain};
use idgate::flows::App;
use idgate::server::proto::respond_response::Outcome as Responded;
use idgate::server::proto::verify_guardian_response::Outcome as Verified;
use idgate::server::proto::withdraw_response::Outcome as Withdrawn;
use idgate::server::proto::{self, ConsentActor, ConsentState};
use idgate::store::Partition;
use idgate::terms::EventKind;

/// The kinds of all recorded moves of consents, and that every chain holds.
async fn moves(app: &App) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    for partition in Partition::all() {
        let links = app.store.trail(partition, 0, 4000).await.unwrap();
        let head = app.store.head(partition).await.unwrap();
        assert_eq!(verify_chain(partition.number(), Head::GENESIS, &links, Some(head)), Ok(head));
        for link in &links {
            if let Entry::ConsentMoved(moved) = link.entry().unwrap() {
                kinds.push(moved.kind);
            }
        }
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_answers_and_withdrawals_at_once_one_has_its_way() {
    let world = World::start().await;
    let asked = world.requested("minsu", &born(15, -40)).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    let (mut given, mut refused, mut withdrawn, mut told) = (0, 0, 0, 0);
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..200 {
        let mut consents = world.consents();
        if n % 2 == 0 {
            let mut request = world.grant_request(&asked);
            if n % 4 == 0 {
                request.answer = Some(proto::respond_request::Answer::Refuse(proto::Refuse {}));
            }
            let request = world.authorized(SHOP, request);
            calls.spawn(async move { Ok(consents.respond(request).await.unwrap().into_inner().outcome.unwrap()) });
        } else {
            let request = world.authorized(
                SHOP,
                proto::WithdrawRequest {
                    consent_id: asked.id.clone(),
                    actor: ConsentActor::Guardian.into(),
                    idempotency_key: format!("withdraw-{n}"),
                    language: String::new(),
                },
            );
            calls.spawn(async move { Err(consents.withdraw(request).await.unwrap().into_inner().outcome.unwrap()) });
        }
    }
    while let Some(outcome) = calls.join_next().await {
        match outcome.unwrap() {
            Ok(Responded::Given(_)) => given += 1,
            Ok(Responded::Refused(_)) => refused += 1,
            Err(Withdrawn::Withdrawn(_)) => withdrawn += 1,
            Ok(Responded::NotPossible(_)) | Err(Withdrawn::NotPossible(_)) => told += 1,
        }
    }
    // Either somebody refused or withdrew first, or it was given once and then withdrawn once: whoever comes first.
    assert!(matches!((given, refused, withdrawn), (0, 1, 0) | (0, 0, 1) | (1, 0, 1)), "{given} {refused} {withdrawn}");
    assert_eq!(given + refused + withdrawn + told, 200);
    let kinds = moves(&world.app).await;
    let count = |kind: EventKind| kinds.iter().filter(|k| **k == kind).count();
    let expected = if given == 1 { ConsentState::Withdrawn } else { ConsentState::Refused };
    assert_eq!(world.get_consent(&asked.id).await.state(), expected);
    assert_eq!(count(EventKind::ConsentGiven), given);
    assert_eq!(count(EventKind::ConsentRefused) + count(EventKind::ConsentWithdrawn), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_request_sent_fifty_times_at_once_is_one_request() {
    let world = World::start().await;
    let asked = world.requested("minsu", &born(15, -40)).await;
    world.guardian_card(&asked.id, "read 1980-01-02").await;
    let request = world.grant_request(&asked);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (mut consents, request) = (world.consents(), world.authorized(SHOP, request.clone()));
        calls.spawn(async move { consents.respond(request).await.unwrap().into_inner().outcome.unwrap() });
    }
    while let Some(outcome) = calls.join_next().await {
        assert!(matches!(outcome.unwrap(), Responded::Given(_)), "every copy gets the same answer");
    }
    assert_eq!(moves(&world.app).await.iter().filter(|kind| **kind == EventKind::ConsentGiven).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_withdrawal_while_a_guardian_is_being_read_wins() {
    let world = World::start().await;
    let asked = world.requested("minsu", &born(15, -40)).await;
    let begun = world.script.begun();
    let card = world.guardian_card(&asked.id, "hold read 1980-01-02");
    let leave = async {
        world.script.until_begun(begun + 1).await;
        let withdrawn = world.withdraw(&asked.id, ConsentActor::Subject).await;
        assert!(matches!(withdrawn, Withdrawn::Withdrawn(_)), "{withdrawn:?}");
        world.script.let_go();
    };
    let (card, ()) = tokio::join!(card, leave);
    let Verified::NotPossible(why) = card else { panic!("{card:?}") };
    assert_eq!(why.reason(), proto::NotPossibleReason::Ended);
    let consent = world.get_consent(&asked.id).await;
    assert_eq!(consent.state(), ConsentState::Refused);
    assert!(consent.checks.is_empty() && consent.decision_id.is_empty(), "the purge wins");
}
