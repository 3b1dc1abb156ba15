//! The story of one consent as a signup team lives it.

use crate::support::{SHOP, World, ask, kinds, purposes, reason};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::verify_guardian_response::Outcome as Verified;
use idgate::server::proto::{self, ConsentActor, ConsentPurpose, ConsentState, TokenStatus, VerificationMethod};
use tonic::Code;

/// A child of 15 in Korea, whatever the year.
fn fifteen() -> String {
    crate::support::born(15, -40)
}

fn allowed(answer: proto::CheckAgeResponse) -> proto::Allowed {
    match answer.outcome {
        Some(Checked::Allowed(allowed)) => allowed,
        other => panic!("not allowed: {other:?}"),
    }
}

#[tokio::test]
async fn a_child_joins_with_a_guardians_consent_and_leaves_when_it_is_withdrawn() {
    let world = World::start().await;
    let asked = world.requested("minsu", &fifteen()).await;
    assert_eq!((asked.consent.guardian_min_age, asked.consent.legal_guardian), (19, false));
    assert!(!asked.consent.guardian_access && asked.consent.granted.is_empty());

    let sent = proto::RecordNoticeSentRequest {
        consent_id: asked.id.clone(),
        new_link: false,
        idempotency_key: "sent".to_owned(),
        language: String::new(),
    };
    let sent = world.consents().record_notice_sent(world.authorized(SHOP, sent)).await.unwrap().into_inner();
    let Some(proto::record_notice_sent_response::Outcome::Recorded(consent)) = sent.outcome else { panic!() };
    assert_eq!(consent.state(), ConsentState::NoticeSent);
    assert!(sent.guardian_link_token.is_empty());

    let Verified::Verified(consent) = world.guardian_card(&asked.id, "read 1980-01-02").await else { panic!() };
    assert_eq!(consent.state(), ConsentState::GuardianVerified);
    assert_eq!(consent.checks.len(), 1);
    assert_eq!(consent.checks[0].method(), VerificationMethod::IdScan);

    // Not before the guardian answers.
    let early = world.check(ask("minsu", "early", &format!("read {}", fifteen()))).await.unwrap();
    assert!(matches!(early.outcome, Some(Checked::ConsentRequired(_))));

    let answer = world.respond(world.grant_request(&asked)).await;
    let proto::respond_response::Outcome::Given(consent) = answer else { panic!("{answer:?}") };
    assert_eq!(consent.state(), ConsentState::Given);
    assert_eq!(consent.granted, purposes());
    assert!(consent.guardian_access && !consent.receipt.is_empty());

    let by_card = allowed(world.check(ask("minsu", "again", &format!("read {}", fifteen()))).await.unwrap());
    assert_eq!(by_card.consent_id, asked.id);
    let by_consent = allowed(world.check_by_consent("minsu", &asked.id).await.unwrap());
    let claims = crate::support::claims(&by_consent.token);
    assert_eq!((&claims["consent"], &claims["age_over_18"]), (&asked.id.as_str().into(), &false.into()));
    for token in [&by_card.token, &by_consent.token] {
        assert_eq!(world.token_status(token).await, TokenStatus::Active);
    }

    let proto::withdraw_response::Outcome::Withdrawn(consent) = world.withdraw(&asked.id, ConsentActor::Guardian).await
    else {
        panic!()
    };
    assert_eq!(consent.state(), ConsentState::Withdrawn);
    assert_eq!(
        kinds(&consent),
        ["consent.requested", "consent.notice_sent", "consent.guardian_verified", "consent.given", "consent.withdrawn"]
    );
    for token in [&by_card.token, &by_consent.token] {
        assert_eq!(world.token_status(token).await, TokenStatus::Revoked);
    }
    let after = world.check_by_consent("minsu", &asked.id).await.unwrap_err();
    assert_eq!((after.code(), reason(&after).as_str()), (Code::FailedPrecondition, "CONSENT_NOT_IN_FORCE"));
    let retry = world.check(ask("minsu", "again", &format!("read {}", fifteen()))).await.unwrap_err();
    assert_eq!(reason(&retry), "CONSENT_NOT_IN_FORCE", "a retry does not bring the token back");
    let again = world.check(ask("minsu", "after", &format!("read {}", fifteen()))).await.unwrap();
    assert!(matches!(again.outcome, Some(Checked::ConsentRequired(_))));
}

#[tokio::test]
async fn a_consent_is_for_one_person_one_place_and_one_purpose() {
    let world = World::start().await;
    let asked = world.given("minsu", &fifteen()).await;
    let other = world.check_by_consent("jiho", &asked.id).await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::NotFound, "UNKNOWN_CONSENT"));
    let mut elsewhere = ask("minsu", "elsewhere", &format!("read {}", fifteen()));
    elsewhere.jurisdiction = "JP".to_owned();
    assert!(matches!(world.check(elsewhere).await.unwrap().outcome, Some(Checked::ConsentRequired(_))));
    let mut stream = ask("minsu", "stream", &format!("read {}", fifteen()));
    stream.purpose = proto::Purpose::LiveStream.into();
    assert!(matches!(world.check(stream).await.unwrap().outcome, Some(Checked::ConsentRequired(_))));

    let foreign = proto::GetConsentRequest { consent_id: asked.id.clone() };
    let foreign = world.consents().get_consent(world.authorized("other-shop", foreign)).await.unwrap_err();
    assert_eq!(reason(&foreign), "UNKNOWN_CONSENT");
}

