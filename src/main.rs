//! The `idgate` command: parses the command line and calls one thing.

use mimalloc::MiMalloc;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites every block that is given back, whoever took it: also what libraries made of a picture on the way.
#[global_allocator]
static MEMORY: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    idgate::cli::main()
}
