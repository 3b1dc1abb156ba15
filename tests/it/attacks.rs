//! Everybody who should not get in, at every door: each RPC of the descriptor set against each attack on its token.
//!
//! Nothing is reached, nothing changes, nobody out there is asked for a key, and what is answered is the same whether the
//! person in the message is known or not. The table of what was tried is printed (`--nocapture`).

pub mod forge;
mod list;

use crate::access::{opened_by, rpcs};
use crate::support::rights::asks;
use crate::support::{KeyServer, SHOP, World, ask, born, reason};
use forge::{Forge, TRUSTED};
use idgate::config::TrustedKey;
use idgate::server::access::row;
use idgate::server::proto::check_age_response::Outcome as Checked;
use idgate::server::proto::{DESCRIPTOR_SET, Redemption, Right, Vouched};
use idgate::store::Partition;
use idgate::terms::{Purpose, Scope};
use list::{Attack, Own, attacks};
use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

/// Sends bytes as they are and takes whatever comes.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::put(into, &item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes::take(from)))
    }
}

/// The two calls of the buffer traits that a raw codec needs.
mod bytes {
    use prost::bytes::{Buf, BufMut, Bytes};

    pub fn put(into: &mut impl BufMut, bytes: &[u8]) {
        into.put_slice(bytes);
    }

    pub fn take(from: &mut impl Buf) -> Bytes {
        from.copy_to_bytes(from.remaining())
    }
}

/// What a message names: somebody who is known, or nobody.
struct Names {
    subject: String,
    decision: String,
    consent: String,
    request: String,
    token: String,
}

impl Names {
    fn text(&self, field: &str) -> &str {
        match field {
            "subject_ref" | "guardian_ref" => &self.subject,
            "decision_id" => &self.decision,
            "consent_id" => &self.consent,
            "request_id" => &self.request,
            "token" | "guardian_link_token" => &self.token,
            "jurisdiction" => "KR",
            "idempotency_key" => "an-attack",
            "staff_ref" => "staff-7",
            _ => "",
        }
    }
}

/// The message that an RPC takes, with these names in it; its other fields as simple as can be.
fn message(path: &str, names: &Names) -> Vec<u8> {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap();
    let (service, method) = path.trim_start_matches("/idgate.v1.").split_once('/').unwrap();
    let ours = || set.file.iter().filter(|file| file.package() == "idgate.v1");
    let methods = ours().flat_map(|file| &file.service).filter(|one| one.name() == service).flat_map(|one| &one.method);
    let input =
        methods.clone().find(|one| one.name() == method).unwrap().input_type().trim_start_matches(".idgate.v1.");
    let find = |name: &str| ours().flat_map(|file| &file.message_type).find(|one| one.name() == name).unwrap();
    let mut bytes = Vec::new();
    encode(find(input), names, &mut bytes);
    bytes
}

fn encode(message: &DescriptorProto, names: &Names, into: &mut Vec<u8>) {
    for field in &message.field {
        let tag = u32::try_from(field.number()).unwrap();
        match field.r#type() {
            Type::String => prost::encoding::string::encode(tag, &names.text(field.name()).to_owned(), into),
            Type::Enum => prost::encoding::int32::encode(tag, &1, into),
            Type::Bytes => prost::encoding::bytes::encode(tag, &b"read 1990-05-05".to_vec(), into),
            _ => {}
        }
    }
}

/// One call with these headers; what was answered.
async fn call(world: &World, path: &str, headers: &[(String, String)], message: Vec<u8>) -> Result<(), Status> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        let name: tonic::metadata::MetadataKey<tonic::metadata::Ascii> = name.parse().unwrap();
        request.metadata_mut().append(name, value.parse().unwrap());
    }
    let mut grpc = Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let mut answers = grpc.server_streaming(request, path.clone(), Raw).await?.into_inner();
    // A stream that nobody has to end tells nothing for a while; who is refused is told at once.
    if !row(path.path()).unwrap().bounded {
        return Ok(());
    }
    answers.message().await.map(drop)
}

/// Everything that a refusal says.
fn said(status: &Status) -> (Code, String, Vec<u8>, Vec<(String, String)>) {
    let metadata = status.metadata().clone().into_headers();
    let rest = metadata.iter().filter(|(name, _)| *name != "date");
    let rest = rest.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    (status.code(), status.message().to_owned(), status.details().to_vec(), rest)
}

async fn trail(world: &World) -> String {
    let mut all = String::new();
    for partition in Partition::all() {
        for link in world.app.store.trail(partition, 0, 1000).await.unwrap() {
            all += &format!("{link:?}\n");
        }
    }
    all
}

/// A server with every kind of trusted key, and in it somebody who is known, with the tokens that they hold.
async fn target() -> (World, Forge, Names, Own) {
    let mut forge = Forge::new();
    let files = tempfile::tempdir().unwrap();
    let trusted: Vec<TrustedKey> = TRUSTED
        .iter()
        .map(|(name, party, certificate)| {
            let file = files.path().join(name);
            std::fs::write(&file, forge.key(name).published()).unwrap();
            let relying_party = party.map(|party| party.parse().unwrap());
            TrustedKey { file, relying_party, certificate: (*certificate).to_owned(), ..TrustedKey::default() }
        })
        .collect();
    let world = World::with(
        |settings| {
            settings.callers.trusted = trusted;
            settings.server.quotas.pictures.per_second = 0;
            settings.server.quotas.others.per_second = 0;
        },
        |_| {},
    )
    .await;
    forge.adopt(&world);
    let checked = world.check(ask("known-grown", "k-1", "read 1990-05-05")).await.unwrap();
    let Some(Checked::Allowed(allowed)) = checked.outcome else { panic!("{:?}", checked.outcome) };
    let child = world.given("known-child", &born(15, -40)).await;
    let receipt = world.get_consent(&child.id).await.receipt;
    let ways = [Vouched::Session, Vouched::Email];
    let (taken, proof) = world.verified(asks("known-grown", Right::Delete, "DE", &ways), true).await;
    let names = Names {
        subject: "known-grown".to_owned(),
        decision: checked.decision_id,
        consent: child.id.clone(),
        request: taken.id,
        token: proof.clone(),
    };
    let own = Own { age: allowed.token, link: child.link, receipt, proof };
    (world, forge, names, own)
}

