//! What holds against who guesses, who asks twice, and who asks about others' requests.

use crate::support::rights::{
    accepted, asks, assert_unknown, attorney, card, code, declaration, done, fresh_key, guardian, not_accepted,
    not_possible, other_than, pass, permission, reviewed, session, two_points, wrong_points,
};
use crate::support::{SHOP, TurnedClock, World, reason};
use idgate::config::Settings;
use idgate::server::proto::{
    self, CodeChannel, EventType, ExtensionReason, Missing, OpenRequestRequest, ProofLevel, Redemption, RefusalBasis,
    RequestState, Right, RightsNotPossible as No, Vouched,
};
use idgate::terms::Scope;
use jiff::SignedDuration;
use std::time::Duration;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const WAYS: [Vouched; 3] = [Vouched::Session, Vouched::Phone, Vouched::Email];

async fn world_with(set: impl FnOnce(&mut Settings)) -> (World, TurnedClock) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let wound = clock.clone();
    (World::with(set, move |app| wound.wind(app)).await, clock)
}

async fn world() -> (World, TurnedClock) {
    world_with(|_| {}).await
}

/// How long it must be waited.
fn wait(status: &Status) -> Duration {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "SUBJECT_ATTEMPTS"));
    status.get_error_details().retry_info().unwrap().retry_delay.unwrap()
}

#[tokio::test]
async fn after_five_failures_only_a_person_goes_on() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await;
    let text = world.code(&taken, CodeChannel::Email).await;
    for n in 1..=5 {
        let wrong = if n % 2 == 0 { code(&other_than(&text)) } else { wrong_points() };
        let after = not_accepted(world.prove(&taken, wrong).await);
        let expected = if n < 5 { RequestState::Open } else { RequestState::InReview };
        assert_eq!(after.state(), expected, "{n}");
        pass(&clock, 60 * SECOND);
    }
    assert_eq!(world.stands(&taken).await.missing, [i32::from(Missing::HumanReview)]);
    for proof in
        [code(&text), two_points(), session(clock.now()), declaration(), card("masked 1990-01-02", "1990-01-02")]
    {
        assert_eq!(not_possible(world.prove(&taken, proof).await), No::InReview);
    }
    for proof in [guardian(&uuid::Uuid::new_v4().to_string()), permission(), attorney()] {
        assert_eq!(not_possible(world.prove(&taken, proof).await), No::InReview);
    }
    assert_eq!(world.no_code(&taken, CodeChannel::Email).await, No::InReview);
    assert_eq!(world.close(&taken, done()).await.unwrap_err(), No::NotVerified);
    assert_eq!(world.script.begun(), 0);

    let looked_at = accepted(world.prove(&taken, reviewed()).await);
    assert_eq!((looked_at.state(), looked_at.reached_level()), (RequestState::Open, ProofLevel::L0));
    assert_eq!(looked_at.missing, [i32::from(Missing::SessionOrCode)], "a person's look is no contact");
    let verified = accepted(world.prove(&taken, session(clock.now())).await);
    assert_eq!(verified.state(), RequestState::Verified);
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_PROOF_FAILED",
            "RIGHTS_IN_REVIEW",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED"
        ]
    );
}

#[tokio::test]
async fn a_person_alone_says_who_asks_where_no_way_was_known_before() {
    let (world, _) = world().await;
    let taken = world.open(asks("haneul", Right::Delete, "DE", &[])).await;
    let verified = accepted(world.prove(&taken, reviewed()).await);
    assert_eq!(verified.state(), RequestState::Verified);
    assert_eq!(world.get_request(&taken).await.proofs[0].staff_ref, crate::support::rights::STAFF);
}

#[tokio::test]
async fn a_request_in_review_can_still_be_refused_for_want_of_proof() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Delete, "DE", &WAYS)).await;
    for _ in 0..5 {
        not_accepted(world.prove(&taken, wrong_points()).await);
        pass(&clock, 60 * SECOND);
    }
    let closed = world.close(&taken, crate::support::rights::refused(RefusalBasis::IdentityNotShown)).await.unwrap();
    assert_eq!(closed.state(), RequestState::Refused);
}

