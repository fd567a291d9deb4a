//! Temporary roots: what a living process needs, the collector keeps.

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

use super::{Store, StoreError};
use crate::model::StorePath;

/// A set of temporary roots, let go when dropped or when the process dies.
#[derive(Debug)]
pub struct TempRoots {
    path: PathBuf,
    _file: File,
}

impl TempRoots {
    /// Takes more roots. They need not be valid yet.
    ///
    /// # Errors
    /// If the file of roots cannot be written.
    pub fn add<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<(), StoreError> {
        let _ = paths.into_iter();
        todo!()
    }
}

impl Store {
    /// A new set of temporary roots with its own life.
    ///
    /// # Errors
    /// If its file cannot be made.
    pub fn temp_roots(&self) -> Result<TempRoots, StoreError> {
        todo!()
    }

    /// Keeps `paths` from the collector until this store is closed, and says which of them are valid. Those stay valid, and so does their closure.
    ///
    /// # Errors
    /// If the roots cannot be written, or the database cannot be read.
    pub fn hold<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<HashSet<StorePath>, StoreError> {
        let _ = paths.into_iter();
        todo!()
    }
}
