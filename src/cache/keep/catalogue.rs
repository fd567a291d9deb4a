//! What is in a cache: one listing, and every description read once.
//!
//! Memory: 1 KiB for each object at most, unless it has many references; nothing that depends on sizes. A description that cannot be read is written down, not fatal:
//! anybody who may push can leave one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::SystemTime;

use crate::cache::backend::{Backend, Listed};
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::parallel::{self, AT_ONCE};
use crate::cache::reader::LONGEST_NARINFO;
use crate::cache::resume::read_small;
use crate::model::{NarInfo, StoreDigest, StorePath};

/// Descriptions that are listed and not read yet.
const QUEUE: usize = 1024;

/// An object, as its description says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The object.
    pub path: StorePath,
    /// Where its NAR is.
    pub nar: EntryName,
    /// Bytes of the NAR, unpacked.
    pub nar_size: u64,
    /// Bytes of the packed NAR, if it is said.
    pub file_size: Option<u64>,
    /// What it refers to, itself left out.
    pub references: Box<[StoreDigest]>,
    /// When its description was last written.
    pub modified: SystemTime,
}

/// A packed NAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NarFile {
    /// Its bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// When it was last read, where the back end knows.
    pub read: Option<SystemTime>,
}

/// A description that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub entry: EntryName,
    /// When it was last written.
    pub modified: SystemTime,
    /// What is wrong with it.
    pub problem: String,
}

/// What is in a cache.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The objects.
    pub objects: HashMap<StoreDigest, Object>,
    /// The packed NARs.
    pub nars: HashMap<EntryName, NarFile>,
    /// Descriptions that are none.
    pub unreadable: Vec<Unreadable>,
    /// Entries below `kiln/`.
    pub statements: Vec<Listed>,
    /// All other entries: what Nix's tools or people put there.
    pub others: Vec<EntryName>,
}

impl Catalogue {
    /// Reads it all. `each` sees every readable description, from several threads.
    ///
    /// # Errors
    /// If the cache cannot be listed, or an entry cannot be fetched.
    pub fn read(backend: &dyn Backend, each: &(dyn Fn(&EntryName, &NarInfo) + Sync)) -> Result<Self, CacheError> {
        let described = Mutex::new((HashMap::new(), Vec::new()));
        let (queue, listed) = sync_channel::<Listed>(QUEUE);
        let mut catalogue = Self::default();
        std::thread::scope(|scope| {
            let readers = scope.spawn(|| {
                parallel::each(listed, AT_ONCE, |listed| {
                    let Some(read) = describe(backend, &listed, each)? else { return Ok(()) };
                    let mut described = described.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    match read {
                        Ok(object) => drop(described.0.insert(*object.path.digest(), object)),
                        Err(problem) => described.1.push(Unreadable { entry: listed.name, modified: listed.modified, problem }),
                    }
                    Ok(())
                })
            });
            let listing = backend.list("", &mut |listed| {
                if listed.name.as_str().ends_with(".narinfo") && !listed.name.as_str().contains('/') {
                    // The readers stop at their first error; that is told below.
                    drop(queue.send(listed));
                } else {
                    catalogue.sort_in(listed);
                }
                Ok(())
            });
            drop(queue);
            let reading = readers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            reading.and(listing)
        })?;
        (catalogue.objects, catalogue.unreadable) = described.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        catalogue.unreadable.sort_by(|a, b| a.entry.cmp(&b.entry));
        Ok(catalogue)
    }

    fn sort_in(&mut self, listed: Listed) {
        let Listed { name, size, modified, read } = listed;
        match name.as_str().split_once('/') {
            Some(("nar", _)) => drop(self.nars.insert(name, NarFile { size, modified, read })),
            Some(("kiln", _)) => self.statements.push(Listed { name, size, modified, read }),
            _ => self.others.push(name),
        }
    }

    /// When an object was last used, by itself.
    pub fn last_use(&self, object: &Object) -> SystemTime {
        let nar = self.nars.get(&object.nar);
        let times = nar.into_iter().flat_map(|nar| [Some(nar.modified), nar.read]).flatten();
        times.fold(object.modified, SystemTime::max)
    }

