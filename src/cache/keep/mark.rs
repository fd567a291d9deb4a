//! The collector's mark: what a collection is removing at the moment. The page of [`super`] says what it is for.
//!
//! ```text
//! kiln-collector 1
//! <state> <a random number that is new with every writing>
//! <entry that this slice removes>
//! …
//! ```
//!
//! The state is `reading`, `removing` or, when no collection runs, `idle`. The entry stays then, so that a push can see by the number that
//! there has been a collection since it looked last.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::timing::{Moment, Timing};
use crate::cache::backend::{Backend, Existing};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::resume::read_small;

const HEADER: &str = "kiln-collector 1";

/// Bytes of a mark at most.
const LARGEST: u64 = 16 << 20;

/// A mark as somebody else sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whether a collection runs, as far as the mark says.
    pub(super) active: bool,
    /// What tells this writing from all others; empty if there never was a collection.
    number: String,
    /// What is being removed.
    pub(super) removing: HashSet<EntryName>,
}

impl Mark {
    pub(super) fn read(backend: &dyn Backend) -> Result<Self, CacheError> {
        let entry = EntryName::collector_mark();
        let Some(bytes) = read_small(backend, &entry, LARGEST)? else { return Ok(Self::default()) };
        let none = || CacheError::Lie { cache: backend.location(), entry: entry.clone(), problem: "it is no collector's mark".to_owned() };
        Self::parse(&bytes).ok_or_else(none)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let (state, number) = lines.next()?.split_once(' ')?;
        let removing = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { active: state != "idle", number: number.to_owned(), removing })
    }
}

/// A random name.
pub(super) fn random(backend: &dyn Backend) -> Result<String, CacheError> {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(CacheError::Unavailable {
            cache: backend.location(),
            action: "name",
            entry: "a lease".to_owned(),
            reason: "the system gives no random bytes".to_owned(),
        }),
    }
}

/// When an entry was last written, by the back end's clock.
pub(super) fn written(backend: &dyn Backend, name: &EntryName) -> Result<Option<SystemTime>, CacheError> {
    let mut found = None;
    let folder = name.as_str().rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    backend.list(&folder, &mut |listed| {
        if listed.name == *name {
            found = Some(listed.modified);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The right to collect: while it exists, no other collection of the same cache begins.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    backend: &'a dyn Backend,
    number: String,
    /// The back end's time at the beginning.
    pub(super) now: SystemTime,
}

/// A slice of removals that was announced.
#[derive(Debug)]
pub(super) struct Slice {
    /// The back end's time at its beginning.
    pub(super) now: SystemTime,
    begun: Moment,
}

impl Slice {
    /// Whether it has been running for that long.
    pub(super) fn is_over(&self, after: Duration) -> bool {
        self.begun.elapsed() >= after
    }
}

impl<'a> Claim<'a> {
    /// Announces a collection.
    pub(super) fn take(backend: &'a dyn Backend, timing: &Timing) -> Result<Self, CacheError> {
        let before = Mark::read(backend)?;
        if before.active {
            // It may be a dead one's. Its age is measured by the clock that dated it.
            let since = written(backend, &EntryName::collector_mark())?;
            let age = since.and_then(|since| clock(backend).ok()?.duration_since(since).ok());
            if age.is_none_or(|age| age < timing.lease) {
                return Err(CacheError::Collecting { cache: backend.location() });
            }
        }
        let mut claim = Self { backend, number: String::new(), now: SystemTime::UNIX_EPOCH };
        claim.now = claim.write("reading", &[])?;
        // Whoever else found no mark has written theirs by now; the last one stays.
        std::thread::sleep(timing.settle);
        if claim.is_ours()? { Ok(claim) } else { Err(claim.lost()) }
    }

    /// Announces what is removed next. Afterwards the leases must be read, and then it may be removed until the slice is over.
    pub(super) fn announce(&mut self, removing: &[EntryName]) -> Result<Slice, CacheError> {
        if !self.is_ours()? {
            return Err(self.lost());
        }
        let begun = Moment::now();
        Ok(Slice { now: self.write("removing", removing)?, begun })
    }

    fn is_ours(&self) -> Result<bool, CacheError> {
        Ok(Mark::read(self.backend)?.number == self.number)
    }

    /// Another collection wrote its mark over ours, which must stay.
    fn lost(&mut self) -> CacheError {
        self.number.clear();
        CacheError::Collecting { cache: self.backend.location() }
    }

    fn write(&mut self, state: &str, removing: &[EntryName]) -> Result<SystemTime, CacheError> {
        self.number = random(self.backend)?;
        let mut text = format!("{HEADER}\n{state} {}\n", self.number);
        for entry in removing {
            text.push_str(entry.as_str());
            text.push('\n');
        }
        let entry = EntryName::collector_mark();
        self.backend.write(&entry, &text.into_bytes(), Existing::Replace)?;
        written(self.backend, &entry)?.ok_or_else(|| CacheError::Collecting { cache: self.backend.location() })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.number.is_empty() && self.is_ours().unwrap_or(false) {
            // If it stays active, the next collection waits until it is old enough to be a dead one's.
            let _ = self.write("idle", &[]);
        }
    }
}

/// What time it is where entries are dated.
fn clock(backend: &dyn Backend) -> Result<SystemTime, CacheError> {
    let probe = EntryName::lease(&random(backend)?, 0);
    backend.write(&probe, &super::lease::text(&[]), Existing::Replace)?;
    let now = written(backend, &probe);
    backend.remove(&probe)?;
    // This machine's own clock would not do: what is measured was dated by another.
    now?.ok_or_else(|| CacheError::Collecting { cache: backend.location() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, QUICK};
    use super::*;

    #[test]
    fn a_mark_says_what_was_written() {
        let cache = Fixture::new();
        assert_eq!(Mark::read(&cache.backend).unwrap(), Mark::default());
        let mut claim = Claim::take(&cache.backend, &QUICK).unwrap();
        let reading = Mark::read(&cache.backend).unwrap();
        assert!(reading.active && reading.removing.is_empty());
        claim.announce(&[EntryName::condemned()]).unwrap();
        let removing = Mark::read(&cache.backend).unwrap();
        assert!(removing.removing.contains(&EntryName::condemned()) && removing.number != reading.number);
        drop(claim);
        let idle = Mark::read(&cache.backend).unwrap();
        assert!(!idle.active && idle.removing.is_empty() && idle.number != removing.number);
        cache.put("kiln/collector/mark", b"something");
        assert!(matches!(Mark::read(&cache.backend), Err(CacheError::Lie { .. })));
    }

    #[test]
    fn there_is_one_collection_at_a_time_until_it_is_long_dead() {
        let cache = Fixture::new();
        let mut claim = Claim::take(&cache.backend, &QUICK).unwrap();
        assert!(matches!(Claim::take(&cache.backend, &QUICK), Err(CacheError::Collecting { .. })));
        cache.age("kiln/collector/mark", Duration::from_secs(24 * 3600));
        let other = Claim::take(&cache.backend, &QUICK).unwrap();
        assert!(matches!(claim.announce(&[]), Err(CacheError::Collecting { .. })));
        drop(claim);
        assert!(Mark::read(&cache.backend).unwrap().active, "the dead one's end is not the other's");
        drop(other);
        assert!(!Mark::read(&cache.backend).unwrap().active);
    }
}
