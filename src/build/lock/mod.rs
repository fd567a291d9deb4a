//! Lock files: which exact files a list of package names stands for.
//!
//! In: names. Out: a document with version, path, size and SHA-256 of each file, written under `derivations/locks/`; recipes read it.
//! `kiln lock debian` asks apt, in a private state directory, so that the archive's signatures are checked and the machine's own
//! package database is neither read nor changed.
//!
//! Not here: fetching what a lock names (`build::fetch`), and reading locks in recipes (`recipe`).

mod document;
mod error;

pub use document::{DebianLock, DebianPackage, LOCK_VERSION, LockChanges, VersionChange};
pub use error::LockError;

use std::path::PathBuf;

use crate::build::fetch::Mirrors;

/// How to write a lock of Debian packages.
#[derive(Clone, Debug)]
pub struct DebianLockOptions {
    /// The release's code name, such as `bookworm`; `None` takes the machine's own.
    pub suite: Option<String>,
    /// The architecture, as Debian calls it.
    pub architecture: String,
    /// Where apt keeps its lists between runs; made if it is not there. `None` uses a temporary directory.
    pub state_dir: Option<PathBuf>,
}

impl Default for DebianLockOptions {
    fn default() -> Self {
        Self { suite: None, architecture: "amd64".to_owned(), state_dir: None }
    }
}

/// Asks apt which packages `requested` needs, all of them of `main` of one release.
///
/// # Errors
/// If apt is missing or fails, no source is configured, a package is unknown, or the release is one whose pool still moves.
pub fn lock_debian(requested: &[String], options: &DebianLockOptions, mirrors: &Mirrors) -> Result<DebianLock, LockError> {
    let _ = (requested, options, mirrors);
    todo!()
}
