//! `idgate rights`: looking at the rights table.

use super::Outcome;
use crate::rights::table::RightsTable;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Show the rights table: for every right under every regime what must be shown, by when it is answered, and on which
    /// ground.
    Table,
}

pub(super) fn run(action: Action) -> Outcome {
    match action {
        Action::Table => print!("{}", RightsTable::embedded()?.text()),
    }
    Ok(ExitCode::SUCCESS)
}
