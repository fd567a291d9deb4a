//! Roots, the collector, and checks.

use super::*;
use crate::fsio::{FileLock, LockKind};
use crate::model::StorePath;

fn collect(store: &Store) -> GcReport {
    store.gc(GcOptions::default()).unwrap()
}

fn exists(store: &Store, path: &StorePath) -> (bool, bool) {
    (store.is_valid(path).unwrap(), store.physical(path).symlink_metadata().is_ok())
}

const HERE: (bool, bool) = (true, true);
const GONE: (bool, bool) = (false, false);

#[test]
fn what_no_root_holds_is_removed_and_closures_stay() {
    let test = TestStore::new();
    let dep = test.add_text("dep", "dep", &[]).path;
    let user = test.add_text("user", "user", &[&dep]).path;
    let lonely = test.add_text("lonely", "lonely", &[&dep]);
    test.again().pin("keep", &user).unwrap();
    let dry = test.gc(GcOptions { dry_run: true }).unwrap();
    assert_eq!((dry.objects, dry.kept, dry.leftovers, dry.bytes), (1, 2, 0, lonely.nar_size));
    assert_eq!(exists(&test, &lonely.path), HERE);
    let report = collect(&test);
    assert_eq!(report, GcReport { dry_run: false, ..dry });
    assert_eq!([&dep, &user, &lonely.path].map(|path| exists(&test, path)), [HERE, HERE, GONE]);
    assert!(test.unpin("keep").unwrap() && !test.unpin("keep").unwrap());
    assert_eq!(collect(&test).objects, 2);
    assert_eq!(fs::read_dir(test.objects_dir()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(test.dir().join("trash")).unwrap().count(), 0);
}

#[test]
fn an_out_link_keeps_its_object_as_long_as_it_points_there() {
    let test = TestStore::new();
    let (one, two) = (test.add_text("a", "one", &[]).path, test.add_text("a", "two", &[]).path);
    let link = test.outside("result");
    test.again().add_out_link(&link, &one).unwrap();
    assert_eq!(fs::read_to_string(&link).unwrap(), "one");
    collect(&test);
    assert_eq!([&one, &two].map(|path| exists(&test, path)), [HERE, GONE]);
    let three = test.add_text("a", "three", &[]).path;
    test.again().add_out_link(&link, &three).unwrap();
    assert_eq!(test.out_links().unwrap(), [OutLink { link: link.clone(), path: three.clone(), state: LinkState::Alive }]);
    collect(&test);
    assert_eq!([&one, &three].map(|path| exists(&test, path)), [GONE, HERE]);
    fs::remove_file(&link).unwrap();
    assert_eq!(test.out_links().unwrap()[0].state, LinkState::Gone);
    collect(&test);
    assert_eq!(exists(&test, &three), GONE);
    assert!(test.out_links().unwrap().is_empty());
}

/// Collects where the lock lets a collector in; it would wait where it does not.
fn collect_if_possible(dir: &Path) {
    let store = Store::open_existing(dir).unwrap();
    if FileLock::try_take(&store.gc_lock_path(), LockKind::Exclusive).unwrap().is_some() {
        collect(&store);
    }
}

#[test]
fn a_collector_cannot_come_between_an_out_links_row_and_the_link() {
    let test = TestStore::new();
    let path = test.add_text("a", "one", &[]).path;
    let link = test.outside("result");
    let process = test.again();
    // Held already, so that making the link takes no root, and with it no lock, of its own.
    process.hold([&path]).unwrap();
    let dir = test.dir().to_owned();
    at_failpoint("out-link-row", move || collect_if_possible(&dir));
    process.add_out_link(&link, &path).unwrap();
    drop(process);
    collect(&test);
    assert_eq!(exists(&test, &path), HERE);
    assert_eq!(fs::read_to_string(&link).unwrap(), "one");
}

#[test]
fn the_links_of_a_moved_store_keep_their_objects() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let store = Store::open(&old.join("store")).unwrap();
    let [beside, outside] = ["beside", "outside"].map(|text| store.add_flat(&name(text), &mut text.as_bytes(), None).unwrap().path);
    store.add_out_link(&old.join("result"), &beside).unwrap();
    store.add_out_link(&dir.path().join("result"), &outside).unwrap();
    drop(store);
    fs::rename(&old, &new).unwrap();
    let store = Store::open(&new.join("store")).unwrap();
    let report = collect(&store);
    assert_eq!((report.objects, report.kept, report.doubts.len()), (0, 2, 2), "{report:?}");
    assert_eq!([&beside, &outside].map(|path| exists(&store, path)), [HERE, HERE]);
    for link in [new.join("result"), dir.path().join("result")] {
        fs::remove_file(link).unwrap();
    }
    assert_eq!(collect(&store).objects, 2);
}

