//! Adding what comes from outside the store: trees, files and NARs.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::{Staged, Store, StoreError};
use crate::model::{PathInfo, Sha256, StoreName, StorePath};

/// What an added tree is said to refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// Nothing, as Nix's `add-path` does it.
    #[default]
    None,
    /// Whatever valid object's digest occurs in it.
    Scan,
    /// These.
    Declared(BTreeSet<StorePath>),
}

impl Store {
    /// Copies the tree at `source` into the store and registers it.
    ///
    /// # Errors
    /// If it cannot be read, holds what no object may hold, or a declared reference is not valid.
    pub fn add_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<PathInfo, StoreError> {
        let _ = (name, source, references);
        todo!()
    }

    /// As [`Store::add_tree`], but leaves the registration to the caller.
    ///
    /// # Errors
    /// As [`Store::add_tree`].
    pub fn stage_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<Staged, StoreError> {
        let _ = (name, source, references);
        todo!()
    }

    /// What [`Store::add_tree`] would register. Nothing is written.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn hash_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<PathInfo, StoreError> {
        let _ = (name, source, references);
        todo!()
    }

    /// Writes a file into the store under flat addressing, as fetched files are, and registers it.
    ///
    /// # Errors
    /// If its hash is not `expected`.
    pub fn add_flat(&self, name: &StoreName, content: &mut dyn Read, expected: Option<&Sha256>) -> Result<PathInfo, StoreError> {
        let _ = (name, content, expected);
        todo!()
    }

    /// Unpacks a NAR that is said to be the object `claimed`, checks every word of that, and stages it.
    ///
    /// # Errors
    /// If the NAR is malformed or is not that object.
    pub fn stage_nar(&self, nar: &mut dyn Read, claimed: &PathInfo) -> Result<Staged, StoreError> {
        let _ = (nar, claimed);
        todo!()
    }
}
