//! Dates as somebody states them.

use crate::age::BirthDate;
use crate::secret::Sensitive;
use crate::terms::Malformed;

/// A date of birth in words: `YYYY-MM-DD` and nothing else.
pub(super) fn birth(text: &Sensitive<String>) -> Result<BirthDate, Malformed> {
    const BAD: Malformed = Malformed("date");
    let text = text.expose();
    let fits = |(i, b): (usize, u8)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(fits) {
        return Err(BAD);
    }
    text.parse().map(BirthDate::new).map_err(|_| BAD)
}
