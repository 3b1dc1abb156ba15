//! `measure [--count N] [--seed S] [--kind K] [--quality good|poor] [--misses DIR]`: paints N pictures for each kind and
//! quality, reads them with the real pipeline and prints the table by kind and by degradation. Ends with status 1 when a
//! wrong date of birth was accepted.
//!
//! Picture `i` of a kind and quality has seed `S + i`. `--misses DIR` writes the pictures that were not read right.

#![allow(clippy::print_stdout, missing_docs)]

#[path = "mod.rs"]
mod painter;

use idgate::evidence::read::OcrReader;
use idgate::evidence::validate::Verdict;
use idgate::evidence::{Limits, extract};
use idgate::secret::Sensitive;
use idgate::terms::AssuranceLevel;
use painter::{CardKind, Quality, Spec, TODAY};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How one row of the table fared.
#[derive(Default, Clone, Copy)]
struct Tally {
    right: usize,
    wrong: usize,
    refused: usize,
    right_kind: usize,
    allowing: usize,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.refused += other.refused;
        self.right_kind += other.right_kind;
        self.allowing += other.allowing;
    }

    fn print(&self, name: &str) {
        let all = (self.right + self.wrong + self.refused).max(1);
        println!(
            "{name:28} {all:6} {:6} {:6.1} % {:6} {:8} {:9.1} % {:9.1} %",
            self.right,
            100.0 * self.right as f64 / all as f64,
            self.wrong,
            self.refused,
            100.0 * self.right_kind as f64 / self.right.max(1) as f64,
            100.0 * self.allowing as f64 / all as f64,
        );
    }
}

struct Order {
    count: u64,
    seed: u64,
    kinds: Vec<CardKind>,
    qualities: Vec<Quality>,
    misses: Option<PathBuf>,
}

fn order() -> Result<Order, String> {
    let mut order =
        Order { count: 4, seed: 1, kinds: CardKind::ALL.to_vec(), qualities: Quality::ALL.to_vec(), misses: None };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number"));
        match name.as_str() {
            "--count" => order.count = number()?,
            "--seed" => order.seed = number()?,
            "--kind" => order.kinds.retain(|k| k.as_str() == value),
            "--quality" => order.qualities.retain(|q| q.as_str() == value),
            "--misses" => order.misses = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    Ok(order)
}

fn measure(reader: &OcrReader, spec: &Spec, misses: Option<&Path>) -> (Tally, Vec<&'static str>) {
    let painted = spec.paint();
    let name = format!("{}-{}-{}.{}", spec.kind.as_str(), spec.quality.as_str(), spec.seed, painted.extension);
    let keep = misses.map(|dir| (dir.join(&name), painted.file.clone()));
    let verdict = extract(Sensitive::new(painted.file), reader, TODAY, &Limits::default()).verdict;
    let mut tally = Tally::default();
    let said = match verdict {
        Verdict::Read(evidence) if evidence.birth.expose() == painted.truth.date_of_birth => {
            tally.right = 1;
            tally.right_kind = usize::from(evidence.kind.as_str() == painted.truth.kind);
            tally.allowing = usize::from(evidence.assurance >= AssuranceLevel::Witnessed);
            None
        }
        Verdict::Read(evidence) => {
            tally.wrong = 1;
            Some(format!(
                "WRONG {} for {} ({:?}, {:?}, {:?})",
                evidence.birth.expose(),
                painted.truth.date_of_birth,
                evidence.assurance,
                evidence.witnesses,
                evidence.signals
            ))
        }
        Verdict::Unreadable(why) => {
            tally.refused = 1;
            Some(format!("refused {} {:?} {:?}", painted.truth.date_of_birth, why.reasons, why.signals))
        }
    };
    if let Some(said) = said {
        println!("{name}: {said}; {:?}, {}", painted.degradations, painted.truth.variant);
        if let Some((path, file)) = keep {
            std::fs::write(path, file).expect("the directory for misses can be written");
        }
    }
    (tally, painted.degradations)
}

fn main() -> ExitCode {
    let order = match order() {
        Ok(order) => order,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let reader = OcrReader::load(&models).expect("the models of this source tree");
    if let Some(dir) = &order.misses {
        std::fs::create_dir_all(dir).expect("the directory for misses can be made");
    }
    let mut specs = Vec::new();
    for i in 0..order.count {
        for kind in &order.kinds {
            for quality in &order.qualities {
                specs.push(Spec::new(order.seed + i, *kind, *quality));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<String, Tally>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(spec) = specs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (tally, degradations) = measure(&reader, spec, order.misses.as_deref());
                    let mut rows = rows.lock().expect("no worker panicked");
                    let quality = spec.quality.as_str();
                    let mut row = |name: String| rows.entry(name).or_default().add(tally);
                    row(format!("1 {quality} {}", spec.kind.as_str()));
                    row(format!("0 {quality}, all"));
                    for degradation in degradations {
                        row(format!("2 {quality} with {degradation}"));
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().expect("no worker panicked");
    println!(
        "\n{:28} {:>6} {:>6} {:>8} {:>6} {:>8} {:>11} {:>11}",
        "quality, kind, degradation", "all", "right", "", "wrong", "refused", "right kind", "may allow"
    );
    for (name, tally) in &rows {
        tally.print(name.get(2..).unwrap_or(name));
    }
    println!("seeds {} to {}, {} pictures", order.seed, order.seed + order.count - 1, specs.len());
    let wrong = rows.iter().filter(|(name, _)| name.starts_with('0')).any(|(_, t)| t.wrong > 0);
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
