//! Copying a tree into canonical form: the copy needs no further pass for modes, times and attributes.
//!
//! Source and copy are reached through directory handles, so a link that appears in the source meanwhile leads nowhere. That the copy is whole is the
//! business of who hashes it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::StoreError;
use super::canonical::{TIMES, canonical_mode};
use crate::fsio::PathError;

/// Files up to this length are copied through a buffer, longer ones by the kernel, which may share their blocks.
const BUFFER: usize = 256 << 10;

/// How deep directories may be nested: a handle on both sides is open for each level.
const DEPTH: usize = 256;

/// Copies `source`, whatever it is, to `dest`, which must not exist.
pub(super) fn copy_tree(source: &Path, dest: &Path, owner: (u32, u32)) -> Result<(), StoreError> {
    let mut copy = Copy { source: source.to_owned(), dest, owner, buffer: vec![0; BUFFER] };
    let (from, to) = (c_path(source)?, c_path(dest)?);
    copy.entry(CWD, &from, CWD, &to, FileType::Unknown, 0)
}

fn c_path(path: &Path) -> Result<CString, PathError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| PathError::new("read", path, io::Error::from(io::ErrorKind::InvalidInput)))
}

struct Copy<'a> {
    /// What is being copied, for errors.
    source: PathBuf,
    dest: &'a Path,
    owner: (u32, u32),
    buffer: Vec<u8>,
}

impl Copy<'_> {
    fn read_error(&self, error: Errno) -> StoreError {
        PathError::new("read", &self.source, error).into()
    }

    fn write_error(&self, error: Errno) -> StoreError {
        PathError::new("write a copy in", self.dest, error).into()
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        name: &CStr,
        to: BorrowedFd<'_>,
        new: &CStr,
        kind: FileType,
        depth: usize,
    ) -> Result<(), StoreError> {
        let kind = match kind {
            FileType::Unknown => {
                let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| self.read_error(error))?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        let special = |kind| Err(StoreError::SpecialFile { path: self.source.clone(), kind });
        match kind {
            FileType::RegularFile => self.file(from, name, to, new),
            FileType::Directory => self.directory(from, name, to, new, depth),
            FileType::Symlink => self.link(from, name, to, new),
            FileType::Socket => special("a socket"),
            FileType::Fifo => special("a named pipe"),
            FileType::CharacterDevice | FileType::BlockDevice => special("a device"),
            FileType::Unknown => special("of an unknown kind"),
        }
    }

    fn file(&mut self, from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr) -> Result<(), StoreError> {
        // Not blocking, in case a pipe has taken the file's place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(|error| self.read_error(error))?;
        let stat = rustix::fs::fstat(&source).map_err(|error| self.read_error(error))?;
        let mode = canonical_mode(Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dest = rustix::fs::openat(to, new, flags, mode).map_err(|error| self.write_error(error))?;
        self.content(&source, &dest, u64::try_from(stat.st_size).unwrap_or(0))?;
        self.finish(&dest, mode)
    }

    fn content(&mut self, source: &OwnedFd, dest: &OwnedFd, length: u64) -> Result<(), StoreError> {
        if length > self.buffer.len() as u64 {
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
            let read = match rustix::io::read(source, self.buffer.as_mut_slice()) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(self.read_error(error)),
            };
            let mut rest = &self.buffer[..read];
            while !rest.is_empty() {
                match rustix::io::write(dest, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(self.write_error(error)),
                }
            }
        }
    }

    /// Mode, owner and time of a copied file or directory, and no attributes, such as access lists that its directory would hand on.
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

    fn directory(&mut self, from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr, depth: usize) -> Result<(), StoreError> {
        if depth >= DEPTH {
            return Err(StoreError::TooDeep { path: self.source.clone(), limit: DEPTH });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(|error| self.read_error(error))?;
        rustix::fs::mkdirat(to, new, Mode::RWXU).map_err(|error| self.write_error(error))?;
        let dest = rustix::fs::openat(to, new, flags, Mode::empty()).map_err(|error| self.write_error(error))?;
        let entries = Dir::read_from(&source).map_err(|error| self.read_error(error))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.read_error(error))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.source.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
            self.entry(source.as_fd(), name, dest.as_fd(), name, entry.file_type(), depth + 1)?;
            self.source.pop();
        }
        self.finish(&dest, canonical_mode(true))
    }

    fn link(&self, from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr) -> Result<(), StoreError> {
        let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(|error| self.read_error(error))?;
        let make = || {
            rustix::fs::symlinkat(&target, to, new)?;
            rustix::fs::utimensat(to, new, &TIMES, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chownat(to, new, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)), AtFlags::SYMLINK_NOFOLLOW)
        };
        make().map_err(|error| self.write_error(error))
    }
}
