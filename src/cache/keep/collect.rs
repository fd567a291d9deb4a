//! Collecting: what a budget leaves no room for goes. The page of [`super`] says in which order, and why pushes may run meanwhile.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::catalogue::{Catalogue, NarFile};
use super::lease::Leases;
use super::mark::Claim;
use super::pin::pins;
use super::plan::{Budget, Plan, plan};
use super::removal::Removal;
use super::statements::needless;
use super::timing::{Moment, Timing};
use crate::cache::backend::{Backend, Existing};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::resume::read_small;
use crate::model::{StoreDigest, StorePath};

/// Bytes of the list of condemned NARs at most.
const LARGEST: u64 = 256 << 20;

/// How to collect.
#[derive(Debug)]
pub struct CollectOptions<'a> {
    /// How much may stay.
    pub budget: Budget,
    /// What was written or read later than that stays; and for that long a NAR stays when nothing names it any more.
    pub grace: Duration,
    /// Whether traces, records, logs and derivations go, too, whose outputs are gone.
    pub statements: bool,
    /// Whether descriptions go that cannot be read, and traces, records and derivations likewise. Otherwise those are an error, for what they
    /// refer to is unknown, and these stay.
    pub unreadable: bool,
    /// Only find out.
    pub dry_run: bool,
    /// Set to stop between two removals.
    pub stop: &'a AtomicBool,
}

/// What was collected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollectReport {
    /// Whether nothing was removed in fact.
    pub dry_run: bool,
    /// Objects that went, in that order.
    pub removed: Vec<StorePath>,
    /// Objects that stay.
    pub kept: usize,
    /// Packed bytes of those.
    pub kept_bytes: u64,
    /// How many of those are held by pins, leases, youth or the wish to keep the last.
    pub held: usize,
    /// NARs that went, which no object named.
    pub nars: usize,
    /// Their bytes.
    pub nar_bytes: u64,
    /// NARs that no object names and that go with a later collection.
    pub condemned: usize,
    /// Their bytes.
    pub condemned_bytes: u64,
    /// Traces, records, logs and derivations that went.
    pub statements: usize,
    /// Traces, records and derivations that cannot be read and therefore stay; then no derivation goes.
    pub doubtful: usize,
    /// Descriptions that could not be read and went.
    pub unreadable: usize,
    /// Pieces of entries that writers left who were killed.
    pub partial: usize,
    /// Leases of pushes that were running, or ended during a collection.
    pub leases: usize,
    /// Whether it took so long that what was read first may no longer hold; another collection goes on.
    pub unfinished: bool,
}

/// Nobody writes at one entry for so long.
pub(in crate::cache) const PARTIAL_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Collects.
///
/// # Errors
/// If the cache cannot be listed, read or written; if a pin, lease or description cannot be read, for then it is not known what must stay; if
/// another collection runs.
pub fn collect(backend: &dyn Backend, options: &CollectOptions<'_>) -> Result<CollectReport, CacheError> {
    collect_timed(backend, options, &Timing::STANDARD)
}

pub(super) fn collect_timed(backend: &dyn Backend, options: &CollectOptions<'_>, timing: &Timing) -> Result<CollectReport, CacheError> {
    let claim = if options.dry_run { None } else { Some(Claim::take(backend, timing)?) };
    let now = claim.as_ref().map_or_else(SystemTime::now, |claim| claim.now);
    let begun = Moment::now();
    let catalogue = Catalogue::read(backend, &|_, _| ())?;
    let unreadable = unreadable(backend, &catalogue, options, now)?;
    let leases = Leases::read(backend, now, timing)?;
    let mut held: HashSet<StoreDigest> = pins(backend)?.iter().flat_map(|pin| &pin.paths).map(|path| *path.digest()).collect();
    held.extend(leases.names.iter().filter_map(EntryName::described));
    let plan = plan(&catalogue, &held, options.grace, &options.budget, now);
    let removal = claim.map(|claim| Removal { backend, timing, stop: options.stop, claim, begun, spared: leases.names.clone() });
    let report = CollectReport {
        dry_run: options.dry_run,
        kept: plan.kept,
        kept_bytes: plan.kept_bytes,
        held: plan.held,
        leases: leases.standing,
        ..CollectReport::default()
    };
    let youth = timing.lease;
    let mut collection = Collection { backend, options, catalogue, removal, now, begun, youth, gone: HashSet::new(), report };
    collection.report.unreadable = collection.remove(&unreadable)?.len();
    collection.objects(&plan)?;
    collection.nars()?;
    if options.statements {
        collection.statements()?;
    }
    collection.remove(&leases.stale)?;
    if !options.dry_run {
        collection.report.partial = backend.tidy(PARTIAL_AGE)?;
    }
    Ok(collection.report)
}

/// Descriptions that cannot be read and are to go; those that are young are left to whoever is at work there.
fn unreadable(
    backend: &dyn Backend,
    catalogue: &Catalogue,
    options: &CollectOptions<'_>,
    now: SystemTime,
) -> Result<Vec<EntryName>, CacheError> {
    let old = catalogue.unreadable.iter().filter(|entry| is_older(entry.modified, options.grace, now));
    match old.clone().next() {
        Some(first) if !options.unreadable => {
            let (entry, problem) = (first.entry.clone(), first.problem.clone());
            Err(CacheError::Unreadable { cache: backend.location(), entry, problem })
        }
        _ => Ok(old.map(|entry| entry.entry.clone()).collect()),
    }
}

