//! Being copied to: everything is written as it was, and read back.
//!
//! While a copy is under way the store's layout is given as another one, so that no server uses it.

use super::batch::expiry;
use super::calls::{Change, Script};
use super::names::{FIRST, Names, home};
use super::{FORMAT, OpenError, Settings, Shared, stored};
use crate::audit::{Head, Link};
use crate::secret::Sensitive;
use crate::store::copy::{Destination, Item};
use crate::store::{Key, KeyId, Partition, Space, Store as _, StoreError};
use async_trait::async_trait;
use aws_lc_rs::rand;
use jiff::Timestamp;
use redis::cmd;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the key `format` says while a copy is not finished.
const COPYING: &str = "idgate store 1, being copied";
/// How many keys one look for keys goes over.
const LOOK: usize = 500;
/// How many links are read at once.
const LINKS: usize = 512;

/// A shared store that is copied to.
pub struct Target {
    /// As a server sees it: refused while a copy is not finished.
    whole: Shared,
    /// Refused unless a copy is not finished.
    unfinished: Shared,
    import: Script,
}

/// What a name in Redis stands for.
enum Named {
    Value(Key),
    Attempts(Key),
    Filed(Key),
    ShredKey(KeyId),
    /// What follows from the rest: the last version, the end of a chain, the chain itself, the layout.
    Rest,
}

impl Target {
    /// Reads the settings and the files that they name.
    pub fn new(settings: &Settings) -> Result<Self, OpenError> {
        Ok(Self {
            whole: Shared::build(settings, FORMAT)?,
            unfinished: Shared::build(settings, COPYING)?,
            import: Script::new(include_str!("import.lua")),
        })
    }

    fn names(&self) -> &Names {
        &self.unfinished.names
    }

    async fn look(store: &Shared, partition: Partition, from: u64) -> Result<(u64, Vec<String>), StoreError> {
        let mut command = cmd("SCAN");
        command.arg(from).arg("MATCH").arg(store.names.all(partition)).arg("COUNT").arg(LOOK);
        store.calls.read(command, partition).await
    }

    /// Some of what a whole store keeps under names, from a cursor on: not the chains. What is written meanwhile may be told
    /// or not.
    pub async fn values(&self, cursor: Option<String>) -> Result<(Vec<Item>, Option<String>), StoreError> {
        let place = Place::read(cursor).ok_or(StoreError::Corrupt)?;
        let partition = Partition::new(place.partition).ok_or(StoreError::Corrupt)?;
        let (next, names) = Self::look(&self.whole, partition, place.at).await?;
        let items = Self::read(&self.whole, partition, names).await?;
        let next = match next {
            0 => Place { partition: place.partition.saturating_add(1), links: false, at: 0 },
            at => Place { at, ..place },
        };
        Ok((items, next.written()))
    }

    async fn write(&self, partition: Partition, items: Vec<Item>, now: Timestamp) -> Result<(), StoreError> {
        let mut call = self.import.call();
        for item in items {
            match item {
                Item::Value { key, value, version, expires_at } => {
                    let (until, life) = expiry(expires_at, now);
                    let bytes = [&version.0.to_be_bytes()[..], &until, &value].concat();
                    call.key(self.names().value(&key)).arg("v").arg(bytes).arg(life);
                }
                Item::Attempts { key, times, expires_at } => {
                    let (_, life) = expiry(expires_at, now);
                    call.key(self.names().value(&key)).arg("a").arg(life).arg(times.len());
                    for time in times {
                        let mut own = [0u8; 16];
                        rand::fill(&mut own).map_err(|_| StoreError::Unavailable)?;
                        call.arg(time).arg(&own[..]);
                    }
                }
                Item::Filed { under, key } => {
                    call.key(self.names().filed(&under)).arg("f").arg(&key.bytes()[..]);
                }
                Item::ShredKey { id, key } => {
                    call.key(self.names().shred(id)).arg("v").arg(&key.expose()[..]).arg("");
                }
                Item::Link { link, .. } => {
                    let end = [&link.seq.to_be_bytes()[..], &link.hash.0].concat();
                    call.key(self.names().audit(partition)).key(self.names().head(partition));
                    call.arg("x").arg(format!("{}-0", link.seq));
                    call.arg(&link.prev.0[..]).arg(&link.hash.0[..]).arg(&link.body).arg(end);
                }
            }
        }
        self.unfinished.calls.change::<u64>(Change::Script(call), partition).await.map(drop)
    }

