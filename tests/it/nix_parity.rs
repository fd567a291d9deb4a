//! What kiln shares with Nix: the golden vectors, and, where Debian's nix-bin is installed, the same answers on generated trees.
//!
//! Everything goes through the built binary. Without nix-bin the parity tests say so and are skipped; the golden vectors always run.

mod golden;
mod nix;
mod objects;
mod parity;
mod trees;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::Project;

/// A kiln with a project and a store of its own; what it prints is bytes, not text.
struct Kiln {
    project: Project,
}

impl Kiln {
    fn new() -> Self {
        Self { project: Project::new() }
    }

    fn dir(&self) -> &Path {
        self.project.dir()
    }

    /// Runs it; gives standard output. It must succeed.
    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Vec<u8> {
        self.feed(args, &[])
    }

    /// As [`Kiln::run`], with something on standard input.
    fn feed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Vec<u8> {
        succeeded(feed(self.project.command(args), input))
    }

    /// As [`Kiln::run`]; what it printed, as JSON.
    fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> serde_json::Value {
        let json = OsString::from("--json");
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain([json]);
        serde_json::from_slice(&self.run(args)).unwrap()
    }

    /// The physical store.
    fn store(&self) -> PathBuf {
        self.project.store()
    }

    /// The NAR of a tree.
    fn dump(&self, tree: &Path) -> Vec<u8> {
        self.run([OsStr::new("store"), OsStr::new("dump"), tree.as_os_str()])
    }

    /// What `store add` says about a tree; with `--dry-run` among the flags nothing is added.
    fn add(&self, name: &str, tree: &Path, flags: &[&str]) -> serde_json::Value {
        let mut args = vec![OsString::from("store"), "add".into(), "--name".into(), name.into()];
        args.extend(flags.iter().map(OsString::from));
        args.push(tree.into());
        self.json(args)[0].take()
    }
}

/// Runs a command with something on standard input.
fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Ends early if the command does not read everything; its exit status then says why.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Standard output of a command that must have succeeded.
fn succeeded(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    output.stdout
}
