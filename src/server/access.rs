//! Who may call what: one row for each RPC, and what has no row is denied.
//!
//! The comment of every RPC in the proto files ends with the same rule in words (`Caller: …`); a test walks the
//! descriptor set and finds a row here for each RPC and its scope in that comment.

use crate::terms::{Purpose, Scope};

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A valid token with this scope.
    Scope(Scope),
    /// A valid token with this scope that names this purpose too.
    ScopeAndPurpose(Scope, Purpose),
}

/// One RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The path of its requests.
    pub path: &'static str,
    /// Its name in metrics.
    pub label: &'static str,
    /// What a caller must show.
    pub needs: Needs,
    /// Whether it answers once, within the longest time for a call. The others run until somebody ends them, or until
    /// the longest time for a stream.
    pub bounded: bool,
    /// Whether a large request is one with a picture to read.
    pub pictures: bool,
}

const fn bounded(path: &'static str, label: &'static str, needs: Needs) -> Row {
    Row { path, label, needs, bounded: true, pictures: false }
}

const fn reading(path: &'static str, label: &'static str, needs: Needs) -> Row {
    Row { path, label, needs, bounded: true, pictures: true }
}

const fn open_ended(path: &'static str, label: &'static str, needs: Needs) -> Row {
    Row { path, label, needs, bounded: false, pictures: false }
}

/// The table.
pub const TABLE: &[Row] = &[
    reading("/idgate.v1.AgeGateService/CheckAge", "CheckAge", Needs::Scope(Scope::AgeCheck)),
    reading("/idgate.v1.AgeGateService/CheckAgeStream", "CheckAgeStream", Needs::Scope(Scope::AgeCheck)),
    bounded("/idgate.v1.AgeGateService/GetDecision", "GetDecision", Needs::Scope(Scope::DecisionRead)),
    bounded("/idgate.v1.AgeGateService/ExplainDecision", "ExplainDecision", Needs::Scope(Scope::DecisionRead)),
    bounded("/idgate.v1.AgeGateService/GetTokenStatus", "GetTokenStatus", Needs::Scope(Scope::DecisionRead)),
    bounded("/idgate.v1.AgeGateService/ReportUnderage", "ReportUnderage", Needs::Scope(Scope::ReportWrite)),
    bounded("/idgate.v1.ConsentService/RequestConsent", "RequestConsent", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/RecordNoticeSent", "RecordNoticeSent", Needs::Scope(Scope::ConsentWrite)),
    reading("/idgate.v1.ConsentService/VerifyGuardian", "VerifyGuardian", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/Respond", "Respond", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/GetConsent", "GetConsent", Needs::Scope(Scope::ConsentRead)),
    bounded("/idgate.v1.ConsentService/ListConsents", "ListConsents", Needs::Scope(Scope::ConsentRead)),
    bounded("/idgate.v1.ConsentService/ChangeScope", "ChangeScope", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/Withdraw", "Withdraw", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/Reaffirm", "Reaffirm", Needs::Scope(Scope::ConsentWrite)),
    bounded("/idgate.v1.ConsentService/EraseSubject", "EraseSubject", Needs::Scope(Scope::SubjectErase)),
    reading(
        "/idgate.v1.DocumentService/ReadDocument",
        "ReadDocument",
        Needs::ScopeAndPurpose(Scope::DocumentRead, Purpose::DobExtraction),
    ),
    bounded("/idgate.v1.RightsService/OpenRequest", "OpenRequest", Needs::Scope(Scope::RightsWrite)),
    bounded("/idgate.v1.RightsService/IssueCode", "IssueCode", Needs::Scope(Scope::RightsWrite)),
    reading("/idgate.v1.RightsService/ProveRequester", "ProveRequester", Needs::Scope(Scope::RightsWrite)),
    bounded("/idgate.v1.RightsService/RedeemProof", "RedeemProof", Needs::Scope(Scope::RightsWrite)),
    bounded("/idgate.v1.RightsService/GetRequest", "GetRequest", Needs::Scope(Scope::RightsRead)),
    bounded("/idgate.v1.RightsService/ListDue", "ListDue", Needs::Scope(Scope::RightsRead)),
    bounded("/idgate.v1.RightsService/Acknowledge", "Acknowledge", Needs::Scope(Scope::RightsWrite)),
    bounded("/idgate.v1.RightsService/Extend", "Extend", Needs::Scope(Scope::RightsDecide)),
    bounded("/idgate.v1.RightsService/Close", "Close", Needs::Scope(Scope::RightsDecide)),
    bounded("/idgate.v1.RightsService/Unlock", "Unlock", Needs::Scope(Scope::Admin)),
    open_ended("/idgate.v1.EventService/Watch", "Watch", Needs::Scope(Scope::EventRead)),
    bounded("/idgate.v1.KeyService/GetJwks", "GetJwks", Needs::Nothing),
    bounded("/grpc.health.v1.Health/Check", "HealthCheck", Needs::Nothing),
    open_ended("/grpc.health.v1.Health/Watch", "HealthWatch", Needs::Nothing),
    open_ended("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "Reflection", Needs::Nothing),
    open_ended("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "Reflection", Needs::Nothing),
];

/// The row of the RPC with this path.
pub fn row(path: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.path == path)
}
