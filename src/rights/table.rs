//! Right x regime: what must be shown, by when it is answered, and on which ground. Data, with the source of each row.
//!
//! What comes out of [`RightsTable::parse`] is total: every right has a plan under every regime. Rows have unique ids, a
//! reason and at least one citation. No table can ask for proof of an opt-out or a limit, forbid it for anything that
//! discloses, changes or erases data, ask for less than the highest level to correct a name or a date of birth, or take
//! longer than 30 days and one month for a first answer. Unknown fields are refused.

#[cfg(test)]
mod tests;
mod text;

use super::clock::Span;
use super::plan::{Asked, Extension, Plan, methods};
use crate::policy::rules::Citation;
use crate::terms::{
    ActingAs, IdDocument, Jurisdiction, NeverAsk, PolicyDigest, ProofLevel, RefusalBasis, Regime, Right, RuleId,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Prefix of the hashed form; a new meaning of the same rows gets a new prefix.
const CANONICAL: &[u8] = b"idgate rights table, meaning 1\0";
/// For these rights no table may ask for proof (11 CCR 7060(b)), under any regime.
const NO_PROOF: [Right; 2] = [Right::OptOut, Right::LimitSensitive];
/// Rights that end a use and disclose, change and erase nothing: only for these may a row forbid proof.
const ENDS_A_USE: [Right; 6] =
    [Right::OptOut, Right::LimitSensitive, Right::Object, Right::Restrict, Right::WithdrawConsent, Right::ChangeScope];
/// These corrections could open the age gate: no table may ask for less than the highest level.
const AGE_GATE: [Right; 2] = [Right::CorrectName, Right::CorrectBirthDate];
/// The first answer of every right, at the latest (both seed policies).
const SEED_ANSWER: [Span; 2] = [Span::Days(30), Span::Months(1)];
/// Longer spans and more extensions are slips of the keyboard.
const LONGEST_DAYS: u16 = 366;
const LONGEST_MONTHS: u8 = 12;
const MOST_EXTENSIONS: u8 = 3;

/// Why a rights table is refused. Names rows of the table, which hold nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RightsTableError {
    /// Not TOML, an unknown field, or a value of the wrong kind.
    #[error("the rights table cannot be read: {0}")]
    Syntax(String),
    /// Two rows share an id.
    #[error("rights table: the id {0} is used twice")]
    DuplicateId(RuleId),
    /// A row lacks rights, places, citations or a reason.
    #[error("rights table: row {0} has an empty list or text")]
    Empty(RuleId),
    /// A row names a length of time that cannot be meant.
    #[error("rights table: row {0} names no time, or more than a year")]
    Span(RuleId),
    /// A row names an extension without a reason or a number, or the policy names one.
    #[error("rights table: the extension of row {0} has no reason, no number of times, or is the policy's")]
    Extension(RuleId),
    /// Two rows extend the same right under the same regime.
    #[error("rights table: {0} under {1} is extended by two rows")]
    ExtendedTwice(Right, Regime),
    /// A row forbids proof and asks for it.
    #[error("rights table: row {0} forbids proof and asks for some, or may refuse for want of it")]
    ProofForbidden(RuleId),
    /// A row forbids proof for a right that discloses, changes or erases data.
    #[error("rights table: row {0} forbids proof for a right that does more than end a use")]
    Exposes(RuleId),
    /// A row asks for less without an account than with one, or writes L0, which is `forbid_proof`.
    #[error("rights table: the levels of row {0} are not l1 to l3, or lower without an account")]
    Levels(RuleId),
    /// The rows of the policy do not say everything about a right.
    #[error("rights table: no row of the policy says {1} for {0}")]
    Incomplete(Right, &'static str),
    /// The table is weaker than the seed policies.
    #[error("rights table: weaker than the seed policies for {0}: {1}")]
    BelowSeedPolicy(Right, &'static str),
    /// A place has two regimes, or the policy's.
    #[error("rights table: {0} has two regimes, or names the policy, which is everywhere else")]
    Regimes(Jurisdiction),
}

/// One row as it is written. What it leaves out it does not change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: RuleId,
    regime: Regime,
    /// All of them, if it names none.
    rights: Option<BTreeSet<Right>>,
    why: String,
    #[serde(default)]
    forbid_proof: bool,
    level: Option<ProofLevel>,
    level_without_account: Option<ProofLevel>,
    #[serde(default)]
    fresh_session: bool,
    id_document: Option<IdDocument>,
    #[serde(default)]
    never_ask: BTreeSet<NeverAsk>,
    #[serde(default)]
    acknowledge: Vec<Span>,
    #[serde(default)]
    answer: Vec<Span>,
    extension: Option<Extension>,
    #[serde(default)]
    refusals: BTreeSet<RefusalBasis>,
    cite: Vec<Citation>,
}

/// Where a regime holds, if the caller names none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holds {
    id: RuleId,
    regime: Regime,
    places: BTreeSet<Jurisdiction>,
    why: String,
    cite: Vec<Citation>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Date,
    holds: Vec<Holds>,
    row: Vec<Row>,
}

