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
    away: AtomicBool,
    mute: AtomicBool,
    keeps_keys: bool,
    meeting: Option<(AtomicUsize, Barrier)>,
}

impl Wilful {
    /// Takes `good_commits` commits and fails every one after, until told otherwise.
    pub fn new(inner: Arc<dyn Store>, good_commits: usize) -> Self {
        let no = || AtomicBool::new(false);
        let good_commits = AtomicUsize::new(good_commits);
        Self { inner, good_commits, unwell: no(), away: no(), mute: no(), keeps_keys: false, meeting: None }
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

    /// Whether nothing of it can be reached from now on.
    pub fn leave(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Whether from now on changes are made and not answered.
    pub fn mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }

    fn here(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    /// From now on so many changes are made and no more.
    #[allow(dead_code, reason = "for servers of their own process")]
    pub fn good_for(&self, commits: usize) {
        self.good_commits.store(commits, Ordering::SeqCst);
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
        self.here()?;
        let found = self.inner.get(key, now).await;
        if let Some((left, barrier)) = &self.meeting
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            barrier.wait().await;
        }
        found
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Receipt, CommitError> {
        self.here()?;
        let left = |left: usize| left.checked_sub(usize::from(left != usize::MAX));
        if self.good_commits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err() {
            return Err(CommitError::Store(StoreError::Unavailable));
        }
        let made = self.inner.commit(batch, now).await;
        if self.mute.load(Ordering::SeqCst) { Err(StoreError::Unavailable.into()) } else { made }
    }

    async fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        self.here()?;
        self.inner.take(key, now).await
    }

    async fn filed(&self, under: &Key, after: Option<&Key>, at_most: usize) -> Result<Vec<Key>, StoreError> {
        self.here()?;
        self.inner.filed(under, after, at_most).await
    }

    async fn count(&self, key: &Key, limit: Limit, now: Timestamp) -> Result<Attempts, StoreError> {
        self.here()?;
        self.inner.count(key, limit, now).await
    }

    async fn trail(&self, partition: Partition, after: u64, at_most: usize) -> Result<Vec<Link>, StoreError> {
        self.here()?;
        self.inner.trail(partition, after, at_most).await
    }

    async fn head(&self, partition: Partition) -> Result<Head, StoreError> {
        self.here()?;
        self.inner.head(partition).await
    }

    async fn forge(&self) -> Result<(KeyId, ShredKey), StoreError> {
        self.here()?;
        self.inner.forge().await
    }

    async fn find_key(&self, id: KeyId) -> Result<Option<ShredKey>, StoreError> {
        self.here()?;
        self.inner.find_key(id).await
    }

    async fn shred(&self, id: KeyId) -> Result<(), StoreError> {
        self.here()?;
        if self.keeps_keys { Err(StoreError::Unavailable) } else { self.inner.shred(id).await }
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.here()?;
        self.inner.sweep(now).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.here()?;
        if self.unwell.load(Ordering::SeqCst) { Err(StoreError::Unavailable) } else { self.inner.health().await }
    }
}
