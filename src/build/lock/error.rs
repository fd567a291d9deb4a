//! Why a lock could not be made, read or written.

use std::path::PathBuf;

use super::LOCK_VERSION;
use crate::build::fetch::FetchError;
use crate::fsio::PathError;

/// Why a lock could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file is something else.
    #[error("`{}` is no lock file: {reason}", path.display())]
    NotALock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is of another version.
    #[error("`{}` is a lock of version {version}; this kiln reads version {LOCK_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// There is no apt.
    #[error("cannot lock Debian packages: `{program}` is not installed here")]
    AptMissing {
        /// The program that was looked for.
        program: &'static str,
    },
    /// apt did not do what it was asked for.
    #[error("cannot lock Debian packages: apt could not {action}\n{output}")]
    AptFailed {
        /// What it should have done: fits "could not …".
        action: String,
        /// The end of what it said.
        output: String,
    },
    /// Neither apt nor `kiln.toml` names an archive.
    #[error("cannot lock Debian packages: this machine has no source of a release's `main` configured")]
    NoSource,
    /// No release was named, and the machine names none.
    #[error("cannot lock Debian packages: no release was named, and apt's sources name none")]
    NoSuite,
    /// The release's pool still changes.
    #[error("cannot lock packages of `{suite}` ({archive}): its pool still moves, and what is locked today is gone tomorrow")]
    MovingSuite {
        /// The release's code name.
        suite: String,
        /// What the archive calls it: `testing`, `unstable`.
        archive: String,
    },
    /// The release has no such source package.
    #[error("there is no source package `{name}` in the release's `main`")]
    UnknownSource {
        /// The name.
        name: String,
    },
    /// A text that names no package.
    #[error("`{0}` cannot be a Debian package: names have lower-case letters, digits, `+`, `-` and `.`")]
    BadName(String),
    /// Nothing was asked for.
    #[error("no package was named")]
    Nothing,
    /// The release has no such package.
    #[error("`{suite}` has no package `{name}`{}", near(.suggestions))]
    UnknownPackage {
        /// The name.
        name: String,
        /// The release.
        suite: String,
        /// Names that are spelt nearly so.
        suggestions: Vec<String>,
    },
    /// apt's answer does not fit together.
    #[error("cannot lock Debian packages: {0}")]
    Inconsistent(String),
    /// The index has no file that was asked for.
    #[error("cannot lock {request}: {reason}")]
    NoSuchFile {
        /// What was asked for.
        request: String,
        /// Why there is none, with what there is instead.
        reason: String,
    },
    /// The index or archive could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] PathError),
}

fn near(suggestions: &[String]) -> String {
    let quoted: Vec<String> = suggestions.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { String::new() } else { format!("; did you mean {}?", quoted.join(" or ")) }
}

impl LockError {
    /// What to try, for the command line's `hint:` line.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AptMissing { .. } => {
                "run `kiln lock debian` on a Debian machine or container; builds need no apt, only the lock".to_owned()
            }
            Self::NoSource => "put a source into /etc/apt/sources.list, or set `debian = [\"…\"]` under [mirrors] in kiln.toml".to_owned(),
            Self::NoSuite => "name the release, for instance `kiln lock debian --suite bookworm`".to_owned(),
            Self::MovingSuite { .. } => "name a stable release, for instance `kiln lock debian --suite bookworm`".to_owned(),
            Self::Version { .. } => "use the kiln that wrote it, or a newer one".to_owned(),
            Self::Fetch(error) => return error.hint(),
            _ => return None,
        })
    }
}
