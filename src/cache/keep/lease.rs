//! Leases: what a running push relies on, so that no collector takes it away. The page of [`super`] says why that is enough.
//!
//! A part is a file `kiln/leases/<id>-<n>`: the line `kiln-lease 1`, then an entry's name a line.
//!
//! What a push does:
//!
//! 1. [`Lease::take`], with all objects of the closure that it is about, there or not.
//! 2. Ask what is there.
//! 3. For each NAR, look whether it is there. If not, write it and say so ([`Lease::wrote`]): it is too young to be removed, and the next
//!    renewal adds it to what is relied on, before it grows old. So a push that sends new objects only writes its lease once.
//! 4. [`Lease::settle`], with the names of NARs that were there; write those that it says are gone, and settle again.
//! 5. Write descriptions. An object that was there already and that the push was asked for by name: write its description again
//!    ([`Existing::Replace`](crate::cache::Existing::Replace)), so that it counts as used now.
//!
//! [`Lease::hold`] does 1 and renews the lease meanwhile.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use super::mark::{Mark, random};
use super::timing::{Moment, Timing};
use crate::cache::backend::{Backend, Existing};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::resume::read_small;
use crate::model::StoreDigest;

const HEADER: &str = "kiln-lease 1\n";

const PREFIX: &str = "kiln/leases/";

/// Names in a part at most: some 5 MB.
const PART: usize = 100_000;

/// Bytes of a part at most.
const LARGEST: u64 = 64 << 20;

/// What is written.
#[derive(Debug)]
struct State {
    parts: Vec<Vec<EntryName>>,
    /// NARs that were written since the last part.
    young: Vec<EntryName>,
    written: Moment,
}

/// A promise of all collectors: what it names stays while it is held.
#[derive(Debug)]
pub struct Lease<'a> {
    backend: &'a dyn Backend,
    timing: Timing,
    id: String,
    state: Mutex<State>,
    /// What the mark said when the lease was new.
    before: Mark,
}

/// The bytes of a part.
pub(super) fn text(names: &[EntryName]) -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for name in names {
        text.push_str(name.as_str());
        text.push('\n');
    }
    text.into_bytes()
}

