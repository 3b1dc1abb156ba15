//! From text to what a document says: numbers, machine-readable lines, printed dates, labels. No trust is given here;
//! `validate` weighs what these modules find.
//!
//! Always: personal data stay in values that are overwritten when dropped, and nothing here implements `Debug` over
//! them; work is bounded whatever the text (lines, boxes and answers have caps).

/// A `Debug` that says nothing: for values that are, or contain, a date of birth.
macro_rules! redacted {
    ($($name:ty),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[redacted]")
            }
        }
    )*};
}
pub(crate) use redacted;

pub(crate) mod clean;
pub(crate) mod dates;
pub(crate) mod kr_card;
pub(crate) mod labels;
pub(crate) mod mask;
pub(crate) mod mrz;
pub(crate) mod rows;
pub(crate) mod rrn;
pub(crate) mod viz;
