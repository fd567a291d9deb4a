//! Why a file could not be fetched.

use std::fmt;

use crate::fsio::PathError;
use crate::model::Sha256;
use crate::net::NetError;

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

/// How a file gets into the store without any mirror.
const BY_HAND: &str = "or get the file elsewhere and run `kiln store add --flat FILE`";

impl Registry {
    /// What to try when its file `name` is gone or another one.
    fn remedy(self, name: &str) -> String {
        match self {
            Self::Pypi => format!("if upstream replaced or withdrew the file, check why, then run `kiln lock pypi`; {BY_HAND}"),
            // The lock has packages only; a source's hash stands in the recipe.
            Self::Debian if !name.ends_with(".deb") => format!(
                "`kiln lock debian --source {}` prints what the archive has: compare, then correct the recipe; {BY_HAND}",
                name.split('_').next().unwrap_or(name)
            ),
            Self::Debian => format!("if the archive moved on, run `kiln lock debian`; {BY_HAND}"),
            Self::Urls => format!("correct the address or the hash in the recipe, {BY_HAND}"),
        }
    }
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

/// A file that is not the declared one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The file.
    pub name: String,
    /// Whose file it is.
    pub registry: Registry,
    /// The declared digest.
    pub wanted: Sha256,
    /// What came, or what the index says would come.
    pub got: Sha256,
    /// From where, without credentials.
    pub url: String,
    /// What the other mirrors did.
    pub others: Vec<MirrorFailure>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  wanted  sha256 {}\n  got     sha256 {}   from {}{}", self.wanted, self.got, self.url, listed(&self.others))
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
    #[error("cannot fetch {}: the file that was found is not the declared one\n{}", .0.name, .0)]
    Mismatch(Box<Mismatch>),
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
    /// A package or file name that no registry could have.
    #[error("cannot fetch `{name}`: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Whoever started the fetch asked to stop.
    #[error("fetching {name} was stopped")]
    Stopped {
        /// The file.
        name: String,
    },
    /// No request could be made.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The file could not be written here, or configuration not read.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl FetchError {
    /// What to try, for the command line's `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { registry: Registry::Debian, .. } => {
                Some("set `debian = [\"…\"]` under [mirrors] in kiln.toml, or put a source into /etc/apt/sources.list".to_owned())
            }
            Self::NoMirror { .. } => Some(
                "set `pypi = [\"…/simple\"]` under [mirrors] in kiln.toml, set PIP_INDEX_URL, or install pip (its default is then used)"
                    .to_owned(),
            ),
            Self::Gone { registry, name, .. } => Some(registry.remedy(name)),
            Self::Mismatch(mismatch) => Some(mismatch.registry.remedy(&mismatch.name)),
            Self::Unreachable { .. } => {
                Some(format!("check the network, the proxy variables, or name another mirror in kiln.toml; {BY_HAND}"))
            }
            Self::Net(error) => error.hint(),
            Self::BadName { .. } | Self::Stopped { .. } | Self::Io(_) => None,
        }
    }
}
