//! The steps on the way to an outcome, as they are recorded and explained: which kinds of data, which lines, which side.

use super::rules::SelfDeclaration;
use crate::age::{AgeThreshold, LeapDay};
use crate::terms::{AssuranceLevel, ConsentId, Signal, Statute};
use serde::{Deserialize, Serialize};

/// A kind of data that a decision used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// The picture of an identity document.
    DocumentImage,
    /// The date of birth on the document.
    BirthDate,
    /// The expiry date of the document.
    ExpiryDate,
    /// The date of birth as the person stated it.
    DeclaredBirthDate,
    /// The date of birth that an earlier decision about the person rested on.
    RememberedBirthDate,
}

/// One step of how a rule led to an outcome, in the order they were taken (PIPA decree 44-3(2): kinds of data, main
/// criteria, procedure). Says on which side of a line a person is, never how far from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// This kind of data was used.
    Used {
        /// Which.
        data: DataKind,
    },
    /// The document's resident number was processed (and masked at once) under this statute.
    ByStatute {
        /// Which.
        statute: Statute,
    },
    /// No date of birth was accepted from the document.
    NothingRead,
    /// Two places of the document contradict each other.
    Contradiction {
        /// Which.
        signal: Signal,
    },
    /// Age is counted on the date it is in the place of the rule, with its rule for 29 February.
    Counted {
        /// Where a birthday on 29 February falls in a common year.
        leap_day: LeapDay,
        /// Whether the latest of several time zones was taken (the place has several, or is unknown).
        latest_of_zones: bool,
    },
    /// Below the line under which nobody is let in.
    BelowBlock {
        /// The line.
        line: AgeThreshold,
    },
    /// Not below the line under which nobody is let in.
    BlockReached {
        /// The line.
        line: AgeThreshold,
    },
    /// Below the line under which a guardian consents.
    BelowGuardian {
        /// The line.
        line: AgeThreshold,
    },
    /// Not below the line under which a guardian consents.
    GuardianReached {
        /// The line.
        line: AgeThreshold,
    },
    /// Whether the law, too, asks for the guardian.
    LegalGuardian {
        /// The law's line.
        line: AgeThreshold,
        /// Whether the person is below it.
        below: bool,
    },
    /// A guardian's consent for this is in force.
    ConsentInForce {
        /// Which.
        consent: ConsentId,
    },
    /// A declared date of birth cannot show that somebody is old enough.
    DeclarationCannotAllow {
        /// What the rule accepts a declaration for.
        accepted: SelfDeclaration,
    },
    /// The document is a published specimen, and those are not accepted here.
    SpecimenRefused,
    /// The document is a published specimen, and this service was set up to accept those.
    SpecimenAccepted,
    /// The document has expired, or may have by the earliest time zone.
    DocumentExpired,
    /// The date of birth is not witnessed well enough.
    AssuranceTooLow {
        /// What there is.
        have: AssuranceLevel,
        /// What the rule asks for.
        need: AssuranceLevel,
    },
    /// The date of birth is witnessed well enough.
    AssuranceSuffices {
        /// What there is.
        have: AssuranceLevel,
        /// What the rule asks for.
        need: AssuranceLevel,
    },
    /// A remark about the document that rules out relying on it for more than a denial.
    CannotAllow {
        /// Which.
        signal: Signal,
    },
}
