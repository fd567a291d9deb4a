//! The documents under `derivations/locks/`: reading, writing and comparing them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LockError;
use crate::fsio::{PathError, create_folder_of, write_atomically};
use crate::model::Sha256;

/// The version of the lock documents that this kiln reads and writes.
pub const LOCK_VERSION: u32 = 1;

/// Exact Debian packages, closed under their dependencies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianLock {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// The release's code name.
    pub suite: String,
    /// The architecture, as Debian calls it.
    pub architecture: String,
    /// What was asked for, sorted.
    pub requested: Vec<String>,
    /// The closure, by name.
    pub packages: BTreeMap<String, DebianPackage>,
}

/// One package of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianPackage {
    /// Its version.
    pub version: String,
    /// Its file's path in the archive, from `pool/`.
    pub path: String,
    /// The file's length.
    pub size: u64,
    /// The file's digest.
    pub sha256: Sha256,
    /// The packages of the same lock that it needs, sorted.
    pub depends: Vec<String>,
}

/// Exact files of a Python package index, by project name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiLock {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// One file per project.
    pub files: BTreeMap<String, PypiFile>,
}

/// One file of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiFile {
    /// The project's version.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// Its length.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// What is different between two locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockChanges {
    /// Names that are new, with their versions.
    pub added: BTreeMap<String, String>,
    /// Names that are gone, with the versions they had.
    pub removed: BTreeMap<String, String>,
    /// Names whose file is another.
    pub changed: BTreeMap<String, VersionChange>,
}

/// A package that became another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionChange {
    /// The version it had.
    pub before: String,
    /// The version it has. Equal to `before` if only the file was replaced.
    pub after: String,
}

impl LockChanges {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Compares by name → (version, digest).
    fn between<'a>(
        before: impl Iterator<Item = (&'a String, &'a str, Sha256)>,
        after: impl Iterator<Item = (&'a String, &'a str, Sha256)>,
    ) -> Self {
        let mut old: BTreeMap<&String, (&str, Sha256)> = before.map(|(name, version, hash)| (name, (version, hash))).collect();
        let mut changes = Self::default();
        for (name, version, hash) in after {
            match old.remove(name) {
                None => {
                    changes.added.insert(name.clone(), version.to_owned());
                }
                Some((_, old_hash)) if old_hash == hash => {}
                Some((old_version, _)) => {
                    let change = VersionChange { before: old_version.to_owned(), after: version.to_owned() };
                    changes.changed.insert(name.clone(), change);
                }
            }
        }
        changes.removed = old.into_iter().map(|(name, (version, _))| (name.clone(), version.to_owned())).collect();
        changes
    }
}

impl DebianLock {
    /// Reads a lock; `None` if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, is no lock, or was written by a newer kiln.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        read_document(path)
    }

    /// The text that is written: sorted, indented, the same for equal locks.
    pub fn to_text(&self) -> String {
        to_text(self)
    }

    /// Replaces the file at `path`, whole or not at all. Its folder is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be written; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        write_document(path, &self.to_text())
    }

    /// What is different in `self`, compared with an `older` lock.
    pub fn changes_since(&self, older: Option<&Self>) -> LockChanges {
        fn entries(lock: &DebianLock) -> impl Iterator<Item = (&String, &str, Sha256)> {
            lock.packages.iter().map(|(name, package)| (name, package.version.as_str(), package.sha256))
        }
        LockChanges::between(older.into_iter().flat_map(entries), entries(self))
    }
}

impl PypiLock {
    /// A lock without files.
    pub fn empty() -> Self {
        Self { version: LOCK_VERSION, files: BTreeMap::new() }
    }

    /// Reads a lock; `None` if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, is no lock, or was written by a newer kiln.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        read_document(path)
    }

    /// The text that is written: sorted, indented, the same for equal locks.
    pub fn to_text(&self) -> String {
        to_text(self)
    }

    /// Replaces the file at `path`, whole or not at all. Its folder is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be written; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        write_document(path, &self.to_text())
    }

    /// What is different in `self`, compared with an `older` lock.
    pub fn changes_since(&self, older: Option<&Self>) -> LockChanges {
        fn entries(lock: &PypiLock) -> impl Iterator<Item = (&String, &str, Sha256)> {
            lock.files.iter().map(|(name, file)| (name, file.version.as_str(), file.sha256))
        }
        LockChanges::between(older.into_iter().flat_map(entries), entries(self))
    }
}

fn to_text<T: Serialize>(document: &T) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

fn write_document(path: &Path, text: &str) -> Result<(), LockError> {
    create_folder_of(path)?;
    Ok(write_atomically(path, text.as_bytes())?)
}

fn read_document<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, LockError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PathError::new("read", path, error).into()),
    };
    let unreadable = |error: serde_json::Error| LockError::NotALock { path: path.to_owned(), reason: error.to_string() };
    let Versioned { version } = serde_json::from_slice(&text).map_err(unreadable)?;
    if version != LOCK_VERSION {
        return Err(LockError::Version { path: path.to_owned(), version });
    }
    serde_json::from_slice(&text).map(Some).map_err(unreadable)
}
