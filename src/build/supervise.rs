//! A running builder: its output goes to the log, its time limits are kept, and it ends when the build is stopped.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::fsio::{IoResultExt, PathError};
use crate::sandbox::{RunningSandbox, SandboxExit};

use super::error::StepError;
use super::log::LogWriter;
use super::stop::{LOOK, Stop};

/// How long a builder may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// Seconds in all.
    pub total: Option<u64>,
    /// Seconds without a word.
    pub silence: Option<u64>,
}

/// Waits for a builder to end.
///
/// # Errors
/// If it goes beyond a limit, the build is stopped, or the log cannot be written. All processes of the sandbox are gone then too.
pub fn supervise(
    mut sandbox: RunningSandbox,
    output: File,
    log: &mut LogWriter,
    limits: TimeLimits,
    stop: &Stop,
    on_line: &mut dyn FnMut(&str),
) -> Result<SandboxExit, StepError> {
    let mut clock = Clock::new(limits);
    let outcome = pump(output, log, &mut clock, stop, on_line).and_then(|()| {
        // The builder may have closed its output and gone on.
        while !sandbox.ended_within(LOOK)? {
            clock.check(stop)?;
        }
        Ok(())
    });
    if outcome.is_err() {
        sandbox.kill();
    }
    let exit = sandbox.wait()?;
    outcome.map(|()| exit)
}

fn pump(mut output: File, log: &mut LogWriter, clock: &mut Clock, stop: &Stop, on_line: &mut dyn FnMut(&str)) -> Result<(), StepError> {
    let mut buffer = [0u8; 16 * 1024];
    let look = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
    loop {
        let ready = match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], look) {
            Err(Errno::EINTR) => 0,
            other => other.map_err(|error| PathError::new("wait for", "the builder's output", error))?,
        };
        if ready == 0 {
            clock.check(stop)?;
            continue;
        }
        let count = output.read(&mut buffer).at("read", "the builder's output")?;
        if count == 0 {
            return Ok(());
        }
        clock.heard();
        clock.check(stop)?;
        log.take(&buffer[..count], &mut *on_line)?;
    }
}

struct Clock {
    limits: TimeLimits,
    started: Instant,
    last_word: Instant,
}

impl Clock {
    fn new(limits: TimeLimits) -> Self {
        let now = Instant::now();
        Self { limits, started: now, last_word: now }
    }

    fn heard(&mut self) {
        self.last_word = Instant::now();
    }

    fn check(&self, stop: &Stop) -> Result<(), StepError> {
        let over = |limit: Option<u64>, since: Instant| limit.filter(|seconds| since.elapsed() > Duration::from_secs(*seconds));
        if stop.is_requested() {
            return Err(StepError::Stopped);
        }
        if let Some(seconds) = over(self.limits.total, self.started) {
            return Err(StepError::TimedOut(seconds));
        }
        match over(self.limits.silence, self.last_word) {
            Some(seconds) => Err(StepError::Silent(seconds)),
            None => Ok(()),
        }
    }
}
