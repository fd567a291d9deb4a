//! The parent's side: start a sandbox, wait for it, end it.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{SandboxError, SandboxSpec};
use crate::model::LayerOutcome;

/// The three standard descriptors of a builder. `stdin` is used only if the spec asks for a terminal.
#[derive(Debug)]
pub struct Stdio3 {
    /// Standard input; `None` is `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// Standard output (usually the write end of a pipe; the same pipe for both is fine).
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// A sandbox in which the builder is running. Dropping it ends every process in it.
#[derive(Debug)]
pub struct RunningSandbox {}

/// Ends a sandbox from another thread; may outlive it.
#[derive(Clone, Debug)]
pub struct Killer {}

/// How a sandbox ended. All of its processes are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxExit {
    /// The builder's exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What became of each layer and extra.
    pub layers: Vec<LayerOutcome>,
    /// Processor milliseconds, user and system, of all its processes.
    pub cpu_ms: u64,
    /// Peak memory in KiB: of the whole sandbox where a cgroup could be had, else of its largest process.
    pub peak_kib: u64,
}

impl SandboxExit {
    /// Whether the builder ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Starts the spec's command in a fresh sandbox; returns when the program has been executed, or a layer could not be had.
///
/// # Errors
/// If a mandatory layer cannot be had, a path cannot be used, or the program cannot be executed; each says which.
pub fn spawn(spec: &SandboxSpec, stdio: Stdio3) -> Result<RunningSandbox, SandboxError> {
    spawn_program(Path::new("/proc/self/exe"), spec, stdio)
}

/// [`spawn`], with `program` in place of this executable: for callers that are not kiln themselves.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_program(_program: &Path, _spec: &SandboxSpec, _stdio: Stdio3) -> Result<RunningSandbox, SandboxError> {
    todo!()
}

impl RunningSandbox {
    /// The process id, on the host, of the sandbox's first process.
    pub fn pid(&self) -> u32 {
        todo!()
    }

    /// A handle with which another thread can end it.
    pub fn killer(&self) -> Killer {
        todo!()
    }

    /// Ends every process in it, now. Its exit can still be waited for.
    pub fn kill(&self) {
        todo!()
    }

    /// Waits until the builder has ended, then ends everything it left running.
    ///
    /// # Errors
    /// If the sandbox's own first process was lost.
    pub fn wait(self) -> Result<SandboxExit, SandboxError> {
        todo!()
    }

    /// Waits until the builder has ended or the deadline has passed; `true` if it has ended, and [`RunningSandbox::wait`] returns at once.
    ///
    /// # Errors
    /// If waiting itself fails.
    pub fn ended_by(&mut self, _deadline: Instant) -> Result<bool, SandboxError> {
        todo!()
    }

    /// [`RunningSandbox::ended_by`] from now on.
    ///
    /// # Errors
    /// If waiting itself fails.
    pub fn ended_within(&mut self, limit: Duration) -> Result<bool, SandboxError> {
        self.ended_by(Instant::now() + limit)
    }
}

impl Killer {
    /// Ends every process of the sandbox, if it still runs.
    pub fn kill(&self) {
        todo!()
    }
}
