//! Replacing a process by a program, with everything that needs memory made beforehand.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use nix::errno::Errno;

/// A program, its arguments and its environment, as the kernel wants them.
#[derive(Debug)]
pub(crate) struct Program {
    path: CString,
    // The pointers point into these.
    _strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
}

impl Program {
    /// Puts one together.
    pub(crate) fn new(path: CString, argv: Vec<CString>, env: Vec<CString>) -> Self {
        let pointers = |strings: &[CString]| strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        let (argv_pointers, env_pointers) = (pointers(&argv), pointers(&env));
        Self { path, _strings: argv.into_iter().chain(env).collect(), argv: argv_pointers, env: env_pointers }
    }

    /// Becomes the program; returns only if that failed. Only makes system calls.
    pub(crate) fn execute(&self) -> Errno {
        // SAFETY: both arrays end in a null pointer; the strings they point to are owned by `self` and never change.
        unsafe { libc::execve(self.path.as_ptr(), self.argv.as_ptr(), self.env.as_ptr()) };
        Errno::last()
    }
}

/// Makes `number` another name of `descriptor`, kept over an `execve`. Only makes system calls.
///
/// Whatever `number` was is closed: only for a process whose descriptors belong to nobody yet.
pub(crate) fn place(descriptor: BorrowedFd<'_>, number: RawFd) -> nix::Result<()> {
    // SAFETY: takes no pointers.
    Errno::result(unsafe { libc::dup2(descriptor.as_raw_fd(), number) })?;
    Ok(())
}

/// Changes the directory. Only makes system calls.
pub(crate) fn change_directory(path: &CStr) -> nix::Result<()> {
    // SAFETY: the path is a C string that outlives the call.
    Errno::result(unsafe { libc::chdir(path.as_ptr()) })?;
    Ok(())
}
