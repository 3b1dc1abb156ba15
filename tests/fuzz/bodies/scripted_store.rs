//! A store that answers with what the input says: one line for each value that is read, in order; an empty line is a
//! value that is not there, and so is every value after the last line. It takes every change.

use async_trait::async_trait;
use idgate::audit::{Digest, Head, Link};
use idgate::secret::Sensitive;
use idgate::store::{
    Attempts, Batch, CommitError, Key, KeyId, Limit, Partition, Receipt, ShredKey, Store, StoreError, Stored, Version,
};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Mutex;

/// What is left to answer with.
#[derive(Default)]
struct Answers {
    values: VecDeque<Vec<u8>>,
    filed: Vec<Key>,
    conflicts: u8,
    written: u64,
}

/// The store.
#[derive(Default)]
pub struct Scripted(Mutex<Answers>);

/// The key under which the seeds' sealed values were sealed.
pub fn own_key() -> ShredKey {
    Sensitive::new([9; 32])
}

impl Scripted {
    /// Answers with these from now on; so many changes meet somebody else's.
    pub fn begin(&self, values: VecDeque<Vec<u8>>, filed: Vec<Key>, conflicts: u8) {
        *self.0.lock().unwrap() = Answers { values, filed, conflicts, written: 0 };
    }

    fn next(&self) -> Option<Stored> {
        let value = self.0.lock().unwrap().values.pop_front().filter(|value| !value.is_empty())?;
        Some(Stored { value, version: Version(1), expires_at: None })
    }
}

#[async_trait]
impl Store for Scripted {
    async fn get(&self, _: &Key, _: Timestamp) -> Result<Option<Stored>, StoreError> {
        Ok(self.next())
    }

    async fn commit(&self, _: Batch, _: Timestamp) -> Result<Receipt, CommitError> {
        let mut answers = self.0.lock().unwrap();
        answers.written += 1;
        // A flow that changes something again and again is one that never ends.
        assert!(answers.written < 10_000, "it does not end");
        if answers.conflicts > 0 {
            answers.conflicts -= 1;
            return Err(CommitError::Conflict);
        }
        Ok(Receipt { version: Version(2), head: Head::GENESIS })
    }

    async fn take(&self, _: &Key, _: Timestamp) -> Result<Option<Stored>, StoreError> {
        Ok(self.next())
    }

    async fn filed(&self, _: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        let mut answers = self.0.lock().unwrap();
        let mut keys = std::mem::take(&mut answers.filed);
        keys.retain(|key| after.is_none_or(|after| key.bytes() > after.bytes()));
        keys.truncate(at_most);
        Ok(keys)
    }

    async fn count(&self, _: &Key, _: Limit, _: Timestamp) -> Result<Attempts, StoreError> {
        Ok(Attempts { allowed: true, count: 1, retry_after: None })
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        if partition.number() != 0 || after > 0 {
            return Ok(Vec::new());
        }
        let values = std::mem::take(&mut self.0.lock().unwrap().values);
        let body = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let link = |(seq, value)| Link { seq, prev: Head::GENESIS.hash, body: body(value), hash: Digest([0; 32]) };
        Ok((1..).zip(values).map(link).take(at_most).collect())
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        let entries = self.0.lock().unwrap().values.len();
        let seq = if partition.number() == 0 { u64::try_from(entries).unwrap() } else { 0 };
        Ok(Head { seq, hash: Digest([0; 32]) })
    }

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        Ok(("AAAAAAAAAAAAAAAAAAAAAA".parse().map_err(|_| StoreError::Corrupt)?, own_key()))
    }

    async fn find_key(&self, _: KeyId) -> Result<Option<ShredKey>, StoreError> {
        Ok(Some(own_key()))
    }

    async fn shred(&self, _: KeyId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
