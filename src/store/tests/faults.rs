//! What is left after a crash or on a full disk.

use std::process::Command;

use super::*;

/// Runs in a process of its own, which `KILN_TEST_FAILPOINT` ends somewhere on the way; does nothing in a usual run.
#[test]
fn work_of_a_doomed_process() {
    let Ok(dir) = std::env::var("KILN_TEST_STORE") else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let source = Path::new(&dir).with_file_name("doomed-source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("file"), "doomed").unwrap();
    store.add_tree(&name("doomed"), &source, &References::None).unwrap();
    drop(store);
    Store::open(Path::new(&dir)).unwrap().gc(GcOptions::default()).unwrap();
}

fn run_until(test: &TestStore, failpoint: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::faults::work_of_a_doomed_process", "--nocapture"])
        .env("KILN_TEST_STORE", test.store.dir())
        .env("KILN_TEST_FAILPOINT", failpoint)
        .output()
        .unwrap();
    assert!(!status.status.success(), "the process was to die at {failpoint}");
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_store() {
    for failpoint in [
        "before-rename",
        "after-rename",
        "before-sync",
        "before-transaction",
        "inside-transaction",
        "after-transaction",
        "gc-after-commit",
        "gc-before-deletion",
    ] {
        let test = TestStore::new();
        let kept = test.add_text("kept", "kept", &[]).path;
        test.again().pin("kept", &kept).unwrap();
        run_until(&test, failpoint);
        let report = test.verify(&VerifyOptions { contents: true, paths: None }).unwrap();
        assert_eq!(report.problems, [], "{failpoint}");
        let source = test.outside("doomed-source");
        let info = test.again().add_tree(&name("doomed"), &source, &References::None).unwrap();
        assert!(test.is_valid(&info.path).unwrap());
        assert_eq!(fs::read_to_string(test.physical(&info.path).join("file")).unwrap(), "doomed");
        test.gc(GcOptions::default()).unwrap();
        assert!(test.is_valid(&kept).unwrap());
        for (dir, left) in [("objects", 1), ("builds", 0), ("trash", 0), ("roots/run", 0)] {
            assert_eq!(fs::read_dir(test.dir().join(dir)).unwrap().count(), left, "{dir} after {failpoint}");
        }
    }
}

/// A full disk is a small tmpfs, which only root can mount.
#[test]
fn a_full_disk_is_an_error_and_the_store_goes_on_when_there_is_room() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let dir = tempfile::tempdir().unwrap();
    if mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=4m")).is_err() {
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let store = Store::open(dir.path()).unwrap();
        let small = store.add_flat(&name("small"), &mut &b"small"[..], None).unwrap();
        let large = vec![1; 8 << 20];
        let error = store.add_flat(&name("large"), &mut large.as_slice(), None).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("large"), &large).unwrap();
        let error = store.add_tree(&name("large"), source.path(), &References::None).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert!(store.is_valid(&small.path).unwrap());
        store.reaper.finish();
        assert_eq!(fs::read_dir(dir.path().join("builds")).unwrap().count(), 0);
        // Down to the last block: now the database has no room either.
        let mut filler = fs::File::create(dir.path().join("filler")).unwrap();
        let _ = std::io::copy(&mut large.as_slice(), &mut filler);
        drop(filler);
        let errors: Vec<_> =
            (0..200).filter_map(|number: u32| store.add_flat(&name("tiny"), &mut &number.to_le_bytes()[..], None).err()).collect();
        assert!(!errors.is_empty() && errors.iter().all(StoreError::is_disk_full), "{errors:?}");
        fs::remove_file(dir.path().join("filler")).unwrap();
        store.add_flat(&name("tiny"), &mut &b"fits"[..], None).unwrap();
        assert_eq!(store.verify(&VerifyOptions { contents: true, paths: None }).unwrap().problems, []);
    });
    umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
    result.unwrap();
}
