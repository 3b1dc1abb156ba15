//! Edge cases of proving who asks: what is never asked for, what does not hold, and what it is never told.

use crate::support::rights::{
    accepted, asks, at, attorney, card, code, declaration, done, fresh_key, guardian, not_accepted, not_possible,
    other_than, pass, permission, points, reviewed, session, two_points, wrong_points,
};
use crate::support::{SHOP, TurnedClock, World, ask};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::issue_code_response::Outcome as Issued;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::{
    self, ActingAs, CodeChannel, DataPointKind, IdDocument, Missing, OpenRequestRequest, ProofLevel, Regime,
    RequestState, Right, RightsNotPossible as No, Vouched,
};
use jiff::SignedDuration;
use prost::Message as _;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const EVERY_WAY: [Vouched; 4] = [Vouched::Session, Vouched::Phone, Vouched::Email, Vouched::Post];
const REGIMES: [Regime; 4] = [Regime::Policy, Regime::Gdpr, Regime::Pipa, Regime::Ccpa];

async fn world() -> (World, TurnedClock) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    (World::wound(&clock).await, clock)
}

/// One of everything that can be shown.
fn everything(clock: &TurnedClock) -> Vec<Proof> {
    vec![
        session(clock.now()),
        code("123456"),
        two_points(),
        declaration(),
        card("masked 1990-01-02", "1990-01-02"),
        reviewed(),
        guardian(&uuid::Uuid::new_v4().to_string()),
        permission(),
        attorney(),
    ]
}

fn acting(acting_as: ActingAs, ask: OpenRequestRequest) -> OpenRequestRequest {
    let guardian_ref = if acting_as == ActingAs::Guardian { "mother".to_owned() } else { String::new() };
    OpenRequestRequest { acting_as: acting_as.into(), guardian_ref, ..ask }
}

fn missing(request: &proto::RightsRequest) -> Vec<Missing> {
    request.missing().collect()
}

#[tokio::test]
async fn opting_out_and_limiting_take_no_proof_and_no_picture_under_any_regime() {
    let (world, clock) = world().await;
    let free = [(Right::OptOut, None), (Right::LimitSensitive, None), (Right::Object, Some(Regime::Ccpa))];
    for (right, only) in free {
        for regime in REGIMES.into_iter().filter(|regime| only.is_none_or(|only| only == *regime)) {
            for acting_as in [ActingAs::Self_, ActingAs::Guardian, ActingAs::Agent] {
                let subject = format!("{right:?}-{regime:?}-{acting_as:?}").to_lowercase();
                let ask = OpenRequestRequest { regime: regime.into(), ..asks(&subject, right, "GB", &EVERY_WAY) };
                let taken = world.open(acting(acting_as, ask)).await;
                assert_eq!(taken.request().state(), RequestState::Verified, "{subject}");
                assert_eq!(taken.request().required_level(), ProofLevel::L0, "{subject}");
                assert!(taken.answer.may_ask.is_empty() && taken.answer.proof.is_some(), "{subject}");
                for proof in everything(&clock) {
                    let picture = matches!(proof, Proof::IdCard(_));
                    let why = not_possible(world.prove(&taken, proof).await);
                    assert_eq!(why, if picture { No::IdForbidden } else { No::NoProofNeeded }, "{subject}");
                }
                assert_eq!(world.no_code(&taken, CodeChannel::Email).await, No::NoProofNeeded, "{subject}");
                assert!(world.get_request(&taken).await.proofs.is_empty(), "{subject}");
            }
        }
    }
    assert_eq!(world.script.begun(), 0, "no picture was looked at");
}

