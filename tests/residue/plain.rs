//! The residue server with an allocator that overwrites nothing: what the search must find.

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

#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() {
    server::main(false);
}
