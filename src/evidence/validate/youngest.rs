//! The youngest date of birth that was read on a page which was refused.
//!
//! Always: it lies in the past and less than 100 years ago; it was read from a plausible Korean number, an MRZ whose
//! check digit over it holds, or beside a birth label of an identity document. It never lets anybody through.

use super::{korean, printed, years};
use crate::evidence::documents::kr_card::{Card, Found};
use crate::evidence::documents::mrz::Zone;
use crate::evidence::documents::rrn::Birth;
use crate::evidence::documents::viz::Visual;
use jiff::civil::Date;

/// The youngest of all dates of birth of a page; a centenarian may be a child whose century was misread.
pub(super) fn read(card: &Card, zone: &Zone, visual: &Visual, today: Date) -> Option<Date> {
    let numbers = card.numbers.iter().filter(|f| korean::plausible(f, card, visual)).filter_map(|f| number(f, today));
    let halves = card.halves.iter().filter(|_| korean::holds_halves(card, visual)).filter_map(|f| number(f, today));
    let zones =
        zone.readings.iter().filter(|r| r.birth_holds).filter_map(|r| match years::birth(&r.birth, today, None) {
            years::Resolved::Known { date, .. } => Some(date),
            _ => None,
        });
    let document = printed::identity(visual) || !zone.readings.is_empty() || numbers.clone().next().is_some();
    let births = visual.births.iter().filter(|_| document);
    let labelled = births.filter_map(|i| visual.settled(*i)).flat_map(|s| s.candidates());
    let all = numbers.chain(halves).chain(zones).chain(labelled);
    all.flat_map(|d| [Some(d), later(d)]).flatten().filter(|d| *d <= today && !korean::at_least(*d, 100, today)).max()
}

fn number(f: &Found, today: Date) -> Option<Date> {
    match f.number.birth(today) {
        Birth::Exact(d) => Some(d),
        Birth::Either(dates) => dates.into_iter().flatten().max(),
        Birth::Impossible | Birth::Implausible => None,
    }
}

/// The same day a century later, for a date that is a century too old.
fn later(d: Date) -> Option<Date> {
    Date::new(d.year() + 100, d.month(), d.day()).ok()
}
