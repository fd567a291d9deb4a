//! What people keep: out-links and pins.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::model::StorePath;

/// A symbolic link outside the store that keeps an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutLink {
    /// The link.
    pub link: PathBuf,
    /// What it keeps.
    pub path: StorePath,
    /// Whether it is still there and still points to the object; otherwise it keeps nothing.
    pub alive: bool,
}

/// A name that keeps an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The name.
    pub name: String,
    /// What it keeps.
    pub path: StorePath,
    /// Seconds since 1970 when it was pinned.
    pub pinned: u64,
}

impl Store {
    /// Makes or replaces the symbolic link at `link`, so that it points to the valid object `path` and keeps it.
    ///
    /// # Errors
    /// If `path` is not valid, or something that is no link stands there.
    pub fn add_out_link(&self, _link: &Path, _path: &StorePath) -> Result<(), StoreError> {
        todo!()
    }

    /// All out-links that were made.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn out_links(&self) -> Result<Vec<OutLink>, StoreError> {
        todo!()
    }

    /// Keeps the valid object `path` under `name`, in place of what the name kept before.
    ///
    /// # Errors
    /// If `path` is not valid.
    pub fn pin(&self, _name: &str, _path: &StorePath) -> Result<(), StoreError> {
        todo!()
    }

    /// Lets go of a pin; says whether there was one.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn unpin(&self, _name: &str) -> Result<bool, StoreError> {
        todo!()
    }

    /// All pins, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        todo!()
    }
}
