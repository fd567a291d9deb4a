//! The file tree: a small tmpfs becomes `/`; the root's top-level entries, the writable directories and the inputs are bound into it.
//!
//! Each top-level entry of the root is bound by itself and its links are made again: were the object itself bound at `/`, there would be no
//! place for `/build` or `/kiln`. Mounts are attached relative to descriptors, or to names just made, never through a path that the
//! root's links could bend.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, readlinkat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{chdir, fchdir, linkat, pivot_root, symlinkat};

use super::dev;
use super::sources::{Source, Sources};
use super::step::Step;
use crate::model::STORE_DIR;
use crate::sandbox::sys::{self, MountFlags};
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, SandboxSpec};

/// Names at the top that the sandbox makes itself; the root's entries of these names are not used.
const OWN_NAMES: [&[u8]; 6] = [b"build", b"dev", b"kiln", b"proc", b"sys", b"tmp"];

/// The new root, on its way.
pub(super) struct Tree {
    top: OwnedFd,
}

/// Binds that are attached once the new root is `/`.
pub(super) struct LateBinds {
    mounts: Vec<(OwnedFd, CString, bool)>,
}

impl Tree {
    /// Makes the tree, still without `/proc`, on top of the old root.
    pub(super) fn assemble(spec: &SandboxSpec, sources: &Sources) -> Result<Self, Failure> {
        let none = None::<&CStr>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).step(Layer::Mount, || "make all mounts private".into())?;
        // Fixed sizes: the defaults tell how much memory the machine has.
        let options = [(c"size", c"64m"), (c"nr_inodes", c"65536"), (c"mode", c"0755")];
        let top = sys::new_file_system(c"tmpfs", &options, MountFlags::WRITABLE).step(Layer::Root, || "mount tmpfs on /".into())?;
        sources.attach()?;
        // On the old root's /dev, over the directories of inputs.
        sys::attach(top.as_fd(), sources.dev.as_fd(), c"").step(Layer::Root, || "attach the new root".into())?;
        let tree = Self { top };