impl<'a> Lease<'a> {
    /// Takes a lease on objects, whether they are there or not. What is asked about them afterwards stays true while the lease is held.
    ///
    /// Waits if a collector is just removing one of them.
    ///
    /// # Errors
    /// If it cannot be written, or the collector's mark not be read.
    pub fn take<'d>(backend: &'a dyn Backend, objects: impl IntoIterator<Item = &'d StoreDigest>) -> Result<Self, CacheError> {
        Self::take_timed(backend, objects, Timing::STANDARD)
    }

    pub(super) fn take_timed<'d>(
        backend: &'a dyn Backend,
        objects: impl IntoIterator<Item = &'d StoreDigest>,
        timing: Timing,
    ) -> Result<Self, CacheError> {
        let names: Vec<EntryName> = objects.into_iter().map(EntryName::narinfo).collect();
        let state = Mutex::new(State { parts: Vec::new(), young: Vec::new(), written: Moment::now() });
        let mut lease = Self { backend, timing, id: random(backend)?, state, before: Mark::default() };
        lease.add(&names)?;
        lease.before = lease.await_slice(&names)?;
        Ok(lease)
    }

    /// Takes a lease, does `work`, and renews the lease as long as that takes.
    ///
    /// # Errors
    /// As [`Self::take`]; those of `work`.
    pub fn hold<'d, T>(
        backend: &dyn Backend,
        objects: impl IntoIterator<Item = &'d StoreDigest>,
        work: impl FnOnce(&Lease<'_>) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let lease = Lease::take(backend, objects)?;
        let ended = (Mutex::new(false), Condvar::new());
        std::thread::scope(|scope| {
            scope.spawn(|| lease.keep_renewing(&ended));
            // Also if `work` panics: the scope waits for the thread.
            let _end = End(&ended);
            work(&lease)
        })
    }

    fn keep_renewing(&self, (ended, changed): &(Mutex<bool>, Condvar)) {
        let mut guard = ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while !*guard {
            let waited = changed.wait_timeout(guard, self.timing.renewal);
            guard = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            if !*guard {
                // A cache that is away for a moment is asked again; whether it was too long is found out by `check`.
                let _ = self.renew();
            }
        }
    }

    /// Adds NARs, written or found, to what is relied on, and says which of them are not there (any more). If none is missing, descriptions may
    /// name them.
    ///
    /// # Errors
    /// If the lease ran out, or the back end fails.
    pub fn settle(&self, nars: &[EntryName]) -> Result<Vec<EntryName>, CacheError> {
        self.check()?;
        self.add(nars)?;
        let mark = self.await_slice(nars)?;
        // No slice since this lease was new: nothing was removed since.
        if mark == self.before {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        for name in nars {
            if self.backend.size(name)?.is_none() {
                missing.push(name.clone());
            }
        }
        self.check()?;
        Ok(missing)
    }

    /// Takes note of a NAR that was not there and was written under this lease.
    pub fn wrote(&self, nar: EntryName) {
        self.state().young.push(nar);
    }

    /// Writes it anew, so that it counts for longer, with what was written since.
    ///
    /// # Errors
    /// If it ran out already, or the back end fails.
    pub fn renew(&self) -> Result<(), CacheError> {
        self.check()?;
        let mut state = self.state();
        let now = Moment::now();
        let young = std::mem::take(&mut state.young);
        state.parts.extend(young.chunks(PART).map(<[_]>::to_vec));
        for (number, names) in state.parts.iter().enumerate() {
            self.backend.write(&EntryName::lease(&self.id, number), &text(names), Existing::Replace)?;
        }
        state.written = now;
        Ok(())
    }

    /// Fails if the lease was not renewed for too long, because the cache was away or this process asleep. To be called before descriptions
    /// are written that rely on it.
    ///
    /// # Errors
    /// If it ran out.
    pub fn check(&self) -> Result<(), CacheError> {
        let age = self.state().written.elapsed();
        if age <= self.timing.trust {
            return Ok(());
        }
        let reason = format!("it was not renewed for {} minutes, so what was there may be gone", age.as_secs() / 60);
        Err(CacheError::Unavailable { cache: self.backend.location(), action: "keep", entry: format!("{PREFIX}{}", self.id), reason })
    }

    fn add(&self, names: &[EntryName]) -> Result<(), CacheError> {
        let mut state = self.state();
        for names in names.chunks(PART) {
            self.backend.write(&EntryName::lease(&self.id, state.parts.len()), &text(names), Existing::Replace)?;
            state.parts.push(names.to_vec());
        }
        Ok(())
    }

    /// Waits until no slice of removals names any of these. A mark that does not change for too long is a dead collector's.
    fn await_slice(&self, names: &[EntryName]) -> Result<Mark, CacheError> {
        let mut mark = Mark::read(self.backend)?;
        let mut since = Moment::now();
        while mark.active && names.iter().any(|name| mark.removing.contains(name)) && since.elapsed() < 2 * self.timing.slice {
            std::thread::sleep(self.timing.look);
            let next = Mark::read(self.backend)?;
            if next != mark {
                (mark, since) = (next, Moment::now());
            }
        }
        Ok(mark)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // A collection that runs does not know what was written under this lease, so it must stay.
        if Mark::read(self.backend).is_ok_and(|mark| !mark.active) {
            for number in 0..self.state().parts.len() {
                // What stays is cleared away by the next collection.
                let _ = self.backend.remove(&EntryName::lease(&self.id, number));
            }
        }
    }
}

struct End<'a>(&'a (Mutex<bool>, Condvar));

impl Drop for End<'_> {
    fn drop(&mut self) {
        let (ended, changed) = self.0;
        *ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        changed.notify_all();
    }
}

/// The leases of a cache, as a collector sees them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// What those that count name.
    pub(super) names: HashSet<EntryName>,
    /// How many parts count.
    pub(super) standing: usize,
    /// Parts that have not counted for long.
    pub(super) stale: Vec<EntryName>,
}

impl Leases {
    /// Reads all of them. `now` is the back end's time.
    ///
    /// # Errors
    /// If they cannot be listed or read; if one is none, for then it is not known what it protects.
    pub(super) fn read(backend: &dyn Backend, now: SystemTime, timing: &Timing) -> Result<Self, CacheError> {
        let mut leases = Self::default();
        let mut standing = Vec::new();
        backend.list(PREFIX, &mut |listed| {
            let age = now.duration_since(listed.modified).unwrap_or(Duration::ZERO);
            if age < timing.lease {
                standing.push(listed.name);
            } else if age > 2 * timing.lease {
                leases.stale.push(listed.name);
            }
            Ok(())
        })?;
        for name in standing {
            let Some(bytes) = read_small(backend, &name, LARGEST)? else { continue };
            let none = || CacheError::Lie { cache: backend.location(), entry: name.clone(), problem: "it is no lease".to_owned() };
            leases.names.extend(parse(&bytes).ok_or_else(none)?);
            leases.standing += 1;
        }
        Ok(leases)
    }
}