#[tokio::test]
async fn a_picture_is_refused_unread_wherever_the_table_forbids_it() {
    let (world, _) = world().await;
    let mut forbidden = 0;
    for regime in REGIMES {
        for right in (1..=16).map(|right| Right::try_from(right).unwrap()) {
            for vouched in [&EVERY_WAY[..], &[Vouched::Email]] {
                let subject = format!("{right:?}-{regime:?}-{}", vouched.len()).to_lowercase();
                let ask = OpenRequestRequest { regime: regime.into(), ..asks(&subject, right, "GB", vouched) };
                let taken = world.open(ask).await;
                let asked_for = taken.request().required_level() != ProofLevel::L0;
                let never = taken.request().id_document() == IdDocument::Forbidden;
                forbidden += usize::from(never);
                // Nor is it taken once something else was shown: the same under every regime.
                if never && asked_for && regime == Regime::Gdpr {
                    world.prove_code(&taken, CodeChannel::Email).await;
                    world.prove(&taken, two_points()).await;
                }
                let expected = match taken.request().id_document() {
                    IdDocument::LastResort => No::OtherProofFirst,
                    _ => No::IdForbidden,
                };
                let proof = card("masked 1990-01-02", "1990-01-02");
                assert_eq!(not_possible(world.prove(&taken, proof).await), expected, "{subject}");
            }
        }
    }
    assert!(forbidden > 70, "{forbidden}");
    assert_eq!(world.script.begun(), 0, "no picture was looked at");
}

#[tokio::test]
async fn a_picture_is_taken_only_when_everything_else_is_done_and_not_again() {
    let (world, clock) = world().await;
    let picture = || card("masked 1990-01-02", "1990-01-02");
    let taken = world.open(asks("haneul", Right::CorrectBirthDate, "DE", &EVERY_WAY)).await;
    assert_eq!(not_possible(world.prove(&taken, picture()).await), No::OtherProofFirst);
    accepted(world.prove(&taken, two_points()).await);
    assert_eq!(not_possible(world.prove(&taken, picture()).await), No::OtherProofFirst, "points without a contact");
    let two = accepted(world.prove(&taken, session(clock.now())).await);
    assert!(missing(&two).contains(&Missing::MaskedIdCard));
    // Three points and the declaration would do as well: then no card is asked for.
    let ways = world.open(asks("haneul", Right::CorrectBirthDate, "DE", &EVERY_WAY)).await;
    accepted(world.prove(&ways, session(clock.now())).await);
    let three = points(&[
        (DataPointKind::Reference, "4711", "4711"),
        (DataPointKind::Device, "grey", "grey"),
        (DataPointKind::Payment, "may", "may"),
    ]);
    accepted(world.prove(&ways, three).await);
    assert_eq!(accepted(world.prove(&ways, declaration()).await).state(), RequestState::Verified);
    assert_eq!(not_possible(world.prove(&ways, picture()).await), No::OtherProofFirst, "nothing is missing");
    assert_eq!(world.script.begun(), 0);
    assert_eq!(accepted(world.prove(&taken, picture()).await).state(), RequestState::Verified);
    assert_eq!(not_possible(world.prove(&taken, picture()).await), No::OtherProofFirst, "one picture is enough");
    assert_eq!(world.script.begun(), 1);
}

#[tokio::test]
async fn a_card_must_be_good_and_show_the_date_in_question() {
    let (world, clock) = world().await;
    for (n, words) in [
        "masked 1990-01-03",
        "blurred",
        "specimen 1990-01-02",
        "unwitnessed 1990-01-02",
        "conflict 1990-01-02",
        "expired 1990-01-02",
    ]
    .into_iter()
    .enumerate()
    {
        let taken = world.open(asks(&format!("subject-{n}"), Right::CorrectBirthDate, "KR", &EVERY_WAY)).await;
        accepted(world.prove(&taken, session(clock.now())).await);
        accepted(world.prove(&taken, two_points()).await);
        let answer = world.prove(&taken, card(words, "1990-01-02")).await;
        let after = not_accepted(answer);
        assert_eq!((after.state(), after.reached_level()), (RequestState::Open, ProofLevel::L2), "{words}");
        assert_eq!(world.get_request(&taken).await.proofs.len(), 2, "{words}");
    }
}

