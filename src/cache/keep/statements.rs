//! Traces, records, logs and derivations of a cache: which entry is what, and which of them nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::catalogue::Catalogue;
use crate::cache::backend::{Backend, Listed};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::parallel::{self, AT_ONCE};
use crate::cache::resume::read_small;
use crate::cache::signing::KeyName;
use crate::cache::statement::{SignedRecord, SignedTrace, read_traces};
use crate::model::{Derivation, DerivationHash, Input, ResolvedDerivation, StoreDigest, StorePath};

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
        let Content::Is(outputs) = read(backend, &listed.name, traced)? else { return Ok(()) };
        found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(SignedOutputs { signer, outputs });
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn traced(bytes: &[u8]) -> Option<Vec<StorePath>> {
    let traces: Vec<SignedTrace> = read_traces(bytes).ok()?;
    let outputs: BTreeSet<StorePath> = traces.into_iter().flat_map(|signed| signed.trace.outputs.into_values()).collect();
    Some(outputs.into_iter().collect())
}

/// What an entry holds.
enum Content<T> {
    /// It went meanwhile.
    Gone,
    /// Nothing that this program understands: it is damaged, too large, or of a later version.
    Unreadable,
    Is(T),
}

fn read<T>(backend: &dyn Backend, name: &EntryName, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Content<T>, CacheError> {
    match read_small(backend, name, LARGEST) {
        Ok(Some(bytes)) => Ok(parse(&bytes).map_or(Content::Unreadable, Content::Is)),
        Ok(None) => Ok(Content::Gone),
        Err(CacheError::Lie { .. }) => Ok(Content::Unreadable),
        Err(error) => Err(error),
    }
}

/// One key's statements about one resolved derivation.
#[derive(Default)]
struct Build<'a> {
    entries: Vec<&'a Listed>,
    outputs: Vec<StorePath>,
    derivations: Vec<DerivationHash>,
    /// How many of the entries cannot be read, so that outputs and derivations are not known.
    unreadable: usize,
}

/// What may go, and what must stay because it is not known what it is about.
#[derive(Debug, Default)]
pub(super) struct Needless {
    pub(super) entries: Vec<EntryName>,
    /// Entries that cannot be read and stay.
    pub(super) unreadable: usize,
}

/// The traces, records and logs of which no output `is_there`, and the derivations that no other needs; only what was written before `before`.
/// What cannot be read counts as needless if `drop_unreadable`; else it stays, and so do all derivations, for it may need any of them.
///
/// # Errors
/// If an entry cannot be fetched.
pub(super) fn needless(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    is_there: &(dyn Fn(&StoreDigest) -> bool + Sync),
    before: SystemTime,
    drop_unreadable: bool,
) -> Result<Needless, CacheError> {
    let mut needless = Vec::new();
    let mut needed = BTreeSet::new();
    let mut unreadable = 0;
    for (_, build) in builds(backend, catalogue)? {
        let is_old = build.entries.iter().all(|entry| entry.modified < before);
        let is_known = drop_unreadable || build.unreadable == 0;
        unreadable += if is_known { 0 } else { build.unreadable };
        if is_old && is_known && !build.outputs.iter().any(|path| is_there(path.digest())) {
            needless.extend(build.entries.into_iter().map(|entry| entry.name.clone()));
        } else {
            needed.extend(build.derivations);
        }
    }
    // Whoever is interrupted leaves a record without its trace rather than the other way round.
    needless.sort_by_key(|name| !matches!(Statement::of(name), Some(Statement::Trace(..))));
    let (derivations, unread) = needless_derivations(backend, catalogue, needed, is_there, before)?;
    unreadable += if drop_unreadable { 0 } else { unread };
    if unreadable == 0 {
        needless.extend(derivations);
    }
    Ok(Needless { entries: needless, unreadable })
}

fn builds<'a>(backend: &dyn Backend, catalogue: &'a Catalogue) -> Result<BTreeMap<(String, KeyName), Build<'a>>, CacheError> {
    let builds: Mutex<BTreeMap<(String, KeyName), Build<'a>>> = Mutex::default();
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let (hash, key, content) = match Statement::of(&listed.name) {
            Some(Statement::Trace(hash, key)) => {
                let outputs = read(backend, &listed.name, |bytes| Some((traced(bytes)?, vec![hash])))?;
                (hash, key, outputs)
            }
            Some(Statement::Record(hash, key)) => {
                let record = |bytes: &[u8]| {
                    let SignedRecord { record, .. } = serde_json::from_slice(bytes).ok()?;
                    Some((record.outputs.into_values().collect(), vec![record.derivation, hash]))
                };
                (hash, key, read(backend, &listed.name, record)?)
            }
            Some(Statement::Log(hash, key)) => (hash, key, Content::Gone),
            _ => return Ok(()),
        };
        let unreadable = usize::from(matches!(content, Content::Unreadable));
        let (outputs, derivations) = if let Content::Is(found) = content { found } else { Default::default() };
        let mut builds = builds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let build = builds.entry((hash.to_string(), key)).or_default();
        build.entries.push(listed);
        build.outputs.extend(outputs);
        build.derivations.extend(derivations);
        build.unreadable += unreadable;
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
) -> Result<(Vec<EntryName>, usize), CacheError> {
    let unreadable = AtomicUsize::new(0);
    let known: Mutex<(Inputs, BTreeSet<DerivationHash>)> = Mutex::new((BTreeMap::new(), needed));
    parallel::each(catalogue.statements.iter(), AT_ONCE, |listed| {
        let Some(Statement::Derivation(hash)) = Statement::of(&listed.name) else { return Ok(()) };
        let derivation = match read(backend, &listed.name, derivation)? {
            Content::Is(derivation) => derivation,
            Content::Gone => None,
            Content::Unreadable => {
                unreadable.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
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
    let needless = inputs.keys().filter(|hash| !needed.contains(*hash)).map(EntryName::derivation).collect();
    Ok((needless, unreadable.into_inner()))
}

/// A derivation; nothing for a resolved one, which has store paths for inputs: it needs no other.
fn derivation(bytes: &[u8]) -> Option<Option<Derivation<Input>>> {
    match serde_json::from_slice(bytes) {
        Ok(derivation) => Some(Some(derivation)),
        Err(_) => serde_json::from_slice::<ResolvedDerivation>(bytes).ok().map(|_| None),
    }
}
