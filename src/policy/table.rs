//! The rule table as it is written: rows and time zones, parsed once, checked completely, refused on any doubt.
//!
//! What comes out of [`Table::parse`] has a complete row for everywhere that is no weaker than the seed policies, rows
//! with unique ids and at least one citation each, and time zones that exist. Unknown fields are refused.

use crate::age::LeapDay;
use crate::terms::{AssuranceLevel, Jurisdiction, PolicyDigest, Purpose, RuleId};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// No table may let anybody below this age in (both seed policies).
pub const SEED_BLOCK_BELOW: u8 = 13;
/// No table may ask for no guardian below this age (both seed policies).
pub const SEED_GUARDIAN_BELOW: u8 = 18;
/// The highest age a table may name: more is a slip of the keyboard.
const HIGHEST_AGE: u8 = 30;
/// Prefix of the hashed form; a new meaning of the same rows gets a new prefix.
const CANONICAL: &[u8] = b"idgate rule table, meaning 1\0";

/// Why a rule table is refused. Names rows and places of the table, which hold nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not TOML, an unknown field, or a value of the wrong kind.
    #[error("the rule table cannot be read: {0}")]
    Syntax(String),
    /// Two rows share an id.
    #[error("rule table: the id {0} is used twice")]
    DuplicateId(RuleId),
    /// A row lacks places, purposes, citations or a reason.
    #[error("rule table: row {0} has an empty list or text")]
    Empty(RuleId),
    /// A row names an age that cannot be meant.
    #[error("rule table: row {0} names an age outside 1 to 30")]
    Age(RuleId),
    /// A row would let evidence without a witness allow.
    #[error("rule table: row {0} asks for less than a witnessed date")]
    Unwitnessed(RuleId),
    /// A place could not be parsed.
    #[error("rule table: a place is neither \"*\" nor an ISO 3166 code")]
    Place,
    /// The rows for everywhere do not say everything.
    #[error("rule table: no enabled row for \"*\" and all purposes says {0}")]
    Incomplete(&'static str),
    /// The rows for everywhere are weaker than the seed policies.
    #[error("rule table: the row for \"*\" is weaker than block below 13, guardian below 18")]
    BelowSeedPolicy,
    /// A time zone is unknown, or a list of zones is empty, or there is none for "*".
    #[error("rule table: the time zones of {0} are missing or unknown")]
    Zones(Place),
    /// A row to switch on does not exist.
    #[error("rule table: there is no row {0}")]
    NoSuchRow(RuleId),
}

/// A place in the table: everywhere, a nation, or a subdivision. Orders from general to local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// `*`.
    Everywhere,
    /// A nation or a subdivision.
    At(Jurisdiction),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("*"),
            Self::At(place) => place.fmt(f),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = TableError;
    fn try_from(s: String) -> Result<Self, TableError> {
        if s == "*" { Ok(Self::Everywhere) } else { s.parse().map(Self::At).map_err(|_| TableError::Place) }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

/// How far a citation was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mark {
    /// Read in the primary text, or in a quotation of it.
    V,
    /// Read in a secondary source.
    S,
    /// From memory, not checked.
    M,
    /// A choice of this product, not a law.
    R,
}

/// The ground a row stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// The law or policy, with its article.
    pub text: String,
    /// Where it was read.
    pub source: String,
    /// Since when it holds. A law that is still to come already counts: it can only make a rule stricter.
    pub in_force: Date,
    /// How far it was checked.
    pub mark: Mark,
}

/// What a declared date of birth is good for. Orders from lenient to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfDeclaration {
    /// It may block, and it may ask for a guardian (EDPB 05/2020 ¶134: "I am under age" may be believed). Never allow.
    Accepted,
    /// It may block, and nothing else.
    Refused,
}

/// One row as it is written. What it leaves out it does not change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub id: RuleId,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub places: BTreeSet<Place>,
    pub purposes: Option<BTreeSet<Purpose>>,
    pub why: String,
    pub block_below: Option<u8>,
    pub guardian_below: Option<u8>,
    pub legal_guardian_below: Option<u8>,
    pub guardian_min_age: Option<u8>,
    pub year_age_adult: Option<u8>,
    pub min_assurance: Option<AssuranceLevel>,
    pub leap_day: Option<LeapDay>,
    pub self_declaration: Option<SelfDeclaration>,
    #[serde(default)]
    pub gov_id_only_with_alternative: bool,
    pub cite: Vec<Citation>,
}

const fn yes() -> bool {
    true
}

impl Row {
    /// Whether the row takes part for `place` and `purpose`.
    pub fn covers(&self, place: Place, purpose: Purpose) -> bool {
        self.enabled
            && self.places.contains(&place)
            && self.purposes.as_ref().is_none_or(|purposes| purposes.contains(&purpose))
    }

