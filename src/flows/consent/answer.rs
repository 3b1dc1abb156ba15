//! The guardian's answer, and what is done with a consent that was given.

use super::super::once::Done;
use super::super::{App, Error, later};
use super::change::{Changed, Wanted};
use super::course::StepNote;
use super::request::partition_of;
use crate::consent::Event;
use crate::terms::{
    AttestationId, ConsentActor, ConsentId, ConsentPurpose, IdempotencyKey, NotPossible, Relationship, RelyingParty,
};
use jiff::SignedDuration;
use uuid::Uuid;

/// What a guardian answers.
#[derive(Debug, Clone)]
pub enum GuardianAnswer {
    /// Yes.
    Grant {
        /// To what.
        purposes: Vec<ConsentPurpose>,
        /// What they claim to be.
        relationship: Relationship,
        /// The text by which they declared it.
        attestation: AttestationId,
    },
    /// No.
    Refuse,
}

/// A change of a consent that was given.
#[derive(Debug, Clone)]
pub enum ScopeChange {
    /// All that is consented to from now on.
    Scope(Vec<ConsentPurpose>),
    /// Nothing any more.
    Withdraw,
    /// The same for longer.
    Reaffirm,
}

impl App {
    /// Records that the guardian was given the notice.
    pub async fn notice_sent(
        &self,
        party: &RelyingParty,
        id: &ConsentId,
        new_link: bool,
        key: &IdempotencyKey,
    ) -> Result<Changed, Error> {
        let parts: [&[u8]; 3] = [b"notice-sent", id.0.as_bytes(), &[u8::from(new_link)]];
        let once = self.once(party, partition_of(id), key, &parts);
        let link = new_link.then(Uuid::new_v4);
        self.change(party, id, &once, |_, _| Ok(Wanted::new(Event::NoticeSent { new_link: link }, Done::Changed))).await
    }

    /// Records the guardian's answer. `token` is that of their link.
    pub async fn respond(
        &self,
        party: &RelyingParty,
        id: &ConsentId,
        token: &str,
        answer: &GuardianAnswer,
        key: &IdempotencyKey,
    ) -> Result<Changed, Error> {
        let said = match answer {
            GuardianAnswer::Refuse => String::from("refuse"),
            GuardianAnswer::Grant { purposes, relationship, attestation } => {
                format!("grant\0{}\0{relationship}\0{attestation}", texts(purposes))
            }
        };
        let parts: [&[u8]; 4] = [b"respond", id.0.as_bytes(), token.as_bytes(), said.as_bytes()];
        let once = self.once(party, partition_of(id), key, &parts);
        let link = self.issuer.open_link(token, party, self.now()).ok().filter(|link| link.consent == *id);
        let lapse = SignedDuration::from_hours(24 * i64::from(self.consent.lapse_days));
        self.change(party, id, &once, |_, now| {
            let link = link.as_ref().ok_or(NotPossible::LinkInvalid)?.jti;
            Ok(match answer.clone() {
                GuardianAnswer::Refuse => Wanted::new(Event::Refused { link }, Done::Refused),
                GuardianAnswer::Grant { purposes, relationship, attestation } => {
                    let (attestation, lapses_at) = (Some(attestation), later(now, lapse));
                    let event = Event::Granted { link, purposes, relationship, attestation, lapses_at };
                    Wanted::new(event, Done::Given)
                }
            })
        })
        .await
    }

    /// Changes, takes back or confirms a consent.
    pub async fn change_consent(
        &self,
        party: &RelyingParty,
        id: &ConsentId,
        actor: ConsentActor,
        change: &ScopeChange,
        key: &IdempotencyKey,
    ) -> Result<Changed, Error> {
        let said = match change {
            ScopeChange::Scope(purposes) => format!("scope\0{}", texts(purposes)),
            ScopeChange::Withdraw => String::from("withdraw"),
            ScopeChange::Reaffirm => String::from("reaffirm"),
        };
        let parts: [&[u8]; 4] = [b"change", id.0.as_bytes(), actor.as_str().as_bytes(), said.as_bytes()];
        let once = self.once(party, partition_of(id), key, &parts);
        let lapse = SignedDuration::from_hours(24 * i64::from(self.consent.lapse_days));
        self.change(party, id, &once, |_, now| {
            let event = match change.clone() {
                ScopeChange::Scope(purposes) => Event::ScopeChanged { actor, purposes },
                ScopeChange::Withdraw => Event::Withdrawn { actor },
                ScopeChange::Reaffirm => Event::Reaffirmed { actor, lapses_at: later(now, lapse) },
            };
            let note = StepNote { actor: Some(actor), ..StepNote::default() };
            Ok(Wanted { event, done: Done::Changed, note })
        })
        .await
    }
}

fn texts(purposes: &[ConsentPurpose]) -> String {
    purposes.iter().map(|purpose| purpose.as_str()).collect::<Vec<_>>().join(",")
}
