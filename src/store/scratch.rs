//! Scratch directories: where trees are made before they are objects.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::reaper::{Doomed, Reaper};
use super::remove::remove_tree;
use super::{Doubt, Store, StoreError, unique_name};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};

/// A directory of this process under `builds/`, removed soon after it is dropped. Its maker's lock tells the collector that it is in use.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    lock: Option<File>,
    reaper: Reaper,
}

impl ScratchDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes an entry of it now, as far as that is possible; the rest goes with the directory.
    pub fn remove(&self, entry: &str) {
        let _ = remove_tree(&self.path.join(entry));
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        self.reaper.take(Doomed { path: std::mem::take(&mut self.path), lock: self.lock.take() });
    }
}

impl Store {
    /// Makes an empty scratch directory.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new_scratch(&self) -> Result<ScratchDir, StoreError> {
        let _shared = FileLock::take(&self.gc_lock_path(), LockKind::Shared)?;
        loop {
            let path = self.dir.join("builds").join(unique_name());
            // Builders' own directories in it are open to all, `/tmp` for writing, too; nobody gets there.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = File::open(&path).at("open", &path)?;
                    lock.lock().at("lock", &path)?;
                    return Ok(ScratchDir { path, lock: Some(lock), reaper: self.reaper.clone() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(PathError::new("create", path, error).into()),
            }
        }
    }

    /// Keeps a scratch directory, as that of a failed build, under `failed/<label>` until the collector runs; it replaces an older one.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn keep_failed(&self, scratch: ScratchDir, label: &str) -> Result<PathBuf, StoreError> {
        let kept = self.dir.join("failed").join(label);
        let older = self.new_scratch()?;
        let _shared = FileLock::take(&self.gc_lock_path(), LockKind::Shared)?;
        match fs::rename(&kept, older.path().join("older")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PathError::new("move", kept, error).into()),
            _ => {}
        }
        fs::rename(scratch.path(), &kept).at("move", scratch.path())?;
        if self.owner.0 != 0 && rustix::process::geteuid().is_root() {
            // What stays another's is named by the collector.
            let _ = scratch.lock.as_ref().map(|dir| give_tree(dir.as_fd(), self.owner, 0));
        }
        Ok(kept)
    }

    /// The kept scratch of a failed build, if it is still there.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn kept_failed(&self, label: &str) -> Result<Option<KeptScratch>, StoreError> {
        let _shared = FileLock::take(&self.gc_lock_path(), LockKind::Shared)?;
        let path = self.dir.join("failed").join(label);
        match open_dir(&path) {
            Ok(lock) => {
                lock.lock_shared().at("lock", &path)?;
                let lent = self.owner.0 != 0 && rustix::process::geteuid().is_root() && fchown(&lock, Some(0), None).is_ok();
                Ok(Some(KeptScratch { path, lock, owner: lent.then_some(self.owner) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PathError::new("open", path, error).into()),
        }
    }
}

/// The scratch directory of a failed build; no collector takes it while somebody looks at it.
#[derive(Debug)]
pub struct KeptScratch {
    path: PathBuf,
    lock: File,
    /// Who gets it back. Root's sandbox enters it as root without root's privileges, for which it must be root's.
    owner: Option<(u32, u32)>,
}

impl Drop for KeptScratch {
    fn drop(&mut self) {
        if let Some(owner) = self.owner {
            let _ = give_tree(self.lock.as_fd(), owner, 0);
        }
    }
}

impl KeptScratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Directories that are held open at once; what lies deeper stays another's, and the collector names it.
const DEPTH: usize = 64;

/// Gives a tree to the store's owner. A builder of root's is another user than that, who must be able to look at what it left, and to collect it.
///
/// By handles, without following links, and the top last: until then the owner, who may not be root's friend, cannot enter it to change what a
/// name stands for.
fn give_tree(dir: BorrowedFd<'_>, owner: (u32, u32), depth: usize) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(child) if depth < DEPTH => give_tree(child.as_fd(), owner, depth + 1)?,
            _ => rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?,
        }
    }
    rustix::fs::fchown(dir, Some(uid), Some(gid))
}

/// The scratch directories that nobody uses: those of dead processes, and those that were kept; and those of which nobody can say. The
/// caller has the exclusive lock.
pub(super) fn dead_scratch(store: &Path) -> Result<(Vec<PathBuf>, Vec<Doubt>), StoreError> {
    let (mut dead, mut doubts) = (Vec::new(), Vec::new());
    for name in ["builds", "failed"] {
        let dir = store.join(name);
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let path = entry.at("list", &dir)?.path();
            match in_use(&path) {
                Ok(true) => {}
                Ok(false) => dead.push(path),
                Err(error) => doubts.push(Doubt { path, why: format!("may be in use: it cannot be opened: {error}") }),
            }
        }
    }
    Ok((dead, doubts))
}

fn open_dir(path: &Path) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whether somebody holds the lock of a scratch directory. What is no directory is nobody's.
fn in_use(path: &Path) -> io::Result<bool> {
    match open_dir(path) {
        Ok(dir) => match dir.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_with_its_value_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (one, two) = (store.new_scratch().unwrap(), store.new_scratch().unwrap());
        assert_ne!(one.path(), two.path());
        assert_eq!(dead_scratch(store.dir()).unwrap(), (vec![], vec![]));
        let gone = one.path().to_owned();
        drop(one);
        store.reaper.finish();
        assert!(!gone.exists());
        fs::write(two.path().join("file"), "second").unwrap();
        let kept = store.keep_failed(two, "hash").unwrap();
        assert_eq!(store.kept_failed("hash").unwrap().unwrap().path(), kept);
        let three = store.new_scratch().unwrap();
        store.keep_failed(three, "hash").unwrap();
        store.reaper.finish();
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 0);
        let looked_at = store.kept_failed("hash").unwrap();
        assert_eq!(dead_scratch(store.dir()).unwrap(), (vec![], vec![]));
        drop(looked_at);
        assert_eq!(dead_scratch(store.dir()).unwrap().0, [kept]);
    }
}
