//! The flows: the only place with order, I/O and the clock.
//!
//! An [`App`] is everything a flow needs, put together once. Each flow is one `async fn` that reads as the list of its
//! steps. Record first, then act: what is not durably recorded is not signed and not answered. Where nothing about a
//! person may be kept, nothing is.

mod attempts;
pub mod callers;
pub mod consent;
mod custody;
mod deadline;
mod decide;
mod decisions;
mod document;
pub mod events;
mod held;
mod idempotency;
mod keys;
mod once;
mod outbound;
pub mod pool;
mod recheck;
pub(crate) mod records;
mod reports;
pub mod rights;
pub mod scan;
mod stated;
mod subject;
mod timers;
mod turns;
mod verify;
pub mod webhooks;

pub use attempts::Whose;
pub use custody::{Custody, Picture, Receipt};
pub use deadline::{Deadline, Presence, Watch};
pub use decisions::{Explained, Told};
pub use document::{Field, Fields, ReadAnswer, ReadAsk};
pub use once::Done;
pub use pool::{Pool, Unread};
pub use reports::{ReportAsk, TokenState};
pub use turns::Turns;
pub use verify::{Answer, Ask, Outcome, Shown};

// What the transport needs of the layers below it, which it does not name itself.
pub use crate::age::{AgeThreshold, Counted, LeapDay};
pub use crate::policy::{DataKind, OutcomeKind, Step, rules::SelfDeclaration};
pub use crate::store::StoreError;
pub use crate::tokens::callers::{Caller, Certificate};
pub use crate::tokens::{Rejected, Token};

use crate::audit::ImageLife;
use crate::evidence::validate::Verdict;
use crate::policy::{Facts, Misuse, RuleSet};
use crate::rights::{clock::Calendars, table::RightsTable};
use crate::seal::SealRing;
use crate::store::{CommitError, Handles, Stirred, Store};
use crate::telemetry::Metrics;
use crate::terms::{DocumentKind, RelyingParty, Statute};
use crate::tokens::{Issuer, callers::Callers};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Tells the time. The machine's clock, or a fixed one in tests.
pub type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// What the flows may be set to.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Scans and declarations of one subject within `subject_hours`.
    pub subject_attempts: u16,
    /// The window of `subject_attempts`, in hours.
    pub subject_hours: u32,
    /// Calls of one relying party within an hour that count as attempts; 0 is no limit.
    pub relying_party_attempts: u16,
    /// Hours for which a retry gets the same answer.
    pub idempotency_hours: u32,
    /// Seconds after which a request that was begun and not answered may be begun anew.
    pub lease_seconds: u32,
    /// Days for which decisions can be looked up.
    pub decision_days: u32,
    /// Minutes for which a token is good.
    pub token_minutes: u32,
    /// Whether published specimens are taken for real documents. Development only.
    pub accept_specimens: bool,
    /// The relying parties that also offer a way without a government document.
    pub alternative_offered: BTreeSet<RelyingParty>,
}

/// Everything a flow needs.
pub struct App {
    /// The opt-outs that wait while the store is away, if they are taken then. Before the store, and so closed before it.
    pub journal: Option<Arc<rights::OptOuts>>,
    /// Where state rests.
    pub store: Arc<dyn Store>,
    /// How far the events have come. The store pokes it, so no flow has to.
    pub stirred: Arc<Stirred>,
    /// Makes keys out of names.
    pub handles: Handles,
    /// Seals what is personal and has to rest.
    pub seal: SealRing,
    /// Signs tokens.
    pub issuer: Issuer,
    /// Knows callers by their tokens.
    pub callers: Callers,
    /// Keeps callers' keys fresh.
    pub key_sources: callers::KeySources,
    /// The rules in force.
    pub rules: RuleSet,
    /// Reads pictures.
    pub pool: Pool,
    /// Where events are posted.
    pub webhooks: Vec<webhooks::Webhook>,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// What was configured.
    pub settings: Settings,
    /// What was configured for guardian consent.
    pub consent: consent::Settings,
    /// Consents of which it is known that nothing is due for a while.
    pub settled: consent::Settled,
    /// What was configured for rights requests.
    pub rights: rights::Settings,
    /// What holds for which right.
    pub rights_table: RightsTable,
    /// On which days offices are closed.
    pub calendars: Calendars,
    /// The most bytes of one picture.
    pub image_bytes: usize,
    /// The statute under which resident numbers are processed, if one is relied upon.
    pub statute: Option<Statute>,
    /// Tells the time.
    pub clock: Box<Clock>,
}

