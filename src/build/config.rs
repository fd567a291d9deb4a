//! `kiln.toml`: the project's, then the user's.
//!
//! In: two optional files. Out: [`Config`]. A project's lists come before the user's; a single value of the project beats the
//! user's. A key that kiln does not know is an error, because a setting that is silently ignored is worse than none.
//!
//! ```toml
//! [mirrors]
//! pypi = ["https://mirror.example/simple"]     # asked before what pip is configured with
//! debian = ["https://mirror.example/debian"]   # asked before apt's sources
//!
//! [fetch]
//! attempts = 4                                 # per mirror
//! stall_seconds = 60                           # a server that sends nothing for so long is given up
//! ca_bundle = "/etc/corp/ca.pem"               # further certificate authorities
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::build::fetch::{FetchOptions, Machine};
use crate::fsio::PathError;

/// What `kiln.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Servers to fetch from.
    pub mirrors: MirrorSettings,
    /// How to fetch.
    pub fetch: FetchSettings,
}

/// The table `[mirrors]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MirrorSettings {
    /// Python package indexes, as pip's `index-url` names them.
    pub pypi: Vec<String>,
    /// Debian archives: addresses under which `pool/` lies.
    pub debian: Vec<String>,
}

/// The table `[fetch]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FetchSettings {
    /// Tries per mirror.
    pub attempts: Option<u32>,
    /// Seconds that a server may send nothing.
    pub stall_seconds: Option<u64>,
    /// A PEM file of further certificate authorities.
    pub ca_bundle: Option<PathBuf>,
}

/// A `kiln.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl Config {
    /// Reads `kiln.toml` of the project and of the user. Files that are not there count as empty.
    ///
    /// # Errors
    /// If one cannot be read, is not TOML, or holds an unknown key or a value of the wrong kind.
    pub fn load(project: Option<&Path>, machine: &Machine) -> Result<Self, ConfigError> {
        let _ = (project, machine);
        todo!()
    }

    /// How patient fetches are.
    pub fn fetch_options(&self) -> FetchOptions {
        todo!()
    }
}