    /// What lies under names of one partition.
    async fn read(of: &Shared, partition: Partition, names: Vec<String>) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut plain) = (Vec::new(), Vec::new());
        for name in names {
            match of.names.read(partition, &name).ok_or(StoreError::Corrupt)? {
                Named::Rest => {}
                named @ (Named::Value(_) | Named::ShredKey(_)) => plain.push((named, name)),
                Named::Attempts(key) => items.push(Self::attempts(of, key, name).await?),
                Named::Filed(under) => {
                    let mut command = cmd("ZRANGE");
                    command.arg(name).arg(0).arg(-1);
                    let members: Vec<Vec<u8>> = of.calls.read(command, partition).await?;
                    for member in members {
                        let key = member.as_slice().try_into().ok().and_then(Key::read).ok_or(StoreError::Corrupt)?;
                        items.push(Item::Filed { under, key });
                    }
                }
            }
        }
        if plain.is_empty() {
            return Ok(items);
        }
        let mut command = cmd("MGET");
        for (_, name) in &plain {
            command.arg(name);
        }
        let found: Vec<Option<Vec<u8>>> = of.calls.read(command, partition).await?;
        for ((named, _), bytes) in plain.into_iter().zip(found) {
            // What has expired between the two looks is gone.
            let Some(bytes) = bytes else { continue };
            items.push(item(named, bytes).ok_or(StoreError::Corrupt)?);
        }
        Ok(items)
    }

    async fn attempts(of: &Shared, key: Key, name: String) -> Result<Item, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(name).arg(0).arg(-1).arg("WITHSCORES");
        let members: Vec<(Vec<u8>, String)> = of.calls.read(command, key.partition()).await?;
        let time = |score: &str| format!("{:.0}", score.parse::<f64>().ok()?).parse().ok();
        let times: Option<Vec<i64>> = members.iter().map(|(_, score)| time(score)).collect();
        Ok(Item::Attempts { key, times: times.ok_or(StoreError::Corrupt)?, expires_at: None })
    }
}

/// A value or a key as it lies in Redis.
fn item(named: Named, mut bytes: Vec<u8>) -> Option<Item> {
    match named {
        Named::Value(key) => {
            let stored = stored(&mut bytes)?;
            let (value, version) = (stored.value, stored.version);
            Some(Item::Value { key, value, version, expires_at: stored.expires_at })
        }
        Named::ShredKey(id) => {
            let bytes = Sensitive::new(bytes);
            let key = Sensitive::new(bytes.expose().as_slice().try_into().ok()?);
            Some(Item::ShredKey { id, key: Arc::new(key) })
        }
        Named::Attempts(_) | Named::Filed(_) | Named::Rest => None,
    }
}

impl Names {
    /// What a name stands for, if this store gave it.
    fn read(&self, partition: Partition, name: &str) -> Option<Named> {
        let rest = name.strip_prefix(self.all(partition).strip_suffix('*')?)?;
        let Some((kind, id)) = rest.split_once(':') else {
            return ["version", "head", "audit", "format"].contains(&rest).then_some(Named::Rest);
        };
        if kind == "key" {
            return Some(Named::ShredKey(id.parse().ok()?));
        }
        let [letter, filed @ ..] = kind.as_bytes() else { return None };
        let key = super::names::key(partition, *letter, id)?;
        match (filed, key.space()) {
            (b"f", _) => Some(Named::Filed(key)),
            (b"", Space::Attempts) => Some(Named::Attempts(key)),
            (b"", _) => Some(Named::Value(key)),
            _ => None,
        }
    }
}

