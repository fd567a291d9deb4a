//! Deletes scratch directories on threads of its own. Deleting waits for the disk, on some file systems for milliseconds a file; a
//! build must not wait with it.
//!
//! Threads come when there is something to delete and go when there is nothing left. Dropping a [`Reaper`] waits for all of them.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::remove::remove_tree;

/// Threads that delete at once. More than processors, because they wait.
pub(super) const DELETERS: usize = 16;

/// Directories that may wait; who brings more deletes them himself.
const BACKLOG: usize = 256;

/// A directory to be deleted, and the lock that marks it as in use until then.
pub(super) struct Doomed {
    pub(super) path: PathBuf,
    pub(super) lock: Option<File>,
}

impl Doomed {
    fn delete(self) {
        // What stays is unlocked from now on, so the collector removes it.
        let _ = remove_tree(&self.path);
        drop(self.lock);
    }
}

/// Where scratch directories go.
#[derive(Clone, Default)]
pub(super) struct Reaper {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Doomed>,
    threads: usize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes until nothing waits.
    fn run(&self) {
        loop {
            let mut state = self.state();
            match state.waiting.pop_front() {
                Some(doomed) => {
                    drop(state);
                    doomed.delete();
                }
                None => {
                    state.threads -= 1;
                    self.idle.notify_all();
                    return;
                }
            }
        }
    }
}

impl Reaper {
    /// Takes a directory to be deleted some time soon.
    pub(super) fn take(&self, doomed: Doomed) {
        // What was made in it has been moved into the store: not worth a thread. A pull leaves a thousand of these behind.
        if std::fs::remove_dir(&doomed.path).is_ok() {
            return;
        }
        let mut state = self.shared.state();
        if state.waiting.len() >= BACKLOG {
            drop(state);
            return doomed.delete();
        }
        state.waiting.push_back(doomed);
        if state.threads < DELETERS {
            state.threads += 1;
            drop(state);
            let shared = self.shared.clone();
            if thread::Builder::new().name("kiln-reaper".into()).spawn(move || shared.run()).is_err() {
                self.shared.run();
            }
        }
    }

    /// Waits until everything taken so far is deleted.
    pub(super) fn finish(&self) {
        let mut state = self.shared.state();
        while state.threads > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Reaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reaper").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_taken_is_deleted_by_the_time_it_finishes() {
        let dir = tempfile::tempdir().unwrap();
        let reaper = Reaper::default();
        for number in 0..BACKLOG * 2 {
            let path = dir.path().join(number.to_string());
            std::fs::create_dir_all(path.join("deep/er")).unwrap();
            reaper.take(Doomed { path, lock: None });
        }
        reaper.finish();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
