//! What is kept of a build: its outputs staged and checked, its log, its trace and its record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::cache::Pulled;
use crate::fsio::IoResultExt;
use crate::model::{BuildStatus, BuildTrace, Builder, OutputName, SandboxLevel, StorePath};
use crate::store::{NewDerivation, OutputTree, Registration, Staged};

use super::error::StepError;
use super::event::Outcome;
use super::outputs::{check_policies, check_root_mark};
use super::plan::Realise;
use super::record::{Evidence, Stopwatch, record};
use super::workshop::{Finished, Workshop};

impl Workshop<'_> {
    /// Moves a log to its place; gives that, relative to the store's directory.
    pub(super) fn keep_log(&self, realise: &Realise, log: Option<PathBuf>) -> Result<Option<PathBuf>, StepError> {
        let Some(log) = log else { return Ok(None) };
        let place = self.store.new_log(&realise.resolved_hash)?;
        std::fs::rename(&log, &place).at("move the log to", &place)?;
        Ok(Some(place.strip_prefix(self.store.dir()).unwrap_or(&place).to_owned()))
    }

    /// Stages what a builder made, checks it against its policies, and puts trace and record beside it.
    pub(super) fn keep(
        &self,
        realise: &Realise,
        trees: Vec<OutputTree>,
        timer: &Stopwatch,
        evidence: &Evidence,
    ) -> Result<Finished, StepError> {
        let root = match &realise.resolved.builder {
            Builder::Script(script) => Some(&script.root),
            _ => None,
        };
        // What the builder could see is what it can refer to. A builtin's layers are read, not referred to, but their bytes may do so.
        let look_for: BTreeSet<StorePath> = self.closure(realise.resolved.all_inputs())?.into_iter().collect();
        let staged = self.store.stage(trees, &look_for)?;
        let by_output: BTreeMap<OutputName, Staged> = realise.resolved.outputs.keys().cloned().zip(staged).collect();
        check_policies(self.store, &realise.resolved, root, &by_output, &|path| self.closure([path]))?;
        if root.is_some() {
            for (output, object) in &by_output {
                check_root_mark(output, &self.store.physical(&object.info.path))?;
            }
        }
        let outputs: BTreeMap<_, _> = by_output.iter().map(|(output, object)| (output.clone(), object.info.path.clone())).collect();
        let level = self.level_of(realise);
        let trace =
            BuildTrace { resolved: realise.resolved_hash, outputs: outputs.clone(), system: realise.resolved.system.clone(), level };
        let mut record = record(realise, BuildStatus::Built, outputs.clone(), level, timer, evidence);
        self.add_spans(&mut record);
        let objects: Vec<Staged> = by_output.into_values().collect();
        self.note_staged(&objects);
        let derivations = vec![new_derivation(realise)?];
        let registration = Registration { objects, traces: vec![trace], records: vec![record], derivations, ..Registration::default() };
        Ok(Finished { outputs, registration, outcome: Outcome::Done, lock: None, pulled: Pulled::default() })
    }

    /// Writes down that a build failed.
    pub(super) fn record_failure(&self, realise: &Realise, error: &StepError, timer: &Stopwatch, evidence: &Evidence) {
        let status = BuildStatus::Failed(error.to_string());
        let mut record = record(realise, status, BTreeMap::new(), self.level_of(realise), timer, evidence);
        self.add_spans(&mut record);
        let derivations = new_derivation(realise).into_iter().collect();
        // The build's own error is what the user must see; that its record could not be kept would only hide it.
        let _ = self.store.register(&Registration { records: vec![record], derivations, ..Registration::default() });
    }

    /// How well a build is sealed: builtins run no foreign code.
    fn level_of(&self, realise: &Realise) -> SandboxLevel {
        if matches!(realise.resolved.builder, Builder::Script(_)) { self.options.level } else { SandboxLevel::Strict }
    }

    /// Only the project knows where a recipe names a source.
    fn add_spans(&self, record: &mut crate::model::BuildRecord) {
        for leaf in &mut record.leaves {
            leaf.span = leaf.span.take().or_else(|| self.sources.span(&leaf.path));
        }
    }
}

fn new_derivation(realise: &Realise) -> Result<NewDerivation, StepError> {
    let canonical = realise.node.derivation.canonical()?;
    let hints = serde_json::to_string(&realise.node.hints).unwrap_or_default();
    Ok(NewDerivation { hash: realise.node.hash, canonical, hints })
}
