//! Checking an age, through the wire: outcomes, tokens, safe retries, limits, and what is kept.

use crate::support::{SHOP, Wilful, World, ask, assert_retry_later, born, reason};
use idgate::audit::{Entry, Link};
use idgate::server::proto::check_age_request::Evidence;
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::{
    self, CheckAgeRequest, CheckAgeResponse, ExplainDecisionRequest, GetDecisionRequest, GetJwksRequest,
};
use idgate::store::{Partition, Store};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use std::sync::{Arc, Mutex};
use tonic::Code;

fn token(answer: &CheckAgeResponse) -> &proto::Allowed {
    match &answer.outcome {
        Some(Outcome::Allowed(allowed)) => allowed,
        other => panic!("not allowed: {other:?}"),
    }
}

fn reasons(answer: &CheckAgeResponse) -> Vec<proto::Reason> {
    match &answer.outcome {
        Some(Outcome::Unreadable(why)) => why.reasons.iter().map(|r| r.reason()).collect(),
        other => panic!("not unreadable: {other:?}"),
    }
}

/// Every audit entry, partition by partition.
async fn audited(store: &dyn Store) -> Vec<Entry> {
    let mut links: Vec<Link> = Vec::new();
    for partition in Partition::all() {
        links.extend(store.trail(partition, 0, 1000).await.unwrap());
    }
    links.iter().map(|link| link.entry().unwrap()).collect()
}

