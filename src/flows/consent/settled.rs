//! Consents that nothing happens to for a while.
//!
//! When time changes a consent depends on a birth date, which rests sealed: whoever wants to know reads its key and opens
//! it. Of one that was looked at lately it is remembered that nothing is due for a while, so that the next look needs
//! neither. What is remembered says no more than that: nothing is, where something is due within that while.

use super::change::Loaded;
use crate::store::{Key, Version};
use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

/// How many are remembered.
const REMEMBERED: usize = 8192;
/// For how long.
const WHILE: SignedDuration = SignedDuration::from_mins(10);

/// What is remembered, by where a consent lies: the version that was looked at, and when. Whatever is done to a consent
/// gives it another version.
#[derive(Debug)]
pub struct Settled(Cache<Key, (Version, Timestamp)>);

impl Settled {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "a server has one")]
    pub fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    /// Whether it is known that nothing is due for this version by `now`.
    pub(super) fn covers(&self, key: &Key, version: Version, now: Timestamp) -> bool {
        // A clock that was set back says nothing of the time before.
        let fresh = |looked| (SignedDuration::ZERO..WHILE).contains(&now.duration_since(looked));
        self.0.get(key).is_some_and(|(seen, looked)| seen == version && fresh(looked))
    }

    /// Remembers a consent as it was found at `now`, with all that was due done.
    pub(super) fn note(&self, loaded: &Loaded, now: Timestamp) {
        let known = loaded.record.sealed.is_none() || loaded.memory.is_some();
        if known && loaded.standing().next_due().is_none_or(|due| due.duration_since(now) >= WHILE) {
            self.0.insert(loaded.key, (loaded.version, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Sensitive;
    use crate::store::{Handles, Partition, Space};

    #[test]
    fn a_look_holds_for_one_version_and_for_a_while() {
        let (settled, handles) = (Settled::new(), Handles::new(Sensitive::new([1; 32])));
        let key = |text| handles.own_key(Space::Consent, Partition::new(0).unwrap(), text);
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        settled.0.insert(key("a"), (Version(7), at(0)));
        for (name, version, second, covered) in [
            ("a", 7, 0, true),
            ("a", 7, 599, true),
            ("a", 7, 600, false),
            ("a", 7, -1, false),
            ("a", 8, 0, false),
            ("a", 6, 0, false),
            ("b", 7, 0, false),
        ] {
            assert_eq!(settled.covers(&key(name), Version(version), at(second)), covered, "{name} {version} {second}");
        }
    }
}
