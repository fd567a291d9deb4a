//! The collector: removes what no root holds.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// How to collect.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcOptions {
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was collected, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// Objects removed.
    pub objects: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
    /// Objects kept.
    pub kept: u64,
    /// Unregistered leftovers in `objects/` removed.
    pub leftovers: u64,
    /// Scratch directories of dead processes and failed builds removed.
    pub scratch: u64,
    /// Whether nothing was removed, only counted.
    pub dry_run: bool,
}

impl Store {
    /// Removes all objects outside the closure of out-links, pins and temporary roots, and whatever dead processes left. Traces, records and logs stay.
    ///
    /// # Errors
    /// If the database or a directory cannot be changed. What has been removed until then is gone, the rest is whole.
    pub fn gc(&self, _options: GcOptions) -> Result<GcReport, StoreError> {
        todo!()
    }
}