/// The rights table in force.
#[derive(Debug, Clone)]
pub struct RightsTable {
    /// Rows in the order of their ids.
    written: Written,
    places: BTreeMap<Jurisdiction, Regime>,
    digest: PolicyDigest,
}

impl Row {
    fn covers(&self, right: Right, regime: Regime) -> bool {
        self.regime == regime && self.rights.as_ref().is_none_or(|rights| rights.contains(&right))
    }

    fn level(&self, account: bool) -> Option<ProofLevel> {
        if account { self.level } else { self.level_without_account.or(self.level) }
    }

    fn check(&self) -> Result<(), RightsTableError> {
        let no_right = self.rights.as_ref().is_some_and(BTreeSet::is_empty);
        if no_right || self.why.is_empty() || !cites(&self.cite) {
            return Err(RightsTableError::Empty(self.id.clone()));
        }
        let longer = self.extension.as_ref().map(|extension| extension.by);
        if !self.answer.iter().chain(&self.acknowledge).copied().chain(longer).all(can_be_meant) {
            return Err(RightsTableError::Span(self.id.clone()));
        }
        if let Some(Extension { times, reasons, .. }) = &self.extension
            && (self.regime == Regime::Policy || reasons.is_empty() || !(1..=MOST_EXTENSIONS).contains(times))
        {
            return Err(RightsTableError::Extension(self.id.clone()));
        }
        let levels = [self.level, self.level_without_account];
        let lower = self.level_without_account.is_some() && self.level_without_account < self.level;
        if levels.contains(&Some(ProofLevel::L0)) || lower {
            return Err(RightsTableError::Levels(self.id.clone()));
        }
        let asks = levels != [None, None] || self.fresh_session || self.id_document == Some(IdDocument::LastResort);
        if self.forbid_proof && (asks || self.refusals.contains(&RefusalBasis::IdentityNotShown)) {
            return Err(RightsTableError::ProofForbidden(self.id.clone()));
        }
        let ends_a_use = |rights: &BTreeSet<Right>| rights.iter().all(|right| ENDS_A_USE.contains(right));
        if self.forbid_proof && !self.rights.as_ref().is_some_and(ends_a_use) {
            return Err(RightsTableError::Exposes(self.id.clone()));
        }
        Ok(())
    }
}

fn cites(citations: &[Citation]) -> bool {
    !citations.is_empty() && citations.iter().all(|c| !c.text.is_empty() && !c.source.is_empty())
}

fn can_be_meant(span: Span) -> bool {
    match span {
        Span::Days(days) | Span::BusinessDays(days) => (1..=LONGEST_DAYS).contains(&days),
        Span::Months(months) => (1..=LONGEST_MONTHS).contains(&months),
    }
}

impl RightsTable {
    /// The table that is part of this program.
    pub fn embedded() -> Result<Self, RightsTableError> {
        Self::parse(include_str!("rights.toml"))
    }

