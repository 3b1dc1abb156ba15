//! `idgate store`: moving what a store holds.

use super::{Failed, Outcome, Place};
use crate::config::{self, store::CopyOrder};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Copy everything from an embedded store to the Redis of the configuration, read it back and compare. Stop the server
    /// before. The source stays as it is. Until the copy is finished no server uses the destination; if it fails, empty the
    /// destination (or name another store.redis.namespace) and begin anew.
    Copy(CopyArguments),
}

#[derive(Args)]
pub(super) struct CopyArguments {
    /// The directory of the embedded store, for example idgate-data/store.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Read and verify the source, see whether the destination answers and is empty, and copy nothing.
    #[arg(long)]
    dry_run: bool,
    /// When all went well, rename the source, so that no server opens it by mistake.
    #[arg(long, conflicts_with = "dry_run")]
    rename: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(action: Action) -> Outcome {
    match action {
        Action::Copy(arguments) => copy(&arguments),
    }
}

fn copy(arguments: &CopyArguments) -> Outcome {
    let settings = arguments.place.settings()?;
    let order = CopyOrder { from: &arguments.from, dry_run: arguments.dry_run };
    let counts = super::serve::runtime()?.block_on(config::store::copy(&settings, order))?;
    for (kind, count) in [
        ("values", counts.values),
        ("attempt counts", counts.attempts),
        ("filings", counts.filed),
        ("audit entries", counts.entries),
        ("destroyable keys", counts.keys),
    ] {
        println!("{kind}: {count}");
    }
    if arguments.dry_run {
        eprintln!("the source is whole and the destination is empty; nothing was copied");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("everything was copied, read back and compared; the audit chains hold on both sides");
    if arguments.rename {
        let away = config::store::set_aside(&arguments.from).map_err(|error| Failed::at(&arguments.from, error))?;
        eprintln!("the source is now {}", away.display());
    } else {
        eprintln!("the source is as it was; remove it once the servers run on the copy");
    }
    Ok(ExitCode::SUCCESS)
}
