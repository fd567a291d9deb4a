//! `kiln init`: a small project that builds: a lock, a root, one C program, one merge.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::build::fetch::Mirrors;
use crate::build::lock::{DebianLockOptions, lock_debian};
use crate::fsio::{IoResultExt as _, create_folder_of};

use super::failure::Failure;
use super::session::{self, Globals};
use super::{Exit, exit};

/// What a new project consists of, besides the lock. The recipes come last: they make a directory a project.
const FILES: [(&str, &str); 5] = [
    (".gitignore", "/store/\n/result*\n"),
    ("src/hello.c", include_str!("init/hello.c")),
    ("share/greeting.txt", include_str!("init/greeting.txt")),
    ("derivations/hello.sh", include_str!("init/hello.sh")),
    ("derivations/default.star", include_str!("init/default.star")),
];

/// What may be there already, and is then left alone.
const KEPT: &str = ".gitignore";

/// Where the lock lies.
const LOCK: &str = "derivations/locks/debian.json";

/// The packages that the recipes name.
const PACKAGES: [&str; 4] = ["coreutils", "dash", "gcc", "libc6-dev"];

/// Write a small project that builds
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln init hello && cd hello && kiln build app\n  kiln init --no-lock .")]
pub struct Args {
    /// Where to; made if it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The Debian release whose packages the root consists of, such as bookworm [default: the machine's]
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Do not ask apt which packages are current; `kiln lock debian` does it later
    #[arg(long)]
    no_lock: bool,
}

#[derive(Serialize)]
struct Made {
    project: PathBuf,
    files: Vec<&'static str>,
    locked: bool,
}

/// Runs the command.
///
/// # Errors
/// If something of the project is there already, or apt cannot name the packages. What was written stays.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    refuse_to_overwrite(&args.dir)?;
    let mut files = Vec::new();
    for (name, text) in FILES.iter().filter(|(name, _)| *name != KEPT || !args.dir.join(name).exists()) {
        let file = args.dir.join(name);
        create_folder_of(&file)?;
        fs::write(&file, text).at("write", &file)?;
        files.push(*name);
    }
    let store = args.dir.join("store");
    fs::create_dir_all(&store).at("create", &store)?;
    let mut made = Made { project: args.dir.clone(), files, locked: false };
    if !args.no_lock {
        lock(args)?;
        made.files.push(LOCK);
        made.locked = true;
    }
    globals.ui().print(&made, render)?;
    Ok(exit::OK)
}

/// Any file that would be written is in the way, whatever it is.
fn refuse_to_overwrite(dir: &Path) -> Result<(), Failure> {
    for name in FILES.iter().map(|(name, _)| *name).chain([LOCK]).filter(|name| *name != KEPT) {
        let file = dir.join(name);
        match file.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::request(format!("cannot look at `{}`: {error}", file.display()))),
            Ok(_) => {
                return Err(Failure::request(format!("`{}` is there already; nothing was written", file.display()))
                    .hint("name a new directory: `kiln init DIR`"));
            }
        }
    }
    Ok(())
}

fn lock(args: &Args) -> Result<(), Failure> {
    let later = |failure: Failure| {
        let packages = PACKAGES.join(" ");
        failure
            .detail("the project is written, but for its lock")
            .hint(format!("in the project, `kiln lock debian {packages}` makes up for it"))
    };
    let mirrors = Mirrors::from_machine(&session::configure(&args.dir).map_err(later)?);
    let options = DebianLockOptions { suite: args.suite.clone(), ..DebianLockOptions::default() };
    let lock = lock_debian(&PACKAGES.map(str::to_owned), &options, &mirrors).map_err(|error| later(error.into()))?;
    lock.write(&args.dir.join(LOCK)).map_err(|error| later(error.into()))
}

fn render(made: &Made) -> String {
    let mut text: String = made.files.iter().map(|file| format!("{}\n", made.project.join(file).display())).collect();
    text.push_str("\nnext:\n");
    if made.project != Path::new(".") {
        text.push_str(&format!("  cd {}\n", made.project.display()));
    }
    if !made.locked {
        text.push_str(&format!("  kiln lock debian {}\n", PACKAGES.join(" ")));
    }
    text.push_str("  kiln build app --out-link result\n  result/bin/hello\n");
    text
}
