//! What of the host becomes visible, opened before anything else.
//!
//! A privileged kiln may keep its store where only it can go. So directories are opened (`O_PATH`) while the child still has kiln's host user;
//! everything later is looked up relative to them. Sources are grouped by parent directory, or a thousand inputs would need a
//! thousand descriptors.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::step::Step;
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, SandboxSpec};

/// The opened sources of a spec.
pub(super) struct Sources {
    pub(super) root: OwnedFd,
    pub(super) store: OwnedFd,
    pub(super) build: OwnedFd,
    pub(super) tmp: OwnedFd,
    pub(super) dev: OwnedFd,
    parents: Vec<OwnedFd>,
    binds: Vec<Place>,
}

/// Where the source of one bind is: a name in a directory, or (empty name) a descriptor of its own.
struct Place {
    dir: usize,
    name: CString,
}

const SEARCHABLE_BY_ALL: u32 = 0o001;

impl Sources {
    /// Opens them all. `switch_user`: the child will be another user afterwards.
    pub(super) fn open(spec: &SandboxSpec, switch_user: bool) -> Result<Self, Failure> {
        let mut sources = Self {
            root: open(&spec.root, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?,
            store: open(&spec.store_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            build: open(&spec.build_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            tmp: open(&spec.tmp_dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            dev: open(Path::new("/dev"), OFlag::O_PATH | OFlag::O_DIRECTORY)?,
            parents: Vec::new(),
            binds: Vec::with_capacity(spec.binds.len()),
        };
        // Per parent directory: its index, and whether names in it can be looked up later.
        let mut known: HashMap<&Path, (usize, bool)> = HashMap::new();
        for bind in &spec.binds {
            let place = sources.place(&bind.source, switch_user, &mut known)?;
            sources.binds.push(place);
        }
        Ok(sources)
    }

    fn place<'a>(&mut self, source: &'a Path, switch_user: bool, known: &mut HashMap<&'a Path, (usize, bool)>) -> Result<Place, Failure> {
        let (Some(parent), Some(name)) = (source.parent(), source.file_name()) else {
            return self.alone(source);
        };
        let (dir, later) = match known.get(parent) {
            Some(found) => *found,
            None => {
                let fd = open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                let mode = fstat(&fd).step(Layer::Root, || format!("fstat {}", parent.display()))?.st_mode;
                self.parents.push(fd);
                let found = (self.parents.len() - 1, !switch_user || mode & SEARCHABLE_BY_ALL != 0);
                known.insert(parent, found);
                found
            }
        };
        if !later {
            return self.alone(source);
        }
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL).step(Layer::Root, || format!("open {}", source.display()))?;
        Ok(Place { dir, name })
    }

    fn alone(&mut self, source: &Path) -> Result<Place, Failure> {
        self.parents.push(open(source, OFlag::O_PATH | OFlag::O_NOFOLLOW)?);
        Ok(Place { dir: self.parents.len() - 1, name: CString::default() })
    }

    /// Directory and name of the source of the spec's bind number `index`.
    pub(super) fn bind(&self, index: usize) -> (BorrowedFd<'_>, &CStr) {
        let place = &self.binds[index];
        (self.parents[place.dir].as_fd(), &place.name)
    }
}

fn open(path: &Path, flags: OFlag) -> Result<OwnedFd, Failure> {
    openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty()).step(Layer::Root, || format!("open {}", path.display()))
}
