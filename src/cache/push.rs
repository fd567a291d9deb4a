//! Push: objects with all they refer to, and what is known about them, from a store into a cache.
//!
//! In: valid paths. Out: entries. What is there already is asked in bulk and not sent again. Packed NARs go first, in parallel; an object's
//! description follows when those of all its references are there, so a reader finds a closure whole or not at all, whenever a push is
//! interrupted; the next one goes on from there. A [`Lease`] keeps the cache's collector away meanwhile. With a key, the statements about the builds follow (`publish`).
//!
//! What only an unsealed build made is refused. Memory is bounded by the number of threads, not by objects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backend::{Backend, Existing, Source};
use super::entry::EntryName;
use super::error::CacheError;
use super::info::CacheInfo;
use super::keep::Lease;
use super::pack::{Packed, pack};
use super::reader::{LONGEST_NARINFO, read_info};
use super::resume::read_small;
use super::signing::SecretKey;
use super::{parallel, publish};
use crate::model::{PathInfo, SandboxLevel, StoreDigest, StorePath};
use crate::store::{Store, StoreError};

/// Bytes, not packed, of the objects that one thread sends together.
const BATCH_BYTES: u64 = 4 << 20;

/// What happens during a push.
#[derive(Debug)]
pub enum PushEvent<'a> {
    /// It is known what is to be sent.
    Planned {
        /// Objects to be sent.
        objects: usize,
        /// Objects that are there already.
        present: usize,
        /// Bytes to be sent, not yet packed.
        bytes: u64,
    },
    /// An object is being packed and sent.
    Started(&'a StorePath),
    /// Packed bytes have gone.
    Sent(u64),
    /// An object is in the cache, whole.
    Pushed(&'a StorePath),
    /// Something was left out, or will be tried again.
    Trouble(&'a CacheError),
}

/// Hears what happens, from several threads at once.
pub type OnPush<'a> = &'a (dyn Fn(&PushEvent<'_>) + Sync);

/// How to push.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions<'a> {
    /// Signs objects and statements; without one, objects only are sent.
    pub key: Option<&'a SecretKey>,
    /// zstd's level.
    pub level: i32,
    /// Objects that are packed and sent at once.
    pub threads: usize,
    /// Whether the sources and fetched files that the builds read are sent too.
    pub leaves: bool,
    /// Ends the push when set.
    pub stop: &'a AtomicBool,
}

/// What a push came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pushed {
    /// Objects sent.
    pub objects: usize,
    /// Objects that were there already.
    pub present: usize,
    /// Packed bytes sent.
    pub sent: u64,
    /// Build traces sent, each with its record, log and derivation.
    pub traces: usize,
    /// Build traces that were there already.
    pub known_traces: usize,
}

impl Pushed {
    /// Adds what another push came to.
    pub fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.present += other.present;
        self.sent += other.sent;
        self.traces += other.traces;
        self.known_traces += other.known_traces;
    }
}

/// Pushes from one store into one cache.
#[derive(Debug)]
pub struct Pusher<'a> {
    pub(super) store: &'a Store,
    pub(super) backend: &'a dyn Backend,
    pub(super) options: PushOptions<'a>,
    /// Statements that are known to be there.
    pub(super) said: publish::Said,
}

impl<'a> Pusher<'a> {
    /// A pusher. Nothing is asked or sent yet.
    pub fn new(store: &'a Store, backend: &'a dyn Backend, options: PushOptions<'a>) -> Self {
        Self { store, backend, options, said: publish::Said::default() }
    }

    /// Pushes these paths with all they refer to, and, with a key, what is known about the builds behind them.
    ///
    /// # Errors
    /// [`CacheError::Unsealed`] if only a weakly sealed build made something of it; other errors if the cache or the store fails.
    pub fn push(&self, paths: &[StorePath], on: OnPush<'_>) -> Result<Pushed, CacheError> {
        let statements = publish::statements(self.store, paths)?;
        let mut wanted: BTreeSet<StorePath> = paths.iter().cloned().collect();
        let roots = self.store.temp_roots()?;
        roots.add(&wanted)?;
        if self.options.leaves {
            let leaves: BTreeSet<StorePath> = statements.iter().flat_map(publish::Statement::leaves).cloned().collect();
            roots.add(&leaves)?;
            wanted.extend(self.store.valid_among(&leaves)?);
        }
        let closure = self.store.closure(&wanted)?;
        self.refuse_unsealed(&closure)?;
        self.introduce()?;
        let digests: Vec<&StoreDigest> = closure.iter().map(StorePath::digest).collect();
        let mut pushed = Lease::hold(self.backend, digests, |lease| self.send_missing(lease, paths, &closure, on))?;
        if let Some(key) = self.options.key {
            (pushed.traces, pushed.known_traces) = publish::publish(self, key, &statements)?;
        }
        Ok(pushed)
    }

