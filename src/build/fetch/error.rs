//! Why a file could not be fetched.

use std::fmt;

use crate::fsio::PathError;
use crate::model::Sha256;

/// A registry that recipes name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registry {
    /// The Python package index.
    Pypi,
    /// A Debian archive.
    Debian,
    /// Addresses that a recipe lists itself.
    Urls,
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pypi => "Python package index",
            Self::Debian => "Debian mirror",
            Self::Urls => "address",
        })
    }
}

/// What one mirror did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorFailure {
    /// Its address, without credentials.
    pub url: String,
    /// Why it failed.
    pub reason: String,
}

impl fmt::Display for MirrorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {}: {}", self.url, self.reason)
    }
}

fn listed(failures: &[MirrorFailure]) -> String {
    failures.iter().map(ToString::to_string).collect()
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The machine's configuration names no mirror.
    #[error("cannot fetch {name}: this machine has no {registry} configured")]
    NoMirror {
        /// The file.
        name: String,
        /// Whose mirror is missing.
        registry: Registry,
    },
    /// No mirror has the file (any more).
    #[error("cannot fetch {name}: no configured {registry} has it{}", listed(.failures))]
    Gone {
        /// The file.
        name: String,
        /// Whose file it is.
        registry: Registry,
        /// Who was asked.
        failures: Vec<MirrorFailure>,
    },
    /// A mirror has a file of that name, with other bytes.
    #[error("cannot fetch {name}: the file that was found is not the declared one\n  wanted  sha256 {wanted}\n  got     sha256 {got}   from {url}{}", listed(.others))]
    Mismatch {
        /// The file.
        name: String,
        /// Whose file it is.
        registry: Registry,
        /// The declared digest.
        wanted: Sha256,
        /// What came.
        got: Sha256,
        /// From where, without credentials.
        url: String,
        /// What the other mirrors did.
        others: Vec<MirrorFailure>,
    },
    /// No mirror could serve it now.
    #[error("cannot fetch {name}: no {registry} could serve it{}", listed(.failures))]
    Unreachable {
        /// The file.
        name: String,
        /// Whose file it is.
        registry: Registry,
        /// Who was asked, and what went wrong.
        failures: Vec<MirrorFailure>,
    },
    /// An address that cannot be used.
    #[error("`{url}` cannot be fetched from: {reason}")]
    BadAddress {
        /// The address, without credentials.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// A package or file name that no registry could have.
    #[error("cannot fetch `{name}`: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// TLS could not be set up at all.
    #[error("cannot set up encrypted connections: {0}")]
    Tls(String),
    /// Whoever started the fetch asked to stop.
    #[error("fetching {name} was stopped")]
    Stopped {
        /// The file.
        name: String,
    },
    /// The file could not be written here, or configuration not read.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl FetchError {
    /// What to try, for the command line's `hint:` line.
    pub fn hint(&self) -> Option<String> {
        let by_hand = "or get the file elsewhere and run `kiln store add --flat FILE`";
        match self {
            Self::NoMirror { registry: Registry::Debian, .. } => {
                Some("set `debian = [\"…\"]` under [mirrors] in kiln.toml, or put a source into /etc/apt/sources.list".to_owned())
            }
            Self::NoMirror { .. } => Some(
                "set `pypi = [\"…/simple\"]` under [mirrors] in kiln.toml, set PIP_INDEX_URL, or install pip (its default is then used)"
                    .to_owned(),
            ),
            Self::Gone { registry, .. } | Self::Mismatch { registry, .. } => Some(match registry {
                Registry::Pypi => format!("if upstream replaced or withdrew the file, check why, then run `kiln lock pypi`; {by_hand}"),
                Registry::Debian => format!("if the archive moved on, run `kiln lock debian`; {by_hand}"),
                Registry::Urls => format!("correct the address or the hash in the recipe, {by_hand}"),
            }),
            Self::Unreachable { .. } => {
                Some(format!("check the network, the proxy variables, or name another mirror in kiln.toml; {by_hand}"))
            }
            Self::Tls(_) => Some("install `ca-certificates`, or set SSL_CERT_FILE to a file of certificate authorities".to_owned()),
            Self::BadAddress { .. } | Self::BadName { .. } | Self::Stopped { .. } | Self::Io(_) => None,
        }
    }
}
