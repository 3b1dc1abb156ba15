//! Bursts of guesses: however many come at once, by however many servers, no more of them are looked at than one patient
//! guesser would get.

use crate::support::{SHOP, TurnedClock, World};
use idgate::flows::rights::{DataPoint, Offered, OpenAsk, ProveAsk, Verdict};
use idgate::flows::{App, Call, Deadline, Error, Presence, Whose};
use idgate::secret::Sensitive;
use idgate::terms::{
    ActingAs, CodeChannel, DataPointKind, ProofMethod, RelyingParty, RequestId, RequestState, Right, RightsNotPossible,
    SubjectRef,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const START: &str = "2026-11-22T09:00:00Z";

/// What a wave of guesses came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Came {
    accepted: usize,
    wrong: usize,
    told_to_wait: usize,
    in_review: usize,
    locked: usize,
}

impl Came {
    /// Those that were looked at.
    fn evaluated(self) -> usize {
        self.accepted + self.wrong
    }

    fn all(self) -> usize {
        self.evaluated() + self.told_to_wait + self.in_review + self.locked
    }

    fn and(self, more: Self) -> Self {
        Self {
            accepted: self.accepted + more.accepted,
            wrong: self.wrong + more.wrong,
            told_to_wait: self.told_to_wait + more.told_to_wait,
            in_review: self.in_review + more.in_review,
            locked: self.locked + more.locked,
        }
    }

