//! Which builds the cache knows of: traces, records and logs, by resolved derivation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cache::entry::EntryName;
use crate::cache::signing::KeyName;
use crate::cache::statement::{SignedRecord, read_traces};
use crate::model::{DerivationHash, OutputName, StoreDigest, StorePath};

use super::content::Content;
use super::files::Files;
use super::index::Stamp;
use super::options::Limits;

/// What is known of one resolved derivation.
#[derive(Debug, Default)]
pub(super) struct Build {
    /// Who says what came of it.
    pub(super) traces: BTreeMap<KeyName, (Vec<BTreeMap<OutputName, StorePath>>, Stamp)>,
    /// Who wrote down how it went.
    pub(super) records: BTreeMap<KeyName, (Recorded, Stamp)>,
    /// Whose logs there are.
    pub(super) logs: BTreeMap<KeyName, Stamp>,
}

/// A record, as far as it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) name: Box<str>,
    pub(super) started_ms: u64,
    pub(super) duration_ms: u64,
}

/// What an entry says of a build.
pub(super) enum Said {
    Traces(Vec<BTreeMap<OutputName, StorePath>>, Stamp),
    Record(Recorded, Stamp),
    Log(Stamp),
}

/// All builds.
#[derive(Debug, Default)]
pub(super) struct Builds {
    all: BTreeMap<DerivationHash, Build>,
    made: HashMap<StoreDigest, BTreeSet<DerivationHash>>,
}

impl Build {
    /// What it is called, if anybody wrote that down; the name of what it made otherwise.
    pub(super) fn name(&self) -> &str {
        let recorded = self.records.values().map(|(recorded, _)| &*recorded.name).next();
        let made = || self.outputs().next().map(|(_, path)| path.name().as_str());
        recorded.or_else(made).unwrap_or_default()
    }

    /// Everything that anybody says came of it.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&OutputName, &StorePath)> {
        self.traces.values().flat_map(|(traces, _)| traces.iter().flatten())
    }

    /// Whether all who say something say the same.
    pub(super) fn is_agreed(&self) -> bool {
        let mut results = self.traces.values().flat_map(|(traces, _)| traces);
        let first = results.next();
        results.all(|result| Some(result) == first)
    }

    fn is_empty(&self) -> bool {
        self.traces.is_empty() && self.records.is_empty() && self.logs.is_empty()
    }
}

impl Builds {
    /// All, by resolved derivation.
    pub(super) fn all(&self) -> &BTreeMap<DerivationHash, Build> {
        &self.all
    }

    /// What is said to have made an object.
    pub(super) fn makers(&self, digest: &StoreDigest) -> impl Iterator<Item = (&DerivationHash, &Build)> {
        let makers = self.made.get(digest).into_iter().flatten();
        makers.filter_map(|resolved| Some((resolved, self.all.get(resolved)?)))
    }

    /// Which version of an entry is remembered.
    pub(super) fn stamp(&self, content: &Content) -> Option<Stamp> {
        match content {
            Content::Traces(resolved, key) => self.all.get(resolved)?.traces.get(key).map(|(_, stamp)| *stamp),
            Content::Record(resolved, key) => self.all.get(resolved)?.records.get(key).map(|(_, stamp)| *stamp),
            Content::Log(resolved, key) => self.all.get(resolved)?.logs.get(key).copied(),
            _ => None,
        }
    }

    /// The names of all remembered entries.
    pub(super) fn names(&self) -> Vec<EntryName> {
        let of = |(resolved, build): (&DerivationHash, &Build)| {
            let traces = build.traces.keys().map(|key| EntryName::traces(resolved, key));
            let records = build.records.keys().map(|key| EntryName::record(resolved, key));
            traces.chain(records).chain(build.logs.keys().map(|key| EntryName::log(resolved, key))).collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of).collect()
    }

    /// Takes in what an entry says.
    pub(super) fn insert(&mut self, content: &Content, said: Said) {
        self.remove(content);
        let (Content::Traces(resolved, key) | Content::Record(resolved, key) | Content::Log(resolved, key)) = content else { return };
        let build = self.all.entry(*resolved).or_default();
        match said {
            Said::Traces(outputs, stamp) => {
                for path in outputs.iter().flat_map(BTreeMap::values) {
                    self.made.entry(*path.digest()).or_default().insert(*resolved);
                }
                build.traces.insert(key.clone(), (outputs, stamp));
            }
            Said::Record(recorded, stamp) => drop(build.records.insert(key.clone(), (recorded, stamp))),
            Said::Log(stamp) => drop(build.logs.insert(key.clone(), stamp)),
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, content: &Content) {
        let (Content::Traces(resolved, key) | Content::Record(resolved, key) | Content::Log(resolved, key)) = content else { return };
        let Some(build) = self.all.get_mut(resolved) else { return };
        match content {
            Content::Traces(..) => {
                let Some((gone, _)) = build.traces.remove(key) else { return };
                let still: BTreeSet<_> = build.outputs().map(|(_, path)| *path.digest()).collect();
                for path in gone.iter().flat_map(BTreeMap::values).filter(|path| !still.contains(path.digest())) {
                    if let Some(makers) = self.made.get_mut(path.digest()) {
                        makers.remove(resolved);
                    }
                }
            }
            Content::Record(..) => drop(build.records.remove(key)),
            _ => drop(build.logs.remove(key)),
        }
        if build.is_empty() {
            self.all.remove(resolved);
        }
    }
}

/// What an entry says of a build; none if it is gone or says nothing.
pub(super) fn read(files: &Files, name: &EntryName, content: &Content) -> Option<Said> {
    let stamp = files.find(name).ok()??.stamp();
    let bytes = || files.read(name, Limits::DOCUMENT).ok()?;
    match content {
        Content::Traces(resolved, _) => {
            let traces = read_traces(&bytes()?).ok()?;
            let about = traces.into_iter().filter(|signed| signed.trace.resolved == *resolved);
            Some(Said::Traces(about.map(|signed| signed.trace.outputs).collect(), stamp))
        }
        Content::Record(resolved, _) => {
            let SignedRecord { record, .. } = serde_json::from_slice(&bytes()?).ok()?;
            let recorded = Recorded { name: record.name.into(), started_ms: record.started_ms, duration_ms: record.duration_ms };
            (record.resolved == *resolved).then_some(Said::Record(recorded, stamp))
        }
        Content::Log(..) => Some(Said::Log(stamp)),
        _ => None,
    }
}
