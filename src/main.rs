//! The `idgate` command: parses the command line and calls one thing.

use std::process::ExitCode;

fn main() -> ExitCode {
    idgate::cli::main()
}
