//! `idgate demo`: the main job end to end. A real server on a free port of this machine, with a store of its own that is
//! removed afterwards, and a real call over gRPC.

use super::{Failed, Outcome, harden, serve};
use crate::config::keys::{self, Bearer};
use crate::config::{self, Settings};
use crate::server;
use crate::server::proto::age_gate_service_client::AgeGateServiceClient;
use crate::server::proto::{
    AssuranceLevel, CheckAgeRequest, CheckAgeResponse, ExplainDecisionRequest, Explained, Purpose, Reason, Signal,
    check_age_request::Evidence, check_age_response::Outcome as Answer,
};
use crate::terms::Scope;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A painted Korean resident card of a person who does not exist, and who is old enough.
const SAMPLE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cards/kr_resident_adult.jpg"));

#[derive(Args)]
pub(super) struct Arguments {
    /// Pictures to send instead of the sample.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the person is: ISO 3166.
    #[arg(long, default_value = "KR")]
    jurisdiction: String,
    /// The language of texts for the person: en or ko.
    #[arg(long, default_value = "en")]
    language: String,
    /// The directory with the models.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

/// A directory that is removed when the demo ends, however it ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("idgate-demo-{}", uuid::Uuid::now_v7())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.0).is_err() {
            eprintln!("could not remove {}", self.0.display());
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    harden::quietly();
    let temporary = Temporary::new();
    let mut settings = Settings::load(None)?;
    settings.data_dir.clone_from(&temporary.0);
    settings.checks.relying_party_attempts = 0;
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    eprintln!("loading the models …");
    let app = Arc::new(config::open(&settings, config::reader(arguments.models.as_deref().unwrap_or(Path::new("")))?)?);
    serve::runtime()?.block_on(async {
        let bound = server::bind(settings.server.clone(), app).await?;
        let address = bound.address()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(bound.run(async move { drop(stopped.await) }));
        eprintln!("serving on {address}, with development keys and a store that is removed afterwards\n");
        let called = call_all(&settings, address, arguments).await;
        drop(stop);
        serving.await??;
        called
    })
}

/// Sends every picture and shows every answer.
async fn call_all(settings: &Settings, address: SocketAddr, arguments: &Arguments) -> Outcome {
    let bearer = Bearer {
        relying_party: "demo-shop".parse()?,
        scopes: vec![Scope::AgeCheck, Scope::DecisionRead],
        purposes: Vec::new(),
        minutes: 10,
    };
    let token = keys::mint(settings, None, bearer)?;
    let authorization: MetadataValue<Ascii> = format!("Bearer {}", token.as_str()).parse()?;
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = AgeGateServiceClient::new(channel);
    let mut pictures = Vec::new();
    for file in &arguments.files {
        let image = std::fs::read(file).map_err(|error| Failed::at(file, error))?;
        pictures.push((file.display().to_string(), image));
    }
    if arguments.files.is_empty() {
        pictures.push(("a sample card of a person who does not exist".to_owned(), SAMPLE.to_vec()));
    }
    let mut all_allowed = true;
    for (n, (name, image)) in pictures.into_iter().enumerate() {
        println!("CheckAge  {name}  ({} bytes, {}, signup)", image.len(), arguments.jurisdiction);
        let mut request = Request::new(CheckAgeRequest {
            subject_ref: format!("demo-subject-{n}"),
            jurisdiction: arguments.jurisdiction.clone(),
            purpose: Purpose::Signup.into(),
            idempotency_key: uuid::Uuid::now_v7().to_string(),
            language: arguments.language.clone(),
            evidence: Some(Evidence::Image(image)),
        });
        request.metadata_mut().insert("authorization", authorization.clone());
        let answer = client.check_age(request).await.map_err(refused)?.into_inner();
        show(&answer)?;
        all_allowed &= matches!(answer.outcome, Some(Answer::Allowed(_)));
        explain(&mut client, &authorization, &answer, &arguments.language).await?;
    }
    verdict(arguments.files.is_empty(), all_allowed)
}

/// The sample is of an adult and has to be allowed where the defaults are asked; of anybody's own pictures every
/// decision is as good as another.
fn verdict(sample: bool, all_allowed: bool) -> Outcome {
    if sample && !all_allowed {
        return Err(Failed("the sample card should have been ALLOWED: something is broken here".to_owned()));
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(status: Status) -> Failed {
    Failed(format!("the call was refused: {:?}: {}", status.code(), status.message()))
}

fn show(answer: &CheckAgeResponse) -> Result<(), Failed> {
    println!("  decision  {}", answer.decision_id);
    println!("  rule      {} of policy {}…", answer.rule_id, answer.policy_digest.get(..12).unwrap_or_default());
    if answer.assurance() != AssuranceLevel::Unspecified {
        println!("  witnessed {}", answer.assurance().as_str_name());
    }
    let signals: Vec<&str> = answer.signals().map(|signal: Signal| signal.as_str_name()).collect();
    if !signals.is_empty() {
        println!("  signals   {}", signals.join(", "));
    }
    match answer.outcome.as_ref().ok_or_else(|| Failed("the answer has no outcome".to_owned()))? {
        Answer::Allowed(allowed) => {
            println!("  outcome   ALLOWED");
            println!("  token     {}", allowed.token);
            let claims = keys::claims(&allowed.token);
            println!("  it says   {}", serde_json::to_string_pretty(&claims)?.replace('\n', "\n            "));
        }
        Answer::ConsentRequired(consent) => {
            println!("  outcome   CONSENT REQUIRED of a guardian of at least {}", consent.guardian_min_age);
            println!("  text      {}", consent.message);
        }
        Answer::Blocked(blocked) => println!("  outcome   BLOCKED\n  text      {}", blocked.message),
        Answer::Unreadable(unreadable) => {
            println!("  outcome   UNREADABLE ({})", retry(unreadable.retryable));
            texts(&unreadable.reasons);
        }
        Answer::Inconsistent(inconsistent) => {
            println!("  outcome   INCONSISTENT ({})", retry(inconsistent.retryable));
            texts(&inconsistent.reasons);
        }
    }
    Ok(())
}

fn retry(retryable: bool) -> &'static str {
    if retryable { "another picture can help" } else { "another picture cannot help" }
}

fn texts(reasons: &[Explained]) {
    for why in reasons {
        println!("  reason    {}: {}", Reason::as_str_name(&why.reason()), why.message);
    }
}

/// Shows how the decision came about. Where nothing was kept there is nothing to show.
async fn explain(
    client: &mut AgeGateServiceClient<Channel>,
    authorization: &MetadataValue<Ascii>,
    answer: &CheckAgeResponse,
    language: &str,
) -> Result<(), Failed> {
    let ask = ExplainDecisionRequest { decision_id: answer.decision_id.clone(), language: language.to_owned() };
    let mut request = Request::new(ask);
    request.metadata_mut().insert("authorization", authorization.clone());
    println!("ExplainDecision");
    match client.explain_decision(request).await {
        Ok(explained) => explained.into_inner().steps.iter().for_each(|step| println!("  {}", step.text)),
        Err(status) if status.code() == tonic::Code::NotFound => println!("  nothing was kept"),
        Err(status) => return Err(refused(status)),
    }
    println!();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_not_allowed_fails_the_demo_and_nobodys_own_picture_does() {
        assert!(verdict(true, true).is_ok());
        assert!(verdict(true, false).is_err());
        assert!(verdict(false, false).is_ok());
    }
}
