//! Until when a caller waits, and whether it still does.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The instant at which the caller stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// `wait` from now.
    pub fn after(wait: Duration) -> Self {
        Self::of(Instant::now(), wait)
    }

    /// `wait` from an instant.
    pub fn of(begun: Instant, wait: Duration) -> Self {
        Self(begun.checked_add(wait).unwrap_or(begun))
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Whether it passes before `wait` has.
    pub fn passes_within(self, wait: Duration) -> bool {
        Instant::now().checked_add(wait).is_none_or(|then| then >= self.0)
    }

    /// How long it is until then.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }
}

/// Held by whoever talks to the caller; dropped when the caller leaves.
#[derive(Debug)]
pub struct Presence(Arc<()>);

impl Presence {
    /// The caller is there.
    #[expect(clippy::new_without_default, reason = "presence is a fact about a call, there is no default one")]
    pub fn new() -> Self {
        Self(Arc::new(()))
    }

    /// Lets others see whether the caller is still there.
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.0))
    }
}

/// Sees whether the caller is still there.
#[derive(Debug, Clone)]
pub struct Watch(Weak<()>);

impl Watch {
    /// Whether the caller has left.
    pub fn gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}
