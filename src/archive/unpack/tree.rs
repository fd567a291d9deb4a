//! A new tree that is written piece by piece, by paths that nobody vouches for.
//!
//! Each component is opened in the one above it and must be a real directory: a link is never followed, so nothing lands outside.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::RelPath;
use super::meter::BLOCK;
use crate::archive::ArchiveError;
use crate::archive::listing::{Kind, MAX_DEPTH, open_dir, open_file, stat_at};
use crate::archive::place::{create_file, seal};
use crate::fsio::PathError;

/// Writes into a tree of its own. Files come out 0444 or 0555 with mtime 1, directories writable.
#[derive(Debug)]
pub struct TreeWriter {
    top: OwnedFd,
    path: PathBuf,
    /// The directories above the last entry, open: the next one mostly lies in the same.
    open: Vec<(CString, OwnedFd)>,
    buffer: Vec<u8>,
    /// Bytes of copies, and blocks of directories, since somebody asked.
    copied: u64,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// How many bytes it has.
        size: u64,
    },
    /// A symbolic link.
    Link {
        /// Where to.
        target: Vec<u8>,
    },
}

const BUFFER: usize = 128 * 1024;

impl TreeWriter {
    /// Creates the directory `path`, which must not exist.
    ///
    /// # Errors
    /// If it exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self, ArchiveError> {
        let failed = |error| match error {
            Errno::EEXIST => ArchiveError::DestinationExists(path.to_owned()),
            error => PathError::new("create the directory", path, error).into(),
        };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
        let top = make_dir(AT_FDCWD, &name).and_then(|()| open_dir(AT_FDCWD, &name)).map_err(failed)?;
        Ok(Self { top, path: path.to_owned(), open: Vec::new(), buffer: Vec::new(), copied: 0 })
    }

    /// Makes a directory, and those above it; one that is there is fine, and a file or link that is there is replaced.
    ///
    /// # Errors
    /// If a file or link is in the way of those above it, or it cannot be created.
    pub fn directory(&mut self, path: &RelPath) -> Result<(), ArchiveError> {
        let whole = self.path.join(path.as_path());
        match self.descend(path.components(), true) {
            Err(ArchiveError::NotADirectory(place)) if place == whole => {
                let (parent, name) = self.existing_parent(path)?;
                unlinkat(parent, name.as_c_str(), UnlinkatFlags::NoRemoveDir).map_err(|error| PathError::new("replace", whole, error))?;
                self.descend(path.components(), true).map(drop)
            }
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Writes a file; one that is there is replaced.
    ///
    /// # Errors
    /// If a directory is in the way, `content` fails ([`ArchiveError::Read`]), or the file cannot be written.
    pub fn file(&mut self, path: &RelPath, executable: bool, content: &mut dyn Read) -> Result<(), ArchiveError> {
        let (parent, name) = self.parent(path)?;
        let mut file = replacing(parent, &name, || create_file(parent, &name)).map_err(|error| self.failed("create", path, error))?;
        self.buffer.resize(BUFFER, 0);
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => file.write_all(&self.buffer[..read]).map_err(|error| self.failed("write", path, error))?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
        seal(&file, executable).map_err(|error| self.failed("set the mode of", path, error))
    }

    /// Makes a symbolic link; a link or file that is there is replaced.
    ///
    /// # Errors
    /// If a directory is in the way, or it cannot be created.
    pub fn link(&mut self, path: &RelPath, target: &[u8]) -> Result<(), ArchiveError> {
        let target = CString::new(target).map_err(|_| self.failed("create the link", path, Errno::EINVAL))?;
        let (parent, name) = self.parent(path)?;
        replacing(parent, &name, || symlinkat(target.as_c_str(), parent, name.as_c_str()))
            .map_err(|error| self.failed("create the link", path, error))
    }

    /// Writes a second file with the bytes and mode of one that is there: each file of an object is its own. A link is made anew.
    ///
    /// # Errors
    /// If `from` is no file or link, or `to` cannot be written.
    pub fn copy(&mut self, from: &RelPath, to: &RelPath) -> Result<(), ArchiveError> {
        if let Some(Existing::Link { target }) = self.existing(from)? {
            return self.link(to, &target);
        }
        let mut source = self.open(from)?;
        let stat = fstat(&source).map_err(|error| self.failed("read", from, error))?;
        if Kind::of(&stat) != Kind::File {
            return Err(self.failed("link to", from, Errno::EINVAL));
        }
        self.copied = self.copied.saturating_add(stat.st_size.unsigned_abs());
        self.file(to, stat.st_mode & 0o100 != 0, &mut source)
    }

    /// How many bytes [`Self::copy`] has written since this was last asked, and a block for each directory that was made.
    pub fn take_copied(&mut self) -> u64 {
        std::mem::take(&mut self.copied)
    }

    /// Opens a file that is there for reading; a link is not followed.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(&mut self, path: &RelPath) -> Result<File, ArchiveError> {
        let (parent, name) = self.existing_parent(path)?;
        open_file(parent, &name).map_err(|error| self.failed("open", path, error))
    }

    /// What lies at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or lies below something that is not a directory.
    pub fn existing(&mut self, path: &RelPath) -> Result<Option<Existing>, ArchiveError> {
        if path.is_top() {
            return Ok(Some(Existing::Directory));
        }
        let (parent, name) = match self.existing_parent(path) {
            Ok(found) => found,
            Err(ArchiveError::Io(error)) if error.source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = match stat_at(parent, &name) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(self.failed("read", path, error)),
        };
        Ok(Some(match Kind::of(&stat) {
            Kind::Directory => Existing::Directory,
            Kind::Link => {
                let target = readlinkat(parent, name.as_c_str()).map_err(|error| self.failed("read the link", path, error))?;
                Existing::Link { target: target.into_vec() }
            }
            _ => Existing::File { executable: stat.st_mode & 0o100 != 0, size: stat.st_size.unsigned_abs() },
        }))
    }

    fn failed(&self, action: &'static str, path: &RelPath, error: impl Into<std::io::Error>) -> ArchiveError {
        PathError::new(action, self.path.join(path.as_path()), error).into()
    }

    /// The open directory that holds `path`, made if it is missing, and the last component.
    fn parent(&mut self, path: &RelPath) -> Result<(BorrowedFd<'_>, CString), ArchiveError> {
        self.parent_of(path, true)
    }

    fn existing_parent(&mut self, path: &RelPath) -> Result<(BorrowedFd<'_>, CString), ArchiveError> {
        self.parent_of(path, false)
    }

    fn parent_of(&mut self, path: &RelPath, make: bool) -> Result<(BorrowedFd<'_>, CString), ArchiveError> {
        let mut above = path.components();
        let name = above.next_back().and_then(|name| CString::new(name).ok());
        let name = name.ok_or_else(|| self.failed("create", path, Errno::EEXIST))?;
        Ok((self.descend(above, make)?, name))
    }

    fn descend<'p>(&mut self, components: impl Iterator<Item = &'p [u8]>, make: bool) -> Result<BorrowedFd<'_>, ArchiveError> {
        let mut depth = 0;
        for component in components {
            if self.open.get(depth).is_none_or(|(name, _)| name.as_bytes() != component) {
                self.open.truncate(depth);
                let (name, dir, is_new) = self.step(component, make)?;
                if is_new {
                    self.copied = self.copied.saturating_add(BLOCK);
                }
                self.open.push((name, dir));
            }
            depth += 1;
        }
        self.open.truncate(depth);
        Ok(self.innermost())
    }

    fn innermost(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.top.as_fd(), |(_, dir)| dir.as_fd())
    }

    /// Opens (or makes) one directory in the innermost open one; says whether it is new.
    fn step(&self, component: &[u8], make: bool) -> Result<(CString, OwnedFd, bool), ArchiveError> {
        let path = || {
            let names = self.open.iter().map(|(name, _)| name.as_bytes()).chain([component]);
            names.fold(self.path.clone(), |path, name| path.join(std::ffi::OsStr::from_bytes(name)))
        };
        if self.open.len() == MAX_DEPTH {
            return Err(ArchiveError::TooDeep { path: path(), limit: MAX_DEPTH });
        }
        let name = CString::new(component).map_err(|_| PathError::new("open", path(), Errno::EINVAL))?;
        let parent = self.innermost();
        let opened = match open_dir(parent, &name) {
            Err(Errno::ENOENT) if make => make_dir(parent, &name).and_then(|()| open_dir(parent, &name)).map(|dir| (dir, true)),
            other => other.map(|dir| (dir, false)),
        };
        match opened {
            Ok((dir, is_new)) => Ok((name, dir, is_new)),
            Err(Errno::ENOTDIR | Errno::ELOOP) => Err(ArchiveError::NotADirectory(path())),
            Err(error) => Err(PathError::new("open the directory", path(), error).into()),
        }
    }
}

fn make_dir(parent: impl AsFd, name: &CStr) -> Result<(), Errno> {
    mkdirat(parent, name, Mode::from_bits_truncate(0o755))
}

/// Does `create`, if need be after removing the file or link that is in the way.
fn replacing<T>(parent: BorrowedFd<'_>, name: &CStr, create: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match create() {
        Err(Errno::EEXIST) => {
            unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?;
            create()
        }
        other => other,
    }
}
