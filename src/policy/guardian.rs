//! What a decision has to know of a guardian's consent, and of the reading that it was asked for with.

use super::Outcome;
use crate::age::BirthDate;
use crate::terms::{AssuranceLevel, ConsentId, DocumentKind};

/// What is remembered of the reading behind a decision that asked for a guardian. `Debug` shows no date.
#[derive(Debug)]
pub struct Remembered {
    /// The date of birth.
    pub birth: BirthDate,
    /// How well it was witnessed; none for a declared one.
    pub assurance: Option<AssuranceLevel>,
    /// The document, if it was one.
    pub kind: Option<DocumentKind>,
    /// Whether the document sufficed to allow, but for the age.
    pub suffices: bool,
}

/// A guardian's consent that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consented {
    /// Its name.
    pub id: ConsentId,
    /// How old the guardian had to be at least.
    pub guardian_min_age: u8,
    /// Whether what was checked suffices where the law asks for the guardian.
    pub satisfies_law: bool,
}

impl Consented {
    /// Whether it is as good as what is required now.
    pub(super) fn reaches(&self, required: &Outcome) -> bool {
        match required {
            Outcome::ConsentRequired { guardian_min_age, legal_guardian } => {
                self.guardian_min_age >= *guardian_min_age && (self.satisfies_law || !legal_guardian)
            }
            Outcome::Allowed | Outcome::Blocked | Outcome::Unreadable { .. } | Outcome::Inconsistent { .. } => false,
        }
    }
}
