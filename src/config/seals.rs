//! What rests sealed, by the key that it is sealed under; and sealing it anew, so that an older key can be given up.
//!
//! Nothing here knows what a record is: whatever has a member `sealed` and beside it the name of its own key, `key`, was
//! sealed for the place where it lies. What has changed meanwhile is left to whoever changed it, who sealed it anew.

use super::{OpenError, Settings, open};
use crate::flows::records;
use crate::seal::{SealRing, Sealed};
use crate::secret::Sensitive;
use crate::store::copy::Item;
use crate::store::embedded::{self, Embedded};
use crate::store::shared::{self, Shared, copy::Target};
use crate::store::{Batch, CommitError, Expect, Key, KeyId, Space, Store, StoreError, Version};
use jiff::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

/// The member with what is sealed, and the one with the name of its own key.
const SEALED: &str = "sealed";
const KEY: &str = "key";
/// Values that are looked at together.
const PAGE: usize = 512;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seals {
    /// How many rest under each key of `store.sealing`, in that order.
    pub under: Vec<u64>,
    /// How many rest under none of them: nobody can open these.
    pub unknown: u64,
    /// How many were sealed anew.
    pub renewed: u64,
    /// How many should be and were not: their own key is gone, or they changed meanwhile.
    pub left: u64,
}

/// What rests was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum SealsError {
    /// The sealing keys cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no store.
    #[error("{0}: there is no embedded store here")]
    Missing(PathBuf),
    /// The store does not open.
    #[error("{0}: {1}")]
    Embedded(PathBuf, embedded::OpenError),
    /// The shared store's settings cannot be used.
    #[error(transparent)]
    Shared(#[from] shared::OpenError),
    /// It does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A sealed value in its place.
struct Found {
    key: Key,
    version: Version,
    expires_at: Option<Timestamp>,
    record: Value,
    sealed: Sealed,
    own: Option<KeyId>,
}

/// Counts what rests sealed, and with `renew` seals anew what rests under an older key. An embedded store must not be in
/// use; a shared one may be.
pub async fn seals(settings: &Settings, renew: bool) -> Result<Seals, SealsError> {
    let ring = open::sealing(settings)?;
    let mut seals = Seals { under: vec![0; ring.size()], ..Seals::default() };
    let now = Timestamp::now();
    if settings.store.redis.used() {
        let (store, target) = (Shared::new(&settings.store.redis)?, Target::new(&settings.store.redis)?);
        let mut cursor = None;
        loop {
            let (items, next) = target.values(cursor).await?;
            for item in items {
                match found(item) {
                    Ok(Some(found)) => look(&store, &ring, found, renew.then_some(now), &mut seals).await?,
                    Ok(None) => {}
                    Err(Unread) => seals.unknown = seals.unknown.saturating_add(1),
                }
            }
            let Some(next) = next else { return Ok(seals) };
            cursor = Some(next);
        }
    }
    let directory = settings.data_dir.join("store");
    if !embedded::is_there(&directory) {
        return Err(SealsError::Missing(directory));
    }
    let (queue, cache_bytes) = (settings.store.queue, settings.store.cache_bytes);
    let place = embedded::Settings { directory: directory.clone(), queue, cache_bytes };
    let store = Embedded::open(&place).map_err(|error| SealsError::Embedded(directory, error))?;
    let mut all = Vec::new();
    store.export(PAGE, now, |page| {
        for item in page {
            match found(item) {
                Ok(found) => all.extend(found),
                Err(Unread) => seals.unknown = seals.unknown.saturating_add(1),
            }
        }
        true
    })?;
    for found in all {
        look(&store, &ring, found, renew.then_some(now), &mut seals).await?;
    }
    Ok(seals)
}

/// A record that may hold something sealed, and cannot be read.
struct Unread;

/// The item, if it holds something sealed.
fn found(item: Item) -> Result<Option<Found>, Unread> {
    let Item::Value { key, value, version, expires_at } = item else { return Ok(None) };
    let Ok(record) = records::decode::<Value>(&value) else {
        // What else is no record: marks of the timers, tokens that were used.
        return if matches!(key.space(), Space::Held | Space::Consent) { Err(Unread) } else { Ok(None) };
    };
    let text = |member: &str| record.get(member).and_then(Value::as_str);
    let Some(sealed) = text(SEALED) else { return Ok(None) };
    let sealed = Sealed::try_from(sealed.to_owned()).map_err(|_| Unread)?;
    let own = text(KEY).and_then(|own| own.parse().ok());
    Ok(Some(Found { key, version, expires_at, record, sealed, own }))
}

/// Counts one, and seals it anew where that is wanted and needed.
async fn look(
    store: &dyn Store,
    ring: &SealRing,
    found: Found,
    renew: Option<Timestamp>,
    seals: &mut Seals,
) -> Result<(), StoreError> {
    let by = ring.sealed_by(&found.sealed);
    let done = match renew {
        Some(now) if by.is_some() && found.sealed.needs_reseal(ring) => Some(anew(store, ring, found, now).await?),
        Some(_) | None => None,
    };
    match done {
        Some(true) => seals.renewed = seals.renewed.saturating_add(1),
        Some(false) => seals.left = seals.left.saturating_add(1),
        None => {}
    }
    // What was sealed anew rests under the first.
    let under = if done == Some(true) { Some(0) } else { by };
    match under.and_then(|at| seals.under.get_mut(at)) {
        Some(count) => *count = count.saturating_add(1),
        None => seals.unknown = seals.unknown.saturating_add(1),
    }
    Ok(())
}

/// Seals one anew; false where that cannot be.
async fn anew(store: &dyn Store, ring: &SealRing, found: Found, now: Timestamp) -> Result<bool, StoreError> {
    let Found { key, version, expires_at, mut record, sealed, own } = found;
    let Some(own) = own else { return Ok(false) };
    let Some(own) = store.find_key(own).await? else { return Ok(false) };
    let place = key.bytes();
    let fresh = ring.open(&own, &place, &sealed).and_then(|plain: Sensitive<Vec<u8>>| ring.seal(&own, &place, &plain));
    let (Ok(fresh), Some(member)) = (fresh, record.get_mut(SEALED)) else { return Ok(false) };
    *member = Value::String(fresh.into());
    let Ok(value) = records::encode(&record) else { return Ok(false) };
    let batch = Batch::new(key.partition()).require(key, Expect::Version(version)).put(key, value, expires_at);
    match store.commit(batch, now).await {
        Ok(_) => Ok(true),
        Err(CommitError::Store(error)) => Err(error),
        Err(CommitError::Conflict | CommitError::TooLarge | CommitError::WrongPartition) => Ok(false),
    }
}