#[tokio::test]
async fn each_failure_makes_the_next_attempt_wait_twice_as_long() {
    let (world, clock) = world().await;
    // Whichever request of the person it is.
    let requests = [
        world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await,
        world.open(asks("haneul", Right::Delete, "DE", &WAYS)).await,
    ];
    for (n, seconds) in [1, 2, 4, 8, 16, 32].into_iter().enumerate() {
        let (taken, other) = (&requests[n % 2], &requests[(n + 1) % 2]);
        not_accepted(world.prove(taken, wrong_points()).await);
        for at in [taken, other] {
            let early = world.try_prove(world.proving(at, two_points())).await.unwrap_err();
            assert_eq!(wait(&early), Duration::from_secs(seconds), "after {} failures", n + 1);
        }
        pass(&clock, SignedDuration::from_secs(i64::try_from(seconds).unwrap()) - SignedDuration::from_millis(1));
        let early = world.try_prove(world.proving(taken, two_points())).await.unwrap_err();
        assert_eq!(wait(&early), Duration::from_millis(1));
        pass(&clock, SignedDuration::from_millis(1));
    }
    // What is no guess, and whoever else asks, does not wait.
    not_accepted(world.prove(&requests[0], wrong_points()).await);
    accepted(world.prove(&requests[0], session(clock.now())).await);
    let stranger = world.open(asks("jiho", Right::Correct, "DE", &WAYS)).await;
    accepted(world.prove(&stranger, two_points()).await);
    // Nor does a code that was delivered, and nothing is counted back but what holds.
    let text = world.code(&requests[1], CodeChannel::Email).await;
    accepted(world.prove(&requests[1], code(&text)).await);
    pass(&clock, 64 * SECOND);
    accepted(world.prove(&requests[1], two_points()).await);
    let third = world.open(asks("haneul", Right::Portability, "DE", &WAYS)).await;
    not_accepted(world.prove(&third, wrong_points()).await);
    let early = world.try_prove(world.proving(&third, two_points())).await.unwrap_err();
    assert_eq!(wait(&early), Duration::from_secs(128), "seven before, and this one");
}

#[tokio::test]
async fn too_many_failures_lock_a_person_until_an_operator_unlocks_them() {
    let (world, clock) = world_with(|settings| settings.rights.lock_after = 3).await;
    let (taken, other) = (
        world.open(asks("haneul", Right::CorrectBirthDate, "DE", &WAYS)).await,
        world.open(asks("haneul", Right::Delete, "DE", &WAYS)).await,
    );
    accepted(world.prove(&taken, session(clock.now())).await);
    let text = world.code(&taken, CodeChannel::Email).await;
    accepted(world.prove(&taken, code(&text)).await);
    for _ in 0..3 {
        not_accepted(world.prove(&other, wrong_points()).await);
        pass(&clock, 60 * SECOND);
    }
    pass(&clock, 24 * HOUR * 3);
    assert_eq!(not_possible(world.prove(&other, two_points()).await), No::Locked);
    // What was delivered to the person, and what is shown in a session, is not locked by a stranger's guesses.
    let text = world.code(&other, CodeChannel::Email).await;
    accepted(world.prove(&other, code(&text)).await);
    accepted(world.prove(&taken, session(clock.now())).await);
    accepted(world.prove(&taken, two_points()).await);
    let stranger = world.open(asks("jiho", Right::Delete, "DE", &WAYS)).await;
    accepted(world.prove(&stranger, two_points()).await);
    pass(&clock, 400 * 24 * HOUR);
    assert_eq!(not_possible(world.prove(&other, two_points()).await), No::Locked, "time alone unlocks nobody");

    // By an admin's token only, and only of this relying party.
    let scopes: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect();
    let mut request =
        Request::new(proto::UnlockRequest { subject_ref: "haneul".to_owned(), staff_ref: "staff-7".to_owned() });
    let bearer = world.bearer("idgate", SHOP, &scopes, &[]);
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let denied = world.rights().unlock(request).await.unwrap_err();
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    let elsewhere = proto::UnlockRequest { subject_ref: "haneul".to_owned(), staff_ref: "staff-7".to_owned() };
    world.rights().unlock(world.authorized("another-shop", elsewhere)).await.unwrap();
    assert_eq!(not_possible(world.prove(&other, two_points()).await), No::Locked);
    for _ in 0..2 {
        world.unlock("haneul").await;
    }
    accepted(world.prove(&other, two_points()).await);
    not_accepted(world.prove(&other, wrong_points()).await);
    let early = world.try_prove(world.proving(&other, two_points())).await.unwrap_err();
    assert_eq!(wait(&early), Duration::from_secs(1), "counted anew");
    assert_eq!(world.count_told(EventType::RightsLocked).await, 1);
    assert_eq!(world.count_told(EventType::RightsUnlocked).await, 1);
    assert_eq!(world.told_of(&other).await.iter().filter(|kind| **kind == "RIGHTS_LOCKED").count(), 1);
}

