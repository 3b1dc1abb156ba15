//! The store in Redis or Valkey (6.2 or newer), for any number of processes: one server, Sentinel, or a Cluster.
//!
//! A batch is one script, so it is applied as a whole or not at all; its keys lie in one hash slot. The hashes of the
//! audit chain are made here, on the head that this process saw last; if another process was first, the script changes
//! nothing and tells the new head, and the hashes are made anew. No change is ever sent twice: when its answer is lost,
//! the caller is told [`StoreError::Unavailable`] and has to read what happened.
//!
//! What is durable is up to the server. A change is acknowledged when the server has it; with `appendfsync always` that
//! means on its disk, and with [`Settings::acknowledged_replicas`] also in the memory of so many replicas (`WAIT`).
//! Otherwise a crash loses what was not yet written (`everysec`: about a second), and a failover what the replica had not
//! received. A master that was deposed without knowing it can still answer reads for as long as this process is connected
//! to it, a second at most where Sentinel is asked; it cannot have a change acknowledged by a replica.
//!
//! Expired values are removed by Redis itself, up to a minute after the instant, since the clocks of servers differ; a
//! read never returns them. Keys that can be destroyed are overwritten and deleted, but Redis' append-only file, its
//! dumps and its replicas' files hold older states until they are rewritten: what such a key sealed also needs a key of
//! the sealing ring, which is never in Redis.

mod batch;
mod calls;
mod connect;
pub mod copy;
mod link;
mod names;

use super::{Attempts, Batch, CommitError, FILED, Key, KeyId, Limit, Partition, Receipt, ShredKey, Store};
use super::{StoreError, Stored, Version};
use crate::audit::{Digest, Head, Link};
use crate::secret::Sensitive;
use crate::source::{ReadError, Source};
use async_trait::async_trait;
use aws_lc_rs::rand;
use calls::{Calls, Change, Script};
use jiff::{SignedDuration, Timestamp};
use names::{Names, home};
use redis::cmd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What the key `format` says. Another layout gets another number and a migration.
const FORMAT: &str = "idgate store 1";
/// How long Redis may keep a value beyond its expiry by the clock of whoever put it, in milliseconds.
const GRACE: i64 = 60_000;
/// The version and the expiry before a value.
const HEADER: usize = 16;
/// The most links that one read of the audit chain returns.
const TRAIL: usize = 4096;

/// How the servers go together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// One server.
    #[default]
    Single,
    /// A Redis Cluster; the URLs are some of its servers.
    Cluster,
    /// The URLs are Sentinels, who name the master.
    Sentinel,
}

/// Where the store lies, and what is asked of it.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `redis://host:port/database` or, with TLS, `rediss://…`. None: the embedded store is used.
    pub urls: Vec<String>,
    /// How they go together.
    pub topology: Topology,
    /// What Sentinel calls the master.
    pub master: String,
    /// The ACL user; empty for the default one.
    pub username: String,
    /// The file with its password, which only its owner can read; empty for none.
    pub password: Source,
    /// The ACL user of the Sentinels.
    pub sentinel_username: String,
    /// The file with its password.
    pub sentinel_password: Source,
    /// The file with the certificates that are trusted; empty for those of the system.
    pub ca: PathBuf,
    /// The file with the certificate that is shown; empty for none.
    pub certificate: PathBuf,
    /// Where its key lies.
    pub key: Source,
    /// Whether production may talk to it without TLS.
    pub allow_plain: bool,
    /// The first part of every key's name.
    pub namespace: String,
    /// Connections for reads, and as many for changes.
    pub connections: usize,
    /// The longest time to connect, in milliseconds.
    pub connect_ms: u32,
    /// The longest time for one call, in milliseconds.
    pub call_ms: u32,
    /// How many replicas must have a change before it is acknowledged.
    pub acknowledged_replicas: u8,
    /// How long they may take, in milliseconds.
    pub acknowledge_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            topology: Topology::Single,
            master: String::new(),
            username: String::new(),
            password: Source::Unset,
            sentinel_username: String::new(),
            sentinel_password: Source::Unset,
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: Source::Unset,
            allow_plain: false,
            namespace: String::from("idgate"),
            connections: 1,
            connect_ms: 1000,
            call_ms: 1000,
            acknowledged_replicas: 0,
            acknowledge_ms: 1000,
        }
    }
}

impl Settings {
    /// The longest time for one call.
    fn longest(&self) -> Duration {
        Duration::from_millis(u64::from(self.call_ms) + u64::from(self.acknowledge_ms))
    }

    /// Whether the shared store is used.
    pub fn used(&self) -> bool {
        !self.urls.is_empty()
    }

