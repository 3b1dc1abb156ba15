//! `idgate keys`: making, rotating and showing keys.

use super::{Failed, Outcome, Place};
use crate::config::keys::{self, Signature};
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Make a directory of signing keys for production: one that signs and one that is next.
    Generate {
        /// The directory; it must not hold keys.
        directory: PathBuf,
        /// The kind of signature.
        #[arg(long, value_enum, default_value = "eddsa")]
        algorithm: Algorithm,
    },
    /// Let the next key sign and retire the current one, which keeps verifying until its tokens have ended. Restart the
    /// server afterwards.
    Rotate {
        /// The directory.
        directory: PathBuf,
    },
    /// Show the public keys.
    Jwks {
        #[command(flatten)]
        place: Place,
        /// The directory; without it, the configured one.
        directory: Option<PathBuf>,
    },
    /// Make a secret: the one that the store hides names with, or a sealing key.
    Secret {
        /// The file; it must not exist.
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    Eddsa,
    Es256,
}

impl From<Algorithm> for Signature {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Eddsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
        }
    }
}

pub(super) fn run(action: Action) -> Outcome {
    match action {
        Action::Generate { directory, algorithm } => {
            println!(
                "{}",
                keys::generate(&directory, algorithm.into()).map_err(|error| Failed::at(&directory, error))?
            );
            eprintln!("signing keys are in {}; the public ones are above", directory.display());
        }
        Action::Rotate { directory } => {
            println!("{}", keys::rotate(&directory).map_err(|error| Failed::at(&directory, error))?);
            eprintln!("rotated; restart the server to sign with the new key");
        }
        Action::Jwks { place, directory } => {
            let directory = match directory {
                Some(directory) => directory,
                None => keys::directory(&place.settings()?),
            };
            println!("{}", keys::jwks(&directory).map_err(|error| Failed::at(&directory, error))?);
        }
        Action::Secret { file } => {
            keys::secret(&file).map_err(|error| Failed::at(&file, error))?;
            eprintln!("made {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
