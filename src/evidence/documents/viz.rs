//! Printed dates with their labels: which date of a page is called the date of birth, and which are other dates.
//!
//! Always: a date counts as a birth date only when a birth label stands on its row before it, or above it with no other
//! date label nearer; or as field 3 of a driving licence that shows other numbered fields. A numeric date whose order
//! is open gives no date, but is kept as seen.

use super::dates::{self, Order, Printed, Settled};
use super::labels::{self, Kind, Label, Signs};
use super::rows::{Row, same_print};
use super::rrn::is_digit;
use crate::evidence::text::Place;
use jiff::civil::Date;

/// A date where it was read.
pub(crate) struct Seen {
    pub(crate) printed: Printed,
    pub(crate) place: Place,
    pub(crate) pass: u8,
    row: usize,
}

/// What a page prints.
pub(crate) struct Visual {
    pub(crate) dates: Vec<Seen>,
    /// Dates (indices) that a birth label points to.
    pub(crate) births: Vec<usize>,
    /// Dates (indices) that an issue or expiry label points to.
    pub(crate) issues: Vec<usize>,
    pub(crate) expiries: Vec<usize>,
    /// A birth label was seen in words, with or without a date.
    pub(crate) birth_label: bool,
    pub(crate) order: Option<Order>,
    pub(crate) signs: Signs,
}

impl Visual {
    /// The date at an index, with the order of the page.
    pub(crate) fn settled(&self, index: usize) -> Option<Settled> {
        self.dates.get(index)?.printed.settle(self.order)
    }

    /// The last day of validity: of every labelled print the earliest reading, and of several prints the latest.
    pub(crate) fn expiry(&self) -> Option<Date> {
        let read = |i: usize| self.settled(i)?.date();
        let earliest = |i: usize| std::iter::once(i).chain(self.others(i)).filter_map(read).min();
        self.expiries.iter().filter_map(|i| earliest(*i)).max()
    }

    /// Whether the page shows itself to be another identity document than a Korean card, or calls a date of birth so.
    pub(crate) fn foreign(&self) -> bool {
        self.birth_label || !self.births.is_empty() || self.signs.headings > 0 || self.signs.fields >= 2
    }

    /// Where the dates of a row stand in it.
    pub(crate) fn spans(&self, row: usize) -> Vec<(usize, usize)> {
        self.dates.iter().filter(|d| d.row == row).map(|d| d.printed.span).collect()
    }

    /// Readings of the same print as `index` by other passes.
    pub(crate) fn others<'a>(&'a self, index: usize) -> impl Iterator<Item = usize> + 'a {
        let this = &self.dates[index];
        self.dates
            .iter()
            .enumerate()
            .filter(move |(_, d)| d.pass != this.pass && same_print(&d.place, &this.place))
            .map(|(i, _)| i)
    }
}

/// Finds every date, what its labels say, and in which order the page writes dates.
pub(crate) fn read(rows: &[Row]) -> Visual {
    let dates: Vec<Seen> = rows.iter().enumerate().flat_map(|(n, row)| seen(n, row)).collect();
    let labels: Vec<(usize, Label)> = rows
        .iter()
        .enumerate()
        .flat_map(|(n, row)| labels::dates(row).into_iter().map(move |l| (n, l)))
        .chain(numbered(rows))
        .collect();
    let born = dates.iter().enumerate().filter(|(_, d)| says_born(&rows[d.row], &d.printed)).map(|(i, _)| i).collect();
    let signs = labels::signs(rows);
    let order = order(&dates, &labels, &signs);
    let birth_label = labels.iter().any(|(_, l)| l.kind == Kind::Birth && !l.numbered);
    let mut found = Visual { dates, births: born, issues: vec![], expiries: vec![], birth_label, order, signs };
    for (at, (_, label)) in labels.iter().enumerate() {
        if let Some(date) = value(rows, &found.dates, &labels, at) {
            let list = match label.kind {
                Kind::Birth => &mut found.births,
                Kind::Issue => &mut found.issues,
                Kind::Expiry => &mut found.expiries,
            };
            if !list.contains(&date) {
                list.push(date);
            }
        }
    }
    found
}

fn seen(n: usize, row: &Row) -> Vec<Seen> {
    dates::find(&row.text)
        .into_iter()
        .map(|printed| Seen { place: row.part(printed.span), printed, pass: row.pass, row: n })
        .collect()
}

/// Which order numeric dates have: what the page says about its country if no date proves the contrary; else what its
/// dates prove, where month first needs two different dates (one may be a misread month).
fn order(dates: &[Seen], labels: &[(usize, Label)], signs: &Signs) -> Option<Order> {
    let proofs = |o: Order| {
        let mut found: Vec<_> =
            dates.iter().filter(|d| d.printed.proves() == Some(o)).map(|d| d.printed.fields).collect();
        found.dedup();
        found.iter().enumerate().filter(|(i, f)| !found[..*i].contains(f)).count()
    };
    let (day, month) = (proofs(Order::DayFirst), proofs(Order::MonthFirst));
    let local = labels.iter().any(|(_, l)| l.day_first) || signs.european;
    match (signs.american, local) {
        (true, false) => (day == 0).then_some(Order::MonthFirst),
        (false, true) => (month == 0).then_some(Order::DayFirst),
        _ if day > 0 && month == 0 => Some(Order::DayFirst),
        _ if month > 1 && day == 0 => Some(Order::MonthFirst),
        _ => None,
    }
}

/// The date that belongs to a label: the next one on its row, or the nearest below it.
fn value(rows: &[Row], dates: &[Seen], labels: &[(usize, Label)], at: usize) -> Option<usize> {
    let (n, label) = labels.get(at)?;
    let row = rows.get(*n)?;
    let beside = beside(row, *n, dates, labels, label);
    if label.numbered { beside } else { beside.or_else(|| below(rows, row, dates, labels, (*n, label))) }
}

