//! Terminal calls.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::sandbox::terminal::Size;

/// The size of a terminal; `None` if it is none.
pub(crate) fn terminal_size(terminal: BorrowedFd<'_>) -> Option<Size> {
    let mut size = Size { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request fills a winsize, which outlives the call.
    let answer = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0).then_some(size)
}

/// Sets it.
pub(crate) fn set_terminal_size(terminal: BorrowedFd<'_>, size: &Size) -> nix::Result<()> {
    // SAFETY: the request reads a winsize, which outlives the call.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) })?;
    Ok(())
}

/// Makes the terminal the controlling one of this process's session. Only makes system calls.
pub(crate) fn take_terminal(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the request takes an integer.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
    Ok(())
}
