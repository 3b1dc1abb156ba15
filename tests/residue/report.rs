//! What was found, as a table.

use super::kinds::Kind;
use super::place::Places;
use super::total;
use std::collections::BTreeMap;
use std::fmt;

pub struct Row {
    pub kind: String,
    pub requests: usize,
    pub answers: BTreeMap<String, usize>,
    /// Bytes that were searched.
    pub searched: usize,
    /// While the connection was open.
    pub open: Places,
    /// When it was closed.
    pub closed: Places,
}

impl Row {
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            requests: 0,
            answers: BTreeMap::new(),
            searched: 0,
            open: Places::new(),
            closed: Places::new(),
        }
    }

    pub fn answered(&mut self, answers: Vec<String>) {
        self.requests += answers.len();
        answers.into_iter().for_each(|answer| *self.answers.entry(answer).or_default() += 1);
    }

    /// What is wrong if not each of what a kind expects was answered, and nothing else.
    pub fn expect(&self, kind: &Kind) -> Option<String> {
        let missing = kind.expected.iter().any(|expected| !self.answers.contains_key(*expected));
        let known = |answer: &String| kind.expected.iter().chain(kind.also).any(|known| known == answer);
        let wrong = missing || !self.answers.keys().all(known);
        wrong.then(|| format!("{}: {:?} and not {:?}", self.kind, self.answers, kind.expected))
    }
}

/// Bytes by place, and of which form.
fn show(places: &Places) -> String {
    let place = |name: &str| places.get(name).map_or(0, |found| found.values().sum::<usize>());
    let mut words: Vec<String> = ["heap", "stack", "other", "disk", "output", "redis", "core"]
        .iter()
        .map(|name| format!("{:>9}", place(name)))
        .collect();
    let forms: BTreeMap<&str, usize> = places.values().flatten().fold(BTreeMap::new(), |mut all, (form, bytes)| {
        *all.entry(*form).or_default() += bytes;
        all
    });
    if total(places) > 0 {
        words.push(format!("  {forms:?}"));
    }
    words.concat()
}

pub const HEADER: &str = "kind                             requests  searched MB  connection      heap    stack    other     disk   output    redis     core";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, megabytes) = (&self.kind, self.searched / 1_000_000);
        writeln!(f, "{kind:<32} {:>8}  {megabytes:>11}  open      {}", self.requests, show(&self.open))?;
        let answers: Vec<String> = self.answers.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
        write!(f, "  {:<52}  closed    {}", answers.join(", "), show(&self.closed))
    }
}
