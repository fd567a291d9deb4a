//! Scratch directories: where trees are made before they are objects.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::reaper::{Doomed, Reaper};
use super::{Store, StoreError, unique_name};
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
            match DirBuilder::new().mode(0o755).create(&path) {
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
        Ok(kept)
    }

    /// Where the kept scratch of a failed build is, if it is still there.
    pub fn kept_failed(&self, label: &str) -> Option<PathBuf> {
        let path = self.dir.join("failed").join(label);
        path.is_dir().then_some(path)
    }

    /// The scratch directories that nobody uses: those of dead processes, and those that were kept. The caller has the exclusive lock.
    pub(super) fn dead_scratch(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut dead = Vec::new();
        for name in ["builds", "failed"] {
            let dir = self.dir.join(name);
            for entry in fs::read_dir(&dir).at("list", &dir)? {
                let path = entry.at("list", &dir)?.path();
                if !in_use(&path)? {
                    dead.push(path);
                }
            }
        }
        Ok(dead)
    }
}

/// Whether somebody holds the lock of a scratch directory.
fn in_use(path: &Path) -> Result<bool, PathError> {
    match File::open(path).map(|dir| dir.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => Ok(true),
        Ok(Err(TryLockError::Error(error))) => Err(PathError::new("lock", path, error)),
        // What cannot be opened was made unreadable by a builder, or is gone.
        Ok(Ok(())) | Err(_) => Ok(false),
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
        assert!(store.dead_scratch().unwrap().is_empty());
        let gone = one.path().to_owned();
        drop(one);
        store.reaper.finish();
        assert!(!gone.exists());
        fs::write(two.path().join("file"), "second").unwrap();
        let kept = store.keep_failed(two, "hash").unwrap();
        assert_eq!(store.kept_failed("hash"), Some(kept.clone()));
        let three = store.new_scratch().unwrap();
        store.keep_failed(three, "hash").unwrap();
        store.reaper.finish();
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 0);
        assert_eq!(store.dead_scratch().unwrap(), [kept]);
    }
}
