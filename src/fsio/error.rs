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
        is_full(self.source.kind())
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

fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a full disk is at the bottom of an error.
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let by_path = error.downcast_ref::<PathError>().is_some_and(PathError::is_disk_full);
        let by_io = error.downcast_ref::<io::Error>().is_some_and(|error| is_full(error.kind()));
        if by_path || by_io {
            return true;
        }
        next = error.source();
    }
    // A transparent error hides its own link of the chain, and the database has words of its own.
    let text = error.to_string();
    text.contains("No space left on device") || text.contains("database or disk is full")
}
