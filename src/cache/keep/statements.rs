//! Traces, records, logs and derivations of a cache: which entry is what, and which of them nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::SystemTime;

use super::catalogue::Catalogue;
use crate::cache::backend::{Backend, Listed};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::parallel::{self, AT_ONCE};
use crate::cache::resume::read_small;
use crate::cache::signing::KeyName;
use crate::cache::statement::{SignedRecord, SignedTrace, read_traces};
use crate::model::{Derivation, DerivationHash, Input, StoreDigest, StorePath};

/// Bytes of a trace, record or derivation at most.
pub(super) const LARGEST: u64 = 16 << 20;

/// What an entry below `kiln/` is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Trace(DerivationHash, KeyName),
    Record(DerivationHash, KeyName),
    Log(DerivationHash, KeyName),
    Derivation(DerivationHash),
    Pin,
    /// Leases and the collector's own notes.
    Housekeeping,
}

impl Statement {
    /// None if nothing has such a name.
    pub(super) fn of(name: &EntryName) -> Option<Self> {
        let parts: Vec<&str> = name.as_str().split('/').collect();
        let build = |hash: &str, key: &str| Some((derivation_hash(hash)?, key.parse().ok()?));
        Some(match *parts.as_slice() {
            ["kiln", "traces", hash, key] => build(hash, key).map(|(hash, key)| Self::Trace(hash, key))?,
            ["kiln", "records", hash, key] => build(hash, key).map(|(hash, key)| Self::Record(hash, key))?,
            ["kiln", "logs", hash, file] => build(hash, file.strip_suffix(".zst")?).map(|(hash, key)| Self::Log(hash, key))?,
            ["kiln", "derivations", file] => Self::Derivation(derivation_hash(file.strip_suffix(".json")?)?),
            ["kiln", "pins", _] => Self::Pin,
            ["kiln", "leases" | "collector", _] => Self::Housekeeping,
            _ => return None,
        })
    }
}

fn derivation_hash(text: &str) -> Option<DerivationHash> {
    let hash = DerivationHash(text.parse().ok()?);
    (hash.to_string() == text).then_some(hash)
}

/// Who says that some objects are the outputs of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOutputs {
    /// The key that the trace lies under; the signature is not checked here.
    pub signer: KeyName,
    /// What the build made.
    pub outputs: Vec<StorePath>,
}

/// What all traces of a cache say, those that are none left out.
///
/// # Errors
/// If an entry cannot be fetched.
pub fn signed_outputs(backend: &dyn Backend, catalogue: &Catalogue) -> Result<Vec<SignedOutputs>, CacheError> {
    let found = Mutex::new(Vec::new());
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let Some(Statement::Trace(_, signer)) = Statement::of(&listed.name) else { return Ok(()) };
        let Some(bytes) = read_or_nothing(backend, &listed.name)? else { return Ok(()) };
        let outputs = traced(&bytes);
        found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(SignedOutputs { signer, outputs });
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn traced(bytes: &[u8]) -> Vec<StorePath> {
    let traces: Vec<SignedTrace> = read_traces(bytes).unwrap_or_default();
    let outputs: BTreeSet<StorePath> = traces.into_iter().flat_map(|signed| signed.trace.outputs.into_values()).collect();
    outputs.into_iter().collect()
}

/// The bytes of an entry; none also if it is too large to be what it should.
fn read_or_nothing(backend: &dyn Backend, name: &EntryName) -> Result<Option<Vec<u8>>, CacheError> {
    match read_small(backend, name, LARGEST) {
        Err(CacheError::Lie { .. }) => Ok(None),
        read => read,
    }
}

/// One key's statements about one resolved derivation.
#[derive(Default)]
struct Build<'a> {
    entries: Vec<&'a Listed>,
    outputs: Vec<StorePath>,
    derivations: Vec<DerivationHash>,
}

