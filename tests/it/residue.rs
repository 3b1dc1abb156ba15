//! Nothing of a picture is left in memory, on disk, in a store or in any output, whatever became of it: the short form of
//! `cargo run --release --example residue`.
//!
//! Linux only, and as somebody who may look into a process of their own.

#![cfg(target_os = "linux")]

use crate::residue_search::kinds::KINDS;
use crate::residue_search::report::Row;
use crate::residue_search::{Plan, every, leaves_no_core, total};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// The server of this build; made if `cargo test` was not asked for examples.
fn server(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.parent().and_then(|deps| deps.parent()).unwrap();
    let release = target.file_name().is_some_and(|profile| profile == "release");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--offline", "--example", name]).args(release.then_some("--release"));
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(built.success(), "the server for this test can be built");
    target.join("examples").join(name)
}

/// Everything that any library says is searched as well.
const ALL_LOGS: &str = "[log]\nfilter = \"trace\"\n";

fn found(rows: &[Row]) -> usize {
    rows.iter().map(|row| total(&row.open) + total(&row.closed)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_picture_is_left_whatever_became_of_it() {
    let (program, wrong) = (server("residue_server"), Mutex::default());
    let plan = Plan { program: &program, requests: 8, batch: 20, settings: ALL_LOGS, seed: 7, wrong: &wrong };
    let mut rows = plan.run(&every()).await;
    rows.extend(plan.run_redis().await);
    let sum: usize = rows.iter().map(|row| row.requests).sum();
    assert!(sum >= 300, "{sum} requests");
    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "every kind came out as it should");
    for row in &rows {
        assert_eq!(found(std::slice::from_ref(row)), 0, "{row}");
    }
    assert!(leaves_no_core(&program), "with its default settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_overwriting_the_same_search_finds_pictures() {
    let (program, wrong) = (server("residue_server_plain"), Mutex::default());
    let plan = Plan { program: &program, requests: 8, batch: 20, settings: "", seed: 7, wrong: &wrong };
    let kinds = ["allowed", "cut short", "panic in read", "no token", "caller gone"];
    let rows = plan.run(&KINDS.iter().filter(|kind| kinds.contains(&kind.name)).collect::<Vec<_>>()).await;
    assert_eq!(rows.len(), kinds.len() + 2, "and what was never sent, and the core");
    for row in rows.iter().filter(|row| row.requests > 0) {
        assert!(found(std::slice::from_ref(row)) > 1_000, "{row}");
    }
}
