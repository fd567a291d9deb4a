//! What the planner asks, answered by a store and a project.

use std::collections::BTreeMap;

use crate::model::{DerivationHash, OutputName, SandboxLevel, StorePath};
use crate::store::{Store, StoreError, TraceView};

use super::plan::{Asked, Knowledge};
use super::source::Sources;
use super::substitute::Substituter;

/// A store and the sources of a project.
pub struct StoreKnowledge<'a> {
    store: &'a Store,
    sources: &'a Sources,
    level: SandboxLevel,
    substituter: Option<&'a Substituter<'a>>,
    /// Open while one trace after the other is looked up. It has the database for itself, so it is closed before anything else is asked.
    view: Option<TraceView<'a>>,
}

impl<'a> StoreKnowledge<'a> {
    /// What this store and these sources know; only traces of builds that were sealed at `level` or better count.
    pub fn new(store: &'a Store, sources: &'a Sources, level: SandboxLevel) -> Self {
        Self { store, sources, level, substituter: None, view: None }
    }

    /// The same, and what caches know.
    #[must_use]
    pub fn with_caches(self, substituter: Option<&'a Substituter<'a>>) -> Self {
        Self { substituter, ..self }
    }

    fn view(&mut self) -> Result<&TraceView<'a>, StoreError> {
        match self.view.take() {
            Some(view) => Ok(self.view.insert(view)),
            None => Ok(self.view.insert(self.store.trace_view()?)),
        }
    }
}

impl Knowledge for StoreKnowledge<'_> {
    type Error = StoreError;

    fn trace(&mut self, resolved: &DerivationHash) -> Result<Option<BTreeMap<OutputName, StorePath>>, StoreError> {
        let traces = self.view()?.traces_for(resolved)?;
        Ok(traces.into_iter().find(|stored| stored.trace.level >= self.level).map(|stored| stored.trace.outputs))
    }

    fn hold_if_valid(&mut self, path: &StorePath) -> Result<bool, StoreError> {
        self.rest();
        Ok(self.store.hold([path])?.contains(path))
    }

    fn is_source(&self, path: &StorePath) -> bool {
        self.sources.holds(path)
    }

    fn can_ask(&self) -> bool {
        self.substituter.is_some_and(Substituter::is_trusted)
    }

    fn ask(&mut self, asked: &[Asked]) -> Result<Vec<Option<BTreeMap<OutputName, StorePath>>>, StoreError> {
        self.rest();
        match self.substituter {
            Some(substituter) => substituter.ask(asked),
            None => Ok(vec![None; asked.len()]),
        }
    }

    fn can_substitute(&self) -> bool {
        self.substituter.is_some()
    }

    fn rest(&mut self) {
        self.view = None;
    }
}
