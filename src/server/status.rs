//! The only place where a gRPC status is made.
//!
//! Every status carries `google.rpc.ErrorInfo` with a closed reason under the domain `idgate`, and, where it helps,
//! `RetryInfo` or `BadRequest`; after a picture was taken, its disposal receipt too. Texts say what to do and never repeat what was sent. A negative answer is not a status.

use super::budget::Over;
use super::convert::BadField;
use super::proto;
use super::quota::Class;
use crate::flows::{Error, Rejected, StoreError, Unread, Whose};
use crate::terms::{Purpose, Scope};
use http::Response;
use prost::Message as _;
use prost_types::Any;
use std::collections::HashMap;
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb};

/// The domain of every reason.
pub const DOMAIN: &str = "idgate";

/// The type of a disposal receipt among the details.
const RECEIPT: &str = "type.googleapis.com/idgate.v1.DisposalReceipt";

/// Why a call was turned away before it reached its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No row in the access table.
    UnknownRpc,
    /// No bearer token, or more than one.
    NoToken,
    /// The token does not hold.
    BadToken(Rejected),
    /// The token lacks a scope.
    MissingScope(Scope),
    /// The token does not name a purpose.
    MissingPurpose(Purpose),
    /// The token's key is not known, and callers' keys are missing.
    KeysAway(Duration),
    /// The relying party calls too often; when it may call again.
    TooFast(Class, Duration),
    /// The caller's deadline has passed, or the call took longer than any may.
    Late,
}

/// A status with a reason and, if there is one, the time after which to try again.
fn status(code: Code, reason: &'static str, text: impl Into<String>, retry: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(code, text, details)
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::UnknownRpc => {
                status(Code::PermissionDenied, "RPC_NOT_ALLOWED", "this method is not open to anyone", None)
            }
            Denied::NoToken => {
                status(Code::Unauthenticated, "TOKEN_MISSING", "send one `authorization: Bearer …` header", None)
            }
            Denied::BadToken(rejected) => status(Code::Unauthenticated, "TOKEN_REFUSED", rejected.to_string(), None),
            Denied::MissingScope(scope) => {
                status(Code::PermissionDenied, "SCOPE_MISSING", format!("the token needs the scope `{scope}`"), None)
            }
            Denied::MissingPurpose(purpose) => {
                let text = format!("the token needs the purpose `{purpose}`");
                status(Code::PermissionDenied, "PURPOSE_MISSING", text, None)
            }
            Denied::KeysAway(retry) => {
                let text = "the keys of a token service cannot be had at this moment; try again";
                status(Code::Unavailable, "CALLER_KEYS_UNAVAILABLE", text, Some(retry))
            }
            Denied::TooFast(class, retry) => {
                let text = "this relying party calls too often; try again later";
                status(Code::ResourceExhausted, quota_reason(class), text, Some(retry))
            }
            Denied::Late => deadline(),
        }
    }
}

/// The reason of a call that came too soon.
const fn quota_reason(class: Class) -> &'static str {
    match class {
        Class::Pictures => "CALLER_PICTURES_PER_SECOND",
        Class::Others => "CALLER_CALLS_PER_SECOND",
    }
}

/// The status of a call that was turned away.
pub fn denied(denied: Denied) -> Status {
    denied.into()
}

