//! Trees, files and NARs from outside.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::*;
use crate::archive::dump;
use crate::model::{ContentAddress, Sha256};

#[test]
fn an_added_tree_is_canonical_whatever_it_was() {
    let test = TestStore::new();
    let source = test.outside("tree");
    make_tree(&source);
    let info = test.add_tree(&name("tree"), &source, &References::None).unwrap();
    assert_eq!(test.hash_tree(&name("tree"), &source, &References::None).unwrap().path, info.path);
    let expected = [" 40555 1.0", "bin 40555 1.0", "bin/link 120777 1.0", "bin/tool 100555 1.0", "empty 40555 1.0", "text 100444 1.0"];
    assert_eq!(describe(&test.physical(&info.path)), expected);
    assert_eq!(test.info(&info.path).unwrap().unwrap(), info);
    assert!(info.path_is_consistent());
    test.reaper.finish();
    assert_eq!(fs::read_dir(test.dir().join("builds")).unwrap().count(), 0);
}

#[test]
fn the_golden_vectors_come_out() {
    let test = TestStore::new();
    let dep = test.add_text("dep", "dep\n", &[]);
    assert_eq!(dep.path.to_string(), "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep");
    assert_eq!((dep.nar_size, dep.nar_hash.base32().as_str()), (120, "00kjynz8n03652qccs76ivsvark3pr3dfr6w1ba3x7bx83kcknvv"));
    let hello = test.add_flat(&name("hello.txt"), &mut &b"hello\n"[..], None).unwrap();
    assert_eq!(hello.path.to_string(), "/kiln/store/9rbzc4ah4446bnbi4npmymci2fy6n8zs-hello.txt");
    let recursive = test.add_text("hello.txt", "hello\n", &[]);
    assert_eq!(recursive.path.to_string(), "/kiln/store/5y63x163zw7wzwgij1c84s36j4vlnvrk-hello.txt");
    assert_eq!(recursive.nar_hash, hello.nar_hash);
}

#[test]
fn adding_again_changes_nothing() {
    let test = TestStore::new();
    let source = test.outside("tree");
    make_tree(&source);
    let first = test.add_tree(&name("tree"), &source, &References::None).unwrap();
    let before = describe(&test.physical(&first.path));
    assert_eq!(test.add_tree(&name("tree"), &source, &References::None).unwrap(), first);
    assert_eq!(describe(&test.physical(&first.path)), before);
}

#[test]
fn references_are_scanned_for_or_declared() {
    let test = TestStore::new();
    let dep = test.add_text("dep", "dep\n", &[]).path;
    let source = test.outside("user");
    fs::write(&source, format!("see {} there", dep.digest())).unwrap();
    let with = |references: References| test.add_tree(&name("user"), &source, &references).unwrap();
    let (none, scanned, declared) =
        (with(References::None), with(References::Scan), with(References::Declared(BTreeSet::from([dep.clone()]))));
    assert!(none.references.is_empty());
    assert_eq!(scanned.references, BTreeSet::from([dep.clone()]));
    assert_eq!(scanned, declared);
    assert_ne!(scanned.path, none.path);
    assert_eq!(test.referrers(&dep).unwrap(), BTreeSet::from([scanned.path]));
    let stranger = "/kiln/store/9rbzc4ah4446bnbi4npmymci2fy6n8zs-hello.txt".parse().unwrap();
    let refused = test.add_tree(&name("user"), &source, &References::Declared(BTreeSet::from([stranger])));
    assert!(matches!(refused, Err(StoreError::InvalidReference { .. })), "{refused:?}");
}

#[test]
fn a_file_with_another_hash_is_refused() {
    let test = TestStore::new();
    let refused = test.add_flat(&name("file"), &mut &b"one"[..], Some(&Sha256::of("two")));
    assert!(matches!(refused, Err(StoreError::HashMismatch { .. })));
    let file = test.new_scratch().unwrap();
    fs::write(file.path().join("x"), "one").unwrap();
    let refused = test.stage_flat(file.path().join("x"), name("file"), &Sha256::of("two"));
    assert!(matches!(refused, Err(StoreError::HashMismatch { .. })));
}

