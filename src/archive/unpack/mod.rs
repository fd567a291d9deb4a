//! tar, zip, deb.
use std::io::Read;
use std::path::Path;

use super::ArchiveError;

/// What an archive may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// How many times larger than the archive the unpacked bytes may be (beyond the first 64 MiB, which are always allowed).
    pub ratio: u64,
}

/// How to unpack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnpackOptions {
    /// How many leading components of each name are removed.
    pub strip: usize,
    /// What the archive may grow to.
    pub limits: Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 4_000_000, ratio: 1_000 }
    }
}

/// Unpacks `archive` (format by content) to `dest`, which must not exist.
pub fn unpack(archive: &Path, dest: &Path, options: &UnpackOptions) -> Result<(), ArchiveError> {
    todo!()
}

/// Hands each entry to `sink`, in the archive's order.
pub fn read_entries(archive: &Path, limits: &Limits, sink: &mut dyn EntrySink) -> Result<(), ArchiveError> {
    todo!()
}

/// A relative path: components without `.`, `..`, `/` or NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<u8>);

/// What kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// dir
    Directory,
    /// file
    File {
        /// x
        executable: bool,
        /// size
        size: u64,
    },
    /// link
    Link {
        /// target
        target: Vec<u8>,
    },
    /// hard link
    HardLink {
        /// target
        target: RelPath,
    },
}

/// One
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// path
    pub path: RelPath,
    /// kind
    pub kind: EntryKind,
}

/// Takes entries
pub trait EntrySink {
    /// one
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), ArchiveError>;
}

/// Writes into a new tree.
#[derive(Debug)]
pub struct TreeWriter {}
