//! The sandbox: a spec as plain data, the parent that starts it, and the re-executed child that enters it.

mod error;
mod identity;
mod path_bytes;
mod probe;
mod spawn;
mod spec;

pub use error::{Layer, SandboxError};
pub use probe::{Check, probe};
pub use spawn::{Killer, RunningSandbox, SandboxExit, Stdio3, spawn, spawn_program};
pub use spec::{BUILD_PATH, Bind, HostIdentity, INNER_ID, Limits, SCRIPT_PATH, SandboxSpec, base_environment};

/// The hidden subcommand with which kiln executes itself.
pub const SUBCOMMAND: &str = "__sandbox";

/// The body of the hidden subcommand: becomes pid 1 of a sandbox. The first thing that `main` does, before any thread is started.
pub fn enter() -> ! {
    todo!()
}