fn is_older(time: SystemTime, than: Duration, now: SystemTime) -> bool {
    now.duration_since(time).is_ok_and(|age| age >= than)
}

struct Collection<'a> {
    backend: &'a dyn Backend,
    options: &'a CollectOptions<'a>,
    catalogue: Catalogue,
    /// None if nothing is to be removed in fact.
    removal: Option<Removal<'a>>,
    now: SystemTime,
    begun: Moment,
    /// NARs younger than this stay, whatever the grace period.
    youth: Duration,
    /// Descriptions that went.
    gone: HashSet<EntryName>,
    report: CollectReport,
}

impl Collection<'_> {
    /// Removes entries, or only says which would go.
    fn remove(&mut self, entries: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
        let Some(removal) = &mut self.removal else { return Ok(entries.iter().cloned().collect()) };
        let removed = removal.remove(&self.catalogue, entries)?;
        self.report.unfinished |= removed.unfinished;
        Ok(removed.gone)
    }

    fn objects(&mut self, plan: &Plan) -> Result<(), CacheError> {
        let entries: Vec<EntryName> = plan.remove.iter().map(EntryName::narinfo).collect();
        self.gone = self.remove(&entries)?;
        let objects = plan.remove.iter().filter_map(|digest| self.catalogue.objects.get(digest));
        let (gone, spared): (Vec<_>, Vec<_>) = objects.partition(|object| self.gone.contains(&EntryName::narinfo(object.path.digest())));
        self.report.removed = gone.into_iter().map(|object| object.path.clone()).collect();
        self.report.kept += spared.len();
        self.report.kept_bytes += spared.into_iter().map(|object| self.catalogue.packed_size(object)).sum::<u64>();
        Ok(())
    }

    fn is_there(&self, digest: &StoreDigest) -> bool {
        self.catalogue.objects.contains_key(digest) && !self.gone.contains(&EntryName::narinfo(digest))
    }

    /// NARs that nothing names: those that were condemned long enough ago go, the others are condemned.
    fn nars(&mut self) -> Result<(), CacheError> {
        let named: HashSet<&EntryName> =
            self.catalogue.objects.values().filter(|object| self.is_there(object.path.digest())).map(|object| &object.nar).collect();
        // A push may have written it and be about to name it; without a lease of its own, see `Lease`.
        let youth = self.options.grace.max(self.youth);
        let unnamed = self.catalogue.nars.iter().filter(|(name, nar)| !named.contains(name) && is_older(nar.modified, youth, self.now));
        let unnamed: BTreeMap<EntryName, NarFile> = unnamed.map(|(name, nar)| (name.clone(), *nar)).collect();
        let before = condemned(self.backend)?;
        let now = self.now + self.begun.elapsed();
        let since = |name: &EntryName| before.get(name).copied().unwrap_or(now);
        let due = unnamed.keys().filter(|name| is_older(since(name), self.options.grace, now));
        let due: Vec<EntryName> = due.cloned().collect();
        let gone = self.remove(&due)?;
        let sum = |went: bool| {
            let some = unnamed.iter().filter(|(name, _)| gone.contains(*name) == went).map(|(_, nar)| nar.size);
            (some.clone().count(), some.sum())
        };
        (self.report.nars, self.report.nar_bytes) = sum(true);
        (self.report.condemned, self.report.condemned_bytes) = sum(false);
        let left: BTreeMap<EntryName, SystemTime> =
            unnamed.keys().filter(|name| !gone.contains(*name)).map(|name| (name.clone(), since(name))).collect();
        if self.removal.is_some() && left != before {
            self.backend.write(&EntryName::condemned(), &condemned_text(&left), Existing::Replace)?;
        }
        Ok(())
    }

    fn statements(&mut self) -> Result<(), CacheError> {
        let age = self.options.budget.older_than.unwrap_or_default().max(self.options.grace);
        let before = self.now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let needless = needless(self.backend, &self.catalogue, &|digest| self.is_there(digest), before, self.options.unreadable)?;
        self.report.statements = self.remove(&needless.entries)?.len();
        self.report.doubtful = needless.unreadable;
        Ok(())
    }
}

/// Since when which NARs are condemned: lines of seconds since 1970 and a name. Lines that are none condemn nothing.
fn condemned(backend: &dyn Backend) -> Result<BTreeMap<EntryName, SystemTime>, CacheError> {
    let bytes = read_small(backend, &EntryName::condemned(), LARGEST)?.unwrap_or_default();
    let entry = |line: &str| {
        let (seconds, name) = line.split_once(' ')?;
        Some((name.parse().ok()?, SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?))
    };
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(entry).collect())
}

fn condemned_text(condemned: &BTreeMap<EntryName, SystemTime>) -> Vec<u8> {
    let seconds = |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    condemned.iter().map(|(name, since)| format!("{} {name}\n", seconds(since))).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests;
