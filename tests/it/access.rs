//! Who may call what: the table covers every RPC of the package, says what the proto files say, and is enforced.

use crate::support::{SHOP, World, reason};
use idgate::server::access::{Needs, TABLE, row};
use idgate::server::proto::DESCRIPTOR_SET;
use idgate::terms::{Purpose, Scope};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use std::collections::BTreeSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// Every RPC of the package with the comment above it.
pub fn rpcs() -> Vec<(String, String)> {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap();
    let ours = set.file.iter().filter(|file| file.package() == "idgate.v1");
    ours.flat_map(|file| {
        file.service.iter().enumerate().flat_map(move |(s, service)| {
            service.method.iter().enumerate().map(move |(m, method)| {
                let path = format!("/idgate.v1.{}/{}", service.name(), method.name());
                (path, comment(file, &[6, index(s), 2, index(m)]))
            })
        })
    })
    .collect()
}

fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap()
}

fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("the descriptor set has comments");
    let location = info.location.iter().find(|location| location.path == path).unwrap();
    location.leading_comments().trim().to_owned()
}

/// A call with an empty message; every method can be asked that way.
async fn call(world: &World, path: &str, bearer: Option<&str>) -> Result<(), Status> {
    let mut grpc = Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(bearer) = bearer {
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    }
    let path: PathAndQuery = path.parse().unwrap();
    grpc.unary(request, path, ProstCodec::<(), ()>::default()).await.map(drop)
}

async fn refusal(world: &World, path: &str, bearer: Option<&str>) -> (Code, String) {
    let status = call(world, path, bearer).await.expect_err(path);
    (status.code(), reason(&status))
}

/// What opens a row, and whether it needs anything.
pub fn opened_by(path: &str) -> Option<(Scope, Option<Purpose>)> {
    match row(path).unwrap().needs {
        Needs::Nothing => None,
        Needs::Scope(scope) => Some((scope, None)),
        Needs::ScopeAndPurpose(scope, purpose) => Some((scope, Some(purpose))),
    }
}

#[test]
fn every_rpc_has_exactly_one_row_and_no_row_is_of_a_method_that_is_gone() {
    let rpcs: BTreeSet<String> = rpcs().into_iter().map(|(path, _)| path).collect();
    assert_eq!(rpcs.len(), 29);
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(rows.len(), TABLE.len());
    let ours: BTreeSet<String> = rows.iter().filter(|path| path.starts_with("/idgate.")).cloned().collect();
    assert_eq!(ours, rpcs);
    let open: BTreeSet<&str> = TABLE.iter().filter(|row| row.needs == Needs::Nothing).map(|row| row.path).collect();
    assert_eq!(
        open.into_iter().collect::<Vec<_>>(),
        [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/idgate.v1.KeyService/GetJwks",
        ]
    );
}

#[test]
fn the_comment_of_every_rpc_ends_with_what_the_table_asks() {
    for (path, comment) in rpcs() {
        let caller = comment.rsplit("Caller: ").next().unwrap_or_default();
        assert!(comment.contains("Caller: "), "{path} does not say who may call it");
        match opened_by(&path) {
            None => assert_eq!(caller, "anyone.", "{path}"),
            Some((scope, purpose)) => {
                assert!(caller.contains(&format!("scope `{scope}`")), "{path}: {caller}");
                assert_eq!(purpose.is_some(), caller.contains("purpose `"), "{path}: {caller}");
            }
        }
    }
}