fn deadline() -> Status {
    status(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before the call was answered", None)
}

/// What a request sends comes too slowly, or not at all.
pub fn too_slow() -> Status {
    let text = "the message came too slowly; nothing was decided, send it again";
    status(Code::DeadlineExceeded, "SENDER_TOO_SLOW", text, None)
}

/// The calls of this moment hold too many bytes together.
pub fn over_budget(over: Over) -> Status {
    let (reason, text) = match over {
        Over::Everyone => ("BYTES_IN_FLIGHT", "too many bytes are being received at this moment; try again"),
        Over::Caller => ("CALLER_BYTES_IN_FLIGHT", "this caller is sending too many bytes at this moment; try again"),
    };
    status(Code::ResourceExhausted, reason, text, Some(Duration::from_secs(1)))
}

/// A message is larger than this method accepts.
pub fn too_large() -> Status {
    let text = "the message is larger than accepted; send a large picture through CheckAgeStream, in chunks";
    status(Code::InvalidArgument, "MESSAGE_TOO_LARGE", text, None)
}

/// A stream that nobody has to end has been open for long enough.
pub fn stream_over() -> Status {
    let text = "the stream was open for as long as any may be; open it again";
    status(Code::Unavailable, "STREAM_OVER", text, Some(Duration::from_secs(1)))
}

/// The relying party has as many streams of events open as it may.
pub fn too_many_watches() -> Status {
    let text = "too many streams of events are open for this relying party; close one, or try again later";
    status(Code::ResourceExhausted, "TOO_MANY_WATCHES", text, Some(Duration::from_secs(5)))
}

/// What a refusal without a reason means: made before a service was reached, by what decodes messages, or by the health
/// service. What that says of the message is not passed on.
pub fn undecoded(code: Code) -> Option<Status> {
    match code {
        Code::Internal => {
            let text = "the message is not of the form that the proto files describe (text must be UTF-8)";
            Some(status(Code::InvalidArgument, "MALFORMED_MESSAGE", text, None))
        }
        Code::OutOfRange => Some(too_large()),
        // The code that the protocol prescribes for this.
        Code::Unimplemented => {
            let text = "compressed messages are not accepted; pictures are compressed already";
            Some(status(Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED", text, None))
        }
        Code::NotFound => Some(status(Code::NotFound, "UNKNOWN_SERVICE", "no such service", None)),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}

/// The server is going down: a stream that nobody has to end ends now.
pub fn draining() -> Status {
    status(Code::Unavailable, "SHUTTING_DOWN", "the server is shutting down; try again", Some(Duration::from_secs(1)))
}

/// Something went wrong that must not.
pub fn internal() -> Status {
    status(Code::Internal, "INTERNAL", "the call failed; nothing was decided", None)
}

impl From<BadField> for Status {
    fn from(bad: BadField) -> Self {
        let mut details = ErrorDetails::with_error_info("BAD_REQUEST", DOMAIN, HashMap::new());
        details.add_bad_request_violation(bad.field, bad.problem.text());
        Status::with_error_details(Code::InvalidArgument, format!("{}: {}", bad.field, bad.problem.text()), details)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::KeyReused => status(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", text, None),
            Error::InProgress { retry_after } => status(Code::Aborted, "IN_PROGRESS", text, Some(retry_after)),
            Error::TooManyAttempts { whose, retry_after } => {
                let reason = match whose {
                    Whose::Subject => "SUBJECT_ATTEMPTS",
                    Whose::RelyingParty => "RELYING_PARTY_ATTEMPTS",
                };
                status(Code::ResourceExhausted, reason, text, Some(retry_after))
            }
            Error::UnknownDecision => status(Code::NotFound, "UNKNOWN_DECISION", text, None),
            Error::UnknownRequest => status(Code::NotFound, "UNKNOWN_REQUEST", text, None),
            Error::RegimeNotOfPlace => status(Code::FailedPrecondition, "REGIME_NOT_OF_PLACE", text, None),
            Error::UnknownConsent => status(Code::NotFound, "UNKNOWN_CONSENT", text, None),
            Error::ConsentNotRequired => status(Code::FailedPrecondition, "CONSENT_NOT_REQUIRED", text, None),
            Error::DecisionTooOld => status(Code::FailedPrecondition, "DECISION_TOO_OLD", text, None),
            Error::ConsentNotInForce => status(Code::FailedPrecondition, "CONSENT_NOT_IN_FORCE", text, None),
            Error::ControllerMissing => status(Code::FailedPrecondition, "CONTROLLER_MISSING", text, None),
            Error::DeclarationNotAccepted => status(Code::FailedPrecondition, "DECLARATION_NOT_ACCEPTED", text, None),
            Error::AlternativeNotOffered => status(Code::FailedPrecondition, "ALTERNATIVE_NOT_OFFERED", text, None),
            Error::CursorAhead => status(Code::FailedPrecondition, "CURSOR_AHEAD", text, None),
            Error::Unread(Unread::Full { retry_after }) => {
                status(Code::ResourceExhausted, "QUEUE_FULL", text, Some(retry_after))
            }
            // Not DEADLINE_EXCEEDED: that would not say that nothing was done and that trying again can help.
            Error::Unread(Unread::NoTime { retry_after }) => {
                status(Code::ResourceExhausted, "DEADLINE_TOO_SHORT", text, Some(retry_after))
            }
            Error::Unread(Unread::Late) => deadline(),
            Error::Unread(Unread::Abandoned) => status(Code::Cancelled, "CANCELLED", text, None),
            Error::Unread(Unread::Crashed) | Error::Signing | Error::Broken => internal(),
            Error::Store(StoreError::Busy) => {
                status(Code::ResourceExhausted, "STORE_BUSY", text, Some(Duration::from_secs(1)))
            }
            Error::Store(StoreError::Unavailable) => {
                status(Code::Unavailable, "STORE_UNAVAILABLE", text, Some(spread()))
            }
            Error::Store(StoreError::Corrupt) => internal(),
        }
    }
}

/// The same refusal with a disposal receipt among its details, after those that it has.
pub fn with_receipt(response: Response<Body>, receipt: &proto::DisposalReceipt) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let Ok(mut details) = pb::Status::decode(status.details()) else { return response };
    details.details.push(Any { type_url: String::from(RECEIPT), value: receipt.encode_to_vec() });
    let (code, text) = (status.code(), status.message().to_owned());
    Status::with_details_and_metadata(code, text, details.encode_to_vec().into(), status.metadata().clone()).into_http()
}

/// One to three seconds at random, so that those who were refused together do not come back together.
fn spread() -> Duration {
    let mut byte = [0u8; 1];
    // Without random bytes all are told the same.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    Duration::from_secs(1) + Duration::from_secs(2) * u32::from(u8::from_be_bytes(byte)) / 255
}

/// The name of a status code in metrics.
pub const fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
