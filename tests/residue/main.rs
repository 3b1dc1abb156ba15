//! `residue [--requests N] [--batch N] [--pictures N] [--seed S] [--plain] [--kind NAME] [--cost]`: sends pictures in every way and
//! searches what is left of them; prints a table and fails if there is anything. `--requests` is of all kinds together,
//! `--pictures` is of painted cards read by the real engine. With `--plain` the server's allocator overwrites nothing, and
//! the search fails unless it finds that. `--cost` measures what overwriting costs instead.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, dead_code, unused_imports, missing_docs)]

#[path = "../painter/mod.rs"]
mod painter;
#[path = "mod.rs"]
mod residue;
#[path = "../it/support/mod.rs"]
mod support;

use residue::kinds::KINDS;
use residue::report::{HEADER, Row};
use residue::{Plan, every, leaves_no_core, total};
use std::process::ExitCode;
use std::sync::Mutex;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let number = |name, otherwise: usize| value(name).map_or(otherwise, |text| text.parse().unwrap());
    let plain = arguments.iter().any(|word| word == "--plain");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if arguments.iter().any(|word| word == "--cost") {
        runtime.block_on(residue::cost::measure(std::env::current_exe().unwrap().parent().unwrap()));
        return ExitCode::SUCCESS;
    }
    let program = std::env::current_exe().unwrap().with_file_name(match plain {
        true => "residue_server_plain",
        false => "residue_server",
    });
    let kinds = match value("--kind") {
        Some(name) => every().into_iter().filter(|kind| kind.name == *name).collect(),
        None => every(),
    };
    let shares: usize = KINDS.iter().map(|kind| kind.percent).sum();
    let requests = (number("--requests", 10_000) * 100).div_ceil(shares);
    let seed = number("--seed", 1) as u64;
    let wrong = Mutex::default();
    let plan = Plan { program: &program, requests, batch: number("--batch", 60), settings: "", seed, wrong: &wrong };
    let mut rows = runtime.block_on(plan.run(&kinds));
    if value("--kind").is_none() {
        rows.extend(runtime.block_on(plan.run_redis()));
        rows.push(runtime.block_on(plan.run_full()));
    }
    rows.extend(runtime.block_on(plan.run_engine(number("--pictures", 100))));
    println!("{HEADER}");
    rows.iter().for_each(|row| println!("{row}"));
    let found = |rows: &[Row]| rows.iter().map(|row| total(&row.open) + total(&row.closed)).sum::<usize>();
    let sum: usize = rows.iter().map(|row| row.requests).sum();
    println!("{sum} requests in {} rows: {} bytes found", rows.len(), found(&rows));
    let no_core = leaves_no_core(&program);
    println!("aborted with its default settings, the server leaves {} core", if no_core { "no" } else { "a" });
    let wrong = wrong.into_inner().unwrap();
    println!("kinds that did not come out as they should: {wrong:?}");
    let clean = no_core && found(&rows) == 0;
    if clean != plain && wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
