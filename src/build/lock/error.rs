//! Why a lock could not be made, read or written.

use std::path::PathBuf;

use super::LOCK_VERSION;
use crate::build::fetch::FetchError;
use crate::fsio::PathError;

/// Why a lock could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file is something else.
    #[error("`{}` is no lock file: {reason}", path.display())]
    NotALock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is of another version.
    #[error("`{}` is a lock of version {version}; this kiln reads version {LOCK_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The index or archive could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}
