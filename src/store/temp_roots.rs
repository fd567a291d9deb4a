//! Temporary roots: what a living process needs, the collector keeps.
//!
//! A root is taken under the shared lock `locks/gc`; the collector reads the roots and decides under the exclusive one. So a root is
//! either seen, or taken after the collector has finished; whether the object is still there then, is asked afterwards.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{Store, StoreError, unique_name};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};
use crate::model::{StoreDigest, StorePath};

/// A set of temporary roots, let go when dropped or when the process dies.
#[derive(Debug)]
pub struct TempRoots {
    path: PathBuf,
    lock: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    taken: HashSet<StoreDigest>,
}

impl TempRoots {
    /// Takes more roots. They need not be valid yet.
    ///
    /// # Errors
    /// If the file of roots cannot be written.
    pub fn add<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = paths.into_iter().filter(|path| !state.taken.contains(path.digest())).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let lines: String = fresh.iter().map(|path| path.base_name() + "\n").collect();
        let lock = FileLock::take(&self.lock, LockKind::Shared)?;
        let before = state.file.metadata().at("look at", &self.path)?.len();
        state.file.write_all(lines.as_bytes()).at("write", &self.path).inspect_err(|_| {
            // Half a line would spoil the next. Should it stay, the collector stops at it.
            let _ = state.file.set_len(before);
        })?;
        drop(lock);
        state.taken.extend(fresh.into_iter().map(|path| *path.digest()));
        Ok(())
    }
}

impl Drop for TempRoots {
    fn drop(&mut self) {
        // If it stays, the next collector finds its lock free and removes it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// The lock between takers of temporary roots (shared) and the collector (exclusive).
    pub(super) fn gc_lock_path(&self) -> PathBuf {
        self.dir.join("locks/gc")
    }

    /// A new set of temporary roots with its own life.
    ///
    /// # Errors
    /// If its file cannot be made.
    pub fn temp_roots(&self) -> Result<TempRoots, StoreError> {
        let lock = self.gc_lock_path();
        // Between its creation and its locking the file would look like a dead process's.
        let _shared = FileLock::take(&lock, LockKind::Shared)?;
        loop {
            let path = self.dir.join("roots/run").join(unique_name());
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.lock().at("lock", &path)?;
                    return Ok(TempRoots { path, lock, state: Mutex::new(State { file, taken: HashSet::new() }) });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(PathError::new("create", path, error).into()),
            }
        }
    }

    /// The roots that last until the store is closed.
    fn held(&self) -> Result<&TempRoots, StoreError> {
        if let Some(held) = self.held.get() {
            return Ok(held);
        }
        let made = self.temp_roots()?;
        // Another thread may have been faster; then this set, still empty, is dropped.
        Ok(self.held.get_or_init(|| made))
    }

    /// Keeps `paths` from the collector until this store is closed, and says which of them are valid. Those stay valid, and so does
    /// their closure.
    ///
    /// # Errors
    /// If the roots cannot be written, or the database cannot be read.
    pub fn hold<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<HashSet<StorePath>, StoreError> {
        let paths: Vec<_> = paths.into_iter().collect();
        self.held()?.add(paths.iter().copied())?;
        self.valid_among(paths)
    }

    /// The roots of all living processes, this one included. Files of dead ones are removed. The caller has the exclusive lock.
    pub(super) fn read_temp_roots(&self) -> Result<HashSet<StoreDigest>, StoreError> {
        let dir = self.dir.join("roots/run");
        let mut roots = HashSet::new();
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let path = entry.at("list", &dir)?.path();
            let file = match File::open(&path) {
                Ok(file) => file,
                // Dropped just now: its owner needs nothing any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PathError::new("open", path, error).into()),
            };
            match file.try_lock() {
                Ok(()) => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PathError::new("remove", path, error).into()),
                    _ => {}
                },
                Err(TryLockError::WouldBlock) => {
                    let text = io::read_to_string(file).at("read", &path)?;
                    for line in text.lines() {
                        // What its owner holds is then unknown, so nothing may go.
                        let torn = |error| StoreError::BadRoots { file: path.clone(), why: format!("{error}") };
                        roots.insert(*StorePath::from_base_name(line).map_err(torn)?.digest());
                    }
                }
                Err(TryLockError::Error(error)) => return Err(PathError::new("lock", path, error).into()),
            }
        }
        Ok(roots)
    }
}
