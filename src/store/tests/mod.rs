//! The store's behaviour, as its users see it. Each test has a store of its own.

mod adding;
mod collecting;
mod durability;
mod faults;
mod history;
mod mending;
mod staging;

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::model::{PathInfo, StoreName};

/// Something to be done at a failpoint.
type Interruption = (&'static str, Box<dyn FnOnce()>);

thread_local! {
    static INTERRUPTION: RefCell<Option<Interruption>> = const { RefCell::new(None) };
    /// The points that this thread has passed, for tests of what comes before what.
    static PASSED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Lets this thread do `what` when it comes to this failpoint for the first time.
fn at_failpoint(name: &'static str, what: impl FnOnce() + 'static) {
    INTERRUPTION.set(Some((name, Box::new(what))));
}

/// Called at each failpoint.
pub(super) fn pass(name: &'static str) {
    PASSED.with_borrow_mut(|passed| passed.push(name));
    let due = INTERRUPTION.take();
    match due {
        Some((wanted, what)) if wanted == name => what(),
        other => INTERRUPTION.set(other),
    }
}

/// A store that goes when the test ends.
struct TestStore {
    dir: TempDir,
    store: Store,
}

impl std::ops::Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        // `TempDir` cannot remove read-only directories of an ordinary user.
        let _ = remove::remove_tree(&self.dir.path().join("store"));
    }
}

impl TestStore {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    /// A place outside the store.
    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another process's view of the same store.
    fn again(&self) -> Store {
        Store::open_existing(self.store.dir()).unwrap()
    }

    /// Adds a file with this text, and lets go of everything that was held for it.
    fn add_text(&self, name_of: &str, text: &str, references: &[&StorePath]) -> PathInfo {
        let source = self.outside("source-text");
        fs::write(&source, text).unwrap();
        let references = References::Declared(references.iter().map(|path| (*path).clone()).collect());
        self.again().add_tree(&name(name_of), &source, &references).unwrap()
    }
}

fn name(text: &str) -> StoreName {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// A small tree with something of everything.
fn make_tree(tree: &Path) {
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::create_dir_all(tree.join("empty")).unwrap();
    fs::write(tree.join("bin/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("bin/tool"), fs::Permissions::from_mode(0o744)).unwrap();
    fs::write(tree.join("text"), "text\n").unwrap();
    fs::set_permissions(tree.join("text"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("../text", tree.join("bin/link")).unwrap();
}

/// Every file under `tree` in order, with mode, time and content.
fn describe(tree: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let lines = walkdir::WalkDir::new(tree).sort_by_file_name().into_iter().map(|entry| {
        let entry = entry.unwrap();
        let metadata = entry.path().symlink_metadata().unwrap();
        let shown = entry.path().strip_prefix(tree).unwrap().display().to_string();
        format!("{shown} {:o} {}.{}", metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
    });
    lines.collect()
}

#[test]
fn a_store_can_be_opened_again_and_a_newer_one_is_refused() {
    let test = TestStore::new();
    drop(test.again());
    assert!(matches!(Store::open_existing(&test.outside("none")), Err(StoreError::NotAStore { .. })));
    fs::write(test.dir().join("format"), "3\n").unwrap();
    let error = Store::open(test.dir()).unwrap_err().to_string();
    assert!(error.ends_with("has format 3, and this kiln reads format 2"), "{error}");
}

#[test]
fn many_may_create_one_store_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Store::open(dir.path()).unwrap());
        }
    });
}

#[test]
fn opening_and_asking_writes_nothing() {
    let test = TestStore::new();
    let info = test.add_text("a", "a", &[]);
    let times = || -> Vec<_> {
        let entries = fs::read_dir(test.dir()).unwrap().map(|entry| entry.unwrap());
        let mut times: Vec<_> = entries
            .filter(|entry| entry.file_name() != "db.sqlite-shm")
            .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        times.sort();
        times
    };
    let before = times();
    let again = test.again();
    assert!(again.is_valid(&info.path).unwrap());
    drop(again);
    assert_eq!(times(), before);
}