    fn check(&self) -> Result<(), TableError> {
        let no_purpose = self.purposes.as_ref().is_some_and(BTreeSet::is_empty);
        let cites_nothing = self.cite.iter().any(|c| c.text.is_empty() || c.source.is_empty());
        if self.places.is_empty() || no_purpose || self.cite.is_empty() || cites_nothing || self.why.is_empty() {
            return Err(TableError::Empty(self.id.clone()));
        }
        let ages = [
            self.block_below,
            self.guardian_below,
            self.legal_guardian_below,
            self.guardian_min_age,
            self.year_age_adult,
        ];
        if ages.iter().flatten().any(|age| !(1..=HIGHEST_AGE).contains(age)) {
            return Err(TableError::Age(self.id.clone()));
        }
        if self.min_assurance.is_some_and(|level| level < AssuranceLevel::Witnessed) {
            return Err(TableError::Unwitnessed(self.id.clone()));
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Date,
    row: Vec<Row>,
    zones: BTreeMap<Place, Vec<String>>,
}

/// A rule table that was parsed and checked.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub version: Date,
    /// In the order of their ids.
    pub rows: Vec<Row>,
    pub zones: BTreeMap<Place, Vec<TimeZone>>,
    pub digest: PolicyDigest,
    written: Written,
}

impl Table {
    /// Reads and checks a table.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let written: Written = toml::from_str(text).map_err(|e| TableError::Syntax(e.message().to_owned()))?;
        Self::check(written)
    }

    /// The same table with one more row switched on. Its digest changes with it.
    pub fn switch_on(mut self, id: &RuleId) -> Result<Self, TableError> {
        let row = self.written.row.iter_mut().find(|row| row.id == *id);
        row.ok_or_else(|| TableError::NoSuchRow(id.clone()))?.enabled = true;
        Self::check(self.written)
    }

    fn check(mut written: Written) -> Result<Self, TableError> {
        written.row.sort_by(|a, b| a.id.cmp(&b.id));
        for (row, next) in written.row.iter().zip(written.row.iter().skip(1)) {
            if row.id == next.id {
                return Err(TableError::DuplicateId(row.id.clone()));
            }
        }
        written.row.iter().try_for_each(Row::check)?;
        check_everywhere(&written.row)?;
        let zones = zones(&written.zones)?;
        let digest = digest(&written)?;
        Ok(Self { version: written.version, rows: written.row.clone(), zones, digest, written })
    }
}

/// The rows for everywhere and every purpose must say everything, and no less than the seed policies.
fn check_everywhere(rows: &[Row]) -> Result<(), TableError> {
    let rows: Vec<&Row> =
        rows.iter().filter(|r| r.enabled && r.purposes.is_none() && r.places.contains(&Place::Everywhere)).collect();
    let strictest = |field: fn(&Row) -> Option<u8>| rows.iter().filter_map(|row| field(row)).max();
    let block = strictest(|r| r.block_below).ok_or(TableError::Incomplete("block_below"))?;
    let guardian = strictest(|r| r.guardian_below).ok_or(TableError::Incomplete("guardian_below"))?;
    let adult = strictest(|r| r.guardian_min_age).ok_or(TableError::Incomplete("guardian_min_age"))?;
    if block < SEED_BLOCK_BELOW || guardian < SEED_GUARDIAN_BELOW || adult < SEED_GUARDIAN_BELOW {
        return Err(TableError::BelowSeedPolicy);
    }
    let says = |has: fn(&Row) -> bool, what| {
        if rows.iter().any(|row| has(row)) { Ok(()) } else { Err(TableError::Incomplete(what)) }
    };
    says(|r| r.min_assurance.is_some(), "min_assurance")?;
    says(|r| r.leap_day.is_some(), "leap_day")?;
    says(|r| r.self_declaration.is_some(), "self_declaration")
}

fn zones(written: &BTreeMap<Place, Vec<String>>) -> Result<BTreeMap<Place, Vec<TimeZone>>, TableError> {
    if !written.contains_key(&Place::Everywhere) {
        return Err(TableError::Zones(Place::Everywhere));
    }
    let mut zones = BTreeMap::new();
    for (place, names) in written {
        let found: Result<Vec<TimeZone>, _> = names.iter().map(|name| TimeZone::get(name)).collect();
        match found {
            Ok(found) if !found.is_empty() => zones.insert(*place, found),
            _ => return Err(TableError::Zones(*place)),
        };
    }
    Ok(zones)
}

/// SHA-256 over the parsed rows in the order of their ids: comments, spacing and the order of rows do not matter.
fn digest(written: &Written) -> Result<PolicyDigest, TableError> {
    let canonical = serde_json::to_vec(written).map_err(|e| TableError::Syntax(e.to_string()))?;
    let mut hash = Sha256::new();
    hash.update(CANONICAL);
    hash.update(&canonical);
    Ok(PolicyDigest(hash.finalize().into()))
}
