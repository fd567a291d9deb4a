//! The part of a collection that needs neither the database nor room on the disk: what dead processes and failed builds left behind.
//!
//! Deleting is done in `trash/`, where it holds nobody up. Where not even a directory can be made there, things are deleted where they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use serde::{Deserialize, Serialize};

use super::place::move_away;
use super::reaper::DELETERS;
use super::remove::remove_tree;
use super::scratch::dead_scratch;
use super::{StoreError, failpoint, unique_name};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};

/// Pieces of work among which the deletion of the trash is divided, at least.
const SHARES: usize = 64;

/// Something that stays because nobody can say whether it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// What it is about.
    pub path: PathBuf,
    /// What is wrong with it; reads on after the path.
    pub why: String,
}

/// What was swept away, or would be.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Scratch directories.
    pub(super) scratch: u64,
    /// Those that stay although no living process is known to use them.
    pub(super) doubts: Vec<Doubt>,
}

/// Removes the trash and the scratch directories that nobody uses from the store at `dir`.
pub(super) fn sweep(dir: &Path, dry_run: bool) -> Result<Swept, StoreError> {
    let lock = FileLock::take(&dir.join("locks/gc"), LockKind::Exclusive)?;
    let (dead, doubts) = dead_scratch(dir)?;
    let mut swept = Swept { scratch: dead.len() as u64, doubts };
    if dry_run {
        return Ok(swept);
    }
    let trash = Trash::new(dir)?;
    for (index, path) in dead.iter().enumerate() {
        if let Err(error) = trash.take(path, format!("scratch-{index}")) {
            // Another user's, say. What else there is must not stay for its sake.
            swept.scratch -= 1;
            swept.doubts.push(Doubt { path: path.clone(), why: format!("cannot be removed: {}", error.source) });
        }
    }
    swept.doubts.extend(trash.empty(lock)?);
    Ok(swept)
}

/// Where the collector puts what it removes.
pub(super) struct Trash {
    /// All of `trash/`.
    all: PathBuf,
    /// This collector's directory there; none if the disk has no room for it.
    own: Option<PathBuf>,
}

impl Trash {
    /// The caller has the exclusive lock.
    pub(super) fn new(dir: &Path) -> Result<Self, PathError> {
        let all = dir.join("trash");
        let own = all.join(unique_name());
        // A process of the same number may have died here.
        remove_tree(&own)?;
        match fs::create_dir(&own).at("create", &own) {
            Ok(()) => Ok(Self { all, own: Some(own) }),
            Err(error) if error.is_disk_full() => Ok(Self { all, own: None }),
            Err(error) => Err(error),
        }
    }

    /// Takes something out of the store; no error if it is gone.
    pub(super) fn take(&self, path: &Path, name: impl AsRef<Path>) -> Result<(), PathError> {
        let moved = match &self.own {
            Some(own) => move_away(path, &own.join(name)),
            None => return remove_tree(path),
        };
        match moved {
            // Its own process has removed it meanwhile.
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            // Not even the directory's entry fits.
            Err(error) if error.is_disk_full() => remove_tree(path),
            moved => moved,
        }
    }

    /// Deletes all trash, what an earlier collector left included; lets go of the lock as soon as it can. Gives something that stays, if anything
    /// does: what a builder of another user left, say.
    pub(super) fn empty(self, lock: FileLock) -> Result<Option<Doubt>, PathError> {
        // Whoever else moves something here has the lock, so everything that is there now is complete.
        let runs = list(&self.all)?;
        drop(lock);
        failpoint("gc-before-deletion");
        let stays = |error: PathError| Doubt { path: error.path, why: format!("cannot be removed: {}", error.source) };
        Ok(empty_trash(&runs).err().map(stays))
    }
}

/// Deletes these directories of `trash/`.
fn empty_trash(runs: &[PathBuf]) -> Result<(), PathError> {
    let mut entries = Vec::new();
    for run in runs {
        entries.extend(list(run)?);
    }
    // A few large trees are shared out as well.
    while entries.len() < SHARES && entries.iter().any(|path| is_dir(path)) {
        let mut below = Vec::new();
        for path in entries.into_iter().filter(|path| is_dir(path)) {
            below.extend(list(&path)?);
        }
        entries = below;
    }
    if entries.is_empty() {
        return runs.iter().try_for_each(|run| remove_tree(run));
    }
    let entries = Mutex::new(entries);
    let next = || entries.lock().ok().and_then(|mut entries| entries.pop());
    let work = || {
        let mut ended = Ok::<_, PathError>(());
        while let Some(path) = next() {
            // One that stays is no reason for the others to stay.
            ended = ended.and(remove_tree(&path));
        }
        ended
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..DELETERS).map(|_| scope.spawn(work)).collect();
        let ended = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        workers.into_iter().map(ended).fold(Ok(()), Result::and)
    })
    .and(runs.iter().map(|run| remove_tree(run)).fold(Ok(()), Result::and))
}

/// Whether there is a directory, and no link to one.
fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// The entries of a directory in the trash, which becomes writable; none if it is no directory, or cannot be read.
fn list(dir: &Path) -> Result<Vec<PathBuf>, PathError> {
    if !is_dir(dir) || fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).is_err() {
        return Ok(Vec::new());
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry.at("list", dir)?.path())).collect()
}
