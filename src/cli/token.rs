//! `idgate token`: bearer tokens for callers, and a look into age tokens and consent receipts.

use super::{Failed, Outcome, Place};
use crate::config::keys::{self, Bearer};
use crate::terms::{Malformed, Purpose, RelyingParty, Scope};
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Make a bearer token for calling a server: with the development key in the data directory, or a key of your own.
    Mint {
        #[command(flatten)]
        place: Place,
        /// A private key (PKCS#8 PEM, Ed25519 or P-256) whose public part the server trusts.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The relying party that the token speaks for.
        #[arg(long, default_value = "demo-shop")]
        relying_party: String,
        /// What the token allows; repeat for more. Without it: all but administration.
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
        /// What the token allows that for; repeat for more. `dob_extraction` opens ReadDocument.
        #[arg(long, value_name = "PURPOSE")]
        purpose: Vec<String>,
        /// How long it lives.
        #[arg(long, default_value_t = 60, value_name = "MINUTES")]
        minutes: u32,
    },
    /// Verify an age token or a consent receipt that this server's keys signed, and show what it says.
    Verify {
        #[command(flatten)]
        place: Place,
        /// The relying party that an age token is for.
        #[arg(long, default_value = "demo-shop")]
        relying_party: String,
        /// Check a receipt with these public keys (a JWKS document that the server published), and nothing else.
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
        /// The token or receipt.
        token: String,
    },
}

pub(super) fn run(action: Action) -> Outcome {
    match action {
        Action::Mint { place, key, relying_party, scope, purpose, minutes } => {
            let bearer = Bearer {
                relying_party: party(&relying_party)?,
                scopes: scopes(&scope)?,
                purposes: parse(&purpose, Purpose::ALL)?,
                minutes,
            };
            let settings = place.settings()?;
            let own = keys::caller_key(&settings);
            let made = key.is_none() && !own.exists();
            let token = keys::mint(&settings, key.as_deref(), bearer)?;
            if made {
                eprintln!(
                    "made a development key, {}: only a server with the same data directory accepts this token",
                    own.display()
                );
            }
            println!("{}", token.as_str());
        }
        Action::Verify { place, jwks, token, .. } if keys::is_receipt(&token) => {
            let receipt = match jwks {
                Some(jwks) => keys::receipt_by_jwks(&jwks, &token)?,
                None => keys::receipt_by_keys(&keys::place(&place.settings()?), &token)?,
            };
            println!("{}", serde_json::to_string_pretty(&receipt.payload)?);
            eprintln!("the signature holds; the next receipt of this consent names {} as its previous", receipt.sha256);
        }
        Action::Verify { jwks: Some(_), .. } => {
            return Err(Failed("with --jwks only a consent receipt is checked, and this is none".to_owned()));
        }
        Action::Verify { place, relying_party, jwks: None, token } => {
            let settings = place.settings()?;
            let claims = keys::verify(&settings, &keys::place(&settings), &token, &party(&relying_party)?)?;
            println!("{}", serde_json::to_string_pretty(&claims)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn party(text: &str) -> Result<RelyingParty, Malformed> {
    text.parse()
}

fn scopes(texts: &[String]) -> Result<Vec<Scope>, Failed> {
    if texts.is_empty() {
        return Ok(Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect());
    }
    parse(texts, Scope::ALL)
}

/// Parses closed terms; a wrong one is answered with those there are.
fn parse<T: std::str::FromStr + std::fmt::Display>(texts: &[String], all: &[T]) -> Result<Vec<T>, Failed> {
    let names = || all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    texts.iter().map(|text| text.parse().map_err(|_| Failed(format!("not one of: {}", names())))).collect()
}
