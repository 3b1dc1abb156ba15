//! Disposal receipts over the wire: every way a call with a picture can end has one, and it is true.

use crate::support::disposal::{claims_of, receipt_in};
use crate::support::{SHOP, Wilful, World, ask, born, reason};
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::{
    self, CheckAgeRequest, CheckAgeStreamHeader, CheckAgeStreamRequest, DisposalReceipt, ReadDocumentRequest,
    TokenStatus, check_age_request::Evidence,
};
use idgate::terms::DisposalPath;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

/// What an answer or a refusal brought along.
type Came = (Result<Option<Outcome>, Status>, Option<DisposalReceipt>);

async fn send(world: &World, party: &str, ask: CheckAgeRequest) -> Came {
    match world.age_gate().check_age(world.authorized(party, ask)).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            (Ok(answer.outcome), answer.disposal)
        }
        Err(status) => {
            let receipt = receipt_in(&status);
            (Err(status), receipt)
        }
    }
}

/// Sends a picture and expects a receipt of it with this path.
async fn ends(world: &World, key: &str, picture: &str, path: DisposalPath) -> Came {
    let came = send(world, SHOP, ask("subject", key, picture)).await;
    let receipt = came.1.as_ref().unwrap_or_else(|| panic!("no receipt: {:?}", came.0));
    let claims = claims_of(&world.app, SHOP, picture.as_bytes(), receipt);
    assert_eq!(claims.path, path, "{picture}: {:?}", came.0);
    came
}

async fn metric(world: &World, line: &str) -> bool {
    world.http("/metrics").await.1.lines().any(|found| found == line)
}

