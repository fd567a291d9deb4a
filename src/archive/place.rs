//! New files, as a store wants them.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::{TimeSpec, TimeValLike};

/// Creates the file `name` in `parent`; one that is there already, or a link, is an error.
pub(super) fn create_file(parent: impl AsFd, name: &CStr) -> Result<File, Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
}

/// Gives a finished file its mode and time: 0444 or 0555, one second after 1970.
pub(super) fn seal(file: &File, executable: bool) -> Result<(), Errno> {
    let mode = if executable { 0o555 } else { 0o444 };
    fchmod(file, Mode::from_bits_truncate(mode))?;
    futimens(file, &TimeSpec::seconds(1), &TimeSpec::seconds(1))
}
