//! Removing entries in slices that running pushes see coming.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::catalogue::Catalogue;
use super::lease::Leases;
use super::mark::{Claim, Slice};
use super::timing::{Moment, Timing};
use crate::cache::backend::Backend;
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::parallel::{self, AT_ONCE};
use crate::model::StoreDigest;

/// Entries that one slice may remove: a mark of 70 KiB, and seconds of work.
const SLICE: usize = 1000;

/// Entries that go at once: few enough that a slice ends in time.
const WAVE: usize = 64;

/// A collection at work.
pub(super) struct Removal<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) timing: &'a Timing,
    pub(super) stop: &'a AtomicBool,
    pub(super) claim: Claim<'a>,
    /// When it began to read the cache.
    pub(super) begun: Moment,
    /// Entries that a lease protects, found out so far.
    pub(super) spared: HashSet<EntryName>,
}

/// What became of a list of entries to be removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Those that are gone.
    pub(super) gone: HashSet<EntryName>,
    /// Whether the list was not worked off: what is known of the cache got too old.
    pub(super) unfinished: bool,
}

impl Removal<'_> {
    /// Removes entries, in the order given: one that refers to others comes before them. What a lease names, and what the catalogue says that
    /// refers to, stays.
    pub(super) fn remove(&mut self, catalogue: &Catalogue, entries: &[EntryName]) -> Result<Removed, CacheError> {
        let mut removed = Removed::default();
        let mut left = entries;
        while !left.is_empty() {
            if self.begun.elapsed() >= self.timing.knowledge {
                removed.unfinished = true;
                break;
            }
            let (now, _) = left.split_at(left.len().min(SLICE));
            let done = self.slice(catalogue, now, &mut removed.gone)?;
            left = &left[done..];
        }
        Ok(removed)
    }

    /// Removes as many of these as a slice has time for; says how many are done with.
    fn slice(&mut self, catalogue: &Catalogue, entries: &[EntryName], gone: &mut HashSet<EntryName>) -> Result<usize, CacheError> {
        let slice = self.claim.announce(entries)?;
        let leases = Leases::read(self.backend, slice.now, self.timing)?;
        self.spare(catalogue, &leases);
        let mut done = 0;
        // In the second half of its time nothing new is begun.
        while done < entries.len() && !slice.is_over(self.timing.slice / 2) {
            let wave = &entries[done..done + wave(catalogue, &entries[done..])];
            done += wave.len();
            let wave: Vec<&EntryName> = wave.iter().filter(|entry| !self.spared.contains(*entry)).collect();
            self.remove_wave(&slice, &wave)?;
            gone.extend(wave.into_iter().cloned());
        }
        Ok(done)
    }

    fn remove_wave(&self, slice: &Slice, wave: &[&EntryName]) -> Result<(), CacheError> {
        parallel::each(wave.iter(), AT_ONCE, |entry| {
            if self.stop.load(Ordering::Relaxed) {
                return Err(CacheError::Stopped);
            }
            if slice.is_over(self.timing.slice) {
                let (action, entry, reason) = ("remove", entry.to_string(), "it took too long; a push may rely on it by now".to_owned());
                return Err(CacheError::Unavailable { cache: self.backend.location(), action, entry, reason });
            }
            self.backend.remove(entry)
        })
    }

    fn spare(&mut self, catalogue: &Catalogue, leases: &Leases) {
        let named: Vec<StoreDigest> = leases.names.iter().filter_map(EntryName::described).collect();
        self.spared.extend(catalogue.closure(&named).iter().map(EntryName::narinfo));
        self.spared.extend(leases.names.iter().cloned());
    }
}

/// How many of the first entries may go at once: none of them refers to another.
fn wave(catalogue: &Catalogue, entries: &[EntryName]) -> usize {
    let mut referred: HashSet<StoreDigest> = HashSet::new();
    for (count, entry) in entries.iter().take(WAVE).enumerate() {
        let Some(digest) = entry.described() else { continue };
        if referred.contains(&digest) {
            return count;
        }
        referred.extend(catalogue.objects.get(&digest).into_iter().flat_map(|object| object.references.iter()));
    }
    entries.len().min(WAVE)
}
