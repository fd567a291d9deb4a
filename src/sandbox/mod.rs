//! The sandbox: everything a builder can see is what its derivation declares.
//!
//! In: a [`SandboxSpec`], plain data. Out: a [`RunningSandbox`], and in the end a [`SandboxExit`]; nothing of it is left running.
//! [`spawn()`] is the parent's side and may be called from any thread; [`enter`] is the body of the hidden subcommand with which kiln executes itself,
//! single-threaded from its first line, so that nothing is ever forked from a process with threads. What cannot be had fails the build, with a
//! [`Layer`] and a hint, unless the spec asks for a relaxed sandbox; [`probe()`] tells beforehand.
//!
//! Not here: what a derivation is, where its inputs lie, what becomes of its outputs. `unsafe` code of kiln is in `sys/` below, and nowhere
//! else.
//!
//! What a builder can still tell about a machine: the kernel's release (`uname`), the processor and the number of cores, the clock, the amount of
//! memory (`sysinfo`), free space on the store's disk, and the physical path of the store (`/proc/self/mountinfo`).

mod cgroup;
mod child;
mod error;
mod filter;
mod hint;
mod identity;
mod namespaces;
mod owners;
mod path_bytes;
mod probe;
mod spawn;
mod spec;
mod sys;
mod terminal;
mod wire;

pub use error::{Layer, SandboxError};
pub use probe::{Check, probe};
pub use spawn::{Killer, RunningSandbox, SandboxExit, Stdio3, spawn, spawn_program};
pub use spec::{BUILD_PATH, Bind, HostIdentity, INNER_ID, Limits, SCRIPT_PATH, SandboxSpec, base_environment};
pub use terminal::run_at_terminal;

/// The hidden subcommand with which kiln executes itself.
pub const SUBCOMMAND: &str = "__sandbox";

/// The body of the hidden subcommand: becomes pid 1 of a sandbox. The first thing that `main` does, before any thread is started.
pub fn enter() -> ! {
    child::enter()
}
