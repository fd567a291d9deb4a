//! Lock files: which exact files a list of package names stands for.
//!
//! In: names. Out: a document with version, path, size and SHA-256 of each file, written under `derivations/locks/`; recipes read it.
//! `kiln lock debian` asks apt, in a private state directory, so that the archive's signatures are checked and the machine's own
//! package database is neither read nor changed. `kiln lock pypi` asks the configured Python package index.
//!
//! A lock is a function of the registry's state and the request: sorted, without times or server names, so that two machines that lock
//! at the same moment write the same bytes.
//!
//! Not here: fetching what a lock names (`build::fetch`), and reading locks in recipes (`recipe`).

mod apt;
mod closure;
mod debian;
mod document;
mod error;
mod pypi;
mod version;

#[cfg(test)]
mod tests;

pub use debian::{DebianLockOptions, DebianSourceFile, lock_debian, lock_debian_source};
pub use document::{DebianLock, DebianPackage, LOCK_VERSION, LockChanges, PypiFile, PypiLock, VersionChange};
pub use error::LockError;
pub use pypi::{PypiRequest, PypiRequestError, lock_pypi};