    /// What does not go together or is out of bounds, if anything.
    pub fn check(&self, production: bool) -> Option<&'static str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let rules = [
            (
                self.urls.iter().any(|url| url.contains('@')),
                "store.redis.urls: no user and no password in a url; see username and password",
            ),
            (
                production && !self.allow_plain && self.urls.iter().any(|url| !url.starts_with("rediss://")),
                "store.redis.urls: production needs rediss:// (or store.redis.allow_plain)",
            ),
            (
                !(1..=32).contains(&self.namespace.len()) || !self.namespace.chars().all(fits),
                "store.redis.namespace must be 1 to 32 letters, digits, `-`, `_` or `.`",
            ),
            (!(1..=64).contains(&self.connections), "store.redis.connections must be 1 to 64"),
            (!(50..=60_000).contains(&self.connect_ms), "store.redis.connect_ms must be 50 to 60000"),
            (!(50..=60_000).contains(&self.call_ms), "store.redis.call_ms must be 50 to 60000"),
            (!(1..=60_000).contains(&self.acknowledge_ms), "store.redis.acknowledge_ms must be 1 to 60000"),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, message)| message)
    }
}

/// The settings cannot be used. Says nothing of what they hold besides the names of files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of a Redis server.
    #[error("store.redis.urls must be one or more of redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE")]
    Url,
    /// The settings do not go together.
    #[error("store.redis: one url for a single server; Sentinel needs `master`")]
    Topology,
    /// A file cannot be read.
    #[error("{0}: cannot be read")]
    File(PathBuf),
    /// A secret cannot be read.
    #[error("{0}: {1}")]
    Secret(Source, ReadError),
    /// A password is not text.
    #[error("a password is not UTF-8")]
    Password,
    /// A certificate without its key, or a key without its certificate.
    #[error("store.redis.certificate and store.redis.key go together")]
    Certificate,
    /// The client refuses the settings.
    #[error("store.redis: {}", .0.category())]
    Client(#[from] redis::RedisError),
}

/// The store. It connects when it is first used, and again whenever it has to; nothing waits for a server that is away.
pub struct Shared {
    calls: Calls,
    names: Arc<Names>,
    /// The head of each chain as this process saw it last. Held by whoever is recording, so that processes compete for a
    /// chain and the calls of one process do not.
    heads: [Mutex<Head>; Partition::COUNT as usize],
    commit: Script,
    count: Script,
}

impl Shared {
    /// Reads the settings and the files that they name.
    pub fn new(settings: &Settings) -> Result<Self, OpenError> {
        Self::build(settings, FORMAT)
    }

    fn build(settings: &Settings, format: &'static str) -> Result<Self, OpenError> {
        let names = Arc::new(Names::new(&settings.namespace));
        Ok(Self {
            calls: Calls::new(settings, &names, format)?,
            names,
            heads: std::array::from_fn(|_| Mutex::new(Head::GENESIS)),
            commit: Script::new(include_str!("shared/commit.lua")),
            count: Script::new(include_str!("shared/count.lua")),
        })
    }
}

