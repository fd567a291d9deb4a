//! Writes that are whole or not there at all.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{IoResultExt, PathError};

/// Replaces the file at `path` by one with `bytes`: written beside it, synced, renamed.
///
/// # Errors
/// If the directory cannot be written; the old file is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file that is made here: who may read it is the user's choice, not that of a temporary file.
    let mode = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".kiln-").permissions(mode).tempfile_in(parent).at("create a file in", parent)?;
    file.write_all(bytes).at("write", path)?;
    file.as_file().sync_all().at("sync", path)?;
    file.persist(path).map_err(|error| error.error).at("replace", path)?;
    sync_dir(parent)
}

/// Makes the folder that `path` is to be written into, with those above it, if it is not there.
///
/// # Errors
/// If it cannot be made.
pub fn create_folder_of(path: &Path) -> Result<(), PathError> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).at("create", folder),
        None => Ok(()),
    }
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// If it cannot be opened or synced.
pub fn sync_dir(path: &Path) -> Result<(), PathError> {
    File::open(path).and_then(|dir| dir.sync_all()).at("sync", path)
}

/// Makes everything written to the file system that holds `path` durable (`syncfs(2)`): one call for a tree of any size.
///
/// # Errors
/// If it cannot be opened, or a write-back failed.
pub fn sync_file_system(path: &Path) -> Result<(), PathError> {
    let dir = File::open(path).at("open", path)?;
    nix::unistd::syncfs(&dir).at("sync the file system of", path)
}
