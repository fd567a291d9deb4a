//! What is said about builds: traces, records, logs and derivations, signed.
//!
//! In: the paths that are pushed. Out: a statement for every build of this store that is behind them, directly or not: planning elsewhere goes up
//! from the sources, so it needs the traces of the whole build graph, though not the objects in between. Only this store's own strictly
//! sealed builds are spoken of.
//!
//! The trace is written last: where it is, record, log and derivation are. Builds by one key that disagree are lines of one entry; nothing that
//! was said is ever taken back.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backend::Existing;
use super::entry::EntryName;
use super::error::CacheError;
use super::parallel::{self, AT_ONCE};
use super::push::Pusher;
use super::resume::read_small;
use super::signing::SecretKey;
use super::statement::{SignedRecord, SignedTrace, read_traces, write_traces};
use crate::model::{BuildRecord, BuildTrace, DerivationHash, OutputName, SandboxLevel, StorePath};
use crate::store::Store;

/// Bytes of an entry of traces at most.
const LONGEST: u64 = 1 << 20;

/// Statements that were written or found in the cache: what was said is never taken back, so nobody need look again.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<HashSet<Claim>>);

/// A resolved derivation and what it came out as.
type Claim = (DerivationHash, BTreeMap<OutputName, StorePath>);

impl Said {
    fn set(&self) -> MutexGuard<'_, HashSet<Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known about one build of this store.
#[derive(Debug)]
pub(super) struct Statement {
    trace: BuildTrace,
    record: Option<BuildRecord>,
}

impl Statement {
    /// The sources and fetched files that the build read.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &StorePath> {
        self.record.iter().flat_map(|record| record.leaves.iter().map(|leaf| &leaf.path))
    }
}

/// All that is to be said about the builds behind `paths`.
pub(super) fn statements(store: &Store, paths: &[StorePath]) -> Result<Vec<Statement>, CacheError> {
    let mut seen: HashSet<StorePath> = paths.iter().cloned().collect();
    let mut said = HashSet::new();
    let mut waiting: Vec<StorePath> = store.closure(paths)?;
    seen.extend(waiting.iter().cloned());
    let mut statements = Vec::new();
    while let Some(path) = waiting.pop() {
        for stored in store.producers(&path)? {
            let trace = stored.trace;
            let ours = stored.local && trace.level == SandboxLevel::Strict;
            if !ours || !said.insert((trace.resolved, trace.outputs.clone())) {
                continue;
            }
            let record = store.own_record(&trace)?;
            let inputs = record.iter().flat_map(|record| record.inputs.values());
            waiting.extend(inputs.filter(|input| seen.insert((*input).clone())).cloned());
            statements.push(Statement { trace, record });
        }
    }
    Ok(statements)
}

/// Writes the statements that are not there yet. Gives their number, and that of the others.
pub(super) fn publish(pusher: &Pusher<'_>, key: &SecretKey, statements: &[Statement]) -> Result<(usize, usize), CacheError> {
    let claim = |statement: &Statement| (statement.trace.resolved, statement.trace.outputs.clone());
    let unsure: Vec<&Statement> = {
        let said = pusher.said.set();
        statements.iter().filter(|statement| !said.contains(&claim(statement))).collect()
    };
    let results = parallel::map(&unsure, AT_ONCE, |statement| {
        pusher.check_stop()?;
        let news = publish_one(pusher, key, statement)?;
        pusher.said.set().insert(claim(statement));
        Ok::<bool, CacheError>(news)
    });
    let news = results.into_iter().collect::<Result<Vec<bool>, _>>()?;
    let sent = news.iter().filter(|news| **news).count();
    Ok((sent, statements.len() - sent))
}

/// Writes one statement; false if it is there.
fn publish_one(pusher: &Pusher<'_>, key: &SecretKey, statement: &Statement) -> Result<bool, CacheError> {
    let backend = pusher.backend;
    let entry = EntryName::traces(&statement.trace.resolved, key.name());
    let bytes = read_small(backend, &entry, LONGEST)?.unwrap_or_default();
    let lie = |problem| CacheError::Lie { cache: backend.location(), entry: entry.clone(), problem };
    let mut traces = read_traces(&bytes).map_err(|error| lie(error.to_string()))?;
    let public = key.public();
    if !traces.iter().all(|signed| signed.is_by(&public)) {
        return Err(lie(format!("it holds statements that this key, `{}`, did not sign", key.name())));
    }
    if traces.iter().any(|signed| signed.trace == statement.trace) {
        return Ok(false);
    }
    if let Some(record) = &statement.record {
        publish_record(pusher, key, record)?;
    }
    traces.push(SignedTrace::new(statement.trace.clone(), key));
    backend.write(&entry, &write_traces(&traces), Existing::Replace)?;
    Ok(true)
}

fn publish_record(pusher: &Pusher<'_>, key: &SecretKey, record: &BuildRecord) -> Result<(), CacheError> {
    let Pusher { store, backend, .. } = pusher;
    let derivation = store.derivation(&record.derivation)?;
    let hints = derivation.as_ref().and_then(|derivation| serde_json::from_str(&derivation.hints).ok()).unwrap_or_default();
    if let Some(derivation) = derivation {
        let entry = EntryName::derivation(&record.derivation);
        backend.write(&entry, &derivation.canonical.into_bytes(), Existing::Keep)?;
    }
    let log = record.log.as_ref().map(|log| store.dir().join(log)).filter(|log| log.is_file());
    if let Some(log) = log {
        backend.write(&EntryName::log(&record.resolved, key.name()), &log, Existing::Replace)?;
    }
    let signed = SignedRecord::new(record.clone(), hints, key);
    let bytes = serde_json::to_vec(&signed).unwrap_or_default();
    backend.write(&EntryName::record(&record.resolved, key.name()), &bytes, Existing::Replace)
}
