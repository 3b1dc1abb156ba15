//! Reading one picture for whoever holds it: no store, no keys, no network, nothing decided and nothing kept.

use super::pool::ReadImage;
pub use crate::evidence::Timings;
use crate::evidence::validate::Verdict;
use crate::evidence::{Limits, STACK};
use crate::secret::{Sensitive, wiped};
use crate::terms::{AssuranceLevel, DocumentKind, Reason, Signal};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// What a picture showed.
pub struct Scanned {
    /// `YYYY-MM-DD`, if a date of birth was accepted.
    pub date_of_birth: Option<Sensitive<String>>,
    /// The kind of document, if it was told.
    pub document_kind: Option<DocumentKind>,
    /// How well the date of birth is witnessed.
    pub assurance: Option<AssuranceLevel>,
    /// Why no date of birth was accepted.
    pub reasons: Vec<Reason>,
    /// Remarks about the document.
    pub signals: Vec<Signal>,
    /// The last day on which the document is valid.
    pub expiry: Option<Date>,
    /// How long it took.
    pub timings: Timings,
}

impl Scanned {
    /// A file from which no picture came.
    pub fn nothing(reason: Reason) -> Self {
        Self {
            date_of_birth: None,
            document_kind: None,
            assurance: None,
            reasons: vec![reason],
            signals: Vec::new(),
            expiry: None,
            timings: Timings::default(),
        }
    }
}

/// The latest date that it is anywhere (UTC+14) now.
pub fn latest_date() -> Date {
    let there = Timestamp::now().checked_add(SignedDuration::from_hours(14)).unwrap_or(Timestamp::MAX);
    jiff::tz::TimeZone::UTC.to_datetime(there).date()
}

/// Reads a picture of at most `max_bytes`, which is overwritten.
pub fn scan(image: Sensitive<Vec<u8>>, read: &ReadImage, today: Date, max_bytes: usize) -> Scanned {
    let extraction = wiped::<STACK, _>(|| read(image, today, &Limits { max_bytes, ..Limits::default() }));
    let timings = extraction.timings;
    match extraction.verdict {
        Verdict::Read(evidence) => Scanned {
            date_of_birth: Some(Sensitive::new(evidence.birth.expose().to_string())),
            document_kind: Some(evidence.kind),
            assurance: Some(evidence.assurance),
            reasons: Vec::new(),
            signals: evidence.signals,
            expiry: evidence.expiry,
            timings,
        },
        Verdict::Unreadable(why) => Scanned {
            date_of_birth: None,
            document_kind: why.kind,
            assurance: None,
            reasons: why.reasons,
            signals: why.signals,
            expiry: None,
            timings,
        },
    }
}
