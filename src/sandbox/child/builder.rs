//! The builder's process: session, standard descriptors, signals, directory, program.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;

use super::step::Step;
use crate::sandbox::wire::Failure;
use crate::sandbox::{Layer, SandboxSpec, sys};

/// Everything that starting the builder needs, so that nothing has to be allocated in between.
pub(super) struct Builder {
    program: sys::Program,
    directory: CString,
    /// What becomes standard input; `None`: this process's own.
    input: Option<OwnedFd>,
    /// Whether that is to be the controlling terminal.
    terminal: bool,
}

impl Builder {
    /// Prepares it, from within the sandbox.
    pub(super) fn new(spec: &SandboxSpec, keep_input: bool) -> Result<Self, Failure> {
        let text =
            |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::EINVAL).step(Layer::Process, || "a NUL byte in the command".into());
        let argv = spec.argv.iter().map(|word| text(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let env = spec.env.iter().map(|(name, value)| text(format!("{name}={value}").as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let path = argv.first().cloned().ok_or(Errno::EINVAL).step(Layer::Process, || "an empty command".into())?;
        let null = || {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            open("/dev/null", flags, Mode::empty()).step(Layer::Process, || "open /dev/null".into())
        };
        let input = if keep_input { None } else { Some(null()?) };
        umask(Mode::from_bits_truncate(0o022));
        Ok(Self {
            program: sys::Program::new(path, argv, env),
            directory: text(spec.cwd.as_os_str().as_bytes())?,
            input,
            terminal: spec.terminal,
        })
    }

    /// Starts it; returns its id once the program has been executed.
    pub(super) fn start(&self) -> nix::Result<i32> {
        // Its end must not be missed between here and `attend`.
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
        let cloned = sys::clone_and_run(0, false, &mut || match self.become_builder() {
            Ok(never) => match never {},
            Err(errno) => errno,
        })?;
        Ok(cloned.pid)
    }

    /// In the new process. Only makes system calls.
    fn become_builder(&self) -> nix::Result<std::convert::Infallible> {
        setsid()?;
        if let Some(null) = &self.input {
            sys::place(null.as_fd(), 0)?;
        }
        if self.terminal {
            sys::take_terminal(std::io::stdin().as_fd())?;
        }
        sys::close_from(3)?;
        sys::change_directory(&self.directory)?;
        sys::unblock_signals()?;
        Err(self.program.execute())
    }
}
