//! Where build logs lie. Their bytes are the builder's business.

use std::path::PathBuf;

use super::{Store, StoreError};
use crate::model::DerivationHash;

impl Store {
    /// Makes the next, empty log file for a build of `resolved`, and says where it is.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new_log(&self, _resolved: &DerivationHash) -> Result<PathBuf, StoreError> {
        todo!()
    }

    /// The logs of all builds of `resolved`, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn logs(&self, _resolved: &DerivationHash) -> Result<Vec<PathBuf>, StoreError> {
        todo!()
    }
}