fn nobody() -> Names {
    let id = || uuid::Uuid::now_v7().to_string();
    Names { subject: "unknown-xxx".to_owned(), decision: id(), consent: id(), request: id(), token: "e.e.e".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_at_any_rpc() {
    let (world, forge, known, own) = target().await;
    let elsewhere = KeyServer::start(&forge.key("stranger").published()).await;
    let foreign = World::start().await;
    let unknown = nobody();
    let (begun, before) = (world.script.begun(), trail(&world).await);
    let mut tried: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut rpc_count, mut calls) = (0, 0);
    for (path, _) in rpcs() {
        let Some((scope, purpose)) = opened_by(&path) else { continue };
        rpc_count += 1;
        let messages = [message(&path, &known), message(&path, &unknown)];
        for Attack { kind, name, headers, code } in attacks(
            &forge,
            &own,
            scope,
            purpose,
            &elsewhere.url(),
            &foreign.bearer("idgate", SHOP, Scope::ALL, Purpose::ALL),
        ) {
            let mut answers = Vec::new();
            for message in &messages {
                let answer = call(&world, &path, &headers, message.clone()).await;
                let status = answer.expect_err(&format!("{path}: {kind}: {name} got in"));
                assert_eq!(status.code(), code, "{path}: {kind}: {name}: {}", status.message());
                let why = reason(&status);
                let known = ["TOKEN_MISSING", "TOKEN_REFUSED", "SCOPE_MISSING", "PURPOSE_MISSING"];
                assert!(known.contains(&why.as_str()), "{path}: {kind}: {name}: {why}");
                answers.push(said(&status));
                calls += 1;
            }
            assert_eq!(answers[0], answers[1], "{path}: {kind}: {name} tells who is known");
            *tried.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(trail(&world).await, before, "something was changed");
    assert_eq!(world.script.begun(), begun, "a picture was read");
    assert_eq!(elsewhere.asked(), [""; 0], "a token sent the server for a key");
    println!("\n{:<50} {:>9} {:>9}", "attack", "tried", "got in");
    for (kind, count) in &tried {
        println!("{kind:<50} {count:>9} {:>9}", 0);
    }
    println!("{calls} calls at {rpc_count} RPCs: 0 got in, 0 differ by whom they name, 0 keys fetched\n");
    assert!(rpc_count == 28 && tried.len() >= 20, "{rpc_count} RPCs, {tried:?}");
    // The proof that was shown around as a bearer token is still good for its one use.
    assert_eq!(world.redeem(&own.proof).await, Redemption::Redeemed);
    assert_eq!(world.redeem(&own.proof).await, Redemption::AlreadyRedeemed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_messages_get_in_with_a_good_token_of_every_algorithm() {
    let (world, forge, known, _) = target().await;
    for (path, _) in rpcs() {
        let Some((scope, purpose)) = opened_by(&path) else { continue };
        for key in ["own", "rsa", "ec", "bank"] {
            // A party's key speaks for that party, and never for the operator.
            let (sub, may) = if key == "bank" { ("bank", scope != Scope::Admin) } else { (SHOP, true) };
            let claims = forge.claims(sub, scope, purpose);
            let bearer = format!("Bearer {}", forge.signed(key, &claims));
            let headers = [("authorization".to_owned(), bearer)];
            let answer = call(&world, &path, &headers, message(&path, &known)).await;
            let code = answer.as_ref().err().map(Status::code);
            assert_eq!(code != Some(Code::Unauthenticated), may, "{path} with {key}: {answer:?}");
            assert!(code != Some(Code::PermissionDenied), "{path} with {key}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_too_large_end_nothing_but_their_own_call() {
    let (world, forge, known, _) = target().await;
    let path = "/idgate.v1.AgeGateService/GetDecision";
    let good = forge.signed("own", &forge.claims(SHOP, Scope::DecisionRead, None));
    for size in [9 * 1024, 20 * 1024, 48 * 1024, 256 * 1024] {
        for headers in [
            vec![("authorization".to_owned(), format!("Bearer {}", "a".repeat(size)))],
            vec![("authorization".to_owned(), format!("Bearer {good}.{}", "a".repeat(size)))],
            vec![("x-pad".to_owned(), "a".repeat(size)), ("authorization".to_owned(), "Bearer x".to_owned())],
        ] {
            let answer = tokio::time::timeout(Duration::from_secs(20), call(&world, path, &headers, vec![])).await;
            answer.expect("is answered").expect_err("does not get in");
        }
    }
    let headers = [("authorization".to_owned(), format!("Bearer {good}"))];
    let answer = call(&world, path, &headers, message(path, &known)).await;
    answer.expect("the next call is answered");
}
