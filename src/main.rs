//! The `idgate` command: parses the command line and calls one thing.

fn main() {}
