//! What happens because time passes: unanswered requests, lapsed consents, ages that are reached, readings that nobody
//! asked a consent for, reports that nobody answered, rights requests whose time is over.
//!
//! What is due is filed under its month, in that month under its day, and on that day under its minute, by a keyed name:
//! a copy of the store does not tell who has a birthday when. Every server looks at everything since the last minute that
//! was looked at, so that nothing is lost by a restart; each change is a compare-and-set, so that of several servers one
//! makes it.

use super::consent::{ConsentRecord, Course};
use super::held::Held;
use super::records::{decode, encode};
use super::reports::Report;
use super::rights::RightsRecord;
use super::subject::{DAY, Slot, minute, month};
use super::{App, Error, later, unexpected};
use crate::audit::{Entry, ErasureRequired};
use crate::store::{Batch, CommitError, Expect, Key, Partition, Space, Stored, Version};
use crate::terms::ErasureReason;
use jiff::{SignedDuration, Timestamp};

/// Minutes that are looked at again, for what another server filed just then.
const AGAIN: i64 = 2;
/// When a record that could not be dealt with is looked at again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

impl App {
    /// Does what is due. Tells how many things were.
    pub async fn run_due(&self) -> Result<usize, Error> {
        let (mut done, mut failed) = (0, None);
        for partition in Partition::all() {
            match self.run_due_in(partition).await {
                Ok(some) => done += some,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    pub(super) async fn run_due_in(&self, partition: Partition) -> Result<usize, Error> {
        let now = self.now();
        let (mark, this) = (self.due_mark_key(partition), minute(now));
        let stored = self.store.get(&mark, now).await?;
        let marked = stored.as_ref().map(minute_of);
        let (from, damaged) = since(marked, this);
        if damaged {
            tracing::error!(
                "until when timers were looked at is not known; all that may have been missed is looked at"
            );
        }
        let mut done = 0;
        for slot in slots(from.saturating_sub(AGAIN), this, damaged) {
            let under = self.due_key(partition, slot);
            for key in self.filed_under(&under).await? {
                match self.look_at_due(under, key, slot, now).await {
                    Ok(did) => done += usize::from(did),
                    Err(Error::Store(error)) => return Err(Error::Store(error)),
                    // One record that cannot be dealt with holds up no other; it is looked at again later.
                    Err(error) => {
                        tracing::error!(%error, "a timer could not be dealt with; it is tried again");
                        let later = Slot::of(later(now, AGAIN_AFTER), now);
                        let batch = Batch::new(partition).unfile(under, key);
                        self.write(batch.file(self.due_key(partition, later), key), now).await?;
                    }
                }
            }
        }
        if marked != Some(Some(this)) {
            let expect = stored.map_or(Expect::Absent, |stored| Expect::Version(stored.version));
            let batch = Batch::new(partition).require(mark, expect).put(mark, this.to_be_bytes().to_vec(), None);
            // If another server was first, it has looked at the same minutes.
            self.write(batch, now).await?;
        }
        Ok(done)
    }

    /// Does what is due for one value; true if something was. What is due at another time leaves this slot, and what is
    /// due later on its day goes to its minute; unless it has changed meanwhile, then it is looked at again.
    async fn look_at_due(&self, under: Key, key: Key, slot: Slot, now: Timestamp) -> Result<bool, Error> {
        let did = match key.space() {
            Space::Consent => self.consent_due(key).await?,
            Space::Held => self.held_due(key).await?,
            Space::Report => self.report_due(key).await?,
            Space::Rights => self.rights_due(key).await?,
            _ => false,
        };
        let (next, seen) = self.next_due(key).await?;
        let place = next.map(|next| Slot::of(next, now));
        if place != Some(slot) {
            let mut batch = Batch::new(key.partition()).require(key, seen).unfile(under, key);
            if let Some(place) = place {
                batch = batch.file(self.due_key(key.partition(), place), key);
            }
            self.write(batch, now).await?;
        }
        Ok(did)
    }

    /// When something is due next for a value, and what was seen of it.
    async fn next_due(&self, key: Key) -> Result<(Option<Timestamp>, Expect), Error> {
        let now = self.now();
        let Some(stored) = self.store.get(&key, now).await? else { return Ok((None, Expect::Absent)) };
        let seen = Expect::Version(stored.version);
        let next = match key.space() {
            Space::Held => Some(decode::<Held>(&stored.value)?.until),
            Space::Report => Some(decode::<Report>(&stored.value)?.deadline),
            Space::Rights => decode::<RightsRecord>(&stored.value)?.next_due(now),
            Space::Consent => {
                let Some(loaded) = self.load_at(key).await? else { return Ok((None, Expect::Absent)) };
                if loaded.record.sealed.is_some() && loaded.memory.is_none() {
                    // When an age is reached cannot be told now: what is filed for it stays filed.
                    return Err(Error::Broken);
                }
                let next = if loaded.record.shred.is_some() { Some(now) } else { loaded.standing().next_due() };
                return Ok((next, Expect::Version(loaded.version)));
            }
            _ => None,
        };
        Ok((next, seen))
    }

    /// What time does to a consent, and what was begun with its key.
    async fn consent_due(&self, key: Key) -> Result<bool, Error> {
        let (Some(before), now) = (self.load_at(key).await?, self.now()) else { return Ok(false) };
        let mut course = Course::new(before.record.clone(), &before.rule, before.memory.as_ref());
        course.catch_up(now);
        // If another server was first, it has taken the same steps.
        let did = !course.entries.is_empty() && self.write(self.batch(&before, &course, now)?, now).await?;
        let Some(loaded) = self.load_at(key).await? else { return Ok(did) };
        if let Some(own) = loaded.record.shred {
            self.store.shred(own).await?;
            let done = ConsentRecord { shred: None, ..loaded.record.clone() };
            let course = Course::new(done, &loaded.rule, None);
            self.write(self.batch(&loaded, &course, now)?, now).await?;
        }
        Ok(did)
    }

    /// A reading that nobody asked a consent for is purged.
    async fn held_due(&self, key: Key) -> Result<bool, Error> {
        let now = self.now();
        match self.held(&key, now).await? {
            Some((held, version)) if held.until <= now => self.drop_held(key, &held, version, now).await,
            Some(_) | None => Ok(false),
        }
    }

    /// Destroys what is held behind a decision: first it is marked, so that nobody takes it over any more, then its key
    /// goes, then the rest. True unless somebody took it over before.
    pub(super) async fn drop_held(
        &self,
        key: Key,
        held: &Held,
        version: Version,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut version = version;
        if !held.gone {
            let marked = Held { gone: true, until: now, ..held.clone() };
            let batch = Batch::new(key.partition()).require(key, Expect::Version(version));
            let batch = batch.put(key, encode(&marked)?, None);
            let batch = batch.file(self.due_key(key.partition(), Slot::of(now, now)), key);
            match self.store.commit(batch, now).await {
                Ok(receipt) => version = receipt.version,
                Err(CommitError::Conflict) => return Ok(false),
                Err(error) => return Err(unexpected(error)),
            }
        }
        self.store.shred(held.key).await?;
        let subject = self.subject_key(&held.relying_party, &held.subject, key.partition());
        let batch = Batch::new(key.partition()).require(key, Expect::Version(version)).delete(key).unfile(subject, key);
        self.write(batch, now).await
    }

    /// A report whose time is over: the relying party has to erase, and nothing stays here.
    pub(super) async fn report_due(&self, key: Key) -> Result<bool, Error> {
        let now = self.now();
        let Some(stored) = self.store.get(&key, now).await? else { return Ok(false) };
        let report: Report = decode(&stored.value)?;
        if report.deadline > now {
            return Ok(false);
        }
        // From here on no document answers it. What is here goes next: if the server dies in between, the report is still
        // there and all of it is done again.
        let mut version = stored.version;
        if !report.due {
            let due = encode(&Report { due: true, ..report.clone() })?;
            let batch = Batch::new(key.partition()).require(key, Expect::Version(version)).put(key, due, None);
            match self.store.commit(batch, now).await {
                Ok(receipt) => version = receipt.version,
                Err(CommitError::Conflict) => return Ok(false),
                Err(error) => return Err(unexpected(error)),
            }
        }
        self.forget(&report.relying_party, &report.subject, key.partition(), (now, None)).await?;
        let entry = Entry::ErasureRequired(ErasureRequired {
            at: report.deadline,
            relying_party: report.relying_party,
            reason: if report.guardian_verified {
                ErasureReason::GuardianAsks
            } else {
                ErasureReason::ReportUnanswered
            },
            report_id: Some(report.id),
            consent_id: None,
            request_id: None,
        });
        let batch = Batch::new(key.partition()).require(key, Expect::Version(version)).delete(key).record(entry);
        self.write(batch, now).await
    }
}

/// How far back every minute is looked at, in days.
const BY_MINUTE: i64 = 7;

/// Every slot that could hold something that was due from one minute to another: the months, the days, and the minutes,
/// of which those that lie between are left out if the last look was more than [`BY_MINUTE`] days ago: then no server
/// was there to file anything under them. If that is not certain, the minutes of so many days are among them.
fn slots(from: i64, this: i64, uncertain: bool) -> impl Iterator<Item = Slot> {
    let (first, last) = (from.div_euclid(DAY), this.div_euclid(DAY));
    let whole = if last.saturating_sub(first) <= BY_MINUTE { last } else { first };
    let end_of_first = whole.saturating_add(1).saturating_mul(DAY).saturating_sub(1).min(this);
    let before = if uncertain { BY_MINUTE } else { 0 };
    let begin_of_last = last.saturating_sub(before).saturating_mul(DAY).max(end_of_first.saturating_add(1));
    let months = (month(from)..=month(this)).map(Slot::Month);
    months
        .chain((first..=last).map(Slot::Day))
        .chain((from..=end_of_first).chain(begin_of_last..=this).map(Slot::Minute))
}

/// The longest time without a server, in minutes: ten years.
const LONGEST: i64 = 3660 * DAY;

/// How far the clock of the server that made a mark may be ahead, in minutes. Nothing is due sooner than that after it is
/// filed, except what is tried again.
const AHEAD: i64 = 60;

/// From which minute on everything is looked at, and whether that is because the mark is damaged: the marked one; this one
/// where nothing was ever marked. A damaged mark could be any number: it must neither hide what is due nor make the look
/// endless.
fn since(marked: Option<Option<i64>>, this: i64) -> (i64, bool) {
    let (earliest, latest) = (this.saturating_sub(LONGEST), this.saturating_add(AHEAD));
    match marked {
        None => (this, false),
        Some(Some(minute)) if (earliest..=latest).contains(&minute) => (minute.min(this), false),
        Some(_) => (earliest, true),
    }
}

/// The minute that a mark names; `None` if it is damaged.
fn minute_of(mark: &Stored) -> Option<i64> {
    mark.value.as_slice().try_into().ok().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_mark_hides_nothing_and_ends() {
        let this = 20_000 * DAY + 5;
        for (marked, from) in [(None, this), (Some(this), this), (Some(this - 7), this - 7), (Some(this + 60), this)] {
            assert_eq!(since(marked.map(Some), this), (from, false), "{marked:?}");
        }
        for damaged in [Some(this + 61), Some(i64::MAX), Some(0), Some(i64::MIN), None] {
            let (from, uncertain) = since(Some(damaged), this);
            assert!(uncertain);
            let looked: Vec<Slot> = slots(from, this, uncertain).collect();
            // Yesterday's minutes, a week's, and every day and month of ten years.
            for minute in [this, this - 7, this - DAY, this - 7 * DAY] {
                assert!(looked.contains(&Slot::Minute(minute)), "{damaged:?} {minute}");
            }
            for day in [0, 1, 40, 3600].map(|days| this - days * DAY) {
                assert!(looked.contains(&Slot::Day(day / DAY)) && looked.contains(&Slot::Month(month(day))), "{day}");
            }
            assert!(looked.len() < 20_000, "it ends soon");
        }
        let mark = |value: &[u8]| Stored { value: value.to_vec(), version: Version(1), expires_at: None };
        assert_eq!(minute_of(&mark(&this.to_be_bytes())), Some(this));
        assert_eq!([minute_of(&mark(b"")), minute_of(&mark(b"0 bytes of 8"))], [None, None]);
    }

    #[test]
    fn no_minute_and_no_day_is_left_out() {
        let all = |from, this| slots(from, this, false).collect::<Vec<_>>();
        let january = Slot::Month(1970 * 12);
        assert_eq!(all(5, 7), [january, Slot::Day(0), Slot::Minute(5), Slot::Minute(6), Slot::Minute(7)]);
        let night = all(DAY - 1, DAY + 1);
        let minutes = [DAY - 1, DAY, DAY + 1].map(Slot::Minute);
        assert_eq!(night, [&[january, Slot::Day(0), Slot::Day(1)][..], &minutes].concat());
        assert_eq!(all(10, 3 * DAY + 3).len(), 1 + 4 + (4320 - 10) + 4, "every minute of a few days");
        let years = all(10, 1000 * DAY + 3);
        assert_eq!(years.len(), 33 + 1001 + (1440 - 10) + 4);
        // Whatever is filed at one time is in what is looked at later, if it is due by then.
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        for (filed, due, looked) in [
            (5, 7, 7),
            (5, DAY, DAY),
            (5, 3 * DAY - 1, 3 * DAY - 1),
            (5, 2 * DAY + 7, 9 * DAY),
            (5, 40 * DAY, 41 * DAY),
            (5, 7000 * DAY + 9, 7000 * DAY + 9),
        ] {
            assert!(all(filed, looked).contains(&Slot::of(at(due), at(filed))), "{filed} {due} {looked}");
        }
    }
}
