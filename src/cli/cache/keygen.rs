//! `kiln cache keygen`: a new key.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cache::CacheError;
use crate::cache::signing::{KeyName, SecretKey};
use crate::cli::failure::Failure;
use crate::cli::session::Globals;
use crate::cli::{Exit, exit};
use crate::fsio::IoResultExt as _;

/// Arguments of `keygen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key's name, such as `team-1`; a number lets it be replaced by `team-2` one day
    name: String,
    /// Where the files `NAME.secret` and `NAME.public` go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Made {
    name: KeyName,
    public_key: String,
    secret_file: PathBuf,
    public_file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// If the name is none, or the files exist or cannot be written.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let name: KeyName = args.name.parse().map_err(|error| Failure::from(CacheError::Key(error)))?;
    let key = SecretKey::generate(name.clone()).map_err(CacheError::from)?;
    std::fs::create_dir_all(&args.out).at("create", &args.out)?;
    let (secret_file, public_file) = (args.out.join(format!("{name}.secret")), args.out.join(format!("{name}.public")));
    write(&secret_file, &key.secret_text(), 0o600)?;
    let public_key = key.public().to_string();
    write(&public_file, &public_key, 0o644)?;
    let made = Made { name, public_key, secret_file, public_file };
    globals.ui().print(&made, |made| format!("{}\n", made.public_key))?;
    globals.ui().note(format!("the secret key is in `{}`: whoever has it decides what those who trust it get", made.secret_file.display()));
    Ok(exit::OK)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    // A key that is in use must not be lost.
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.at("create", path)?;
    file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).at("write", path)?;
    Ok(())
}
