//! `idgate keys`: making, rotating, listing and taking back keys.

use super::{Failed, Outcome, Place};
use crate::config::keys::{self, Listed, Signature, Standing};
use crate::config::{Settings, seals};
use crate::source::Source;
use clap::{Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
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
    /// Let the next key sign, retire the current one (it verifies until its tokens have ended) and make a new next key.
    /// Servers take it up by themselves (tokens.reload_seconds).
    Rotate {
        /// The directory.
        directory: PathBuf,
        /// For how long the next key must have been published: longer than others keep a copy of the key set.
        #[arg(long, default_value_t = 60, value_name = "MINUTES")]
        lead: u32,
        /// Rotate whether or not everybody knows the next key yet. Tokens may be refused until they do.
        #[arg(long, conflicts_with = "lead")]
        now: bool,
    },
    /// Show which key signs, which is next and which still verify. Shows nothing secret.
    List {
        #[command(flatten)]
        place: Place,
        /// Where the keys lie; without it, the configured place.
        keys: Option<Source>,
    },
    /// Take a stolen key out at once: nothing that it signed is accepted any more.
    Retire {
        /// The directory.
        directory: PathBuf,
        /// The key's name (`idgate keys list`).
        kid: String,
    },
    /// Show the public keys.
    Jwks {
        #[command(flatten)]
        place: Place,
        /// Where the keys lie; without it, the configured place.
        keys: Option<Source>,
    },
    /// Count what rests sealed under each key of store.sealing. A key under which nothing rests can be given up (wait as long
    /// as copies of the store are kept), but only when no server has opt-outs left in its journal: those are not counted.
    /// Stop a server with an embedded store before; one with Redis may go on.
    Sealing {
        #[command(flatten)]
        place: Place,
        /// Seal anew, under the first key, what rests under an older one.
        #[arg(long)]
        renew: bool,
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
            let made = keys::generate(&directory, algorithm.into()).map_err(|error| Failed::at(&directory, error))?;
            println!("{made}");
            eprintln!("signing keys are in {}; the public ones are above", directory.display());
        }
        Action::Rotate { directory, lead, now } => {
            let lead = SignedDuration::from_mins(if now { 0 } else { i64::from(lead) });
            println!("{}", keys::rotate(&directory, lead).map_err(|error| Failed::at(&directory, error))?);
            eprintln!("rotated; servers sign with the new key once they have read it");
        }
        Action::List { place, keys } => {
            let keys = chosen(&place, keys)?;
            let now = Timestamp::now();
            let listed = keys::list(&keys, now).map_err(|error| Failed(format!("{keys}: {error}")))?;
            for one in &listed {
                println!("{}", line(one, now));
            }
        }
        Action::Retire { directory, kid } => {
            println!("{}", keys::retire(&directory, &kid).map_err(|error| Failed::at(&directory, error))?);
            eprintln!("{kid} is gone; servers refuse what it signed once they have read this");
        }
        Action::Jwks { place, keys } => {
            let keys = chosen(&place, keys)?;
            println!("{}", keys::jwks(&keys).map_err(|error| Failed(format!("{keys}: {error}")))?);
        }
        Action::Sealing { place, renew } => sealing(&place.settings()?, renew)?,
        Action::Secret { file } => {
            keys::secret(&file).map_err(|error| Failed::at(&file, error))?;
            eprintln!("made {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts what rests sealed, and seals it anew.
fn sealing(settings: &Settings, renew: bool) -> Result<(), Failed> {
    let seals = super::serve::runtime()?.block_on(seals::seals(settings, renew))?;
    for (at, count) in seals.under.iter().enumerate() {
        let place = settings.store.sealing.get(at).map_or_else(|| "development's own".to_owned(), ToString::to_string);
        println!("{place}: {count}");
    }
    println!("under no key of these: {}", seals.unknown);
    if renew {
        eprintln!("sealed anew: {}; left as they were: {}", seals.renewed, seals.left);
    }
    Ok(())
}

/// The place that was named, or the configured one.
fn chosen(place: &Place, keys: Option<Source>) -> Result<Source, Failed> {
    keys.map_or_else(|| place.settings().map(|settings| keys::place(&settings)), Ok)
}

/// One key in one line, in columns.
fn line(key: &Listed, now: Timestamp) -> String {
    let part = match key.standing {
        Standing::Signs => "signs".to_owned(),
        Standing::Next => "next".to_owned(),
        Standing::Retired { until } if until == Timestamp::MAX => "verifies for as long as it is listed".to_owned(),
        Standing::Retired { until } => format!("verifies until {until:.0}"),
    };
    let made = key.made.map_or_else(|| "-".to_owned(), |made| format!("{made:.0} ({})", age(now.duration_since(made))));
    format!("{}  {}  {part}  made {made}", key.kid, key.algorithm)
}

/// An age in its largest unit.
fn age(age: SignedDuration) -> String {
    let minutes = age.as_mins().max(0);
    match (minutes / 1440, minutes / 60) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    }
}
