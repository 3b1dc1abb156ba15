//! What rights requests leave behind: in no file, no event, no figure and no line of the log anything of who asked or of
//! what they showed.

use crate::support::canaries::scanner;
use crate::support::rights::{
    STAFF, accepted, asks, card, code, declaration, done, guardian, not_accepted, other_than, pass, permission, points,
    refused, reviewed, session,
};
use crate::support::{TurnedClock, World, ask};
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::prove_requester_request::Proof;
use idgate::server::proto::{
    ActingAs, CodeChannel, DataPointKind, ExtensionReason, OpenRequestRequest, RefusalBasis, RequestState, Right,
    VerificationMethod, Vouched,
};
use idgate::store::Partition;
use jiff::SignedDuration;
use sha2::Digest as _;

/// What must never be found: names that the relying party gave, values that somebody said or that were on file, dates of
/// birth in every form they could be written in.
const CANARIES: &[&str] = &[
    "canary-subject",
    "canary-child",
    "canary-mother",
    "Canaria Goldfinch",
    "Canaria Greenfinch",
    "김카나리",
    "goldfinch@birds.example",
    "7 Aviary Lane",
    "+82-10-4242-9876",
    "1987-06-05",
    "19870605",
    "870605-2",
    "1987/06/05",
    "1987.06.05",
    "05.06.1987",
    "06/05/1987",
    "June 5, 1987",
    "5 June 1987",
    "1987년 6월 5일",
    "2011-03-10",
    "20110310",
    "1980-01-02",
    "19800102",
];

const WAYS: [Vouched; 3] = [Vouched::Session, Vouched::Phone, Vouched::Email];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as it is, in hexadecimal, and as a hash that anybody could make again to test a guess.
fn forms(text: &str) -> Vec<String> {
    let hash = sha2::Sha256::digest(text.as_bytes());
    vec![text.to_owned(), hex(text.as_bytes()), hex(&hash), String::from_utf8_lossy(&hash).into_owned()]
}

