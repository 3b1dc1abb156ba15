//! A store that tells how far each audit chain has come, so that whoever follows the chains need not ask all the time.
//!
//! It stands before the real store, so no flow can forget to tell. What is told is only ever raised, and never before
//! the entries can be read. Entries that another process recorded are seen when somebody looks ([`Stirred::look`]).

use super::{Attempts, Batch, CommitError, Key, KeyId, Limit, Partition, Receipt, ShredKey, Store, StoreError, Stored};
use crate::audit::{Head, Link};
use async_trait::async_trait;
use jiff::Timestamp;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// The number of the last entry of every partition's chain, as far as it is known.
pub type Heads = [u64; Partition::COUNT as usize];

/// How far the chains have come, for as many as want to know.
#[derive(Default)]
pub struct Stirred(watch::Sender<Heads>);

impl Stirred {
    /// How far they have come, now and whenever that changes.
    pub fn subscribe(&self) -> watch::Receiver<Heads> {
        self.0.subscribe()
    }

    /// How far they have come.
    pub fn heads(&self) -> Heads {
        *self.0.borrow()
    }

    /// Looks in the store how far they have come, whoever it was that recorded.
    pub async fn look(&self, store: &dyn Store) -> Result<Heads, StoreError> {
        for partition in Partition::all() {
            self.raise(partition, store.head(partition).await?.seq);
        }
        Ok(self.heads())
    }

    fn raise(&self, partition: Partition, seq: u64) {
        self.0.send_if_modified(|heads| match heads.get_mut(usize::from(partition.number())) {
            Some(head) if *head < seq => {
                *head = seq;
                true
            }
            Some(_) | None => false,
        });
    }
}

/// The store behind it, and whom to tell.
pub struct Stirring {
    inner: Arc<dyn Store>,
    stirred: Arc<Stirred>,
}

impl Stirring {
    /// Tells `stirred` what `inner` recorded.
    pub fn new(inner: Arc<dyn Store>, stirred: Arc<Stirred>) -> Self {
        Self { inner, stirred }
    }
}

type Getting<'f> = Pin<Box<dyn Future<Output = Result<Option<Stored>, StoreError>> + Send + 'f>>;

#[async_trait]
impl Store for Stirring {
    // The most frequent call by far: the future of the store behind, without one around it.
    fn get<'s, 'k, 'f>(&'s self, key: &'k Key, now: Timestamp) -> Getting<'f>
    where
        Self: 'f,
        's: 'f,
        'k: 'f,
    {
        self.inner.get(key, now)
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        let (partition, tells) = (batch.partition, !batch.entries.is_empty());
        let receipt = self.inner.commit(batch, now).await?;
        if tells {
            self.stirred.raise(partition, receipt.head.seq);
        }
        Ok(receipt)
    }

    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        self.inner.take(key, now).await
    }

    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        self.inner.filed(under, after, at_most).await
    }

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        self.inner.forge().await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        self.inner.find_key(id).await
    }

    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        self.inner.shred(id).await
    }

    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        self.inner.count(key, limit, now).await
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        self.inner.trail(partition, after, at_most).await
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        self.inner.head(partition).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.sweep(now).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }
}
