//! `/proc`: fresh, so that it knows the sandbox's processes only, and masked but for those.
//!
//! Whatever is not about a process is machine state: it gets a fixed text if common programs read it, and is empty otherwise. What to mask is
//! found by listing, so that a file of a later kernel is masked too.
//! Known to remain: a process's `mountinfo` names the bound directories as the host does.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::MsFlags;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir};

use super::root::{Tree, make_dir, write_file};
use super::step::{Layers, Step};
use crate::sandbox::sys::{self, MountFlags};
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, SandboxSpec};

/// Directories that belong to a namespace of the sandbox.
const KEPT: [&[u8]; 1] = [b"sysvipc"];

/// What common programs read; the same on every machine.
const FIXED: [(&CStr, &str); 6] = [
    (c"cpuinfo", "processor\t: 0\n\n"),
    (c"loadavg", "0.00 0.00 0.00 1/1 1\n"),
    (
        c"meminfo",
        "MemTotal:        8388608 kB\nMemFree:         8388608 kB\nMemAvailable:    8388608 kB\nBuffers:               0 kB\nCached:                0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
    ),
    (
        c"stat",
        "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n",
    ),
    (c"uptime", "1.00 1.00\n"),
    (c"version", "Linux version 6.1 (kiln@localhost) #1 SMP\n"),
];

/// The whole of `/proc/sys`.
const SETTINGS: [(&CStr, &str); 9] = [
    (c"sys/kernel/cap_last_cap", "40\n"),
    (c"sys/kernel/domainname", "(none)\n"),
    (c"sys/kernel/hostname", "localhost\n"),
    (c"sys/kernel/ngroups_max", "65536\n"),
    (c"sys/kernel/ostype", "Linux\n"),
    (c"sys/kernel/overflowgid", "65534\n"),
    (c"sys/kernel/overflowuid", "65534\n"),
    (c"sys/vm/max_map_count", "65530\n"),
    (c"sys/vm/overcommit_memory", "0\n"),
];

/// What is put over the files of `/proc`.
pub(super) struct Masks {
    dir: OwnedFd,
}

/// Mounts it on `proc` of the tree. The masks lie in the directory under the mount, where nobody can see them.
pub(super) fn mount(layers: &mut Layers, tree: &Tree, spec: &SandboxSpec) -> Result<Masks, Failure> {
    let dir = openat(tree.top(), c"proc", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .step(Layer::Proc, || "open /proc".into())?;
    make_masks(dir.as_fd())?;
    let flags = MountFlags { read_only: false, no_exec: true };
    let fresh = sys::new_file_system(c"proc", &[], flags).and_then(|proc| sys::attach(proc.as_fd(), tree.top(), c"proc"));
    if !layers.mandatory(Layer::Proc, fresh.step(Layer::Proc, || "mount a new /proc".into()))? {
        debug_assert_eq!(spec.level, crate::model::SandboxLevel::Relaxed);
        let host = sys::clone_tree_recursively(AT_FDCWD, c"/proc");
        host.and_then(|host| {
            sys::set_flags(host.as_fd(), MountFlags::READ_ONLY_DATA, false)?;
            sys::attach(host.as_fd(), tree.top(), c"proc")
        })
        .step(Layer::Proc, || "bind the host's /proc".into())?;
    }
    Ok(Masks { dir })
}

fn make_masks(dir: BorrowedFd<'_>) -> Result<(), Failure> {
    for name in [c"empty-dir", c"sys", c"sys/kernel", c"sys/vm"] {
        make_dir(dir, name)?;
    }
    write_file(dir, c"empty", b"")?;
    for (name, text) in FIXED.into_iter().chain(SETTINGS) {
        write_file(dir, name, text.as_bytes())?;
    }
    Ok(())
}

impl Masks {
    /// Puts them over everything that is not about a process. The tree is `/` and read-only by now, and so are the masks.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        let list = || "list /proc".to_owned();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let proc = openat(AT_FDCWD, c"/proc", flags, Mode::empty()).step(Layer::Proc, list)?;
        let mut names: Vec<(CString, Option<Type>)> = Vec::with_capacity(64);
        for entry in Dir::from_fd(proc).step(Layer::Proc, list)?.iter() {
            let entry = entry.step(Layer::Proc, list)?;
            if !is_kept(entry.file_name().to_bytes(), entry.file_type()) {
                names.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        // The masks have no path but from where they are.
        fchdir(&self.dir).step(Layer::Proc, || "enter the masks' directory".into())?;
        for (name, kind) in names {
            let mask = match kind {
                _ if name.as_c_str() == c"sys" => c"sys",
                _ if FIXED.iter().any(|(fixed, _)| *fixed == name.as_c_str()) => &name,
                Some(Type::Directory) => c"empty-dir",
                _ => c"empty",
            };
            cover(mask, &name).step(Layer::Proc, || format!("mask /proc/{}", name.to_string_lossy()))?;
        }
        chdir("/").step(Layer::Proc, || "chdir /".into())
    }
}

fn is_kept(name: &[u8], kind: Option<Type>) -> bool {
    kind == Some(Type::Symlink) || name.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') || KEPT.contains(&name)
}

/// Binds a mask over a name in `/proc`: by the old call, which does in one step what the new ones do in three.
fn cover(mask: &CStr, name: &CStr) -> nix::Result<()> {
    let target = [c"/proc/".to_bytes(), name.to_bytes()].concat();
    match nix::mount::mount(Some(mask), target.as_slice(), None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>) {
        // A module that was unloaded meanwhile takes its file with it.
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
