//! What of the host becomes visible, opened before anything else.
//!
//! A privileged kiln may keep its store where only it can go. So directories are opened (`O_PATH`) while the child still has kiln's host user;
//! everything later is looked up relative to them. Sources are grouped by parent directory, or a thousand inputs would need a thousand
//! descriptors. The directory may also be a mount made for the purpose ([`Directory::mount`]), on which the flags are already right: by kiln, which can
//! map owners, or by the child if many sources lie in it.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::step::Step;
use crate::sandbox::sys::{self, MountFlags};
use crate::sandbox::wire::{self, Failure, MappedPath};
use crate::sandbox::{Bind, Layer, SandboxSpec};

/// The opened sources of a spec.
pub(super) struct Sources {
    pub(super) root: Directory,
    pub(super) store: OwnedFd,
    pub(super) build: OwnedFd,
    pub(super) tmp: OwnedFd,
    pub(super) dev: OwnedFd,
    directories: Vec<Directory>,
    binds: Vec<Place>,
}

/// A directory in which sources are looked up.
pub(super) struct Directory {
    fd: OwnedFd,
    /// Whether this is a mount of its own, read-only and without set-id bits and devices.
    mount: bool,
}

/// Where the source of one bind is: a name in a directory, or (empty name) the thing itself.
struct Place {
    directory: usize,
    name: CString,
}

/// A thing to bind.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The directory that it lies in.
    pub(super) dir: BorrowedFd<'a>,
    /// Its name there, or nothing if it is the directory itself.
    pub(super) name: &'a CStr,
    /// Whether a copy of its mount is read-only from the start.
    pub(super) read_only: bool,
}

const SEARCHABLE_BY_ALL: u32 = 0o001;
/// From so many sources in one directory on, a mount of the directory saves calls.
const MANY: usize = 4;

impl Sources {
    /// Opens them all. `switch_user`: the child will be another user afterwards.
    pub(super) fn open(spec: &SandboxSpec, mapped: &[MappedPath], switch_user: bool) -> Result<Self, Failure> {
        let mut given: HashMap<&Path, OwnedFd> = HashMap::new();
        for (MappedPath(path), number) in mapped.iter().zip(wire::CONTROL + 1..) {
            let fd = sys::adopt(number).ok_or(Errno::EBADF).step(Layer::Owners, || format!("descriptor of {}", path.display()))?;
            given.insert(path, fd);
        }
        let root = match given.remove(spec.root.as_path()) {
            Some(fd) => Directory { fd, mount: true },
            None => Directory::with_own_mount(open(&spec.root, OFlag::O_PATH | OFlag::O_DIRECTORY)?),
        };
        let mut sources = Self {
            root,
            store: open(&spec.store_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            build: open(&spec.build_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            tmp: open(&spec.tmp_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            dev: open(Path::new("/dev"), OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            directories: Vec::new(),
            binds: Vec::with_capacity(spec.binds.len()),
        };
        let known = sources.open_parents(spec, given, switch_user)?;
        for bind in &spec.binds {
            let place = match parent_and_name(bind).and_then(|(parent, name)| Some((*known.get(&(parent, bind.writable))?, name))) {
                Some((directory, name)) => Place { directory, name },
                None => sources.alone(&bind.source)?,
            };
            sources.binds.push(place);
        }
        Ok(sources)
    }

    /// Opens the directories that sources lie in, as far as names can be looked up in them later. Writable ones never go through a read-only
    /// mount.
    fn open_parents<'a>(
        &mut self,
        spec: &'a SandboxSpec,
        mut given: HashMap<&Path, OwnedFd>,
        switch_user: bool,
    ) -> Result<HashMap<(&'a Path, bool), usize>, Failure> {
        let mut counts: HashMap<(&Path, bool), usize> = HashMap::new();
        for bind in &spec.binds {
            if let Some((parent, _)) = parent_and_name(bind) {
                *counts.entry((parent, bind.writable)).or_default() += 1;
            }
        }
        let mut known = HashMap::new();
        for ((parent, writable), count) in counts {
            let directory = match given.remove(parent).filter(|_| !writable) {
                Some(fd) => Directory { fd, mount: true },
                None => {
                    let fd = open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                    let mode = fstat(&fd).step(Layer::Root, || format!("fstat {}", parent.display()))?.st_mode;
                    if switch_user && mode & SEARCHABLE_BY_ALL == 0 {
                        continue;
                    }
                    if count >= MANY && !writable { Directory::with_own_mount(fd) } else { Directory { fd, mount: false } }
                }
            };
            known.insert((parent, writable), self.directories.len());
            self.directories.push(directory);
        }
        Ok(known)
    }

    fn alone(&mut self, source: &Path) -> Result<Place, Failure> {
        let fd = open(source, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        self.directories.push(Directory { fd, mount: false });
        Ok(Place { directory: self.directories.len() - 1, name: CString::default() })
    }

    /// The source of the spec's bind number `index`.
    pub(super) fn bind(&self, index: usize) -> Source<'_> {
        let Place { directory, name } = &self.binds[index];
        self.directories[*directory].source(name)
    }

    /// Attaches the mounts of directories, for the kernel copies only what is attached. They lie on the old root's `/dev`, and go with it.
    pub(super) fn attach(&self) -> Result<(), Failure> {
        for directory in self.directories.iter().chain([&self.root]).filter(|directory| directory.mount) {
            sys::attach(directory.fd.as_fd(), self.dev.as_fd(), c"").step(Layer::Root, || "attach a directory of inputs".into())?;
        }
        Ok(())
    }
}

impl Directory {
    /// A read-only mount of the directory; the directory itself if that cannot be had (something else is mounted in it).
    fn with_own_mount(fd: OwnedFd) -> Self {
        let mount = || {
            let mount = sys::clone_tree(fd.as_fd(), c"")?;
            sys::set_flags(mount.as_fd(), MountFlags::READ_ONLY, false)?;
            nix::Result::Ok(mount)
        };
        match mount() {
            Ok(mount) => Self { fd: mount, mount: true },
            Err(_) => Self { fd, mount: false },
        }
    }

    /// Something in it.
    pub(super) fn source<'a>(&'a self, name: &'a CStr) -> Source<'a> {
        Source { dir: self.fd.as_fd(), name, read_only: self.mount }
    }
}

impl Source<'_> {
    /// A thing that is writable, or becomes read-only by its copy's flags.
    pub(super) fn plain(fd: &OwnedFd) -> Source<'_> {
        Source { dir: fd.as_fd(), name: c"", read_only: false }
    }
}

fn parent_and_name(bind: &Bind) -> Option<(&Path, CString)> {
    Some((bind.source.parent()?, CString::new(bind.source.file_name()?.as_bytes()).ok()?))
}

fn open(path: &Path, flags: OFlag) -> Result<OwnedFd, Failure> {
    openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty()).step(Layer::Root, || format!("open {}", path.display()))
}