#[tokio::test]
async fn consent_never_lifts_the_block_nor_mends_a_document() {
    let world = World::start().await;
    world.given("minsu", &fifteen()).await;
    let weak = world.check(ask("minsu", "weak", &format!("unwitnessed {}", fifteen()))).await.unwrap();
    assert!(matches!(weak.outcome, Some(Checked::Unreadable(_))), "{:?}", weak.outcome);
    let child = world.check(ask("minsu", "child", &format!("read {}", crate::support::born(12, 0)))).await.unwrap();
    assert!(matches!(child.outcome, Some(Checked::Blocked(_))));
    // It was learnt that the person is below the block age: nothing stays.
    let list = proto::ListConsentsRequest { subject_ref: "minsu".to_owned() };
    let list = world.consents().list_consents(world.authorized(SHOP, list)).await.unwrap().into_inner();
    assert!(list.consents.is_empty());
}

#[tokio::test]
async fn scope_is_changed_within_the_request_and_confirmed_and_listed() {
    let world = World::start().await;
    let asked = world.given("minsu", &fifteen()).await;
    let change = |purposes: Vec<i32>, key: &str| proto::ChangeScopeRequest {
        consent_id: asked.id.clone(),
        purposes,
        actor: ConsentActor::Guardian.into(),
        idempotency_key: key.to_owned(),
        language: "en".to_owned(),
    };
    let only = vec![ConsentPurpose::Collection.into()];
    let changed = world.consents().change_scope(world.authorized(SHOP, change(only.clone(), "less"))).await.unwrap();
    let Some(proto::change_scope_response::Outcome::Changed(consent)) = changed.into_inner().outcome else { panic!() };
    assert_eq!(consent.granted, only);
    let more = vec![ConsentPurpose::Collection.into(), ConsentPurpose::Location.into()];
    let more = world.consents().change_scope(world.authorized(SHOP, change(more, "more"))).await.unwrap();
    let Some(proto::change_scope_response::Outcome::NotPossible(why)) = more.into_inner().outcome else { panic!() };
    assert_eq!(why.reason(), proto::NotPossibleReason::PurposeNotRequested);
    assert!(!why.message.is_empty() && why.message_key == "consent.purpose_not_requested");

    let reaffirm = proto::ReaffirmRequest {
        consent_id: asked.id.clone(),
        actor: ConsentActor::Guardian.into(),
        idempotency_key: "reaffirm".to_owned(),
        language: String::new(),
    };
    let answer = world.consents().reaffirm(world.authorized(SHOP, reaffirm)).await.unwrap().into_inner();
    assert!(matches!(answer.outcome, Some(proto::reaffirm_response::Outcome::Reaffirmed(_))));

    // Other purposes need a new consent; the one in force stays until it is given.
    let mut request = world.consent_request(
        "minsu",
        &asked.consent.decision_id,
        &[VerificationMethod::IdScan, VerificationMethod::Video],
    );
    request.purposes.push(ConsentPurpose::Location.into());
    let newer = world.request_with(request).await;
    world.guardian_card(&newer.id, "read 1980-01-02").await;
    assert_eq!(world.get_consent(&asked.id).await.state(), ConsentState::Given);
    let answer = world.respond(world.grant_request(&newer)).await;
    assert!(matches!(answer, proto::respond_response::Outcome::Given(_)), "{answer:?}");
    let list = proto::ListConsentsRequest { subject_ref: "minsu".to_owned() };
    let list = world.consents().list_consents(world.authorized(SHOP, list)).await.unwrap().into_inner().consents;
    let states: Vec<_> = list.iter().map(|consent| (consent.consent_id.as_str(), consent.state())).collect();
    let expected = [(newer.id.as_str(), ConsentState::Given), (asked.id.as_str(), ConsentState::Superseded)];
    assert_eq!(states, expected, "a later consent takes the place of the earlier one");
}

#[tokio::test]
async fn every_change_is_safe_to_repeat_and_a_key_is_good_for_one_request() {
    let world = World::start().await;
    let decision = world.consent_required("minsu", &fifteen()).await;
    let request = world.consent_request("minsu", &decision, &[VerificationMethod::IdScan]);
    let first = world.request_with(request.clone()).await;
    let again = world.request_with(request.clone()).await;
    assert_eq!(first.id, again.id);
    assert_eq!(crate::support::claims(&first.link)["jti"], crate::support::claims(&again.link)["jti"]);
    let mut other = request;
    other.guardian_ref = "somebody".to_owned();
    let other = world.consents().request_consent(world.authorized(SHOP, other)).await.unwrap_err();
    assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");

    world.guardian_card(&first.id, "read 1980-01-02").await;
    let grant = world.grant_request(&first);
    for _ in 0..2 {
        let answer = world.respond(grant.clone()).await;
        assert!(matches!(answer, proto::respond_response::Outcome::Given(_)), "{answer:?}");
    }
    assert_eq!(kinds(&world.get_consent(&first.id).await).iter().filter(|kind| **kind == "consent.given").count(), 1);
}
