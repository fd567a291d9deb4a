//! Copying a tree into canonical form: the copy needs no further pass for modes, times and attributes.
//!
//! Source and copy are reached through directory handles, so a link that appears in the source meanwhile leads nowhere. That the copy
//! is whole is the business of who hashes it.
//!
//! One thread walks and makes the directories; what else is in them goes to the workers in small batches. A directory gets its final
//! mode and time from whoever finishes its last batch.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::StoreError;
use super::canonical::{TIMES, canonical_mode};
use crate::archive::MAX_DEPTH;
use crate::fsio::PathError;

/// Files up to this length are copied through a buffer, longer ones by the kernel, which may share their blocks.
const BUFFER: usize = 256 << 10;

/// Entries of one directory that a worker takes at once.
const BATCH: usize = 32;

/// Batches that may wait for a worker. Each may hold two handles open.
const QUEUE: usize = 32;

/// Copies `source`, whatever it is, to `dest`, which must not exist. `size` is about how many bytes there are: small trees are not
/// worth a second thread.
pub(super) fn copy_tree(source: &Path, dest: &Path, owner: (u32, u32), size: u64) -> Result<(), StoreError> {
    let copy = Copy { dest, owner };
    let workers = if size < 4 << 20 { 0 } else { thread::available_parallelism().map_or(1, usize::from).min(8) };
    if workers < 2 {
        let mut buffer = vec![0; BUFFER];
        return copy.top(source, &mut |batch| copy.batch(batch, &mut buffer));
    }
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    thread::scope(|scope| {
        let spawn = |receiver: Arc<Mutex<mpsc::Receiver<Batch>>>| scope.spawn(|| copy.work(receiver));
        let workers: Vec<_> = (0..workers).map(|_| spawn(receiver.clone())).collect();
        // When all workers have failed, nobody receives any more, and the walk ends.
        drop(receiver);
        let mut gone = false;
        let walked = copy.top(source, &mut |batch| {
            gone = sender.send(batch).is_err();
            if gone { Err(PathError::new("copy", source, io::Error::other("all threads that copy have failed")).into()) } else { Ok(()) }
        });
        drop(sender);
        let worked = workers.into_iter().map(|worker| worker.join().unwrap_or(Ok(()))).fold(Ok(()), Result::and);
        if gone { worked.and(walked) } else { walked.and(worked) }
    })
}

fn c_path(path: &Path) -> Result<CString, PathError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| PathError::new("read", path, io::Error::from(io::ErrorKind::InvalidInput)))
}

/// What all threads know.
struct Copy<'a> {
    dest: &'a Path,
    owner: (u32, u32),
}

/// A directory and its copy.
struct Pair {
    /// The path of the source, for errors.
    path: PathBuf,
    source: OwnedFd,
    dest: OwnedFd,
}

/// Entries of a directory that are no directories themselves.
struct Batch {
    dir: Arc<Pair>,
    names: Vec<(CString, FileType)>,
}

/// An entry to be copied: where it is and where it goes.
#[derive(Clone, Copy)]
struct Entry<'a> {
    from: BorrowedFd<'a>,
    name: &'a CStr,
    to: BorrowedFd<'a>,
    new: &'a CStr,
}

/// Where batches go.
type Sink<'a> = dyn FnMut(Batch) -> Result<(), StoreError> + 'a;

fn read_error(path: &Path, error: Errno) -> StoreError {
    PathError::new("read", path, error).into()
}

fn special(path: &Path, kind: FileType) -> StoreError {
    let kind = match kind {
        FileType::Socket => "a socket",
        FileType::Fifo => "a named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown kind",
    };
    StoreError::SpecialFile { path: path.to_owned(), kind }
}

