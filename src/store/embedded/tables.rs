//! What one request does inside a write transaction: look at everything first, then write.
//!
//! A request that is refused has written nothing, so it needs no undo and cannot disturb the others of its group.

use crate::audit::{Digest, Head, Link};
use crate::store::{Attempts, Batch, CommitError, Expect, Key, Limit, Partition, Receipt, Stored, Version, Write};
use crate::store::{StoreError, embedded::corrupt};
use jiff::{SignedDuration, Timestamp};
use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

type Id = &'static [u8; Key::LEN];

/// Key -> version, expiry in microseconds, value.
pub(super) const VALUES: TableDefinition<Id, (u64, Option<i64>, &[u8])> = TableDefinition::new("values");
/// Expiry and key, in the order in which they fall due.
pub(super) const EXPIRIES: TableDefinition<(i64, Id), ()> = TableDefinition::new("expiries");
/// Key and a key that is filed under it.
pub(super) const FILED: TableDefinition<(Id, Id), ()> = TableDefinition::new("filed");
/// Hash before, hash, body.
type LinkRow = (&'static [u8; 32], &'static [u8; 32], &'static str);
/// Partition and number -> link.
pub(super) const LINKS: TableDefinition<(u8, u64), LinkRow> = TableDefinition::new("audit");
/// Partition -> number and hash of the last link.
pub(super) const HEADS: TableDefinition<u8, (u64, &[u8; 32])> = TableDefinition::new("heads");
/// The format, and the last version that was given out.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// How many values one sweep request removes at most, so that others are not held up.
pub(super) const SWEEP_STEP: usize = 1024;

/// The tables of one write transaction.
pub(super) struct Tables<'t> {
    values: Table<'t, Id, (u64, Option<i64>, &'static [u8])>,
    expiries: Table<'t, (i64, Id), ()>,
    filed: Table<'t, (Id, Id), ()>,
    links: Table<'t, (u8, u64), LinkRow>,
    heads: Table<'t, u8, (u64, &'static [u8; 32])>,
    meta: Table<'t, &'static str, u64>,
    /// Whether anything was written, so that a group of refusals need not be synced.
    pub(super) changed: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            values: transaction.open_table(VALUES)?,
            expiries: transaction.open_table(EXPIRIES)?,
            filed: transaction.open_table(FILED)?,
            links: transaction.open_table(LINKS)?,
            heads: transaction.open_table(HEADS)?,
            meta: transaction.open_table(META)?,
            changed: false,
        })
    }

    pub(super) fn apply(&mut self, batch: &Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        for (key, expect) in &batch.expects {
            let version = self.read(key, now)?.map(|stored| stored.version);
            let holds = match expect {
                Expect::Absent => version.is_none(),
                Expect::Version(wanted) => version == Some(*wanted),
            };
            if !holds {
                return Err(CommitError::Conflict);
            }
        }
        let version = self.next_version()?;
        for (key, write) in &batch.writes {
            match write {
                Write::Put(value, expires_at) => self.put(key, version, value, *expires_at)?,
                Write::Delete => drop(self.remove(key)?),
                Write::File(filed) => self.file(key, filed)?,
                Write::Unfile(filed) => self.unfile(key, filed)?,
            }
        }
        let head = self.append(batch)?;
        Ok(Receipt { version, head })
    }

    pub(super) fn take(&mut self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        Ok(self.remove(key)?.filter(|stored| !expired(stored.expires_at, now)))
    }

    pub(super) fn count(&mut self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        let now_us = now.as_microsecond();
        let window_us = i64::try_from(limit.window.as_micros()).map_err(|_| StoreError::Corrupt)?;
        let stored = self.read(key, now)?.map(|stored| stored.value).unwrap_or_default();
        let (times, rest) = stored.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(StoreError::Corrupt);
        }
        let still = |time: &i64| now_us.saturating_sub(*time) < window_us;
        let mut times: Vec<i64> = times.iter().map(|time| i64::from_be_bytes(*time)).filter(still).collect();
        times.sort_unstable();
        let count = u16::try_from(times.len()).map_err(|_| StoreError::Corrupt)?;
        if count >= limit.max {
            // With a limit that was lowered meanwhile, more than one has to leave the window first.
            let leaves_first = times.get(usize::from(count - limit.max)).copied().unwrap_or(now_us);
            let wait = leaves_first.saturating_add(window_us).saturating_sub(now_us);
            return Ok(Attempts { allowed: false, count, retry_after: Some(SignedDuration::from_micros(wait)) });
        }
        times.push(now_us);
        let newest = times.iter().copied().max().unwrap_or(now_us);
        let expires_at = Timestamp::from_microsecond(newest.saturating_add(window_us)).unwrap_or(Timestamp::MAX);
        let value: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
        let version = self.next_version()?;
        self.put(key, version, &value, Some(expires_at))?;
        Ok(Attempts { allowed: true, count: count.saturating_add(1), retry_after: None })
    }

    /// Removes values whose time has come, of up to [`SWEEP_STEP`] notes of when that is: how many values those were, and
    /// whether more notes are due.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Result<(usize, bool), StoreError> {
        let due: Vec<(i64, [u8; Key::LEN])> = {
            let end = (now.as_microsecond(), &[u8::MAX; Key::LEN]);
            let range = self.expiries.range(..=end).map_err(corrupt)?;
            let taken: Result<_, redb::StorageError> =
                range.take(SWEEP_STEP).map(|item| item.map(|(key, _)| (key.value().0, *key.value().1))).collect();
            taken.map_err(corrupt)?
        };
        let mut swept = 0;
        for (expiry, id) in &due {
            self.expiries.remove((*expiry, id)).map_err(corrupt)?;
            self.changed = true;
            // What was put anew since has another note.
            let over = self.values.get(id).map_err(corrupt)?.is_some_and(|guard| guard.value().1 == Some(*expiry));
            if over {
                self.values.remove(id).map_err(corrupt)?;
                swept += 1;
            }
        }
        Ok((swept, due.len() == SWEEP_STEP))
    }

    fn read(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let found = self.values.get(&key.bytes()).map_err(corrupt)?;
        let stored = found.map(|guard| stored(guard.value())).transpose()?;
        Ok(stored.filter(|stored| !expired(stored.expires_at, now)))
    }

    fn put(&mut self, key: &Key, version: Version, value: &[u8], expires: Option<Timestamp>) -> Result<(), StoreError> {
        // The note of when the value before was over stays until it is swept: to put something anew takes no longer than to
        // put it first, so that time does not tell who is known.
        let (id, expiry) = (key.bytes(), expires.map(|time| time.as_microsecond()));
        self.values.insert(&id, (version.0, expiry, value)).map_err(corrupt)?;
        if let Some(expiry) = expiry {
            self.expiries.insert((expiry, &id), ()).map_err(corrupt)?;
        }
        self.changed = true;
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let id = key.bytes();
        let removed = match self.values.remove(&id).map_err(corrupt)? {
            Some(guard) => stored(guard.value())?,
            None => return Ok(None),
        };
        if let Some(time) = removed.expires_at {
            self.expiries.remove((time.as_microsecond(), &id)).map_err(corrupt)?;
        }
        self.changed = true;
        Ok(Some(removed))
    }

    fn file(&mut self, under: &Key, key: &Key) -> Result<(), StoreError> {
        let there = self.filed.insert((&under.bytes(), &key.bytes()), ()).map_err(corrupt)?.is_some();
        self.changed |= !there;
        Ok(())
    }

    fn unfile(&mut self, under: &Key, key: &Key) -> Result<(), StoreError> {
        let there = self.filed.remove((&under.bytes(), &key.bytes())).map_err(corrupt)?.is_some();
        self.changed |= there;
        Ok(())
    }

    fn append(&mut self, batch: &Batch) -> Result<Head, StoreError> {
        let chain = batch.partition.number();
        let found = self.heads.get(chain).map_err(corrupt)?.map(|guard| head(guard.value()));
        let mut end = found.unwrap_or(Head::GENESIS);
        for entry in &batch.entries {
            let link = end.append(chain, entry);
            let row = (&link.prev.0, &link.hash.0, link.body.as_str());
            self.links.insert((chain, link.seq), row).map_err(corrupt)?;
            end = Head { seq: link.seq, hash: link.hash };
            self.changed = true;
        }
        if !batch.entries.is_empty() {
            self.heads.insert(chain, (end.seq, &end.hash.0)).map_err(corrupt)?;
        }
        Ok(end)
    }

    fn next_version(&mut self) -> Result<Version, StoreError> {
        let last = self.meta.get("version").map_err(corrupt)?.map_or(0, |guard| guard.value());
        let next = last.checked_add(1).ok_or(StoreError::Corrupt)?;
        self.meta.insert("version", next).map_err(corrupt)?;
        Ok(Version(next))
    }
}

