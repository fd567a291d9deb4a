//! Scratch directories: where trees are made before they are objects.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Store, StoreError};

/// A directory of this process under `builds/`, removed when dropped. Its maker's lock tells the collector that it is in use.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    _lock: File,
}

impl ScratchDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// Makes an empty scratch directory.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new_scratch(&self) -> Result<ScratchDir, StoreError> {
        todo!()
    }

    /// Keeps a scratch directory, as that of a failed build, under `failed/<label>` until the collector runs; it replaces an older one.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn keep_failed(&self, _scratch: ScratchDir, _label: &str) -> Result<PathBuf, StoreError> {
        todo!()
    }

    /// Where the kept scratch of a failed build is, if it is still there.
    pub fn kept_failed(&self, label: &str) -> Option<PathBuf> {
        let path = self.dir().join("failed").join(label);
        path.is_dir().then_some(path)
    }
}
