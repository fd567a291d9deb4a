//! Who owns the inputs, as a builder sees it: itself, whoever runs kiln.
//!
//! An ordinary user's store belongs to that user, who is uid 1000 inside. Root's store belongs to root, who is nobody inside, and a script that
//! records owners (`tar`) would make other bytes. So a privileged kiln hands the child copies of the mounts that inputs lie on, with owners
//! mapped: root of the file system is the builder's user (Linux 5.12, and a file system that can do it). Where that is not possible the
//! build goes on, and the record says so.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::sys::{self, MountFlags};
use super::wire::CONTROL;
use super::{HostIdentity, SUBCOMMAND, SandboxSpec};

/// More directories than any spec has in practice; what lies in others is not mapped.
pub(super) const MOST: usize = 64;

/// Directories of inputs, each as a mount of its own: read-only, owners mapped, not attached anywhere.
#[derive(Debug, Default)]
pub(super) struct MappedDirectories {
    /// The root, and the directories that binds lie in.
    pub(super) paths: Vec<PathBuf>,
    /// Their mounts.
    pub(super) mounts: Vec<OwnedFd>,
}

/// Makes them for a spec. `program`: kiln.
pub(super) fn map(program: &Path, spec: &SandboxSpec) -> Result<MappedDirectories, String> {
    static MAP: OnceLock<(HostIdentity, Result<OwnedFd, String>)> = OnceLock::new();
    let make = || owner_map(program, spec.host).map_err(|error| format!("a user namespace for the owners: {error}"));
    let (host, map) = MAP.get_or_init(|| (spec.host, make()));
    let map = map.as_ref().map_err(Clone::clone)?;
    if *host != spec.host {
        return Err("this process has mapped owners to another user before".into());
    }
    let read_only = spec.binds.iter().filter(|bind| !bind.writable);
    let parents: BTreeSet<&Path> = read_only.filter_map(|bind| bind.source.parent()).collect();
    let mut mapped = MappedDirectories::default();
    for path in [spec.root.as_path()].into_iter().chain(parents).take(MOST) {
        let mount = map_directory(path, map).map_err(|errno| format!("{}: {}", path.display(), errno.desc()))?;
        mapped.paths.push(path.to_owned());
        mapped.mounts.push(mount);
    }
    Ok(mapped)
}

fn map_directory(path: &Path, map: &OwnedFd) -> nix::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mount = sys::clone_tree(AT_FDCWD, &path)?;
    sys::set_flags(mount.as_fd(), MountFlags::READ_ONLY, false)?;
    sys::map_owners(mount.as_fd(), map.as_fd())?;
    Ok(mount)
}

/// A user namespace in which 0 stands for the builder's host user. Only its descriptor is kept; the process that it is made with ends.
fn owner_map(program: &Path, host: HostIdentity) -> std::io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let path = CString::new(program.as_os_str().as_bytes())?;
    let itself = sys::Program::new(path, vec![c"kiln".into(), CString::new(SUBCOMMAND)?], Vec::new());
    // It waits for an order that never comes.
    let child = sys::clone_and_run(libc::CLONE_NEWUSER, false, &mut || match sys::place(theirs.as_fd(), CONTROL) {
        Ok(()) => itself.execute(),
        Err(errno) => errno,
    })?;
    drop(theirs);
    let directory = PathBuf::from(format!("/proc/{}", child.pid));
    let fill = || -> std::io::Result<OwnedFd> {
        std::fs::write(directory.join("uid_map"), format!("0 {} 1\n", host.uid))?;
        std::fs::write(directory.join("gid_map"), format!("0 {} 1\n", host.gid))?;
        Ok(File::open(directory.join("ns/user"))?.into())
    };
    let namespace = fill();
    drop(ours);
    sys::wait_any(child.pid, true)?;
    namespace
}
