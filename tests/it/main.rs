//! One test binary: behaviour through the wire, and the rules about the code itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod access;
mod age;
mod api;
mod architecture;
mod attacks;
mod callers;
mod canaries;
mod chaos;
mod config;
mod consent;
mod disk_faults;
mod disposal;
mod drain;
mod events;
mod fuzz_seeds;
mod golden;
mod histories;
mod hostile;
mod journal;
mod key_places;
mod key_types;
mod numbers;
mod overload;
mod policy;
mod redis_servers;
mod residue;
mod rights;
mod rights_guesses;
mod seals;
mod serving;
mod store;
mod store_copy;
mod store_redis;
mod support;
mod tls;
mod tokens;
mod turns;
mod verify;
mod washing;
mod webhooks;

#[path = "../painter/mod.rs"]
mod painter;

#[allow(dead_code, reason = "the long form uses all of it")]
#[path = "../residue/mod.rs"]
mod residue_search;