/// The traces, records and logs of which no output `is_there`, and the derivations that no other needs; only what was written before `before`.
///
/// # Errors
/// If an entry cannot be fetched.
pub(super) fn needless(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    is_there: &(dyn Fn(&StoreDigest) -> bool + Sync),
    before: SystemTime,
) -> Result<Vec<EntryName>, CacheError> {
    let mut needless = Vec::new();
    let mut needed = BTreeSet::new();
    for (_, build) in builds(backend, catalogue)? {
        let is_old = build.entries.iter().all(|entry| entry.modified < before);
        if is_old && !build.outputs.iter().any(|path| is_there(path.digest())) {
            needless.extend(build.entries.into_iter().map(|entry| entry.name.clone()));
        } else {
            needed.extend(build.derivations);
        }
    }
    // Whoever is interrupted leaves a record without its trace rather than the other way round.
    needless.sort_by_key(|name| !matches!(Statement::of(name), Some(Statement::Trace(..))));
    needless.extend(needless_derivations(backend, catalogue, needed, is_there, before)?);
    Ok(needless)
}

fn builds<'a>(backend: &dyn Backend, catalogue: &'a Catalogue) -> Result<BTreeMap<(String, KeyName), Build<'a>>, CacheError> {
    let builds: Mutex<BTreeMap<(String, KeyName), Build<'a>>> = Mutex::default();
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let (hash, key, outputs, derivations) = match Statement::of(&listed.name) {
            Some(Statement::Trace(hash, key)) => {
                let bytes = read_or_nothing(backend, &listed.name)?;
                (hash, key, bytes.map(|bytes| traced(&bytes)).unwrap_or_default(), vec![hash])
            }
            Some(Statement::Record(hash, key)) => {
                let bytes = read_or_nothing(backend, &listed.name)?;
                let record = bytes.and_then(|bytes| serde_json::from_slice::<SignedRecord>(&bytes).ok());
                let (outputs, derivation) = record
                    .map_or((Vec::new(), None), |signed| (signed.record.outputs.into_values().collect(), Some(signed.record.derivation)));
                (hash, key, outputs, derivation.into_iter().chain([hash]).collect())
            }
            Some(Statement::Log(hash, key)) => (hash, key, Vec::new(), Vec::new()),
            _ => return Ok(()),
        };
        let mut builds = builds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let build = builds.entry((hash.to_string(), key)).or_default();
        build.entries.push(listed);
        build.outputs.extend(outputs);
        build.derivations.extend(derivations);
        Ok(())
    })?;
    Ok(builds.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Which derivations each derivation needs.
type Inputs = BTreeMap<DerivationHash, Vec<DerivationHash>>;

fn needless_derivations(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    needed: BTreeSet<DerivationHash>,
    is_there: &(dyn Fn(&StoreDigest) -> bool + Sync),
    before: SystemTime,
) -> Result<Vec<EntryName>, CacheError> {
    let known: Mutex<(Inputs, BTreeSet<DerivationHash>)> = Mutex::new((BTreeMap::new(), needed));
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let Some(Statement::Derivation(hash)) = Statement::of(&listed.name) else { return Ok(()) };
        let bytes = read_or_nothing(backend, &listed.name)?;
        // A resolved derivation has store paths for inputs: it needs no other.
        let derivation = bytes.and_then(|bytes| serde_json::from_slice::<Derivation<Input>>(&bytes).ok());
        let inputs = derivation.iter().flat_map(Derivation::all_inputs).filter_map(|input| match input {
            Input::Output { derivation, .. } => Some(*derivation),
            Input::Object(_) => None,
        });
        let fetched = derivation.as_ref().and_then(Derivation::known_path).is_some_and(|path| is_there(path.digest()));
        let mut known = known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.0.insert(hash, inputs.collect());
        if fetched || listed.modified >= before {
            known.1.insert(hash);
        }
        Ok(())
    })?;
    let (inputs, mut needed) = known.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut todo: Vec<DerivationHash> = needed.iter().copied().collect();
    while let Some(hash) = todo.pop() {
        todo.extend(inputs.get(&hash).into_iter().flatten().filter(|input| needed.insert(**input)));
    }
    Ok(inputs.keys().filter(|hash| !needed.contains(*hash)).map(EntryName::derivation).collect())
}