    /// Bytes that an object takes up in the cache.
    pub fn packed_size(&self, object: &Object) -> u64 {
        self.nars.get(&object.nar).map(|nar| nar.size).or(object.file_size).unwrap_or(0)
    }

    /// Some objects and everything that they refer to, as far as it is here.
    pub fn closure<'a>(&self, of: impl IntoIterator<Item = &'a StoreDigest>) -> Vec<StoreDigest> {
        let mut found = std::collections::HashSet::new();
        let mut todo: Vec<StoreDigest> = of.into_iter().copied().collect();
        let mut closure = Vec::new();
        while let Some(digest) = todo.pop() {
            if let Some(object) = self.objects.get(&digest)
                && found.insert(digest)
            {
                closure.push(digest);
                todo.extend(&object.references);
            }
        }
        closure
    }
}

/// Reads one description. None if it is gone by now; the inner error says why it is no description.
fn describe(
    backend: &dyn Backend,
    listed: &Listed,
    each: &(dyn Fn(&EntryName, &NarInfo) + Sync),
) -> Result<Option<Result<Object, String>>, CacheError> {
    let bytes = match read_small(backend, &listed.name, LONGEST_NARINFO) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(CacheError::Lie { problem, .. }) => return Ok(Some(Err(problem))),
        Err(error) => return Err(error),
    };
    Ok(Some(parse(listed, &bytes).map(|(info, object)| {
        each(&listed.name, &info);
        object
    })))
}

fn parse(listed: &Listed, bytes: &[u8]) -> Result<(NarInfo, Object), String> {
    let info: NarInfo = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?.parse().map_err(|e| format!("{e}"))?;
    if listed.name.described() != Some(*info.path.digest()) {
        return Err(format!("it describes {}", info.path));
    }
    let references = info.references.iter().filter(|path| **path != info.path).map(|path| *path.digest()).collect();
    let nar = info.url.parse().map_err(|error| format!("{error}"))?;
    let (nar_size, file_size) = (info.nar_size, info.file_size);
    let object = Object { path: info.path.clone(), nar, nar_size, file_size, references, modified: listed.modified };
    Ok((info, object))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn objects_nars_and_statements_are_told_apart_and_rubbish_is_written_down() {
        let cache = Fixture::new();
        let (a, b) = (cache.object("a", &[]), cache.object("b", &[]));
        let c = cache.object("c", &[&a, &b]);
        cache.put("00000000000000000000000000000000.narinfo", b"rubbish");
        cache.put("short.narinfo", b"StorePath: x");
        let text = cache.get(&format!("{}.narinfo", a.digest()));
        cache.put("11111111111111111111111111111111.narinfo", text);
        cache.put("nar/stray.nar.zst", b"stray");
        cache.put("kiln/pins/x", b"");
        cache.put("log/x.drv", b"");
        let seen = AtomicU64::new(0);
        let count = |_: &EntryName, _: &NarInfo| {
            seen.fetch_add(1, Ordering::Relaxed);
        };
        let catalogue = Catalogue::read(&cache.backend, &count).unwrap();
        assert_eq!((catalogue.objects.len(), seen.into_inner(), catalogue.nars.len()), (3, 3, 4));
        let problems: Vec<_> = catalogue.unreadable.iter().map(|unreadable| unreadable.problem.as_str()).collect();
        assert!(problems.len() == 3 && problems[1].starts_with("it describes /kiln/store/"), "{problems:?}");
        assert_eq!((catalogue.statements.len(), catalogue.others.len()), (1, 2));
        assert_eq!(catalogue.closure([c.digest()]).len(), 3);
        assert_eq!(catalogue.closure([a.digest(), b.digest()]).len(), 2);
    }

    #[test]
    fn a_cache_that_is_not_there_is_empty() {
        let cache = Fixture::new();
        assert!(Catalogue::read(&cache.backend, &|_, _| ()).unwrap().objects.is_empty());
    }
}
