//! Pull: objects with all they refer to, from caches into a store.
//!
//! In: a [`CacheSet`], and the paths that are wanted. Out: valid objects. First every description is read, level by level of the references and many
//! at once, up to what is valid here already; then objects are fetched in parallel, references first; they are registered many at a time, each
//! with or behind what it refers to. What is claimed bounds what is read, and an object that is not what its path says is never registered.
//!
//! An object that one cache lies about is taken from the next. Not here: whether a path is wanted (`build`), and how one object is read (`fetch`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::claims::{Claimed, Claims, Permits};
use super::error::CacheError;
use super::parallel::{self, AT_ONCE};
use super::set::{CacheSet, Member};
use crate::model::{NarInfo, StorePath};
use crate::store::{Registration, Staged, Store};

/// Objects that one pull may fetch.
const MOST: usize = 1_000_000;

/// What is staged is registered after so long …
const REGISTER_AFTER: Duration = Duration::from_secs(5);
/// … or so many bytes, so that a pull that is interrupted need not begin again.
const REGISTER_BYTES: u64 = 512 << 20;

/// Bytes of a worker's stack: trees are walked to their full depth on it.
const STACK: usize = 8 << 20;

/// What happens during a pull.
#[derive(Debug)]
pub enum PullEvent<'a> {
    /// All descriptions have been read: this is to be fetched.
    Planned {
        /// Objects.
        objects: usize,
        /// Their bytes, unpacked.
        bytes: u64,
    },
    /// An object is being fetched.
    Started(&'a StorePath),
    /// Packed bytes have come.
    Received(u64),
    /// An object is in the store.
    Fetched(&'a StorePath),
    /// A cache failed; what it did not give comes from another one, or not at all.
    Trouble(&'a CacheError),
}

/// Hears what happens, from several threads at once.
pub type OnPull<'a> = &'a (dyn Fn(&PullEvent<'_>) + Sync);

/// What a pull came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pulled {
    /// Objects fetched.
    pub objects: usize,
    /// Their bytes, unpacked.
    pub bytes: u64,
    /// Packed bytes that came.
    pub received: u64,
}

impl Pulled {
    /// Adds what another pull came to.
    pub fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.received += other.received;
    }
}

/// Pulls into one store from one set of caches. Several pulls at once fetch each object once.
#[derive(Debug)]
pub struct Puller<'a> {
    store: &'a Store,
    caches: &'a CacheSet,
    threads: usize,
    stop: &'a AtomicBool,
    claims: Claims,
    permits: Permits,
}

/// An object that is to be fetched.
struct Wanted<'c> {
    narinfo: NarInfo,
    from: &'c Member,
}

impl<'a> Puller<'a> {
    /// Fetches at most `threads` objects at once; ends when `stop` is set.
    pub fn new(store: &'a Store, caches: &'a CacheSet, threads: usize, stop: &'a AtomicBool) -> Self {
        let threads = threads.max(1);
        Self { store, caches, threads, stop, claims: Claims::default(), permits: Permits::new(threads) }
    }

    /// Whether some cache describes this object.
    pub fn finds(&self, path: &StorePath, on: OnPull<'_>) -> bool {
        self.look_up(path, on).is_ok()
    }

    /// Makes these paths and all they refer to valid.
    ///
    /// # Errors
    /// [`CacheError::Absent`] if something of it is in no cache; other errors if all caches that have something fail, or the store does.
    pub fn pull(&self, paths: &[StorePath], on: OnPull<'_>) -> Result<Pulled, CacheError> {
        let wanted = self.describe(paths, on)?;
        if wanted.is_empty() {
            return Ok(Pulled::default());
        }
        let bytes = wanted.iter().map(|wanted| wanted.narinfo.nar_size).sum();
        on(&PullEvent::Planned { objects: wanted.len(), bytes });
        let received = AtomicU64::new(0);
        self.fetch_all(&wanted, &received, on)?;
        Ok(Pulled { objects: wanted.len(), bytes, received: received.into_inner() })
    }

