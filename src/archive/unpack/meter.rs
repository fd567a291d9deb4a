//! How large an archive may grow.

use std::path::{Path, PathBuf};

use super::{Entry, RelPath};
use crate::archive::ArchiveError;

/// What an archive may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together, with a block for each entry, and one for each directory that only names imply.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// How many times larger than the archive the unpacked bytes may be; the first 64 MiB are always allowed.
    pub ratio: u64,
}

impl Default for Limits {
    /// More than any source or package needs, less than a bomb gives.
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 4_000_000, ratio: 1_000 }
    }
}

/// How xz and zstd say that a stream wants a larger dictionary than it may have: the errors of their crates have no kind for it.
const OUT_OF_MEMORY: [&str; 2] = ["memory limit reached", "too much memory"];

/// What an entry takes on disk besides its bytes: a block of most file systems.
pub(super) const BLOCK: u64 = 4096;

/// Unpacked bytes that are allowed however small the archive is.
const ALWAYS: u64 = 64 << 20;

/// Counts what an archive gives, and makes its errors.
pub(super) struct Meter {
    archive: PathBuf,
    max_bytes: u64,
    max_entries: u64,
    bytes: u64,
    entries: u64,
}

impl Meter {
    pub(super) fn new(archive: &Path, archive_len: u64, limits: Limits) -> Self {
        let max_bytes = limits.bytes.min(archive_len.saturating_mul(limits.ratio).max(ALWAYS));
        Self { archive: archive.to_owned(), max_bytes, max_entries: limits.entries, bytes: 0, entries: 0 }
    }

    /// One more header, and what it takes however empty it is.
    pub(super) fn entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.max_entries { Err(self.too_large(self.max_entries, "entries")) } else { self.bytes(BLOCK) }
    }

    /// So many more bytes.
    pub(super) fn bytes(&mut self, count: u64) -> Result<(), ArchiveError> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.max_bytes { Err(self.too_large(self.max_bytes, "bytes")) } else { Ok(()) }
    }

    pub(super) fn max_entries(&self) -> u64 {
        self.max_entries
    }

    pub(super) fn too_large(&self, limit: u64, unit: &'static str) -> ArchiveError {
        ArchiveError::TooLarge { archive: self.archive.clone(), limit, unit }
    }

    /// Damage; but a stream that asks its decompressor for more memory than it may have is not damaged.
    pub(super) fn malformed(&self, problem: impl ToString) -> ArchiveError {
        let problem = problem.to_string();
        if OUT_OF_MEMORY.iter().any(|words| problem.contains(words)) {
            return self.not_supported("a stream that needs too much memory to unpack");
        }
        ArchiveError::Malformed { archive: self.archive.clone(), problem }
    }

    /// `what` reads on after "holds".
    pub(super) fn not_supported(&self, what: &str) -> ArchiveError {
        ArchiveError::NotSupported { archive: self.archive.clone(), what: what.to_owned() }
    }

    /// `problem` reads on after the entry's name.
    pub(super) fn refused(&self, entry: &[u8], problem: impl ToString) -> ArchiveError {
        let entry = String::from_utf8_lossy(entry).into_owned();
        ArchiveError::Refused { archive: self.archive.clone(), entry, problem: problem.to_string() }
    }

    /// The path that an entry's name means.
    pub(super) fn path(&self, name: &[u8]) -> Result<RelPath, ArchiveError> {
        RelPath::parse(name).map_err(|problem| self.refused(name, problem))
    }

    /// A link target that a file system can hold.
    pub(super) fn link_target(&self, entry: &[u8], target: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
        if target.is_empty() || target.contains(&0) || target.len() > 4095 {
            return Err(self.refused(entry, "a link whose target is empty, too long or holds a NUL byte"));
        }
        Ok(target)
    }

    /// An entry for the top directory says nothing; anything else in its place is refused.
    pub(super) fn is_for_sink(&self, name: &[u8], entry: &Entry) -> Result<bool, ArchiveError> {
        match (entry.path.is_top(), &entry.kind) {
            (false, _) => Ok(true),
            (true, super::EntryKind::Directory) => Ok(false),
            (true, _) => Err(self.refused(name, "whose name is empty")),
        }
    }
}
