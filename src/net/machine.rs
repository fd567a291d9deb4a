//! The machine as configuration readers see it: its environment variables and where its files start.
//!
//! A test makes one of a temporary directory; everything else uses [`Machine::current`]. These variables are read, and no others:
//!
//! | variable | for |
//! |---|---|
//! | `HOME`, `XDG_CONFIG_HOME`, `XDG_CONFIG_DIRS`, `XDG_CACHE_HOME` | finding the user's configuration and cache |
//! | `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL`, `PIP_NO_INDEX`, `PIP_CONFIG_FILE`, `PIP_CERT` | pip's settings |
//! | `VIRTUAL_ENV`, `CONDA_PREFIX`, `PYENV_ROOT`, `PATH` | where a pip may be installed |
//! | `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` (and in capitals) | proxies |
//! | `KILN_CACHE_TOKEN` | what lets kiln into the user's binary caches |
//! | `AWS_…` | binary caches in S3 (listed in `cache::s3_settings`) |
//! | `SSL_CERT_FILE`, `SSL_CERT_DIR` | certificate authorities (read by `rustls-native-certs`) |

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::fsio::PathError;

/// No configuration file is longer than this; one that is gets refused, not read.
const LONGEST_FILE: u64 = 4 << 20;

/// Environment variables and a root directory.
#[derive(Clone)]
pub struct Machine {
    root: PathBuf,
    env: BTreeMap<String, String>,
}

impl Machine {
    /// This process's machine. Variables that are not UTF-8 are left out.
    pub fn current() -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { root: PathBuf::from("/"), env: env.collect() }
    }

    /// A machine whose absolute paths lie under `root`, with these variables.
    pub fn at(root: &Path, env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { root: root.to_owned(), env }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The user's home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from)
    }

    /// The user's configuration directory.
    pub fn config_home(&self) -> Option<PathBuf> {
        self.var("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(self.home()?.join(".config")))
    }

    /// The user's cache directory.
    pub fn cache_home(&self) -> Option<PathBuf> {
        self.var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(self.home()?.join(".cache")))
    }

    /// Where an absolute path of the machine really lies.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file; `None` if there is none, or none that this user may read.
    ///
    /// # Errors
    /// If it is there and cannot be read for another reason, or is too long for a configuration file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>, PathError> {
        let path = self.path(path);
        match std::fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Ok(None),
            Ok(metadata) if metadata.len() > LONGEST_FILE => {
                return Err(PathError::new("read", path, io::Error::other("it is too long for a configuration file")));
            }
            _ => {}
        }
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(PathError::new("read", path, error)),
        }
    }

    /// The entries of a directory as absolute paths of the machine, sorted; none if it cannot be listed.
    pub fn list(&self, dir: impl AsRef<Path>) -> Vec<PathBuf> {
        let dir = dir.as_ref();
        let entries = std::fs::read_dir(self.path(dir)).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<PathBuf> = entries.map(|entry| dir.join(entry.file_name())).collect();
        paths.sort();
        paths
    }
}

/// Without the variables: some are secrets.
impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({})", self.root.display())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory)
}