#[test]
fn scratch_that_cannot_be_looked_at_stays() {
    let test = TestStore::new();
    // Root can look at it all the same, and sees its lock.
    let running = test.again();
    let scratch = running.new_scratch().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let report = collect(&test);
    assert!(scratch.path().exists());
    assert_eq!((report.scratch, report.doubts.len()), (0, usize::from(!rustix::process::geteuid().is_root())));
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_torn_list_of_temporary_roots_stops_the_collector() {
    let test = TestStore::new();
    let roots = test.temp_roots().unwrap();
    let path = test.add_text("a", "one", &[]).path;
    roots.add([&path]).unwrap();
    let file = fs::read_dir(test.dir().join("roots/run")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [b"9rbzc4ah4446b".as_slice(), &whole].concat()).unwrap();
    assert!(test.gc(GcOptions::default()).is_err());
    assert_eq!(exists(&test, &path), HERE);
    fs::write(&file, &whole).unwrap();
    assert_eq!(collect(&test).kept, 1);
}

#[test]
fn what_builders_leave_is_for_the_stores_owner_alone() {
    let test = TestStore::new();
    let scratch = test.new_scratch().unwrap();
    assert_eq!(mode(scratch.path()), 0o700);
    let kept = test.keep_failed(scratch, "label").unwrap();
    assert_eq!(mode(&kept), 0o700);
    for (dir, expected) in [("builds", 0o711), ("failed", 0o711), ("trash", 0o700)] {
        assert_eq!(mode(&test.dir().join(dir)), expected, "{dir}");
    }
}

#[test]
fn a_collection_in_portions_removes_the_same() {
    let test = TestStore::new();
    let mut last = test.add_text("first", "first", &[]).path;
    for number in 0..20 {
        last = test.add_text("link", &number.to_string(), &[&last]).path;
        test.add_text("alone", &number.to_string(), &[]);
    }
    let kept = test.add_text("kept", "kept", &[]).path;
    test.again().pin("kept", &kept).unwrap();
    fs::write(test.objects_dir().join("leftover"), "x").unwrap();
    let mut report = GcReport::default();
    test.collect_without_room(&mut report).unwrap();
    assert_eq!((report.objects, report.kept, report.leftovers), (41, 1, 1));
    assert_eq!(fs::read_dir(test.objects_dir()).unwrap().count(), 1);
    assert_eq!(test.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems, []);
}

#[test]
fn an_out_link_replaces_links_only() {
    let test = TestStore::new();
    let path = test.add_text("a", "one", &[]).path;
    let precious = test.outside("precious");
    fs::write(&precious, "x").unwrap();
    assert!(matches!(test.add_out_link(&precious, &path), Err(StoreError::LinkOccupied { .. })));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
    let invalid = "/kiln/store/9rbzc4ah4446bnbi4npmymci2fy6n8zs-hello.txt".parse().unwrap();
    assert!(matches!(test.add_out_link(&test.outside("l"), &invalid), Err(StoreError::NotValid { .. })));
    assert!(matches!(test.pin("l", &invalid), Err(StoreError::NotValid { .. })));
}

#[test]
fn what_a_living_process_holds_stays_until_it_lets_go() {
    let test = TestStore::new();
    let dep = test.add_text("dep", "dep", &[]).path;
    let user = test.add_text("user", "user", &[&dep]).path;
    let process = test.again();
    assert_eq!(process.hold([&user]).unwrap().len(), 1);
    let scratch = process.new_scratch().unwrap();
    fs::write(scratch.path().join("x"), "staged").unwrap();
    let output = OutputTree { tree: scratch.path().join("x"), name: name("staged"), scratch: None };
    let staged = process.stage(vec![output], &Default::default()).unwrap().remove(0);
    let report = collect(&test);
    assert_eq!((report.objects, report.leftovers, report.scratch), (0, 0, 0));
    assert!(scratch.path().exists() && test.physical(&staged.info.path).exists());
    drop((scratch, process));
    let report = collect(&test);
    assert_eq!((report.objects, report.leftovers, report.scratch), (2, 1, 0));
    let roots = test.temp_roots().unwrap();
    roots.add([&dep, &user]).unwrap();
    assert_eq!(fs::read_dir(test.dir().join("roots/run")).unwrap().count(), 1);
}

#[test]
fn leftovers_of_any_kind_are_removed() {
    let test = TestStore::new();
    let kept = test.new_scratch().unwrap();
    make_tree(kept.path());
    test.keep_failed(kept, "label").unwrap();
    test.reaper.finish();
    fs::write(test.objects_dir().join("no-store-path"), "x").unwrap();
    fs::create_dir_all(test.dir().join("builds/1-1/deep")).unwrap();
    fs::create_dir_all(test.dir().join("trash/1-1/deep/er")).unwrap();
    fs::write(test.dir().join("roots/run/1-1"), "x\n").unwrap();
    let report = collect(&test);
    assert_eq!((report.leftovers, report.scratch), (1, 2));
    for dir in ["objects", "builds", "trash", "failed", "roots/run"] {
        assert_eq!(fs::read_dir(test.dir().join(dir)).unwrap().count(), 0, "{dir}");
    }
}

#[test]
fn the_collector_and_builders_do_not_harm_each_other() {
    let test = TestStore::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..3)
            .map(|number| {
                let test = &test;
                scope.spawn(move || {
                    for round in 0..15 {
                        let store = test.again();
                        let source = test.outside(&format!("source-{number}"));
                        fs::write(&source, (round % 4).to_string()).unwrap();
                        let info = store.add_tree(&name("shared"), &source, &References::None).unwrap();
                        assert_eq!(fs::read_to_string(store.physical(&info.path)).unwrap(), (round % 4).to_string());
                        assert!(store.is_valid(&info.path).unwrap());
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                collect(&test.again());
            }
        });
        let results: Vec<_> = builders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok));
    });
    assert!(test.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems.is_empty());
}

#[test]
fn a_check_finds_what_is_missing_or_changed() {
    let test = TestStore::new();
    let [missing, changed, fine] = ["missing", "changed", "fine"].map(|text| test.add_text(text, text, &[]));
    fs::remove_file(test.physical(&missing.path)).unwrap();
    let place = test.physical(&changed.path);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&place, "tampered").unwrap();
    let quick = test.verify(&VerifyOptions::default()).unwrap();
    assert_eq!((quick.objects, quick.problems), (3, vec![Problem::Missing { path: missing.path.clone() }]));
    let full = test.verify(&VerifyOptions { contents: true, paths: None }).unwrap();
    assert_eq!(full.problems.len(), 2);
    assert!(full.problems.iter().any(
        |problem| matches!(problem, Problem::Changed { path, registered, .. } if *path == changed.path && *registered == changed.nar_hash)
    ));
    let one = test.verify(&VerifyOptions { contents: true, paths: Some(vec![fine.path]) }).unwrap();
    assert_eq!((one.objects, one.problems), (1, vec![]));
    test.add_text("missing", "missing", &[]);
}
