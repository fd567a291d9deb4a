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

use super::backend::{Backend, Existing};
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
    let before = || statement.record.iter().try_for_each(|record| publish_record(pusher, key, record));
    add_trace(pusher.backend, key, &statement.trace, before)
}

/// Adds a trace to what the key says; false if it is there. `before` runs before it is written for the first time.
///
/// Several jobs may push with one key at once. The first entry is written only where there is none, and what was written is read again, until the
/// trace is in it: who was overwritten adds it once more. (Two that add to an entry at the same moment, after both have looked, can still lose one.)
fn add_trace(
    backend: &dyn Backend,
    key: &SecretKey,
    trace: &BuildTrace,
    before: impl Fn() -> Result<(), CacheError>,
) -> Result<bool, CacheError> {
    let entry = EntryName::traces(&trace.resolved, key.name());
    let lie = |problem| CacheError::Lie { cache: backend.location(), entry: entry.clone(), problem };
    for tries in 0.. {
        if tries > 1 {
            let waited = backend.patience().rest(tries - 1, "what was written to it is not there".to_owned(), None);
            waited.map_err(|failure| failure.into_error(&backend.location(), "take", &entry))?;
        }
        let there = read_small(backend, &entry, LONGEST)?;
        let mut traces = read_traces(there.as_deref().unwrap_or_default()).map_err(|error| lie(error.to_string()))?;
        let public = key.public();
        if !traces.iter().all(|signed| signed.is_by(&public)) {
            return Err(lie(format!("it holds statements that this key, `{}`, did not sign", key.name())));
        }
        if traces.iter().any(|signed| signed.trace == *trace) {
            return Ok(tries > 0);
        }
        if tries == 0 {
            before()?;
        }
        traces.push(SignedTrace::new(trace.clone(), key));
        let existing = if there.is_none() { Existing::Keep } else { Existing::Replace };
        let bytes = write_traces(&traces).map_err(|error| unwritable(format!("the traces in {entry}"), &error))?;
        backend.write(&entry, &bytes, existing)?;
    }
    Ok(true)
}

fn unwritable(what: String, error: &dyn std::fmt::Display) -> CacheError {
    CacheError::Unwritable { what, problem: error.to_string() }
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
    let what = || format!("the record of the build {}", record.resolved);
    let signed = SignedRecord::new(record.clone(), hints, key).map_err(|error| unwritable(what(), &error))?;
    let bytes = serde_json::to_vec(&signed).map_err(|error| unwritable(what(), &error))?;
    backend.write(&EntryName::record(&record.resolved, key.name()), &bytes, Existing::Replace)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cache::backend::{Listed, Reading, Source};
    use crate::cache::directory::Directory;
    use crate::cache::patient::Patience;
    use crate::model::Sha256;

    /// A directory whose first readers wait for each other before any of them hears what there is.
    #[derive(Debug)]
    struct Together {
        inner: Directory,
        reads: AtomicUsize,
        all: Barrier,
        writers: usize,
    }

    impl Backend for Together {
        fn location(&self) -> String {
            self.inner.location()
        }

        fn patience(&self) -> &Patience {
            self.inner.patience()
        }

        fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError> {
            let found = self.inner.read(name, from);
            if self.reads.fetch_add(1, Ordering::SeqCst) < self.writers {
                self.all.wait();
            }
            found
        }

        fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError> {
            self.inner.size(name)
        }

        fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
            self.inner.present(names)
        }

        fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError> {
            self.inner.write(name, source, existing)
        }

        fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError> {
            self.inner.list(prefix, each)
        }

        fn remove(&self, name: &EntryName) -> Result<(), CacheError> {
            self.inner.remove(name)
        }
    }

    #[test]
    fn two_that_find_nothing_and_disagree_are_both_heard() {
        let dir = tempfile::tempdir().unwrap();
        let writers = 2;
        let inner = Directory::new(dir.path().to_owned());
        let cache = Together { inner, reads: AtomicUsize::new(0), all: Barrier::new(writers), writers };
        let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
        let resolved = DerivationHash(Sha256::of("x"));
        let trace =
            |system: &str| BuildTrace { resolved, outputs: BTreeMap::new(), system: system.to_owned(), level: SandboxLevel::Strict };
        std::thread::scope(|scope| {
            for system in ["one", "other"] {
                let (cache, key) = (&cache, &key);
                scope.spawn(move || assert!(add_trace(cache, key, &trace(system), || Ok(())).unwrap()));
            }
        });
        let bytes = read_small(&cache, &EntryName::traces(&resolved, key.name()), LONGEST).unwrap().unwrap();
        let mut said: Vec<String> = read_traces(&bytes).unwrap().into_iter().map(|signed| signed.trace.system).collect();
        said.sort();
        assert_eq!(said, ["one", "other"]);
        assert!(!add_trace(&cache, &key, &trace("one"), || panic!("it is there")).unwrap());
    }
}
