//! How many calls a second one relying party may make on this server, by class: a bucket for each, which fills steadily.
//!
//! Counted in memory and for this server alone; what holds over all servers and outlives a restart are the attempt limits
//! in the store. Only who is known by a token has a bucket. Their number has a bound: when all places are taken by parties
//! that call at this moment, the others share one bucket, so that names made up by a token service can neither fill the
//! memory nor get around a limit.

use crate::terms::RelyingParty;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most relying parties with a bucket of their own.
const PARTIES: usize = 4096;
/// How often it is looked for buckets that are full again, and so need not be kept, when all places are taken.
const TIDY: Duration = Duration::from_secs(1);

/// What calls are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Calls that may bring a picture to read.
    Pictures,
    /// All others.
    Others,
}

impl Class {
    /// Its name in metrics, as the reason of a refusal.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pictures => "caller_pictures",
            Self::Others => "caller_calls",
        }
    }
}

/// How many calls a second, and how many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second in the long run; 0 is no limit.
    pub per_second: u32,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// Whether it can be kept to.
    pub fn possible(self) -> bool {
        self.per_second == 0 || (self.burst > 0 && self.per_second <= 1_000_000 && self.burst <= 1_000_000)
    }

    /// The time in which one call more is allowed.
    fn every(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// The rates of one relying party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Calls that may bring a picture to read.
    pub pictures: Rate,
    /// All others.
    pub others: Rate,
}

impl Settings {
    /// Whether they can be kept to.
    pub fn possible(&self) -> bool {
        self.pictures.possible() && self.others.possible()
    }
}

/// A bucket: the instant at which it will be full again. The fuller it is, the closer that is.
#[derive(Debug, Clone, Copy)]
struct Bucket(Instant);

impl Bucket {
    /// Takes one call out of the bucket, or says when there will be one.
    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let every = rate.every();
        let full = self.0.max(now) + every;
        let missing = full.saturating_duration_since(now).saturating_sub(every * rate.burst);
        if missing.is_zero() {
            self.0 = full;
            Ok(())
        } else {
            Err(missing)
        }
    }
}

/// The buckets of one relying party.
#[derive(Debug, Clone, Copy)]
struct Buckets {
    pictures: Bucket,
    others: Bucket,
}

impl Buckets {
    fn full(now: Instant) -> Self {
        Self { pictures: Bucket(now), others: Bucket(now) }
    }

    fn are_full(&self, now: Instant) -> bool {
        self.pictures.0 <= now && self.others.0 <= now
    }

    fn take(&mut self, rates: &Settings, class: Class, now: Instant) -> Result<(), Duration> {
        match class {
            Class::Pictures => self.pictures.take(rates.pictures, now),
            Class::Others => self.others.take(rates.others, now),
        }
    }
}

/// Every bucket.
#[derive(Debug)]
struct All {
    own: HashMap<RelyingParty, Buckets>,
    shared: Buckets,
    tidied: Instant,
}

/// Counts calls.
#[derive(Debug)]
pub struct Quotas {
    rates: Settings,
    all: Mutex<All>,
}

impl Quotas {
    /// Nobody has called yet.
    pub fn new(rates: Settings, now: Instant) -> Self {
        Self { rates, all: Mutex::new(All { own: HashMap::new(), shared: Buckets::full(now), tidied: now }) }
    }

    /// Counts a call, or says when it may be made.
    pub fn take(&self, party: &RelyingParty, class: Class, now: Instant) -> Result<(), Duration> {
        let rate = match class {
            Class::Pictures => self.rates.pictures,
            Class::Others => self.rates.others,
        };
        if rate.per_second == 0 {
            return Ok(());
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let All { own, shared, tidied } = &mut *all;
        if let Some(buckets) = own.get_mut(party) {
            return buckets.take(&self.rates, class, now);
        }
        if own.len() >= PARTIES && now.saturating_duration_since(*tidied) >= TIDY {
            *tidied = now;
            own.retain(|_, buckets| !buckets.are_full(now));
        }
        if own.len() >= PARTIES {
            return shared.take(&self.rates, class, now);
        }
        own.entry(party.clone()).or_insert_with(|| Buckets::full(now)).take(&self.rates, class, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Settings =
        Settings { pictures: Rate { per_second: 2, burst: 3 }, others: Rate { per_second: 10, burst: 10 } };

    fn party(name: &str) -> RelyingParty {
        name.parse().unwrap()
    }

    /// How many calls in a row are taken.
    fn taken(quotas: &Quotas, name: &str, class: Class, now: Instant) -> usize {
        (0..1000).take_while(|_| quotas.take(&party(name), class, now).is_ok()).count()
    }

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let now = Instant::now();
        let quotas = Quotas::new(FEW, now);
        assert_eq!(taken(&quotas, "shop", Class::Pictures, now), 3);
        assert_eq!(quotas.take(&party("shop"), Class::Pictures, now), Err(Duration::from_millis(500)));
        assert_eq!(taken(&quotas, "shop", Class::Others, now), 10, "another class is counted apart");
        assert_eq!(taken(&quotas, "bank", Class::Pictures, now), 3, "and so is another party");
        let later = now + Duration::from_millis(499);
        assert_eq!(quotas.take(&party("shop"), Class::Pictures, later), Err(Duration::from_millis(1)));
        assert_eq!(taken(&quotas, "shop", Class::Pictures, now + Duration::from_millis(500)), 1);
        assert_eq!(taken(&quotas, "shop", Class::Pictures, now + Duration::from_secs(3600)), 3, "no more than a burst");
        // What was refused took nothing.
        let mut allowed = 0;
        for tenth in 0..100 {
            let at = now + Duration::from_secs(7200) + Duration::from_millis(100) * tenth;
            allowed += usize::from(quotas.take(&party("shop"), Class::Pictures, at).is_ok());
        }
        assert_eq!(allowed, 3 + 19, "a burst, and two a second for 9.9 seconds");
    }

    #[test]
    fn no_limit_is_no_limit_and_keeps_nothing() {
        let now = Instant::now();
        let none = Rate { per_second: 0, burst: 0 };
        let quotas = Quotas::new(Settings { pictures: none, others: none }, now);
        assert_eq!(taken(&quotas, "shop", Class::Pictures, now), 1000);
        assert!(quotas.all.lock().unwrap().own.is_empty());
    }

    #[test]
    fn names_that_are_made_up_fill_no_memory_and_get_around_nothing() {
        let now = Instant::now();
        let quotas = Quotas::new(FEW, now);
        assert_eq!(taken(&quotas, "shop", Class::Pictures, now), 3);
        let mut past = 0;
        for n in 0..3 * PARTIES {
            past += usize::from(quotas.take(&party(&format!("made-up-{n}")), Class::Pictures, now).is_ok());
        }
        assert_eq!(quotas.all.lock().unwrap().own.len(), PARTIES);
        assert_eq!(past, PARTIES - 1 + 3, "one each while there are places, and then one burst for all the others");
        assert!(quotas.take(&party("shop"), Class::Pictures, now).is_err(), "who called is not forgotten");
        // When they are idle, their places are free.
        let later = now + Duration::from_secs(60);
        assert_eq!(taken(&quotas, "new", Class::Pictures, later), 3);
        assert_eq!(quotas.all.lock().unwrap().own.len(), 1);
    }

    #[test]
    fn a_rate_must_be_possible() {
        assert!(Rate { per_second: 0, burst: 0 }.possible() && Rate { per_second: 1, burst: 1 }.possible());
        assert!(!Rate { per_second: 1, burst: 0 }.possible());
        assert!(!Rate { per_second: 2_000_000, burst: 1 }.possible());
    }
}