        tree.bind_root(sources.root.source(c"."))?;
        for (name, source) in [(c"build", &sources.build), (c"tmp", &sources.tmp)] {
            make_dir(tree.top(), name)?;
            bind(Source::plain(source), Place { dir: tree.top(), path: "/dev", name }, MountFlags::WRITABLE)?;
        }
        tree.bind_store(spec, sources)?;
        dev::populate(tree.top(), sources.dev.as_fd(), spec.terminal)?;
        make_dir(tree.top(), c"proc")?;
        Ok(tree)
    }

    /// The directory that becomes `/`.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    fn bind_root(&self, root: Source<'_>) -> Result<(), Failure> {
        let list = || "list the root".to_owned();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let listed = openat(root.dir, root.name, flags, Mode::empty()).step(Layer::Root, list)?;
        for entry in Dir::from_fd(listed).step(Layer::Root, list)?.iter() {
            let entry = entry.step(Layer::Root, list)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || OWN_NAMES.contains(&name.to_bytes()) {
                continue;
            }
            let source = Source { name, ..root };
            let kind = match entry.file_type() {
                Some(kind) => kind,
                None => kind_of(source)?,
            };
            show(kind, source, Place { dir: self.top(), path: "/dev", name }, MountFlags::READ_ONLY)?;
        }
        Ok(())
    }

    /// `/kiln/script`, and `/kiln/store` with the inputs in it.
    fn bind_store(&self, spec: &SandboxSpec, sources: &Sources) -> Result<(), Failure> {
        make_dir(self.top(), c"kiln")?;
        if let Some(script) = &spec.script {
            write_file(self.top(), c"kiln/script", script.as_bytes())?;
        }
        make_dir(self.top(), c"kiln/store")?;
        let store = clone(Source::plain(&sources.store), MountFlags::WRITABLE)?;
        sys::attach(store.as_fd(), self.top(), c"kiln/store").step(Layer::Root, || "attach /kiln/store".into())?;
        let mut mount_points = Vec::with_capacity(spec.binds.len());
        let mut first_file = None;
        for (index, entry) in spec.binds.iter().enumerate() {
            let Some(name) = name_in_store(&entry.target) else { continue };
            let name = CString::new(name).map_err(|_| Errno::EINVAL).step(Layer::Root, || format!("bind {}", entry.target.display()))?;
            match kind_of(sources.bind(index))? {
                Type::Symlink => {
                    link_again(sources.bind(index), store.as_fd(), &name)?;
                    continue;
                }
                Type::Directory => make_dir(store.as_fd(), &name)?,
                _ => make_alike(store.as_fd(), &name, first_file.get_or_insert_with(|| name.clone()))?,
            }
            mount_points.push((index, entry.writable, name));
        }
        for (index, writable, name) in &mount_points {
            let place = Place { dir: store.as_fd(), path: "/dev/kiln/store", name };
            bind(sources.bind(*index), place, MountFlags { read_only: !writable, no_exec: false })?;
        }
        Ok(())
    }

    /// Takes hold of the binds whose targets lie elsewhere: they can be attached only once no link can lead back to the host.
    pub(super) fn hold_late_binds(&self, spec: &SandboxSpec, sources: &Sources) -> Result<LateBinds, Failure> {
        let mut mounts = Vec::new();
        for (index, entry) in spec.binds.iter().enumerate().filter(|(_, entry)| name_in_store(&entry.target).is_none()) {
            let source = sources.bind(index);
            let is_dir = kind_of(source)? == Type::Directory;
            let held = clone(source, MountFlags { read_only: !entry.writable, no_exec: false })?;
            let target = CString::new(entry.target.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL);
            mounts.push((held, target.step(Layer::Root, || "a NUL byte in a path".into())?, is_dir));
        }
        Ok(LateBinds { mounts })
    }

    /// Makes the tree `/` and leaves the old root for good.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        fchdir(&self.top).step(Layer::Root, || "enter the new root".into())?;
        pivot_root(".", ".").step(Layer::Root, || "pivot_root".into())?;
        umount2(".", MntFlags::MNT_DETACH).step(Layer::Root, || "unmount the old root".into())?;
        chdir("/").step(Layer::Root, || "chdir /".into())
    }

    /// Makes `/` itself read-only.
    pub(super) fn make_read_only(&self) -> Result<(), Failure> {
        sys::set_flags(self.top(), MountFlags::READ_ONLY, false).step(Layer::Root, || "make / read-only".into())
    }
}

impl LateBinds {
    /// Attaches them, from inside the new root.
    pub(super) fn attach(self) -> Result<(), Failure> {
        for (held, target, is_dir) in self.mounts {
            let what = || format!("bind {}", target.to_string_lossy());
            make_mount_point(&target, is_dir).step(Layer::Root, what)?;
            sys::attach(held.as_fd(), AT_FDCWD, &target).step(Layer::Root, what)?;
        }
        Ok(())
    }
}

/// The name of a target that lies directly in the store directory.
fn name_in_store(target: &Path) -> Option<&[u8]> {
    let name = target.strip_prefix(STORE_DIR).ok()?.as_os_str().as_bytes();
    (!name.is_empty() && !name.contains(&b'/')).then_some(name)
}

/// Where something becomes visible.
#[derive(Clone, Copy)]
struct Place<'a> {
    dir: BorrowedFd<'a>,
    /// The same directory by its path, before the tree is entered.
    path: &'a str,
    name: &'a CStr,
}

/// Makes a source visible: a link is made again, anything else is bound.
fn show(kind: Type, source: Source<'_>, place: Place<'_>, flags: MountFlags) -> Result<(), Failure> {
    match kind {
        Type::Symlink => return link_again(source, place.dir, place.name),
        Type::Directory => make_dir(place.dir, place.name)?,
        _ => make_file(place.dir, place.name)?,
    }
    bind(source, place, flags)
}