#[async_trait]
impl Store for Shared {
    async fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let command = cmd("GET").arg(self.names.value(key)).take();
        let found: Option<Vec<u8>> = self.calls.read(command, key.partition()).await?;
        unexpired(found, now)
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        batch.check()?;
        self.apply(&batch, now).await
    }

    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let command = cmd("GETDEL").arg(self.names.value(key)).take();
        let found: Option<Vec<u8>> = self.calls.change(Change::Command(command), key.partition()).await?;
        unexpired(found, now)
    }

    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        let from = after.map_or_else(|| b"-".to_vec(), |after| [b"(", &after.bytes()[..]].concat());
        let mut command = cmd("ZRANGEBYLEX");
        command.arg(self.names.filed(under)).arg(from).arg("+").arg("LIMIT").arg(0).arg(at_most.min(FILED));
        let members: Vec<Vec<u8>> = self.calls.read(command, under.partition()).await?;
        let key = |bytes: Vec<u8>| Key::read(&bytes.try_into().ok()?);
        members.into_iter().map(|bytes| key(bytes).ok_or(StoreError::Corrupt)).collect()
    }

    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        let window = i64::try_from(limit.window.as_micros()).map_err(|_| StoreError::Corrupt)?;
        let mut own = [0u8; 16];
        rand::fill(&mut own).map_err(|_| StoreError::Unavailable)?;
        let mut call = self.count.call();
        call.key(self.names.value(key));
        call.arg(now.as_microsecond()).arg(window).arg(limit.max).arg(&own[..]).arg(GRACE);
        let (allowed, count, first): (bool, u16, String) =
            self.calls.change(Change::Script(call), key.partition()).await?;
        if allowed {
            return Ok(Attempts { allowed, count, retry_after: None });
        }
        let first: i64 = first.parse().map_err(|_| StoreError::Corrupt)?;
        let wait = first.saturating_add(window).saturating_sub(now.as_microsecond());
        Ok(Attempts { allowed, count, retry_after: Some(SignedDuration::from_micros(wait)) })
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        let (Some(from), 1..) = (after.checked_add(1), at_most) else { return Ok(Vec::new()) };
        let mut command = cmd("XRANGE");
        command.arg(self.names.audit(partition)).arg(format!("{from}-0")).arg("+");
        command.arg("COUNT").arg(at_most.min(TRAIL));
        let entries: Vec<(String, Vec<Vec<u8>>)> = self.calls.read(command, partition).await?;
        entries.into_iter().map(|(id, fields)| link(&id, fields).ok_or(StoreError::Corrupt)).collect()
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        let command = cmd("GET").arg(self.names.head(partition)).take();
        let found: Option<Vec<u8>> = self.calls.read(command, partition).await?;
        head(&found.unwrap_or_default()).ok_or(StoreError::Corrupt)
    }

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        let (mut slot, mut tag, mut key) = ([0u8; 4], [0u8; KeyId::TAG], Sensitive::new([0u8; 32]));
        for bytes in [&mut slot[..], &mut tag[..], &mut key.expose_mut()[..]] {
            rand::fill(bytes).map_err(|_| StoreError::Unavailable)?;
        }
        let id = KeyId { slot: u32::from_be_bytes(slot), tag };
        let command = cmd("SET").arg(self.names.shred(id)).arg(&key.expose()[..]).arg("NX").take();
        let new: bool = self.calls.change(Change::Command(command), home(id)).await?;
        // A name of 128 random bits that is there already is no name: something is wrong with the random bytes.
        if new { Ok((id, key)) } else { Err(StoreError::Corrupt) }
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        let found: Option<Vec<u8>> = self.calls.read(cmd("GET").arg(self.names.shred(id)).take(), home(id)).await?;
        let Some(found) = found.map(Sensitive::new) else { return Ok(None) };
        let mut key = Sensitive::new([0u8; 32]);
        if found.expose().len() != key.expose().len() {
            return Err(StoreError::Corrupt);
        }
        key.expose_mut().copy_from_slice(found.expose());
        // One that was overwritten and not yet deleted is gone.
        Ok((*key.expose() != [0; 32]).then_some(key))
    }

    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        // Overwritten where it lies in the server's memory, in case that is not used anew for long.
        let name = self.names.shred(id);
        let overwrite = cmd("SETRANGE").arg(&name).arg(0).arg(&[0u8; 32][..]).take();
        let _: u64 = self.calls.change(Change::Command(overwrite), home(id)).await?;
        let _: u64 = self.calls.change(Change::Command(cmd("DEL").arg(&name).take()), home(id)).await?;
        Ok(())
    }

    async fn sweep(&self, _now: Timestamp) -> Result<u64, StoreError> {
        Ok(0) // Redis does it
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.calls.health().await
    }
}

/// A value as it lies in Redis, unless it has expired.
fn unexpired(found: Option<Vec<u8>>, now: Timestamp) -> Result<Option<Stored>, StoreError> {
    let Some(mut value) = found else { return Ok(None) };
    let stored = stored(&mut value).ok_or(StoreError::Corrupt)?;
    Ok((stored.expires_at.is_none_or(|time| time > now)).then_some(stored))
}

/// Takes the header off: version, expiry in microseconds (the greatest number for none).
fn stored(value: &mut Vec<u8>) -> Option<Stored> {
    let (version, expiry) =
        value.split_first_chunk::<8>().and_then(|(version, rest)| Some((*version, *rest.first_chunk()?)))?;
    value.drain(..HEADER);
    let expires_at = match i64::from_be_bytes(expiry) {
        i64::MAX => None,
        time => Some(Timestamp::from_microsecond(time).ok()?),
    };
    Some(Stored { value: std::mem::take(value), version: Version(u64::from_be_bytes(version)), expires_at })
}

/// A head as it lies in Redis: the number and the hash; nothing for a chain that has not begun.
fn head(bytes: &[u8]) -> Option<Head> {
    if bytes.is_empty() {
        return Some(Head::GENESIS);
    }
    let (seq, hash) = bytes.split_first_chunk()?;
    Some(Head { seq: u64::from_be_bytes(*seq), hash: Digest(hash.try_into().ok()?) })
}

/// An entry of a stream as a link.
fn link(id: &str, fields: Vec<Vec<u8>>) -> Option<Link> {
    let seq = id.strip_suffix("-0")?.parse().ok()?;
    let [_, prev, _, hash, _, body] = <[Vec<u8>; 6]>::try_from(fields).ok()?;
    let digest = |bytes: Vec<u8>| Some(Digest(bytes.try_into().ok()?));
    Some(Link { seq, prev: digest(prev)?, body: String::from_utf8(body).ok()?, hash: digest(hash)? })
}
