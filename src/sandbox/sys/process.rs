//! Calls about processes: capabilities, privileges, the syscall filter, signals, descriptors, and the end.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

use super::checked;

/// The signal of a child's end.
pub(crate) const CHILD_SIGNAL: Signal = Signal::SIGCHLD;

/// Ends this process at once, running nothing.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Takes ownership of a descriptor that this process was started with; `None` if there is none of that number.
pub(crate) fn adopt(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: only asks about a number.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: the caller is the start of a process that was given this descriptor for itself, and calls this once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: RawFd) -> nix::Result<()> {
    // SAFETY: takes no pointers. Whoever owns one of these descriptors in this process is about to be replaced, or has not begun.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) })?;
    Ok(())
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
/// What setting a sandbox up needs, within its own user namespace.
const SETUP: [u32; 5] = [CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_NET_ADMIN, CAP_SYS_ADMIN];

fn set_capabilities(words: [CapabilityWord; 2]) -> nix::Result<()> {
    let header = CapabilityHeader { version: 0x2008_0522, pid: 0 };
    // SAFETY: header and words have the layout of version 3 and outlive the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) })?;
    Ok(())
}

/// Lets the capabilities that the setup needs survive an `execve` (a process in a new user namespace has them all, but would lose them).
/// Only makes system calls.
pub(crate) fn capabilities_of_setup() -> nix::Result<()> {
    let bits = SETUP.iter().fold(0, |bits, capability| bits | 1 << capability);
    let low = CapabilityWord { effective: bits, permitted: bits, inheritable: bits };
    set_capabilities([low, CapabilityWord::default()])?;
    for capability in SETUP {
        // SAFETY: takes no pointers.
        checked(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) }.into())?;
    }
    Ok(())
}

/// Gives up every capability: in the bounding set, ambient, inheritable, permitted and effective.
pub(crate) fn drop_capabilities() -> nix::Result<()> {
    for capability in 0..64 {
        // SAFETY: takes no pointers.
        match checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into()) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    // SAFETY: takes no pointers. No root, no set-id fix-up, no ambient capabilities, each locked.
    checked(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, 0b1110_1111, 0, 0, 0) }.into())?;
    set_capabilities([CapabilityWord::default(); 2])
}

/// No program executed from now on gets a privilege that this process does not have.
pub(crate) fn no_new_privileges() -> nix::Result<()> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    Ok(())
}

/// Closes this process's memory, descriptors and links under `/proc` to its equals.
pub(crate) fn not_dumpable() -> nix::Result<()> {
    // SAFETY: takes no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }.into())?;
    Ok(())
}

/// Leaves every supplementary group.
pub(crate) fn forget_groups() -> nix::Result<()> {
    // SAFETY: a list of length 0 is not read.
    Errno::result(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    Ok(())
}

/// Puts a program of the syscall filter in force.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> nix::Result<()> {
    let program =
        libc::sock_fprog { len: libc::c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which outlives the call, and writes nothing. Without SPEC_ALLOW, kernels before 5.16 slow
    // every program in the sandbox down.
    checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, &raw const program)
    })?;
    Ok(())
}

/// The version of Landlock's interface.
pub(crate) fn landlock_version() -> nix::Result<i32> {
    const VERSION: libc::c_uint = 1; // LANDLOCK_CREATE_RULESET_VERSION
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel takes no structure.
    checked(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, VERSION) }).map(|version| version as i32)
}

/// Sets every signal's disposition back to the default.
pub(crate) fn reset_signals() {
    // The kernel's `struct sigaction` (not the C library's, which keeps two signals to itself): all zero is the default disposition, no
    // flags, an empty mask.
    let default = [0u64; 4];
    for signal in 1..=64 {
        let nothing = std::ptr::null::<u64>();
        // SAFETY: the structure outlives the call and is as large as any architecture's. SIGKILL and SIGSTOP refuse.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, 8) };
    }
}

/// Blocks no signal. Only makes system calls.
pub(crate) fn unblock_signals() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Sets the domain name of the machine, as this process's namespace knows it.
pub(crate) fn set_domain_name(name: &str) -> nix::Result<()> {
    // SAFETY: the kernel reads `len` bytes of a string that outlives the call.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })?;
    Ok(())
}

/// Turns the loopback interface of this network namespace on.
pub(crate) fn bring_up_loopback() -> nix::Result<()> {
    // SAFETY: takes no pointers.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request takes an ifreq, which outlives the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })?;
    Ok(())
}

/// A child that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    /// Its id.
    pub(crate) pid: i32,
    /// Its exit code, if it ended by itself.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Processor microseconds of it and the children it has waited for.
    pub(crate) cpu_us: u64,
    /// Peak memory of the largest of those, in KiB.
    pub(crate) peak_kib: u64,
}

/// Reaps a child that has ended: `pid`, or any if that is -1. `None`: none has, and `block` is off.
pub(crate) fn wait_any(pid: i32, block: bool) -> nix::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    let pid = loop {
        // SAFETY: both structures outlive the call.
        match Errno::result(unsafe { libc::wait4(pid, &raw mut status, flags, &raw mut usage) }) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Ok(None),
            Ok(pid) => break pid,
            Err(errno) => return Err(errno),
        }
    };
    let micros = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
    Ok(Some(Reaped {
        pid,
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }))
}

/// Sends SIGKILL to every process of this pid namespace but its first.
pub(crate) fn kill_all() {
    // SAFETY: takes no pointers. An error means that there was none.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Sends SIGKILL to the process behind a descriptor; nothing happens if it is gone.
pub(crate) fn pidfd_kill(pidfd: BorrowedFd<'_>) {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without information to send, no pointer is followed.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, no_info, 0) };
}
