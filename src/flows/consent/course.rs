//! A consent on its way from one stored state to the next: the steps that are due, the step that is asked for, the audit
//! entries of all of them, and what has to be destroyed. Pure: what it comes to is written by `change`.

use super::super::subject::Handle;
use crate::age::AgeThreshold;
use crate::audit::{ConsentMoved, Entry, ImageLife};
use crate::consent::{Consent, Event, Purge};
use crate::policy::{Remembered, Rule};
use crate::seal::Sealed;
use crate::store::KeyId;
use crate::terms::{ConsentActor, ConsentState, NotPossible, Purpose};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A consent as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::flows) struct ConsentRecord {
    pub consent: Consent,
    /// What the age was wanted for.
    pub purpose: Purpose,
    /// The person, until nothing may lead to them any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Handle>,
    /// The guardian, while the consent lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<Handle>,
    /// What is remembered of the person's age, while the consent lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The key of `sealed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// A key that has still to be destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shred: Option<KeyId>,
}

/// Steps of one consent that are written together.
pub(in crate::flows) struct Course<'a> {
    pub record: ConsentRecord,
    pub entries: Vec<Entry>,
    rule: &'a Rule,
    memory: Option<&'a Remembered>,
}

/// Where a consent stands, and what time will do to it.
#[derive(Clone, Copy)]
pub(in crate::flows) struct Standing<'a> {
    consent: &'a Consent,
    rule: &'a Rule,
    memory: Option<&'a Remembered>,
}

impl<'a> Standing<'a> {
    /// A consent as it is stored, the rule it is under, and what is remembered of the person's age.
    pub fn new(record: &'a ConsentRecord, rule: &'a Rule, memory: Option<&'a Remembered>) -> Self {
        Self { consent: &record.consent, rule, memory }
    }

    /// Whether a step is due by `now`.
    pub fn is_due(self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|at| at <= now)
    }

    /// When something is due next.
    pub fn next_due(self) -> Option<Timestamp> {
        [self.consent.next_due(), self.next_line().map(|(at, ..)| at)].into_iter().flatten().min()
    }

    /// The step that is due first, if its time has come.
    fn due(self, now: Timestamp) -> Option<(Event, Timestamp, StepNote)> {
        let time = self.consent.next_due().map(|at| (at, Event::TimePassed, StepNote::default()));
        let line = self.next_line().map(|(at, line, last)| {
            let note = StepNote { line: Some(line), last_line: last, ..StepNote::default() };
            (at, Event::AgeReached { line, last }, note)
        });
        let first = [time, line].into_iter().flatten().min_by_key(|(at, ..)| *at)?;
        let (at, event, note) = first;
        (at <= now).then_some((event, at, note))
    }

    /// When the person reaches the next line at which something changes, and which.
    fn next_line(self) -> Option<(Timestamp, u8, bool)> {
        if self.consent.purge() != Purge::Nothing {
            return None;
        }
        let memory = self.memory?;
        let ahead = |years: u8| self.consent.line_reached().is_none_or(|reached| years > reached);
        // A line that was passed before the consent was asked for changes nothing, unless it is the last.
        let asked = self.consent.request().map(|request| request.requested_at);
        let lines = self.rule.guardian_lines().into_iter().filter(|line| ahead(line.years));
        lines
            .filter_map(|line| {
                let at = self.rule.of_age_from(&memory.birth, AgeThreshold::full(line.years))?;
                (line.last || asked.is_none_or(|asked| at > asked)).then_some((at, line.years, line.last))
            })
            .min()
    }
}

impl<'a> Course<'a> {
    /// Begins where the consent stands.
    pub fn new(record: ConsentRecord, rule: &'a Rule, memory: Option<&'a Remembered>) -> Self {
        Self { record, entries: Vec::new(), rule, memory }
    }

    /// Begins with a consent that is not stored yet.
    pub fn begun(record: ConsentRecord, rule: &'a Rule, memory: Option<&'a Remembered>) -> Self {
        let mut course = Self::new(record, rule, memory);
        let entry = moved(&course.record.consent, &StepNote::default());
        course.entries.push(entry);
        course
    }

    /// Takes every step whose time has come by `now`, in the order in which they came.
    pub fn catch_up(&mut self, now: Timestamp) {
        while let Some((event, at, note)) = self.standing().due(now) {
            if self.take(event, at, &note).is_err() {
                return;
            }
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.standing().next_due()
    }

    fn standing(&self) -> Standing<'_> {
        Standing::new(&self.record, self.rule, self.memory)
    }

    /// Takes one step.
    pub fn take(&mut self, event: Event, at: Timestamp, note: &StepNote) -> Result<(), NotPossible> {
        let next = self.record.consent.step(event, at)?;
        self.entries.push(moved(&next, note));
        self.record.consent = next;
        let purge = self.record.consent.purge();
        if purge != Purge::Nothing {
            self.record.sealed = None;
            self.record.guardian = None;
            self.record.shred = self.record.shred.take().or_else(|| self.record.key.take());
        }
        if purge == Purge::Everything {
            self.record.subject = None;
        }
        Ok(())
    }
}

/// What the audit says of a step beyond the step itself.
#[derive(Debug, Clone, Default)]
pub(in crate::flows) struct StepNote {
    /// Who took it, where the consent is forgotten and does not say.
    pub actor: Option<ConsentActor>,
    pub method: Option<crate::terms::VerificationMethod>,
    pub line: Option<u8>,
    pub last_line: bool,
    pub image: Option<ImageLife>,
}

fn moved(after: &Consent, note: &StepNote) -> Entry {
    let request = after.request();
    Entry::ConsentMoved(Box::new(ConsentMoved {
        kind: after.event(),
        at: after.changed_at(),
        consent_id: after.id(),
        relying_party: after.relying_party().clone(),
        decision_id: request.map(|request| request.decision),
        state: after.state(),
        actor: actor(after, note),
        granted: after.granted().to_vec(),
        method: note.method,
        line: note.line,
        last_line: note.last_line,
        rule: request.map(|request| request.rule.clone()),
        policy: request.map(|request| request.policy),
        image: note.image,
    }))
}

/// Who moved it. A consent that was forgotten names nobody: then whoever took the step does, or its state.
fn actor(after: &Consent, note: &StepNote) -> ConsentActor {
    match (after.events().last(), note.actor, after.state()) {
        (Some(last), ..) => last.actor,
        (None, Some(actor), _) => actor,
        (None, None, ConsentState::Refused) => ConsentActor::Guardian,
        (None, None, ConsentState::Superseded) => ConsentActor::RelyingParty,
        (None, None, _) => ConsentActor::System,
    }
}
