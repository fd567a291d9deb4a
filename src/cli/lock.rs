//! `kiln lock …`: writes down which exact files a list of packages stands for.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::config::Config;
use crate::build::fetch::Mirrors;
use crate::build::lock::{
    DebianLock, DebianLockOptions, DebianSourceFile, LockChanges, PypiLock, PypiRequest, lock_debian, lock_debian_source, lock_pypi,
};
use crate::net::Machine;

use super::failure::Failure;
use super::session::{self, Globals};
use super::{Exit, exit};

/// Write down which exact files a list of packages stands for
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lock Debian packages and everything they need, through apt
    #[command(
        after_help = "Examples:\n  kiln lock debian                 refresh the lock\n  kiln lock debian bash make clang-14   lock these packages\n  kiln lock debian --source hello   what fetch_debian needs for its source"
    )]
    Debian(DebianArgs),
    /// Lock files of Python packages: exact versions, with their digests
    #[command(
        after_help = "Examples:\n  kiln lock pypi                   refresh the lock\n  kiln lock pypi six==1.17.0       lock this one too"
    )]
    Pypi(PypiArgs),
}

/// Arguments of `lock pypi`.
#[derive(Debug, clap::Args)]
pub struct PypiArgs {
    /// `project==version`, or an exact file name; added to what is locked already [default: refresh the lock]
    files: Vec<PypiRequest>,
    /// The lock file [default: derivations/locks/pypi.json]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `lock debian`.
#[derive(Debug, clap::Args)]
pub struct DebianArgs {
    /// Packages [default: those of the lock that is there]
    packages: Vec<String>,
    /// Print pool path and SHA-256 of a source package's files, for `fetch_debian`; no lock is written
    #[arg(long, value_name = "NAME", conflicts_with_all = ["packages", "lock", "dry_run"])]
    source: Option<String>,
    /// The lock file [default: derivations/locks/debian.json]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// The release, such as bookworm [default: that of the lock, or the machine's]
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// The architecture
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Locked {
    file: PathBuf,
    packages: usize,
    changes: LockChanges,
}

/// Runs the command.
///
/// # Errors
/// If apt or the index cannot resolve the names, or the lock cannot be written.
pub fn run(globals: &Globals, command: &Command) -> Exit {
    match command {
        Command::Debian(args) => debian(globals, args),
        Command::Pypi(args) => pypi(globals, args),
    }
}

fn debian(globals: &Globals, args: &DebianArgs) -> Exit {
    if let Some(name) = &args.source {
        return debian_source(globals, args, name);
    }
    let project = globals.project()?;
    let file = args.lock.clone().unwrap_or_else(|| project.join("derivations/locks/debian.json"));
    let old = DebianLock::read(&file)?;
    let lock = resolve(&project, args, old.as_ref())?;
    let locked = Locked { changes: lock.changes_since(old.as_ref()), packages: lock.packages.len(), file };
    if !args.dry_run {
        lock.write(&locked.file)?;
    }
    globals.ui().print(&locked, render)?;
    Ok(exit::OK)
}

fn debian_source(globals: &Globals, args: &DebianArgs, name: &str) -> Exit {
    let config = Config::load(globals.project().ok().as_deref(), &Machine::current())?;
    let options = DebianLockOptions {
        suite: args.suite.clone(),
        architecture: args.architecture.clone().unwrap_or_else(|| "amd64".to_owned()),
        ..DebianLockOptions::default()
    };
    let files = lock_debian_source(name, &options, &Mirrors::from_machine(&config))?;
    globals.ui().print(&files, |files| {
        let call = |file: &DebianSourceFile| format!("fetch_debian(\"{}\", sha256 = \"{}\")\n", file.pool_path, file.sha256.hex());
        files.iter().map(call).collect()
    })?;
    Ok(exit::OK)
}

fn pypi(globals: &Globals, args: &PypiArgs) -> Exit {
    let project = globals.project()?;
    let file = args.lock.clone().unwrap_or_else(|| project.join("derivations/locks/pypi.json"));
    let old = PypiLock::read(&file)?;
    let named = |request: &PypiRequest| args.files.iter().any(|file| file.project == request.project);
    let mut requests = old.as_ref().map(PypiLock::requests).unwrap_or_default();
    requests.retain(|request| !named(request));
    requests.extend(args.files.iter().cloned());
    if requests.is_empty() {
        return Err(Failure::request("there is no lock yet, so name the files").hint("for example `kiln lock pypi six==1.17.0`"));
    }
    let lock = lock_pypi(&requests, &session::fetcher(&session::configure(&project)?))?;
    let locked = Locked { changes: lock.changes_since(old.as_ref()), packages: lock.files.len(), file };
    if !args.dry_run {
        lock.write(&locked.file)?;
    }
    globals.ui().print(&locked, render)?;
    Ok(exit::OK)
}

fn resolve(project: &Path, args: &DebianArgs, old: Option<&DebianLock>) -> Result<DebianLock, Failure> {
    let requested =
        if args.packages.is_empty() { old.map(|lock| lock.requested.clone()).unwrap_or_default() } else { args.packages.clone() };
    if requested.is_empty() {
        return Err(
            Failure::request("there is no lock yet, so name the packages").hint("for example `kiln lock debian bash coreutils make`")
        );
    }
    let options = DebianLockOptions {
        suite: args.suite.clone().or_else(|| old.map(|lock| lock.suite.clone())),
        architecture: args.architecture.clone().or_else(|| old.map(|lock| lock.architecture.clone())).unwrap_or_else(|| "amd64".to_owned()),
        ..DebianLockOptions::default()
    };
    let mirrors = Mirrors::from_machine(&session::configure(project)?);
    Ok(lock_debian(&requested, &options, &mirrors)?)
}

fn render(locked: &Locked) -> String {
    let LockChanges { added, removed, changed } = &locked.changes;
    let mut text = String::new();
    added.iter().for_each(|(name, version)| text.push_str(&format!("+ {name} {version}\n")));
    removed.iter().for_each(|(name, version)| text.push_str(&format!("- {name} {version}\n")));
    changed.iter().for_each(|(name, change)| text.push_str(&format!("~ {name} {} → {}\n", change.before, change.after)));
    text.push_str(&format!("{}: {} packages\n", locked.file.display(), locked.packages));
    text
}
