//! Registration: staged objects become valid, together with the traces, records and derivations that belong to them.

use super::{NewDerivation, Staged, Store, StoreError};
use crate::model::{BuildRecord, BuildTrace};

/// What becomes valid at once.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Objects; each may refer to valid ones and to others of this batch.
    pub objects: Vec<Staged>,
    /// Traces of builds made here.
    pub traces: Vec<BuildTrace>,
    /// Records of builds, failed ones too.
    pub records: Vec<BuildRecord>,
    /// Derivations to be kept.
    pub derivations: Vec<NewDerivation>,
}

impl Store {
    /// Makes a batch durable and valid: all of it or nothing. Objects that are valid already are left as they are.
    ///
    /// # Errors
    /// If something does not reach the disk, or an object refers to one that is not valid.
    pub fn register(&self, _batch: &Registration) -> Result<(), StoreError> {
        todo!()
    }
}
