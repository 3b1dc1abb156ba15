//! Where what belongs to one person lies. A person is known here by a keyed name only: nobody without the store's
//! secret can tell whose it is, or test a guess.

use super::App;
use crate::store::{Key, Partition, Space};
use crate::terms::{ConsentId, DecisionId, GuardianRef, RelyingParty, SubjectRef, hex};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The keyed name of a person or of a guardian: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle(String);

impl Handle {
    /// The name.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A person of a relying party, and the partition in which everything about them lies.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub party: RelyingParty,
    pub handle: Handle,
    pub partition: Partition,
}

/// When something is looked at (by UTC): what is due today in its minute, what is due this month on its day, what is due
/// later in its month. So years without a look are made up for in few looks, and until the month comes the store tells
/// nobody, not even who has its secret, on which day somebody has a birthday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Minutes since 1970.
    Minute(i64),
    /// Days since 1970.
    Day(i64),
    /// Months since the year 0.
    Month(i64),
}

/// Minutes of a day.
pub(super) const DAY: i64 = 24 * 60;

/// The minute that an instant lies in, since 1970.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// The month of a minute, in months since the year 0.
pub(super) fn month(minute: i64) -> i64 {
    let at = Timestamp::from_second(minute.saturating_mul(60)).unwrap_or(Timestamp::MAX);
    let date = TimeZone::UTC.to_datetime(at).date();
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

impl Slot {
    /// Where something that is due then is filed now.
    pub fn of(due: Timestamp, now: Timestamp) -> Self {
        let [by_minute, by_day, by_month] = Self::all(due.max(now));
        let [_, today, this_month] = Self::all(now);
        if by_day == today {
            by_minute
        } else if by_month == this_month {
            by_day
        } else {
            by_month
        }
    }

    /// Everywhere that something that is due then can be filed.
    pub fn all(due: Timestamp) -> [Self; 3] {
        let due = minute(due);
        [Self::Minute(due), Self::Day(due.div_euclid(DAY)), Self::Month(month(due))]
    }
}

impl App {
    /// The person whom the relying party calls so.
    pub(super) fn subject(&self, party: &RelyingParty, subject: &SubjectRef) -> Subject {
        let partition = self.handles.partition(party, &format!("subject:{subject}"));
        Subject { party: party.clone(), handle: self.subject_handle(party, subject), partition }
    }

    /// The keyed name of the person whom the relying party calls so.
    pub(super) fn subject_handle(&self, party: &RelyingParty, subject: &SubjectRef) -> Handle {
        Handle(hex(&self.handles.id(Space::Subject, party, &["handle:subject:", subject.as_str()])))
    }

    /// The guardian whom the relying party calls so.
    pub(super) fn guardian(&self, party: &RelyingParty, guardian: &GuardianRef) -> Handle {
        Handle(hex(&self.handles.id(Space::Guardian, party, &["handle:guardian:", guardian.as_str()])))
    }

    /// Under which a person's consents and what is remembered for them are filed.
    pub(super) fn subject_key(&self, party: &RelyingParty, handle: &Handle, partition: Partition) -> Key {
        self.handles.key(Space::Subject, partition, party, &handle.0)
    }

    /// Changes when a person is erased: what was begun before is not recorded after.
    pub(super) fn epoch_key(&self, party: &RelyingParty, handle: &Handle, partition: Partition) -> Key {
        self.handles.key(Space::Subject, partition, party, &format!("epoch:{}", handle.0))
    }

    /// Where the open report about a person lies.
    pub(super) fn report_key(&self, party: &RelyingParty, handle: &Handle, partition: Partition) -> Key {
        self.handles.key(Space::Report, partition, party, &handle.0)
    }

    /// Under which the consents that a guardian stands for are filed, partition by partition.
    pub(super) fn guardian_key(&self, party: &RelyingParty, handle: &Handle, partition: Partition) -> Key {
        self.handles.key(Space::Guardian, partition, party, &handle.0)
    }

    /// Where a consent lies. Another relying party's lies elsewhere, so it is not found.
    pub(super) fn consent_key(&self, party: &RelyingParty, id: &ConsentId) -> Key {
        self.handles.key(Space::Consent, Partition::of_uuid(&id.0), party, id.text(&mut [0; 36]))
    }

    /// Where the reading behind a decision lies until a consent is asked for.
    pub(super) fn held_key(&self, party: &RelyingParty, decision: &DecisionId) -> Key {
        self.handles.key(Space::Held, Partition::of(decision), party, decision.text(&mut [0; 36]))
    }

    /// Under which what is looked at then is filed. Only who has the store's secret can tell when that is.
    pub(super) fn due_key(&self, partition: Partition, slot: Slot) -> Key {
        let text = match slot {
            Slot::Minute(minute) => format!("due minute:{minute}"),
            Slot::Day(day) => format!("due day:{day}"),
            Slot::Month(month) => format!("due month:{month}"),
        };
        self.handles.own_key(Space::Due, partition, &text)
    }

    /// Where it stands up to which minute timers were looked at.
    pub(super) fn due_mark_key(&self, partition: Partition) -> Key {
        self.handles.own_key(Space::Cursor, partition, &format!("due:{}", partition.number()))
    }
}