fn contains(heap: &[u8], needle: &str) -> bool {
    heap.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Everything that is left, by where it lies.
async fn left(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let mut entries = String::new();
    for partition in Partition::all() {
        for link in world.app.store.trail(partition, 0, 1000).await.unwrap() {
            entries += &format!("{:?}\n{}\n", link, serde_json::to_string(&link.entry().unwrap()).unwrap());
        }
    }
    let events = format!("{:?}", world.told().await);
    let metrics = world.http("/metrics").await.1;
    let log = scanner().log();
    vec![
        ("the files", world.everything_written()),
        ("the audit", entries.into_bytes()),
        ("the events", events.into_bytes()),
        ("the figures", metrics.into_bytes()),
        ("the log", log),
    ]
}

/// Where a text is found, in any of its forms.
fn found(left: &[(&'static str, Vec<u8>)], text: &str) -> Vec<&'static str> {
    let forms = forms(text);
    let holds = |heap: &[u8]| forms.iter().any(|form| contains(heap, form));
    left.iter().filter(|(_, heap)| holds(heap)).map(|(place, _)| *place).collect()
}

/// Everything that happened in a run that may not be found.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    async fn code(&mut self, world: &World, taken: &crate::support::rights::Taken, channel: CodeChannel) -> String {
        let text = world.code(taken, channel).await;
        assert_eq!(text.len(), 10, "long enough not to be found by chance");
        self.0.push(text.clone());
        text
    }

    async fn assert_none(&self, world: &World, when: &str) {
        let left = left(world).await;
        let known: [(&str, &str); 5] = [
            ("the files", "idgate"),
            ("the audit", "rights.done"),
            ("the events", "RightsDone"),
            ("the figures", "idgate_calls_total"),
            ("the log", "DEVELOPMENT"),
        ];
        for ((place, heap), (of, text)) in left.iter().zip(known) {
            assert!(*place == of && contains(heap, text), "nothing was read of {place} {when}");
        }
        for canary in CANARIES.iter().copied().chain(self.0.iter().map(String::as_str)) {
            let places = found(&left, canary);
            assert!(places.is_empty(), "{canary} is in {places:?} {when}");
        }
    }
}

fn agreeing() -> Proof {
    points(&[
        (DataPointKind::FullName, "Canaria Goldfinch", "Canaria Goldfinch"),
        (DataPointKind::DateOfBirth, "1987-06-05", "1987-06-05"),
        (DataPointKind::EmailAddress, "goldfinch@birds.example", "goldfinch@birds.example"),
        (DataPointKind::PhoneNumber, "+82-10-4242-9876", "+82-10-4242-9876"),
    ])
}

fn disagreeing() -> Proof {
    points(&[
        (DataPointKind::FullName, "Canaria Greenfinch", "김카나리"),
        (DataPointKind::DateOfBirth, "June 5, 1987", "5 June 1987"),
        (DataPointKind::PostalAddress, "7 Aviary Lane", "7 Aviary Lane"),
    ])
}

/// Every story, one after the other.
async fn live(world: &World, clock: &TurnedClock, secrets: &mut Secrets) {
    let subject = |name: &str| format!("canary-subject-{name}");
    let asking = |name: &str, right, place: &str| asks(&subject(name), right, place, &WAYS);

    // Access by an adult who is logged in, with an explanation of what was decided.
    let checked = world.check(ask(&subject("adult"), "first", "read 1987-06-05")).await.unwrap();
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!() };
    secrets.0.push(allowed.token);
    let taken = world.open(asking("adult", Right::Access, "KR")).await;
    world.acknowledge(&taken).await.unwrap();
    accepted(world.prove(&taken, session(clock.now())).await);
    let text = secrets.code(world, &taken, CodeChannel::Email).await;
    let answer = world.prove(&taken, code(&text)).await;
    let token = answer.proof.clone().unwrap().token;
    accepted(answer);
    world.redeem(&token).await;
    secrets.0.push(token);
    world.close(&taken, done()).await.unwrap();
    let explain =
        OpenRequestRequest { decision_id: checked.decision_id, ..asking("adult", Right::ExplainDecision, "KR") };
    let taken = world.open(explain).await;
    accepted(world.prove(&taken, agreeing()).await);
    accepted(world.prove(&taken, session(clock.now())).await);
    assert!(world.get_request(&taken).await.explanation.is_some());
    world.extend(&taken, ExtensionReason::JustCause).await.unwrap();

    // A birth date, by a masked card: first one that is not good, then one that is.
    let taken = world.open(asking("adult", Right::CorrectBirthDate, "KR")).await;
    accepted(world.prove(&taken, session(clock.now())).await);
    accepted(world.prove(&taken, agreeing()).await);
    not_accepted(world.prove(&taken, card("masked 1980-01-02", "1987-06-05")).await);
    pass(clock, SignedDuration::from_secs(2));
    accepted(world.prove(&taken, card("masked 1987-06-05", "1987-06-05")).await);
    world.close(&taken, done()).await.unwrap();

    // A guardian, for a child; then the child is erased.
    let decision = world.consent_required("canary-child", "2011-03-10").await;
    let mut request = world.consent_request("canary-child", &decision, &[VerificationMethod::IdScan]);
    request.guardian_ref = "canary-mother".to_owned();
    let consent = world.request_with(request).await;
    secrets.0.push(consent.link.clone());
    world.guardian_card(&consent.id, "read 1980-01-02").await;
    world.respond(world.grant_request(&consent)).await;
    for right in [Right::Restrict, Right::Delete] {
        let guards = OpenRequestRequest {
            acting_as: ActingAs::Guardian.into(),
            guardian_ref: "canary-mother".to_owned(),
            ..asks("canary-child", right, "KR", &WAYS)
        };
        let taken = world.open(guards).await;
        for channel in [CodeChannel::Sms, CodeChannel::Email] {
            let text = secrets.code(world, &taken, channel).await;
            accepted(world.prove(&taken, code(&text)).await);
        }
        accepted(world.prove(&taken, guardian(&consent.id)).await);
        world.close(&taken, done()).await.unwrap();
    }

    // An agent, with a declaration, in California; and opting out there.
    let agent = OpenRequestRequest {
        acting_as: ActingAs::Agent.into(),
        ..asks(&subject("agent"), Right::KnowSpecific, "US-CA", &[Vouched::Email])
    };
    let taken = world.open(agent).await;
    let text = secrets.code(world, &taken, CodeChannel::Email).await;
    accepted(world.prove(&taken, code(&text)).await);
    for proof in [agreeing(), declaration(), permission()] {
        accepted(world.prove(&taken, proof).await);
    }
    assert_eq!(world.stands(&taken).await.state(), RequestState::Verified);
    let out = world.open(asking("agent", Right::OptOut, "US-CA")).await;
    secrets.0.push(out.answer.proof.clone().unwrap().token);
    world.prove(&out, card("masked 1987-06-05", "1987-06-05")).await;
    world.close(&out, done()).await.unwrap();

    // Somebody who guesses, until a person looks at it, and refuses; and is locked, and unlocked.
    let taken = world.open(asking("guesser", Right::Delete, "DE")).await;
    let text = secrets.code(world, &taken, CodeChannel::Voice).await;
    for n in 0..6 {
        let wrong = if n % 2 == 0 { disagreeing() } else { code(&other_than(&text)) };
        secrets.0.push(other_than(&text));
        world.prove(&taken, wrong).await;
        pass(clock, SignedDuration::from_secs(60));
    }
    accepted(world.prove(&taken, reviewed()).await);
    world.close(&taken, refused(RefusalBasis::IdentityNotShown)).await.unwrap();
    let taken = world.open(asking("guesser", Right::Delete, "DE")).await;
    not_accepted(world.prove(&taken, disagreeing()).await);
    pass(clock, SignedDuration::from_secs(60));
    world.unlock(&subject("guesser")).await;
    // Nobody answers this one, and its last code is never tried.
    secrets.code(world, &taken, CodeChannel::Sms).await;
    pass(clock, SignedDuration::from_hours(24 * 40));
    world.app.run_due().await.unwrap();
    // And one for which the card was wrong, in words.
    let error = world.try_prove(world.proving(&taken, card("masked 1987-06-05", "5 June 1987"))).await.unwrap_err();
    assert!(!error.message().contains("1987"));
}

async fn world() -> (World, TurnedClock) {
    scanner();
    let clock = TurnedClock::at("2026-11-22T03:00:00Z");
    let wound = clock.clone();
    let set = |settings: &mut idgate::config::Settings| {
        settings.rights.code_digits = 10;
        settings.rights.codes_per_hour = 10;
        settings.rights.lock_after = 6;
    };
    (World::with(set, move |app| wound.wind(app)).await, clock)
}

#[tokio::test]
async fn after_every_story_nothing_of_who_asked_or_what_they_showed_is_left() {
    let (world, clock) = world().await;
    let mut secrets = Secrets::default();
    live(&world, &clock, &mut secrets).await;
    assert!(secrets.0.len() > 15);
    secrets.assert_none(&world, "after every story").await;
    let wound = clock.clone();
    let world = world.restart(move |app| wound.wind(app)).await;
    let file = world.everything_written();
    for secret in CANARIES.iter().copied().chain(secrets.0.iter().map(String::as_str)) {
        assert!(forms(secret).iter().all(|form| !contains(&file, form)), "{secret} is in the files after a restart");
    }
}

#[tokio::test]
async fn what_is_planted_is_found_wherever_it_lies() {
    let (world, _) = world().await;
    // Who of the staff decided is kept, as it must be: so the scan sees what is written for real.
    let taken = world.open(asks("somebody", Right::OptOut, "KR", &[])).await;
    world.close(&taken, done()).await.unwrap();
    let before = left(&world).await;
    assert_eq!(found(&before, STAFF), ["the files", "the audit"]);
    assert_eq!(found(&before, &taken.id), ["the files", "the audit", "the events"]);
    assert_eq!(found(&before, "idgate_calls_total"), ["the figures"]);

    let planted = format!("planted-{}", uuid::Uuid::new_v4());
    assert_eq!(found(&before, &planted), [""; 0]);
    for (n, form) in forms(&planted).into_iter().take(3).enumerate() {
        let file = world.settings.data_dir.join("store").join(format!("planted-{n}.bin"));
        std::fs::write(&file, [&[0xff; 9][..], form.as_bytes(), &[0; 9]].concat()).unwrap();
        assert_eq!(found(&left(&world).await, &planted), ["the files"], "{form}");
        std::fs::remove_file(&file).unwrap();
    }
    std::fs::write(world.data().join(&planted), b"").unwrap();
    assert_eq!(found(&left(&world).await, &planted), ["the files"], "in the name of a file");
    std::fs::remove_file(world.data().join(&planted)).unwrap();
    tracing::trace!(target: "idgate::flows::rights", said = %planted, "planted");
    assert_eq!(found(&left(&world).await, &planted), ["the log"]);
}
