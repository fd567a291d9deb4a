//! What the tests of the command line share: throw-away projects, the results of commands, processes, servers, and honest skipping.
//!
//! A test reads like a session at a terminal: `Project::new().recipe(…).kiln(["build", "x"]).success().stdout("…")`. Nothing here touches the
//! user's store, home or configuration, and nothing is left behind.

// Each helper is used by some of the tests; which ones changes often.
#![allow(dead_code, unused_imports)]

mod outcome;
mod processes;
mod project;
mod root;
mod running;
mod scratch;
mod server;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use outcome::Outcome;
pub(crate) use processes::{await_no_process, eventually, processes};
pub(crate) use project::{OTHER_USER, Project};
pub(crate) use root::busybox_root;
pub(crate) use running::Running;
pub(crate) use scratch::{Scratch, until_exit};
pub(crate) use server::{Reply, Server};

/// The kiln under test: `$KILN_TEST_BIN` if this test program was carried elsewhere, otherwise the one that cargo built.
pub(crate) fn kiln() -> &'static Path {
    static KILN: OnceLock<PathBuf> = OnceLock::new();
    KILN.get_or_init(|| std::env::var_os("KILN_TEST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_kiln").into(), PathBuf::from))
}

/// Says that a test did not run, and why: on standard error past the test harness's capture, and in the file `$KILN_TEST_SKIPS` names.
///
/// Use: `return skip("needs root");`
pub(crate) fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("KILN_TEST_SKIPS") {
        OpenOptions::new().create(true).append(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A number that no other test of this machine uses at the moment; to find processes by their arguments.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("77{:07}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    kiln::model::Sha256::of(bytes).to_string()
}
