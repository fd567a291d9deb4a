//! Whether a cache holds what it says: names, hashes, closures, signatures.
//!
//! In: a back end. Out: findings, an entry and what is wrong with it each. Nothing is written, to the cache or to the disk, and memory does not
//! depend on the size of any object.

mod objects;
mod statements;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use serde::Serialize;

use super::catalogue::Catalogue;
use crate::cache::backend::Backend;
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::resume::read_small;
use crate::cache::signing::{KeyName, PublicKey};
use crate::model::STORE_DIR;

/// Bytes of `nix-cache-info` at most.
const LARGEST_INFO: u64 = 64 << 10;

/// What to check.
#[derive(Debug, Default)]
pub struct VerifyOptions {
    /// Whether NARs and logs are read and hashed.
    pub read: bool,
    /// Keys whose statements are checked; others' are only read.
    pub keys: Vec<PublicKey>,
}

/// Something that is not as it says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which entry.
    pub entry: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Objects that are described well.
    pub objects: usize,
    /// Traces, records, logs, derivations and pins.
    pub statements: usize,
    /// Statements that a trusted key vouches for.
    pub vouched: usize,
    /// Bytes of NARs and logs that were read, packed.
    pub bytes_read: u64,
    /// NARs that no description names: left by interrupted pushes, or waiting for the collector. They are no damage.
    pub orphans: Vec<String>,
    /// Bytes of those.
    pub orphan_bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What is found out, by several threads.
#[derive(Default)]
struct Findings(Mutex<VerifyReport>);

impl Findings {
    fn with(&self, change: impl FnOnce(&mut VerifyReport)) {
        change(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    fn add(&self, entry: &EntryName, problem: impl Into<String>) {
        let finding = Finding { entry: entry.to_string(), problem: problem.into() };
        self.with(|report| report.findings.push(finding));
    }
}

/// Checks everything in a cache.
///
/// # Errors
/// If it cannot be listed, or an entry cannot be fetched.
pub fn verify(backend: &dyn Backend, options: &VerifyOptions) -> Result<VerifyReport, CacheError> {
    let findings = Findings::default();
    cache_info(backend, &findings)?;
    let catalogue = Catalogue::read(backend, &|entry, info| objects::description(entry, info, &findings))?;
    for unreadable in &catalogue.unreadable {
        findings.add(&unreadable.entry, &unreadable.problem);
    }
    objects::closures(&catalogue, &findings);
    orphans(&catalogue, &findings);
    let keys: HashMap<&KeyName, &PublicKey> = options.keys.iter().map(|key| (key.name(), key)).collect();
    statements::all(backend, &catalogue, &keys, options.read, &findings)?;
    if options.read {
        objects::contents(backend, &catalogue, &findings)?;
    }
    let mut report = findings.0.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    report.objects = catalogue.objects.len();
    report.findings.sort();
    Ok(report)
}

fn cache_info(backend: &dyn Backend, findings: &Findings) -> Result<(), CacheError> {
    let entry = EntryName::cache_info();
    let bytes = match read_small(backend, &entry, LARGEST_INFO) {
        Ok(bytes) => bytes,
        Err(CacheError::Lie { problem, .. }) => {
            findings.add(&entry, problem);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let dir = text.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("StoreDir:")));
    match dir.map(str::trim) {
        Some(STORE_DIR) => {}
        Some(other) => findings.add(&entry, format!("its store directory is `{}`, not `{STORE_DIR}`", other.escape_debug())),
        None if text.is_some() => findings.add(&entry, "it does not say which store directory its objects are for"),
        None => findings.add(&entry, "it is not there"),
    }
    Ok(())
}

fn orphans(catalogue: &Catalogue, findings: &Findings) {
    let named: HashSet<&EntryName> = catalogue.objects.values().map(|object| &object.nar).collect();
    let mut orphans: Vec<_> = catalogue.nars.iter().filter(|(name, _)| !named.contains(name)).collect();
    orphans.sort_by_key(|(name, _)| *name);
    findings.with(|report| {
        report.orphan_bytes = orphans.iter().map(|(_, nar)| nar.size).sum();
        report.orphans = orphans.into_iter().map(|(name, _)| name.to_string()).collect();
    });
}

#[cfg(test)]
mod tests;
