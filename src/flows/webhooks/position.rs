//! How far a webhook has come and who delivers it, in the store.
//!
//! Who delivers holds a lease and renews it; the position is written only by who holds it (compare-and-set), so of two
//! processes one delivers. One that was killed lets its lease lapse, and another goes on from what was written: what it
//! had posted since is posted again, and nothing is left out.

use crate::flows::events::Cursor;
use crate::flows::records::{decode, encode};
use crate::flows::{App, Error, later};
use crate::store::{Batch, CommitError, Expect, Key, Space, Version};
use crate::terms::RelyingParty;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// For how long nobody else delivers.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often who delivers says so. An attempt takes at most half of what is left of the lease then.
pub const RENEW: Duration = Duration::from_secs(20);

/// What is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The last events that were delivered.
    cursor: String,
    /// Who delivers.
    holder: Uuid,
    /// Until when nobody else does.
    until: Timestamp,
}

/// What asking for the lease came to.
pub enum Claim {
    /// This process delivers.
    Held(Position),
    /// Another one does, until then.
    Elsewhere(Timestamp),
}

/// The right to deliver, and how far it has come.
pub struct Position {
    key: Key,
    holder: Uuid,
    version: Version,
    /// What was delivered.
    pub cursor: Cursor,
}

/// The lease is somebody else's now, or the store did not answer.
pub enum Lost {
    /// It was taken over.
    TakenOver,
    /// The store did not answer.
    Store(Error),
}

impl Position {
    /// Asks for the lease of the webhook with this name. `first` is where one begins that has no position.
    pub async fn claim(
        app: &App,
        party: &RelyingParty,
        name: &str,
        holder: Uuid,
        first: Cursor,
    ) -> Result<Claim, Error> {
        let text = format!("webhook:{name}");
        let key = app.handles.key(Space::Cursor, app.handles.partition(party, &text), party, &text);
        let now = app.now();
        let (cursor, expect) = match app.store.get(&key, now).await? {
            None => (first, Expect::Absent),
            Some(stored) => {
                let record: Record = decode(&stored.value)?;
                if record.holder != holder && record.until > now {
                    return Ok(Claim::Elsewhere(record.until));
                }
                (record.cursor.parse().map_err(|_| Error::Broken)?, Expect::Version(stored.version))
            }
        };
        match write(app, key, holder, cursor, later(now, LEASE), expect).await {
            Ok(version) => Ok(Claim::Held(Self { key, holder, version, cursor })),
            Err(Lost::TakenOver) => Ok(Claim::Elsewhere(later(now, LEASE))),
            Err(Lost::Store(error)) => Err(error),
        }
    }

    /// Writes how far it has come, and holds the lease for longer.
    pub async fn save(&mut self, app: &App) -> Result<(), Lost> {
        self.write(app, later(app.now(), LEASE)).await
    }

    /// Writes how far it has come, and lets go.
    pub async fn release(mut self, app: &App) -> Result<(), Lost> {
        self.write(app, app.now()).await
    }

    async fn write(&mut self, app: &App, until: Timestamp) -> Result<(), Lost> {
        let expect = Expect::Version(self.version);
        self.version = write(app, self.key, self.holder, self.cursor, until, expect).await?;
        Ok(())
    }
}

async fn write(
    app: &App,
    key: Key,
    holder: Uuid,
    cursor: Cursor,
    until: Timestamp,
    expect: Expect,
) -> Result<Version, Lost> {
    let record = encode(&Record { cursor: cursor.to_string(), holder, until }).map_err(Lost::Store)?;
    let batch = Batch::new(key.partition()).require(key, expect).put(key, record, None);
    match app.store.commit(batch, app.now()).await {
        Ok(receipt) => Ok(receipt.version),
        Err(CommitError::Conflict) => Err(Lost::TakenOver),
        Err(error) => Err(Lost::Store(crate::flows::unexpected(error))),
    }
}