    /// Reads and checks a table.
    pub fn parse(text: &str) -> Result<Self, RightsTableError> {
        let mut written: Written =
            toml::from_str(text).map_err(|e| RightsTableError::Syntax(e.message().to_owned()))?;
        written.row.sort_by(|a, b| a.id.cmp(&b.id));
        written.holds.sort_by(|a, b| a.id.cmp(&b.id));
        let mut ids = BTreeSet::new();
        for id in written.row.iter().map(|row| &row.id).chain(written.holds.iter().map(|holds| &holds.id)) {
            if !ids.insert(id) {
                return Err(RightsTableError::DuplicateId(id.clone()));
            }
        }
        written.row.iter().try_for_each(Row::check)?;
        let places = places(&written.holds)?;
        let digest = digest(&written)?;
        let table = Self { written, places, digest };
        Right::ALL.iter().try_for_each(|right| table.check(*right))?;
        Ok(table)
    }

    /// The digest of the whole table.
    pub fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// The day of the table's last change, as it says itself.
    pub fn version(&self) -> Date {
        self.written.version
    }

    /// The regime of a place when the caller names none.
    pub fn regime_of(&self, place: Jurisdiction) -> Regime {
        let regime = self.places.get(&place).or_else(|| self.places.get(&place.nation()));
        regime.copied().unwrap_or(Regime::Policy)
    }

    /// Every regime that could hold in a place: its own; of a nation also those of its parts, and of an unknown place all.
    pub fn possible(&self, place: Jurisdiction) -> BTreeSet<Regime> {
        let within = |other: &Jurisdiction| place == Jurisdiction::UNKNOWN || other.nation() == place;
        let parts = self.places.iter().filter(|(other, _)| within(other)).map(|(_, regime)| *regime);
        parts.chain([self.regime_of(place)]).collect()
    }

    fn covering(&self, right: Right, regime: Regime) -> impl Iterator<Item = &Row> {
        self.written.row.iter().filter(move |row| row.covers(right, regime))
    }

    /// What holds for a request: the rows of the policy and of the regime, the stricter of each.
    pub fn plan(&self, asked: &Asked) -> Plan {
        let policy = self.covering(asked.right, Regime::Policy);
        let law: Vec<&Row> = match asked.regime {
            Regime::Policy => Vec::new(),
            regime => self.covering(asked.right, regime).collect(),
        };
        let rows: Vec<&Row> = policy.chain(law.iter().copied()).collect();
        let level = level(&rows, asked);
        let id_document = id_document(&rows, level, asked.acting_as);
        Plan {
            rows: rows.iter().map(|row| row.id.clone()).collect(),
            level,
            fresh_session: level > ProofLevel::L0 && rows.iter().any(|row| row.fresh_session),
            id_document,
            may_ask: methods(level, id_document, asked),
            never_ask: never_ask(&rows, level, id_document),
            acknowledge: distinct(rows.iter().flat_map(|row| row.acknowledge.iter().copied())),
            answer: distinct(rows.iter().flat_map(|row| row.answer.iter().copied())),
            extension: law.iter().find_map(|row| row.extension.clone()),
            refusals: refusals(&rows, &law),
            citations: distinct(rows.iter().flat_map(|row| row.cite.iter().cloned())),
            digest: self.digest,
        }
    }

    /// That the policy says everything about a right, and no less than the seed policies.
    fn check(&self, right: Right) -> Result<(), RightsTableError> {
        let policy: Vec<&Row> = self.covering(right, Regime::Policy).collect();
        let says = |has: fn(&Row) -> bool, what| match policy.iter().any(|row| has(row)) {
            true => Ok(()),
            false => Err(RightsTableError::Incomplete(right, what)),
        };
        says(|row| row.forbid_proof || row.level.is_some(), "level")?;
        says(|row| !row.answer.is_empty(), "answer")?;
        says(|row| !row.acknowledge.is_empty(), "acknowledge")?;
        says(|row| !row.refusals.is_empty(), "refusals")?;
        let weak = |what| Err(RightsTableError::BelowSeedPolicy(right, what));
        if !SEED_ANSWER.iter().all(|seed| policy.iter().any(|row| row.answer.iter().any(|span| no_later(*span, *seed))))
        {
            return weak("an answer in 30 days and one month");
        }
        if NO_PROOF.contains(&right) && !policy.iter().any(|row| row.forbid_proof) {
            return weak("no proof");
        }
        for regime in Regime::ALL {
            if self.covering(right, *regime).filter(|row| row.extension.is_some()).count() > 1 {
                return Err(RightsTableError::ExtendedTwice(right, *regime));
            }
            let asked = Asked { right, regime: *regime, acting_as: ActingAs::Myself, account: true };
            if AGE_GATE.contains(&right) && self.plan(&asked).level < ProofLevel::L3 {
                return weak("the highest level");
            }
        }
        Ok(())
    }
}