#[tokio::test]
async fn a_code_holds_for_as_long_as_its_channel_says_and_not_longer() {
    let ways = [
        (CodeChannel::Sms, 10 * MINUTE),
        (CodeChannel::Voice, 10 * MINUTE),
        (CodeChannel::Email, 24 * HOUR),
        (CodeChannel::Post, 21 * 24 * HOUR),
    ];
    for (channel, life) in ways {
        let (world, clock) = world().await;
        for (after, holds) in [(life - SECOND, true), (life, false)] {
            let subject = format!("subject-{holds}");
            let taken = world.open(asks(&subject, Right::Restrict, "DE", &EVERY_WAY)).await;
            let Issued::Issued(issued) = world.issue(&taken, channel).await.unwrap() else { panic!() };
            assert_eq!((issued.tries, at(issued.expires_at.as_ref())), (5, (clock.now() + life).to_string()));
            pass(&clock, after);
            let answer = world.prove(&taken, code(&issued.code)).await;
            if holds {
                assert_eq!(accepted(answer).state(), RequestState::Verified, "{channel:?}");
            } else {
                not_accepted(answer);
            }
        }
    }
}

#[tokio::test]
async fn only_the_newest_code_of_the_request_holds_and_only_once() {
    let (world, clock) = world().await;
    // Long enough for every wait, and short enough for every code.
    let refuse = async |taken: &_, text: &str| {
        not_accepted(world.prove(taken, code(text)).await);
        pass(&clock, MINUTE);
    };
    let taken = world.open(asks("haneul", Right::Correct, "DE", &EVERY_WAY)).await;
    let other = world.open(asks("haneul", Right::Delete, "DE", &EVERY_WAY)).await;
    refuse(&taken, "123456").await;
    let first = world.code(&taken, CodeChannel::Email).await;
    refuse(&taken, &other_than(&first)).await;
    let of_other = world.code(&other, CodeChannel::Email).await;
    if of_other != first {
        refuse(&taken, &of_other).await;
    }
    let second = world.code(&taken, CodeChannel::Sms).await;
    if first != second {
        refuse(&taken, &first).await;
    }
    let spaced = format!(" {}-{} ", &second[..3], &second[3..]);
    let one = accepted(world.prove(&taken, code(&spaced)).await);
    assert_eq!(one.reached_level(), ProofLevel::L1);
    pass(&clock, MINUTE);
    refuse(&taken, &second).await;
    assert_eq!(world.stands(&taken).await.reached_level(), ProofLevel::L1);
    // The code of the other request still holds for it.
    assert_eq!(accepted(world.prove(&other, code(&of_other)).await).reached_level(), ProofLevel::L1);
}

#[tokio::test]
async fn a_text_message_and_a_call_to_the_same_number_are_one_factor() {
    let (world, _) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &EVERY_WAY)).await;
    for channel in [CodeChannel::Sms, CodeChannel::Voice] {
        let one = world.prove_code(&taken, channel).await;
        assert_eq!((one.state(), one.reached_level()), (RequestState::Open, ProofLevel::L1));
        assert_eq!(missing(&one), [Missing::FreshSession, Missing::SecondFactor]);
    }
    assert_eq!(world.prove_code(&taken, CodeChannel::Email).await.state(), RequestState::Verified);
}

#[tokio::test]
async fn only_ways_that_were_known_before_show_anything() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &[Vouched::Post])).await;
    for channel in [CodeChannel::Sms, CodeChannel::Voice, CodeChannel::Email] {
        assert_eq!(world.no_code(&taken, channel).await, No::ChannelNotConfirmed);
    }
    assert_eq!(not_possible(world.prove(&taken, session(clock.now())).await), No::ChannelNotConfirmed);
    world.prove_code(&taken, CodeChannel::Post).await;
}

