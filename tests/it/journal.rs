//! The store is away: opt-outs are taken into the journal and delivered once, everything else is refused.

use crate::support::rights::{Taken, asks, fresh_key, session, wire};
use crate::support::{SHOP, TurnedClock, Wilful, World, ask, assert_retry_later, born, reason};
use idgate::flows::App;
use idgate::server::proto::{
    self, ActingAs, ConsentActor, OpenRequestRequest, Redemption, RequestState, Right, VerificationMethod, Vouched,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tonic::{Code, Status};

const PERSON: &str = "person-with-a-name";

/// Puts a store that can be sent away before a server's own.
fn wilful(app: &mut App, handle: &Arc<Mutex<Option<Arc<Wilful>>>>) {
    let store = Arc::new(Wilful::new(Arc::clone(&app.store), usize::MAX));
    *handle.lock().unwrap() = Some(Arc::clone(&store));
    app.store = store;
}

/// A server whose store can be sent away, and whose journal is delivered when the test says so.
async fn world(requests: u32, clock: Option<&TurnedClock>) -> (World, Arc<Wilful>) {
    let handle = Arc::default();
    let world = World::with(
        |settings| (settings.rights.journal_requests, settings.rights.journal_seconds) = (requests, 3600),
        |app| {
            wilful(app, &handle);
            if let Some(clock) = clock {
                clock.wind(app);
            }
        },
    )
    .await;
    let store = handle.lock().unwrap().take().unwrap();
    (world, store)
}

fn opt_out(subject: &str) -> OpenRequestRequest {
    asks(subject, Right::OptOut, "US-CA", &[])
}

fn away<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let status = answer.expect_err(what);
    assert_eq!(status.code(), Code::Unavailable, "{what}: {}", status.message());
    assert_retry_later(&status, Code::Unavailable, "STORE_UNAVAILABLE");
}

#[tokio::test]
async fn an_opt_out_is_taken_while_the_store_is_away_and_delivered_once_with_its_name_and_its_clock() {
    let clock = TurnedClock::at("2026-11-02T18:00:00Z");
    let (world, store) = world(10, Some(&clock)).await;
    store.leave(true);
    let ask = opt_out(PERSON);
    let taken = world.open(ask.clone()).await;
    let request = taken.request().clone();
    assert_eq!(request.state(), RequestState::Verified);
    assert_eq!(request.received_at, Some(wire(clock.now())));
    assert!(taken.answer.proof.is_none(), "no token is signed while the store is away");
    assert!(!taken.answer.citations.is_empty() && taken.answer.may_ask.is_empty());

    // The same call again gets the same answer, another call under its key is refused.
    clock.turn_to("2026-11-03T18:00:00Z");
    assert_eq!(world.open(ask.clone()).await.answer, taken.answer);
    let other = OpenRequestRequest { subject_ref: PERSON.to_owned(), single_use: true, ..ask.clone() };
    assert_eq!(reason(&world.open_as(SHOP, other).await.unwrap_err()), "IDEMPOTENCY_KEY_REUSED");
    // It can be looked at by who took it, and nothing can be done with it.
    assert_eq!(world.stands(&taken).await, request);
    let get = proto::GetRequestRequest { request_id: taken.id.clone(), language: String::new() };
    away("another's", world.rights().get_request(world.authorized("other", get)).await);
    let acknowledge = proto::AcknowledgeRequest {
        request_id: taken.id.clone(),
        language: String::new(),
        idempotency_key: fresh_key(),
    };
    away("acknowledge", world.rights().acknowledge(world.authorized(SHOP, acknowledge.clone())).await);

    // Back, and not delivered yet.
    store.leave(false);
    assert_eq!(world.stands(&taken).await, request);
    away("not delivered yet", world.rights().acknowledge(world.authorized(SHOP, acknowledge)).await);
    assert_eq!(world.open(ask.clone()).await.answer, taken.answer);

    clock.turn_to("2026-11-04T18:00:00Z");
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 1);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 0);
    let delivered = world.get_request(&taken).await;
    assert_eq!(delivered.request, Some(request.clone()), "the name, the receipt and the due date are the same");
    assert_eq!(delivered.times_asked, 1);
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED"]);
    // A retry is told the same, now with the token.
    let again = world.open(ask).await.answer;
    assert_eq!(again.request, Some(request));
    assert_eq!(world.redeem(&again.proof.unwrap().token).await, Redemption::Redeemed);
    assert!(world.acknowledge(&taken).await.is_ok());
    // The next is counted as the second.
    let next = world.open(opt_out(PERSON)).await;
    assert_eq!(world.get_request(&next).await.times_asked, 2);
    let (_, metrics) = world.http("/metrics").await;
    assert!(metrics.contains("idgate_opt_outs_journalled_total 1") && metrics.contains("opt_outs_delivered_total 1"));
}

