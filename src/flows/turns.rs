//! Which of many servers looks after the timers of which partition.
//!
//! Each partition's timers are one server's at a time, by a lease in the store; when that server dies, its lease lapses
//! and another takes over. The lease only spares the others the work: that something happens once is the
//! compare-and-set's doing, also where two servers take themselves for the one.

use super::{App, Error, later};
use crate::store::{Batch, CommitError, Expect, Partition, Space, Version};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// For how long the timers of a partition are one server's without it saying so again.
const LEASE: SignedDuration = SignedDuration::from_secs(10);
/// How much of that may be left when it says so again.
const RENEW: SignedDuration = SignedDuration::from_secs(5);

/// What one server holds.
pub struct Turns {
    holder: Uuid,
    held: [Option<Held>; Partition::COUNT as usize],
}

#[derive(Clone, Copy)]
struct Held {
    version: Version,
    until: Timestamp,
}

impl Turns {
    /// A server that holds nothing yet.
    #[expect(clippy::new_without_default, reason = "each is another server")]
    pub fn new() -> Self {
        Self { holder: Uuid::new_v4(), held: [None; Partition::COUNT as usize] }
    }

    /// How many partitions are this server's, as far as it knows.
    pub fn held(&self) -> usize {
        self.held.iter().flatten().count()
    }
}

impl App {
    /// Does what is due in the partitions whose turn is this server's. Tells how many things were.
    pub async fn run_due_in_turn(&self, turns: &mut Turns) -> Result<usize, Error> {
        let (mut done, mut failed) = (0, None);
        for partition in Partition::all() {
            let did = match self.holds(turns, partition).await {
                Ok(true) => self.run_due_in(partition).await,
                Ok(false) => Ok(0),
                Err(error) => Err(error),
            };
            match did {
                Ok(some) => done += some,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Lets others take over at once.
    pub async fn end_turns(&self, turns: Turns) -> Result<(), Error> {
        for (partition, held) in Partition::all().zip(turns.held) {
            let Some(held) = held else { continue };
            let key = self.handles.own_key(Space::Cursor, partition, "timers");
            let batch = Batch::new(partition).require(key, Expect::Version(held.version)).delete(key);
            self.write(batch, self.now()).await?;
        }
        Ok(())
    }

    async fn holds(&self, turns: &mut Turns, partition: Partition) -> Result<bool, Error> {
        let Some(own) = turns.held.get_mut(usize::from(partition.number())) else { return Ok(false) };
        let now = self.now();
        if own.is_some_and(|held| held.until.duration_since(now) > RENEW) {
            return Ok(true);
        }
        let key = self.handles.own_key(Space::Cursor, partition, "timers");
        let expect = match self.store.get(&key, now).await? {
            None => Expect::Absent,
            Some(stored) if stored.value == turns.holder.as_bytes() => Expect::Version(stored.version),
            Some(_) => {
                *own = None;
                return Ok(false);
            }
        };
        let until = later(now, LEASE);
        let batch = Batch::new(partition).require(key, expect);
        let batch = batch.put(key, turns.holder.as_bytes().to_vec(), Some(until));
        *own = None;
        match self.store.commit(batch, now).await {
            Ok(receipt) => *own = Some(Held { version: receipt.version, until }),
            Err(CommitError::Conflict) => {}
            Err(error) => return Err(super::unexpected(error)),
        }
        Ok(own.is_some())
    }
}
