//! What is told of a decision that need not be explained.

use super::{DataKind, Decision, Outcome, Step};
use crate::terms::{PolicyDigest, RuleId};
use serde::{Deserialize, Deserializer};

/// The kinds of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Old enough.
    Allowed,
    /// A guardian must consent first.
    ConsentRequired,
    /// Too young.
    Blocked,
    /// No date of birth was accepted.
    Unreadable,
    /// The document contradicts itself.
    Inconsistent,
}

impl OutcomeKind {
    /// The kind of a decision's outcome.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Allowed => Self::Allowed,
            Outcome::ConsentRequired { .. } => Self::ConsentRequired,
            Outcome::Blocked => Self::Blocked,
            Outcome::Unreadable { .. } => Self::Unreadable,
            Outcome::Inconsistent { .. } => Self::Inconsistent,
        }
    }

    /// The one spelling, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ConsentRequired => "consent_required",
            Self::Blocked => "blocked",
            Self::Unreadable => "unreadable",
            Self::Inconsistent => "inconsistent",
        }
    }
}

/// The outcome, the rule and the data, without the way. Read from what a [`Decision`] was recorded as, the rest of which is
/// passed over: it is looked up far more often than it is explained.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// What was decided.
    #[serde(deserialize_with = "kind")]
    pub outcome: OutcomeKind,
    /// The rule that was applied.
    pub rule: RuleId,
    /// The rules that were in force.
    pub policy: PolicyDigest,
    /// The kinds of data that were used, without repetition.
    #[serde(rename = "steps", deserialize_with = "data")]
    pub data_used: Vec<DataKind>,
}

impl Summary {
    /// Of a decision.
    pub fn of(decision: &Decision) -> Self {
        let used = decision.steps().iter().filter_map(|step| match step {
            Step::Used { data } => Some(*data),
            _ => None,
        });
        Self {
            outcome: OutcomeKind::of(decision.outcome()),
            rule: decision.rule().clone(),
            policy: decision.policy(),
            data_used: once_each(used),
        }
    }
}

fn once_each(kinds: impl Iterator<Item = DataKind>) -> Vec<DataKind> {
    let mut each = Vec::new();
    for kind in kinds {
        if !each.contains(&kind) {
            each.push(kind);
        }
    }
    each
}

/// The kind of an outcome as it was recorded.
fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OutcomeKind, D::Error> {
    #[derive(Deserialize)]
    struct Recorded {
        kind: OutcomeKind,
    }
    Recorded::deserialize(deserializer).map(|outcome| outcome.kind)
}

/// The data of steps as they were recorded.
fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DataKind>, D::Error> {
    #[derive(Deserialize)]
    struct Recorded {
        step: Kind,
        data: Option<DataKind>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Used,
        #[serde(other)]
        Other,
    }
    let steps = Vec::<Recorded>::deserialize(deserializer)?;
    let used = steps.into_iter().filter(|of| matches!(of.step, Kind::Used));
    Ok(once_each(used.filter_map(|of| of.data)))
}
