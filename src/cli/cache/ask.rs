//! What caches know about a target: where it came out, and how its build went.

use crate::build::plan::{Planner, Step};
use crate::build::{BuildError, Stop, StoreKnowledge, Substituter};
use crate::cache::CacheSet;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::session::{Found, Globals};
use crate::model::{Input, SandboxLevel, StorePath};
use crate::store::Store;

use super::open::{CacheArgs, Opener};

/// The store of a command that only looks: an empty one is made where a cache is to be asked.
///
/// # Errors
/// If there is none, and nobody else to ask.
pub fn store(globals: &Globals, args: &CacheArgs) -> Result<Store, Failure> {
    if args.urls().is_empty() { globals.open_existing_store() } else { globals.open_store() }
}

/// Where a target came out, as this store or trusted keys say; what was believed stays in the store. Otherwise the name of a derivation that they do
/// not know, if it is another's than the target's.
///
/// # Errors
/// If the store fails.
pub fn output(
    globals: &Globals,
    store: &Store,
    found: &Found,
    caches: &CacheSet,
    stop: &Stop,
) -> Result<Result<StorePath, String>, Failure> {
    let progress = Progress::new(globals.ui());
    let substituter = Substituter::new(store, caches, &progress, stop);
    let knowledge = StoreKnowledge::new(store, &found.lowering.sources, SandboxLevel::Strict).with_caches(Some(&substituter));
    let goal = Input::Output { derivation: found.derivation, output: found.output.clone() };
    let mut planner = Planner::new(&found.lowering.lowered.graph, &[goal], &[], knowledge).map_err(BuildError::from)?;
    if let Some(path) = planner.known_output(&found.derivation, &found.output) {
        let path = path.clone();
        substituter.keep_believed()?;
        return Ok(Ok(path));
    }
    let unknown = std::iter::from_fn(|| planner.next_step()).find_map(|step| match step {
        Step::Realise(realise) => Some(realise.resolved.name.to_string()),
        _ => None,
    });
    Ok(Err(unknown.unwrap_or_default()))
}

/// Fetches how the build of a target went, with its derivation and its log, if a trusted key says so: for a build that was never needed here.
///
/// # Errors
/// If the configuration is wrong, or the store fails.
pub fn history(globals: &Globals, store: &Store, found: &Found, args: &CacheArgs) -> Result<(), Failure> {
    let stop = Stop::default();
    let caches = Opener::new(globals, &stop)?.caches(args)?;
    if !caches.is_trusted() {
        return Ok(());
    }
    if let Ok(path) = output(globals, store, found, &caches, &stop)? {
        let progress = Progress::new(globals.ui());
        Substituter::new(store, &caches, &progress, &stop).fetch_history(&path)?;
    }
    Ok(())
}
