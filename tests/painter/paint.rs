//! `paint --out DIR --count N [--seed S] [--kind K] [--quality good|poor] [--birth DATE] [--masked yes|no]`: writes painted documents and `truth.csv`.
//! Picture number `i` has seed `S + i`; kinds and qualities that are not fixed take turns.

#[path = "mod.rs"]
mod painter;

use jiff::civil::Date;
use painter::{CardKind, Painted, Quality, Spec};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

struct Order {
    out: PathBuf,
    count: u64,
    seed: u64,
    kinds: Vec<CardKind>,
    qualities: Vec<Quality>,
    birth: Option<Date>,
    masked: Option<bool>,
}

fn order(args: impl Iterator<Item = String>) -> Result<Order, String> {
    let mut order = Order {
        out: PathBuf::from("painted"),
        count: 24,
        seed: 1,
        kinds: CardKind::ALL.to_vec(),
        qualities: Quality::ALL.to_vec(),
        birth: None,
        masked: None,
    };
    let mut args = args;
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{flag} needs a number"));
        match flag.as_str() {
            "--out" => order.out = value.into(),
            "--count" => order.count = number()?,
            "--seed" => order.seed = number()?,
            "--kind" => order.kinds.retain(|k| k.as_str() == value || k.document() == value),
            "--quality" => order.qualities.retain(|q| q.as_str() == value),
            "--birth" => order.birth = Some(value.parse().map_err(|_| format!("{flag} needs a date"))?),
            "--masked" => order.masked = Some(value == "yes"),
            _ => return Err(format!("unknown option {flag}")),
        }
    }
    if order.kinds.is_empty() || order.qualities.is_empty() {
        return Err("no such kind or quality".to_owned());
    }
    Ok(order)
}

/// The rows of `truth.csv`, header first, while the pictures are written.
fn paint_all(order: &Order) -> std::io::Result<String> {
    let mut csv = String::from("file,kind,quality,degradations,date_of_birth,expiry,checksum,variant\n");
    for i in 0..order.count {
        let n = usize::try_from(i).expect("counts fit");
        let kind = order.kinds[n % order.kinds.len()];
        let quality = order.qualities[n / order.kinds.len() % order.qualities.len()];
        let p =
            Spec { birth: order.birth, masked: order.masked, ..Spec::new(order.seed.wrapping_add(i), kind, quality) }
                .paint();
        let name = format!("{i:05}-{}-{}.{}", kind.as_str(), quality.as_str(), p.extension);
        std::fs::write(Path::new(&order.out).join(&name), &p.file)?;
        row(&mut csv, &name, quality, &p);
    }
    Ok(csv)
}

fn row(csv: &mut String, name: &str, quality: Quality, p: &Painted) {
    let t = &p.truth;
    let expiry = t.expiry.map(|d| d.to_string()).unwrap_or_default();
    let checksum = t.number_checksum_valid.map(|b| b.to_string()).unwrap_or_default();
    let variant = if t.masked { "masked" } else { t.variant };
    let wrong = p.degradations.join("+");
    let born = t.date_of_birth;
    writeln!(csv, "{name},{},{},{wrong},{born},{expiry},{checksum},{variant}", t.kind, quality.as_str())
        .expect("a string takes all");
}

fn main() -> ExitCode {
    let order = match order(std::env::args().skip(1)) {
        Ok(o) => o,
        Err(why) => {
            eprintln!(
                "{why}\nusage: paint --out DIR --count N [--seed S] [--kind K] [--quality good|poor] [--birth DATE] [--masked yes|no]"
            );
            return ExitCode::from(2);
        }
    };
    let start = std::time::Instant::now();
    let done = std::fs::create_dir_all(&order.out)
        .and_then(|()| paint_all(&order))
        .and_then(|csv| std::fs::write(order.out.join("truth.csv"), csv));
    match done {
        Ok(()) => {
            eprintln!("{} pictures in {} ({:.1?})", order.count, order.out.display(), start.elapsed());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("cannot write: {why}");
            ExitCode::FAILURE
        }
    }
}
