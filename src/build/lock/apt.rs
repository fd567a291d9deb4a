//! Running apt in a state directory of our own.
//!
//! apt gets its whole configuration from a file in that directory (`APT_CONFIG`), which switches the machine's configuration off: hooks
//! of the machine would otherwise run, and its preferences would leak into the lock. Carried over are only the settings of its transports
//! (proxies, certificates, credentials). The package database is empty, so that apt answers with a whole closure.
//!
//! ```text
//! <state>/
//!   kiln.lock     one kiln at a time
//!   apt.conf      the configuration
//!   sources.d/    one source
//!   status        empty: nothing is installed
//!   lists/        signed lists, kept between runs
//!   cache/
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::LockError;
use crate::fsio::{FileLock, IoResultExt, LockKind, PathError};
use crate::net::Machine;

/// Variables that reach apt.
const PASSED: [&str; 11] =
    ["PATH", "HOME", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "TMPDIR"];

/// Settings of the machine's apt that are carried over: how to reach servers, and credentials.
const CARRIED: [&str; 6] =
    ["acquire::http::", "acquire::https::", "acquire::socks::", "acquire::proxy", "dir::etc::netrc ", "dir::etc::netrcparts "];

/// Lines of apt's output that an error shows at most.
const SHOWN_LINES: usize = 12;

/// Where one archive lies, and whose signature it must bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suite: String,
    pub(super) signed_by: Option<String>,
}

/// apt in a directory of its own; nobody else uses it meanwhile.
#[derive(Debug)]
pub(super) struct PrivateApt<'a> {
    dir: PathBuf,
    machine: &'a Machine,
    _lock: FileLock,
}

impl<'a> PrivateApt<'a> {
    /// Lays the directory out.
    ///
    /// # Errors
    /// If it cannot be written, or apt is not installed.
    pub(super) fn new(dir: &Path, architecture: &str, machine: &'a Machine) -> Result<Self, LockError> {
        for part in ["sources.d", "lists/partial", "cache/archives/partial", "log"] {
            let part = dir.join(part);
            std::fs::create_dir_all(&part).at("create", &part)?;
        }
        let dir = dir.canonicalize().at("find", dir)?;
        let lock = FileLock::take(&dir.join("kiln.lock"), LockKind::Exclusive)?;
        let apt = Self { dir, machine, _lock: lock };
        if apt.dir.to_str().is_none_or(|path| path.contains(['"', '\n'])) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "apt cannot be told of a path with quotes or line breaks");
            return Err(PathError::new("use", &apt.dir, error).into());
        }
        apt.write("status", "")?;
        let carried = apt.carried_settings()?;
        apt.write("apt.conf", &apt.configuration(architecture, &carried))?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PathError> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).at("write", path)
    }

    /// The machine's settings of transports, as lines of a configuration file.
    fn carried_settings(&self) -> Result<String, LockError> {
        let dump = self.command("apt-config").arg("dump").stdin(Stdio::null()).output();
        let dump = succeeded("apt-config", "show its configuration", dump)?;
        let carried = |line: &&str| {
            let key = line.to_ascii_lowercase();
            CARRIED.iter().any(|prefix| key.starts_with(prefix)) && line.ends_with("\";")
        };
        Ok(dump.lines().filter(carried).map(|line| format!("{line}\n")).collect())
    }

    fn configuration(&self, architecture: &str, carried: &str) -> String {
        let dir = self.dir.display();
        // Downloads are made by an unprivileged user of apt's; if that one cannot reach the directory, root must do it.
        let user = if nix::unistd::geteuid().is_root() && !reachable_by_all(&self.dir) { "APT::Sandbox::User \"root\";\n" } else { "" };
        format!(
            "{carried}{user}\
             Dir::State \"{dir}\";\n\
             Dir::State::lists \"{dir}/lists\";\n\
             Dir::State::status \"{dir}/status\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             Dir::Log \"{dir}/log\";\n\
             Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\n\
             Dir::Etc::sourceparts \"{dir}/sources.d\";\n\
             APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Install-Suggests \"false\";\n\
             APT::Get::AllowUnauthenticated \"false\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Acquire::AllowInsecureRepositories \"false\";\n\
             Acquire::AllowWeakRepositories \"false\";\n\
             Acquire::AllowDowngradeToInsecureRepositories \"false\";\n\
             Acquire::ForceHash \"SHA256\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::http::Timeout \"60\";\n\
             Acquire::https::Timeout \"60\";\n"
        )
    }

    /// Reads the signed lists of `source`, the only one from now on; `kind` is `deb` for packages, `deb-src` for sources.
    ///
    /// # Errors
    /// If they cannot be had, or bear no valid signature.
    pub(super) fn update(&self, source: &Source, kind: &str, architecture: &str) -> Result<(), LockError> {
        let Source { uri, suite, signed_by } = source;
        let signed_by = signed_by.as_ref().map(|keys| format!("Signed-By: {keys}\n")).unwrap_or_default();
        let text = format!("Types: {kind}\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: {architecture}\n{signed_by}");
        self.write("sources.d/kiln.sources", &text)?;
        self.run("apt-get", &["update", "-qq"], &format!("read the lists of `{suite}`")).map(|_| ())
    }

    /// Runs one of apt's programs and returns what it printed.
    ///
    /// # Errors
    /// If it fails; `action` says what it should have done.
    pub(super) fn run(&self, program: &'static str, arguments: &[&str], action: &str) -> Result<String, LockError> {
        let output = self.command(program).env("APT_CONFIG", self.dir.join("apt.conf")).args(arguments).stdin(Stdio::null()).output();
        succeeded(program, action, output)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let passed = PASSED.iter().filter_map(|name| Some((*name, self.machine.var(name)?)));
        command.env_clear().envs(passed).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").current_dir(&self.dir);
        command
    }
}

fn succeeded(program: &'static str, action: &str, output: io::Result<Output>) -> Result<String, LockError> {
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LockError::AptMissing { program }),
        Err(error) => return Err(LockError::Io(PathError::new("run", program, error))),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown: Vec<String> = lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().map(|line| format!("  {line}")).collect();
    let shown = if shown.is_empty() { format!("  it said nothing, and ended with {}", output.status) } else { shown.join("\n") };
    Err(LockError::AptFailed { action: action.to_owned(), output: shown })
}

/// Whether every directory on the way to `dir` may be passed by everybody.
fn reachable_by_all(dir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    dir.ancestors().all(|part| std::fs::metadata(part).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}
