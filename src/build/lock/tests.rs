//! Locks as documents, and through this machine's own apt.

use std::path::Path;

use super::*;
use crate::build::config::{Config, MirrorSettings};
use crate::build::fetch::{FetchOptions, Fetcher, Mirrors};
use crate::model::Sha256;
use crate::net::Machine;

fn package(version: &str) -> DebianPackage {
    DebianPackage { version: version.into(), path: "pool/x.deb".into(), size: 1, sha256: Sha256::of(version), depends: vec![] }
}

fn lock(packages: &[(&str, &str)]) -> DebianLock {
    let packages = packages.iter().map(|(name, version)| ((*name).to_owned(), package(version))).collect();
    DebianLock { version: 1, suite: "x".into(), architecture: "amd64".into(), requested: vec!["b".into()], packages }
}

#[test]
fn a_lock_reads_what_it_writes_and_says_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("debian.json");
    assert_eq!(DebianLock::read(&path).unwrap(), None);
    let (old, new) = (lock(&[("a", "1"), ("b", "1"), ("c", "1")]), lock(&[("b", "2"), ("c", "1"), ("d", "1")]));
    old.write(&path).unwrap();
    let read = DebianLock::read(&path).unwrap();
    assert_eq!(read.as_ref(), Some(&old));
    let changes = new.changes_since(read.as_ref());
    let text = serde_json::to_string(&changes).unwrap();
    assert_eq!(text, r#"{"added":{"d":"1"},"removed":{"a":"1"},"changed":{"b":{"before":"1","after":"2"}}}"#);
    assert!(old.changes_since(Some(&old)).is_empty());
    assert_eq!(new.changes_since(None).added.len(), 3);
}

#[test]
fn the_first_lock_of_a_project_makes_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("derivations/locks/debian.json");
    lock(&[("b", "1")]).write(&path).unwrap();
    assert!(DebianLock::read(&path).unwrap().is_some());
    let path = dir.path().join("more/locks/pypi.json");
    PypiLock::empty().write(&path).unwrap();
    assert_eq!(PypiLock::read(&path).unwrap(), Some(PypiLock::empty()));
}