#[tokio::test]
async fn an_old_session_must_be_renewed_before_data_are_disclosed() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Access, "DE", &[Vouched::Session])).await;
    for old in [15 * MINUTE + SECOND, 400 * 24 * HOUR] {
        let stale = accepted(world.prove(&taken, session(clock.now() - old)).await);
        assert_eq!((stale.state(), stale.reached_level()), (RequestState::Open, ProofLevel::L0));
        assert_eq!(missing(&stale), [Missing::FreshSession, Missing::SecondFactor]);
    }
    accepted(world.prove(&taken, two_points()).await);
    assert_eq!(missing(&world.stands(&taken).await), [Missing::FreshSession]);
    let fresh = accepted(world.prove(&taken, session(clock.now() - 15 * MINUTE)).await);
    assert_eq!(fresh.state(), RequestState::Verified);
    // What discloses nothing takes the session as it is.
    let stop = world.open(asks("haneul", Right::Object, "DE", &[Vouched::Session])).await;
    let stopped = accepted(world.prove(&stop, session(clock.now() - 400 * 24 * HOUR)).await);
    assert_eq!(stopped.state(), RequestState::Verified);
}

#[tokio::test]
async fn a_session_of_the_future_is_none() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Object, "DE", &[Vouched::Session])).await;
    let error = world.try_prove(world.proving(&taken, session(clock.now() + 2 * MINUTE))).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
    let ahead = accepted(world.prove(&taken, session(clock.now() + 30 * SECOND)).await);
    assert_eq!(ahead.state(), RequestState::Verified, "two clocks may be a little apart");
}

#[tokio::test]
async fn who_was_there_a_day_ago_need_not_be_who_is_there_now() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &EVERY_WAY)).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    pass(&clock, 24 * HOUR);
    assert_eq!(world.stands(&taken).await.reached_level(), ProofLevel::L1);
    pass(&clock, SECOND);
    let stands = world.stands(&taken).await;
    assert_eq!(stands.reached_level(), ProofLevel::L0);
    assert_eq!(missing(&stands), [Missing::SessionOrCode, Missing::SecondFactor]);
    let one = world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!((one.state(), one.reached_level()), (RequestState::Open, ProofLevel::L1), "the session is no second");
    // What somebody knows does not grow old so; nor does who is verified.
    pass(&clock, 25 * HOUR);
    accepted(world.prove(&taken, two_points()).await);
    pass(&clock, 25 * HOUR);
    let verified = world.prove_code(&taken, CodeChannel::Sms).await;
    assert_eq!(verified.state(), RequestState::Verified);
    pass(&clock, 3 * 24 * HOUR);
    let stands = world.stands(&taken).await;
    assert_eq!((stands.state(), stands.reached_level()), (RequestState::Verified, ProofLevel::L2));
}

#[tokio::test]
async fn it_is_never_told_which_data_point_was_wrong() {
    let (world, _) = world().await;
    let kinds = [DataPointKind::PostalAddress, DataPointKind::FullName, DataPointKind::Transaction];
    let mut answers = Vec::new();
    for wrong in 0..8_u8 {
        // Bit by bit: which of the three are wrong; the last time nothing is on file.
        let said = |n: usize| if wrong >> n & 1 == 1 { "something else" } else { "as it is" };
        let on_file = |n: usize| if wrong == 7 && n == 2 { "" } else { "as it is" };
        let shown: Vec<_> = kinds.iter().enumerate().map(|(n, kind)| (*kind, said(n), on_file(n))).collect();
        let taken = world.open(asks(&format!("subject-{wrong}"), Right::Correct, "DE", &EVERY_WAY)).await;
        let answer = world.prove(&taken, points(&shown)).await;
        if wrong == 0 {
            accepted(answer);
            continue;
        }
        let mut answer = answer;
        let Some(proto::prove_requester_response::Outcome::NotAccepted(request)) = &mut answer.outcome else {
            panic!("{answer:?}")
        };
        assert_eq!(std::mem::take(&mut request.request_id), taken.id);
        answers.push(answer.encode_to_vec());
    }
    assert_eq!(answers.len(), 7);
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "the answers tell what was wrong");
}

