//! The generated messages and services of `proto/idgate/v1`, and the descriptor set that reflection and tests read.
//!
//! Messages that can hold personal data have no generated `Debug`; theirs prints the type's name and nothing else.

#![allow(missing_docs, clippy::all)]

use std::fmt;

tonic::include_proto!("idgate.v1");

/// The descriptor set of the whole package, encoded.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/idgate.v1.bin"));

macro_rules! redacted_debug {
    ($($message:ty),+ $(,)?) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), " [redacted]"))
            }
        }
    )+};
}

redacted_debug!(
    CheckAgeRequest,
    check_age_request::Evidence,
    CheckAgeStreamRequest,
    check_age_stream_request::Part,
    CheckAgeStreamHeader,
    ReadDocumentRequest,
    ReadDocumentResponse,
    read_document_response::Outcome,
    DocumentRead,
    VerifyGuardianRequest,
    verify_guardian_request::Proof,
);
