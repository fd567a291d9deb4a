//! Whatever makes the right bytes anew puts them in the place of wrong or missing ones.

use std::io::Read as _;

use super::*;
use crate::archive::dump;

/// A store with a tree that was damaged by hand; and the tree as it should be.
fn damaged() -> (TestStore, PathInfo, PathBuf) {
    let test = TestStore::new();
    let source = test.outside("source");
    make_tree(&source);
    let info = test.again().add_tree(&name("x"), &source, &References::None).unwrap();
    let file = test.physical(&info.path).join("text");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "torn\n").unwrap();
    assert_eq!(problems(&test), 1);
    (test, info, source)
}

fn problems(store: &Store) -> usize {
    store.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems.len()
}

#[test]
fn adding_the_right_tree_mends_a_damaged_one() {
    let (test, info, source) = damaged();
    let staged = test.stage_tree(&name("x"), &source, &References::None).unwrap();
    assert_eq!(staged.found, Found::Damaged);
    test.register(&Registration { objects: vec![staged], ..Registration::default() }).unwrap();
    assert_eq!(problems(&test), 0);
    assert_eq!(mode(&test.physical(&info.path)), 0o555);
    test.reaper.finish();
    assert_eq!(fs::read_dir(test.dir().join("builds")).unwrap().count(), 0);
}

#[test]
fn a_nar_mends_a_damaged_tree_and_a_missing_one() {
    let (test, info, source) = damaged();
    let mut nar = Vec::new();
    dump(&source, &mut nar).unwrap();
    assert_eq!(test.stage_nar(&mut nar.as_slice(), &info).unwrap().found, Found::Damaged);
    assert_eq!(problems(&test), 0);
    remove::remove_tree(&test.physical(&info.path)).unwrap();
    assert_eq!(test.stage_nar(&mut nar.as_slice(), &info).unwrap().found, Found::Missing);
    assert_eq!(problems(&test), 0);
    assert_eq!(test.stage_nar(&mut nar.as_slice(), &info).unwrap().found, Found::Whole);
}

#[test]
fn a_fetched_file_is_mended_by_the_same_bytes() {
    let test = TestStore::new();
    let info = test.add_flat(&name("file"), &mut &b"right"[..], None).unwrap();
    let place = test.physical(&info.path);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&place, "wrong").unwrap();
    test.add_flat(&name("file"), &mut &b"right"[..], None).unwrap();
    assert_eq!((problems(&test), mode(&place)), (0, 0o444));
}

#[test]
fn whoever_reads_a_damaged_object_goes_on_reading_it_while_it_is_replaced() {
    let (test, info, source) = damaged();
    let mut reader = fs::File::open(test.physical(&info.path).join("text")).unwrap();
    test.add_tree(&name("x"), &source, &References::None).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "torn\n");
    assert_eq!(fs::read_to_string(test.physical(&info.path).join("text")).unwrap(), "text\n");
}
