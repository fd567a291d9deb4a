//! Pins: names that keep a closure in a cache.

use serde::Serialize;

use super::lease::Lease;
use crate::cache::backend::{Backend, Existing};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::resume::read_small;
use crate::model::StorePath;

/// Bytes of a pin at most.
const LARGEST: u64 = 16 << 20;

const PREFIX: &str = "kiln/pins/";

/// A name, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pin {
    /// The name.
    pub name: String,
    /// What is kept, with its closure.
    pub paths: Vec<StorePath>,
}

/// All pins, by name.
///
/// # Errors
/// If they cannot be listed, or one holds something else than store paths: then it is not known what must be kept.
pub fn pins(backend: &dyn Backend) -> Result<Vec<Pin>, CacheError> {
    let mut entries = Vec::new();
    backend.list(PREFIX, &mut |listed| {
        entries.push(listed.name);
        Ok(())
    })?;
    entries.sort();
    let pins = entries.into_iter().map(|entry| read(backend, &entry));
    pins.filter_map(Result::transpose).collect()
}

fn read(backend: &dyn Backend, entry: &EntryName) -> Result<Option<Pin>, CacheError> {
    let Some(bytes) = read_small(backend, entry, LARGEST)? else { return Ok(None) };
    let paths = paths(&bytes).map_err(|problem| CacheError::Lie { cache: backend.location(), entry: entry.clone(), problem })?;
    let name = entry.as_str().strip_prefix(PREFIX).unwrap_or(entry.as_str()).to_owned();
    Ok(Some(Pin { name, paths }))
}

/// What a pin's bytes name.
pub(super) fn paths(bytes: &[u8]) -> Result<Vec<StorePath>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().map_err(|error| format!("{error}"))).collect()
}

/// Keeps `paths` under `name`; what that name kept before is let go. Everything named must be there.
///
/// # Errors
/// If it is not, or the pin cannot be written.
pub fn set_pin(backend: &dyn Backend, name: &str, paths: &[StorePath]) -> Result<(), CacheError> {
    let entry = EntryName::pin(name)?;
    // A collection that runs now has read the pins already.
    let lease = Lease::take(backend, paths.iter().map(StorePath::digest))?;
    for path in paths {
        if backend.size(&EntryName::narinfo(path.digest()))?.is_none() {
            return Err(CacheError::Absent { path: path.clone(), cache: backend.location() });
        }
    }
    lease.check()?;
    let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
    backend.write(&entry, &text.into_bytes(), Existing::Replace)
}

/// Lets go of a pin; false if there is none of that name.
///
/// # Errors
/// If it cannot be removed.
pub fn unset_pin(backend: &dyn Backend, name: &str) -> Result<bool, CacheError> {
    let entry = EntryName::pin(name)?;
    let there = backend.size(&entry)?.is_some();
    if there {
        backend.remove(&entry)?;
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn a_pin_is_set_replaced_and_let_go() {
        let cache = Fixture::new();
        let (a, b) = (cache.object("a", &[]), cache.object("b", &[]));
        set_pin(&cache.backend, "one", std::slice::from_ref(&a)).unwrap();
        set_pin(&cache.backend, "one", &[b.clone(), a.clone()]).unwrap();
        assert_eq!(pins(&cache.backend).unwrap(), [Pin { name: "one".into(), paths: vec![b, a] }]);
        assert!(unset_pin(&cache.backend, "one").unwrap() && !unset_pin(&cache.backend, "one").unwrap());
        assert!(pins(&cache.backend).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_there_cannot_be_pinned_and_names_stay_in_their_folder() {
        let cache = Fixture::new();
        let a = cache.object("a", &[]);
        let gone = Fixture::path("gone", &[]);
        assert!(matches!(set_pin(&cache.backend, "x", &[a.clone(), gone]), Err(CacheError::Absent { .. })));
        assert!(set_pin(&cache.backend, "../x", &[a]).is_err() && pins(&cache.backend).unwrap().is_empty());
    }

    #[test]
    fn a_pin_that_is_none_is_an_error_because_what_it_keeps_is_unknown() {
        let cache = Fixture::new();
        cache.put("kiln/pins/x", b"/nix/store/x\n");
        assert!(matches!(pins(&cache.backend), Err(CacheError::Lie { .. })));
    }
}
