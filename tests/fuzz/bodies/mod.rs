//! What is fuzzed: one function a target, from bytes to nothing. A target fails by panicking: because the code under it
//! does, or because something that always holds does not.
//!
//! They are run by cargo-fuzz (`fuzz_targets/`), and over the seeds and a few seconds of changed seeds by the common tests
//! (`tests/it/fuzz_seeds.rs`), so that they cannot rot. Nothing here needs a network, a model or a key of anybody's.

#![allow(dead_code, reason = "each fuzz target uses one of the modules")]

pub mod chunks;
pub mod config;
pub mod extract;
pub mod image;
mod input;
pub mod keys;
pub mod page;
pub mod record;
mod scripted_store;
pub mod store;
pub mod token;

/// A target: the name of its seeds' folder, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: &[Target] = &[
    ("chunks", chunks::run),
    ("config", config::run),
    ("extract", extract::run),
    ("image", image::run),
    ("keys", keys::run),
    ("page", page::run),
    ("record", record::run),
    ("store", store::run),
    ("token", token::run),
];