#[tokio::test]
async fn only_what_needs_no_proof_is_taken() {
    let (world, store) = world(10, None).await;
    store.leave(true);
    for right in [Right::Access, Right::Delete, Right::WithdrawConsent, Right::Object, Right::Restrict] {
        away(right.as_str_name(), world.open_as(SHOP, asks(PERSON, right, "DE", &[Vouched::Email])).await);
    }
    assert_eq!(
        world.open(asks(PERSON, Right::LimitSensitive, "US-CA", &[])).await.request().right(),
        Right::LimitSensitive
    );
    let ask = OpenRequestRequest { acting_as: ActingAs::Agent.into(), ..opt_out(PERSON) };
    assert_eq!(world.open(ask).await.request().acting_as(), ActingAs::Agent);
    let wrong = OpenRequestRequest { regime: proto::Regime::Gdpr.into(), ..opt_out(PERSON) };
    assert_eq!(reason(&world.open_as(SHOP, wrong).await.unwrap_err()), "REGIME_NOT_OF_PLACE");
    store.leave(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 2);
}

#[tokio::test]
async fn without_a_journal_opt_outs_are_refused_too() {
    let (world, store) = world(0, None).await;
    store.leave(true);
    away("opt-out", world.open_as(SHOP, opt_out(PERSON)).await);
    assert!(!world.settings.data_dir.join("journal").exists());
}

#[tokio::test]
async fn a_restart_keeps_what_waits_and_nothing_of_it_can_be_read_on_disk() {
    let (world, store) = world(10, None).await;
    store.leave(true);
    let taken = [world.open(opt_out(PERSON)).await, world.open(opt_out("another-person")).await];
    let directory = world.settings.data_dir.join("journal");
    let file = std::fs::read(directory.join("0.journal")).unwrap();
    assert!(file.len() > 500, "it is there");
    for word in [PERSON, SHOP, "another-person", "opt_out", "US-CA", "ccpa", &taken[0].id] {
        let found = file.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "{word} can be read in the journal");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for (path, mode) in [(directory.clone(), 0o700), (directory.join("0.journal"), 0o600)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
    }
    drop(store);
    // Also when the process is cut off, and when the store is still away then.
    let handle = Arc::default();
    let world = world
        .crash(|app| {
            wilful(app, &handle);
            handle.lock().unwrap().as_ref().unwrap().leave(true);
        })
        .await;
    let store = handle.lock().unwrap().take().unwrap();
    for taken in &taken {
        assert_eq!(world.stands(taken).await, *taken.request());
    }
    assert!(world.app.deliver_opt_outs().await.is_err());
    store.leave(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 2);
    drop(store);
    let world = world.restart(|_| {}).await;
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 0);
    for taken in &taken {
        assert_eq!(world.stands(taken).await, *taken.request());
        assert_eq!(world.told_of(taken).await, ["RIGHTS_OPENED"]);
    }
    let file = std::fs::read(directory.join("0.journal")).unwrap();
    assert!(file.is_empty(), "what is delivered is gone");
}

