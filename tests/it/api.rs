//! The rest of the wire: pictures in pieces, reading fields, bad requests, health, reflection and the admin port.

use crate::support::{SHOP, World, ask, assert_retry_later, reason};
use idgate::server::proto::check_age_response::Outcome;
use idgate::server::proto::check_age_stream_request::Part;
use idgate::server::proto::{
    self, CheckAgeRequest, CheckAgeResponse, CheckAgeStreamHeader, CheckAgeStreamRequest, DocumentField,
    ReadDocumentRequest, read_document_response,
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt as _;

fn header(key: &str, image_bytes: usize) -> Part {
    Part::Header(CheckAgeStreamHeader {
        subject_ref: "subject".to_owned(),
        jurisdiction: "KR".to_owned(),
        purpose: proto::Purpose::Signup.into(),
        idempotency_key: key.to_owned(),
        language: String::new(),
        image_bytes: u64::try_from(image_bytes).unwrap(),
    })
}

async fn stream(world: &World, parts: Vec<Part>) -> Result<CheckAgeResponse, Status> {
    let messages: Vec<_> = parts.into_iter().map(|part| CheckAgeStreamRequest { part: Some(part) }).collect();
    let request = world.authorized_stream(SHOP, tokio_stream::iter(messages));
    let answer = world.age_gate().check_age_stream(request).await?;
    Ok(answer.into_inner().answer.unwrap())
}

#[tokio::test]
async fn a_picture_larger_than_a_message_is_sent_in_pieces() {
    let world = World::start().await;
    let mut image = b"read 1990-05-05".to_vec();
    image.resize(world.settings.server.message_bytes + 1000, b'.');
    let mut parts = vec![header("key", image.len())];
    parts.extend(image.chunks(1024 * 1024).map(|chunk| Part::Chunk(chunk.to_vec())));
    let answer = stream(&world, parts).await.unwrap();
    assert!(matches!(answer.outcome, Some(Outcome::Allowed(_))), "{answer:?}");
}

#[tokio::test]
async fn a_stream_and_a_single_message_are_the_same_request() {
    let world = World::start().await;
    let image = "read 1990-05-05";
    let streamed = stream(&world, vec![header("key", image.len()), Part::Chunk(image.into())]).await.unwrap();
    let streamed = CheckAgeResponse { disposal: None, ..streamed };
    assert_eq!(world.check(ask("subject", "key", image)).await.unwrap(), streamed);
    assert_eq!(world.script.begun(), 1);
}

#[tokio::test]
async fn a_stream_that_is_not_as_announced_is_refused_unread() {
    let world = World::start().await;
    let chunk = |bytes: usize| Part::Chunk(vec![b'.'; bytes]);
    let most = world.settings.server.image_bytes;
    let wrong = [
        (vec![], "header"),
        (vec![chunk(3)], "part"),
        (vec![header("k", 3), header("k", 3)], "part"),
        (vec![header("k", 3), chunk(2)], "chunk"),
        (vec![header("k", 3), chunk(4)], "chunk"),
        (vec![header("k", 2 << 20), chunk((1 << 20) + 1)], "chunk"),
        (vec![header("k", most + 1)], "header.image_bytes"),
        (vec![header("", 3), chunk(3)], "header.idempotency_key"),
    ];
    for (parts, field) in wrong {
        let refused = stream(&world, parts).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let details = refused.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
    }
    assert_eq!(world.script.begun(), 0);
}

#[tokio::test]
async fn a_wrong_field_is_named_and_never_repeated() {
    let world = World::start().await;
    let good = || ask("subject", "key", "read 1990-05-05");
    let wrong = [
        (CheckAgeRequest { subject_ref: String::new(), ..good() }, "subject_ref"),
        (CheckAgeRequest { subject_ref: "홍길동".to_owned(), ..good() }, "subject_ref"),
        (CheckAgeRequest { jurisdiction: "Korea".to_owned(), ..good() }, "jurisdiction"),
        (CheckAgeRequest { jurisdiction: "UK".to_owned(), ..good() }, "jurisdiction"),
        (CheckAgeRequest { purpose: 0, ..good() }, "purpose"),
        (CheckAgeRequest { purpose: 77, ..good() }, "purpose"),
        (CheckAgeRequest { purpose: proto::Purpose::DobExtraction.into(), ..good() }, "purpose"),
        (CheckAgeRequest { idempotency_key: "x".repeat(129), ..good() }, "idempotency_key"),
        (CheckAgeRequest { evidence: None, ..good() }, "evidence"),
    ];
    for (request, field) in wrong {
        let refused = world.check(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BAD_REQUEST"));
        assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, field);
        assert!(!format!("{refused:?}").contains("홍길동"));
    }
    assert_eq!(world.script.begun(), 0);
}

/// A request whose first field is of another type than the proto file says.
#[derive(Clone, PartialEq, prost::Message)]
struct Odd {
    #[prost(bytes = "vec", optional, tag = "1")]
    as_bytes: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "2")]
    as_number: Option<u64>,
}

