//! A collector for which nothing is young enough and no room is large enough, against a push that begins at any moment of its work.
//!
//! Each request takes a random while, so that every order of the two's steps comes up.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{DAY, Fixture, QUICK, nothing_stays, options};
use crate::cache::Patience;
use crate::cache::backend::{Backend, Existing, Listed, Reading, Source};
use crate::cache::directory::Directory;
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::keep::collect::{CollectOptions, collect_timed};
use crate::cache::keep::lease::Lease;
use crate::cache::keep::verify::{VerifyOptions, verify};
use crate::model::{StoreDigest, StorePath};

/// A back end that is far away.
#[derive(Debug)]
struct Far<'a> {
    inner: &'a Directory,
    random: AtomicU64,
}

impl Far<'_> {
    fn below(&self, limit: u64) -> u64 {
        let step = |state: u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let state = self.random.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_default();
        (state >> 33) % limit
    }

    fn travel(&self) -> &Directory {
        std::thread::sleep(Duration::from_micros(self.below(4000)));
        self.inner
    }
}

impl Backend for Far<'_> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn patience(&self) -> &Patience {
        self.inner.patience()
    }

    fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError> {
        self.travel().read(name, from)
    }

    fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError> {
        self.travel().size(name)
    }

    fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
        self.travel().present(names)
    }

    fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError> {
        self.travel().write(name, source, existing)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError> {
        self.travel().list(prefix, each)
    }

    fn remove(&self, name: &EntryName) -> Result<(), CacheError> {
        self.travel().remove(name)
    }
}

/// What the push relies on: objects that are there, and NARs that an interrupted push left and that the collector means to remove.
const THERE: [&str; 3] = ["there-0", "there-1", "there-2"];
const HALF_THERE: [&str; 3] = ["half-0", "half-1", "half-2"];

/// Lays out the beginning of a round.
fn begin(cache: &Fixture) -> Vec<StorePath> {
    for folder in ["kiln/leases", "nar"] {
        let _ = std::fs::remove_dir_all(cache.file(folder));
    }
    for top in std::fs::read_dir(cache.file("")).unwrap().flatten().filter(|entry| entry.path().extension().is_some()) {
        std::fs::remove_file(top.path()).unwrap();
    }
    let mut condemned = String::new();
    let half = HALF_THERE.map(|name| {
        let (path, nar, packed, _) = Fixture::parts(name, &[]);
        cache.put(nar.as_str(), packed);
        cache.age(nar.as_str(), 2 * DAY);
        condemned.push_str(&format!("0 {nar}\n"));
        path
    });
    cache.put("kiln/collector/condemned", condemned);
    THERE.iter().map(|name| cache.old(name, &[], DAY)).chain(half).collect()
}

/// A push as [`Lease`] says that one goes; of a new object, and all that it refers to.
fn push(cache: &Fixture, backend: &dyn Backend, needed: &[StorePath], name: &str) {
    let references: Vec<&StorePath> = needed.iter().collect();
    let (top, nar, packed, info) = Fixture::parts(name, &references);
    let objects: Vec<StoreDigest> = needed.iter().map(|path| *path.digest()).chain([*top.digest()]).collect();
    let lease = Lease::take_timed(backend, &objects, QUICK).unwrap();
    let mut work: Vec<(EntryName, Vec<u8>, EntryName, Vec<u8>)> = Vec::new();
    let names: Vec<EntryName> = objects.iter().map(EntryName::narinfo).collect();
    let present = backend.present(&names).unwrap();
    for (name, path) in THERE.iter().chain(&HALF_THERE).zip(needed) {
        if !present.contains(&EntryName::narinfo(path.digest())) {
            let (path, nar, packed, info) = Fixture::parts(name, &[]);
            work.push((nar, packed, EntryName::narinfo(path.digest()), info));
        }
    }
    work.push((nar, packed, EntryName::narinfo(top.digest()), info));
    let nars: Vec<EntryName> = work.iter().map(|(nar, ..)| nar.clone()).collect();
    loop {
        work.iter().for_each(|(nar, packed, ..)| backend.write(nar, packed, Existing::Keep).unwrap());
        if lease.settle(&nars).unwrap().is_empty() {
            break;
        }
    }
    for (.., entry, info) in &work {
        backend.write(entry, info, Existing::Keep).unwrap();
    }
    for digest in &objects {
        let text = std::fs::read_to_string(cache.file(EntryName::narinfo(digest).as_str())).unwrap_or_default();
        let info = text.parse::<crate::model::NarInfo>().unwrap_or_else(|_| panic!("{digest} is gone while it is leased"));
        assert!(cache.file(&info.url).exists(), "{} of {} is gone while it is leased", info.url, info.path);
    }
}

#[test]
fn a_push_that_races_with_a_greedy_collector_leaves_a_whole_closure() {
    let cache = Fixture::new();
    let far = Far { inner: &cache.backend, random: AtomicU64::new(u64::from(std::process::id())) };
    let (mut removed, mut stayed) = (0, 0);
    for round in 0..30 {
        let needed = begin(&cache);
        let delay = Duration::from_micros(far.below(60_000));
        std::thread::scope(|scope| {
            let collector = scope.spawn(|| {
                let greedy = CollectOptions { grace: Duration::ZERO, ..options(nothing_stays()) };
                collect_timed(&far, &greedy, &QUICK).unwrap()
            });
            std::thread::sleep(delay);
            push(&cache, &far, &needed, &format!("top-{round}"));
            let report = collector.join().unwrap();
            removed += report.removed.len() + report.nars;
        });
        let report = verify(&cache.backend, &VerifyOptions { read: true, ..VerifyOptions::default() }).unwrap();
        let wrong: Vec<_> = report.findings.iter().filter(|finding| finding.entry != "nix-cache-info").collect();
        assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
        stayed += report.objects;
    }
    assert!(removed > 5 && stayed > 100, "{removed} removed, {stayed} stayed: this was no race");
}