#[tokio::test]
async fn an_adult_is_allowed_with_a_token_that_the_published_keys_verify() {
    let world = World::start().await;
    let answer = world.check(ask("subject-1", "key-1", "read 1990-05-05")).await.unwrap();
    let allowed = token(&answer);

    let mut keys = proto::key_service_client::KeyServiceClient::new(world.channel.clone());
    let jwks = keys.get_jwks(GetJwksRequest {}).await.unwrap().into_inner().jwks_json;
    assert_eq!(world.http("/.well-known/jwks.json").await, (200, jwks.clone()));
    let jwks: JwkSet = serde_json::from_str(&jwks).unwrap();
    let kid = decode_header(&allowed.token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
    let mut expected = Validation::new(Algorithm::EdDSA);
    expected.set_audience(&[SHOP]);
    expected.set_issuer(&["idgate"]);
    let claims = decode::<serde_json::Value>(&allowed.token, &key, &expected).unwrap().claims;

    assert_eq!((&claims["sub"], &claims["jti"]), (&"subject-1".into(), &answer.decision_id.as_str().into()));
    assert_eq!((&claims["age_over_13"], &claims["age_over_18"]), (&true.into(), &true.into()));
    assert_eq!((&claims["jurisdiction"], &claims["assurance"]), (&"KR".into(), &"corroborated".into()));
    assert_eq!(claims["exp"].as_i64(), allowed.expires_at.as_ref().map(|at| at.seconds));
    assert!(!claims.to_string().contains("1990"), "a token never says when somebody was born");
    assert_eq!(answer.assurance(), proto::AssuranceLevel::Corroborated);
}

#[tokio::test]
async fn a_teenager_needs_a_guardian_and_a_child_is_blocked() {
    let world = World::start().await;
    let teen = world.check(ask("teen", "key-1", &format!("read {}", born(14, -1)))).await.unwrap();
    let Some(Outcome::ConsentRequired(consent)) = teen.outcome else { panic!("{teen:?}") };
    assert_eq!((consent.guardian_min_age, consent.legal_guardian), (19, false));
    assert!(consent.legal_basis.iter().any(|basis| basis.contains("22-2")) && !consent.message.is_empty());

    let young = world.check(ask("young", "key-2", &format!("read {}", born(14, 2)))).await.unwrap();
    let Some(Outcome::ConsentRequired(consent)) = young.outcome else { panic!("{young:?}") };
    assert!(consent.legal_guardian, "below 14 it is the law that asks");

    let child = world.check(ask("child", "key-3", &format!("read {}", born(13, 2)))).await.unwrap();
    let Some(Outcome::Blocked(blocked)) = &child.outcome else { panic!("{child:?}") };
    assert!(!blocked.message.is_empty());
    assert!(child.signals.is_empty() && child.assurance == 0);
}

#[tokio::test]
async fn negative_answers_say_why_in_the_language_asked_for() {
    let world = World::start().await;
    let mut asked = ask("s", "key-1", "blurred");
    asked.language = "ko-KR".to_owned();
    let answer = world.check(asked).await.unwrap();
    let Some(Outcome::Unreadable(why)) = &answer.outcome else { panic!("{answer:?}") };
    assert_eq!((why.reasons[0].message_key.as_str(), why.retryable), ("reason.blurred", true));
    assert!(why.reasons[0].message.contains("흐립니다"));

    let answer = world.check(ask("s", "key-2", "specimen 1990-01-01")).await.unwrap();
    assert_eq!(reasons(&answer), [proto::Reason::Specimen]);
    let answer = world.check(ask("s", "key-3", "unwitnessed 1990-01-01")).await.unwrap();
    assert_eq!(reasons(&answer), [proto::Reason::NotWitnessed]);
    let answer = world.check(ask("s", "key-4", "conflict 1990-01-01")).await.unwrap();
    assert!(matches!(answer.outcome, Some(Outcome::Inconsistent(_))), "{answer:?}");
}

#[tokio::test]
async fn a_stated_date_of_birth_may_deny_but_never_allows() {
    let world = World::start().await;
    let stated = |key: &str, date: String| CheckAgeRequest {
        evidence: Some(Evidence::DeclaredBirthDate(date)),
        ..ask("s", key, "")
    };
    let child = world.check(stated("key-1", born(12, 0))).await.unwrap();
    assert!(matches!(child.outcome, Some(Outcome::Blocked(_))));
    let teen = world.check(stated("key-2", born(15, 0))).await.unwrap();
    assert!(matches!(teen.outcome, Some(Outcome::ConsentRequired(_))));
    let adult = world.check(stated("key-3", born(30, 0))).await.unwrap();
    let Some(Outcome::Unreadable(why)) = &adult.outcome else { panic!("{adult:?}") };
    assert_eq!((reasons(&adult), why.retryable), (vec![proto::Reason::DocumentRequired], true));
    assert!(why.reasons[0].message.contains("document"), "says what to do");
    assert!(world.http("/metrics").await.1.contains(r#"idgate_unreadable_total{reason="document_required"} 1"#));
    let refused = world.check(stated("key-4", "2001-02-29".to_owned())).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BAD_REQUEST"));
    assert!(!refused.message().contains("2001"), "what was sent is not repeated");
    assert_eq!(world.script.begun(), 0);
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_without_being_read_again() {
    let world = World::start().await;
    for (subject, image) in [("adult", "read 1990-05-05".to_owned()), ("child", format!("read {}", born(9, 0)))] {
        let before = world.script.begun();
        let first = world.check(ask(subject, subject, &image)).await.unwrap();
        let second = world.check(ask(subject, subject, &image)).await.unwrap();
        assert_eq!(first, second, "the whole answer, its token too");
        assert_eq!(world.script.begun(), before + 1);
    }
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let world = World::start().await;
    world.check(ask("subject-1", "key", "read 1990-05-05")).await.unwrap();
    let others = [
        ask("subject-1", "key", "read 1990-05-05."),
        ask("subject-2", "key", "read 1990-05-05"),
        CheckAgeRequest { jurisdiction: "US".to_owned(), ..ask("subject-1", "key", "read 1990-05-05") },
        CheckAgeRequest { purpose: proto::Purpose::Purchase.into(), ..ask("subject-1", "key", "read 1990-05-05") },
    ];
    for other in others {
        let refused = world.check(other).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    }
    world.check_as("another-shop", ask("subject-2", "key", "read 1990-05-05")).await.expect("keys are a party's own");
    assert_eq!(world.script.begun(), 2);
}

#[tokio::test]
async fn a_duplicate_that_comes_while_the_first_is_read_is_told_to_ask_again() {
    let world = World::start().await;
    let first = tokio::spawn({
        let (mut client, request) = (world.age_gate(), world.authorized(SHOP, ask("s", "key", "hold read 1990-05-05")));
        async move { client.check_age(request).await }
    });
    world.script.until_begun(1).await;
    let refused = world.check(ask("s", "key", "hold read 1990-05-05")).await.unwrap_err();
    assert_retry_later(&refused, Code::Aborted, "IN_PROGRESS");
    world.script.let_go();
    let answer = CheckAgeResponse { disposal: None, ..first.await.unwrap().unwrap().into_inner() };
    assert_eq!(world.check(ask("s", "key", "hold read 1990-05-05")).await.unwrap(), answer);
    assert_eq!(world.script.begun(), 1);
}

#[tokio::test]
async fn a_reading_that_crashes_is_not_answered_and_can_be_tried_again() {
    let world = World::with(|settings| settings.ocr.workers = 1, |_| {}).await;
    for _ in 0..2 {
        let failed = world.check(ask("s", "key", "panic")).await.unwrap_err();
        assert_eq!((failed.code(), reason(&failed).as_str()), (Code::Internal, "INTERNAL"));
    }
    world.check(ask("s", "key-2", "read 1990-05-05")).await.expect("the only thread still reads");
}

#[tokio::test]
async fn what_is_not_recorded_is_not_answered_and_a_lapsed_reservation_is_taken_over() {
    let now = Arc::new(Mutex::new(Timestamp::now()));
    let (clock, wilful) = (Arc::clone(&now), Arc::new(Mutex::new(None::<Arc<Wilful>>)));
    let place = Arc::clone(&wilful);
    let world = World::with(
        |_| {},
        move |app| {
            // The reservation is taken; the decision and the release are not: as if the process had been killed.
            let store = Arc::new(Wilful::new(Arc::clone(&app.store), 1));
            *place.lock().unwrap() = Some(Arc::clone(&store));
            app.store = store;
            app.clock = Box::new(move || *clock.lock().unwrap());
        },
    )
    .await;
    let asked = || ask("s", "key", "read 1990-05-05");
    let failed = world.check(asked()).await.unwrap_err();
    assert_retry_later(&failed, Code::Unavailable, "STORE_UNAVAILABLE");
    let wilful = wilful.lock().unwrap().take().unwrap();
    assert!(audited(&*wilful).await.is_empty());
    wilful.mend();
    assert_retry_later(&world.check(asked()).await.unwrap_err(), Code::Aborted, "IN_PROGRESS");

    let lease = SignedDuration::from_secs(i64::from(world.settings.checks.lease_seconds));
    *now.lock().unwrap() += lease;
    let answer = world.check(asked()).await.unwrap();
    token(&answer);
    assert_eq!(world.check(asked()).await.unwrap(), answer);
    assert_eq!((world.script.begun(), audited(&*wilful).await.len()), (2, 1));
}

#[tokio::test]
async fn of_a_blocked_child_nothing_is_found_in_the_store() {
    let store = Arc::new(Mutex::new(None::<Arc<dyn Store>>));
    let place = Arc::clone(&store);
    let world = World::with(|_| {}, move |app| *place.lock().unwrap() = Some(Arc::clone(&app.store))).await;
    let date = born(9, 3);
    let answer = world.check(ask("child-8c1f", "key-77ab", &format!("read {date}"))).await.unwrap();
    assert!(matches!(answer.outcome, Some(Outcome::Blocked(_))));

    let store = store.lock().unwrap().take().unwrap();
    let entries = audited(&*store).await;
    assert!(matches!(entries.as_slice(), [Entry::Untraced(_)]), "one event, of the kind that names nobody");
    let event = serde_json::to_string(&entries).unwrap();
    assert!(!event.contains(&answer.decision_id) && event.contains(":00:00Z"), "only the hour: {event}");

    let written = world.everything_written();
    let compact: String = date.split('-').collect();
    for needle in ["child-8c1f", "key-77ab", date.as_str(), compact.as_str(), &compact[2..]] {
        assert!(!written.windows(needle.len()).any(|w| w == needle.as_bytes()), "found {needle}");
    }
    let asked = GetDecisionRequest { decision_id: answer.decision_id };
    let found = world.age_gate().get_decision(world.authorized(SHOP, asked)).await;
    assert_eq!(found.unwrap_err().code(), Code::NotFound, "no record to look up");

    // The search would find what is there.
    assert!(written.windows(9).any(|w| w == b"kr/signup"));
}

#[tokio::test]
async fn the_store_never_holds_a_subject_or_a_date_of_anyone() {
    let world = World::start().await;
    world.check(ask("adult-51d0", "key-51d0", "read 1990-05-17")).await.unwrap();
    let written = world.everything_written();
    for needle in ["adult-51d0", "key-51d0", "1990-05-17", "19900517", "900517"] {
        assert!(!written.windows(needle.len()).any(|w| w == needle.as_bytes()), "found {needle}");
    }
}

#[tokio::test]
async fn a_subject_has_so_many_attempts_and_a_block_gives_none_back() {
    let world = World::with(|settings| settings.checks.subject_attempts = 2, |_| {}).await;
    for key in ["a", "b"] {
        world.check(ask("s", key, "blurred")).await.unwrap();
    }
    assert_retry_later(
        &world.check(ask("s", "c", "blurred")).await.unwrap_err(),
        Code::ResourceExhausted,
        "SUBJECT_ATTEMPTS",
    );
    assert_eq!(world.script.begun(), 2, "the third was not read");
    world.check(ask("s", "a", "blurred")).await.expect("a retry is no attempt");
    world.check(ask("other", "d", "blurred")).await.expect("another subject has its own");
    for key in ["e", "f"] {
        world.check(ask("child", key, &format!("read {}", born(9, 0)))).await.expect("within the limit");
    }
    // Otherwise a block, which anybody can bring about, would buy new attempts without end.
    let again = world.check(ask("child", "g", &format!("read {}", born(30, 0)))).await.unwrap_err();
    assert_retry_later(&again, Code::ResourceExhausted, "SUBJECT_ATTEMPTS");
}

#[tokio::test]
async fn of_duplicates_that_come_at_once_one_is_an_attempt() {
    let world = World::with(
        |settings| settings.checks.subject_attempts = 2,
        |app| app.store = Arc::new(Wilful::meeting(Arc::clone(&app.store), 3)),
    )
    .await;
    let same = || world.check(ask("s", "a", "read 1990-05-05"));
    let answers = tokio::join!(same(), same(), same());
    let answers = [answers.0, answers.1, answers.2];
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "none had seen another");
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_retry_later(&refused, Code::Aborted, "IN_PROGRESS");
    }
    world.check(ask("s", "b", "blurred")).await.expect("the second attempt");
    let refused = world.check(ask("s", "c", "blurred")).await.unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "SUBJECT_ATTEMPTS");
    let again = world.check(ask("s", "c", "blurred")).await.unwrap_err();
    assert_retry_later(&again, Code::ResourceExhausted, "SUBJECT_ATTEMPTS");
}

#[tokio::test]
async fn a_relying_party_has_so_many_attempts() {
    let world = World::with(|settings| settings.checks.relying_party_attempts = 1, |_| {}).await;
    world.check(ask("s", "a", "blurred")).await.unwrap();
    let refused = world.check(ask("t", "b", "blurred")).await.unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "RELYING_PARTY_ATTEMPTS");
    world.check_as("another-shop", ask("t", "b", "blurred")).await.unwrap();
}

