//! Fetching declared files: from a registry's mirrors, streamed to disk, checked against their SHA-256 before anybody reads them.
//!
//! In: a [`FetchRequest`] (which file of which registry, and its hash) and a path to write to. Out: that file, or a [`FetchError`] that
//! names every mirror that was asked. Which servers are asked is the machine's own configuration ([`Mirrors`]); no server's name is
//! written here. Because the hash is declared, a mirror is trusted with nothing but being slow.
//!
//! How one file is fetched:
//!
//! 1. The mirrors are asked in order; one that was found dead before goes last.
//! 2. On a Python index the project's page (PEP 691 JSON, or PEP 503 HTML) says where the file lies; in a Debian archive its path does.
//! 3. A transfer that breaks (reset, stall, too short, 408, 429, 5xx) is taken up where it broke, after a pause that doubles; `Retry-After`
//!    is heeded. 404 and its like go on to the next mirror at once, and so does a file with other bytes than the declared ones.
//! 4. Memory is one buffer, whatever the file's size. What is left of a failed fetch is removed.
//!
//! Not here: making single requests ([`crate::net`]), deciding what must be fetched (`build::plan`), and the store (`store::add`).

mod apt_sources;
mod error;
mod fetcher;
mod mirrors;
mod pip;
mod pip_default;
mod simple_index;
mod transfer;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_mirrors;
#[cfg(test)]
mod faults_tls;
#[cfg(test)]
mod real;
#[cfg(test)]
mod trial;

use std::path::PathBuf;
use std::time::Duration;

pub use apt_sources::AptSource;
pub(in crate::build) use apt_sources::paragraphs;
pub use error::{FetchError, MirrorFailure, Mismatch, Registry};
pub use fetcher::Fetcher;
pub use mirrors::Mirrors;
pub(in crate::build) use simple_index::normalized as normalized_project;

use crate::model::{FetchSource, Sha256};

/// A file to fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// Where it comes from.
    pub source: &'a FetchSource,
    /// What messages call it.
    pub name: &'a str,
    /// The digest it must have.
    pub sha256: Sha256,
    /// Its length, where that is known before: a mirror that sends more is cut off.
    pub size: Option<u64>,
}

/// A file that was fetched, and has the declared digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its length.
    pub bytes: u64,
    /// Where it came from, without credentials.
    pub url: String,
}

/// A file that a Python package index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::build) struct ListedFile {
    /// Its name.
    pub(in crate::build) name: String,
    /// Its digest, if the index says it.
    pub(in crate::build) sha256: Option<Sha256>,
    /// Its length, if the index says it.
    pub(in crate::build) size: Option<u64>,
}

/// How a fetch is getting on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A server is being asked.
    Asking {
        /// The address, without credentials.
        url: String,
    },
    /// Bytes have come in.
    Received {
        /// So many until now.
        bytes: u64,
        /// Of so many, if the server said.
        total: Option<u64>,
    },
    /// The transfer broke and will be taken up again.
    Retrying {
        /// The address, without credentials.
        url: String,
        /// Why.
        reason: String,
        /// After this pause.
        pause: Duration,
    },
    /// The pause goes on. Comes a few times a second, so that a fetch can be stopped meanwhile.
    Waiting,
}

/// How patient a fetch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// Tries per mirror.
    pub attempts: u32,
    /// The first pause; each later one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest_pause: Duration,
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long a server may send nothing.
    pub stall: Duration,
    /// No file may be longer.
    pub largest_file: u64,
    /// Further certificate authorities, beside the machine's own: a PEM file.
    pub ca_bundle: Option<PathBuf>,
    /// The same of a project, whose authorities must not see credentials.
    pub project_ca_bundle: Option<PathBuf>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            largest_file: 16 << 30,
            ca_bundle: None,
            project_ca_bundle: None,
        }
    }
}
