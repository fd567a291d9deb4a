//! Replacing digests in a tree by others of the same length.

use std::path::{Path, PathBuf};

use super::ArchiveError;
use crate::model::StoreDigest;

/// Replaces each occurrence of the first digest of a pair by the second, in file contents and link targets.
///
/// Modes and modification times stay as they are, read-only files and directories are no obstacle to their owner.
/// File *names* are not touched: [`super::Scanned::name_with_own`] tells whether one holds the object's digest.
///
/// # Errors
/// If something cannot be read or written.
pub fn rewrite(tree: &Path, replacements: &[(StoreDigest, StoreDigest)]) -> Result<(), ArchiveError> {
    todo!()
}

/// The files and links (relative to `tree`) in which `digest` occurs, at most `limit`; for messages that say where a reference comes from.
///
/// # Errors
/// If something cannot be read.
pub fn find_digest(tree: &Path, digest: &StoreDigest, limit: usize) -> Result<Vec<PathBuf>, ArchiveError> {
    todo!()
}
