//! The century of two-digit years, and unknown parts: which civil date a date in an MRZ stands for.
//!
//! Always: the youngest date that fits, because it exposes nobody (a centenarian read as a child is refused and can
//! appeal); unknown parts become the latest date they may be.

use crate::evidence::documents::dates::civil;
use crate::evidence::documents::mrz::Parts;
use crate::evidence::documents::rrn::over_120;
use jiff::civil::Date;

/// A birth date as far as the MRZ tells it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolved {
    Known {
        date: Date,
        /// Another century would fit as well.
        open: Option<Date>,
        /// Day, or day and month, were unknown.
        partial: bool,
    },
    /// Not even the year is known.
    Unknown,
    /// No century makes it a date of a living person.
    Impossible,
}

crate::evidence::documents::redacted!(Resolved);

/// The birth date: born by `today` and by `expiry`, at most 120 years old, the youngest of what remains.
pub(super) fn birth(parts: &Parts, today: Date, expiry: Option<Date>) -> Resolved {
    let Some(yy) = parts.year else { return Resolved::Unknown };
    let limit = expiry.map_or(today, |e| e.min(today));
    let mut fits = [2000, 1900].into_iter().filter_map(|century| {
        let (earliest, latest) = range(century + i16::from(yy), parts)?;
        (earliest <= limit && !over_120(latest, today)).then(|| latest.min(today))
    });
    let partial = parts.month.is_none() || parts.day.is_none();
    match fits.next() {
        Some(date) => Resolved::Known { date, open: fits.next(), partial },
        None => Resolved::Impossible,
    }
}

/// The first and the last day that the known parts of a year allow.
fn range(year: i16, parts: &Parts) -> Option<(Date, Date)> {
    match (parts.month, parts.day) {
        (Some(m), Some(d)) => civil(year, m, d).map(|date| (date, date)),
        (Some(m), None) => civil(year, m, 1).map(|first| (first, first.last_of_month())),
        (None, _) => Some((civil(year, 1, 1)?, civil(year, 12, 31)?)),
    }
}

/// The expiry date: the century within 20 years back and 50 ahead, else the past one.
pub(super) fn expiry(parts: &Parts, today: Date) -> Option<Date> {
    let (yy, m, d) = (i16::from(parts.year?), parts.month?, parts.day?);
    let window = (today.year() - 20)..=(today.year() + 50);
    let all = [1900 + yy, 2000 + yy].map(|y| civil(y, m, d));
    let past = all.iter().rev().flatten().find(|d| **d <= today);
    all.iter().flatten().find(|d| window.contains(&d.year())).or(past).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 11, 22);

    fn parts(year: Option<u8>, month: Option<u8>, day: Option<u8>) -> Parts {
        Parts { year, month, day }
    }

    fn known(yy: u8, m: u8, d: u8) -> Resolved {
        birth(&parts(Some(yy), Some(m), Some(d)), TODAY, None)
    }

    #[test]
    fn centuries() {
        let one = |date| Resolved::Known { date, open: None, partial: false };
        assert_eq!(known(26, 11, 23), one(date(1926, 11, 23)));
        assert_eq!(
            known(26, 1, 5),
            Resolved::Known { date: date(2026, 1, 5), open: Some(date(1926, 1, 5)), partial: false }
        );
        assert_eq!(known(74, 8, 12), one(date(1974, 8, 12)));
        assert_eq!(known(0, 2, 29), one(date(2000, 2, 29)));
        assert_eq!(known(6, 2, 29), Resolved::Impossible);
        assert_eq!(known(5, 11, 22), one(date(2005, 11, 22)));
        // 29 February of a year that is only in one century a leap year.
        assert_eq!(birth(&parts(Some(0), Some(2), Some(29)), TODAY, Some(date(1999, 1, 1))), Resolved::Impossible);
    }

    #[test]
    fn unknown_parts_are_the_youngest() {
        let partial = |date| Resolved::Known { date, open: None, partial: true };
        let one = |r: Resolved| match r {
            Resolved::Known { date, partial: true, .. } => date,
            other => panic!("{other:?}"),
        };
        assert_eq!(one(birth(&parts(Some(8), Some(11), None), TODAY, None)), date(2008, 11, 30));
        assert_eq!(one(birth(&parts(Some(8), None, None), TODAY, None)), date(2008, 12, 31));
        assert_eq!(one(birth(&parts(Some(26), None, None), TODAY, None)), TODAY);
        assert_eq!(birth(&parts(None, None, None), TODAY, None), Resolved::Unknown);
        assert_eq!(birth(&parts(Some(80), Some(2), None), TODAY, None), partial(date(1980, 2, 29)));
    }

    #[test]
    fn nobody_is_born_after_the_document_expired() {
        let p = parts(Some(1), Some(1), Some(1));
        assert_eq!(birth(&p, TODAY, Some(date(1989, 10, 11))), Resolved::Impossible);
    }

    #[test]
    fn expiry_years() {
        let on = |yy| expiry(&parts(Some(yy), Some(5), Some(1)), TODAY).unwrap().year();
        assert_eq!([on(34), on(9), on(76), on(6), on(5), on(96), on(89)], [2034, 2009, 2076, 2006, 2005, 1996, 1989]);
    }
}