/// Whether a value counts as absent.
pub(super) fn expired(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|time| time <= now)
}

/// A row of [`VALUES`] as a value.
pub(super) fn stored((version, expiry, value): (u64, Option<i64>, &[u8])) -> Result<Stored, StoreError> {
    let expires_at = expiry.map(Timestamp::from_microsecond).transpose().map_err(|_| StoreError::Corrupt)?;
    Ok(Stored { value: value.to_vec(), version: Version(version), expires_at })
}

/// A row of [`HEADS`] as a head.
pub(super) fn head((seq, hash): (u64, &[u8; 32])) -> Head {
    Head { seq, hash: Digest(*hash) }
}

/// A row of [`LINKS`] as a link.
pub(super) fn link(seq: u64, (prev, hash, body): (&[u8; 32], &[u8; 32], &str)) -> Link {
    Link { seq, prev: Digest(*prev), body: body.to_owned(), hash: Digest(*hash) }
}

/// Creates what is missing and checks that every chain ends where its head says.
pub(super) fn prepare(transaction: &WriteTransaction) -> Result<(), super::OpenError> {
    let mut tables = Tables::open(transaction)?;
    let format = tables.meta.get("format").map_err(redb::Error::from)?.map(|guard| guard.value());
    match format {
        None => drop(tables.meta.insert("format", super::FORMAT).map_err(redb::Error::from)?),
        Some(super::FORMAT) => {}
        Some(_) => return Err(super::OpenError::Format),
    }
    for partition in Partition::all() {
        let chain = partition.number();
        let end = tables.heads.get(chain).map_err(redb::Error::from)?.map(|guard| head(guard.value()));
        let mut range = tables.links.range((chain, 0)..=(chain, u64::MAX)).map_err(redb::Error::from)?;
        let last = range.next_back().transpose().map_err(redb::Error::from)?;
        let last = last.map(|(key, row)| {
            let link = link(key.value().1, row.value());
            Head { seq: link.seq, hash: link.hash }
        });
        if end != last {
            return Err(super::OpenError::Damaged);
        }
    }
    Ok(())
}
