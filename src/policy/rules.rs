//! Which rule holds for a place and a purpose: all rows that apply, merged into the strictest.
//!
//! A [`Rule`] is complete and never weaker than the seed policies: its block age is at least 13 and its guardian age at
//! least 18, whatever the place. An unknown place has the rules for everywhere, the latest time zone for age and the
//! earliest for expiry.

pub use super::table::{Citation, Mark, Place, SEED_BLOCK_BELOW, SEED_GUARDIAN_BELOW, SelfDeclaration, TableError};

use super::table::{Row, Table};
use crate::age::{AgeThreshold, BirthDate, LeapDay, day_reached, reached};
use crate::terms::{AssuranceLevel, Jurisdiction, PolicyDigest, Purpose, RuleId};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The rule table in force.
#[derive(Debug, Clone)]
pub struct RuleSet {
    table: Table,
}

/// What holds for one place and purpose.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `<place>/<purpose>`, where the place is the most local one that has a row: `kr/signup`, `default/signup`.
    pub id: RuleId,
    /// The rows that were merged, from general to local.
    pub rows: Vec<RuleId>,
    /// The place that was asked for.
    pub jurisdiction: Jurisdiction,
    /// The most local place that has a row.
    pub place: Place,
    /// The purpose that was asked for.
    pub purpose: Purpose,
    /// The digest of the whole table.
    pub digest: PolicyDigest,
    /// What the rule rests on, from general to local.
    pub citations: Vec<Citation>,
    /// Below this age there is no account at all, and no guardian can change that.
    pub block_below: u8,
    /// Blocked until this year age is reached, besides `block_below`.
    pub year_age_adult: Option<u8>,
    /// Below this age a guardian's consent is needed.
    pub guardian_below: u8,
    /// Below this age it is the law that asks for the guardian, and it may limit how.
    pub legal_guardian_below: Option<u8>,
    /// How old a guardian must be at least.
    pub guardian_min_age: u8,
    /// How well a date of birth must be witnessed to allow.
    pub min_assurance: AssuranceLevel,
    /// Where a birthday on 29 February falls in a common year.
    pub leap_day: LeapDay,
    /// What a declared date of birth is good for.
    pub self_declaration: SelfDeclaration,
    /// A document is read only when the relying party offers another way as well (Online Safety Act 2021 s 63DB).
    pub gov_id_only_with_alternative: bool,
    zones: Vec<TimeZone>,
}

/// An age from which a guardian's part in an account changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardianLine {
    /// In full years.
    pub years: u8,
    /// Whether no guardian is needed from then on; otherwise the person may act alone, and the consent stays.
    pub last: bool,
}

impl RuleSet {
    /// The table that is part of this program.
    pub fn embedded() -> Result<Self, TableError> {
        Self::parse(include_str!("rules.toml"))
    }

    /// Reads and checks a table.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        Ok(Self { table: Table::parse(text)? })
    }

    /// The same rules with a row switched on that is off as shipped (a litigated law, for example).
    pub fn switch_on(self, row: &RuleId) -> Result<Self, TableError> {
        Ok(Self { table: self.table.switch_on(row)? })
    }

    /// The digest of the whole table.
    pub fn digest(&self) -> PolicyDigest {
        self.table.digest
    }

    /// The day of the table's last change, as it says itself.
    pub fn version(&self) -> Date {
        self.table.version
    }

    /// Every place that has a row or a time zone of its own.
    pub fn places(&self) -> BTreeSet<Place> {
        let rows = self.table.rows.iter().flat_map(|row| row.places.iter().copied());
        rows.chain(self.table.zones.keys().copied()).collect()
    }

    /// The rule for a place and a purpose: the strictest of what holds everywhere, in the nation and in the subdivision.
    pub fn rule(&self, jurisdiction: Jurisdiction, purpose: Purpose) -> Rule {
        let scopes = scopes(jurisdiction);
        let covering = |place: Place| self.table.rows.iter().filter(move |row| row.covers(place, purpose));
        let rows: Vec<&Row> = scopes.iter().flat_map(|place| covering(*place)).collect();
        let place = scopes.iter().rev().copied().find(|place| covering(*place).next().is_some());
        let zones = scopes.iter().rev().find_map(|place| self.table.zones.get(place));
        merge(
            &rows,
            Asked { jurisdiction, place: place.unwrap_or(Place::Everywhere), purpose },
            zones.cloned().unwrap_or_default(),
            self.table.digest,
        )
    }

    /// The table as text, one line for every rule that differs from the place's `signup` rule. A golden file holds it.
    pub fn table(&self) -> String {
        let mut out = format!("version {}\ndigest  {}\n\n", self.version(), self.digest());
        for place in self.places() {
            let jurisdiction = match place {
                Place::Everywhere => Jurisdiction::UNKNOWN,
                Place::At(jurisdiction) => jurisdiction,
            };
            let common = self.rule(jurisdiction, Purpose::Signup).limits();
            for purpose in Purpose::ALL {
                let rule = self.rule(jurisdiction, *purpose);
                let limits = rule.limits();
                if *purpose == Purpose::Signup || limits != common {
                    // Writing to a String cannot fail.
                    let _ = writeln!(out, "{:<8} {:<24} {limits}", place.to_string(), rule.id.as_str());
                }
            }
        }
        out.push_str("\nrows\n");
        for row in &self.table.rows {
            let off = if row.enabled { "" } else { " (off)" };
            let _ = writeln!(out, "\n{}{off}: {}", row.id, row.why);
            for c in &row.cite {
                let _ = writeln!(out, "  [{:?}] {}; in force {}; source {}", c.mark, c.text, c.in_force, c.source);
            }
        }
        out
    }
}

