//! Collections of real directories, alone and against pushes.

use std::collections::BTreeMap;

use super::super::lease::Lease;
use super::super::pin::set_pin;
use super::super::testing::{DAY, Fixture, QUICK};
use super::super::verify::{VerifyOptions, verify};
use super::*;
use crate::cache::signing::SecretKey;
use crate::cache::statement::{SignedTrace, write_traces};
use crate::model::{BuildTrace, DerivationHash, OutputName, SandboxLevel, Sha256};

static GO_ON: AtomicBool = AtomicBool::new(false);

const HOUR: Duration = Duration::from_secs(3600);

fn options(budget: Budget) -> CollectOptions<'static> {
    CollectOptions { budget, grace: HOUR, statements: false, unreadable: false, dry_run: false, stop: &GO_ON }
}

fn month() -> Budget {
    Budget { older_than: Some(30 * DAY), ..Budget::default() }
}

fn nothing_stays() -> Budget {
    Budget { max_size: Some(0), ..Budget::default() }
}

fn run(cache: &Fixture, options: &CollectOptions<'_>) -> CollectReport {
    collect_timed(&cache.backend, options, &QUICK).unwrap()
}

#[track_caller]
fn sound(cache: &Fixture) {
    let report = verify(&cache.backend, &VerifyOptions { read: true, ..VerifyOptions::default() }).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn what_is_old_goes_and_what_a_pin_holds_stays_with_its_closure() {
    let cache = Fixture::new();
    let base = cache.old("base", &[], 90 * DAY);
    let pinned = cache.old("pinned", &[&base], 90 * DAY);
    let old = cache.old("old", &[&base], 90 * DAY);
    let young = cache.object("young", &[]);
    set_pin(&cache.backend, "keep", std::slice::from_ref(&pinned)).unwrap();
    let dry = run(&cache, &CollectOptions { dry_run: true, ..options(month()) });
    assert!(cache.has(&old) && dry.dry_run && dry.removed == [old.clone()]);
    let report = run(&cache, &options(month()));
    assert_eq!((report.removed, report.kept, report.held), (vec![old.clone()], 3, 3));
    assert!(!cache.has(&old) && [base, pinned, young].iter().all(|path| cache.has(path)));
    sound(&cache);
}

#[test]
fn a_nar_goes_a_grace_period_after_its_description() {
    let cache = Fixture::new();
    let old = cache.old("old", &[], 90 * DAY);
    let nar = cache.nar_of(&old);
    let first = run(&cache, &options(month()));
    assert_eq!((first.nars, first.condemned), (0, 1));
    let second = run(&cache, &options(month()));
    assert!(cache.has_entry(&nar) && second.condemned == 1, "condemned anew is not condemned for long");
    let text = String::from_utf8(cache.get("kiln/collector/condemned")).unwrap();
    let (seconds, rest) = text.split_once(' ').unwrap();
    let earlier = seconds.parse::<u64>().unwrap() - 3601;
    cache.put("kiln/collector/condemned", format!("{earlier} {rest}"));
    let third = run(&cache, &options(month()));
    assert!(!cache.has_entry(&nar) && (third.nars, third.condemned) == (1, 0));
    assert!(cache.get("kiln/collector/condemned").is_empty());
}

#[test]
fn without_grace_everything_goes_at_once_and_shared_nars_go_with_the_last() {
    let cache = Fixture::new();
    let a = cache.old("a", &[], 90 * DAY);
    let nar = cache.nar_of(&a);
    let text = String::from_utf8(cache.get(&format!("{}.narinfo", a.digest()))).unwrap();
    let ca = text.lines().find_map(|line| line.strip_prefix("CA: ")).unwrap().parse::<crate::model::ContentAddress>().unwrap();
    let twin = ca.store_path(&"twin".parse().unwrap(), &std::collections::BTreeSet::new(), false);
    cache.put(&format!("{}.narinfo", twin.digest()), text.replace(&a.to_string(), &twin.to_string()));
    cache.age(&format!("{}.narinfo", a.digest()), 90 * DAY);
    let bare = |budget| CollectOptions { grace: Duration::ZERO, ..options(budget) };
    let last = Budget { keep_last: Some(1), ..Budget::default() };
    let report = run(&cache, &bare(last));
    assert!(report.removed == [a.clone()] && cache.has(&twin) && cache.has_entry(&nar) && report.condemned == 0);
    let report = run(&cache, &bare(nothing_stays()));
    assert!(!cache.has(&twin) && !cache.has_entry(&nar) && report.nars == 1);
}

#[test]
fn what_a_push_left_without_a_description_goes_when_it_is_old() {
    let cache = Fixture::new();
    cache.put("nar/young.nar.zst", b"x");
    cache.put("nar/old.nar.zst", b"xy");
    cache.age("nar/old.nar.zst", DAY);
    let report = run(&cache, &options(Budget::default()));
    assert_eq!((report.condemned, report.condemned_bytes), (1, 2));
}

#[test]
fn what_cannot_be_read_stops_the_collection_unless_it_is_to_go() {
    let cache = Fixture::new();
    let old = cache.old("old", &[], 90 * DAY);
    cache.put("11111111111111111111111111111111.narinfo", b"rubbish");
    assert_eq!(run(&cache, &CollectOptions { dry_run: true, ..options(month()) }).unreadable, 0, "young");
    cache.age("11111111111111111111111111111111.narinfo", DAY);
    let refused = collect_timed(&cache.backend, &options(month()), &QUICK).unwrap_err();
    assert!(matches!(refused, CacheError::Unreadable { .. }) && cache.has(&old));
    assert_eq!(run(&cache, &CollectOptions { unreadable: true, ..options(month()) }).unreadable, 1);
    assert!(!cache.has(&old) && !cache.file("11111111111111111111111111111111.narinfo").exists());
    cache.put("kiln/pins/x", b"rubbish");
    assert!(matches!(collect_timed(&cache.backend, &options(month()), &QUICK), Err(CacheError::Lie { .. })));
}

#[test]
fn a_lease_holds_what_it_names_with_its_closure() {
    let cache = Fixture::new();
    let base = cache.old("base", &[], 90 * DAY);
    let top = cache.old("top", &[&base], 90 * DAY);
    let other = cache.old("other", &[&base], 90 * DAY);
    let lease = Lease::take_timed(&cache.backend, [top.digest()], QUICK).unwrap();
    let report = run(&cache, &options(month()));
    assert!(report.removed == [other] && report.leases == 1 && cache.has(&top) && cache.has(&base));
    drop(lease);
    assert_eq!(run(&cache, &options(month())).removed, [top, base]);
}

#[test]
fn a_lease_taken_after_the_plan_was_made_holds_too() {
    let cache = Fixture::new();
    let base = cache.old("base", &[], 90 * DAY);
    let top = cache.old("top", &[&base], 90 * DAY);
    let catalogue = Catalogue::read(&cache.backend, &|_, _| ()).unwrap();
    let claim = Claim::take(&cache.backend, &QUICK).unwrap();
    let spared = HashSet::new();
    let mut removal = Removal { backend: &cache.backend, timing: &QUICK, stop: &GO_ON, claim, begun: Moment::now(), spared };
    let lease = Lease::take_timed(&cache.backend, [top.digest()], QUICK).unwrap();
    let entries: Vec<EntryName> = [&top, &base].map(|path| EntryName::narinfo(path.digest())).into();
    assert!(removal.remove(&catalogue, &entries).unwrap().gone.is_empty() && cache.has(&top) && cache.has(&base));
    drop(lease);
    assert!(removal.remove(&catalogue, &entries).unwrap().gone.is_empty(), "a lease that ended while a collection runs holds on");
}

#[test]
fn what_was_read_long_ago_is_no_reason_to_remove_anything() {
    let cache = Fixture::new();
    let old = cache.old("old", &[], 90 * DAY);
    let timing = Timing { knowledge: Duration::ZERO, ..QUICK };
    let report = collect_timed(&cache.backend, &options(month()), &timing).unwrap();
    assert!(report.unfinished && report.removed.is_empty() && cache.has(&old));
}

#[test]
fn asked_to_stop_it_stops_and_another_collection_may_begin() {
    let cache = Fixture::new();
    cache.old("old", &[], 90 * DAY);
    let stop = AtomicBool::new(true);
    let stopped = collect_timed(&cache.backend, &CollectOptions { stop: &stop, ..options(month()) }, &QUICK);
    assert!(matches!(stopped, Err(CacheError::Stopped)));
    assert_eq!(run(&cache, &options(month())).removed.len(), 1);
}

#[test]
fn traces_stay_unless_they_are_to_go_with_their_outputs() {
    let cache = Fixture::new();
    let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
    let trace = |name: &str, output: &StorePath| {
        let resolved = DerivationHash(Sha256::of(name));
        let outputs = BTreeMap::from([(OutputName::out(), output.clone())]);
        let trace = BuildTrace { resolved, outputs, system: "x86_64-linux".into(), level: SandboxLevel::Strict };
        let entry = EntryName::traces(&resolved, key.public().name());
        cache.put(entry.as_str(), write_traces(&[SignedTrace::new(trace, &key)]).unwrap());
        cache.put(EntryName::log(&resolved, key.public().name()).as_str(), b"log");
        cache.age(EntryName::log(&resolved, key.public().name()).as_str(), 90 * DAY);
        cache.age(entry.as_str(), 90 * DAY);
        entry
    };
    let (old, young) = (cache.old("old", &[], 90 * DAY), cache.object("young", &[]));
    let (of_old, of_young) = (trace("a", &old), trace("b", &young));
    cache.put(&format!("kiln/derivations/{}.json", Sha256::of("x")), b"x");
    cache.age(&format!("kiln/derivations/{}.json", Sha256::of("x")), 90 * DAY);
    assert_eq!(run(&cache, &options(month())).statements, 0);
    assert!(cache.has_entry(&of_old));
    let report = run(&cache, &CollectOptions { statements: true, unreadable: true, ..options(month()) });
    assert!(report.statements == 3 && !cache.has_entry(&of_old) && cache.has_entry(&of_young));
}

#[test]
fn statements_that_cannot_be_read_stay_with_what_they_may_need() {
    let cache = Fixture::new();
    let resolved = Sha256::of("a");
    let entries = ["traces", "records"].map(|kind| format!("kiln/{kind}/{resolved}/key-1"));
    let derivation = format!("kiln/derivations/{}.json", Sha256::of("x"));
    for entry in entries.iter().chain([&derivation]) {
        cache.put(entry, b"{\"version\": 99}");
        cache.age(entry, 90 * DAY);
    }
    let there = |entry: &String| cache.file(entry).exists();
    let report = run(&cache, &CollectOptions { statements: true, ..options(month()) });
    assert!(entries.iter().all(there) && there(&derivation), "{report:?}");
    assert_eq!((report.statements, report.doubtful), (0, 3));
    let report = run(&cache, &CollectOptions { statements: true, unreadable: true, ..options(month()) });
    assert_eq!((report.statements, report.doubtful), (3, 0));
    assert!(!entries.iter().any(there) && !there(&derivation));
}

#[test]
fn pins_in_a_folder_that_is_a_link_count() {
    let cache = Fixture::new();
    let pinned = cache.old("pinned", &[], 90 * DAY);
    set_pin(&cache.backend, "keep", std::slice::from_ref(&pinned)).unwrap();
    let (folder, elsewhere) = (cache.file("kiln/pins"), tempfile::tempdir().unwrap());
    let moved = elsewhere.path().join("pins");
    std::fs::create_dir(&moved).unwrap();
    std::fs::copy(folder.join("keep"), moved.join("keep")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&moved, &folder).unwrap();
    run(&cache, &options(month()));
    assert!(cache.has(&pinned));
}

mod race;