    fn send_missing(&self, lease: &Lease<'_>, named: &[StorePath], closure: &[StorePath], on: OnPush<'_>) -> Result<Pushed, CacheError> {
        let missing = self.missing(closure)?;
        let mut pushed = Pushed { present: closure.len() - missing.len(), objects: missing.len(), ..Pushed::default() };
        let bytes = missing.iter().map(|info| info.nar_size).sum();
        on(&PushEvent::Planned { objects: missing.len(), present: pushed.present, bytes });
        pushed.sent = self.upload(&missing, lease, on)?;
        let sent: HashSet<&StorePath> = missing.iter().map(|info| &info.path).collect();
        let present: Vec<&StorePath> = named.iter().filter(|path| !sent.contains(path)).collect();
        parallel::each(present, self.options.threads, |path| self.use_again(lease, path))?;
        Ok(pushed)
    }

    /// Writes the description of an object that is there once more, so that it counts as used now.
    fn use_again(&self, lease: &Lease<'_>, path: &StorePath) -> Result<(), CacheError> {
        let entry = EntryName::narinfo(path.digest());
        let Some(text) = read_small(self.backend, &entry, LONGEST_NARINFO)? else { return Ok(()) };
        lease.check()?;
        self.backend.write(&entry, &text, Existing::Replace)
    }

    fn refuse_unsealed(&self, closure: &[StorePath]) -> Result<(), CacheError> {
        for path in closure {
            let producers = self.store.producers(path)?;
            if !producers.is_empty() && producers.iter().all(|stored| stored.trace.level != SandboxLevel::Strict) {
                return Err(CacheError::Unsealed { path: path.clone() });
            }
        }
        Ok(())
    }

    /// Makes sure that this is a cache for kiln: a new one is told so.
    fn introduce(&self) -> Result<(), CacheError> {
        if read_info(self.backend)?.is_none() {
            let text = CacheInfo::default().to_string().into_bytes();
            self.backend.write(&EntryName::cache_info(), &text, Existing::Keep)?;
        }
        Ok(())
    }

    /// Those that the cache lacks, references first.
    fn missing(&self, closure: &[StorePath]) -> Result<Vec<PathInfo>, CacheError> {
        let names: Vec<EntryName> = closure.iter().map(|path| EntryName::narinfo(path.digest())).collect();
        let present = self.backend.present(&names)?;
        let missing = closure.iter().zip(&names).filter(|(_, name)| !present.contains(*name)).map(|(path, _)| path);
        Ok(self.store.infos(missing)?)
    }