#[tokio::test]
async fn who_is_locked_can_still_opt_out() {
    let (world, clock) = world_with(|settings| settings.rights.lock_after = 1).await;
    let taken = world.open(asks("haneul", Right::Delete, "US-CA", &WAYS)).await;
    not_accepted(world.prove(&taken, wrong_points()).await);
    pass(&clock, HOUR);
    assert_eq!(not_possible(world.prove(&taken, two_points()).await), No::Locked);
    let out = world.open(asks("haneul", Right::OptOut, "US-CA", &WAYS)).await;
    assert_eq!(world.redeem(&out.answer.proof.clone().unwrap().token).await, Redemption::Redeemed);
    assert_eq!(accepted(world.prove(&taken, reviewed()).await).state(), RequestState::Open, "a person still may look");
}

#[tokio::test]
async fn a_person_gets_so_many_codes_in_an_hour_and_no_more() {
    let (world, clock) = world().await;
    let requests = [
        world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await,
        world.open(asks("haneul", Right::Delete, "DE", &WAYS)).await,
    ];
    for n in 0..3 {
        world.code(&requests[n % 2], CodeChannel::Email).await;
    }
    for taken in &requests {
        assert_eq!(world.no_code(taken, CodeChannel::Sms).await, No::TooManyCodes);
    }
    let stranger = world.open(asks("jiho", Right::Correct, "DE", &WAYS)).await;
    world.code(&stranger, CodeChannel::Email).await;
    pass(&clock, HOUR - SECOND);
    assert_eq!(world.no_code(&requests[0], CodeChannel::Sms).await, No::TooManyCodes);
    pass(&clock, SECOND);
    world.code(&requests[0], CodeChannel::Sms).await;
}

#[tokio::test]
async fn what_another_relying_party_or_for_another_person_asks_is_not_found() {
    let (world, _) = world().await;
    let (taken, token) = world.verified(asks("haneul", Right::Correct, "DE", &WAYS), false).await;
    let mut seen = Vec::new();
    for (party, id, subject) in [
        ("another-shop", taken.id.as_str(), "haneul"),
        (SHOP, "0198a000-0000-7000-8000-000000000000", "haneul"),
        (SHOP, taken.id.as_str(), "jiho"),
    ] {
        let (id, subject) = (id.to_owned(), subject.to_owned());
        let issue = proto::IssueCodeRequest {
            request_id: id.clone(),
            subject_ref: subject.clone(),
            channel: CodeChannel::Email.into(),
            language: String::new(),
        };
        seen.push(assert_unknown(world.rights().issue_code(world.authorized(party, issue)).await));
        let wrong = crate::support::rights::Taken { id: id.clone(), subject: subject.clone(), ..taken.clone() };
        for proof in [two_points(), code("123456"), card("masked 1990-01-02", "1990-01-02"), reviewed()] {
            let prove = world.proving(&wrong, proof);
            seen.push(assert_unknown(world.rights().prove_requester(world.authorized(party, prove)).await));
        }
        if subject == "jiho" {
            continue;
        }
        let get = proto::GetRequestRequest { request_id: id.clone(), language: String::new() };
        seen.push(assert_unknown(world.rights().get_request(world.authorized(party, get)).await));
        let acknowledge =
            proto::AcknowledgeRequest { request_id: id, language: String::new(), idempotency_key: fresh_key() };
        seen.push(assert_unknown(world.rights().acknowledge(world.authorized(party, acknowledge)).await));
        let extend = world.extending(&wrong, ExtensionReason::Complex);
        seen.push(assert_unknown(world.rights().extend(world.authorized(party, extend)).await));
        let close = world.closing(&wrong, done());
        seen.push(assert_unknown(world.rights().close(world.authorized(party, close)).await));
    }
    // A picture that was sent has its receipt, whatever it was sent for.
    let told = |status: &Status| (status.message().to_owned(), format!("{:?}", status.get_error_details()));
    assert!(seen.windows(2).all(|two| told(&two[0]) == told(&two[1])), "what is not found tells why");
    let list = |party| {
        let request = proto::ListDueRequest::default();
        let request = world.authorized(party, request);
        async { world.rights().list_due(request).await.unwrap().into_inner().requests.len() }
    };
    assert_eq!((list(SHOP).await, list("another-shop").await), (1, 0));
    assert_eq!(world.redeem_as("another-shop", &token).await.redemption(), Redemption::Invalid);
    assert_eq!(world.stands(&taken).await.state(), RequestState::Verified);
    assert_eq!(world.script.begun(), 0);
}

