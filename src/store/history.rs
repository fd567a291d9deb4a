//! How objects came to be: build traces, build records and derivations. They outlive the objects they speak of.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::{BuildRecord, BuildTrace, DerivationHash, StorePath};

/// A build trace, and what this store knows about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTrace {
    /// The trace.
    pub trace: BuildTrace,
    /// Milliseconds since 1970 when it came into this store.
    pub built_ms: u64,
    /// Whether this store's own builds made it.
    pub local: bool,
    /// Whether all its outputs are valid objects here.
    pub present: bool,
}

/// A derivation to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDerivation {
    /// Its hash.
    pub hash: DerivationHash,
    /// Its canonical JSON.
    pub canonical: String,
    /// Its hints, as JSON.
    pub hints: String,
}

/// A kept derivation, as JSON texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDerivation {
    /// Its canonical JSON.
    pub canonical: String,
    /// Its hints, as they were when it was last registered.
    pub hints: String,
}

impl Store {
    /// All traces of a resolved derivation, in order of preference: those whose objects are present, then local ones, then earlier
    /// ones, then by their outputs' paths. More than one means that builds disagree.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn traces_for(&self, _resolved: &DerivationHash) -> Result<Vec<StoredTrace>, StoreError> {
        todo!()
    }

    /// The traces that have `path` among their outputs.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn producers(&self, _path: &StorePath) -> Result<Vec<StoredTrace>, StoreError> {
        todo!()
    }

    /// The records of all builds of a resolved derivation, latest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_resolved(&self, _resolved: &DerivationHash) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }

    /// The records of all builds that made `path`, latest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_output(&self, _path: &StorePath) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }

    /// The records of the latest builds of derivations with this name, latest first, at most `limit`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_name(&self, _name: &str, _limit: usize) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }

    /// The derivation with this hash.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn derivation(&self, _hash: &DerivationHash) -> Result<Option<StoredDerivation>, StoreError> {
        todo!()
    }
}