    fn upload(&self, missing: &[PathInfo], lease: &Lease<'_>, on: OnPush<'_>) -> Result<u64, CacheError> {
        if missing.is_empty() {
            return Ok(0);
        }
        let scratch = self.store.new_scratch()?;
        let (sent, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let order = Mutex::new(Order::new(missing));
        let upload = Upload { missing, lease, scratch: scratch.path(), order: &order, sent: &sent, on };
        let most = self.backend.batch().min(missing.len().div_ceil(self.options.threads.max(1)));
        let results = parallel::map(&batches(missing, most), self.options.threads, |batch| {
            if failed.load(Ordering::SeqCst) {
                return Ok(());
            }
            let done = self.send(batch.clone(), &upload);
            failed.fetch_or(done.is_err(), Ordering::SeqCst);
            done
        });
        results.into_iter().collect::<Result<(), _>>()?;
        Ok(sent.into_inner())
    }

    /// Sends the packed NARs of some objects, and then all descriptions whose turn it is by that.
    fn send(&self, batch: Range<usize>, upload: &Upload<'_>) -> Result<(), CacheError> {
        let Upload { missing, lease, scratch, order, on, .. } = *upload;
        let mut packed = Vec::with_capacity(batch.len());
        for info in &missing[batch.clone()] {
            self.check_stop()?;
            on(&PushEvent::Started(&info.path));
            packed.push(pack(self.store, info, self.options.level, scratch)?);
        }
        self.place(&packed, upload)?;
        let mut turn = Vec::new();
        for (index, packed) in batch.zip(packed) {
            let text = packed.describe(&missing[index], self.options.key).to_string();
            turn.extend(lock(order).packed(index, text));
        }
        while !turn.is_empty() {
            let rest = turn.split_off(turn.len().min(self.backend.batch()));
            let texts: Vec<(usize, Vec<u8>)> = turn.into_iter().map(|(index, text)| (index, text.into_bytes())).collect();
            let entries: Vec<(EntryName, &dyn Source)> =
                texts.iter().map(|(index, text)| (EntryName::narinfo(missing[*index].path.digest()), text as &dyn Source)).collect();
            lease.check()?;
            self.backend.write_all(&entries, Existing::Keep)?;
            turn = rest;
            for (index, _) in &texts {
                on(&PushEvent::Pushed(&missing[*index].path));
                turn.extend(lock(order).described(*index));
            }
        }
        Ok(())
    }

    /// Makes sure that NARs are there and that no collector takes them away.
    fn place(&self, packed: &[Packed], upload: &Upload<'_>) -> Result<(), CacheError> {
        let Upload { lease, sent, on, .. } = *upload;
        let count = |bytes| {
            sent.fetch_add(bytes, Ordering::Relaxed);
            on(&PushEvent::Sent(bytes));
        };
        let mut fresh = Vec::with_capacity(packed.len());
        for packed in packed {
            let nar = packed.entry();
            // It is there if an interrupted push left it, or if another object has the same bytes. Removed meanwhile, it is sent, and then it is new.
            if self.backend.size(&nar)?.is_none() || !lease.settle(std::slice::from_ref(&nar))?.is_empty() {
                fresh.push((nar, Counted { inner: packed, count: &count, stop: self.options.stop }));
            }
        }
        let entries: Vec<(EntryName, &dyn Source)> = fresh.iter().map(|(nar, counted)| (nar.clone(), counted as &dyn Source)).collect();
        self.backend.write_all(&entries, Existing::Keep).map_err(|error| self.check_stop().err().unwrap_or(error))?;
        fresh.into_iter().for_each(|(nar, _)| lease.wrote(nar));
        Ok(())
    }

    pub(super) fn check_stop(&self) -> Result<(), CacheError> {
        if self.options.stop.load(Ordering::SeqCst) { Err(CacheError::Stopped) } else { Ok(()) }
    }
}

impl From<&CacheError> for io::Error {
    fn from(error: &CacheError) -> Self {
        Self::other(error.to_string())
    }
}

/// Neighbours that one thread packs and sends together: at most so many, and not many bytes, for small ones wait in memory.
fn batches(missing: &[PathInfo], most: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, info) in missing.iter().enumerate() {
        bytes += info.nar_size;
        match batches.last_mut() {
            Some(last) if last.len() < most && bytes <= BATCH_BYTES => last.end = index + 1,
            _ => {
                batches.push(index..index + 1);
                bytes = info.nar_size;
            }
        }
    }
    batches
}

/// One round of sending.
#[derive(Clone, Copy)]
struct Upload<'a> {
    missing: &'a [PathInfo],
    lease: &'a Lease<'a>,
    scratch: &'a Path,
    order: &'a Mutex<Order>,
    sent: &'a AtomicU64,
    on: OnPush<'a>,
}

fn lock(order: &Mutex<Order>) -> MutexGuard<'_, Order> {
    order.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which descriptions may be sent: those whose references are described.
struct Order {
    /// For each object, how many of its references are not described yet.
    waits: Vec<usize>,
    /// For each object, those that refer to it.
    users: Vec<Vec<usize>>,
    /// Descriptions of objects whose NARs are there and that wait for their references.
    ready: HashMap<usize, String>,
}

