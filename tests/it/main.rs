//! One test binary: behaviour through the wire, and the rules about the code itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod access;
mod age;
mod api;
mod architecture;
mod config;
mod consent;
mod drain;
mod events;
mod golden;
mod hostile;
mod overload;
mod policy;
mod rights;
mod rights_guesses;
mod serving;
mod store;
mod support;
mod tokens;
mod verify;
mod webhooks;

#[path = "../painter/mod.rs"]
mod painter;
