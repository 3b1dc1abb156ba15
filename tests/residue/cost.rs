//! What overwriting costs, beside the same programs without it, in turns: reading a card, and calls a second.

use super::Plan;
use super::caller::{Caller, fresh};
use super::canary;
use super::place::Server;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;
use tokio::task::JoinSet;

const CARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cards");
const ROUNDS: usize = 7;
const CALLS: usize = 600;
const AT_ONCE: usize = 4;

/// A program that reads the shipped cards whenever it is told to.
struct Scanner {
    child: Child,
    orders: ChildStdin,
    times: BufReader<std::process::ChildStdout>,
}

impl Scanner {
    fn start(program: &Path) -> Self {
        let mut files: Vec<_> = std::fs::read_dir(CARDS).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "jpg" || ending == "png"));
        let mut command = Command::new(program);
        command.arg("scan").args(files).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, times) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut scanner = Self { child, orders, times };
        scanner.time(); // the first is for the caches
        scanner
    }

    fn time(&mut self) -> f64 {
        let mut line = String::new();
        self.times.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    fn again(&mut self) -> f64 {
        self.orders.write_all(b"again\n").unwrap();
        self.time()
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Calls a second.
async fn rate(server: &Server, image: &[u8]) -> f64 {
    let caller = Caller::of(server, "shop").await;
    let (begun, mut calls) = (Instant::now(), JoinSet::new());
    for _ in 0..CALLS {
        if calls.len() >= AT_ONCE {
            calls.join_next().await.unwrap().unwrap();
        }
        let (caller, image) = (caller.clone(), image.to_vec());
        calls.spawn(async move {
            let answer = caller.check_as(&fresh("subject"), &fresh("key"), &image).await;
            assert_eq!(answer, "Allowed");
        });
    }
    calls.join_all().await;
    CALLS as f64 / begun.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn line(what: &str, rounds: &[(f64, f64)]) {
    let (with, without) = rounds.iter().copied().unzip::<f64, f64, Vec<f64>, Vec<f64>>();
    let ratio = median(rounds.iter().map(|(with, without)| with / without).collect());
    println!("{what:<44} {:>9.1} {:>9.1}   x {ratio:.3}", median(with), median(without));
}

/// Prints the table: medians of rounds, and the median of the rounds' ratios.
pub async fn measure(directory: &Path) {
    let programs = ["residue_server", "residue_server_plain"].map(|name| directory.join(name));
    println!("{:<44} {:>9} {:>9}   ratio", "", "with", "without");
    let [mut with, mut without] = programs.each_ref().map(|program| Scanner::start(program));
    let scans: Vec<_> = (0..ROUNDS).map(|_| (with.again(), without.again())).collect();
    drop((with, without));
    line("reading the shipped cards, ms", &scans);
    let wrong = Mutex::default();
    let image = canary::noise_of(&mut fastrand::Rng::with_seed(3), true).file;
    let servers = programs.each_ref().map(|program| {
        let plan = Plan { program, requests: 0, batch: 0, settings: "", seed: 0, wrong: &wrong };
        plan.start("scripted")
    });
    let mut rates = Vec::new();
    for round in 0..=ROUNDS {
        let pair = (rate(&servers[0], &image).await, rate(&servers[1], &image).await);
        // The first is for the caches.
        rates.extend((round > 0).then_some(pair));
    }
    line("CheckAge with a small picture, calls a second", &rates);
}