#[tokio::test]
async fn every_answer_to_a_picture_has_its_own_receipt() {
    let world = World::with(|settings| settings.checks.subject_attempts = 100, |_| {}).await;
    let child = format!("read {}", born(9, 0));
    let ends = async |key: &str, picture: &str, path| ends(&world, key, picture, path).await;
    ends("k1", "read 1990-05-05", DisposalPath::Answered).await.0.unwrap();
    ends("k2", &child, DisposalPath::Answered).await.0.unwrap();
    ends("k3", "conflict 1990-05-05", DisposalPath::Answered).await.0.unwrap();
    ends("k4", "blurred", DisposalPath::Unreadable).await.0.unwrap();
    ends("k5", "expired 1990-05-05", DisposalPath::Unreadable).await.0.unwrap();
    // A retry sends the picture again, which is not read: a receipt of its own.
    for (key, picture) in [("k1", "read 1990-05-05"), ("k2", child.as_str())] {
        ends(key, picture, DisposalPath::NotRead).await.0.unwrap();
    }
    assert_eq!(world.script.begun(), 5);
    let stated = CheckAgeRequest { evidence: Some(Evidence::DeclaredBirthDate(born(12, 0))), ..ask("s", "k6", "") };
    assert!(send(&world, SHOP, stated).await.1.is_none(), "no picture, no receipt");
    assert!(metric(&world, r#"idgate_disposals_total{path="not_read"} 2"#).await);
    assert!(!world.http("/metrics").await.1.contains("no_receipt"));
}

#[tokio::test]
async fn a_receipt_is_of_no_other_picture_opening_or_caller() {
    let world = World::start().await;
    let (_, one) = send(&world, SHOP, ask("a", "k1", "read 1990-05-05")).await;
    let (_, other) = send(&world, "market", ask("b", "k2", "read 1990-05-05")).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.opening, other.opening, "the same picture twice: nothing in common");
    let first = claims_of(&world.app, SHOP, b"read 1990-05-05", &one);
    let second = claims_of(&world.app, "market", b"read 1990-05-05", &other);
    assert_ne!(first.jti, second.jti);
    let opening = |bytes: &[u8]| idgate::tokens::disposal::Opening::from_bytes(bytes).unwrap();
    assert!(!first.is_of(b"read 1990-05-06", &opening(&one.opening)));
    assert!(!first.is_of(b"read 1990-05-05", &opening(&other.opening)));
}

#[tokio::test]
async fn every_refusal_of_a_picture_has_a_receipt_and_says_its_reason_as_before() {
    let world = World::with(|settings| settings.checks.subject_attempts = 2, |_| {}).await;
    ends(&world, "k1", "read 1990-05-05", DisposalPath::Answered).await.0.unwrap();
    let refused = |came: Came| reason(&came.0.unwrap_err());
    assert_eq!(refused(ends(&world, "k1", "read 1990-05-06", DisposalPath::Refused).await), "IDEMPOTENCY_KEY_REUSED");
    ends(&world, "k2", "blurred", DisposalPath::Unreadable).await.0.unwrap();
    let limited = ends(&world, "k3", "read 1990-05-05", DisposalPath::Refused).await.0.unwrap_err();
    assert_eq!((limited.code(), reason(&limited).as_str()), (Code::ResourceExhausted, "SUBJECT_ATTEMPTS"));
    assert!(tonic_types::StatusExt::get_error_details(&limited).retry_info().is_some());
    let odd = CheckAgeRequest { jurisdiction: String::from("UK"), ..ask("subject", "k4", "read 1990-05-05") };
    let (status, receipt) = send(&world, SHOP, odd).await;
    assert_eq!(reason(&status.unwrap_err()), "BAD_REQUEST");
    let claims = claims_of(&world.app, SHOP, b"read 1990-05-05", &receipt.unwrap());
    assert_eq!(claims.path, DisposalPath::Refused);
}

#[tokio::test]
async fn a_panic_in_reading_and_a_store_that_is_away_have_receipts() {
    let mut wilful = None;
    let alter = |app: &mut idgate::flows::App| {
        let store = Arc::new(Wilful::new(Arc::clone(&app.store), usize::MAX));
        wilful = Some(Arc::clone(&store));
        app.store = store;
    };
    let world = World::with(|_| {}, alter).await;
    let crashed = ends(&world, "k1", "panic", DisposalPath::Failed).await.0.unwrap_err();
    assert_eq!((crashed.code(), reason(&crashed).as_str()), (Code::Internal, "INTERNAL"));
    wilful.unwrap().leave(true);
    let away = ends(&world, "k2", "read 1990-05-05", DisposalPath::Failed).await.0.unwrap_err();
    assert_eq!(reason(&away), "STORE_UNAVAILABLE");
}

fn hasty(settings: &mut idgate::config::Settings) {
    settings.server.call_seconds = 1;
    settings.ocr.workers = 1;
    settings.checks.subject_attempts = 100;
}

#[tokio::test]
async fn a_call_that_takes_too_long_has_a_receipt_once_reading_has_ended_and_otherwise_none() {
    let world = World::with(hasty, |_| {}).await;
    let late = ends(&world, "k1", "take 1400 read 1990-05-05", DisposalPath::TimedOut).await.0.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));

    let (late, none) = send(&world, SHOP, ask("subject", "k2", "hold read 1990-05-05")).await;
    assert_eq!(reason(&late.unwrap_err()), "DEADLINE_EXCEEDED");
    assert!(none.is_none(), "it is being read: nobody can say that it is gone");
    assert!(metric(&world, r#"idgate_disposals_total{path="no_receipt"} 1"#).await);
    world.script.let_go();
}

#[tokio::test]
async fn a_picture_that_waits_for_its_turn_is_gone_when_its_time_is_over() {
    let world = World::with(hasty, |_| {}).await;
    let first = tokio::spawn({
        let (mut client, request) =
            (world.age_gate(), world.authorized(SHOP, ask("subject", "k1", "hold read 1990-05-05")));
        async move { client.check_age(request).await.map(drop) }
    });
    world.script.until_begun(1).await;
    let late = ends(&world, "k2", "read 1990-05-05", DisposalPath::TimedOut).await.0.unwrap_err();
    assert_eq!(reason(&late), "DEADLINE_EXCEEDED");
    assert_eq!(first.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    world.script.let_go();
    while !(metric(&world, "idgate_reads_running 0").await && metric(&world, "idgate_reads_waiting 0").await) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.script.begun(), 1, "what was taken back is not read when its turn comes");
}

fn parts(announced: usize, chunks: &[&[u8]]) -> Vec<CheckAgeStreamRequest> {
    let header = CheckAgeStreamHeader {
        subject_ref: String::from("subject"),
        jurisdiction: String::from("KR"),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: String::from("key"),
        language: String::new(),
        image_bytes: u64::try_from(announced).unwrap(),
    };
    let chunks = chunks.iter().map(|chunk| Part::Chunk(chunk.to_vec()));
    let parts = std::iter::once(Part::Header(header)).chain(chunks);
    parts.map(|part| CheckAgeStreamRequest { part: Some(part) }).collect()
}

#[tokio::test]
async fn pictures_in_pieces_have_receipts_also_when_pieces_are_missing() {
    let world = World::start().await;
    let stream = async |announced, chunks: &[&[u8]]| {
        let request = world.authorized_stream(SHOP, tokio_stream::iter(parts(announced, chunks)));
        world.age_gate().check_age_stream(request).await
    };
    let broken = stream(30, &[b"read 1990-", b"05-05"]).await.unwrap_err();
    let claims = claims_of(&world.app, SHOP, b"read 1990-05-05", &receipt_in(&broken).unwrap());
    assert_eq!(claims.path, DisposalPath::Incomplete);
    let broken = stream(12, &[b"read 1990-", b"05-05"]).await.unwrap_err();
    let claims = claims_of(&world.app, SHOP, b"read 1990-", &receipt_in(&broken).unwrap());
    assert_eq!(claims.path, DisposalPath::Incomplete);
    assert_eq!(world.script.begun(), 0);

    // Large enough to be committed to apart from the threads that serve the network.
    let mut picture = b"read 1990-05-05".to_vec();
    picture.resize(3 << 20, b'.');
    let chunks: Vec<&[u8]> = picture.chunks(1 << 20).collect();
    for path in [DisposalPath::Answered, DisposalPath::NotRead] {
        let answer = stream(picture.len(), &chunks).await.unwrap().into_inner().answer.unwrap();
        assert_eq!(claims_of(&world.app, SHOP, &picture, &answer.disposal.unwrap()).path, path);
    }
}

#[tokio::test]
async fn reading_fields_has_receipts_too() {
    let world = World::start().await;
    for (picture, path) in [("read 1990-05-05", DisposalPath::Answered), ("glare", DisposalPath::Unreadable)] {
        let request = ReadDocumentRequest {
            subject_ref: String::from("subject"),
            image: picture.as_bytes().to_vec(),
            fields: vec![proto::DocumentField::DateOfBirth.into()],
            language: String::new(),
        };
        let answer = world.documents().read_document(world.authorized(SHOP, request)).await.unwrap().into_inner();
        assert_eq!(claims_of(&world.app, SHOP, picture.as_bytes(), &answer.disposal.unwrap()).path, path);
    }
    let nothing = ReadDocumentRequest { image: b"read 1990-05-05".to_vec(), ..ReadDocumentRequest::default() };
    let refused = world.documents().read_document(world.authorized(SHOP, nothing)).await.unwrap_err();
    claims_of(&world.app, SHOP, b"read 1990-05-05", &receipt_in(&refused).unwrap());
}

#[tokio::test]
async fn a_receipt_opens_nothing_and_other_tokens_are_no_receipts() {
    let world = World::start().await;
    let (answer, receipt) = send(&world, SHOP, ask("subject", "key", "read 1990-05-05")).await;
    let (Ok(Some(Outcome::Allowed(allowed))), Some(receipt)) = (answer, receipt) else { panic!("allowed") };
    let status = async |token: &str| {
        let request = proto::GetTokenStatusRequest { token: token.to_owned() };
        world.age_gate().get_token_status(world.authorized(SHOP, request)).await.unwrap().into_inner().status()
    };
    assert_eq!(status(&allowed.token).await, TokenStatus::Active);
    assert_eq!(status(&receipt.token).await, TokenStatus::Invalid);
    let mut request = tonic::Request::new(ask("subject", "key-2", "read 1990-05-05"));
    request.metadata_mut().insert("authorization", format!("Bearer {}", receipt.token).parse().unwrap());
    assert_eq!(reason(&world.age_gate().check_age(request).await.unwrap_err()), "TOKEN_REFUSED");
    let keys = idgate::tokens::keys::VerifyingKey::from_jwks(world.app.jwks().as_bytes()).unwrap();
    assert!(idgate::tokens::disposal::open(&allowed.token, &keys).is_err());
    // A bearer token with nothing behind it: no picture is taken, and nobody learns anything from a receipt.
    let refused = world.age_gate().check_age(tonic::Request::new(ask("s", "k", "read 1990-05-05"))).await.unwrap_err();
    assert!(receipt_in(&refused).is_none());
}

#[tokio::test]
async fn nothing_of_a_receipt_is_kept() {
    let world = World::start().await;
    let (_, receipt) = send(&world, SHOP, ask("subject", "key", "read 1990-05-05")).await;
    let receipt = receipt.unwrap();
    let claims = claims_of(&world.app, SHOP, b"read 1990-05-05", &receipt);
    let payload = crate::support::claims(&receipt.token);
    let commitment = payload["commitment"].as_str().unwrap().to_owned();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &commitment).unwrap();
    let written = world.everything_written();
    assert!(written.windows(4).any(|w| w == b"shop"), "it is looked at what is written");
    for secret in [
        receipt.opening.as_slice(),
        raw.as_slice(),
        commitment.as_bytes(),
        claims.jti.as_bytes(),
        claims.jti.to_string().as_bytes(),
    ] {
        assert!(!written.windows(secret.len()).any(|w| w == secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_each_get_the_receipt_of_their_own_picture() {
    let world = World::with(
        |settings| {
            settings.checks.subject_attempts = 100;
            settings.ocr.queue = 4;
        },
        |_| {},
    )
    .await;
    let verbs = ["read 1990-05-05", "blurred", "panic", "take 3 read 2001-01-01"];
    let mut calls = Vec::new();
    for n in 0..120 {
        let picture = format!("as {n} {}", verbs[n % verbs.len()]);
        let request = world.authorized(SHOP, ask(&format!("s{n}"), &format!("k{n}"), &picture));
        let mut client = world.age_gate();
        let call = async move { client.check_age(request).await.map(|answer| answer.into_inner().disposal) };
        calls.push((picture, tokio::spawn(call)));
    }
    let (mut read, mut refused) = (0, 0);
    for (picture, call) in calls {
        let receipt = match call.await.unwrap() {
            Ok(receipt) => receipt.unwrap(),
            // Turned away while it was being received: nothing was taken.
            Err(status) => match receipt_in(&status) {
                Some(receipt) => receipt,
                None => {
                    assert_eq!(reason(&status), "QUEUE_FULL");
                    refused += 1;
                    continue;
                }
            },
        };
        let claims = claims_of(&world.app, SHOP, picture.as_bytes(), &receipt);
        read += usize::from(claims.path != DisposalPath::Refused);
    }
    assert!(read > 0 && read + refused <= 120);
}

#[tokio::test]
async fn a_caller_who_leaves_leaves_nothing_to_answer() {
    let world = World::with(|settings| settings.ocr.workers = 1, |_| {}).await;
    let mut client = world.age_gate();
    let request = world.authorized(SHOP, ask("subject", "k1", "hold read 1990-05-05"));
    let call = tokio::spawn(async move { client.check_age(request).await.map(drop) });
    world.script.until_begun(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    world.script.let_go();
    // The flow goes on to its end by itself; whoever asks again gets a receipt for what they send then.
    let path = loop {
        let (answer, receipt) = send(&world, SHOP, ask("subject", "k1", "hold read 1990-05-05")).await;
        match answer {
            Ok(_) => break claims_of(&world.app, SHOP, b"hold read 1990-05-05", &receipt.unwrap()).path,
            Err(status) => assert_eq!(reason(&status), "IN_PROGRESS"),
        }
        tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    };
    assert_eq!(path, DisposalPath::NotRead);
}