/// The partition that a thing lies in.
fn partition_of(item: &Item) -> Partition {
    match item {
        Item::Value { key, .. } | Item::Attempts { key, .. } => key.partition(),
        Item::Filed { under, .. } => under.partition(),
        Item::Link { partition, .. } => *partition,
        Item::ShredKey { id, .. } => home(*id),
    }
}

/// Where reading back stands: a partition, and a place in its chain or among its keys.
struct Place {
    partition: u8,
    links: bool,
    at: u64,
}

impl Place {
    fn read(cursor: Option<String>) -> Option<Self> {
        let Some(cursor) = cursor else { return Some(Self { partition: 0, links: true, at: 0 }) };
        let mut parts = cursor.split(' ');
        let (partition, links, at) =
            (parts.next()?.parse().ok()?, parts.next()? == "links", parts.next()?.parse().ok()?);
        Some(Self { partition, links, at })
    }

    /// The cursor that says so; none after the last partition.
    fn written(self) -> Option<String> {
        let what = if self.links { "links" } else { "keys" };
        (self.partition < Partition::COUNT).then(|| format!("{} {what} {}", self.partition, self.at))
    }
}

#[async_trait]
impl Destination for Target {
    async fn is_empty(&self) -> Result<bool, StoreError> {
        if let Err(away) = self.whole.health().await {
            // Refused as a whole store, and found as one that was not finished.
            return if self.unfinished.health().await.is_ok() { Ok(false) } else { Err(away) };
        }
        for partition in Partition::all() {
            let mut from = 0;
            loop {
                let (next, names) = Self::look(&self.whole, partition, from).await?;
                let layout = self.whole.names.format();
                if names.iter().any(|name| *name != layout) {
                    return Ok(false);
                }
                if next == 0 {
                    break;
                }
                from = next;
            }
        }
        Ok(true)
    }

    async fn begin(&self) -> Result<(), StoreError> {
        let mark = cmd("SET").arg(self.whole.names.format()).arg(COPYING).take();
        self.whole.calls.change::<String>(Change::Command(mark), FIRST).await?;
        self.unfinished.health().await
    }

    async fn import(&self, items: Vec<Item>, now: Timestamp) -> Result<(), StoreError> {
        let mut parts: BTreeMap<Partition, Vec<Item>> = BTreeMap::new();
        for item in items {
            parts.entry(partition_of(&item)).or_default().push(item);
        }
        for (partition, items) in parts {
            self.write(partition, items, now).await?;
        }
        Ok(())
    }

    async fn export(&self, cursor: Option<String>) -> Result<(Vec<Item>, Option<String>), StoreError> {
        let place = Place::read(cursor).ok_or(StoreError::Corrupt)?;
        let partition = Partition::new(place.partition).ok_or(StoreError::Corrupt)?;
        if place.links {
            let links = self.unfinished.trail(partition, place.at, LINKS).await?;
            let at = links.last().map(|link| link.seq);
            let items = links.into_iter().map(|link| Item::Link { partition, link }).collect();
            let next = Place { links: at.is_some(), at: at.unwrap_or(0), ..place };
            return Ok((items, next.written()));
        }
        let (next, names) = Self::look(&self.unfinished, partition, place.at).await?;
        let items = Self::read(&self.unfinished, partition, names).await?;
        let next = match next {
            0 => Place { partition: place.partition.saturating_add(1), links: true, at: 0 },
            at => Place { at, ..place },
        };
        Ok((items, next.written()))
    }

    async fn finish(&self) -> Result<(), StoreError> {
        let mark = cmd("SET").arg(self.names().format()).arg(FORMAT).take();
        self.unfinished.calls.change::<String>(Change::Command(mark), FIRST).await.map(drop)
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        self.unfinished.head(partition).await
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        self.unfinished.trail(partition, after, at_most).await
    }
}
