//! What a store knows about one object.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ContentAddress, Sha256, StorePath};

/// A valid object's description. Its path follows from `ca`, `references` and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathInfo {
    /// Where it is.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Sha256,
    /// Bytes of its NAR.
    pub nar_size: u64,
    /// All objects it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// How its path follows from its content.
    pub ca: ContentAddress,
    /// Seconds since 1970 when it was registered here.
    pub registered: u64,
}

impl PathInfo {
    /// Whether the object refers to itself.
    pub fn refers_to_itself(&self) -> bool {
        self.references.contains(&self.path)
    }

    /// The objects it refers to, itself left out.
    pub fn other_references(&self) -> BTreeSet<StorePath> {
        self.references.iter().filter(|reference| **reference != self.path).cloned().collect()
    }

    /// Whether the path is the one that content address and references give.
    pub fn path_is_consistent(&self) -> bool {
        self.ca.store_path(self.path.name(), &self.other_references(), self.refers_to_itself()) == self.path
    }
}
