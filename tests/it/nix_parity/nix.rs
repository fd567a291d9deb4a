//! Debian's Nix, in single-user mode, offline, with a state directory of its own and our store directory.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{feed, succeeded};
use crate::support::{Scratch, skip};

/// A Nix that shares nothing with the machine's.
pub(super) struct Nix {
    dir: Scratch,
}

impl Nix {
    /// `None`, with the reason printed, if Nix is not installed.
    pub(super) fn find() -> Option<Self> {
        // Whether it can be executed: that it fails without a store of its own does not matter here.
        let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if let Some(missing) = ["nix", "nix-store", "nix-hash"].into_iter().find(|program| !installed(program)) {
            skip(&format!("`{missing}` is not installed (Debian: nix-bin)"));
            return None;
        }
        let dir = Scratch::new();
        for name in ["etc", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let settings = "experimental-features = nix-command\nbuild-users-group =\nsubstituters =\nrequire-sigs = true\n";
        fs::write(dir.path().join("etc/nix.conf"), settings).unwrap();
        Some(Self { dir })
    }

    fn command<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Command {
        let below = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(program);
        command.args(args).env("HOME", below("home")).env("XDG_CACHE_HOME", below("home/.cache"));
        // Nix wants a name, and the user may have none.
        command.env("USER", "somebody").env("NIX_REMOTE", "").env("NIX_STORE_DIR", "/kiln/store").env("NIX_CONF_DIR", below("etc"));
        command.env("NIX_STATE_DIR", below("var")).env("NIX_LOG_DIR", below("log"));
        command
    }

    fn run<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Vec<u8> {
        succeeded(feed(self.command(program, args), &[]))
    }

    fn line<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> String {
        String::from_utf8(self.run(program, args)).unwrap().trim_end().to_owned()
    }

    /// The NAR of a tree.
    pub(super) fn dump(&self, tree: &Path) -> Vec<u8> {
        self.run("nix-store", [OsStr::new("--dump"), tree.as_os_str()])
    }

    /// Lays out a NAR.
    pub(super) fn restore(&self, nar: &[u8], dest: &Path) {
        succeeded(feed(self.command("nix-store", [OsStr::new("--restore"), dest.as_os_str()]), nar));
    }

    /// SHA-256 of a tree's NAR, hexadecimal.
    pub(super) fn hash(&self, tree: &Path) -> String {
        self.line("nix-hash", [OsStr::new("--type"), OsStr::new("sha256"), tree.as_os_str()])
    }

    /// The store path that a tree would get; or a file, under flat addressing.
    pub(super) fn path_of(&self, how: &str, name: &str, tree: &Path) -> String {
        let words = ["store", how, "--dry-run", "--name", name].map(OsStr::new);
        self.line("nix", words.into_iter().chain([tree.as_os_str()]))
    }

    /// The store that [`Nix::import`] fills.
    fn imports(&self) -> String {
        format!("local?root={}", self.dir.path().join("imported").display())
    }

    /// Copies unsigned objects out of a cache directory. Nix checks NAR hash, content address, path and references of each.
    pub(super) fn import(&self, cache: &Path, paths: &[&str]) -> Output {
        self.copy(cache, paths, &[])
    }

    /// As [`Nix::import`], of objects whose digests say nothing about their content: only NAR hashes are checked.
    pub(super) fn import_unchecked(&self, cache: &Path, paths: &[&str]) -> Output {
        self.copy(cache, paths, &["--no-check-sigs"])
    }

    fn copy(&self, cache: &Path, paths: &[&str], flags: &[&str]) -> Output {
        let from = format!("file://{}", cache.display());
        let to = self.imports();
        // It remembers what it has read from a cache of the same address.
        let _ = fs::remove_dir_all(self.dir.path().join("home/.cache"));
        let words = ["copy", "--from", &from, "--to", &to].into_iter().chain(flags.iter().chain(paths).copied());
        feed(self.command("nix", words), &[])
    }

    /// What it knows about imported objects.
    pub(super) fn path_infos(&self, paths: &[&str]) -> serde_json::Value {
        let store = self.imports();
        let words = ["path-info", "--json", "--store", &store].into_iter().chain(paths.iter().copied());
        serde_json::from_slice(&self.run("nix", words)).unwrap()
    }

    /// Lets it work out the content addresses of imported objects by itself, from their bytes and references; gives what it says about it.
    pub(super) fn readdress(&self, paths: &[&str]) -> String {
        let store = self.imports();
        let words = ["store", "make-content-addressed", "--store", &store].into_iter().chain(paths.iter().copied());
        let output = feed(self.command("nix", words), &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        succeeded(output);
        said
    }
}