#[tokio::test]
async fn the_journal_is_bounded_and_nobody_fills_it_alone() {
    let (world, store) = world(4, None).await;
    store.leave(true);
    let mut taken = Vec::new();
    for party in [SHOP, "other"] {
        for i in 0..2 {
            taken.push((party, world.open_as(party, opt_out(&format!("person-{i}"))).await.unwrap()));
        }
        away("one too many", world.open_as(party, opt_out("person-2")).await);
    }
    away("full", world.open_as("third", opt_out("person")).await);
    store.leave(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 4);
    store.leave(true);
    world.open(opt_out("person-3")).await;
    store.leave(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 1);
    for (party, taken) in taken {
        let get = proto::GetRequestRequest { request_id: taken.id.clone(), language: String::new() };
        let found = world.rights().get_request(world.authorized(party, get)).await.unwrap().into_inner();
        assert_eq!(found.request.unwrap(), *taken.request());
    }
}

#[tokio::test]
async fn what_the_store_had_recorded_without_saying_so_is_not_recorded_twice() {
    let (world, store) = world(10, None).await;
    store.mute(true);
    let ask = opt_out(PERSON);
    let taken = world.open(ask.clone()).await;
    // The delivery is not answered either.
    let other = world.open(opt_out("another-person")).await;
    assert!(world.app.deliver_opt_outs().await.is_ok(), "they are found there");
    store.mute(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 0);
    for taken in [&taken, &other] {
        assert_eq!(world.told_of(taken).await, ["RIGHTS_OPENED"]);
        assert_eq!(world.get_request(taken).await.times_asked, 1);
    }
    assert_eq!(world.open(ask).await.id, taken.id);
}

#[tokio::test]
async fn a_retry_at_another_server_or_at_another_time_gets_the_same_name() {
    let (world, store) = world(10, None).await;
    store.leave(true);
    let ask = opt_out(PERSON);
    let here = world.open(ask.clone()).await;
    store.leave(false);
    let replica = world.replica(|_| {}).await;
    // Its copy of the journal is a test's, not a server's: it is delivered by both.
    std::fs::remove_dir_all(replica.settings.data_dir.join("journal")).unwrap();
    let replica = replica.restart(|app| app.store = Arc::clone(&world.app.store)).await;
    let there = replica.open(ask.clone()).await;
    assert_eq!(here.id, there.id);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 1);
    // The store has it, and is away: nobody can look it up, and still it is not another one.
    store.leave(true);
    assert_eq!(world.open(ask.clone()).await.id, here.id);
    store.leave(false);
    assert_eq!(world.app.deliver_opt_outs().await.unwrap(), 1);
    assert_eq!(world.stands(&here).await, *there.request(), "the first record stands");
    assert_eq!(world.told_of(&here).await, ["RIGHTS_OPENED"]);
    assert_eq!(world.open(ask).await.id, here.id);
}

#[tokio::test]
async fn the_server_delivers_by_itself() {
    let handle = Arc::default();
    let world = World::with(|settings| settings.rights.journal_seconds = 1, |app| wilful(app, &handle)).await;
    let store = handle.lock().unwrap().take().unwrap();
    store.leave(true);
    let taken = world.open(opt_out(PERSON)).await;
    store.leave(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !world.app.journal.as_ref().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "not delivered");
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    }
    assert_eq!(world.told_of(&taken).await, ["RIGHTS_OPENED"]);
}