/// What was asked for, and the place that answers.
struct Asked {
    jurisdiction: Jurisdiction,
    place: Place,
    purpose: Purpose,
}

/// The places whose rows apply, from general to local.
fn scopes(jurisdiction: Jurisdiction) -> Vec<Place> {
    let mut scopes = vec![Place::Everywhere, Place::At(jurisdiction.nation())];
    if jurisdiction.subdivision().is_some() {
        scopes.push(Place::At(jurisdiction));
    }
    scopes
}

/// Of numbers and conditions the strictest, of the leap day the most local. Where a row for everywhere should have
/// spoken (the table's check makes sure it does), the strictest possible value stands in.
fn merge(rows: &[&Row], asked: Asked, zones: Vec<TimeZone>, digest: PolicyDigest) -> Rule {
    let highest = |field: fn(&Row) -> Option<u8>| rows.iter().filter_map(|row| field(row)).max();
    let block_below = highest(|r| r.block_below).unwrap_or(u8::MAX);
    let legal_guardian_below = highest(|r| r.legal_guardian_below);
    let guardian_below = highest(|r| r.guardian_below).unwrap_or(u8::MAX).max(legal_guardian_below.unwrap_or(0));
    let place = match asked.place {
        Place::Everywhere => String::from("default"),
        Place::At(place) => place.to_string().to_ascii_lowercase(),
    };
    let id = format!("{place}/{}", asked.purpose).parse().expect("a place and a purpose fit the alphabet of a RuleId");
    Rule {
        id,
        rows: rows.iter().map(|row| row.id.clone()).collect(),
        jurisdiction: asked.jurisdiction,
        place: asked.place,
        purpose: asked.purpose,
        digest,
        citations: rows.iter().flat_map(|row| row.cite.iter().cloned()).collect(),
        block_below,
        year_age_adult: highest(|r| r.year_age_adult),
        guardian_below: guardian_below.max(block_below),
        legal_guardian_below,
        guardian_min_age: highest(|r| r.guardian_min_age).unwrap_or(u8::MAX),
        min_assurance: rows.iter().filter_map(|r| r.min_assurance).max().unwrap_or(AssuranceLevel::Corroborated),
        leap_day: rows.iter().rev().find_map(|r| r.leap_day).unwrap_or_default(),
        self_declaration: rows.iter().filter_map(|r| r.self_declaration).max().unwrap_or(SelfDeclaration::Refused),
        gov_id_only_with_alternative: rows.iter().any(|r| r.gov_id_only_with_alternative),
        zones,
    }
}

impl Rule {
    /// The date that counts for "is old enough": the earliest of the place's zones.
    pub fn today_for_age(&self, now: Timestamp) -> Date {
        self.dates(now).min().unwrap_or(Date::MIN)
    }

    /// The date that counts for "has expired": the latest of the place's zones.
    pub fn today_for_expiry(&self, now: Timestamp) -> Date {
        self.dates(now).max().unwrap_or(Date::MAX)
    }

