//! A throw-away project with a store of its own, and commands run in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::WalkDir;

use super::outcome::Outcome;
use super::root::busybox_root;
use super::running::Running;
use super::scratch::{Scratch, make_removable};

/// An ordinary user's id, for tests that are run by root.
pub(crate) const OTHER_USER: u32 = 1000;

/// What every recipe of [`Project::recipe`] starts with.
const PRELUDE: &str = r#"load("test.star", "root", "sh")"#;

/// `root` is busybox; `sh(name, script, …)` is a derivation on it.
const TEST_STAR: &str = r#"
root = source("//busybox")

def sh(name, script, **more):
    return derivation(name = name, root = root, script = script, **more)
"#;

/// A project, a store and a home below one temporary directory, which goes away with this value.
///
/// ```text
/// <dir>/project/   derivations/default.star, busybox/, whatever the test puts there
/// <dir>/store/     $KILN_STORE
/// <dir>/home/      $HOME, empty
/// <dir>/tmp/       $TMPDIR
/// ```
pub(crate) struct Project {
    dir: Scratch,
    user: Option<u32>,
    env: Vec<(String, String)>,
}

impl Project {
    /// A project with busybox as root to be used, and no recipe yet.
    pub(crate) fn new() -> Self {
        let project = Self::bare();
        busybox_root(&project.at("busybox"));
        project.file("derivations/test.star", TEST_STAR)
    }

    /// An empty project.
    pub(crate) fn bare() -> Self {
        let dir = Scratch::new();
        // Builds on behalf of another user pass through it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for part in ["project/derivations", "home", "tmp"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        Self { dir, user: None, env: Vec::new() }
    }

    /// Sets `derivations/default.star`; `root` and `sh(name, script, …)` are there to use.
    #[must_use]
    pub(crate) fn recipe(self, text: &str) -> Self {
        self.set_recipe(text);
        self
    }

    /// The same, for a project that has been used already.
    pub(crate) fn set_recipe(&self, text: &str) {
        self.write("derivations/default.star", format!("{PRELUDE}\n{text}"));
    }

    /// Puts a file into the project.
    #[must_use]
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// The same, for a project that has been used already.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Sets a variable for the project's commands.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives everything to this user and runs commands as them. Only root can.
    #[must_use]
    pub(crate) fn user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        for entry in WalkDir::new(self.dir.path()) {
            lchown(entry.unwrap().path(), Some(uid), Some(uid)).unwrap();
        }
        self
    }

    /// The directory that holds project, store and home.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A place in the project.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("project").join(path)
    }

    /// The store's directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// `kiln` with these arguments, ready to be changed and run; in the project, with a clean environment.
    pub(crate) fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        let mut command = self.program(self.reachable_kiln());
        command.args(args);
        command
    }

    /// Any program in the project, with the environment that kiln gets here.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.at("")).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.dir.path().join("home")).env("KILN_STORE", self.store());
        // What a killed kiln leaves there goes away with the project.
        command.env("TMPDIR", self.dir.path().join("tmp"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Runs `kiln` with these arguments to its end.
    pub(crate) fn kiln<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Outcome {
        self.start(args).wait()
    }

    /// Starts `kiln` with these arguments.
    pub(crate) fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Running {
        Running::start(self.command(args))
    }

    /// A shell script in mount and user namespaces of its own: `setup` may mount things, `body` then runs as whoever the project's
    /// commands run as. Both find kiln in `$KILN`.
    pub(crate) fn in_namespaces(&self, setup: &str, body: &str) -> Outcome {
        let mut command = self.program("/usr/bin/unshare");
        let (uid, gid) = (nix::unistd::geteuid().to_string(), nix::unistd::getegid().to_string());
        command.env("KILN", self.reachable_kiln()).env("BODY", body).env("OWN_UID", uid).env("OWN_GID", gid);
        if super::is_root() && self.user.is_none() {
            command.args(["-m", "sh", "-euc", &format!("{setup}\nexec sh -uc \"$BODY\"")]);
        } else {
            let back = "exec unshare -U --map-user=$OWN_UID --map-group=$OWN_GID sh -uc \"$BODY\"";
            command.args(["-rm", "sh", "-euc", &format!("{setup}\n{back}")]);
        }
        Running::start(command).wait()
    }

    /// Fails unless every object of the store is what its name says, and no scratch directory is left of a build that did not fail.
    #[track_caller]
    pub(crate) fn sound(&self) {
        self.kiln(["store", "verify"]).success().stdout_has("all sound");
    }

    /// Names of all valid objects, without their digests, sorted.
    pub(crate) fn objects(&self) -> Vec<String> {
        let listing = self.kiln(["store", "ls", "--json"]).success().json();
        let path = |object: &serde_json::Value| object["path"].as_str().unwrap()["/kiln/store/".len() + 33..].to_owned();
        let mut names: Vec<String> = listing.as_array().unwrap().iter().map(path).collect();
        names.sort();
        names
    }

    /// What a file of a built target holds.
    #[track_caller]
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
    }

    /// Removes the whole store.
    pub(crate) fn delete_store(&self) {
        make_removable(&self.store());
        fs::remove_dir_all(self.store()).unwrap();
    }

    /// The kiln under test, copied if the project's user cannot reach it.
    fn reachable_kiln(&self) -> PathBuf {
        let kiln = super::kiln().canonicalize().unwrap();
        let open = |dir: &Path| fs::metadata(dir).is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005);
        if self.user.is_none() || kiln.ancestors().all(open) {
            return kiln;
        }
        let copy = self.dir.path().join("kiln");
        if !copy.exists() {
            fs::copy(kiln, &copy).unwrap();
        }
        copy
    }
}
