//! Room that is set aside for the collector: forgetting objects is a transaction, which needs some on a disk that has none left.
//!
//! A file of the size that a few objects' rows take in the write-ahead log. The collector gives it back when it finds no room otherwise, and
//! takes it again at its end. File systems that cannot set room aside (`fallocate(2)`) do without.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::Store;

/// Objects that are forgotten at once when there is only this room.
pub(super) const PORTION: u32 = 16;

/// Bytes set aside: a page for each of some thirty entries in tables and indexes, for each object of a portion.
const SIZE: u64 = 2 << 20;

/// Bytes and files that are always left on a disk that is not full, if it has that many; else a fiftieth of what it has.
const ROOM: (u64, u64) = (64 << 20, 1000);

impl Store {
    /// Whether hardly anything more can be written. A program that finds the disk full may have made a little room before it ended.
    pub fn is_full(&self) -> bool {
        let Ok(disk) = rustix::fs::statvfs(&self.dir) else { return false };
        let (bytes, files) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_favail);
        let all = disk.f_blocks.saturating_mul(disk.f_frsize);
        // Some file systems do not count files.
        bytes < ROOM.0.min(all / 50) || files < ROOM.1.min(disk.f_files / 50)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

/// Whether the disk has less room than this. Then not even the database may be opened: SQLite maps an index of its log into memory, and where
/// blocks are smaller than pages (ext4 of less than 512 MiB), touching it without room ends the process.
pub(super) fn is_short(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < SIZE)
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
