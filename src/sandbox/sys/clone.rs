//! Starting a process in the memory of this one, which stands still until the new one has executed a program or ended.
//!
//! `fork` would copy page tables; `posix_spawn` knows no namespaces. What runs in between ([`clone_and_run`]'s `body`) shares this process's
//! memory but not its descriptors, directory, credentials or signal handlers.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// A process that [`clone_and_run`] has started.
#[derive(Debug)]
pub(crate) struct Cloned {
    /// Its id.
    pub(crate) pid: i32,
    /// A descriptor of it, if one was asked for.
    pub(crate) pidfd: Option<OwnedFd>,
}

const STACK_BYTES: usize = 64 * 1024;

struct Call<'a> {
    body: &'a mut dyn FnMut() -> Errno,
    failure: Option<Errno>,
}

extern "C" fn run(call: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone_and_run` passes a pointer to its own `Call` and stands still while this runs.
    let call = unsafe { &mut *call.cast::<Call<'_>>() };
    call.failure = Some((call.body)());
    // The process ends here, without running any destructor of the memory that it shares.
    super::exit_now(127)
}

/// Clones this process with `flags` (namespaces) and runs `body` in the new one; returns when that has executed a program. `body`
/// returns only if it failed, and is then the error.
///
/// `body` may only make system calls: no allocation, no lock, no panic, since another thread may hold whatever they need.
pub(crate) fn clone_and_run(flags: libc::c_int, with_pidfd: bool, body: &mut dyn FnMut() -> Errno) -> nix::Result<Cloned> {
    let mut call = Call { body, failure: None };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK_BYTES / size_of::<u128>());
    let mut pidfd: libc::c_int = -1;
    let pidfd_flag = if with_pidfd { libc::CLONE_PIDFD } else { 0 };
    let all_flags = flags | pidfd_flag | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;

    // A signal handler must not run in the new process: it would act on this one's memory.
    let mut old_mask = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut old_mask))?;
    // SAFETY: the stack's top is 16-byte aligned and within its allocation, which outlives the call; `run` gets a pointer to `call`, which
    // also does; CLONE_VFORK keeps this thread from touching either until the new process has let go of the memory.
    let pid = Errno::result(unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), all_flags, (&raw mut call).cast(), &raw mut pidfd)
    });
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&old_mask), None)?;
    let pid = pid?;
    // SAFETY: with CLONE_PIDFD the kernel has just made this descriptor, and nobody else knows it.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    match call.failure {
        None => Ok(Cloned { pid, pidfd }),
        Some(errno) => {
            // SAFETY: the process is this one's child and has ended; nothing is written.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Err(errno)
        }
    }
}
