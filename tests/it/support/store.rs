//! A store that fails when the test tells it to; otherwise the store behind it.

use async_trait::async_trait;
use idgate::audit::{Head, Link};
use idgate::store::{Attempts, Batch, CommitError, Key, KeyId, Limit, Partition, Receipt, ShredKey};
use idgate::store::{Store, StoreError, Stored};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Barrier;

pub struct Wilful {
    inner: Arc<dyn Store>,
    good_commits: AtomicUsize,
    unwell: AtomicBool,
    keeps_keys: bool,
    meeting: Option<(AtomicUsize, Barrier)>,
}

impl Wilful {
    /// Takes `good_commits` commits and fails every one after, until told otherwise.
    pub fn new(inner: Arc<dyn Store>, good_commits: usize) -> Self {
        let good_commits = AtomicUsize::new(good_commits);
        Self { inner, good_commits, unwell: AtomicBool::new(false), keeps_keys: false, meeting: None }
    }

    /// Answers the first `count` reads only when all of them have been made.
    pub fn meeting(inner: Arc<dyn Store>, count: usize) -> Self {
        Self { meeting: Some((AtomicUsize::new(count), Barrier::new(count))), ..Self::new(inner, usize::MAX) }
    }

    /// Destroys no key.
    pub fn unshredding(inner: Arc<dyn Store>) -> Self {
        Self { keeps_keys: true, ..Self::new(inner, usize::MAX) }
    }

    /// Whether its health is bad from now on.
    pub fn feel(&self, unwell: bool) {
        self.unwell.store(unwell, Ordering::SeqCst);
    }

    /// From now on no change is made; what is there is still told.
    pub fn fail(&self) {
        self.good_commits.store(0, Ordering::SeqCst);
    }

    /// From now on nothing fails.
    pub fn mend(&self) {
        self.good_commits.store(usize::MAX, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Wilful {
    async fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        let found = self.inner.get(key, now).await;
        if let Some((left, barrier)) = &self.meeting
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            barrier.wait().await;
        }
        found
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        let left = |left: usize| left.checked_sub(usize::from(left != usize::MAX));
        if self.good_commits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
            return Err(CommitError::Store(StoreError::Unavailable));
        }
        self.inner.commit(batch, now).await
    }

    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        self.inner.take(key, now).await
    }

    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        self.inner.filed(under, after, at_most).await
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

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        self.inner.forge().await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        self.inner.find_key(id).await
    }

    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        if self.keeps_keys { Err(StoreError::Unavailable) } else { self.inner.shred(id).await }
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.sweep(now).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        if self.unwell.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { self.inner.health().await }
    }
}
