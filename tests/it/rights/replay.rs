//! Proof tokens: used once if they are for one use, whoever asks, however often, at whichever server, after whatever.

use crate::support::rights::{accepted, asks, card, code, done, pass, session, two_points};
use crate::support::{SHOP, TurnedClock, World, ask};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::{
    self, CodeChannel, EventType, OpenRequestRequest, Redemption, Right, TokenStatus, Vouched,
};
use jiff::SignedDuration;
use tokio::task::JoinSet;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const WAYS: [Vouched; 2] = [Vouched::Session, Vouched::Email];

async fn world() -> (World, TurnedClock) {
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    (World::wound(&clock).await, clock)
}

fn deletion(subject: &str) -> OpenRequestRequest {
    asks(subject, Right::Delete, "DE", &WAYS)
}

#[tokio::test]
async fn a_token_for_one_use_is_good_once_across_restarts_crashes_and_servers() {
    let (world, clock) = world().await;
    let wind = |clock: &TurnedClock| {
        let clock = clock.clone();
        move |app: &mut idgate::flows::App| clock.wind(app)
    };
    let (_, used) = world.verified(deletion("haneul"), true).await;
    let (_, unused) = world.verified(deletion("jiho"), true).await;
    assert_eq!(world.redeem(&used).await, Redemption::Redeemed);
    assert_eq!(world.redeem(&used).await, Redemption::AlreadyRedeemed);
    let world = world.restart(wind(&clock)).await;
    assert_eq!(world.redeem(&used).await, Redemption::AlreadyRedeemed);
    let world = world.crash(wind(&clock)).await;
    assert_eq!(world.redeem(&used).await, Redemption::AlreadyRedeemed);
    let replica = world.replica(wind(&clock)).await;
    assert_eq!(replica.redeem(&used).await, Redemption::AlreadyRedeemed);
    // Used at one server, seen at the other.
    assert_eq!(replica.redeem(&unused).await, Redemption::Redeemed);
    assert_eq!(world.redeem(&unused).await, Redemption::AlreadyRedeemed);
    assert_eq!(world.count_told(EventType::RightsProofRedeemed).await, 2);
    // For as long as it could be tried: then its time is over.
    pass(&clock, 15 * 60 * SECOND - SECOND);
    assert_eq!(world.redeem(&used).await, Redemption::AlreadyRedeemed);
    pass(&clock, SignedDuration::from_hours(2));
    world.app.store.sweep(clock.now()).await.unwrap();
    assert_eq!(world.redeem(&used).await, Redemption::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_uses_at_once_exactly_one_is_the_first() {
    let (world, clock) = world().await;
    let wound = clock.clone();
    let replica = world.replica(move |app| wound.wind(app)).await;
    for (round, of_right) in [Right::Delete, Right::OptOut].into_iter().enumerate() {
        let subject = format!("subject-{round}");
        let token = if of_right == Right::OptOut {
            let ask = OpenRequestRequest { single_use: true, ..asks(&subject, of_right, "DE", &[]) };
            world.open(ask).await.answer.proof.unwrap().token
        } else {
            world.verified(deletion(&subject), true).await.1
        };
        let mut calls = JoinSet::new();
        for n in 0..50 {
            let at = if n % 2 == 0 { &world } else { &replica };
            let (mut client, request) = (at.rights(), proto::RedeemProofRequest { token: token.clone() });
            let request = at.authorized(SHOP, request);
            calls.spawn(async move { client.redeem_proof(request).await.unwrap().into_inner().redemption() });
        }
        let came_to = calls.join_all().await;
        let first = came_to.iter().filter(|redemption| **redemption == Redemption::Redeemed).count();
        let again = came_to.iter().filter(|redemption| **redemption == Redemption::AlreadyRedeemed).count();
        assert_eq!((first, again), (1, 49), "{came_to:?}");
    }
    assert_eq!(world.count_told(EventType::RightsProofRedeemed).await, 2);
}

#[tokio::test]
async fn a_token_of_a_closed_request_opens_nothing() {
    let (world, _) = world().await;
    for single_use in [false, true] {
        let (taken, token) = world.verified(deletion(&format!("done-{single_use}")), single_use).await;
        world.close(&taken, done()).await.unwrap();
        assert_eq!(world.redeem(&token).await, Redemption::RequestClosed);
        let (taken, token) = world.verified(deletion(&format!("dropped-{single_use}")), single_use).await;
        let taken_back = proto::close_request::Answer::Withdrawn(proto::Withdrawal { staff_ref: "staff-7".to_owned() });
        world.close(&taken, taken_back).await.unwrap();
        assert_eq!(world.redeem(&token).await, Redemption::RequestClosed);
    }
}

#[tokio::test]
async fn a_newer_proof_takes_the_place_of_the_older_token() {
    let (world, _) = world().await;
    let (taken, older) = world.verified(deletion("haneul"), true).await;
    // What somebody knows brings no other token; that they are there does.
    assert!(world.prove(&taken, two_points()).await.proof.is_none());
    let text = world.code(&taken, CodeChannel::Email).await;
    let again = proto::ProveRequesterRequest { single_use: true, ..world.proving(&taken, code(&text)) };
    let answer = world.try_prove(again).await.unwrap();
    let newer = answer.proof.clone().unwrap().token;
    accepted(answer);
    assert_eq!(world.redeem(&older).await, Redemption::RequestClosed);
    assert_eq!(world.redeem(&newer).await, Redemption::Redeemed);
    assert_eq!(world.redeem(&newer).await, Redemption::AlreadyRedeemed);
}

#[tokio::test]
async fn a_token_holds_for_fifteen_minutes_and_can_be_had_anew() {
    let (world, clock) = world().await;
    let (taken, token) = world.verified(deletion("haneul"), false).await;
    pass(&clock, 15 * 60 * SECOND - SECOND);
    assert_eq!(world.redeem(&token).await, Redemption::Redeemed);
    // Clocks of two servers may be apart for some seconds; not for a minute.
    pass(&clock, 62 * SECOND);
    assert_eq!(world.redeem(&token).await, Redemption::Expired);
    let text = world.code(&taken, CodeChannel::Email).await;
    let answer = world.prove(&taken, code(&text)).await;
    let newer = answer.proof.clone().unwrap().token;
    accepted(answer);
    assert_eq!(world.redeem(&newer).await, Redemption::Redeemed);
}

/// The token with one character of its `part` changed.
fn changed(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let at = parts[part].len() / 2;
    let other = if &parts[part][at..=at] == "A" { "B" } else { "A" };
    parts[part].replace_range(at..=at, other);
    parts.join(".")
}

#[tokio::test]
async fn what_is_no_such_token_of_ours_for_this_relying_party_is_invalid() {
    let (world, clock) = world().await;
    let (taken, token) = world.verified(deletion("haneul"), false).await;
    for part in 0..3 {
        assert_eq!(world.redeem(&changed(&token, part)).await, Redemption::Invalid, "{part}");
    }
    for nonsense in ["x", "a.b.c", &token[1..], &format!("{token}.x")] {
        assert_eq!(world.redeem(nonsense).await, Redemption::Invalid, "{nonsense}");
    }
    assert_eq!(world.redeem_as("another-shop", &token).await.redemption(), Redemption::Invalid);
    // Other tokens of ours are none, and this is none of the others.
    let checked = world.check(ask("haneul", "one", "read 1990-01-02")).await.unwrap();
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!() };
    let link = world.requested("minsu", "2011-03-10").await.link;
    let bearer = world.bearer("idgate", SHOP, idgate::terms::Scope::ALL, &[]);
    for other in [allowed.token.as_str(), &link, bearer.trim_start_matches("Bearer ")] {
        assert_eq!(world.redeem(other).await, Redemption::Invalid);
    }
    assert_eq!(world.token_status(&token).await, TokenStatus::Invalid);
    let mut request =
        tonic::Request::new(proto::GetRequestRequest { request_id: taken.id.clone(), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(world.rights().get_request(request).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    // A server with other keys made none of it.
    let stranger = World::wound(&clock).await;
    let (_, foreign) = stranger.verified(deletion("haneul"), false).await;
    assert_eq!(world.redeem(&foreign).await, Redemption::Invalid);
    assert_eq!(world.redeem(&token).await, Redemption::Redeemed);
}

#[tokio::test]
async fn a_token_says_what_was_proved_and_nothing_about_how() {
    let (world, clock) = world().await;
    let taken = world.open(asks("haneul", Right::CorrectBirthDate, "KR", &WAYS)).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    world.prove_code(&taken, CodeChannel::Email).await;
    let answer = world.prove(&taken, card("masked 1990-01-02", "1990-01-02")).await;
    let mut says = crate::support::claims(&answer.proof.unwrap().token);
    let says = says.as_object_mut().unwrap();
    assert_eq!((&says["level"], &says["request"]), (&"l3".into(), &taken.id.as_str().into()));
    let mut names: Vec<&str> = says.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected =
        ["acting_as", "aud", "exp", "iat", "iss", "jti", "level", "regime", "request", "right", "single_use", "sub"];
    assert_eq!(names, expected);
    assert_eq!(says["exp"].as_i64().unwrap() - says["iat"].as_i64().unwrap(), 900);
}
