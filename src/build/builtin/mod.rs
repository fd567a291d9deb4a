//! kiln's own builders: what is made without a script.
//!
//! In: a kind with its version, arguments, and input objects that are in the store. Out: a tree at a path that did not exist. The result follows from kind,
//! arguments and the inputs' bytes alone; whoever changes what a builder makes raises its version.
//!
//! | kind | inputs | arguments | makes |
//! |---|---|---|---|
//! | `unpack/1` | `archive` | `strip`: leading components to remove | the archive's tree |
//! | `debian-root/1` | Debian packages, in the order of their labels | `links`: path → target | one tree laid out as `/` |
//! | `merge/1` | layers by label | none | one tree without links, with `manifest.json` |
//!
//! Not here: canonical modes and times, hashing, and registration, which are the store's.

mod debian_root;
mod error;
mod merge;
mod unpack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use error::{BuiltinError, LinkProblem};

use crate::model::{Label, StorePath};

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinJob<'a> {
    /// Which builder, with its version.
    pub kind: &'a str,
    /// What it is told.
    pub arguments: &'a serde_json::Value,
    /// What it reads.
    pub inputs: &'a BTreeMap<Label, BuiltinInput>,
    /// Where the result goes; must not exist.
    pub out: &'a Path,
}

/// An object that a builder reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinInput {
    /// Where it is, logically: what links that point to it hold, and what messages call it.
    pub logical: StorePath,
    /// Where its bytes are.
    pub physical: PathBuf,
}

/// The kinds that [`run`] knows.
pub const KINDS: [&str; 3] = [unpack::KIND, debian_root::KIND, merge::KIND];

/// Runs a builder. After an error, what was written so far is the caller's to remove.
///
/// # Errors
/// If the kind is unknown, arguments or inputs are not what it expects, or it cannot do its work.
pub fn run(job: &BuiltinJob<'_>) -> Result<(), BuiltinError> {
    match job.kind {
        unpack::KIND => unpack::run(job),
        debian_root::KIND => debian_root::run(job),
        merge::KIND => merge::run(job),
        _ => Err(BuiltinError::UnknownKind(job.kind.to_owned())),
    }
}

impl BuiltinJob<'_> {
    fn parse_arguments<T: DeserializeOwned>(&self) -> Result<T, BuiltinError> {
        let failed = |error: serde_json::Error| BuiltinError::Arguments { kind: self.kind.to_owned(), problem: error.to_string() };
        T::deserialize(self.arguments).map_err(failed)
    }
}

#[cfg(test)]
mod testing;
