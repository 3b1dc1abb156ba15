//! The residue server with the allocator of `idgate`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, dead_code, unused_imports, missing_docs)]

#[path = "scan.rs"]
mod scan;
#[path = "script.rs"]
mod script;
#[path = "server.rs"]
mod server;
#[path = "../it/support/mod.rs"]
mod support;
#[path = "texts.rs"]
mod texts;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static MEMORY: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() {
    server::main(true);
}
