//! Evidence: from the bytes of a picture to a witnessed date of birth, or the reasons why there is none.
//!
//! `extract` is the whole pipeline, readable as a list: decode, then look, read and assess in a fixed order of attempts
//! until the evidence suffices. Each attempt costs more than the one before; most pictures need only the first. The
//! picture, its pixels and the text read from it are overwritten before `extract` returns.

pub mod documents;
pub mod frame;
pub mod locate;
pub mod numbers;
pub mod quality;
pub mod read;
mod search;
pub mod text;
pub mod validate;

pub use frame::Limits;

use crate::secret::Sensitive;
use crate::terms::Reason;
use jiff::civil::Date;
use read::Reader;
use search::Search;
use std::time::{Duration, Instant};
use validate::{Unreadable, Verdict};

/// How long each step took. `locate` and `read` add up over all attempts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// From bytes to grey pixels.
    pub decode: Duration,
    /// Finding print and its orientation.
    pub locate: Duration,
    /// Recognising print.
    pub read: Duration,
    /// Parsing and validating text.
    pub parse: Duration,
    /// Everything, from the first byte to the verdict.
    pub total: Duration,
}

/// What became of a picture.
#[derive(Debug)]
pub struct Extraction {
    /// The evidence, or why there is none.
    pub verdict: Verdict,
    /// What it cost.
    pub timings: Timings,
}

/// The bytes of stack below [`extract`] that are enough for it, as the search in `tests/residue` shows: whoever calls it
/// overwrites so many afterwards, and has twice as many.
pub const STACK: usize = 1024 * 1024;

/// Reads one picture of an identity document. `today` is the date that birth and expiry dates are held against.
///
/// Blocking and bound to the processor: hundreds of milliseconds. Takes the bytes and overwrites them. Never fails:
/// whatever the bytes are, the answer is evidence or a list of reasons.
pub fn extract(image: Sensitive<Vec<u8>>, reader: &dyn Reader, today: Date, limits: &Limits) -> Extraction {
    let start = Instant::now();
    let forgets = Forgets(reader);
    let mut timings = Timings::default();
    let decoded = frame::decode(image, limits);
    timings.decode = start.elapsed();
    let verdict = match decoded {
        Err(reason) => refuse(reason),
        Ok(frame) => {
            let mut search = Search::new(&frame, reader, today, limits);
            let verdict = search.run().with_signals(frame.signals());
            timings.locate = search.spent.locate;
            timings.read = search.spent.read;
            timings.parse = search.spent.parse;
            verdict
        }
    };
    drop(forgets);
    timings.total = start.elapsed();
    Extraction { verdict, timings }
}

/// Has the reader overwrite what it left behind, also when reading ends in a panic.
struct Forgets<'a>(&'a dyn Reader);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

fn refuse(reason: Reason) -> Verdict {
    Verdict::Unreadable(Unreadable { reasons: vec![reason], signals: Vec::new(), kind: None, youngest: None })
}
