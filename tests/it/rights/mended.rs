//! Defects that were found and mended: each is a test that failed.

use crate::support::rights::{
    accepted, asks, card, code, date, done, not_accepted, not_possible, pass, points, session, two_points,
};
use crate::support::{SHOP, TurnedClock, World, ask, claims};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::prove_requester_response::Outcome as Proved;
use idgate::server::proto::{
    CodeChannel, DataPointKind, ListDueRequest, OpenRequestRequest, ProofLevel, RequestState, Right,
    RightsNotPossible as No, TokenStatus, Vouched,
};
use jiff::SignedDuration;
use tonic::Code;

const WAYS: [Vouched; 2] = [Vouched::Session, Vouched::Email];

async fn world() -> (World, TurnedClock) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    (World::wound(&clock).await, clock)
}

/// Somebody who proves that they are themselves is told how a decision about somebody else was made: nobody compares the
/// person of the decision with the person of the request.
#[tokio::test]
async fn a_decision_about_somebody_else_is_not_explained() {
    let (world, _) = world().await;
    let of_other = world.check(ask("jiho", "one", "read 1990-01-02")).await.unwrap();
    assert!(matches!(of_other.outcome, Some(Checked::Allowed(_))));
    let explain = OpenRequestRequest {
        decision_id: of_other.decision_id,
        ..asks("haneul", Right::ExplainDecision, "KR", &[Vouched::Email])
    };
    let taken = world.open(explain).await;
    world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!(accepted(world.prove(&taken, two_points()).await).state(), RequestState::Verified);
    assert_eq!(world.get_request(&taken).await.explanation, None, "it is another person's");
}

/// Whoever knows two data points shows them after every guess at a third: that sets back the failures of the request and
/// of the person, so that neither a person ever looks at it, nor the wait grows, nor the lock comes.
#[tokio::test]
async fn what_is_known_does_not_wash_away_what_was_guessed() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await;
    let known = (DataPointKind::PostalAddress, "1 example street", "1 example street");
    let username = (DataPointKind::Username, "haneul", "haneul");
    for year in 1980..2000 {
        let guess = format!("{year}-01-02");
        let guess = (DataPointKind::DateOfBirth, guess.as_str(), "2001-02-03");
        match world.prove(&taken, points(&[known, guess])).await.outcome {
            Some(Proved::NotAccepted(_)) => {}
            Some(Proved::NotPossible(_)) => return assert!(year > 1984, "five are looked at"),
            other => panic!("{other:?}"),
        }
        pass(&clock, SignedDuration::from_secs(1));
        // While the person has to wait, this is refused; a second is enough only as long as nothing adds up.
        drop(world.try_prove(world.proving(&taken, points(&[known, username]))).await);
        pass(&clock, SignedDuration::from_mins(120));
    }
    panic!("twenty guesses at a date of birth were looked at, and there is no end to them");
}

/// The same with a code, for which no data point is needed: a session that the relying party vouches for sets back the
/// failures of the request.
#[tokio::test]
async fn a_session_does_not_wash_away_what_was_guessed() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &WAYS)).await;
    for n in 0..5 {
        not_accepted(world.prove(&taken, code("123456")).await);
        if n < 4 {
            accepted(world.prove(&taken, session(clock.now())).await);
        }
        pass(&clock, SignedDuration::from_mins(120));
    }
    assert_eq!(not_possible(world.prove(&taken, code("123456")).await), No::InReview);
}

/// Something weaker that is shown after the requester was verified takes the place of what they were verified by: the
/// request stays verified, at a level below the one that it needs, and a token says so.
#[tokio::test]
async fn a_verified_request_keeps_the_level_that_it_was_verified_at() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Access, "DE", &WAYS)).await;
    accepted(world.prove(&taken, two_points()).await);
    let verified = accepted(world.prove(&taken, session(clock.now())).await);
    assert_eq!((verified.state(), verified.reached_level()), (RequestState::Verified, ProofLevel::L2));
    let answer = world.prove(&taken, session(clock.now() - SignedDuration::from_hours(1))).await;
    if let Some(proof) = &answer.proof {
        assert_eq!(claims(&proof.token)["level"], "l2", "the token of a verified requester");
    }
    let stands = world.stands(&taken).await;
    assert_eq!((stands.state(), stands.reached_level()), (RequestState::Verified, ProofLevel::L2));
}

/// A range of more than five years is cut short, and nothing says so: what is due after it looks as if it were not there.
#[tokio::test]
async fn a_range_that_is_too_long_is_refused_or_looked_at_in_full() {
    let (world, _) = world().await;
    let taken = world.open(asks("haneul", Right::Access, "KR", &WAYS)).await;
    let long = ListDueRequest { from: date("2020-01-01"), until: date("2027-12-31"), ..Default::default() };
    match world.rights().list_due(world.authorized(SHOP, long)).await {
        Err(status) => assert_eq!(status.code(), Code::InvalidArgument),
        Ok(page) => {
            let page = page.into_inner();
            let listed = page.requests.iter().any(|of| of.request_id == taken.id);
            assert!(listed || !page.next_page_token.is_empty(), "it is due within the range and not listed");
        }
    }
}

/// Erasing a person forgets that their age must be shown again: the token with the age that was corrected is good again.
#[tokio::test]
async fn erasing_a_person_does_not_make_an_older_token_good_again() {
    let (world, clock) = world().await;
    let checked = world.check(ask("haneul", "before-1", "read 2001-05-06")).await.unwrap();
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    let taken = world.open(asks("haneul", Right::CorrectBirthDate, "KR", &WAYS)).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    world.prove_code(&taken, CodeChannel::Email).await;
    accepted(world.prove(&taken, card("masked 2012-05-06", "2012-05-06")).await);
    world.close(&taken, done()).await.unwrap();
    assert_eq!(world.token_status(&allowed.token).await, TokenStatus::ReverificationRequired);
    world.erase("haneul").await;
    assert_ne!(world.token_status(&allowed.token).await, TokenStatus::Active);
}