/// One call: who makes it, until when they wait, and whether they still do.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub relying_party: RelyingParty,
    /// Until when they wait.
    pub deadline: Deadline,
    /// Whether they still do.
    pub watch: Watch,
}

/// A call that was not answered. A negative decision is an answer, not one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The idempotency key belongs to another request.
    #[error("this idempotency key was used for another request; use a new one")]
    KeyReused,
    /// The same request is being worked on.
    #[error("the same request is being worked on; ask again")]
    InProgress {
        /// When to ask again.
        retry_after: Duration,
    },
    /// An attempt limit is reached.
    #[error("too many attempts; try again later")]
    TooManyAttempts {
        /// Whose attempts.
        whose: Whose,
        /// When the next may be made.
        retry_after: Duration,
    },
    /// There is no such decision, or it is not this caller's to see.
    #[error("no such decision")]
    UnknownDecision,
    /// There is no such consent, or it is not this caller's or not this person's.
    #[error("no such consent")]
    UnknownConsent,
    /// There is no such rights request, or it is not this caller's or not this person's.
    #[error("no such rights request")]
    UnknownRequest,
    /// The place has a law of its own for rights, and another one was named.
    #[error("the law of this place holds; leave the regime out")]
    RegimeNotOfPlace,
    /// The decision did not ask for a guardian.
    #[error("this decision asks for no guardian's consent")]
    ConsentNotRequired,
    /// What was read for the decision is gone: it was too long ago, or a consent was already asked for with it.
    #[error("a consent can no longer be asked for with this decision; check the age again")]
    DecisionTooOld,
    /// The consent is not in force for this person, place and purpose.
    #[error("the consent is not in force for this; check the age by a document")]
    ConsentNotInForce,
    /// Nobody is configured who is responsible for this relying party's processing.
    #[error("receipts need to name who is responsible; configure consent.controllers for this relying party")]
    ControllerMissing,
    /// The rule does not accept a declared date of birth.
    #[error("a declared date of birth is not accepted here; send a picture of a document")]
    DeclarationNotAccepted,
    /// A document may be asked for only beside another way.
    #[error("a document may be asked for here only if another way is offered too; configure the relying party")]
    AlternativeNotOffered,
    /// The cursor lies beyond the end of the log.
    #[error("the cursor is of another log, or of a later state of this one; start again without a cursor")]
    CursorAhead,
    /// The picture was not read.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The store did not answer; nothing was decided.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token could not be signed.
    #[error("the token could not be signed")]
    Signing,
    /// A record does not make sense, or a batch was refused for its form.
    #[error("a record cannot be read or written")]
    Broken,
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::AlternativeNotOffered => Self::AlternativeNotOffered,
            Misuse::DeclarationRefused => Self::DeclarationNotAccepted,
        }
    }
}

impl App {
    /// The time, read once a flow.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The public keys of tokens, as JSON.
    pub fn jwks(&self) -> String {
        self.issuer.jwks(self.now())
    }

    /// Whether calls can be answered.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.store.health().await
    }

    /// Removes what has expired from the store.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.store.sweep(self.now()).await
    }

    /// The life of a picture that nothing is left of now.
    fn life_of(&self, received_at: Timestamp, read: &Verdict) -> ImageLife {
        let kind = match read {
            Verdict::Read(evidence) => Some(evidence.kind),
            Verdict::Unreadable(why) => why.kind,
        };
        let statute = self.statute.filter(|_| kind.is_some_and(DocumentKind::shows_resident_number));
        ImageLife { received_at, disposed_at: self.now().max(received_at), statute }
    }

    fn facts(&self, relying_party: &RelyingParty) -> Facts {
        Facts {
            alternative_offered: self.settings.alternative_offered.contains(relying_party),
            specimens_accepted: self.settings.accept_specimens,
            consent: None,
            statute: self.statute,
        }
    }
}

/// A commit that must not meet anybody else's.
fn unexpected(error: CommitError) -> Error {
    match error {
        CommitError::Store(error) => Error::Store(error),
        CommitError::Conflict | CommitError::TooLarge | CommitError::WrongPartition => Error::Broken,
    }
}

/// `now` and a span after it; the end of time when there is no such instant.
fn later(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}