#[tokio::test]
async fn data_points_must_all_agree_and_nothing_agrees_with_nothing() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::Correct, "DE", &EVERY_WAY)).await;
    let after = not_accepted(world.prove(&taken, wrong_points()).await);
    assert_eq!(missing(&after), [Missing::SessionOrCode, Missing::SecondFactor], "not even the one that agreed counts");
    pass(&clock, SECOND);
    let one = points(&[(DataPointKind::Reference, "4711", "4711")]);
    let error = world.try_prove(world.proving(&taken, one)).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument, "none can be tested alone");
    // It was no attempt: the next is looked at.
    accepted(world.prove(&taken, two_points()).await);
}

#[tokio::test]
async fn an_explanation_is_given_to_who_is_verified_and_to_nobody_before() {
    let (world, _) = world().await;
    let checked = world.check(ask("haneul", "one", "read 1990-01-02")).await.unwrap();
    assert!(matches!(checked.outcome, Some(Checked::Allowed(_))));
    let explain = |decision: &str| OpenRequestRequest {
        decision_id: decision.to_owned(),
        ..asks("haneul", Right::ExplainDecision, "KR", &[Vouched::Email])
    };
    let taken = world.open(explain(&checked.decision_id)).await;
    assert_eq!(world.get_request(&taken).await.explanation, None);
    world.prove_code(&taken, CodeChannel::Email).await;
    assert_eq!(world.get_request(&taken).await.explanation, None, "half proved is not proved");
    accepted(world.prove(&taken, two_points()).await);
    let told = world.get_request(&taken).await.explanation.unwrap();
    let request = proto::ExplainDecisionRequest { decision_id: checked.decision_id.clone(), language: String::new() };
    let direct = world.age_gate().explain_decision(world.authorized(SHOP, request)).await.unwrap().into_inner();
    assert_eq!(told, direct, "the same as the relying party is told");
    world.close(&taken, done()).await.unwrap();
    assert_eq!(world.get_request(&taken).await.explanation, Some(direct));

    // Of a decision that is not kept there is none, and of a refused request neither.
    let (unknown, _) = world.verified(explain(&uuid::Uuid::new_v4().to_string()), false).await;
    assert_eq!(world.get_request(&unknown).await.explanation, None);
    let (denied, _) = world.verified(explain(&checked.decision_id), false).await;
    world.close(&denied, crate::support::rights::refused(proto::RefusalBasis::OthersHarmed)).await.unwrap();
    assert_eq!(world.get_request(&denied).await.explanation, None);
    let misplaced = OpenRequestRequest { right: Right::Access.into(), ..explain(&checked.decision_id) };
    let error = world.open_as(SHOP, misplaced).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn asking_again_and_again_is_flagged_for_a_person_and_never_refused() {
    let (world, clock) = world().await;
    let mut answers = Vec::new();
    for times in 1..=6 {
        let ask = asks("haneul", Right::Access, "DE", &[Vouched::Email]);
        let taken = world.open(OpenRequestRequest { idempotency_key: fresh_key(), ..ask }).await;
        let got = world.get_request(&taken).await;
        assert_eq!((got.times_asked, got.repeated_often), (times, times >= 4));
        let mut answer = taken.answer.clone();
        answer.request.as_mut().unwrap().request_id.clear();
        answers.push(answer.encode_to_vec());
        assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED"]);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "the answer tells how often it was asked");
    // Another right, another person: not the same.
    for ask in [asks("haneul", Right::Object, "DE", &[]), asks("jiho", Right::Access, "DE", &[])] {
        let taken = world.open(ask).await;
        let got = world.get_request(&taken).await;
        assert_eq!((got.times_asked, got.repeated_often), (1, false));
    }
    // Within the year, but not within 90 days.
    pass(&clock, 91 * 24 * HOUR);
    let taken = world.open(asks("haneul", Right::Access, "DE", &[Vouched::Email])).await;
    let got = world.get_request(&taken).await;
    assert_eq!((got.times_asked, got.repeated_often), (7, false));
    pass(&clock, 366 * 24 * HOUR);
    let taken = world.open(asks("haneul", Right::Access, "DE", &[Vouched::Email])).await;
    assert_eq!(world.get_request(&taken).await.times_asked, 1);
}