    /// The end of a day in the first of the place's zones in which it ends.
    pub fn end_of(&self, day: Date) -> Timestamp {
        let next = day.tomorrow().unwrap_or(day);
        let ends = self.zones.iter().filter_map(|zone| next.to_zoned(zone.clone()).ok().map(|start| start.timestamp()));
        ends.min().unwrap_or(Timestamp::MAX)
    }

    fn dates(&self, now: Timestamp) -> impl Iterator<Item = Date> {
        self.zones.iter().map(move |zone| zone.to_datetime(now).date())
    }

    /// The time zones, by name.
    pub fn zone_names(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().filter_map(TimeZone::iana_name)
    }

    /// Whether a declared date of birth may do more than block.
    pub fn accepts_declaration(&self) -> bool {
        self.self_declaration == SelfDeclaration::Accepted
    }

    /// Whether a person of this date of birth is of `threshold` at `now`, in the place of the rule.
    pub fn of_age(&self, birth: &BirthDate, threshold: AgeThreshold, now: Timestamp) -> bool {
        reached(birth, threshold, self.today_for_age(now), self.leap_day)
    }

    /// The instant from which a person of this date of birth is of `threshold` in the place of the rule: the last of its
    /// zones' midnights. `None` only where the calendar ends before it.
    pub fn of_age_from(&self, birth: &BirthDate, threshold: AgeThreshold) -> Option<Timestamp> {
        let day = day_reached(birth, threshold, self.leap_day)?;
        let midnights = self.zones.iter().map(|zone| day.to_zoned(zone.clone()).ok().map(|start| start.timestamp()));
        midnights.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The lines at which a guardian's consent changes, lowest first: where the law no longer asks for the guardian, and
    /// where nobody does.
    pub fn guardian_lines(&self) -> Vec<GuardianLine> {
        let legal = self.legal_guardian_below.filter(|age| *age > self.block_below && *age < self.guardian_below);
        let legal = legal.map(|years| GuardianLine { years, last: false });
        legal.into_iter().chain([GuardianLine { years: self.guardian_below, last: true }]).collect()
    }

    /// Whether a person of this date of birth is below a line under which nobody is let in.
    pub fn below_block(&self, birth: &BirthDate, now: Timestamp) -> bool {
        self.block_lines().any(|line| !self.of_age(birth, line, now))
    }

    /// Whether a guardian of this date of birth is at least so many years older than the child.
    pub fn older_by(&self, guardian: &BirthDate, child: &BirthDate, years: u8) -> bool {
        reached(guardian, AgeThreshold::full(years), child.expose(), self.leap_day)
    }

    /// Whether a person of this date of birth is old enough to act as a guardian here.
    pub fn guardian_of_age(&self, birth: &BirthDate, now: Timestamp) -> bool {
        self.of_age(birth, AgeThreshold::full(self.guardian_min_age), now)
    }

    /// The ages that this rule answers, lowest first: the `NN` of `age_over_NN`, always in full years.
    pub fn thresholds(&self) -> Vec<u8> {
        let legal = self.legal_guardian_below.filter(|age| *age > self.block_below);
        BTreeSet::from_iter([self.block_below, self.guardian_below].into_iter().chain(legal)).into_iter().collect()
    }

    /// The lines that must all be reached not to be blocked.
    pub(super) fn block_lines(&self) -> impl Iterator<Item = AgeThreshold> {
        let by_year = self.year_age_adult.map(AgeThreshold::by_year);
        [AgeThreshold::full(self.block_below)].into_iter().chain(by_year)
    }

    fn limits(&self) -> String {
        let age = |age: Option<u8>| age.map_or_else(|| String::from("-"), |age| age.to_string());
        let zones: Vec<&str> = self.zone_names().collect();
        format!(
            "block {:>2}  guardian {:>2}  legal {:>2}  year {:>2}  guardian_age {:>2}  {}  {:<5}  declared {:<8}  alternative {:<8}  {}",
            self.block_below,
            self.guardian_below,
            age(self.legal_guardian_below),
            age(self.year_age_adult),
            self.guardian_min_age,
            self.min_assurance,
            self.leap_day.as_str(),
            if self.accepts_declaration() { "accepted" } else { "refused" },
            if self.gov_id_only_with_alternative { "required" } else { "-" },
            zones.join(" "),
        )
    }
}