#[tokio::test]
async fn where_the_law_wants_an_alternative_a_document_is_not_even_read_without_one() {
    let world =
        World::with(|settings| settings.checks.alternative_offered = ["fair-shop".parse().unwrap()].into(), |_| {})
            .await;
    let asked = || CheckAgeRequest { jurisdiction: "AU".to_owned(), ..ask("s", "key", "read 1990-05-05") };
    let refused = world.check(asked()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ALTERNATIVE_NOT_OFFERED"));
    assert_eq!(world.script.begun(), 0);
    token(&world.check_as("fair-shop", asked()).await.unwrap());
}

#[tokio::test]
async fn a_decision_is_told_and_explained_to_the_party_that_asked_and_to_no_other() {
    let world = World::start().await;
    let answer = world.check(ask("s", "key", "read 1990-05-05")).await.unwrap();
    let id = answer.decision_id.clone();
    let get = |party, id: &str| {
        let request = world.authorized(party, GetDecisionRequest { decision_id: id.to_owned() });
        let mut client = world.age_gate();
        async move { client.get_decision(request).await.map(|told| told.into_inner()) }
    };
    let told = get(SHOP, &id).await.unwrap();
    assert_eq!(told.outcome(), proto::OutcomeKind::Allowed);
    assert_eq!((told.rule_id.as_str(), &told.policy_digest), ("kr/signup", &answer.policy_digest));
    assert!(told.data_used.iter().any(|kind| kind == "birth_date"));

    let others = get("another-shop", &id).await.unwrap_err();
    let nobodys = get(SHOP, "01890000-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!(others.code(), Code::NotFound);
    assert_eq!(format!("{others:?}"), format!("{nobodys:?}"), "the two cannot be told apart");
    assert_eq!(get(SHOP, "not-a-uuid").await.unwrap_err().code(), Code::InvalidArgument);

    for (language, word) in [("en", "guardian"), ("ko", "법정대리인")] {
        let ask = ExplainDecisionRequest { decision_id: id.clone(), language: language.to_owned() };
        let explained = world.age_gate().explain_decision(world.authorized(SHOP, ask)).await.unwrap().into_inner();
        assert!(explained.steps.iter().any(|step| step.key == "guardian_reached" && step.text.contains(word)));
        assert!(explained.citations.iter().any(|c| c.contains("22-2")));
        assert!(!format!("{explained:?}").contains("1990"));
        assert_eq!(explained.decision.as_ref(), Some(&told));
    }
    let ask = ExplainDecisionRequest { decision_id: id, language: String::new() };
    let refused = world.age_gate().explain_decision(world.authorized("another-shop", ask)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

/// A store that was cut off may tell of a change that it alone has and is about to lose; it takes no change then.
#[tokio::test]
async fn a_retry_is_told_nothing_that_the_store_cannot_confirm() {
    let place = Arc::new(Mutex::new(None::<Arc<Wilful>>));
    let kept = Arc::clone(&place);
    let alter = move |app: &mut idgate::flows::App| {
        let store = Arc::new(Wilful::new(Arc::clone(&app.store), usize::MAX));
        *kept.lock().unwrap() = Some(Arc::clone(&store));
        app.store = store;
    };
    let world = World::with(|_| {}, alter).await;
    let store = place.lock().unwrap().take().unwrap();
    let [grown, child] = [("grown", "read 1990-05-05".to_owned()), ("child", format!("read {}", born(9, 0)))];
    let asks = [grown, child].map(|(subject, picture)| ask(subject, &format!("key-{subject}"), &picture));
    let opening = crate::support::rights::asks(
        "grown",
        idgate::server::proto::Right::Access,
        "KR",
        &[idgate::server::proto::Vouched::Email],
    );
    let mut first = Vec::new();
    for ask in &asks {
        first.push(world.check(ask.clone()).await.unwrap());
    }
    let opened = world.open(opening.clone()).await;
    store.fail();
    for ask in &asks {
        let status = world.check(ask.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    }
    let status = world.open_as(SHOP, opening.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    store.mend();
    for (ask, first) in asks.iter().zip(first) {
        assert_eq!(world.check(ask.clone()).await.unwrap().decision_id, first.decision_id);
    }
    assert_eq!(world.open(opening).await.id, opened.id);
}