    /// Fetches an object that is valid but damaged once more; it comes into the place of what lies there.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub fn mend(&self, path: &StorePath, on: OnPull<'_>) -> Result<(), CacheError> {
        self.store.hold([path])?;
        let wanted = self.look_up(path, on)?;
        let staged = self.fetch_from_any(&wanted, &AtomicU64::default(), on)?;
        self.register(vec![staged], on)
    }

    /// The descriptions of all that is missing, references first.
    fn describe(&self, paths: &[StorePath], on: OnPull<'_>) -> Result<Vec<Wanted<'a>>, CacheError> {
        let mut seen: HashSet<StorePath> = paths.iter().cloned().collect();
        let mut level = self.missing(seen.iter())?;
        let mut found: HashMap<StorePath, Wanted<'a>> = HashMap::new();
        let mut bytes = 0u64;
        while !level.is_empty() {
            self.check_stop()?;
            let answers = parallel::map(&level, AT_ONCE, |path| self.look_up(path, on));
            let mut next = Vec::new();
            for wanted in all_or_worst(answers)? {
                next.extend(wanted.narinfo.references.iter().filter(|path| seen.insert((*path).clone())).cloned());
                let claimed = bytes.checked_add(wanted.narinfo.nar_size);
                bytes = claimed.filter(|_| seen.len() <= MOST).ok_or_else(|| self.too_much(&wanted))?;
                found.insert(wanted.narinfo.path.clone(), wanted);
            }
            level = self.missing(next.iter())?;
        }
        Ok(in_order(found))
    }

    fn too_much(&self, wanted: &Wanted<'_>) -> CacheError {
        CacheError::Refused {
            cache: wanted.from.cache.location(),
            action: "describe",
            entry: wanted.narinfo.path.to_string(),
            reason: format!("what it refers to is more than {MOST} objects, or more bytes than can be counted"),
        }
    }

    fn missing<'p>(&self, paths: impl Iterator<Item = &'p StorePath>) -> Result<Vec<StorePath>, CacheError> {
        let paths: BTreeSet<&StorePath> = paths.collect();
        let valid = self.store.hold(paths.iter().copied())?;
        Ok(paths.into_iter().filter(|path| !valid.contains(path)).cloned().collect())
    }

    /// The description that the first cache gives which has one.
    fn look_up(&self, path: &StorePath, on: OnPull<'_>) -> Result<Wanted<'a>, CacheError> {
        let usable = self.caches.usable(&|error| on(&PullEvent::Trouble(error)));
        let mut failed = None;
        for from in usable {
            match from.cache.narinfo(path) {
                Ok(Some(narinfo)) => return Ok(Wanted { narinfo, from }),
                Ok(None) => {}
                Err(error) => {
                    self.caches.blame(from, &error, &|error| on(&PullEvent::Trouble(error)));
                    failed = Some(error);
                }
            }
        }
        Err(failed.unwrap_or_else(|| {
            let asked = self.caches.usable(&|_| {});
            let locations =
                |members: Vec<&Member>, between| members.iter().map(|member| member.cache.location()).collect::<Vec<_>>().join(between);
            if asked.is_empty() {
                CacheError::NoneUsable { path: path.clone(), caches: locations(self.caches.all().collect(), " and ") }
            } else {
                CacheError::Absent { path: path.clone(), cache: locations(asked, " or ") }
            }
        }))
    }

    fn check_stop(&self) -> Result<(), CacheError> {
        if self.stop.load(Ordering::SeqCst) { Err(CacheError::Stopped) } else { Ok(()) }
    }

    fn fetch_all(&self, wanted: &[Wanted<'a>], received: &AtomicU64, on: OnPull<'_>) -> Result<(), CacheError> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (tell, staged) = channel();
        let work = |tell: std::sync::mpsc::Sender<_>| {
            while !failed.load(Ordering::SeqCst)
                && let Some(one) = wanted.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let result = self.fetch_once(one, received, on);
                failed.fetch_or(result.is_err(), Ordering::SeqCst);
                if tell.send(result).is_err() {
                    return;
                }
            }
        };
        if wanted.len() == 1 {
            work(tell);
            return self.register_all(wanted, &staged, on);
        }
        std::thread::scope(|scope| {
            let work = &work;
            for _ in 0..self.threads.min(wanted.len()) {
                let tell = tell.clone();
                let thread = std::thread::Builder::new().name("pull".to_owned()).stack_size(STACK);
                let _ = thread.spawn_scoped(scope, move || work(tell));
            }
            drop(tell);
            self.register_all(wanted, &staged, on)
        })
    }

    /// Registers what has been staged: now and then what is closed, and at the end everything.
    fn register_all(&self, wanted: &[Wanted<'_>], staged: &Receiver<Result<Staged, CacheError>>, on: OnPull<'_>) -> Result<(), CacheError> {
        let mut batch = Batch::new(wanted);
        let mut failed = None;
        let mut since = Instant::now();
        for result in staged {
            match result {
                Ok(object) => batch.add(object),
                Err(error) => failed = failed.or(Some(error)),
            }
            if since.elapsed() > REGISTER_AFTER || batch.bytes > REGISTER_BYTES {
                self.register(batch.take_closed(), on)?;
                since = Instant::now();
            }
        }
        self.register(batch.take_closed(), on)?;
        match failed {
            Some(error) => Err(error),
            // No thread could be started, or one has gone: what was not fetched is not there.
            None if batch.done.len() < wanted.len() => Err(CacheError::Stopped),
            None => Ok(()),
        }
    }

    fn register(&self, objects: Vec<Staged>, on: OnPull<'_>) -> Result<(), CacheError> {
        if objects.is_empty() {
            return Ok(());
        }
        let registration = Registration { objects, ..Registration::default() };
        self.store.register(&registration)?;
        registration.objects.iter().for_each(|object| on(&PullEvent::Fetched(&object.info.path)));
        Ok(())
    }

    /// Fetches an object, unless another pull has done so or is at it.
    fn fetch_once(&self, wanted: &Wanted<'a>, received: &AtomicU64, on: OnPull<'_>) -> Result<Staged, CacheError> {
        let path = &wanted.narinfo.path;
        match self.claims.claim(path) {
            Claimed::Done(staged) => Ok(staged),
            Claimed::Mine(claim) => {
                let _permit = self.permits.take();
                self.check_stop()?;
                on(&PullEvent::Started(path));
                let staged = self.fetch_from_any(wanted, received, on)?;
                claim.done(&staged);
                Ok(staged)
            }
        }
    }

    fn fetch_from_any(&self, wanted: &Wanted<'a>, received: &AtomicU64, on: OnPull<'_>) -> Result<Staged, CacheError> {
        // What an interrupted pull, or a killed build, has left is as good as what comes over the wire.
        if let Some(claimed) = wanted.narinfo.path_info()
            && let Some(staged) = self.store.stage_leftover(&claimed)?
        {
            return Ok(staged);
        }
        let count = |bytes| {
            received.fetch_add(bytes, Ordering::Relaxed);
            on(&PullEvent::Received(bytes));
        };
        let trouble = |error: &CacheError| on(&PullEvent::Trouble(error));
        let mut result = wanted.from.cache.fetch_object(self.store, &wanted.narinfo, self.stop, &count);
        if let Err(error @ CacheError::Unavailable { .. }) = &result {
            // The error itself goes to whoever wanted the object; nobody else need wait for this cache.
            self.caches.blame(wanted.from, error, &|_| {});
        }
        for other in self.caches.usable(&trouble) {
            let Err(error) = &result else { break };
            if matches!(error, CacheError::Stopped | CacheError::Store(_) | CacheError::Io(_)) || std::ptr::eq(other, wanted.from) {
                continue;
            }
            let Some(Some(narinfo)) = self.caches.heed(other, other.cache.narinfo(&wanted.narinfo.path), &trouble) else { continue };
            trouble(error);
            result = other.cache.fetch_object(self.store, &narinfo, self.stop, &count);
        }
        result
    }
}

