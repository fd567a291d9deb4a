//! A sandbox at the user's terminal, for `kiln shell`.
//!
//! The sandbox gets a terminal of its own, and this process carries bytes between that and the user's: so the builder has job control in its own
//! session, and nothing it does to its terminal (size, modes, typing into it) reaches the user's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, write};

use super::spawn::system;
use super::{RunningSandbox, SandboxError, SandboxExit, SandboxSpec, Stdio3, sys};

/// How often a stop is looked for, in milliseconds.
const LOOK: u8 = 100;

/// Runs a sandbox at the terminal that standard input is; returns when its command has ended, or was ended because of `stop`. `start` is [`super::spawn()`].
///
/// # Errors
/// If standard input is no terminal, or the sandbox cannot be started or waited for.
pub fn run_at_terminal(
    spec: &SandboxSpec,
    stop: &AtomicBool,
    start: impl FnOnce(&SandboxSpec, Stdio3) -> Result<RunningSandbox, SandboxError>,
) -> Result<SandboxExit, SandboxError> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let modes = tcgetattr(&stdin).map_err(|errno| system("use standard input as a terminal")(errno.into()))?;
    let size = sys::terminal_size(stdin.as_fd());
    let OpenptyResult { master, slave } = openpty(size.as_ref(), Some(&modes)).map_err(|errno| system("make a terminal")(errno.into()))?;
    let copy = || slave.try_clone().map_err(system("copy a descriptor"));
    let stdio = Stdio3 { stdin: Some(copy()?), stdout: copy()?, stderr: slave };
    let spec = SandboxSpec { terminal: true, ..spec.clone() };

    let (resized, notify) = UnixStream::pair().map_err(system("make a socket"))?;
    let handler = signal_hook::low_level::pipe::register(libc::SIGWINCH, notify).map_err(system("watch the terminal's size"))?;
    let running = start(&spec, stdio)?;
    let relayed = {
        let _raw = RawMode::set(stdin.as_fd(), modes).map_err(|errno| system("change the terminal's mode")(errno.into()))?;
        relay(&running, stdin.as_fd(), stdout.as_fd(), &master, &resized, stop)
    };
    signal_hook::low_level::unregister(handler);
    if let Err(errno) = relayed {
        running.kill();
        running.wait()?;
        return Err(system("use the terminal")(errno.into()));
    }
    running.wait()
}

/// Carries bytes until the sandbox has ended and its last output is out.
fn relay(
    running: &RunningSandbox,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    master: &OwnedFd,
    resized: &UnixStream,
    stop: &AtomicBool,
) -> nix::Result<()> {
    let mut input_open = true;
    loop {
        let mut fds = vec![
            PollFd::new(master.as_fd(), PollFlags::POLLIN),
            PollFd::new(running.end_signal(), PollFlags::POLLIN),
            PollFd::new(resized.as_fd(), PollFlags::POLLIN),
        ];
        if input_open {
            fds.push(PollFd::new(input, PollFlags::POLLIN));
        }
        match poll(&mut fds, LOOK) {
            _ if stop.load(Ordering::SeqCst) => {
                running.kill();
                return Ok(());
            }
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        let ready = |index: usize| fds.get(index).is_some_and(|fd| fd.any() == Some(true));
        if ready(2) {
            let _ = read(resized, &mut [0; 64]);
            if let Some(size) = sys::terminal_size(input) {
                sys::set_terminal_size(master.as_fd(), &size)?;
            }
        }
        if ready(3) {
            input_open = carry(input, master.as_fd())?;
        }
        // The other side of a terminal that nobody holds open any more reads as an error.
        if ready(0) && !matches!(carry(master.as_fd(), output), Ok(true)) || !ready(0) && ready(1) {
            return Ok(());
        }
    }
}

/// Carries what can be read at once; `false` at the end.
fn carry(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> nix::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    let count = match read(from, &mut buffer) {
        Err(Errno::EINTR | Errno::EAGAIN) => return Ok(true),
        other => other?,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(count > 0)
}

/// The user's terminal, passing every key on; as it was when dropped.
struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    modes: Termios,
}

impl<'a> RawMode<'a> {
    fn set(terminal: BorrowedFd<'a>, modes: Termios) -> nix::Result<Self> {
        let mut raw = modes.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Self { terminal, modes })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.modes);
    }
}

/// Rows and columns of a terminal, as the kernel has them.
pub(super) type Size = Winsize;