impl Order {
    fn new(objects: &[PathInfo]) -> Self {
        let index: HashMap<&StorePath, usize> = objects.iter().enumerate().map(|(index, info)| (&info.path, index)).collect();
        let mut users = vec![Vec::new(); objects.len()];
        let mut waits = vec![0; objects.len()];
        for (user, info) in objects.iter().enumerate() {
            for reference in info.other_references().iter().filter_map(|path| index.get(path)) {
                users[*reference].push(user);
                waits[user] += 1;
            }
        }
        Self { waits, users, ready: HashMap::new() }
    }

    /// An object's NAR is there; gives its description back if that may be sent.
    fn packed(&mut self, index: usize, text: String) -> Vec<(usize, String)> {
        if self.waits[index] == 0 {
            return vec![(index, text)];
        }
        self.ready.insert(index, text);
        Vec::new()
    }

    /// An object's description is there; gives those that only waited for it.
    fn described(&mut self, index: usize) -> Vec<(usize, String)> {
        let mut turn = Vec::new();
        for user in std::mem::take(&mut self.users[index]) {
            self.waits[user] -= 1;
            if self.waits[user] == 0 {
                turn.extend(self.ready.remove(&user).map(|text| (user, text)));
            }
        }
        turn
    }
}

/// Counts what is read from a source, and ends it when asked to stop.
struct Counted<'a> {
    inner: &'a dyn Source,
    count: &'a (dyn Fn(u64) + Sync),
    stop: &'a AtomicBool,
}

impl Source for Counted<'_> {
    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(CountedReader { inner: self.inner.open()?, count: self.count, stop: self.stop }))
    }
}

struct CountedReader<'a> {
    inner: Box<dyn Read + Send + 'a>,
    count: &'a (dyn Fn(u64) + Sync),
    stop: &'a AtomicBool,
}

impl Read for CountedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::SeqCst) {
            return Err((&CacheError::Stopped).into());
        }
        let read = self.inner.read(buffer)?;
        (self.count)(read as u64);
        Ok(read)
    }
}

/// Whether an object is gone: the collector was faster.
pub(super) fn is_gone(error: &CacheError) -> bool {
    matches!(error, CacheError::Store(StoreError::NotValid { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentAddress, Sha256};

    #[test]
    fn small_objects_are_sent_together_and_large_ones_alone() {
        let sizes = [1, 1, 1, BATCH_BYTES, 1, BATCH_BYTES - 1, 1];
        let objects: Vec<PathInfo> = sizes.iter().map(|size| PathInfo { nar_size: *size, ..object("one", &[]) }).collect();
        assert_eq!(batches(&objects, 2), [0..2, 2..3, 3..4, 4..6, 6..7]);
        assert_eq!(batches(&objects, 1).len(), objects.len());
        assert!(batches(&[], 2).is_empty());
    }

    fn object(name: &str, references: &[&PathInfo]) -> PathInfo {
        let references: BTreeSet<StorePath> = references.iter().map(|info| info.path.clone()).collect();
        let (nar_hash, ca) = (Sha256::of(name), ContentAddress::Recursive(Sha256::of(name)));
        let path = ca.store_path(&name.parse().unwrap(), &references, true);
        let references = references.into_iter().chain([path.clone()]).collect();
        PathInfo { path, nar_hash, nar_size: 1, references, ca, registered: 0 }
    }

    #[test]
    fn a_description_waits_for_those_of_all_references_however_fast_its_nar_is() {
        let base = object("base", &[]);
        let (left, right) = (object("left", &[&base]), object("right", &[&base]));
        let top = object("top", &[&base, &left, &right]);
        let mut order = Order::new(&[base, left, right, top]);
        assert!(order.packed(3, "top".into()).is_empty());
        assert!(order.packed(1, "left".into()).is_empty());
        assert_eq!(order.packed(0, "base".into()), [(0, "base".to_owned())]);
        assert_eq!(order.described(0), [(1, "left".to_owned())]);
        assert!(order.described(1).is_empty());
        assert_eq!(order.packed(2, "right".into()), [(2, "right".to_owned())]);
        assert_eq!(order.described(2), [(3, "top".to_owned())]);
        assert!(order.described(3).is_empty() && order.ready.is_empty());
    }
}
