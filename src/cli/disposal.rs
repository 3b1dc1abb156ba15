//! `idgate disposal`: checks disposal receipts, with nothing but files.

use super::{Failed, Outcome};
use crate::config::keys::{self, DisposalKeys};
use crate::secret::Sensitive;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The largest picture that is read: more than a server takes.
const MOST: usize = 256 * 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Check that a disposal receipt is signed, and that it is the receipt of this picture. Offline: needs the picture, the
    /// receipt, its opening and a key set, and overwrites what it read of the picture. Ends with 0 only if all of it holds.
    Verify(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    /// Public keys: a JWKS document that the server published.
    #[arg(long, value_name = "FILE", required_unless_present = "keys", conflicts_with = "keys")]
    jwks: Option<PathBuf>,
    /// Or the directory with the server's signing keys.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The picture, byte for byte as it was sent.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// The receipt (`disposal.token`).
    #[arg(long, value_name = "TOKEN")]
    receipt: String,
    /// Its opening (`disposal.opening`): 64 hexadecimal digits, or base64 or base64url.
    #[arg(long, value_name = "HEX|BASE64")]
    opening: String,
}

pub(super) fn run(action: Action) -> Outcome {
    let Action::Verify(arguments) = action;
    let opening = Sensitive::new(arguments.opening);
    let Some(opening) = keys::opening(&opening) else {
        return Err(Failed(String::from("the opening is not 32 bytes in hexadecimal digits or base64")));
    };
    let by = match (&arguments.jwks, &arguments.keys) {
        (Some(file), _) => DisposalKeys::Jwks(file),
        (None, Some(directory)) => DisposalKeys::Directory(directory),
        (None, None) => return Err(Failed(String::from("name the keys: --jwks or --keys"))),
    };
    let claims = keys::disposal(by, &arguments.receipt)?;
    let picture = super::scan::picture(&arguments.image, MOST).map_err(|e| Failed::at(&arguments.image, e))?;
    if picture.expose().len() > MOST {
        return Err(Failed::at(&arguments.image, "the file is larger than any picture that is taken"));
    }
    if !claims.is_of(picture.expose(), &opening) {
        return Err(Failed(String::from("the receipt is signed, but not for this picture and this opening")));
    }
    println!("{}", serde_json::to_string_pretty(&claims)?);
    eprintln!("the signature holds, and the receipt is of this picture");
    Ok(ExitCode::SUCCESS)
}
