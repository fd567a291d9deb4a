//! The cache's directory: entries opened beneath it and nowhere else, files written whole or not at all.
//!
//! The kernel itself keeps every look-up beneath the directory (`openat2` with `RESOLVE_BENEATH`): a link that leads out of it is as good as
//! nothing there.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::cache::backend::Existing;
use crate::cache::directory::PARTIAL;
use crate::cache::entry::EntryName;
use crate::fsio::sync_dir;

use super::index::Stamp;

/// How old the note of an entry's last use may be: it is renewed once a day at most.
const NOTE_AGE: i64 = 24 * 60 * 60;

/// The cache's directory.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    root: OwnedFd,
}

/// An entry that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    accessed: i64,
}

impl Files {
    /// The directory, which comes into being if it is not there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let root = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let files = Self { dir: dir.canonicalize()?, root };
        // Said now rather than with every request: this kernel may not know how to stay beneath a directory.
        files.beneath(".", OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(files)
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn beneath(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // Something was renamed meanwhile, so the kernel could not be sure.
                Err(Errno::AGAIN) => {}
                opened => return Ok(opened?),
            }
        }
    }

    /// Opens an entry; nothing if there is no file of that name.
    pub(super) fn find(&self, name: &EntryName) -> io::Result<Option<Found>> {
        // Not blocking: a named pipe would wait for a writer.
        let Some(file) = present(self.beneath(name.as_str(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY))? else { return Ok(None) };
        let status = rustix::fs::fstat(&file)?;
        if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
            return Ok(None);
        }
        let (seconds, nanoseconds) = (u64::try_from(status.st_mtime).unwrap_or(0), u32::try_from(status.st_mtime_nsec).unwrap_or(0));
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        Ok(Some(Found { file: file.into(), size: u64::try_from(status.st_size).unwrap_or(0), modified, accessed: status.st_atime }))
    }

    /// The length of an entry; nothing if there is no file of that name.
    pub(super) fn size(&self, name: &EntryName) -> io::Result<Option<u64>> {
        Ok(self.find(name)?.map(|found| found.size))
    }

    /// Reads a small entry whole; nothing if it is not there or longer than `limit`.
    pub(super) fn read(&self, name: &EntryName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(found) = self.find(name)?.filter(|found| found.size <= limit) else { return Ok(None) };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(found.file, limit), &mut bytes)?;
        Ok(Some(bytes))
    }

    /// A file beside where the entry will be, under a name that no entry has.
    pub(super) fn begin(&self, name: &EntryName) -> io::Result<NamedTempFile> {
        let parent = parent(name);
        fs::create_dir_all(self.dir.join(parent))?;
        // A link to elsewhere in the way is no place to write to.
        self.beneath(if parent.is_empty() { "." } else { parent }, OFlags::PATH | OFlags::DIRECTORY)?;
        tempfile::Builder::new().prefix(PARTIAL).tempfile_in(self.dir.join(parent))
    }

    /// Makes a begun file the entry, durably. Gives whether it is new.
    pub(super) fn finish(&self, file: NamedTempFile, name: &EntryName, existing: Existing) -> io::Result<bool> {
        // Made for its owner alone; a web server is somebody else.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        let path = self.dir.join(name.as_str());
        let is_new = match existing {
            Existing::Keep => match file.persist_noclobber(&path) {
                Ok(_) => true,
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                Err(error) => return Err(error.error),
            },
            Existing::Replace => {
                let was_there = path.symlink_metadata().is_ok();
                file.persist(&path).map_err(|error| error.error)?;
                !was_there
            }
        };
        sync_dir(path.parent().unwrap_or(&self.dir)).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(is_new)
    }

    /// Removes an entry. Gives whether it was there.
    pub(super) fn remove(&self, name: &EntryName) -> io::Result<bool> {
        let (parent, last) = (parent(name), name.as_str().rsplit('/').next().unwrap_or_default());
        let Some(dir) = present(self.beneath(if parent.is_empty() { "." } else { parent }, OFlags::PATH | OFlags::DIRECTORY))? else {
            return Ok(false);
        };
        Ok(present(rustix::fs::unlinkat(&dir, last, AtFlags::empty()).map_err(io::Error::from))?.is_some())
    }
}

impl Found {
    /// What tells this version from others.
    pub(super) fn stamp(&self) -> Stamp {
        stamp(self.modified, self.size)
    }

    /// Dates the entry anew: somebody wrote it again, so it counts as used now.
    pub(super) fn renew(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = rustix::fs::futimens(&self.file, &Timestamps { last_access: now, last_modification: now });
    }

    /// Notes that somebody wanted the entry: the collector removes first what nobody has asked for the longest. `sendfile` alone would not
    /// do that everywhere. A cache that may not be written has no such notes.
    pub(super) fn note_use(&self, now: i64) {
        if now - self.accessed > NOTE_AGE {
            let at = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
            let _ = rustix::fs::futimens(&self.file, &Timestamps { last_access: at(UTIME_NOW), last_modification: at(UTIME_OMIT) });
        }
    }
}

/// What tells a version of a file from others.
pub(super) fn stamp(modified: SystemTime, size: u64) -> Stamp {
    (modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos(), size)
}

fn parent(name: &EntryName) -> &str {
    name.as_str().rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// What is there; nothing if it is not, or lies behind a link out of the cache.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) => match Errno::from_io_error(&error) {
            // What EXDEV and ELOOP mean to openat2; ENXIO is a socket's answer, EISDIR a directory's to unlink.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NXIO | Errno::NAMETOOLONG | Errno::ISDIR) => Ok(None),
            _ => Err(error),
        },
    }
}
