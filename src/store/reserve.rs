//! Room that is set aside for the collector: forgetting objects is a transaction, which needs some on a disk that has none left.
//!
//! A file of the size that a few objects' rows take in the write-ahead log. The collector gives it back when it finds no room otherwise, and
//! takes it again at its end. File systems that cannot set room aside (`fallocate(2)`) do without.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// Objects that are forgotten at once when there is only this room.
pub(super) const PORTION: u32 = 16;

/// Bytes set aside: a page for each of some thirty entries in tables and indexes, for each object of a portion.
const SIZE: u64 = 2 << 20;

fn file(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

/// Sets the room aside, if it is not yet, and if there is any.
pub(super) fn set_aside(dir: &Path) {
    let path = file(dir);
    if path.metadata().is_ok_and(|found| found.len() >= SIZE) {
        return;
    }
    let made = File::create(&path).is_ok_and(|file| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_ok());
    if !made {
        // Half of it would look like all of it.
        give_back(dir);
    }
}

/// Gives the room back to the disk.
pub(super) fn give_back(dir: &Path) {
    // If that fails there was no such room, and the collector says what it lacks.
    let _ = fs::remove_file(file(dir));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_set_aside_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        set_aside(dir.path());
        assert!(file(dir.path()).metadata().is_ok_and(|found| found.len() == SIZE));
        set_aside(dir.path());
        give_back(dir.path());
        assert!(!file(dir.path()).exists());
    }
}