/// All values; or the error that says most: that something is absent may only follow from another failure.
fn all_or_worst<T>(results: Vec<Result<T, CacheError>>) -> Result<Vec<T>, CacheError> {
    let mut values = Vec::with_capacity(results.len());
    let mut absent = None;
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error @ CacheError::Absent { .. }) => absent = absent.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) => Err(error),
        None => Ok(values),
    }
}

/// References before what refers to them. A circle, which no true description can be part of, is cut somewhere.
fn in_order(mut found: HashMap<StorePath, Wanted<'_>>) -> Vec<Wanted<'_>> {
    let mut starts: Vec<StorePath> = found.keys().cloned().collect();
    starts.sort_unstable();
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    // Depth first, without recursion: each level is an object and those of its references that are still to be visited.
    let mut levels: Vec<(StorePath, Vec<StorePath>)> = Vec::new();
    for start in starts {
        let mut next = Some(start);
        loop {
            if let Some(path) = next.take().filter(|path| found.contains_key(path) && seen.insert(path.clone())) {
                let references = found[&path].narinfo.references.iter().cloned().collect();
                levels.push((path, references));
            }
            match levels.last_mut() {
                None => break,
                Some((_, waiting)) => next = waiting.pop(),
            }
            if next.is_none() {
                order.extend(levels.pop().map(|(path, _)| path));
            }
        }
    }
    order.iter().filter_map(|path| found.remove(path)).collect()
}

/// Staged objects that are not registered yet.
struct Batch {
    /// Position in the order in which references come first.
    position: HashMap<StorePath, usize>,
    waiting: Vec<Staged>,
    bytes: u64,
    done: HashSet<StorePath>,
}

impl Batch {
    fn new(wanted: &[Wanted<'_>]) -> Self {
        let position = wanted.iter().enumerate().map(|(index, wanted)| (wanted.narinfo.path.clone(), index)).collect();
        Self { position, waiting: Vec::new(), bytes: 0, done: HashSet::new() }
    }

    fn add(&mut self, object: Staged) {
        self.bytes += object.info.nar_size;
        self.waiting.push(object);
    }

    /// Takes those whose references are all registered, taken too, or were valid before.
    fn take_closed(&mut self) -> Vec<Staged> {
        self.waiting.sort_by_key(|object| self.position.get(&object.info.path).copied());
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        for object in self.waiting.drain(..) {
            let there = |path: &StorePath| *path == object.info.path || self.done.contains(path) || !self.position.contains_key(path);
            if object.info.references.iter().all(there) {
                self.done.insert(object.info.path.clone());
                closed.push(object);
            } else {
                open.push(object);
            }
        }
        self.waiting = open;
        self.bytes = 0;
        closed
    }
}
