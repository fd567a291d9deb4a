//! NAR.
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{ArchiveError, Limits, ReferenceIndex};
use crate::model::{Sha256, StoreDigest};

/// Writes `tree` (a directory, file or link) to `out` as a NAR.
pub fn dump(tree: &Path, out: &mut dyn Write) -> Result<(), ArchiveError> {
    todo!()
}

/// What to look for in a tree.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest<'a> {
    /// The digest that stands for the object itself in its own bytes: its scratch digest, or its final one.
    pub own: Option<&'a StoreDigest>,
    /// The digests of everything it may refer to.
    pub candidates: &'a ReferenceIndex,
}

/// What one pass over a tree found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// SHA-256 of the NAR.
    pub nar_hash: Sha256,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// The hash modulo the own digest, from which the path follows; equals `nar_hash` if that does not occur.
    pub modulo_hash: Sha256,
    /// How often the own digest occurs.
    pub own_count: u64,
    /// Which candidates occur; the own digest is not among them.
    pub references: BTreeSet<StoreDigest>,
    /// The first symbolic link, relative to the tree (empty if the tree is itself a link).
    pub first_link: Option<PathBuf>,
    /// A file whose *name* holds the own digest, relative to the tree.
    pub name_with_own: Option<PathBuf>,
}

/// One pass over `tree`.
pub fn scan(tree: &Path, request: &ScanRequest<'_>) -> Result<Scanned, ArchiveError> {
    todo!()
}

/// What [`restore`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// SHA-256 of the NAR.
    pub nar_hash: Sha256,
    /// Bytes of the NAR.
    pub nar_size: u64,
}

/// Reads a NAR and lays it out at `dest`, which must not exist: files 0444 or 0555 with mtime 1, directories 0755.
pub fn restore(nar: &mut dyn Read, dest: &Path, limits: &Limits) -> Result<Restored, ArchiveError> {
    todo!()
}
