//! Advisory locks between processes (`flock(2)`). The kernel drops them when their holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{IoResultExt, PathError};

/// Who else may hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others that share it.
    Shared,
    /// Nobody.
    Exclusive,
}

/// How long a wait needs no announcement.
const UNNOTICED: Duration = Duration::from_millis(500);

/// How often a lock is tried until then.
const AGAIN: Duration = Duration::from_millis(5);

type Announce = Box<dyn Fn(&Path) + Send + Sync>;

/// What is told of the locks that this process waits for.
static WAITING: OnceLock<Announce> = OnceLock::new();

/// Has `announce` called with the path of each lock that [`FileLock::take`] waits for longer than a moment. Only the first call counts.
pub fn announce_waiting(announce: impl Fn(&Path) + Send + Sync + 'static) {
    let _ = WAITING.set(Box::new(announce));
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A process that another thread is just starting has a copy of the descriptor, and with it the lock, until it executes its program.
        let _ = self.file.unlock();
    }
}

impl FileLock {
    fn open(path: &Path) -> Result<File, PathError> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).at("open the lock", path)
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn take(path: &Path, kind: LockKind) -> Result<Self, PathError> {
        if let Some(lock) = Self::take_soon(path, kind)? {
            return Ok(lock);
        }
        if let Some(announce) = WAITING.get() {
            announce(path);
        }
        let file = Self::open(path)?;
        let taken = match kind {
            LockKind::Shared => file.lock_shared(),
            LockKind::Exclusive => file.lock(),
        };
        taken.at("lock", path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Takes the lock if it gets free before anybody would wonder.
    fn take_soon(path: &Path, kind: LockKind) -> Result<Option<Self>, PathError> {
        let start = Instant::now();
        loop {
            let taken = Self::try_take(path, kind)?;
            if taken.is_some() || start.elapsed() > UNNOTICED {
                return Ok(taken);
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Takes the lock if it is free now; `None` if somebody holds it.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn try_take(path: &Path, kind: LockKind) -> Result<Option<Self>, PathError> {
        let file = Self::open(path)?;
        let taken = match kind {
            LockKind::Shared => file.try_lock_shared(),
            LockKind::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(PathError::new("lock", path, error)),
        }
    }

    /// The lock file, for what a holder writes into it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
