//! From addresses on the command line to open caches.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::{Backend, CacheError, Directory};
use crate::cli::failure::Failure;

/// The back end that serves an address.
///
/// # Errors
/// If none does.
pub fn backend(url: &str) -> Result<Arc<dyn Backend>, Failure> {
    let path = url.strip_prefix("file://").unwrap_or(url);
    if path.starts_with('/') {
        return Ok(Arc::new(Directory::new(PathBuf::from(path))));
    }
    let reason = "expected `file:///DIRECTORY` or the directory's absolute path".to_owned();
    Err(CacheError::BadAddress { url: url.to_owned(), reason }.into())
}