/// A Japanese date that ends in 生 is a birth date by itself.
fn says_born(row: &Row, printed: &Printed) -> bool {
    let mut after = row.text.iter().skip(printed.span.1).filter(|c| **c != ' ');
    printed.eastern && matches!((after.next(), after.next()), (Some('生'), _) | (Some('日'), Some('生')))
}

/// The next date on the row, with no other date label between, and not across the card.
fn beside(row: &Row, n: usize, dates: &[Seen], labels: &[(usize, Label)], label: &Label) -> Option<usize> {
    let (index, date) = dates.iter().enumerate().find(|(_, d)| d.row == n && d.printed.span.0 >= label.span.1)?;
    let between = |l: &Label| l.span.0 >= label.span.1 && l.span.0 < date.printed.span.0 && l.kind != label.kind;
    let barred = labels.iter().any(|(m, l)| *m == n && between(l));
    let own = row.part(label.span);
    let gap = date.place.left - own.right;
    // A field number stands right before its value.
    let far = if label.numbered { 4.0 } else { 12.0 };
    (!barred && gap < far * own.height().max(1.0)).then_some(index)
}

/// The nearest date below, under the label's box, with no date label of another kind between or beside it.
fn below(rows: &[Row], row: &Row, dates: &[Seen], labels: &[(usize, Label)], own: (usize, &Label)) -> Option<usize> {
    let (n, label) = own;
    let reach = reach(row, n, labels, label);
    let h = reach.height().max(1.0);
    let under = |d: &&(usize, &Seen)| {
        let drop = d.1.place.top - reach.bottom;
        let across = d.1.place.right.min(reach.right) - d.1.place.left.max(reach.left);
        d.1.pass == row.pass
            && d.1.row != n
            && drop > -0.6 * h
            && drop < 3.0 * h.max(d.1.place.height())
            && across > 0.0
            && d.1.place.centre().1 > reach.centre().1
    };
    let all: Vec<(usize, &Seen)> = dates.iter().enumerate().collect();
    let (index, date) = all.iter().filter(under).min_by(|a, b| a.1.place.top.total_cmp(&b.1.place.top)).copied()?;
    let barred = labels.iter().any(|(m, l)| {
        let Some(other) = rows.get(*m).filter(|r| r.pass == row.pass) else { return false };
        if l.kind == label.kind {
            return false;
        }
        let place = other.part(l.span);
        let before_it = *m == date.row && l.span.1 <= date.printed.span.0;
        let across = place.right.min(date.place.right) - place.left.max(date.place.left);
        let nearer =
            *m != n && across > 0.0 && place.centre().1 > reach.centre().1 && place.centre().1 < date.place.centre().1;
        before_it || nearer
    });
    (!barred && !other_value(rows, row, &reach, date)).then_some(index)
}

/// Whether something with digits stands between a label and a date below it: the label's real value, misread.
fn other_value(rows: &[Row], row: &Row, reach: &Place, date: &Seen) -> bool {
    rows.iter().enumerate().filter(|(n, r)| r.pass == row.pass && *n != date.row).any(|(_, r)| {
        r.boxes.iter().any(|b| {
            let place = r.part(*b);
            let digits = r.text.get(b.0..b.1).map_or(0, |t| t.iter().filter(|c| is_digit(**c)).count());
            let across = place.right.min(reach.right) - place.left.max(reach.left);
            let (y, from, to) = (place.centre().1, reach.centre().1, date.place.centre().1);
            digits >= 4 && across > 0.0 && from < y && y < to && !place.same_row(reach) && !place.same_row(&date.place)
        })
    })
}

/// The place across under which a label's value may stand: its whole box, or only itself when the box holds more labels.
fn reach(row: &Row, n: usize, labels: &[(usize, Label)], label: &Label) -> Place {
    let whole = row.box_of(label.span.0);
    let shared =
        labels.iter().any(|(m, l)| *m == n && l.kind != label.kind && whole.0 <= l.span.0 && l.span.0 < whole.1);
    row.part(if shared { label.span } else { whole })
}

/// Field 3 of a driving licence (ISO 18013-1, EU directive 2006/126): `3. 14.07.1981 PARIS`, when at least two other
/// numbered fields stand at the beginning of boxes.
fn numbered(rows: &[Row]) -> Vec<(usize, Label)> {
    let fields: Vec<(usize, usize, &'static str, usize)> = rows
        .iter()
        .enumerate()
        .flat_map(|(n, row)| row.boxes.iter().filter_map(move |b| field(row, *b).map(|(name, to)| (n, b.0, name, to))))
        .collect();
    let mut names: Vec<&str> = fields.iter().map(|f| f.2).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 3 {
        return Vec::new();
    }
    let kind = |name: &str| match name {
        "3" => Some(Kind::Birth),
        "4A" => Some(Kind::Issue),
        "4B" => Some(Kind::Expiry),
        _ => None,
    };
    fields
        .iter()
        .filter_map(|(n, from, name, to)| {
            Some((*n, Label { kind: kind(name)?, span: (*from, *to), day_first: true, numbered: true }))
        })
        .collect()
}

/// The field number at the beginning of a box, and where it ends.
fn field(row: &Row, b: (usize, usize)) -> Option<(&'static str, usize)> {
    let text = row.text.get(b.0..b.1)?;
    ["4A", "4B", "4C", "1", "2", "3", "5"].into_iter().find_map(|name| {
        let len = name.len();
        let starts = name.chars().eq(text.iter().take(len).copied());
        let marked = matches!(text.get(len), Some('.' | ',' | ' ' | ':'));
        (starts && marked).then_some((name, b.0 + len))
    })
}
