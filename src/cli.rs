//! The command line. Each command is one file; what it prints for machines goes to standard output, everything else to
//! standard error.

#![expect(clippy::print_stdout, reason = "printing is what commands are for; nothing else prints")]

mod demo;
mod disposal;
pub mod harden;
mod keys;
mod rights;
mod scan;
mod serve;
mod store;
mod token;

use crate::config::{self, Settings};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Reads a date of birth off an identity document, decides whether the person is old enough, and answers over gRPC.
#[derive(Parser)]
#[command(name = "idgate", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve gRPC. Without a configuration: on 127.0.0.1:50051, with a store in ./idgate-data and development keys.
    Serve(serve::Arguments),
    /// Read pictures of documents. Uses no network, no store and no keys, and keeps nothing.
    Scan(scan::Arguments),
    /// Start a server of its own, send it a sample card as a relying party would, and show the answer.
    Demo(demo::Arguments),
    /// Make or verify tokens.
    #[command(subcommand)]
    Token(token::Action),
    /// Check disposal receipts.
    #[command(subcommand)]
    Disposal(disposal::Action),
    /// Make, rotate and show keys.
    #[command(subcommand)]
    Keys(keys::Action),
    /// Check a configuration and show what it comes to.
    CheckConfig {
        #[command(flatten)]
        place: Place,
        /// Show the defaults file, which is the manual, and nothing else.
        #[arg(long)]
        defaults: bool,
    },
    /// Look at the rules.
    #[command(subcommand)]
    Policy(Policy),
    /// Look at the rights of persons: what must be shown for them, and until when they are answered.
    #[command(subcommand)]
    Rights(rights::Action),
    /// Move what a store holds.
    #[command(subcommand)]
    Store(store::Action),
}

#[derive(Subcommand)]
enum Policy {
    /// Show the rule table: what holds where, for what, and on which ground.
    Table,
}

/// Where the configuration and the data are.
#[derive(Args, Clone, Default)]
pub(crate) struct Place {
    /// The configuration; without it the defaults hold.
    #[arg(long, env = "IDGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the store and the development keys lie.
    #[arg(long, env = "IDGATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where gRPC is served.
    #[arg(long, env = "IDGATE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where metrics, health and keys are served over HTTP.
    #[arg(long, env = "IDGATE_ADMIN", value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The directory with the models.
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl Place {
    /// The settings that this comes to.
    fn settings(&self) -> Result<Settings, Failed> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(data_dir) = &self.data_dir {
            settings.data_dir.clone_from(data_dir);
        }
        if let Some(models) = &self.models {
            settings.ocr.models.clone_from(models);
        }
        settings.server.listen = self.listen.unwrap_or(settings.server.listen);
        settings.server.admin = self.admin.unwrap_or(settings.server.admin);
        Ok(settings)
    }
}

/// Why a command failed, in words for the person who ran it.
struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !words.contains(&more) {
                words.push_str(": ");
                words.push_str(&more);
            }
            cause = error.source();
        }
        Self(words)
    }
}

impl Failed {
    /// Why something failed, and with which file: a path is not personal, and without it nobody knows where to look.
    fn at(path: &Path, error: impl std::fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

/// What a command comes to: whether all went well.
type Outcome = Result<ExitCode, Failed>;

/// Runs the command line.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(Failed(words)) => {
            eprintln!("idgate: {words}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Scan(arguments) => scan::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Token(action) => token::run(action),
        Command::Disposal(action) => disposal::run(action),
        Command::Keys(action) => keys::run(action),
        Command::CheckConfig { defaults: true, .. } => {
            print!("{}", config::DEFAULTS);
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfig { place, defaults: false } => check_config(&place),
        Command::Policy(Policy::Table) => {
            print!("{}", config::policy_table()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Rights(action) => rights::run(action),
        Command::Store(action) => store::run(action),
    }
}

fn check_config(place: &Place) -> Outcome {
    let settings = place.settings()?;
    config::check(&settings)?;
    print!("{}", settings.to_toml()?);
    eprintln!("the configuration is usable");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
