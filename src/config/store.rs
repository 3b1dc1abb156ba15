//! Moving what a store holds, by the settings that say where.

use super::Settings;
use crate::store::copy::{self, CopyError, Counts, Destination as _};
use crate::store::embedded::{self, Embedded};
use crate::store::shared;
use crate::store::shared::copy::Target;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is to be copied.
pub struct CopyOrder<'a> {
    /// The directory of the embedded store.
    pub from: &'a Path,
    /// Only look.
    pub dry_run: bool,
}

/// Nothing was copied, or what was copied cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreCopyError {
    /// There is no such store.
    #[error("{0}: there is no embedded store here")]
    Missing(PathBuf),
    /// A server has it open.
    #[error("{0}: a server has this store open; stop it first")]
    InUse(PathBuf),
    /// It does not open.
    #[error("{0}: {1}")]
    Source(PathBuf, embedded::OpenError),
    /// No destination is configured.
    #[error("store.redis.urls names no destination")]
    NoDestination,
    /// The destination's settings cannot be used.
    #[error(transparent)]
    Destination(#[from] shared::OpenError),
    /// The copy failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

/// Copies an embedded store to the configured Redis, or sees what would be copied.
pub async fn copy(settings: &Settings, order: CopyOrder<'_>) -> Result<Counts, StoreCopyError> {
    let from = || order.from.to_owned();
    if !settings.store.redis.used() {
        return Err(StoreCopyError::NoDestination);
    }
    // Opening one that is not there would make one.
    if !embedded::is_there(order.from) {
        return Err(StoreCopyError::Missing(from()));
    }
    let to = Target::new(&settings.store.redis)?;
    let place =
        embedded::Settings { directory: from(), queue: settings.store.queue, cache_bytes: settings.store.cache_bytes };
    let source = Arc::new(Embedded::open(&place).map_err(|error| match error {
        embedded::OpenError::InUse => StoreCopyError::InUse(from()),
        error => StoreCopyError::Source(from(), error),
    })?);
    if !order.dry_run {
        return Ok(copy::copy(&source, &to, &Timestamp::now).await?);
    }
    let counts = copy::survey(&source, Timestamp::now()).await?;
    match to.is_empty().await.map_err(CopyError::Destination)? {
        true => Ok(counts),
        false => Err(CopyError::NotEmpty.into()),
    }
}

/// Renames a store's directory, so that no server opens it by mistake. Its new name.
pub fn set_aside(from: &Path) -> std::io::Result<PathBuf> {
    let mut name = from.canonicalize()?.into_os_string();
    name.push(".copied");
    let away = PathBuf::from(name);
    if away.exists() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, &away)?;
    Ok(away)
}
