//! The store's directory and files: private, and refused if others may get at them.

use super::OpenError;
use std::fs;
use std::path::Path;

/// The file `name` in `directory`, both made private if they are missing and refused if others may touch them.
pub(super) fn private_file(directory: &Path, name: &str) -> Result<fs::File, OpenError> {
    let (mut builder, mut options) = (fs::DirBuilder::new(), fs::OpenOptions::new());
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    builder.recursive(true).create(directory)?;
    let file = options.open(directory.join(name))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let others_write = fs::metadata(directory)?.permissions().mode() & 0o002 != 0;
        if others_write || file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(OpenError::Permissions);
        }
        // A new name in a directory survives a power cut only once the directory is synced.
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// The same for a file that no second process may have open at the same time.
pub(super) fn locked_file(directory: &Path, name: &str) -> Result<fs::File, OpenError> {
    let file = private_file(directory, name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