fn kind_of(entry: Entry<'_>, path: &Path) -> Result<FileType, StoreError> {
    let stat = rustix::fs::statat(entry.from, entry.name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| read_error(path, error))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

impl Copy<'_> {
    fn write_error(&self, error: Errno) -> StoreError {
        PathError::new("write a copy in", self.dest, error).into()
    }

    fn work(&self, receiver: Arc<Mutex<mpsc::Receiver<Batch>>>) -> Result<(), StoreError> {
        let mut buffer = vec![0; BUFFER];
        let next = || receiver.lock().ok().and_then(|receiver| receiver.recv().ok());
        while let Some(batch) = next() {
            self.batch(batch, &mut buffer)?;
        }
        Ok(())
    }

    fn top(&self, source: &Path, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let (name, new) = (c_path(source)?, c_path(self.dest)?);
        let entry = Entry { from: CWD, name: &name, to: CWD, new: &new };
        match kind_of(entry, source)? {
            FileType::Directory => self.directory(entry, source.to_owned(), 0, sink),
            FileType::RegularFile => self.file(entry, source, &mut vec![0; BUFFER]),
            FileType::Symlink => self.link(entry, source),
            other => Err(special(source, other)),
        }
    }

    fn directory(&self, entry: Entry<'_>, path: PathBuf, depth: usize, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        if depth >= MAX_DEPTH {
            return Err(StoreError::TooDeep { path, limit: MAX_DEPTH });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = rustix::fs::openat(entry.from, entry.name, flags, Mode::empty()).map_err(|error| read_error(&path, error))?;
        rustix::fs::mkdirat(entry.to, entry.new, Mode::RWXU).map_err(|error| self.write_error(error))?;
        let dest = rustix::fs::openat(entry.to, entry.new, flags, Mode::empty()).map_err(|error| self.write_error(error))?;
        let entries = Dir::read_from(&source).map_err(|error| read_error(&path, error))?;
        let dir = Arc::new(Pair { path, source, dest });
        let (mut names, mut dirs) = (Vec::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(|error| read_error(&dir.path, error))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let below = Entry { from: dir.source.as_fd(), name, to: dir.dest.as_fd(), new: name };
            let path = || dir.path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let kind = match entry.file_type() {
                FileType::Unknown => kind_of(below, &path())?,
                known => known,
            };
            if kind == FileType::Directory {
                dirs.push(name.to_owned());
            } else {
                names.push((name.to_owned(), kind));
            }
            if names.len() == BATCH {
                sink(Batch { dir: dir.clone(), names: std::mem::take(&mut names) })?;
            }
        }
        // The listing's own handle is closed by now: two stay open for each level.
        for name in &dirs {
            let below = Entry { from: dir.source.as_fd(), name, to: dir.dest.as_fd(), new: name };
            self.directory(below, dir.path.join(std::ffi::OsStr::from_bytes(name.to_bytes())), depth + 1, sink)?;
        }
        sink(Batch { dir, names })
    }

    /// Copies a batch; the last one of a directory finishes that.
    fn batch(&self, batch: Batch, buffer: &mut [u8]) -> Result<(), StoreError> {
        let dir = batch.dir;
        for (name, kind) in &batch.names {
            let entry = Entry { from: dir.source.as_fd(), name, to: dir.dest.as_fd(), new: name };
            let path = dir.path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            match kind {
                FileType::RegularFile => self.file(entry, &path, buffer)?,
                FileType::Symlink => self.link(entry, &path)?,
                other => return Err(special(&path, *other)),
            }
        }
        match Arc::into_inner(dir) {
            Some(dir) => self.finish(&dir.dest, canonical_mode(true)),
            None => Ok(()),
        }
    }

    fn file(&self, entry: Entry<'_>, path: &Path, buffer: &mut [u8]) -> Result<(), StoreError> {
        // Not blocking, in case a pipe has taken the file's place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(entry.from, entry.name, flags, Mode::empty()).map_err(|error| read_error(path, error))?;
        let stat = rustix::fs::fstat(&source).map_err(|error| read_error(path, error))?;
        let mode = canonical_mode(Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dest = rustix::fs::openat(entry.to, entry.new, flags, mode).map_err(|error| self.write_error(error))?;
        self.content(&source, &dest, u64::try_from(stat.st_size).unwrap_or(0), path, buffer)?;
        self.finish(&dest, mode)
    }

    fn content(&self, source: &OwnedFd, dest: &OwnedFd, length: u64, path: &Path, buffer: &mut [u8]) -> Result<(), StoreError> {
        if length > buffer.len() as u64 {
            loop {
                match rustix::fs::copy_file_range(source, None, dest, None, 1 << 30) {
                    Ok(0) => return Ok(()),
                    Ok(_) | Err(Errno::INTR) => {}
                    // The rest, or everything if the file system cannot do it, goes through the buffer.
                    Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => break,
                    Err(error) => return Err(self.write_error(error)),
                }
            }
        }
        loop {
            let read = match rustix::io::read(source, &mut *buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(read_error(path, error)),
            };
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                match rustix::io::write(dest, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(self.write_error(error)),
                }
            }
        }
    }

    /// Mode, owner and time of a copied file or directory. It has no attributes: the scratch directory has no access list to hand on.
    fn finish(&self, dest: &OwnedFd, mode: Mode) -> Result<(), StoreError> {
        let change = || {
            let stat = rustix::fs::fstat(dest)?;
            if (stat.st_uid, stat.st_gid) != self.owner {
                rustix::fs::fchown(dest, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)))?;
            }
            if Mode::from_raw_mode(stat.st_mode) != mode {
                rustix::fs::fchmod(dest, mode)?;
            }
            rustix::fs::futimens(dest, &TIMES)
        };
        change().map_err(|error| self.write_error(error))
    }

    fn link(&self, entry: Entry<'_>, path: &Path) -> Result<(), StoreError> {
        let Entry { from, name, to, new } = entry;
        let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(|error| read_error(path, error))?;
        let make = || {
            rustix::fs::symlinkat(&target, to, new)?;
            rustix::fs::utimensat(to, new, &TIMES, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chownat(to, new, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)), AtFlags::SYMLINK_NOFOLLOW)
        };
        make().map_err(|error| self.write_error(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    /// Large enough for several threads to be worth it.
    const LARGE: u64 = 1 << 30;

    fn owner(dir: &Path) -> (u32, u32) {
        let metadata = dir.metadata().unwrap();
        (metadata.uid(), metadata.gid())
    }

    #[test]
    fn a_copy_made_by_many_threads_is_whole_and_canonical() {
        let dir = tempfile::tempdir().unwrap();
        let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
        for number in 0..300 {
            let below = source.join(format!("{}/{}", number % 7, number % 3));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(number.to_string()), vec![7; number * 1000]).unwrap();
            symlink("nowhere", below.join(format!("link-{number}"))).unwrap();
        }
        fs::set_permissions(source.join("3"), fs::Permissions::from_mode(0o700)).unwrap();
        copy_tree(&source, &dest, owner(dir.path()), LARGE).unwrap();
        let mut seen = 0;
        for entry in walkdir::WalkDir::new(&dest) {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            let mode = if metadata.is_dir() { 0o40555 } else { 0o100444 };
            assert!(metadata.is_symlink() || metadata.mode() == mode, "{entry:?} {:o}", metadata.mode());
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1, 0), "{entry:?}");
            if metadata.is_file() {
                let number: u64 = entry.file_name().to_str().unwrap().parse().unwrap();
                assert_eq!(metadata.len(), number * 1000);
            }
            seen += 1;
        }
        assert_eq!(seen, 1 + 7 + 21 + 600);
        super::super::remove::remove_tree(&dest).unwrap();
    }

    #[test]
    fn an_error_of_a_thread_is_the_result() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        for number in 0..200 {
            let below = source.join(number.to_string());
            fs::create_dir_all(&below).unwrap();
            nix::unistd::mkfifo(&below.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let error = copy_tree(&source, &dir.path().join("dest"), owner(dir.path()), LARGE).unwrap_err().to_string();
        assert!(error.contains("pipe` is a named pipe"), "{error}");
    }
}