/// That the key was used for another request.
fn assert_reused<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
}

#[tokio::test]
async fn taking_a_request_is_safe_to_repeat() {
    let (world, clock) = world().await;
    let ask = asks("haneul", Right::OptOut, "US-CA", &WAYS);
    let first = world.open(ask.clone()).await;
    pass(&clock, 60 * SECOND);
    let again = world.open(ask.clone()).await;
    assert_eq!(first.answer, again.answer, "the same request, and the same token");
    assert_eq!(world.get_request(&first).await.times_asked, 1);
    let others = [
        OpenRequestRequest { right: Right::Delete.into(), ..ask.clone() },
        OpenRequestRequest { jurisdiction: "DE".to_owned(), ..ask.clone() },
        OpenRequestRequest { regime: proto::Regime::Gdpr.into(), ..ask.clone() },
        OpenRequestRequest { acting_as: proto::ActingAs::Agent.into(), ..ask.clone() },
        OpenRequestRequest { vouched: vec![], ..ask.clone() },
        OpenRequestRequest { single_use: !ask.single_use, ..ask.clone() },
        OpenRequestRequest { single_use: true, ..ask.clone() },
        OpenRequestRequest { received_at: Some(crate::support::rights::wire(clock.now())), ..ask.clone() },
    ];
    for other in others {
        assert_reused(world.open_as(SHOP, other).await);
    }
    let theirs = world.open_as("another-shop", ask).await.unwrap();
    assert_ne!(theirs.id, first.id);
    assert_eq!(world.count_told(EventType::RightsOpened).await, 1);
}

#[tokio::test]
async fn showing_something_is_safe_to_repeat() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await;
    let wrong = world.proving(&taken, wrong_points());
    for _ in 0..4 {
        not_accepted(world.try_prove(wrong.clone()).await.unwrap());
    }
    let early = world.try_prove(world.proving(&taken, two_points())).await.unwrap_err();
    assert_eq!(wait(&early), Duration::from_secs(1), "it was one failure");
    let other = proto::ProveRequesterRequest { proof: Some(two_points()), ..wrong.clone() };
    not_accepted(world.try_prove(other).await.unwrap());
    assert_reused(world.try_prove(proto::ProveRequesterRequest { proof: Some(code("123456")), ..wrong }).await);
    pass(&clock, SECOND);

    let text = world.code(&taken, CodeChannel::Email).await;
    let right = world.proving(&taken, code(&text));
    let first = world.try_prove(right.clone()).await.unwrap();
    assert_eq!(world.try_prove(right.clone()).await.unwrap(), first, "a used code, but the same request");
    accepted(first);
    let guess = proto::ProveRequesterRequest { proof: Some(code(&other_than(&text))), ..right.clone() };
    assert!(world.try_prove(guess).await.is_ok(), "what a key came to is told again; nothing is looked at");
    assert_reused(world.try_prove(proto::ProveRequesterRequest { single_use: true, ..right }).await);

    let last = world.proving(&taken, two_points());
    let first = world.try_prove(last.clone()).await.unwrap();
    pass(&clock, 60 * SECOND);
    assert_eq!(world.try_prove(last.clone()).await.unwrap(), first, "the same token");
    accepted(first);
    pass(&clock, 15 * 60 * SECOND);
    let late = world.try_prove(last).await.unwrap();
    assert!(late.proof.is_none(), "a retry makes no token live longer");
    assert_eq!(accepted(late).state(), RequestState::Verified);
    assert_eq!(
        world.told_of(&taken).await,
        ["RIGHTS_OPENED", "RIGHTS_PROOF_FAILED", "RIGHTS_CODE_MADE", "RIGHTS_PROOF_SHOWN", "RIGHTS_VERIFIED"]
    );
}