/// The names in a part; none if it is no part of a lease.
pub(in crate::cache) fn parse(bytes: &[u8]) -> Option<Vec<EntryName>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.strip_prefix(HEADER)?.lines().map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::mark::Claim;
    use super::super::testing::{Fixture, QUICK};
    use super::*;

    fn standing(cache: &Fixture) -> usize {
        Leases::read(&cache.backend, SystemTime::now(), &QUICK).unwrap().standing
    }

    #[test]
    fn a_lease_stands_while_it_is_held_and_names_what_it_was_taken_for() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let lease = Lease::take_timed(&cache.backend, [a.digest()], QUICK).unwrap();
        let nar = cache.nar_of(&a);
        assert!(lease.settle(std::slice::from_ref(&nar)).unwrap().is_empty());
        let leases = Leases::read(&cache.backend, SystemTime::now(), &QUICK).unwrap();
        assert_eq!(leases.names, HashSet::from([EntryName::narinfo(a.digest()), nar]));
        drop(lease);
        assert_eq!(standing(&cache), 0);
    }

    #[test]
    fn a_lease_outlives_its_holder_while_a_collection_runs() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let claim = Claim::take(&cache.backend, &QUICK).unwrap();
        drop(Lease::take_timed(&cache.backend, [a.digest()], QUICK).unwrap());
        assert_eq!(standing(&cache), 1);
        drop(claim);
        assert_eq!(standing(&cache), 1);
    }

    #[test]
    fn whoever_comes_into_a_slice_that_removes_theirs_waits_for_its_end() {
        let cache = Fixture::new();
        let (a, b) = (cache.object("a", &[]), cache.object("b", &[]));
        let mut claim = Claim::take(&cache.backend, &QUICK).unwrap();
        claim.announce(&[EntryName::narinfo(a.digest())]).unwrap();
        drop(Lease::take_timed(&cache.backend, [b.digest()], QUICK).unwrap());
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| Lease::take_timed(&cache.backend, [a.digest()], QUICK).map(drop));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!taken.is_finished());
            claim.announce(&[]).unwrap();
            taken.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_dead_collectors_slice_does_not_stop_pushes_for_ever() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let mut claim = Claim::take(&cache.backend, &QUICK).unwrap();
        claim.announce(&[EntryName::narinfo(a.digest())]).unwrap();
        let timing = Timing { slice: Duration::from_millis(50), ..QUICK };
        drop(Lease::take_timed(&cache.backend, [a.digest()], timing).unwrap());
    }

    #[test]
    fn nars_that_a_slice_took_are_named() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let lease = Lease::take_timed(&cache.backend, [a.digest()], QUICK).unwrap();
        let nar = cache.nar_of(&a);
        let mut claim = Claim::take(&cache.backend, &QUICK).unwrap();
        claim.announce(std::slice::from_ref(&nar)).unwrap();
        cache.backend.remove(&nar).unwrap();
        drop(claim);
        assert_eq!(lease.settle(std::slice::from_ref(&nar)).unwrap(), [nar]);
    }

    #[test]
    fn what_was_written_under_it_is_named_from_the_next_renewal_on() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let nar = cache.nar_of(&a);
        let lease = Lease::take_timed(&cache.backend, [a.digest()], QUICK).unwrap();
        lease.wrote(nar.clone());
        let names = || Leases::read(&cache.backend, SystemTime::now(), &QUICK).unwrap().names;
        assert!(!names().contains(&nar));
        lease.renew().unwrap();
        assert!(names().contains(&nar));
        lease.renew().unwrap();
        drop(lease);
        assert_eq!(standing(&cache), 0);
    }

    #[test]
    fn a_lease_that_was_not_renewed_in_time_is_an_error() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let timing = Timing { trust: Duration::ZERO, ..QUICK };
        let lease = Lease::take_timed(&cache.backend, [a.digest()], timing).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(lease.check().is_err() && lease.renew().is_err() && lease.settle(&[]).is_err());
    }

    #[test]
    fn what_is_no_lease_may_protect_anything_so_it_is_an_error() {
        let cache = Fixture::new();
        cache.put("kiln/leases/x-0", b"kiln-lease 2\n");
        assert!(Leases::read(&cache.backend, SystemTime::now(), &QUICK).is_err());
        cache.age("kiln/leases/x-0", Duration::from_secs(24 * 3600));
        let leases = Leases::read(&cache.backend, SystemTime::now(), &QUICK).unwrap();
        assert_eq!((leases.standing, leases.stale.len()), (0, 1));
    }
}
