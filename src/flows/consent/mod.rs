//! Guardian consent: each flow reads as the list of its steps; what holds is decided in `crate::consent`.

mod answer;
mod change;
mod course;
mod guardian;
mod request;
mod settled;

pub use answer::{GuardianAnswer, ScopeChange};
pub use change::Changed;
pub use guardian::{GuardianAsk, Proof};
pub use request::ConsentAsk;
pub use settled::Settled;

pub(super) use change::Loaded;
pub(super) use course::{ConsentRecord, Course, StepNote};

use super::{App, Error};
use crate::consent::Consent;
pub use crate::consent::Controller;
use crate::store::Space;
use crate::terms::{ConsentId, RelyingParty, SubjectRef};
use crate::tokens::Link;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most consents that are listed.
const LISTED: usize = 100;

/// What consent may be set to.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Hours until a request that nobody answered is purged. Korea: at most 5 days (표준 개인정보 보호지침 art. 13).
    pub answer_hours: u32,
    /// Days until a consent lapses that nobody reaffirms.
    pub lapse_days: u32,
    /// Days for which the record of a consent that has ended is kept as proof.
    pub proof_days: u32,
    /// Consents of one guardian beyond which a person has to look at the next.
    pub children_per_guardian: u16,
    /// Days within which a document must show the age of a person who was reported to be a child.
    pub report_days: u32,
    /// Who is responsible, by relying party: what receipts say.
    #[serde(default)]
    pub controllers: BTreeMap<RelyingParty, Controller>,
    /// Stands in where none is set. Development only.
    #[serde(skip)]
    pub stand_in: Option<Controller>,
}

impl App {
    /// One consent.
    pub async fn consent(&self, party: &RelyingParty, id: &ConsentId) -> Result<Consent, Error> {
        self.current_consent(self.consent_key(party, id)).await?.ok_or(Error::UnknownConsent)
    }

    /// The consents of a person, the newest first.
    pub async fn consents(&self, party: &RelyingParty, subject: &SubjectRef) -> Result<Vec<Consent>, Error> {
        let subject = self.subject(party, subject);
        let mut found = Vec::new();
        for key in self.filed_under(&self.subject_key(party, &subject.handle, subject.partition)).await? {
            if key.space() == Space::Consent {
                found.extend(self.current_consent(key).await?);
            }
        }
        found.sort_by_key(|consent| std::cmp::Reverse((consent.request().map(|r| r.requested_at), consent.id())));
        found.truncate(LISTED);
        Ok(found)
    }

    /// The receipt of a consent's last event, signed; none where the consent is forgotten.
    pub fn receipt(&self, consent: &Consent) -> Result<Option<String>, Error> {
        let Some(last) = consent.events().last() else { return Ok(None) };
        // An entry never changes, and neither does its receipt.
        let before = last.prev.map_or([0; 32], |prev| prev.0);
        let (id, seq, at) = (consent.id(), last.seq.to_be_bytes(), last.at.as_nanosecond().to_be_bytes());
        let name = [&id.0.as_bytes()[..], &seq, &before, &at].concat();
        let at = consent.events().len().saturating_sub(1);
        let payload = || consent.receipt(at).map(|receipt| receipt.payload());
        self.issuer.sign_receipt_once(&name, payload).map(Some).map_err(|_| Error::Signing)
    }

    /// The token of the guardian's link, while it can be used.
    pub fn link(&self, consent: &Consent) -> Result<Option<String>, Error> {
        let (Some(jti), Some(request)) = (consent.link(), consent.request()) else { return Ok(None) };
        let now = self.now();
        if !consent.is_open() || request.answer_by.duration_since(now).as_secs() < 1 {
            return Ok(None);
        }
        let link = Link { relying_party: consent.relying_party().clone(), consent: consent.id(), jti };
        let token = self.issuer.issue_link(&link, now, request.answer_by);
        token.map(|token| Some(token.as_str().to_owned())).map_err(|_| Error::Signing)
    }
}
