//! Machine-readable zones: TD1, TD2, TD3, MRV-A, MRV-B and the French card of 1988 to 2021.
//!
//! Promise: what is returned says which check digits hold and nothing about trust; `validate` decides. A birth date is
//! taken as printed or mended by position class, never searched for.
//!
//! Why not the `mrz` crate: it parses one exact text and is good at that, but the questions here are others. We have
//! several readings of the same print with places, noise before and lost fillers inside a line; it keeps names and
//! numbers in plain strings that can be shown; it settles the century by a pivot; and it solves damaged fields by
//! search, which for a birth date is what idgate must never do.

mod above;
mod check;
mod core;
mod fit;
mod french;
mod reading;
mod rows;
mod specimens;
mod tail;

pub(crate) use core::Parts;
pub(crate) use reading::Reading;
pub(crate) use rows::side_by_side;
pub(crate) use rows::union;
pub(crate) use specimens::is_specimen_text;
pub(crate) use tail::cover_tails;

#[cfg(test)]
pub(crate) use check::check_digit;

use super::rows::same_print;
use crate::evidence::text::{Page, Place};

/// The most rows that are asked for again.
const MOST_BANDS: usize = 6;

/// What the page holds of machine-readable zones.
pub(crate) struct Zone {
    /// Every reading of a birth date with its check digits, any pass.
    pub(crate) readings: Vec<Reading>,
    /// Rows that are an MRZ by their look, whether legible or not, from top to bottom.
    pub(crate) bands: Vec<Place>,
    /// A line names a published specimen.
    pub(crate) specimen: bool,
}

/// Reads every MRZ line of every pass.
pub(crate) fn read(page: &Page) -> Zone {
    let rows = rows::rows(page);
    let mut readings = Vec::new();
    for row in &rows {
        if let Some(r) = french::read(row, &rows) {
            readings.push(r);
            continue;
        }
        readings.extend(core::find(&row.text).iter().filter_map(|c| reading::read(row, c, &rows)));
    }
    let mut bands: Vec<Place> = Vec::new();
    let found =
        readings.iter().map(|r| r.place).chain(rows.iter().filter(|r| rows::looks_like_mrz(r)).map(|r| r.place));
    for place in found {
        match bands.iter_mut().find(|b| same_print(b, &place)) {
            Some(band) if band.width() < place.width() => *band = place,
            Some(_) => {}
            None => bands.push(place),
        }
    }
    bands.truncate(MOST_BANDS);
    bands.sort_by(|a, b| a.top.total_cmp(&b.top));
    let specimen = rows.iter().any(|row| specimens::in_line(&row.text));
    Zone { readings, bands, specimen }
}

#[cfg(test)]
#[path = "../mrz_tests.rs"]
mod tests;