#[tokio::test]
async fn a_picture_shown_again_under_its_key_is_not_looked_at_again() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::CorrectBirthDate, "KR", &WAYS)).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    accepted(world.prove(&taken, two_points()).await);
    let picture = world.proving(&taken, card("masked 1990-01-02", "1990-01-02"));
    let first = world.try_prove(picture.clone()).await.unwrap();
    assert_eq!(world.try_prove(picture.clone()).await.unwrap(), first);
    assert_eq!(world.script.begun(), 1);
    let other = proto::ProveRequesterRequest { proof: Some(card("masked 1990-01-02", "1990-01-03")), ..picture };
    assert_eq!(world.try_prove(other).await.unwrap(), first, "what a key came to stays, whatever is shown");
    assert_eq!(world.script.begun(), 1, "and nothing is looked at");
}

#[tokio::test]
async fn acknowledging_extending_and_closing_are_safe_to_repeat() {
    let (world, _) = world().await;
    let (taken, _) = world.verified(asks("haneul", Right::Correct, "DE", &WAYS), false).await;
    let acknowledge = |key: &str| proto::AcknowledgeRequest {
        request_id: taken.id.clone(),
        language: String::new(),
        idempotency_key: key.to_owned(),
    };
    let mut calls = Vec::new();
    for _ in 0..2 {
        let answer = world.rights().acknowledge(world.authorized(SHOP, acknowledge("ack"))).await.unwrap();
        calls.push(answer.into_inner());
    }
    assert_eq!(calls[0], calls[1]);
    assert!(matches!(calls[0].outcome, Some(proto::acknowledge_response::Outcome::Acknowledged(_))));
    assert_eq!(world.acknowledge(&taken).await.unwrap_err(), No::AlreadyAcknowledged);

    let extend = world.extending(&taken, ExtensionReason::Complex);
    let longer = world.try_extend(extend.clone()).await.unwrap();
    assert_eq!(world.try_extend(extend.clone()).await.unwrap(), longer);
    for other in [
        proto::ExtendRequest { reason: ExtensionReason::ManyRequests.into(), ..extend.clone() },
        proto::ExtendRequest { staff_ref: "staff-8".to_owned(), ..extend.clone() },
        proto::ExtendRequest { idempotency_key: "ack".to_owned(), ..extend.clone() },
    ] {
        assert_reused(world.rights().extend(world.authorized(SHOP, other)).await);
    }
    let close = world.closing(&taken, done());
    let closed = world.try_close(close.clone()).await;
    assert_eq!(world.try_close(close.clone()).await, closed);
    let other = crate::support::rights::refused(RefusalBasis::Unfounded);
    let other = proto::CloseRequest { answer: Some(other), ..close };
    assert_reused(world.rights().close(world.authorized(SHOP, other)).await);
    assert_eq!(world.try_extend(extend).await.unwrap().state(), RequestState::Done, "a late retry is told what is now");
    assert_eq!(
        world.told_of(&taken).await,
        [
            "RIGHTS_OPENED",
            "RIGHTS_CODE_MADE",
            "RIGHTS_PROOF_SHOWN",
            "RIGHTS_VERIFIED",
            "RIGHTS_ACKNOWLEDGED",
            "RIGHTS_EXTENDED",
            "RIGHTS_DONE"
        ]
    );
}

#[tokio::test]
async fn what_could_not_be_done_is_looked_at_again_on_a_retry() {
    let (world, _) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await;
    let close = world.closing(&taken, done());
    let first = world.try_close(close.clone()).await;
    assert!(matches!(first.outcome, Some(proto::close_response::Outcome::NotPossible(_))));
    world.prove_code(&taken, CodeChannel::Email).await;
    accepted(world.prove(&taken, two_points()).await);
    let second = world.try_close(close).await;
    assert!(matches!(second.outcome, Some(proto::close_response::Outcome::Closed(_))));
}