#[test]
fn a_fetched_file_loses_its_execute_bit() {
    let test = TestStore::new();
    let scratch = test.new_scratch().unwrap();
    let file = scratch.path().join("x");
    fs::write(&file, vec![7; 300_000]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let hash = Sha256::of(vec![7; 300_000]);
    let staged = test.stage_flat(file, name("x"), &hash).unwrap();
    assert_eq!(staged.info.ca, ContentAddress::Flat(hash));
    assert_eq!(mode(&test.physical(&staged.info.path)), 0o444);
    test.register(&Registration { objects: vec![staged], ..Registration::default() }).unwrap();
    assert!(test.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems.is_empty());
}

#[test]
fn sockets_are_refused_and_named() {
    let test = TestStore::new();
    let source = test.outside("tree");
    fs::create_dir(&source).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    let error = test.add_tree(&name("tree"), &source, &References::None).unwrap_err().to_string();
    assert!(error.contains("tree/socket"), "{error}");
}

#[test]
fn a_nar_is_taken_only_if_all_that_is_said_about_it_holds() {
    let one = TestStore::new();
    let source = one.outside("tree");
    make_tree(&source);
    let info = one.add_tree(&name("tree"), &source, &References::None).unwrap();
    let mut nar = Vec::new();
    dump(&one.physical(&info.path), &mut nar).unwrap();

    let other = TestStore::new();
    let staged = other.stage_nar(&mut nar.as_slice(), &info).unwrap();
    other.register(&Registration { objects: vec![staged], ..Registration::default() }).unwrap();
    assert_eq!(describe(&other.physical(&info.path)), describe(&one.physical(&info.path)));

    let lies = [
        PathInfo { nar_hash: Sha256::of("x"), ..info.clone() },
        PathInfo { nar_size: info.nar_size + 8, ..info.clone() },
        PathInfo { ca: ContentAddress::Recursive(Sha256::of("x")), ..info.clone() },
        PathInfo { references: BTreeSet::from([info.path.clone()]), ..info.clone() },
    ];
    let third = TestStore::new();
    for lie in &lies {
        assert!(third.stage_nar(&mut nar.as_slice(), lie).is_err(), "{lie:?}");
    }
    let foreign = ContentAddress::Recursive(Sha256::of("other"));
    let consistent = PathInfo { path: foreign.store_path(&name("tree"), &BTreeSet::new(), false), ca: foreign, ..info.clone() };
    assert!(matches!(third.stage_nar(&mut nar.as_slice(), &consistent), Err(StoreError::NarMismatch { .. })));
    assert!(third.stage_nar(&mut (&nar[..]).take(100), &info).is_err());
    assert_eq!(fs::read_dir(third.objects_dir()).unwrap().count(), 0);
}

#[test]
fn people_name_objects_in_many_ways() {
    let test = TestStore::new();
    let path = test.add_text("dep", "dep\n", &[]).path;
    let physical = test.physical(&path).display().to_string();
    for text in [path.to_string(), path.base_name(), path.digest().to_string(), "8k".to_owned(), physical] {
        assert_eq!(test.resolve(&text).unwrap(), path, "{text}");
    }
    for text in ["", "9k", "dep", "/kiln/store", "/kiln/store/", "8k90pkn2fan0wl15k96v2md0n20vgdrp-other", "%"] {
        assert!(matches!(test.resolve(text), Err(StoreError::NoMatch { .. })), "{text}");
    }
    let mut number = 0;
    let error = loop {
        number += 1;
        test.add_text("more", &number.to_string(), &[]);
        match test.resolve("8") {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.starts_with("`8` could be any of /kiln/store/8"), "{error}");
}
