//! What the planner asks, answered by a store and a project.

use std::collections::BTreeMap;

use crate::model::{DerivationHash, OutputName, SandboxLevel, StorePath};
use crate::store::{Store, StoreError};

use super::plan::Knowledge;
use super::source::Sources;

/// A store and the sources of a project.
pub struct StoreKnowledge<'a> {
    /// The store.
    pub store: &'a Store,
    /// The sources.
    pub sources: &'a Sources,
    /// How well a build must have been sealed for its trace to count.
    pub level: SandboxLevel,
}

impl Knowledge for StoreKnowledge<'_> {
    type Error = StoreError;

    fn trace(&mut self, resolved: &DerivationHash) -> Result<Option<BTreeMap<OutputName, StorePath>>, StoreError> {
        let traces = self.store.traces_for(resolved)?;
        Ok(traces.into_iter().find(|stored| stored.trace.level >= self.level).map(|stored| stored.trace.outputs))
    }

    fn hold_if_valid(&mut self, path: &StorePath) -> Result<bool, StoreError> {
        Ok(self.store.hold([path])?.contains(path))
    }

    fn is_source(&self, path: &StorePath) -> bool {
        self.sources.holds(path)
    }
}
