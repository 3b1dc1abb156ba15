//! What is due, by date: open requests are filed under the month and the day by which they must be answered.
//!
//! A page costs one look for each part of the store and month, and one for each part and day of a month in which
//! something is due; no more requests are read than are returned.

use super::super::{App, Error};
use super::RightsRequest;
use crate::store::{Key, Partition, Space};
use crate::terms::{Malformed, RelyingParty};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::ToSpan;
use jiff::civil::Date;
use std::str::FromStr;

/// The longest range that is looked at.
const YEARS: i64 = 5;

/// From which date to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRange {
    /// The first.
    pub from: Date,
    /// The last.
    pub until: Date,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuePlace {
    day: Date,
    partition: u8,
    after: [u8; Key::LEN],
}

/// Some open requests, by due date.
pub struct DuePage {
    /// The requests.
    pub requests: Vec<RightsRequest>,
    /// Where the next page begins, if there is more.
    pub next: Option<DuePlace>,
}

impl std::fmt::Display for DuePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(5 + Key::LEN);
        bytes.extend(self.day.year().to_be_bytes());
        bytes.extend(self.day.month().to_be_bytes());
        bytes.extend(self.day.day().to_be_bytes());
        bytes.push(self.partition);
        bytes.extend(self.after);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for DuePlace {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("page token");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BAD)?;
        let (&[y0, y1, month, day, partition], after) = bytes.split_first_chunk::<5>().ok_or(BAD)?;
        let signed = |byte: u8| i8::try_from(byte).map_err(|_| BAD);
        let day = Date::new(i16::from_be_bytes([y0, y1]), signed(month)?, signed(day)?).map_err(|_| BAD)?;
        let after: [u8; Key::LEN] = after.try_into().map_err(|_| BAD)?;
        Partition::new(partition).ok_or(BAD)?;
        Ok(Self { day, partition, after })
    }
}

impl App {
    /// Under which the requests that are due on a day are filed: its month and itself.
    pub(super) fn listing_keys(&self, party: &RelyingParty, partition: Partition, day: Date) -> [Key; 2] {
        let key = |text: String| self.handles.key(Space::Listing, partition, party, &text);
        [key(month_name(day)), key(format!("due:{day}"))]
    }

    /// The dates that are listed if none are said: what was due within 25 months, and is within four.
    pub fn usual_range(&self) -> DueRange {
        let today = self.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let moved = |months: i64| today.checked_add(months.months()).unwrap_or(today);
        DueRange { from: moved(-25), until: moved(4) }
    }

    /// The open requests that are due within a range, by date.
    pub async fn due_requests(
        &self,
        party: &RelyingParty,
        range: DueRange,
        start: Option<DuePlace>,
        at_most: usize,
    ) -> Result<DuePage, Error> {
        let first = start.map_or(range.from, |place| place.day.max(range.from));
        let last = first.checked_add(YEARS.years()).map_or(range.until, |end| range.until.min(end));
        let (mut page, mut month) = (DuePage { requests: Vec::new(), next: None }, None);
        let mut day = first;
        while day <= last {
            if month.as_ref() != Some(&month_name(day)) {
                month = Some(month_name(day));
                if !self.any_due(party, day).await? {
                    let Ok(next) = day.last_of_month().tomorrow() else { break };
                    day = next;
                    continue;
                }
            }
            let from = start.filter(|place| place.day == day);
            if self.due_on(party, day, from, at_most, &mut page).await? {
                return Ok(page);
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        page.next = None;
        Ok(page)
    }

    async fn any_due(&self, party: &RelyingParty, day: Date) -> Result<bool, Error> {
        for partition in Partition::all() {
            let [month, _] = self.listing_keys(party, partition, day);
            if !self.store.filed(&month, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what is due on a day; true if the page is full and there is more.
    async fn due_on(
        &self,
        party: &RelyingParty,
        day: Date,
        from: Option<DuePlace>,
        at_most: usize,
        page: &mut DuePage,
    ) -> Result<bool, Error> {
        for partition in Partition::all() {
            let place = from.filter(|place| place.partition >= partition.number());
            if place.is_some_and(|place| place.partition > partition.number()) {
                continue;
            }
            let [_, under] = self.listing_keys(party, partition, day);
            let mut after = place.and_then(|place| Key::read(&place.after));
            loop {
                let keys = self.store.filed(&under, after.as_ref(), at_most.max(1)).await?;
                if keys.is_empty() {
                    break;
                }
                for key in keys {
                    if page.requests.len() >= at_most {
                        return Ok(true);
                    }
                    after = Some(key);
                    page.next = Some(DuePlace { day, partition: partition.number(), after: key.bytes() });
                    let Some(mut loaded) = self.load_request_at(key).await? else { continue };
                    loaded.record.catch_up(self.now());
                    if loaded.record.request.is_open() {
                        page.requests.push(loaded.record.request);
                    }
                }
            }
        }
        Ok(false)
    }
}

fn month_name(day: Date) -> String {
    format!("due:{}-{:02}", day.year(), day.month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        let place = DuePlace { day: jiff::civil::date(2027, 2, 28), partition: 15, after: [7; Key::LEN] };
        assert_eq!(place.to_string().parse(), Ok(place));
        let text = place.to_string();
        for bad in ["", "x", &text[1..], &format!("{text}AA"), &URL_SAFE_NO_PAD.encode([0u8; 39])] {
            assert!(bad.parse::<DuePlace>().is_err(), "{bad}");
        }
    }
}