#[test]
fn every_field_says_whether_it_is_required_and_every_enum_refuses_its_zero() {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "idgate.v1") {
        for (m, message) in file.message_type.iter().enumerate() {
            for (f, field) in message.field.iter().enumerate() {
                let words = comment(file, &[4, index(m), 2, index(f)]);
                // What is in a oneof is required or not as its oneof says.
                let fits =
                    field.oneof_index.is_some() || words.starts_with("Required.") || words.starts_with("Optional.");
                assert!(fits, "{}.{}: {words}", message.name(), field.name());
            }
            for (o, oneof) in message.oneof_decl.iter().enumerate() {
                let words = comment(file, &[4, index(m), 8, index(o)]);
                assert!(words.starts_with("Required."), "{}.{}: {words}", message.name(), oneof.name());
            }
        }
        for declared in &file.enum_type {
            let zero = declared.value.first().unwrap();
            assert!(zero.number() == 0 && zero.name().ends_with("_UNSPECIFIED"), "{}", declared.name());
        }
    }
}

#[tokio::test]
async fn without_a_good_token_no_rpc_is_reached() {
    let world = World::start().await;
    let foreign = World::start().await;
    let bad = [
        (None, "TOKEN_MISSING"),
        (Some("Basic c2hvcDpzaG9w".to_owned()), "TOKEN_MISSING"),
        (Some("Bearer not-a-token".to_owned()), "TOKEN_REFUSED"),
        (Some(world.bearer("another-service", SHOP, Scope::ALL, Purpose::ALL)), "TOKEN_REFUSED"),
        (Some(foreign.bearer("idgate", SHOP, Scope::ALL, Purpose::ALL)), "TOKEN_REFUSED"),
    ];
    for (path, _) in rpcs() {
        if opened_by(&path).is_none() {
            call(&world, &path, None).await.expect("open to anyone");
            continue;
        }
        for (bearer, why) in &bad {
            let expected = (Code::Unauthenticated, (*why).to_owned());
            assert_eq!(refusal(&world, &path, bearer.as_deref()).await, expected, "{path}");
        }
    }
    assert_eq!(world.script.begun(), 0);
}

#[tokio::test]
async fn every_scope_opens_its_own_rpcs_and_no_other() {
    let world = World::start().await;
    for (path, _) in rpcs() {
        let Some((scope, purpose)) = opened_by(&path) else { continue };
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|other| *other != scope).collect();
        let bearer = world.bearer("idgate", SHOP, &others, Purpose::ALL);
        assert_eq!(
            refusal(&world, &path, Some(&bearer)).await,
            (Code::PermissionDenied, "SCOPE_MISSING".into()),
            "{path}"
        );
        if let Some(purpose) = purpose {
            let rest: Vec<Purpose> = Purpose::ALL.iter().copied().filter(|other| *other != purpose).collect();
            let bearer = world.bearer("idgate", SHOP, &[scope], &rest);
            let expected = (Code::PermissionDenied, "PURPOSE_MISSING".to_owned());
            assert_eq!(refusal(&world, &path, Some(&bearer)).await, expected, "{path}");
        }
        // A stream of events asks for nothing: an empty message opens it. Nor does a list of what is due.
        if !row(&path).unwrap().bounded {
            continue;
        }
        if path.ends_with("/ListDue") {
            let bearer = world.bearer("idgate", SHOP, &[scope], &[]);
            assert!(call(&world, &path, Some(&bearer)).await.is_ok());
            continue;
        }
        // With the scope the call is let through, and the empty message is what is refused.
        let bearer = world.bearer("idgate", SHOP, &[scope], purpose.as_slice());
        assert_eq!(
            refusal(&world, &path, Some(&bearer)).await,
            (Code::InvalidArgument, "BAD_REQUEST".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_has_no_row_is_denied_even_with_every_scope() {
    let world = World::start().await;
    let bearer = world.bearer("idgate", SHOP, Scope::ALL, Purpose::ALL);
    for path in
        ["/idgate.v1.AgeGateService/Forget", "/idgate.v1.AgeGateService/checkage", "/grpc.health.v1.Health/List", "/"]
    {
        let expected = (Code::PermissionDenied, "RPC_NOT_ALLOWED".to_owned());
        assert_eq!(refusal(&world, path, Some(&bearer)).await, expected, "{path}");
    }
}
