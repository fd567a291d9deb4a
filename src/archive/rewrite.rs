//! Replacing digests in a tree by others of the same length, and finding out where one occurs.
//!
//! In: a tree that nobody else touches (a build's finished output). Nothing is read into memory but one buffer, and only files that hold
//! a digest are written, at the places where it stands.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fchmod, fstat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::listing::{Kind, Listing, MAX_DEPTH, open_dir, open_file, stat_at};
use super::references::{Next, each_window};
use super::{ArchiveError, ReferenceIndex};
use crate::fsio::{IoResultExt, PathError};
use crate::model::{DIGEST_LEN, StoreDigest};

/// Replaces each occurrence of the first digest of a pair by the second, in file contents and link targets.
///
/// Modes and modification times stay as they are; read-only files and directories are no obstacle to their owner.
/// File *names* are not touched: [`super::Scanned::name_with_own`] tells whether one holds the object's digest.
///
/// # Errors
/// If something cannot be read or written.
pub fn rewrite(tree: &Path, replacements: &[(StoreDigest, StoreDigest)]) -> Result<(), ArchiveError> {
    let index = replacements.iter().map(|(from, _)| *from).collect();
    Walk { index, task: Task::Replace(replacements), path: tree.to_owned(), buffer: vec![0; BUFFER], depth: 0 }.run(tree)
}

/// The files and links (relative to `tree`; empty for itself) in which `digest` occurs, in order, at most `limit`; for messages that say
/// where a reference comes from.
///
/// # Errors
/// If something cannot be read.
pub fn find_digest(tree: &Path, digest: &StoreDigest, limit: usize) -> Result<Vec<PathBuf>, ArchiveError> {
    let mut found = Vec::new();
    let task = Task::Find { found: &mut found, limit };
    Walk { index: [*digest].into_iter().collect(), task, path: tree.to_owned(), buffer: vec![0; BUFFER], depth: 0 }.run(tree)?;
    let relative = |path: PathBuf| path.strip_prefix(tree).map(Path::to_owned).unwrap_or(path);
    Ok(found.into_iter().map(relative).collect())
}

const BUFFER: usize = 256 * 1024;

enum Task<'a> {
    Replace(&'a [(StoreDigest, StoreDigest)]),
    Find { found: &'a mut Vec<PathBuf>, limit: usize },
}

struct Walk<'a> {
    index: ReferenceIndex,
    task: Task<'a>,
    path: PathBuf,
    buffer: Vec<u8>,
    depth: usize,
}

/// A digest that stands at an offset.
type Occurrence = (u64, StoreDigest);

