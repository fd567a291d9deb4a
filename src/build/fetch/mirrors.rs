//! Which servers a machine fetches from: `kiln.toml` first, then what pip and apt are told.
//!
//! Nothing is read before the first fetch of its registry: a build that fetches nothing pays nothing.

use std::sync::OnceLock;

use super::Machine;
use crate::build::config::Config;

pub use super::apt_sources::AptSource;

/// The servers of each registry, in the order in which they are asked.
#[derive(Debug)]
pub struct Mirrors {
    machine: Machine,
    configured_pypi: Vec<String>,
    configured_debian: Vec<String>,
    pypi: OnceLock<Vec<String>>,
    debian: OnceLock<Vec<String>>,
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
}
