//! Which servers a machine fetches from: `kiln.toml` first, then what pip and apt are told.
//!
//! Nothing is read before the first fetch of its registry: a build that fetches nothing pays nothing.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::apt_sources::{self, AptSource};
use super::{FetchError, pip, pip_default};
use crate::build::config::Config;
use crate::net::{Address, Machine};

/// The servers of each registry, in the order in which they are asked.
#[derive(Debug)]
pub struct Mirrors {
    machine: Machine,
    configured_pypi: Vec<String>,
    configured_debian: Vec<String>,
    pypi: OnceLock<Vec<Address>>,
    debian: OnceLock<Vec<Address>>,
}

impl Mirrors {
    /// This machine's mirrors.
    pub fn from_machine(config: &Config) -> Self {
        Self::of(Machine::current(), config)
    }

    /// The mirrors of `machine`.
    pub fn of(machine: Machine, config: &Config) -> Self {
        let (configured_pypi, configured_debian) = (config.mirrors.pypi.clone(), config.mirrors.debian.clone());
        Self { machine, configured_pypi, configured_debian, pypi: OnceLock::new(), debian: OnceLock::new() }
    }

    /// The machine that these are the mirrors of.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The Python package indexes, without credentials.
    ///
    /// # Errors
    /// If pip's configuration cannot be read, or an address is unusable.
    pub fn pypi_shown(&self) -> Result<Vec<String>, FetchError> {
        Ok(self.pypi()?.iter().map(ToString::to_string).collect())
    }

    /// The Debian archives, without credentials.
    ///
    /// # Errors
    /// If apt's sources cannot be read, or an address is unusable.
    pub fn debian_shown(&self) -> Result<Vec<String>, FetchError> {
        Ok(self.debian()?.iter().map(ToString::to_string).collect())
    }

    /// The Python package indexes: addresses below which each project has a page.
    pub(super) fn pypi(&self) -> Result<&[Address], FetchError> {
        remembered(&self.pypi, || {
            let pip = pip::settings(&self.machine)?;
            let mut urls = self.configured_pypi.clone();
            if !pip.no_index {
                urls.extend(pip.index.or_else(|| pip_default::index_url(&self.machine)));
                urls.extend(pip.further);
            }
            addresses(&urls)
        })
    }

    /// The Debian archives: addresses below which `pool/` lies.
    pub(super) fn debian(&self) -> Result<&[Address], FetchError> {
        remembered(&self.debian, || {
            let mut ranked: Vec<(u8, String)> = Vec::new();
            for source in self.apt_sources()? {
                ranked.extend(source.rank().map(|rank| (rank, source.uri)));
            }
            ranked.sort_by_key(|(rank, _)| *rank);
            let urls: Vec<String> = self.configured_debian.iter().cloned().chain(ranked.into_iter().map(|(_, uri)| uri)).collect();
            addresses(&urls)
        })
    }

    /// The archives that `kiln.toml` names.
    pub(in crate::build) fn configured_debian(&self) -> &[String] {
        &self.configured_debian
    }

    /// apt's own list of enabled sources.
    ///
    /// # Errors
    /// If a list is there and cannot be read.
    pub fn apt_sources(&self) -> Result<Vec<AptSource>, FetchError> {
        Ok(apt_sources::sources(&self.machine)?)
    }

    /// The certificate authorities that pip is told to trust.
    pub(super) fn pip_cert(&self) -> Option<PathBuf> {
        pip::settings(&self.machine).ok()?.cert.map(|cert| self.machine.path(cert))
    }
}

fn remembered<T>(cell: &OnceLock<Vec<T>>, make: impl FnOnce() -> Result<Vec<T>, FetchError>) -> Result<&[T], FetchError> {
    match cell.get() {
        Some(known) => Ok(known),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}

/// Parsed, each once.
fn addresses(urls: &[String]) -> Result<Vec<Address>, FetchError> {
    let mut addresses: Vec<Address> = Vec::new();
    for url in urls {
        let address = Address::parse(url.trim_end_matches('/'))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::config::MirrorSettings;

    fn config(pypi: &[&str], debian: &[&str]) -> Config {
        let owned = |list: &[&str]| list.iter().map(|url| (*url).to_owned()).collect();
        Config { mirrors: MirrorSettings { pypi: owned(pypi), debian: owned(debian) }, ..Config::default() }
    }

    #[test]
    fn kiln_toml_is_asked_before_pip_and_apt() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt")).unwrap();
        std::fs::write(root.path().join("etc/apt/sources.list"), "deb http://sec/debian x-security main\ndeb http://apt/debian/ x main\n")
            .unwrap();
        let env = [("PIP_INDEX_URL", "https://pip.example/simple/"), ("PIP_EXTRA_INDEX_URL", "https://own.example/simple")];
        let machine = Machine::at(root.path(), &env);
        let mirrors = Mirrors::of(machine, &config(&["https://own.example/simple"], &["http://own/debian"]));
        assert_eq!(mirrors.pypi_shown().unwrap(), ["https://own.example/simple", "https://pip.example/simple"]);
        assert_eq!(mirrors.debian_shown().unwrap(), ["http://own/debian", "http://apt/debian", "http://sec/debian"]);
    }

    #[test]
    fn a_bare_machine_has_no_mirrors() {
        let root = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::of(Machine::at(root.path(), &[]), &Config::default());
        assert!(mirrors.pypi().unwrap().is_empty() && mirrors.debian().unwrap().is_empty());
    }

    #[test]
    fn pips_no_index_is_respected() {
        let root = tempfile::tempdir().unwrap();
        let env = [("PIP_INDEX_URL", "https://pip.example/simple"), ("PIP_NO_INDEX", "1")];
        let mirrors = Mirrors::of(Machine::at(root.path(), &env), &Config::default());
        assert!(mirrors.pypi().unwrap().is_empty());
    }
}