/// Makes a link like `source`.
fn link_again(source: Source<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Failure> {
    let target = readlinkat(source.dir, source.name).step(Layer::Root, || format!("readlink {}", name.to_string_lossy()))?;
    symlinkat(target.as_os_str(), dir, name).step(Layer::Root, || format!("symlink {}", name.to_string_lossy()))
}

/// An empty file to mount on: another name of the first one, since names cost a fraction of what new files do. There may be too many.
fn make_alike(dir: BorrowedFd<'_>, name: &CStr, first: &CStr) -> Result<(), Failure> {
    match linkat(dir, first, dir, name, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(_) => make_file(dir, name),
    }
}

/// A copy of the source's mount, with these flags.
fn clone(source: Source<'_>, flags: MountFlags) -> Result<OwnedFd, Failure> {
    let what = || source.name.to_string_lossy();
    let copy = sys::clone_tree(source.dir, source.name).step(Layer::Root, || format!("clone the mount of `{}`", what()))?;
    if !(source.read_only && flags == MountFlags::READ_ONLY) {
        sys::set_flags(copy.as_fd(), flags, false).step(Layer::Root, || format!("set the mount flags of `{}`", what()))?;
    }
    Ok(copy)
}

fn bind(source: Source<'_>, place: Place<'_>, flags: MountFlags) -> Result<(), Failure> {
    let what = || format!("bind `{}`", place.name.to_string_lossy());
    if source.read_only && flags == MountFlags::READ_ONLY {
        // The flags come with the mount that it lies on, so the old call does it all in one step.
        let target = [place.path.as_bytes(), b"/", place.name.to_bytes()].concat();
        let none = None::<&CStr>;
        fchdir(source.dir).step(Layer::Root, what)?;
        return mount(Some(source.name), target.as_slice(), none, MsFlags::MS_BIND, none).step(Layer::Root, what);
    }
    let copy = clone(source, flags)?;
    sys::attach(copy.as_fd(), place.dir, place.name).step(Layer::Root, what)
}

/// A directory of the sandbox's own.
pub(super) fn make_dir(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Failure> {
    mkdirat(dir, name, Mode::from_bits_truncate(0o755)).step(Layer::Root, || format!("mkdir {}", name.to_string_lossy()))
}

/// An empty file, to mount on.
pub(super) fn make_file(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Failure> {
    write_file(dir, name, b"")
}

/// A read-only file of the sandbox's own.
pub(super) fn write_file(dir: BorrowedFd<'_>, name: &CStr, bytes: &[u8]) -> Result<(), Failure> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let what = || format!("write {}", name.to_string_lossy());
    let mut file = File::from(openat(dir, name, flags, Mode::from_bits_truncate(0o444)).step(Layer::Root, what)?);
    file.write_all(bytes).step(Layer::Root, what)
}

fn kind_of(source: Source<'_>) -> Result<Type, Failure> {
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH;
    let stat = fstatat(source.dir, source.name, flags).step(Layer::Root, || format!("stat `{}`", source.name.to_string_lossy()))?;
    Ok(match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Type::Directory,
        SFlag::S_IFLNK => Type::Symlink,
        _ => Type::File,
    })
}

/// Makes what `target` needs to be mounted on, if it is not there.
fn make_mount_point(target: &CStr, is_dir: bool) -> nix::Result<()> {
    let path = Path::new(std::ffi::OsStr::from_bytes(target.to_bytes()));
    let exists = |made: nix::Result<()>| if made == Err(Errno::EEXIST) { Ok(()) } else { made };
    let parents: Vec<&Path> = path.ancestors().skip(1).filter(|parent| parent.parent().is_some()).collect();
    for parent in parents.into_iter().rev() {
        exists(mkdirat(AT_FDCWD, parent, Mode::from_bits_truncate(0o755)))?;
    }
    if is_dir {
        exists(mkdirat(AT_FDCWD, path, Mode::from_bits_truncate(0o755)))
    } else {
        exists(open(path, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o444)).map(drop))
    }
}