    fn count(&mut self, verdict: Result<Verdict, Error>) {
        match verdict {
            Ok(Verdict::Accepted) => self.accepted += 1,
            Ok(Verdict::NotAccepted) => self.wrong += 1,
            Ok(Verdict::NotPossible(RightsNotPossible::InReview)) => self.in_review += 1,
            Ok(Verdict::NotPossible(RightsNotPossible::Locked)) => self.locked += 1,
            Err(Error::TooManyAttempts { whose: Whose::Subject, retry_after }) => {
                assert!(!retry_after.is_zero());
                self.told_to_wait += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn party() -> RelyingParty {
    SHOP.parse().unwrap()
}

fn fresh_key(what: &str) -> idgate::terms::IdempotencyKey {
    format!("{what}-{}", uuid::Uuid::new_v4()).parse().unwrap()
}

/// A server with a clock that the test turns, and no limit for the relying party.
async fn world(clock: &TurnedClock, set: impl FnOnce(&mut idgate::config::Settings)) -> World {
    let set = |settings: &mut idgate::config::Settings| {
        settings.checks.relying_party_attempts = 0;
        set(settings);
    };
    World::with(set, |app| clock.wind(app)).await
}

/// A request to delete, of somebody whose e-mail address is known: it takes a code and two data points.
async fn open(app: &App, subject: &str) -> RequestId {
    let ask = OpenAsk {
        subject: subject.parse().unwrap(),
        right: Right::Delete,
        jurisdiction: "KR".parse().unwrap(),
        regime: None,
        acting_as: ActingAs::Myself,
        guardian: None,
        vouched: [ProofMethod::EmailCode].into(),
        received_at: None,
        decision: None,
        single_use: false,
        key: fresh_key("open"),
    };
    app.open_request(ask, &party()).await.unwrap().request.id()
}

async fn code(app: &App, id: &RequestId, subject: &str) -> Result<String, RightsNotPossible> {
    let subject: SubjectRef = subject.parse().unwrap();
    let issued = app.issue_code(&party(), id, &subject, CodeChannel::Email).await.unwrap();
    issued.map(|issued| issued.code.expose().clone())
}

async fn prove(app: &App, id: RequestId, subject: &str, offered: Offered) -> Result<Verdict, Error> {
    let presence = Presence::new();
    let deadline = Deadline::after(Duration::from_secs(60));
    let call = Call { relying_party: party(), deadline, watch: presence.watch() };
    let subject = subject.parse().unwrap();
    let ask = ProveAsk { request: id, subject, offered, single_use: false, key: fresh_key("prove") };
    app.prove_requester(ask, call).await.map(|proved| proved.verdict)
}

async fn guess(app: &App, id: RequestId, subject: &str, digits: &str) -> Result<Verdict, Error> {
    prove(app, id, subject, Offered::Code(Sensitive::new(digits.to_owned()))).await
}

fn points(pairs: &[(DataPointKind, &str, &str)]) -> Offered {
    let text = |text: &str| Sensitive::new(text.to_owned());
    let point = |(kind, claimed, on_file): &(DataPointKind, &str, &str)| DataPoint {
        kind: *kind,
        claimed: text(claimed),
        on_file: text(on_file),
    };
    Offered::DataPoints(pairs.iter().map(point).collect())
}

/// All of these guesses at once, in turn at each server; `digits` says what is guessed.
async fn wave(
    apps: &[Arc<App>],
    (subject, requests): (&'static str, &[RequestId]),
    count: usize,
    digits: impl Fn(usize) -> String,
) -> Came {
    let mut running = JoinSet::new();
    for n in 0..count {
        let (app, id, digits) = (Arc::clone(&apps[n % apps.len()]), requests[n % requests.len()], digits(n));
        running.spawn(async move { guess(&app, id, subject, &digits).await });
    }
    let mut came = Came::default();
    while let Some(verdict) = running.join_next().await {
        came.count(verdict.unwrap());
    }
    assert_eq!(came.all(), count);
    came
}

/// Codes that are not this one.
fn wrong(code: &str) -> impl Fn(usize) -> String + use<> {
    let code: usize = code.parse().unwrap();
    move |n| format!("{:06}", (code + 1 + n) % 1_000_000)
}

fn pass(clock: &TurnedClock, span: SignedDuration) -> Timestamp {
    let then = clock.now() + span;
    clock.turn_to(&then.to_string());
    then
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_thousand_guesses_at_one_code_five_are_looked_at() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |_| {}).await;
    let (apps, id) = ([Arc::clone(&world.app)], open(&world.app, "subject-1").await);
    let code = code(&world.app, &id, "subject-1").await.unwrap();
    let mut total = Came::default();
    for wait in [1, 2, 4, 8, 16, 32, 64, 128] {
        let came = wave(&apps, ("subject-1", &[id]), 1250, wrong(&code)).await;
        let alive = total.evaluated() < 5;
        assert_eq!(came.evaluated(), usize::from(alive), "{came:?} after {total:?}");
        // While the fifth is looked at, some still see the wait and the others the end.
        assert_eq!(came.told_to_wait + came.in_review, came.all() - came.evaluated());
        match total.evaluated() {
            0..4 => assert_eq!(came.in_review, 0),
            4 => {}
            _ => assert_eq!(came.told_to_wait, 0),
        }
        total = total.and(came);
        pass(&clock, SignedDuration::from_secs(wait));
    }
    assert_eq!((total.all(), total.evaluated(), total.accepted), (10_000, 5, 0), "{total:?}");
    assert_eq!(
        wave(&apps, ("subject-1", &[id]), 10, |_| code.clone()).await.in_review,
        10,
        "the code itself, too late"
    );
    let request = world.app.rights_request(&party(), &id).await.unwrap();
    assert_eq!(request.state(), RequestState::InReview);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_has_its_tries_also_where_a_request_has_more() {
    for tries in [1u8, 3, 10] {
        let clock = TurnedClock::at(START);
        let world = world(&clock, |settings| settings.rights.code_tries = tries).await;
        let (apps, id) = ([Arc::clone(&world.app)], open(&world.app, "subject-1").await);
        let code = code(&world.app, &id, "subject-1").await.unwrap();
        for n in 0..usize::from(tries.min(5)) {
            let came = wave(&apps, ("subject-1", &[id]), 50, wrong(&code)).await;
            assert_eq!(came.evaluated(), 1, "guess {n} of a code with {tries} tries: {came:?}");
            pass(&clock, SignedDuration::from_secs(16));
        }
        // No guess is left: that the code itself comes now helps nobody, and it is not told that it was right.
        let late = wave(&apps, ("subject-1", &[id]), 50, |_| code.clone()).await;
        assert_eq!((late.accepted, late.wrong), (0, usize::from(tries < 5)), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_right_guesses_at_once_one_is_accepted_at_one_server_or_two() {
    for servers in [1, 2] {
        let clock = TurnedClock::at(START);
        let world = world(&clock, |_| {}).await;
        let other = world.replica(|app| clock.wind(app)).await;
        let apps = &[Arc::clone(&world.app), Arc::clone(&other.app)][..servers];
        let id = open(&world.app, "subject-1").await;
        for _ in 0..2 {
            let code = code(&world.app, &id, "subject-1").await.unwrap();
            let mut total = Came::default();
            for _ in 0..3 {
                total = total.and(wave(apps, ("subject-1", &[id]), 400, |_| code.clone()).await);
                pass(&clock, SignedDuration::from_secs(8));
            }
            assert_eq!(total.accepted, 1, "{total:?}");
            assert!(total.wrong <= 3, "{total:?}");
            pass(&clock, SignedDuration::from_hours(1));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_store_look_at_no_more_than_one_does() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |_| {}).await;
    let other = world.replica(|app| clock.wind(app)).await;
    let apps = [Arc::clone(&world.app), Arc::clone(&other.app)];
    let id = open(&other.app, "subject-1").await;
    let code = code(&world.app, &id, "subject-1").await.unwrap();
    let mut total = Came::default();
    for _ in 0..7 {
        let came = wave(&apps, ("subject-1", &[id]), 500, wrong(&code)).await;
        assert_eq!(came.evaluated(), usize::from(total.evaluated() < 5), "{came:?} after {total:?}");
        total = total.and(came);
        pass(&clock, SignedDuration::from_secs(16));
    }
    assert_eq!((total.all(), total.evaluated(), total.accepted), (3500, 5, 0), "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_several_requests_and_codes_a_person_s_guesses_are_one_in_each_wait() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |_| {}).await;
    let apps = [Arc::clone(&world.app)];
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(open(&world.app, "subject-1").await);
    }
    let mut codes = Vec::new();
    for id in &requests {
        codes.push(code(&world.app, id, "subject-1").await.unwrap());
    }
    let no = code(&world.app, &requests[0], "subject-1").await;
    assert_eq!(no, Err(RightsNotPossible::TooManyCodes), "a fourth within the hour, whichever request it is for");
    let not_one = |n: usize| (0..).map(|k| format!("{:06}", n + k)).find(|guess| !codes.contains(guess)).unwrap();
    // An hour long three guesses in each second: looked at are those after 0, 1, 3, 7 … 2047 seconds.
    let (mut total, mut when) = (Came::default(), Vec::new());
    for second in 0..3600 {
        let came = wave(&apps, ("subject-1", &requests), 3, |n| not_one(3 * second + n)).await;
        assert!(came.evaluated() <= 1, "{came:?} in second {second}");
        when.extend((came.evaluated() == 1).then_some(second));
        total = total.and(came);
        pass(&clock, SignedDuration::from_secs(1));
    }
    assert!(total.all() > 10_000 && total.accepted == 0, "{total:?}");
    // A request that has used up its five is out, so a wait may be over without a guess at once.
    assert!(when.len() <= 12, "{when:?}");
    let waits = |(n, second): (usize, &usize)| *second + 1 >= 1 << n;
    assert!(when.iter().enumerate().all(waits) && when.len() >= 10, "{when:?}");
    assert!(code(&world.app, &requests[0], "subject-1").await != Err(RightsNotPossible::TooManyCodes), "an hour later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wait_is_over_when_it_is_over_and_not_before() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |_| {}).await;
    let (apps, id) = ([Arc::clone(&world.app)], open(&world.app, "subject-1").await);
    let code = code(&world.app, &id, "subject-1").await.unwrap();
    for wait in [1, 2, 4, 8] {
        assert_eq!(wave(&apps, ("subject-1", &[id]), 20, wrong(&code)).await.evaluated(), 1);
        pass(&clock, SignedDuration::from_millis(wait * 1000 - 1));
        let early = wave(&apps, ("subject-1", &[id]), 20, |_| code.clone()).await;
        assert_eq!((early.evaluated(), early.told_to_wait), (0, 20), "a millisecond before {wait} s");
        pass(&clock, SignedDuration::from_millis(1));
    }
    assert_eq!(wave(&apps, ("subject-1", &[id]), 1, |_| code.clone()).await.accepted, 1, "the right one, in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_locked_person_s_guesses_are_not_looked_at_until_an_operator_unlocks_them() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |settings| settings.rights.lock_after = 12).await;
    let other = world.replica(|app| clock.wind(app)).await;
    let apps = [Arc::clone(&world.app), Arc::clone(&other.app)];
    let mut looked_at = 0;
    // A new request when one has used up its attempts: the person is the same.
    while looked_at < 12 {
        let id = open(&world.app, "subject-1").await;
        let code = code(&world.app, &id, "subject-1").await.unwrap();
        for _ in 0..5.min(12 - looked_at) {
            let came = wave(&apps, ("subject-1", &[id]), 100, wrong(&code)).await;
            assert_eq!(came.evaluated(), 1, "{came:?} after {looked_at}");
            looked_at += 1;
            pass(&clock, SignedDuration::from_hours(1));
        }
    }
    let id = open(&other.app, "subject-1").await;
    for days in [0, 1, 89, 400] {
        pass(&clock, SignedDuration::from_hours(24 * days));
        let came = wave(&apps, ("subject-1", &[id]), 100, |n| format!("{n:06}")).await;
        assert_eq!(came.locked, 100, "{came:?} after {days} days");
        assert_eq!(code(&world.app, &id, "subject-1").await, Err(RightsNotPossible::Locked));
    }
    let stranger = open(&world.app, "subject-2").await;
    assert_eq!(wave(&apps, ("subject-2", &[stranger]), 1, |_| "000000".to_owned()).await.wrong, 1, "nobody else is");
    let staff = "operator-1".parse().unwrap();
    world.app.unlock(&"subject-1".parse().unwrap(), staff, &party()).await.unwrap();
    let code = code(&other.app, &id, "subject-1").await.unwrap();
    let came = wave(&apps, ("subject-1", &[id]), 100, wrong(&code)).await;
    assert_eq!((came.evaluated(), came.told_to_wait), (1, 99), "{came:?}");
    pass(&clock, SignedDuration::from_secs(1));
    assert_eq!(wave(&apps, ("subject-1", &[id]), 1, |_| code.clone()).await.accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_known_already_buys_no_more_guesses() {
    let clock = TurnedClock::at(START);
    let world = world(&clock, |settings| settings.rights.lock_after = 20).await;
    let id = open(&world.app, "subject-1").await;
    let known = ("someone@shop.example", "seaside");
    let mut looked_at = 0;
    for day in 1..=60 {
        // What half the world knows is shown again and again, and between that a date of birth is guessed.
        let shown =
            points(&[(DataPointKind::EmailAddress, known.0, known.0), (DataPointKind::Username, known.1, known.1)]);
        prove(&world.app, id, "subject-1", shown).await.unwrap();
        let guess = format!("1999-{:02}-{:02}", 1 + day / 28, 1 + day % 28);
        let guessed = points(&[
            (DataPointKind::EmailAddress, known.0, known.0),
            (DataPointKind::DateOfBirth, &guess, "1999-12-31"),
        ]);
        let verdict = prove(&world.app, id, "subject-1", guessed).await.unwrap();
        looked_at += usize::from(verdict == Verdict::NotAccepted);
        pass(&clock, SignedDuration::from_hours(2));
    }
    assert!(looked_at <= 5, "{looked_at} guesses of one request were looked at");
}
