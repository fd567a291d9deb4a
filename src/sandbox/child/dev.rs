//! `/dev`: the few devices that are the same on every machine, and nothing else.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat, major, minor};
use nix::unistd::symlinkat;

use super::root::{make_dir, make_file};
use super::step::Step;
use crate::sandbox::sys::{self, MountFlags};
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, sys::attach};

/// Name, major and minor number.
const NODES: [(&CStr, u64, u64); 5] = [(c"null", 1, 3), (c"zero", 1, 5), (c"full", 1, 7), (c"random", 1, 8), (c"urandom", 1, 9)];
/// The controlling terminal, for `kiln shell`.
const TERMINAL: (&CStr, u64, u64) = (c"tty", 5, 0);

const LINKS: [(&CStr, &CStr); 4] =
    [(c"/proc/self/fd", c"fd"), (c"/proc/self/fd/0", c"stdin"), (c"/proc/self/fd/1", c"stdout"), (c"/proc/self/fd/2", c"stderr")];

/// Makes `dev` in `top`. `host`: the host's `/dev`, for a device node cannot be made in a user namespace.
pub(super) fn populate(top: BorrowedFd<'_>, host: BorrowedFd<'_>, terminal: bool) -> Result<(), Failure> {
    make_dir(top, c"dev")?;
    let dev = nix::fcntl::openat(top, c"dev", nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .step(Layer::Root, || "open dev".into())?;
    for (name, major, minor) in NODES.into_iter().chain(terminal.then_some(TERMINAL)) {
        make_file(dev.as_fd(), name)?;
        bind_node(host, dev.as_fd(), name, (major, minor)).step(Layer::Root, || format!("bind /dev/{}", name.to_string_lossy()))?;
    }
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).step(Layer::Root, || format!("symlink /dev/{}", name.to_string_lossy()))?;
    }
    make_dir(dev.as_fd(), c"shm")?;
    let options = [(c"size", c"1g"), (c"nr_inodes", c"65536"), (c"mode", c"1777")];
    let shm = sys::new_file_system(c"tmpfs", &options, MountFlags::WRITABLE);
    shm.and_then(|shm| attach(shm.as_fd(), dev.as_fd(), c"shm")).step(Layer::Root, || "mount /dev/shm".into())
}

/// Read-only, or its times could be changed by whoever may write to it.
fn bind_node(host: BorrowedFd<'_>, dev: BorrowedFd<'_>, name: &CStr, number: (u64, u64)) -> nix::Result<()> {
    let node = sys::clone_tree(host, name)?;
    let stat = fstatat(&node, c"", AtFlags::AT_EMPTY_PATH)?;
    let is_device = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    if !is_device || (major(stat.st_rdev), minor(stat.st_rdev)) != number {
        return Err(Errno::ENODEV);
    }
    sys::set_flags(node.as_fd(), MountFlags::READ_ONLY_DATA, true)?;
    attach(node.as_fd(), dev, name)
}
