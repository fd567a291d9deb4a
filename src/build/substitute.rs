//! What other machines have built: asks caches for traces, and pulls objects from them instead of building or fetching.
//!
//! In: derivations without a trace here, and paths without an object. Out: outputs that enough trusted keys vouch for, and valid objects. Caches
//! are a convenience: one that fails is reported once, and the build goes on without it. Only a signature that the user trusts decides what a
//! build gives; objects prove themselves, so those may come from anybody.
//!
//! If several results count, the one is taken whose objects are here, then the one with the most signers, then the one with the smallest paths.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::cache::{CacheError, CacheSet, Claim, PullEvent, Pulled, Puller};
use crate::fsio::{IoResultExt as _, PathError};
use crate::model::{DerivationHash, Node, OutputName, StorePath};
use crate::store::{ForeignTrace, NewDerivation, Registration, Store, StoreError};

use super::event::{Event, Reporter};
use super::plan::{Asked, Substitute};
use super::stop::Stop;

/// Bytes of a log at most that is fetched along with an object.
const LONGEST_LOG: u64 = 16 << 20;

/// Trusted keys that say different things about one build: it is not reproducible, or somebody lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The derivation's name.
    pub name: String,
    /// The resolved derivation.
    pub resolved: DerivationHash,
    /// What is said.
    pub claims: Vec<Said>,
}

/// One of several results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// What the outputs came out as.
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// Whose builds gave that.
    pub signers: Vec<String>,
}

/// Caches, for one build.
pub struct Substituter<'a> {
    store: &'a Store,
    caches: &'a CacheSet,
    puller: Puller<'a>,
    reporter: &'a dyn Reporter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was believed and is not registered yet.
    believed: Vec<ForeignTrace>,
    disagreements: Vec<Disagreement>,
}

impl<'a> Substituter<'a> {
    /// Caches for one build. None of them is asked yet.
    pub fn new(store: &'a Store, caches: &'a CacheSet, reporter: &'a dyn Reporter, stop: &'a Stop) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let puller = Puller::new(store, caches, (2 * cores).clamp(4, 16), stop.as_flag());
        Self { store, caches, puller, reporter, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: &CacheError) {
        self.reporter.report(&Event::Trouble { error });
    }

    /// Whether a cache may say what a build gives.
    pub(super) fn is_trusted(&self) -> bool {
        self.caches.is_trusted()
    }

    /// What the caches say that these came out as.
    pub(super) fn ask(&self, asked: &[Asked]) -> Result<Vec<Option<BTreeMap<OutputName, StorePath>>>, StoreError> {
        let hashes: Vec<DerivationHash> = asked.iter().map(|asked| asked.resolved).collect();
        let testimony = self.caches.testimony(&hashes, &|error| self.trouble(error));
        asked.iter().zip(testimony).map(|(asked, claims)| self.judge(asked, claims)).collect()
    }

