//! I/O errors that say what was being done, and to which path.

use std::io;
use std::path::{Path, PathBuf};

/// An I/O error with the operation and the path it happened to.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct PathError {
    /// What was being done: a verb that fits "cannot …".
    pub action: &'static str,
    /// To which path.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl PathError {
    /// Puts an error together.
    pub fn new(action: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self { action, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// Whether the disk (or a quota) is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Adds operation and path to an I/O result.
pub trait IoResultExt<T> {
    /// `fs::read(p).at("read", p)`.
    ///
    /// # Errors
    /// The same error, with its path.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> IoResultExt<T> for Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, PathError> {
        self.map_err(|source| PathError::new(action, path, source))
    }
}