async fn send_odd(world: &World, path: &'static str, odd: Odd, encoding: Option<&'static str>) -> Status {
    let mut grpc = tonic::client::Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let mut request = world.authorized(SHOP, odd);
    if let Some(encoding) = encoding {
        request.metadata_mut().insert("grpc-encoding", encoding.parse().unwrap());
    }
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    grpc.unary(request, path, tonic_prost::ProstCodec::<Odd, ()>::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_the_callers_fault_and_says_why() {
    let world = World::start().await;
    let path = "/idgate.v1.AgeGateService/CheckAge";
    let text = |bytes: &[u8]| Odd { as_bytes: Some(bytes.to_vec()), as_number: None };
    let number = Odd { as_bytes: None, as_number: Some(7) };
    let large = text(&vec![b'x'; world.settings.server.message_bytes + 1]);
    let cases = [
        (text(b"\xff\xfe"), None, Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (number, None, Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (large, None, Code::InvalidArgument, "MESSAGE_TOO_LARGE"),
        (text(b"subject"), Some("gzip"), Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
    ];
    for (odd, encoding, code, why) in cases {
        let refused = send_odd(&world, path, odd, encoding).await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, why), "{}", refused.message());
    }
    let refused = send_odd(&world, "/grpc.health.v1.Health/Check", text(&[b'x'; 70_000]), None).await;
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "MESSAGE_TOO_LARGE"));
    let refused = send_odd(&world, "/grpc.health.v1.Health/Check", text(b"nobody"), None).await;
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "UNKNOWN_SERVICE"));
    let metrics = world.http("/metrics").await.1;
    assert!(metrics.contains(r#"idgate_calls_total{rpc="CheckAge",code="invalid_argument"} 3"#), "{metrics}");
    assert!(!metrics.contains(r#"code="internal""#) && world.script.begun() == 0);
}

fn read(image: &str, fields: &[DocumentField]) -> ReadDocumentRequest {
    ReadDocumentRequest {
        subject_ref: "subject".to_owned(),
        image: image.as_bytes().to_vec(),
        fields: fields.iter().map(|field| (*field).into()).collect(),
        language: String::new(),
    }
}

#[tokio::test]
async fn a_document_gives_the_fields_that_were_asked_for_and_no_other() {
    let world = World::start().await;
    let mut client = world.documents();
    let one = read("read 1990-05-17", &[DocumentField::DocumentKind]);
    let answer = client.read_document(world.authorized(SHOP, one)).await.unwrap().into_inner();
    let Some(read_document_response::Outcome::Read(found)) = answer.outcome else { panic!() };
    assert_eq!(found.document_kind(), proto::DocumentKind::Td3);
    assert_eq!((found.date_of_birth.as_str(), found.expiry_date.as_str(), found.assurance), ("", "", 0));

    let all = read(
        "read 1990-05-17",
        &[DocumentField::DateOfBirth, DocumentField::ExpiryDate, DocumentField::Assurance, DocumentField::DateOfBirth],
    );
    let answer = client.read_document(world.authorized(SHOP, all)).await.unwrap().into_inner();
    assert!(!format!("{answer:?}").contains("1990"), "an answer with personal data shows nothing");
    let Some(read_document_response::Outcome::Read(found)) = answer.outcome else { panic!() };
    assert_eq!((found.date_of_birth.as_str(), found.expiry_date.as_str()), ("1990-05-17", "2099-12-31"));
    assert_eq!((found.assurance(), found.document_kind), (proto::AssuranceLevel::Corroborated, 0));

    let answer =
        client.read_document(world.authorized(SHOP, read("glare", &[DocumentField::DateOfBirth]))).await.unwrap();
    let Some(read_document_response::Outcome::Unreadable(why)) = answer.into_inner().outcome else { panic!() };
    assert_eq!((why.reasons[0].reason(), why.retryable), (proto::Reason::Glare, true));

    let written = world.everything_written();
    assert!(!written.windows(10).any(|w| w == b"1990-05-17") && written.windows(13).any(|w| w == b"document.read"));
}

#[tokio::test]
async fn reading_a_document_counts_as_an_attempt_and_wants_fields() {
    let world = World::with(|settings| settings.checks.subject_attempts = 1, |_| {}).await;
    let mut client = world.documents();
    let refused = client.read_document(world.authorized(SHOP, read("glare", &[]))).await.unwrap_err();
    assert_eq!((refused.code(), world.script.begun()), (Code::InvalidArgument, 0));
    let once = || world.authorized(SHOP, read("glare", &[DocumentField::Assurance]));
    client.read_document(once()).await.unwrap();
    let refused = client.read_document(once()).await.unwrap_err();
    assert_retry_later(&refused, Code::ResourceExhausted, "SUBJECT_ATTEMPTS");
}

#[tokio::test]
async fn health_is_told_for_the_server_and_each_service() {
    let world = World::start().await;
    let mut client = HealthClient::new(world.channel.clone());
    for service in ["", "idgate.v1.AgeGateService", "idgate.v1.DocumentService", "idgate.v1.KeyService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, 1, "{service}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_their_files_in_both_versions() {
    let world = World::start().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let ask =
        |message_request| v1::ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
    let questions = vec![
        ask(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ask(v1::server_reflection_request::MessageRequest::FileContainingSymbol("idgate.v1.AgeGateService".to_owned())),
    ];
    let mut answers = client.server_reflection_info(tokio_stream::iter(questions)).await.unwrap().into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = listed else { panic!() };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in
        ["idgate.v1.AgeGateService", "idgate.v1.DocumentService", "idgate.v1.KeyService", "grpc.health.v1.Health"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    let found = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::FileDescriptorResponse(file) = found else { panic!() };
    let file = prost_types::FileDescriptorProto::decode(file.file_descriptor_proto[0].as_slice()).unwrap();
    assert_eq!(file.name(), "idgate/v1/age_gate.proto");

    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let question = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut answers = old.server_reflection_info(tokio_stream::iter([question])).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
}

#[tokio::test]
async fn the_admin_port_tells_machines_what_they_need_and_nothing_personal() {
    let world = World::start().await;
    world.check(ask("subject-77", "key-77", "read 1990-05-05")).await.unwrap();
    assert_eq!(world.http("/livez").await.0, 200);
    assert_eq!(world.http("/readyz").await.0, 200);
    assert_eq!(world.http("/nothing").await.0, 404);
    let (code, metrics) = world.http("/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains(r#"idgate_calls_total{rpc="CheckAge",code="ok"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"idgate_decisions_total{outcome="allowed"} 1"#), "{metrics}");
    assert!(metrics.contains("idgate_images_held_bytes 0"), "what was held is given back");
    for personal in ["subject-77", "key-77", "1990", SHOP] {
        assert!(!metrics.contains(personal), "{personal}");
    }
}
