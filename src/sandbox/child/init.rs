//! The life of pid 1: reap whatever ends, notice when kiln is gone, and end everything when the builder has ended.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sandbox::sys::{self, Reaped};
use crate::sandbox::wire::Report;

/// Sums over every process that was reaped.
#[derive(Default)]
struct Usage {
    cpu_us: u64,
    peak_kib: u64,
}

impl Usage {
    fn add(&mut self, reaped: Reaped) {
        self.cpu_us += reaped.cpu_us;
        self.peak_kib = self.peak_kib.max(reaped.peak_kib);
    }
}

/// Waits for the builder, kills what it left running, and says how it all went. Does not return if kiln is gone.
pub(super) fn attend(control: &UnixStream, builder: i32) -> Report {
    let mut usage = Usage::default();
    let ended = wait_for(control, builder, &mut usage);
    sys::kill_all();
    while let Ok(Some(reaped)) = sys::wait_any(-1, true) {
        usage.add(reaped);
    }
    Report::Ended { code: ended.code, signal: ended.signal, cpu_us: usage.cpu_us, peak_kib: usage.peak_kib }
}

fn wait_for(control: &UnixStream, builder: i32, usage: &mut Usage) -> Reaped {
    let mut child_ended = SigSet::empty();
    child_ended.add(sys::CHILD_SIGNAL);
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
    // The mask is inherited from a parent that blocks everything; this only makes sure.
    let masked = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child_ended), None);
    let (Ok(signals), Ok(())) = (signals, masked) else { sys::exit_now(2) };
    loop {
        while let Ok(Some(reaped)) = sys::wait_any(-1, false) {
            usage.add(reaped);
            if reaped.pid == builder {
                return reaped;
            }
        }
        // Kiln never writes again: anything readable is its end.
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(control.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => sys::exit_now(2),
        }
        if fds[1].any() == Some(true) {
            sys::exit_now(2);
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
}