/// Whether a span of the same kind is no longer than another.
fn no_later(span: Span, than: Span) -> bool {
    match (span, than) {
        (Span::Days(a), Span::Days(b)) => a <= b,
        (Span::Months(a), Span::Months(b)) => a <= b,
        _ => false,
    }
}

/// The highest level that a row asks for; none where a row forbids proof: there, not to ask is the law.
fn level(rows: &[&Row], asked: &Asked) -> ProofLevel {
    if rows.iter().any(|row| row.forbid_proof) {
        return ProofLevel::L0;
    }
    let asks = rows.iter().filter_map(|row| row.level(asked.account)).max().unwrap_or(ProofLevel::L3);
    match asked.acting_as {
        ActingAs::Myself => asks,
        ActingAs::Guardian | ActingAs::Agent => asks.max(ProofLevel::L2),
    }
}

/// The last resort to reach the highest level, where a row says so and none forbids it. To somebody who is logged in
/// and for whom less suffices, asking is disproportionate (EDPB 01/2022 para 73).
fn id_document(rows: &[&Row], level: ProofLevel, acting_as: ActingAs) -> IdDocument {
    let strictest = rows.iter().filter_map(|row| row.id_document).min().unwrap_or(IdDocument::Forbidden);
    // Of somebody who acts for another it is not said whose card it would be (domain 6.3).
    let own = acting_as == ActingAs::Myself;
    if own && level == ProofLevel::L3 { strictest } else { IdDocument::Forbidden }
}

fn never_ask(rows: &[&Row], level: ProofLevel, id_document: IdDocument) -> Vec<NeverAsk> {
    use NeverAsk::{AnyProof, Fee, IdImage, NewAccount, SelfieWithId};
    let mut never: BTreeSet<NeverAsk> = rows.iter().flat_map(|row| row.never_ask.iter().copied()).collect();
    if id_document == IdDocument::Forbidden {
        never.insert(IdImage);
    }
    if level == ProofLevel::L0 {
        never.extend([AnyProof, IdImage, SelfieWithId, Fee, NewAccount]);
    }
    never.into_iter().collect()
}

/// Those of the regime; where it has none of its own, those of the policy. Never for want of a proof that may not be
/// asked for.
fn refusals(rows: &[&Row], law: &[&Row]) -> Vec<RefusalBasis> {
    let of = |rows: &[&Row]| rows.iter().flat_map(|row| row.refusals.iter().copied()).collect::<BTreeSet<_>>();
    let mut refusals = of(law);
    if refusals.is_empty() {
        refusals = of(rows);
    }
    if rows.iter().any(|row| row.forbid_proof) {
        refusals.remove(&RefusalBasis::IdentityNotShown);
    }
    refusals.into_iter().collect()
}

/// The first of each, in order.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut found, item| {
        if !found.contains(&item) {
            found.push(item);
        }
        found
    })
}

fn places(holds: &[Holds]) -> Result<BTreeMap<Jurisdiction, Regime>, RightsTableError> {
    let mut places = BTreeMap::new();
    for row in holds {
        if row.places.is_empty() || row.why.is_empty() || !cites(&row.cite) {
            return Err(RightsTableError::Empty(row.id.clone()));
        }
        for place in &row.places {
            if row.regime == Regime::Policy || places.insert(*place, row.regime).is_some() {
                return Err(RightsTableError::Regimes(*place));
            }
        }
    }
    Ok(places)
}

/// SHA-256 over the parsed rows in the order of their ids: comments, spacing and the order of rows do not matter.
fn digest(written: &Written) -> Result<PolicyDigest, RightsTableError> {
    let canonical = serde_json::to_vec(written).map_err(|e| RightsTableError::Syntax(e.to_string()))?;
    let mut hash = Sha256::new();
    hash.update(CANONICAL);
    hash.update(&canonical);
    Ok(PolicyDigest(hash.finalize().into()))
}