impl Walk<'_> {
    fn run(&mut self, tree: &Path) -> Result<(), ArchiveError> {
        let name = CString::new(tree.as_os_str().as_bytes()).map_err(|_| PathError::new("open", tree, Errno::EINVAL))?;
        let kind = Kind::of(&stat_at(AT_FDCWD, &name).at("read", tree)?);
        self.node(AT_FDCWD, None, &name, kind)
    }

    fn failed(&self, action: &'static str, error: impl Into<std::io::Error>) -> ArchiveError {
        PathError::new(action, &self.path, error).into()
    }

    /// `dir` is the parent where it lies in the tree and may have to be made writable.
    fn node(&mut self, parent: impl AsFd, dir: Option<&Dir>, name: &CStr, kind: Kind) -> Result<(), ArchiveError> {
        if matches!(&self.task, Task::Find { found, limit } if found.len() >= *limit) {
            return Ok(());
        }
        match kind {
            Kind::File => self.file(parent, name),
            Kind::Link => self.link(parent, dir, name),
            Kind::Directory => self.directory(parent, name),
            Kind::Other(kind) => Err(ArchiveError::Unsupported { path: self.path.clone(), kind }),
        }
    }

    fn directory(&mut self, parent: impl AsFd, name: &CStr) -> Result<(), ArchiveError> {
        if self.depth == MAX_DEPTH {
            return Err(ArchiveError::TooDeep { path: self.path.clone(), limit: MAX_DEPTH });
        }
        let mut dir = open_dir(parent, name).and_then(Dir::from_fd).map_err(|error| self.failed("open", error))?;
        let listing = Listing::read(&mut dir).map_err(|error| self.failed("list", error))?;
        self.depth += 1;
        for (name, kind) in listing.iter() {
            self.path.push(OsStr::from_bytes(name.to_bytes()));
            self.node(&dir, Some(&dir), name, kind)?;
            self.path.pop();
        }
        self.depth -= 1;
        Ok(())
    }

    fn link(&mut self, parent: impl AsFd, dir: Option<&Dir>, name: &CStr) -> Result<(), ArchiveError> {
        let mut target = readlinkat(&parent, name).map_err(|error| self.failed("read the link", error))?.into_vec();
        let mut occurrences = Vec::new();
        collect(&self.index, &target, 0, &mut occurrences);
        if occurrences.is_empty() {
            return Ok(());
        }
        match &mut self.task {
            Task::Find { found, .. } => found.push(self.path.clone()),
            Task::Replace(replacements) => {
                for (offset, from) in &occurrences {
                    let start = *offset as usize;
                    target[start..start + DIGEST_LEN].copy_from_slice(replacement(replacements, from).as_bytes());
                }
                replace_link(parent, dir, name, &target).map_err(|error| self.failed("replace the link", error))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, parent: impl AsFd, name: &CStr) -> Result<(), ArchiveError> {
        let mut file = open_file(&parent, name).map_err(|error| self.failed("open", error))?;
        let mut writable = None;
        let mut occurrences = Vec::new();
        // Bytes kept from the round before, in which a digest may have begun, and where in the file they start.
        let (mut kept, mut start) = (0, 0u64);
        loop {
            let filled = kept + read_full(&mut file, &mut self.buffer[kept..]).map_err(|error| self.failed("read", error))?;
            collect(&self.index, &self.buffer[..filled], start, &mut occurrences);
            for (offset, from) in occurrences.drain(..) {
                let to = match &mut self.task {
                    Task::Find { found, .. } => {
                        found.push(self.path.clone());
                        return Ok(());
                    }
                    Task::Replace(replacements) => replacement(replacements, &from),
                };
                let file = match &mut writable {
                    Some(file) => file,
                    None => writable.insert(Writable::open(&parent, name, &file).at("open for writing", &self.path)?),
                };
                file.file.write_all_at(to.as_bytes(), offset).at("write", &self.path)?;
            }
            if filled < BUFFER {
                break;
            }
            kept = DIGEST_LEN - 1;
            start += (filled - kept) as u64;
            self.buffer.copy_within(filled - kept..filled, 0);
        }
        writable.map_or(Ok(()), |writable| writable.close().map_err(|error| self.failed("restore mode and time of", error)))
    }
}

fn collect(index: &ReferenceIndex, bytes: &[u8], start: u64, occurrences: &mut Vec<Occurrence>) {
    each_window(bytes, |at, window| match index.find(window) {
        Some(digest) => {
            occurrences.push((start + at as u64, *digest));
            Next::Window
        }
        None => Next::Byte,
    });
}

fn replacement<'a>(replacements: &'a [(StoreDigest, StoreDigest)], from: &'a StoreDigest) -> &'a StoreDigest {
    replacements.iter().find(|(candidate, _)| candidate == from).map_or(from, |(_, to)| to)
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn permissions(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.st_mode & 0o7777)
}

fn times(stat: &FileStat) -> (TimeSpec, TimeSpec) {
    (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec))
}

/// A file opened for writing, whose mode and times come back when it is closed.
struct Writable {
    file: File,
    before: FileStat,
}

impl Writable {
    fn open(parent: impl AsFd, name: &CStr, readable: &File) -> Result<Self, Errno> {
        let before = fstat(readable)?;
        fchmod(readable, permissions(&before) | Mode::S_IWUSR)?;
        let file = openat(parent, name, OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { file: file.into(), before })
    }

    fn close(self) -> Result<(), Errno> {
        fchmod(&self.file, permissions(&self.before))?;
        let (accessed, modified) = times(&self.before);
        futimens(&self.file, &accessed, &modified)
    }
}

/// Links cannot be changed: another one takes its place. The directory gets its mode and times back.
fn replace_link(parent: impl AsFd, dir: Option<&Dir>, name: &CStr, target: &[u8]) -> Result<(), Errno> {
    let target = CString::new(target).map_err(|_| Errno::EINVAL)?;
    let (accessed, modified) = times(&stat_at(&parent, name)?);
    let dir_before = dir.map(fstat).transpose()?;
    if let (Some(dir), Some(before)) = (dir, &dir_before) {
        fchmod(dir, permissions(before) | Mode::S_IWUSR)?;
    }
    unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?;
    symlinkat(target.as_c_str(), &parent, name)?;
    utimensat(&parent, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?;
    if let (Some(dir), Some(before)) = (dir, &dir_before) {
        fchmod(dir, permissions(before))?;
        let (accessed, modified) = times(before);
        futimens(dir, &accessed, &modified)?;
    }
    Ok(())
}