/// The store comes and goes, answers and does not, the server is cut off: whatever was answered is there once.
#[tokio::test]
async fn whatever_happens_each_opt_out_is_there_once() {
    let (mut world, mut store) = world(200, None).await;
    let mut random = fastrand::Rng::with_seed(5);
    let mut answered: BTreeMap<String, (OpenRequestRequest, Taken)> = BTreeMap::new();
    for i in 0..60 {
        match random.u8(0..8) {
            0 => store.leave(true),
            1 | 2 => store.leave(false),
            3 => store.mute(random.bool()),
            4 => drop(world.app.deliver_opt_outs().await),
            5 if i % 3 == 0 => {
                drop(store);
                let handle = Arc::default();
                world = world.crash(|app| wilful(app, &handle)).await;
                store = handle.lock().unwrap().take().unwrap();
            }
            _ => {}
        }
        let ask = opt_out(&format!("person-{}", i % 40));
        let asks = (0..random.usize(1..4)).map(|_| world.open(ask.clone()));
        let mut taken = Vec::new();
        for one in asks {
            taken.push(one.await);
        }
        if random.bool()
            && let Some((ask, before)) = answered.values().nth(random.usize(..answered.len().max(1)))
        {
            taken.retain(|one| one.id != before.id);
            assert_eq!(world.open(ask.clone()).await.id, before.id, "a retry got another name");
        }
        for one in taken {
            answered.insert(one.id.clone(), (ask.clone(), one));
        }
    }
    store.leave(false);
    store.mute(false);
    while !world.app.journal.as_ref().unwrap().is_empty() {
        world.app.deliver_opt_outs().await.unwrap();
    }
    assert_eq!(answered.len(), 60, "one name for each");
    let told = world.told().await;
    for (id, (_, taken)) in &answered {
        let events = told.iter().filter(|event| event.request_id == *id).count();
        assert_eq!(events, 1, "recorded {events} times");
        let now = world.stands(taken).await;
        assert_eq!((now.received_at, now.due_at), (taken.request().received_at, taken.request().due_at));
    }
    assert_eq!(told.len(), 60, "nothing else was recorded");
}

