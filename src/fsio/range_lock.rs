//! Many locks in one file: a lock on one byte of it stands for one key. Used where keys come and go by the thousand, since a file for each
//! would have to be removed again, which no lock protocol does without a race.
//!
//! These are open-file-description locks (`fcntl(2)`, `F_OFD_SETLK`): each holder opens the file itself, and the kernel drops the lock when the
//! holder dies.

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::{IoResultExt, PathError};

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct RangeLock {
    file: File,
    key: u64,
}

/// The byte that stands for a key.
fn range(kind: libc::c_int, key: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (key >> 2) as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

impl RangeLock {
    /// Takes the lock for `key` in the file at `path` if it is free now; `None` if somebody holds it. Two keys may collide, with a chance of 2⁻⁶².
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub fn try_take(path: &Path, key: u64) -> Result<Option<Self>, PathError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).at("open the lock", path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&range(libc::F_WRLCK, key))) {
            Ok(_) => Ok(Some(Self { file, key })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(PathError::new("lock", path, error)),
        }
    }
}

impl Drop for RangeLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is just starting has a copy of the descriptor until it executes its
        // program. If this fails, the lock goes with the last copy.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&range(libc::F_UNLCK, self.key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_excludes_itself_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks");
        let first = RangeLock::try_take(&path, u64::MAX).unwrap().unwrap();
        assert!(RangeLock::try_take(&path, u64::MAX).unwrap().is_none());
        assert!(RangeLock::try_take(&path, 4).unwrap().is_some());
        drop(first);
        assert!(RangeLock::try_take(&path, u64::MAX).unwrap().is_some());
    }
}