#[test]
fn the_text_of_a_lock_is_pinned() {
    let text = lock(&[("b", "1")]).to_text();
    let hash = Sha256::of("1");
    let expected = format!(
        "{{\n  \"version\": 1,\n  \"suite\": \"x\",\n  \"architecture\": \"amd64\",\n  \"requested\": [\n    \"b\"\n  ],\n  \"packages\": {{\n    \"b\": {{\n      \"version\": \"1\",\n      \"path\": \"pool/x.deb\",\n      \"size\": 1,\n      \"sha256\": \"{hash}\",\n      \"depends\": []\n    }}\n  }}\n}}\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn files_that_are_no_locks_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("debian.json");
    for (text, reason) in
        [("{", "no lock file"), ("{}", "no lock file"), (r#"{"version":2}"#, "version 2"), (r#"{"version":1,"x":1}"#, "no lock file")]
    {
        std::fs::write(&path, text).unwrap();
        let error = DebianLock::read(&path).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("debian.json"), "{error}");
        assert!(PypiLock::read(&path).is_err());
    }
}

fn bare(root: &Path, files: &[(&str, &str)], debian: &[&str]) -> Mirrors {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let machine = Machine::at(root, &[("PATH", &path)]);
    let mirrors = MirrorSettings { pypi: vec![], debian: debian.iter().map(|uri| (*uri).to_owned()).collect() };
    Mirrors::of(machine, &Config { mirrors, ..Config::default() })
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn without_a_source_or_a_release_the_error_says_how_to_name_one() {
    let root = tempfile::tempdir().unwrap();
    let error = lock_debian(&names(&["dash"]), &DebianLockOptions::default(), &bare(root.path(), &[], &[])).unwrap_err();
    assert!(matches!(error, LockError::NoSource) && error.hint().unwrap().contains("sources.list"));
    let only_security = [("etc/apt/sources.list", "deb http://h/debian-security x-security main\ndeb http://h/debian x-updates main\n")];
    let error = lock_debian(&names(&["dash"]), &DebianLockOptions::default(), &bare(root.path(), &only_security, &[])).unwrap_err();
    assert!(matches!(error, LockError::NoSource), "{error}");
    let error = lock_debian(&names(&["dash"]), &DebianLockOptions::default(), &bare(root.path(), &[], &["http://h/debian"])).unwrap_err();
    assert!(matches!(error, LockError::NoSuite), "{error}");
    for bad in [&[][..], &["-y"], &["--allow-unauthenticated"]] {
        lock_debian(&names(bad), &DebianLockOptions::default(), &bare(root.path(), &[], &["http://h/debian"])).unwrap_err();
    }
}

#[test]
fn an_unsigned_archive_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let dists = root.path().join("archive/dists/bookworm/main/binary-amd64");
    std::fs::create_dir_all(&dists).unwrap();
    std::fs::write(dists.join("Packages"), "Package: dash\nVersion: 1\nArchitecture: amd64\nFilename: pool/d.deb\nSize: 1\n\n").unwrap();
    std::fs::write(root.path().join("archive/dists/bookworm/Release"), "Suite: stable\nCodename: bookworm\n").unwrap();
    let line = format!("deb [trusted=yes allow-insecure=yes] file:{} bookworm main\n", root.path().join("archive").display());
    let mirrors = bare(root.path(), &[("etc/apt/sources.list", &line)], &[]);
    match lock_debian(&names(&["dash"]), &DebianLockOptions::default(), &mirrors) {
        Err(LockError::AptFailed { output, .. }) => assert!(output.contains("not signed"), "{output}"),
        // On a machine without apt nothing can be refused.
        Err(LockError::AptMissing { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_apt_the_error_says_so() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/apt")).unwrap();
    std::fs::write(root.path().join("etc/apt/sources.list"), "deb http://h/debian x main\n").unwrap();
    let mirrors = Mirrors::of(Machine::at(root.path(), &[("PATH", "/nonexistent")]), &Config::default());
    let error = lock_debian(&names(&["dash"]), &DebianLockOptions::default(), &mirrors).unwrap_err();
    assert!(matches!(error, LockError::AptMissing { .. }) && error.hint().is_some(), "{error}");
}

#[test]
#[ignore = "needs a network"]
fn real_packages_are_locked_with_their_closure() {
    let state = tempfile::tempdir().unwrap();
    let mirrors = Mirrors::from_machine(&Config::default());
    let options = DebianLockOptions { state_dir: Some(state.path().to_owned()), ..DebianLockOptions::default() };
    let lock = lock_debian(&names(&["make", "dash"]), &options, &mirrors).unwrap();
    assert_eq!(lock.requested, ["dash", "make"]);
    assert!(lock.packages["make"].depends.contains(&"libc6".to_owned()));
    for package in lock.packages.values() {
        assert!(package.path.starts_with("pool/main/") && package.depends.iter().all(|name| lock.packages.contains_key(name)));
    }
    assert_eq!(lock_debian(&names(&["dash", "make"]), &options, &mirrors).unwrap().to_text(), lock.to_text());
    let error = lock_debian(&names(&["mkae"]), &options, &mirrors).unwrap_err().to_string();
    assert!(error.contains("has no package `mkae`; did you mean"), "{error}");
}

#[test]
#[ignore = "needs a network"]
fn real_python_files_are_locked() {
    let fetcher = Fetcher::new(Mirrors::from_machine(&Config::default()), FetchOptions::default());
    let lock = lock_pypi(&["six==1.16.0".parse().unwrap()], &fetcher).unwrap();
    assert_eq!(lock.files["six"].file, "six-1.16.0.tar.gz");
    assert_eq!(
        (lock.files["six"].size, lock.files["six"].sha256.hex().as_str()),
        (34_041, "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926")
    );
    assert_eq!(lock_pypi(&lock.requests(), &fetcher).unwrap(), lock);
}
