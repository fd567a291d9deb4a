//! What is written reaches the disk before the database calls it valid.
//!
//! No test can take the power away. These look at the order in which a thread passes the points that matter: files come into their place, the
//! file system is synced, the transaction begins. That `syncfs` keeps its promise is the kernel's affair.

use super::*;

/// What a piece of work passes on its way.
fn points(work: impl FnOnce()) -> Vec<&'static str> {
    PASSED.take();
    work();
    PASSED.take()
}

/// Fails unless everything that came into place was synced before the transaction that followed.
#[track_caller]
fn assert_durable(points: &[&str], placed: &str) {
    let position =
        |wanted: &str| points.iter().rposition(|point| *point == wanted).unwrap_or_else(|| panic!("no `{wanted}` in {points:?}"));
    let (placed, synced, transaction) = (position(placed), position("synced"), position("before-transaction"));
    assert!(placed < synced && synced < transaction, "{points:?}");
}

fn write_text(path: &Path, text: &str) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

#[test]
fn a_new_object_is_synced_before_it_is_valid() {
    let test = TestStore::new();
    assert_durable(&points(|| drop(test.add_text("x", "text", &[]))), "after-rename");
}

#[test]
fn an_object_that_was_deleted_by_hand_is_synced_when_it_comes_back() {
    let test = TestStore::new();
    let path = test.add_text("x", "text", &[]).path;
    fs::remove_file(test.physical(&path)).unwrap();
    assert_durable(&points(|| drop(test.add_text("x", "text", &[]))), "after-rename");
    assert_eq!(fs::read_to_string(test.physical(&path)).unwrap(), "text");
}

#[test]
fn the_right_bytes_are_synced_before_they_replace_wrong_ones_and_the_exchange_after() {
    let test = TestStore::new();
    let path = test.add_text("x", "text", &[]).path;
    write_text(&test.physical(&path), "torn");
    let passed = points(|| drop(test.add_text("x", "text", &[])));
    assert_eq!(fs::read_to_string(test.physical(&path)).unwrap(), "text");
    assert_durable(&passed, "after-exchange");
    assert!(passed.starts_with(&["synced", "before-exchange"]), "{passed:?}");
}

#[test]
fn what_is_whole_is_not_synced_again() {
    let test = TestStore::new();
    test.add_text("x", "text", &[]);
    let passed = points(|| drop(test.add_text("x", "text", &[])));
    assert!(!passed.contains(&"synced"), "{passed:?}");
}
