//! Compiles the proto files with protox (no system protoc) and writes the services and the descriptor set. Says where the
//! program may look for its models last: where it was built, or, for what is shipped, where they are installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// The files that hold a service each, and what they share.
const FILES: [&str; 7] = [
    "idgate/v1/age_gate.proto",
    "idgate/v1/consent.proto",
    "idgate/v1/document.proto",
    "idgate/v1/event.proto",
    "idgate/v1/key.proto",
    "idgate/v1/rights.proto",
    "idgate/v1/types.proto",
];

/// Messages with personal data: their `Debug` is written by hand and shows nothing.
const REDACTED: [&str; 11] = [
    "idgate.v1.CheckAgeRequest",
    "idgate.v1.CheckAgeRequest.evidence",
    "idgate.v1.CheckAgeStreamRequest",
    "idgate.v1.CheckAgeStreamRequest.part",
    "idgate.v1.CheckAgeStreamHeader",
    "idgate.v1.ReadDocumentRequest",
    "idgate.v1.ReadDocumentResponse",
    "idgate.v1.ReadDocumentResponse.outcome",
    "idgate.v1.DocumentRead",
    "idgate.v1.VerifyGuardianRequest",
    "idgate.v1.VerifyGuardianRequest.proof",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-env-changed=IDGATE_MODELS_PATH");
    let built = || Ok::<_, env::VarError>(format!("{}/models", env::var("CARGO_MANIFEST_DIR")?));
    let models = env::var("IDGATE_MODELS_PATH").or_else(|_| built())?;
    println!("cargo:rustc-env=IDGATE_BUILT_MODELS={models}");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("idgate.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(true).skip_debug(REDACTED.as_slice()).compile_fds(descriptors)?;
    Ok(())
}
