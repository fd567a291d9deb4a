//! The descriptor-based mount calls (Linux 5.2 and 5.12): trees are cloned, given their flags, and only then attached.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::checked;

const AT_EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH as libc::c_uint;

/// What a mount allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountFlags {
    pub(crate) read_only: bool,
    pub(crate) no_exec: bool,
}

impl MountFlags {
    pub(crate) const READ_ONLY: Self = Self { read_only: true, no_exec: false };
    pub(crate) const WRITABLE: Self = Self { read_only: false, no_exec: false };
    pub(crate) const READ_ONLY_DATA: Self = Self { read_only: true, no_exec: true };

    /// The flags of `mount_setattr`; set-id bits and, but for device nodes, devices never count.
    fn bits(self, devices: bool) -> u64 {
        let mut bits = libc::MOUNT_ATTR_NOSUID;
        if !devices {
            bits |= libc::MOUNT_ATTR_NODEV;
        }
        if self.read_only {
            bits |= libc::MOUNT_ATTR_RDONLY;
        }
        if self.no_exec {
            bits |= libc::MOUNT_ATTR_NOEXEC;
        }
        bits
    }
}

/// A detached copy of the mount at `path`, relative to `dir`; with an empty path, of what `dir` itself is. Links are not followed.
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr) -> nix::Result<OwnedFd> {
    open_tree(dir, path, libc::AT_SYMLINK_NOFOLLOW as libc::c_uint)
}

/// [`clone_tree`], with every mount below it.
pub(crate) fn clone_tree_recursively(dir: BorrowedFd<'_>, path: &CStr) -> nix::Result<OwnedFd> {
    open_tree(dir, path, libc::AT_RECURSIVE as libc::c_uint)
}

fn open_tree(dir: BorrowedFd<'_>, path: &CStr, how: libc::c_uint) -> nix::Result<OwnedFd> {
    let empty = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | how | empty;
    // SAFETY: the path is a C string that outlives the call; the kernel writes nothing.
    let fd = checked(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sets the flags of a mount (attached or not). `devices`: device nodes work on it.
pub(crate) fn set_flags(mount: BorrowedFd<'_>, flags: MountFlags, devices: bool) -> nix::Result<()> {
    set_attributes(mount, flags.bits(devices), libc::MS_PRIVATE, 0)
}

fn set_attributes(mount: BorrowedFd<'_>, attr_set: u64, propagation: u64, userns_fd: u64) -> nix::Result<()> {
    let attributes = libc::mount_attr { attr_set, attr_clr: 0, propagation, userns_fd };
    // SAFETY: the structure outlives the call and its size is given.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// Maps the owners of a detached mount's files: an id of the file system is what it stands for in the user namespace `map`.
pub(crate) fn map_owners(mount: BorrowedFd<'_>, map: BorrowedFd<'_>) -> nix::Result<()> {
    set_attributes(mount, libc::MOUNT_ATTR_IDMAP, 0, map.as_raw_fd() as u64)
}

/// Attaches a detached mount at `path`, relative to `dir`; with an empty path, on what `dir` itself is.
pub(crate) fn attach(mount: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &CStr) -> nix::Result<()> {
    let mut flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= libc::MOVE_MOUNT_T_EMPTY_PATH;
    }
    // SAFETY: both paths are C strings that outlive the call; the kernel writes nothing.
    checked(unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), dir.as_raw_fd(), path.as_ptr(), flags) })?;
    Ok(())
}

/// A fresh file system, mounted but not attached.
pub(crate) fn new_file_system(kind: &CStr, options: &[(&CStr, &CStr)], flags: MountFlags) -> nix::Result<OwnedFd> {
    const CLOEXEC: libc::c_uint = 1; // FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
    const SET_STRING: libc::c_uint = 1; // FSCONFIG_SET_STRING
    const CREATE: libc::c_uint = 6; // FSCONFIG_CMD_CREATE
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is a C string that outlives the call.
    let fd = checked(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    let context = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    for (key, value) in options {
        // SAFETY: key and value are C strings that outlive the call.
        checked(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), SET_STRING, key.as_ptr(), value.as_ptr(), 0) })?;
    }
    // SAFETY: this command takes neither key nor value.
    checked(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, null, null, 0) })?;
    // SAFETY: no pointers are passed.
    let fd = checked(unsafe { libc::syscall(libc::SYS_fsmount, context.as_fd().as_raw_fd(), CLOEXEC, flags.bits(false)) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
