//! Checks that the store is what the database says.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::{Sha256, StorePath};

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Read every object and compare its hash; otherwise only names, references and presence are checked.
    pub contents: bool,
    /// Which objects; `None` for all.
    pub paths: Option<Vec<StorePath>>,
}

/// Something wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// It is valid, but not on the disk.
    Missing {
        /// The object.
        path: StorePath,
    },
    /// Its bytes have changed.
    Changed {
        /// The object.
        path: StorePath,
        /// The NAR hash that was registered.
        registered: Sha256,
        /// The NAR hash that it has.
        found: Sha256,
    },
    /// Its path does not follow from its content address and references.
    WrongPath {
        /// The object.
        path: StorePath,
    },
    /// It cannot be read.
    Unreadable {
        /// The object.
        path: StorePath,
        /// Why.
        why: String,
    },
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Objects checked.
    pub objects: u64,
    /// Bytes of NARs read.
    pub bytes: u64,
    /// What is wrong, ordered by path.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Checks the store. Problems are no errors: they are in the report.
    ///
    /// # Errors
    /// If the database cannot be read, or a path of the options is not valid.
    pub fn verify(&self, _options: &VerifyOptions) -> Result<VerifyReport, StoreError> {
        todo!()
    }
}
