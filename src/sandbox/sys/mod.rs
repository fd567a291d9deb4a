//! System calls that neither the standard library nor `nix` wraps: thin, safe functions that return the kernel's answer.
//!
//! Everything `unsafe` of kiln lives below this directory.

mod clone;
mod exec;
mod mounts;
mod process;
mod terminal;

pub(super) use clone::{Cloned, clone_and_run};
pub(super) use exec::{Program, change_directory, place};
pub(super) use mounts::{MountFlags, attach, clone_tree, clone_tree_recursively, map_owners, new_file_system, set_flags};
pub(super) use process::{
    CHILD_SIGNAL, Reaped, adopt, bring_up_loopback, capabilities_of_setup, close_from, drop_capabilities, exit_now, forget_groups,
    install_filter, kill_all, landlock_version, no_new_privileges, not_dumpable, pidfd_kill, reset_signals, set_domain_name,
    unblock_signals, wait_any,
};
pub(super) use terminal::{set_terminal_size, take_terminal, terminal_size};

use nix::errno::Errno;

/// The answer of a raw system call as a result.
fn checked(answer: libc::c_long) -> nix::Result<libc::c_long> {
    Errno::result(answer)
}
