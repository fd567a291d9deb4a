//! Questions about valid objects.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Store, StoreError};
use crate::model::{PathInfo, StorePath};

impl Store {
    /// The description of `path`, if it is valid.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn info(&self, _path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        todo!()
    }

    /// The descriptions of those of `paths` that are valid, in their order.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn infos<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        let _ = paths.into_iter();
        todo!()
    }

    /// Whether `path` is valid.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn is_valid(&self, _path: &StorePath) -> Result<bool, StoreError> {
        todo!()
    }

    /// Those of `paths` that are valid. Nothing keeps them so: see [`Store::hold`].
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn valid_among<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<HashSet<StorePath>, StoreError> {
        let _ = paths.into_iter();
        todo!()
    }

    /// Calls `visit` with every valid object, ordered by path.
    ///
    /// # Errors
    /// If the database cannot be read, or the first error of `visit`.
    pub fn for_each<E: From<StoreError>>(&self, _visit: impl FnMut(PathInfo) -> Result<(), E>) -> Result<(), E> {
        todo!()
    }

    /// `paths` and everything they refer to, directly or not; references stand before what refers to them.
    ///
    /// # Errors
    /// If one of them is not valid.
    pub fn closure<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<Vec<StorePath>, StoreError> {
        self.closure_with(paths, &HashMap::new())
    }

    /// As [`Store::closure`]; objects in `staged` need not be registered yet.
    ///
    /// # Errors
    /// If one of them is neither valid nor in `staged`.
    pub fn closure_with<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a StorePath>,
        _staged: &HashMap<StorePath, PathInfo>,
    ) -> Result<Vec<StorePath>, StoreError> {
        let _ = paths.into_iter();
        todo!()
    }

    /// The objects that refer to `path`, itself left out.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn referrers(&self, _path: &StorePath) -> Result<BTreeSet<StorePath>, StoreError> {
        todo!()
    }

    /// The valid object that a person means by `text`: a store path, its last component, a beginning of its digest, or its place on this machine.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn resolve(&self, _text: &str) -> Result<StorePath, StoreError> {
        todo!()
    }
}
