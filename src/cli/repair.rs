//! `kiln store verify --repair`: puts the right bytes in the place of damaged or missing ones.
//!
//! Each object is looked for in the caches first, then made again: a source is read from the project, a file fetched, anything else built, inputs
//! before what they were needed for. What cannot be had is no longer valid afterwards, nor is what refers to it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::build::{BuildError, StoreKnowledge, repair};
use crate::cache::Puller;
use crate::cli::build::{self, BuildArgs};
use crate::cli::cache::open::Opener;
use crate::model::{Input, StorePath};
use crate::store::{Problem, Registration, Store, VerifyOptions, VerifyReport};

use super::exit;
use super::failure::Failure;
use super::session::{self, Globals, Lowering, ParamArgs};
use super::signals;
use super::ui::harmless;

/// What a repair came to.
#[derive(Debug, Default, Serialize)]
pub struct Repaired {
    /// Objects that have the right bytes again.
    pub mended: BTreeSet<StorePath>,
    /// Objects whose bytes could not be had, and all that refers to them.
    pub forgotten: BTreeSet<StorePath>,
}

/// A repair under way.
struct Repair<'a> {
    globals: &'a Globals,
    store: &'a Store,
    how: &'a BuildArgs,
    left: BTreeSet<StorePath>,
    repaired: Repaired,
}

/// Repairs what a check found.
///
/// # Errors
/// If the store cannot be changed, the recipes are wrong, or the user stops it.
pub fn repair(globals: &Globals, store: &Store, params: &ParamArgs, how: &BuildArgs, report: &VerifyReport) -> Result<Repaired, Failure> {
    let left = report.problems.iter().map(Problem::path).cloned().collect();
    let mut repair = Repair { globals, store, how, left, repaired: Repaired::default() };
    repair.ask_caches()?;
    let project = if repair.left.is_empty() { None } else { repair.lower(params)? };
    if let Some(lowering) = project {
        repair.make_again(&lowering)?;
        std::mem::forget(lowering);
    }
    for path in std::mem::take(&mut repair.left) {
        repair.forget(&path)?;
    }
    Ok(repair.repaired)
}

impl Repair<'_> {
    fn ask_caches(&mut self) -> Result<(), Failure> {
        let stop = signals::stop();
        let caches = Opener::new(self.globals, &stop)?.caches(self.how.caches())?;
        if caches.is_empty() {
            return Ok(());
        }
        let puller = Puller::new(self.store, &caches, 1, stop.as_flag());
        for path in self.left.clone() {
            if let Err(error) = puller.mend(&path, &|_| {}) {
                self.globals.ui().note(format!("note: {}", harmless(&error.to_string())));
            }
            if stop.is_requested() {
                return Err(signals::stopped());
            }
            self.settle(&path)?;
        }
        Ok(())
    }

    /// All targets of the project; none if there is no project here.
    fn lower(&self, params: &ParamArgs) -> Result<Option<Lowering>, Failure> {
        if self.globals.project().is_err() {
            return Ok(None);
        }
        let evaluation = session::evaluate(self.globals, params)?;
        let all: Vec<String> = evaluation.evaluated.targets.keys().cloned().collect();
        session::lower_evaluated(evaluation, &all).map(Some)
    }

    fn make_again(&mut self, lowering: &Lowering) -> Result<(), Failure> {
        for path in self.left.clone().iter().filter(|path| lowering.sources.holds(path)) {
            match lowering.sources.stage(path, self.store) {
                Ok(staged) => self.store.register(&Registration { objects: vec![staged], ..Registration::default() })?,
                Err(error) => self.globals.ui().note(format!("note: {}", harmless(&error.to_string()))),
            }
            self.settle(path)?;
        }
        let goals: Vec<Input> = lowering.lowered.targets.values().cloned().collect();
        let knowledge = StoreKnowledge::new(self.store, &lowering.sources, self.how.level());
        let makers = repair::makers(&lowering.lowered.graph, &goals, knowledge, &self.left).map_err(BuildError::from)?;
        // What nothing makes must not be read by what is made again.
        let made: BTreeSet<&StorePath> = makers.iter().map(|(_, path)| path).collect();
        for path in self.left.clone().iter().filter(|path| !made.contains(path)) {
            self.forget(path)?;
        }
        for (maker, path) in makers.iter().filter(|(_, path)| self.left.contains(path)).cloned().collect::<Vec<_>>() {
            let Input::Output { derivation, .. } = &maker else { continue };
            let made = build::realise(self.globals, lowering, self.store, std::slice::from_ref(&maker), &[*derivation], self.how);
            match made {
                Err(failure) if failure.code == exit::INTERRUPTED => return Err(failure),
                Err(failure) => self.globals.ui().note(format!("note: {}", harmless(&failure.message))),
                Ok(_) => {}
            }
            if !self.settle(&path)? {
                self.forget(&path)?;
            }
        }
        Ok(())
    }

    /// Whether the object is as it should be now; if so, it is done with.
    fn settle(&mut self, path: &StorePath) -> Result<bool, Failure> {
        if !self.left.contains(path) || !self.store.is_valid(path)? {
            return Ok(!self.left.contains(path));
        }
        let report = self.store.verify(&VerifyOptions { contents: true, paths: Some(vec![path.clone()]) })?;
        if report.problems.is_empty() {
            self.left.remove(path);
            self.repaired.mended.insert(path.clone());
        }
        Ok(report.problems.is_empty())
    }

    fn forget(&mut self, path: &StorePath) -> Result<(), Failure> {
        let gone = self.store.forget(path)?;
        self.left.retain(|path| !gone.contains(path));
        self.left.remove(path);
        self.repaired.mended.retain(|path| !gone.contains(path));
        self.repaired.forgotten.extend(gone);
        Ok(())
    }
}