#[tokio::test]
async fn while_the_store_is_away_everything_else_is_refused_with_a_time_to_try_again() {
    let (world, store) = world(10, None).await;
    let child = born(15, -40);
    let asked = world.requested("child", &child).await;
    let decision = world.consent_required("second-child", &child).await;
    let adult = world.check(ask("adult", "key-1", &format!("read {}", born(30, 0)))).await.unwrap();
    let Some(proto::check_age_response::Outcome::Allowed(allowed)) = adult.outcome else { panic!("not allowed") };
    let (verified, token) =
        world.verified(asks("adult", Right::Correct, "DE", &[Vouched::Email, Vouched::Phone]), true).await;
    let open = world.open(asks("adult", Right::Delete, "US-CA", &[Vouched::Email, Vouched::Session])).await;
    let free = world.open(opt_out("adult")).await.answer.proof.unwrap().token;
    let ended = Instant::now();
    store.leave(true);
    let (text, none) = (|text: &str| text.to_owned(), String::new);
    let (age, consents, rights) = (world.age_gate(), world.consents(), world.rights());
    macro_rules! refused {
        ($client:expr, $method:ident, $message:expr) => {
            away(stringify!($method), $client.clone().$method(world.authorized_stream(SHOP, $message)).await)
        };
    }
    refused!(age, check_age, ask("new", "key-2", &format!("read {}", born(30, 0))));
    // A retry whose answer is stored is not told it either, and no second token is signed.
    refused!(age, check_age, ask("adult", "key-1", &format!("read {}", born(30, 0))));
    let header = proto::CheckAgeStreamHeader {
        subject_ref: text("new"),
        jurisdiction: text("KR"),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: fresh_key(),
        language: none(),
        image_bytes: 15,
    };
    use proto::check_age_stream_request::Part;
    let parts = [Part::Header(header), Part::Chunk(b"read 1980-01-02".to_vec())];
    let parts = parts.map(|part| proto::CheckAgeStreamRequest { part: Some(part) });
    refused!(age, check_age_stream, tokio_stream::iter(parts));
    refused!(age, get_decision, proto::GetDecisionRequest { decision_id: adult.decision_id.clone() });
    let explain = proto::ExplainDecisionRequest { decision_id: adult.decision_id.clone(), language: none() };
    refused!(age, explain_decision, explain);
    refused!(age, get_token_status, proto::GetTokenStatusRequest { token: allowed.token.clone() });
    let report = proto::ReportUnderageRequest {
        subject_ref: text("adult"),
        reporter: proto::Reporter::Staff.into(),
        consent_id: none(),
        idempotency_key: fresh_key(),
    };
    refused!(age, report_underage, report);
    let read = proto::ReadDocumentRequest {
        subject_ref: text("new"),
        image: b"read 1980-01-02".to_vec(),
        fields: vec![proto::DocumentField::DateOfBirth.into()],
        language: none(),
    };
    refused!(world.documents(), read_document, read);

    refused!(
        consents,
        request_consent,
        world.consent_request("second-child", &decision, &[VerificationMethod::IdScan])
    );
    let notice = proto::RecordNoticeSentRequest {
        consent_id: asked.id.clone(),
        new_link: true,
        idempotency_key: fresh_key(),
        language: none(),
    };
    refused!(consents, record_notice_sent, notice);
    let verify = proto::VerifyGuardianRequest {
        consent_id: asked.id.clone(),
        proof: Some(proto::verify_guardian_request::Proof::Image(b"read 1980-01-02".to_vec())),
        idempotency_key: fresh_key(),
        language: none(),
    };
    refused!(consents, verify_guardian, verify);
    refused!(consents, respond, world.grant_request(&asked));
    refused!(consents, get_consent, proto::GetConsentRequest { consent_id: asked.id.clone() });
    refused!(consents, list_consents, proto::ListConsentsRequest { subject_ref: text("child") });
    let change = proto::ChangeScopeRequest {
        consent_id: asked.id.clone(),
        purposes: crate::support::purposes(),
        actor: ConsentActor::Guardian.into(),
        idempotency_key: fresh_key(),
        language: none(),
    };
    refused!(consents, change_scope, change);
    let withdraw = proto::WithdrawRequest {
        consent_id: asked.id.clone(),
        actor: ConsentActor::Guardian.into(),
        idempotency_key: fresh_key(),
        language: none(),
    };
    refused!(consents, withdraw, withdraw);
    let reaffirm = proto::ReaffirmRequest {
        consent_id: asked.id.clone(),
        actor: ConsentActor::Guardian.into(),
        idempotency_key: fresh_key(),
        language: none(),
    };
    refused!(consents, reaffirm, reaffirm);
    let erase = proto::EraseSubjectRequest { subject_ref: text("child"), idempotency_key: fresh_key() };
    refused!(consents, erase_subject, erase);

    refused!(rights, open_request, asks("adult", Right::Access, "US-CA", &[Vouched::Email]));
    let code = proto::IssueCodeRequest {
        request_id: open.id.clone(),
        subject_ref: text("adult"),
        channel: proto::CodeChannel::Email.into(),
        language: none(),
    };
    refused!(rights, issue_code, code);
    refused!(rights, prove_requester, world.proving(&open, session(world.app.now())));
    refused!(rights, redeem_proof, proto::RedeemProofRequest { token });
    refused!(rights, redeem_proof, proto::RedeemProofRequest { token: free });
    refused!(rights, get_request, proto::GetRequestRequest { request_id: verified.id.clone(), language: none() });
    refused!(rights, list_due, proto::ListDueRequest::default());
    let acknowledge =
        proto::AcknowledgeRequest { request_id: open.id.clone(), language: none(), idempotency_key: fresh_key() };
    refused!(rights, acknowledge, acknowledge);
    refused!(rights, extend, world.extending(&open, proto::ExtensionReason::Complex));
    let taken_back = proto::Withdrawal { staff_ref: text("staff-7") };
    refused!(rights, close, world.closing(&open, proto::close_request::Answer::Withdrawn(taken_back)));
    refused!(rights, unlock, proto::UnlockRequest { subject_ref: text("adult"), staff_ref: text("staff-7") });

    let mut events = proto::event_service_client::EventServiceClient::new(world.channel.clone());
    let watch = proto::WatchRequest { cursor: none(), types: vec![] };
    match events.watch(world.authorized(SHOP, watch)).await {
        Err(status) => away::<()>("watch", Err(status)),
        Ok(stream) => away("watch", stream.into_inner().message().await),
    }
    assert!(ended.elapsed() < Duration::from_secs(30), "refusals take long");
    store.leave(false);
    assert!(world.check(ask("new", "key-3", &format!("read {}", born(30, 0)))).await.is_ok());
}
