//! From text to what a document says: numbers, machine-readable lines, printed dates, labels. No trust is given here;
//! `validate` weighs what these modules find.
//!
//! Always: personal data stay in values that are overwritten when dropped, and nothing here implements `Debug` over
//! them; work is bounded whatever the text (lines, boxes and answers have caps).

pub(crate) mod clean;
pub(crate) mod dates;
pub(crate) mod kr_card;
pub(crate) mod labels;
pub(crate) mod mrz;
pub(crate) mod rows;
pub(crate) mod rrn;
pub(crate) mod viz;
