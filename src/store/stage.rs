//! Staging: a finished tree gets its canonical form, its hash, its references and its final place. It is not valid yet.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Store, StoreError};
use crate::model::{PathInfo, Sha256, StoreName, StorePath};

/// A finished output of a build.
#[derive(Clone, Debug)]
pub struct OutputTree {
    /// Where it lies; on the store's file system. Staging moves it away.
    pub tree: PathBuf,
    /// The name that its store path gets.
    pub name: StoreName,
    /// The path it had while it was built. Its digest is replaced by the final one, here and in the sibling outputs.
    pub scratch: Option<StorePath>,
}

/// An object in its final place, waiting for registration.
#[derive(Clone, Debug)]
pub struct Staged {
    /// What it will be registered as.
    pub info: PathInfo,
    /// The first symbolic link in it, relative to it, if there is any (empty if the object is a link itself).
    pub first_link: Option<PathBuf>,
    /// Whether it was valid already; what was built again has been dropped.
    pub was_valid: bool,
}

impl Store {
    /// Stages the outputs of one build, and gives them back in the same order. `look_for` are the objects that they may refer to: the closure
    /// of the inputs. Unregistered, they stay in the store until the collector runs after this process has gone.
    ///
    /// # Errors
    /// If an output holds what no object may hold, the outputs refer to each other in a circle, or the disk is full.
    pub fn stage(&self, _outputs: Vec<OutputTree>, _look_for: &BTreeSet<StorePath>) -> Result<Vec<Staged>, StoreError> {
        todo!()
    }

    /// Stages a fetched file under flat addressing. The file is moved; its hash is checked again on the way.
    ///
    /// # Errors
    /// If the file has another hash, or the disk is full.
    pub fn stage_flat(&self, _file: PathBuf, _name: StoreName, _sha256: &Sha256) -> Result<Staged, StoreError> {
        todo!()
    }
}