    fn judge(&self, asked: &Asked, claims: Vec<Claim>) -> Result<Option<BTreeMap<OutputName, StorePath>>, StoreError> {
        if claims.len() > 1 {
            self.disagree(asked, &claims);
        }
        let mut best = None;
        for claim in claims.into_iter().filter(|claim| claim.counts) {
            let present = self.store.valid_among(claim.outputs.values())?.len() == claim.outputs.len();
            let rank = (!present, Reverse(claim.signed.len()), claim.outputs.clone());
            if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                best = Some((rank, claim));
            }
        }
        let Some((_, claim)) = best else { return Ok(None) };
        let signatures = claim.signed.iter().map(|(signer, signed)| (signer.to_string(), signed.signature.to_string())).collect();
        if let Some(signed) = claim.signed.into_values().next() {
            self.state().believed.push(ForeignTrace { trace: signed.trace, signatures });
        }
        Ok(Some(claim.outputs))
    }

    fn disagree(&self, asked: &Asked, claims: &[Claim]) {
        let said = |claim: &Claim| Said { outputs: claim.outputs.clone(), signers: claim.signed.keys().map(ToString::to_string).collect() };
        let disagreement = Disagreement { name: asked.name.clone(), resolved: asked.resolved, claims: claims.iter().map(said).collect() };
        self.reporter.report(&Event::Disagreement { disagreement: &disagreement });
        self.state().disagreements.push(disagreement);
    }

    /// What was believed since the last time, to be registered.
    pub(super) fn take_believed(&self) -> Vec<ForeignTrace> {
        std::mem::take(&mut self.state().believed)
    }

    /// Registers what was believed, so that nobody need be asked again.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn keep_believed(&self) -> Result<(), StoreError> {
        let foreign = self.take_believed();
        if foreign.is_empty() { Ok(()) } else { self.store.register(&Registration { foreign, ..Registration::default() }) }
    }

    /// What trusted keys disagreed about.
    pub(super) fn take_disagreements(&self) -> Vec<Disagreement> {
        std::mem::take(&mut self.state().disagreements)
    }

    /// Whether some cache describes an object. For a dry run: nothing is fetched.
    pub fn finds(&self, path: &StorePath) -> bool {
        self.puller.finds(path, &|_| {})
    }

    /// Pulls objects with all they refer to. None if the caches do not have them, or fail; then they are to be made here. `planned` is told once
    /// they have been found, `received` how many packed bytes have come in all.
    ///
    /// # Errors
    /// If the store fails, or the build is stopped.
    pub(super) fn pull(
        &self,
        paths: &[StorePath],
        planned: &(dyn Fn() + Sync),
        received: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Pulled>, CacheError> {
        let (started, total) = (AtomicBool::new(false), AtomicU64::new(0));
        let pulled = self.puller.pull(paths, &|event| match event {
            PullEvent::Planned { .. } => {
                started.store(true, Ordering::Relaxed);
                planned();
            }
            PullEvent::Received(bytes) => received(total.fetch_add(*bytes, Ordering::Relaxed) + bytes),
            PullEvent::Trouble(error) => self.trouble(error),
            PullEvent::Started(_) | PullEvent::Fetched(_) => {}
        });
        match pulled {
            Ok(pulled) => Ok(Some(pulled)),
            Err(error @ (CacheError::Stopped | CacheError::Store(_) | CacheError::Io(_))) => Err(error),
            Err(error) => {
                // What went wrong before has been told.
                if started.into_inner() {
                    self.trouble(&error);
                }
                Ok(None)
            }
        }
    }

    /// How the build of something pulled went, if a trusted key says so: record, derivation and log, for `kiln log` and others. That they cannot be
    /// had is nobody's loss.
    pub(super) fn history(&self, substitute: &Substitute) -> Registration {
        let mut registration = Registration { foreign: self.take_believed(), ..Registration::default() };
        if let (Some(resolved), Some(node)) = (&substitute.resolved, &substitute.node) {
            self.add_history(&mut registration, resolved, Some(node));
        }
        registration
    }

    /// Fetches and registers how the builds went that gave an object, as far as trusted keys say so.
    ///
    /// # Errors
    /// If the store fails.
    pub fn fetch_history(&self, path: &StorePath) -> Result<(), StoreError> {
        let mut registration = Registration::default();
        for stored in self.store.producers(path)? {
            self.add_history(&mut registration, &stored.trace.resolved, None);
        }
        if registration.foreign_records.is_empty() { Ok(()) } else { self.store.register(&registration) }
    }

    fn add_history(&self, registration: &mut Registration, resolved: &DerivationHash, node: Option<&Node>) {
        if self.store.records_of_resolved(resolved).is_ok_and(|records| !records.is_empty()) {
            return;
        }
        let caches = self.caches.caches(&|_| {});
        let found = caches.iter().find_map(|cache| Some((cache, cache.record(resolved).ok()??)));
        let Some((cache, signed)) = found else { return };
        let mut record = signed.record;
        let canonical = match node.filter(|node| node.hash == record.derivation) {
            Some(node) => node.derivation.canonical().ok(),
            None => cache.derivation(&record.derivation).ok().flatten(),
        };
        let hints = signed.hints.to_string();
        registration.derivations.extend(canonical.map(|canonical| NewDerivation { hash: record.derivation, canonical, hints }));
        // The path that stands there is the other store's.
        record.log = record.log.is_some().then(|| self.log(cache, resolved).ok().flatten()).flatten();
        registration.foreign_records.push(record);
    }

    /// Fetches a log; gives its place, relative to the store's directory.
    fn log(&self, cache: &crate::cache::Cache, resolved: &DerivationHash) -> Result<Option<std::path::PathBuf>, CacheError> {
        let Some(reading) = cache.log(resolved)?.filter(|reading| reading.length.is_none_or(|length| length <= LONGEST_LOG)) else {
            return Ok(None);
        };
        let scratch = self.store.new_scratch()?;
        let file = scratch.path().join("log");
        let mut out = std::fs::File::create(&file).at("create", &file)?;
        let copied = std::io::copy(&mut reading.body.take(LONGEST_LOG + 1), &mut out).at("write", &file)?;
        if copied > LONGEST_LOG || reading.length.is_some_and(|length| length != copied) {
            return Ok(None);
        }
        let place = self.store.new_log(resolved)?;
        std::fs::rename(&file, &place).map_err(|error| PathError::new("move the log to", &place, error))?;
        Ok(Some(place.strip_prefix(self.store.dir()).unwrap_or(&place).to_owned()))
    }
}
