//! Archives of other formats: tar (plain, gz, bz2, xz, lzma, zst), zip and deb, told apart by content.
//!
//! In: an archive that nobody vouches for. Out: its entries, one after the other, checked ([`read_entries`]), or a new tree ([`unpack`]). Memory is
//! constant; decompression runs ahead in a thread of its own.
//!
//! Refused are: names that are absolute or hold `..`, devices and pipes, sparse files, files of a zip that overlap, more than [`Limits`] allow, and anything
//! that ends too early: a tar without an end mark, too, which GNU tar would take.
//! Links may point anywhere, for they are never followed; set-user-id bits, owners and times are dropped.
//!
//! Not here: which of two packages' files wins (`build::builtin`).

mod content;
mod deb;
mod entry;
mod format;
mod meter;
mod tar;
mod tree;
mod zip;

use std::io::Read;
use std::path::Path;

pub use entry::{Entry, EntryKind, EntrySink, RelPath};
pub use format::OpenArchive;
pub use meter::Limits;
pub use tree::{Existing, TreeWriter};

use super::ArchiveError;

/// How to unpack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnpackOptions {
    /// How many leading components of each name are removed. Only directories may have no more than that.
    pub strip: usize,
    /// What the archive may grow to.
    pub limits: Limits,
}

/// Unpacks `archive` to `dest`, which must not exist: files 0444 or 0555 with mtime 1, directories writable.
///
/// Hard links become copies, which count against the limits. A later entry of the same name replaces an earlier one, but nothing replaces a directory.
/// An archive with nothing in it gives an empty tree.
/// After an error, what was written so far is the caller's to remove.
///
/// # Errors
/// If the format is unknown; if the archive is damaged, truncated, too large or holds what is refused; if `dest` cannot be written.
pub fn unpack(archive: &Path, dest: &Path, options: &UnpackOptions) -> Result<(), ArchiveError> {
    let opened = OpenArchive::open(archive, options.limits)?;
    let mut sink = Unpack { archive, strip: options.strip, tree: TreeWriter::create(dest)? };
    opened.read_entries(&mut sink)
}

/// Hands each entry of `archive` to `sink`, in the archive's order; entries for the top directory itself are left out.
///
/// # Errors
/// As [`unpack`], and the first error of `sink`.
pub fn read_entries<S: EntrySink>(archive: &Path, limits: &Limits, sink: &mut S) -> Result<(), S::Error> {
    OpenArchive::open(archive, *limits)?.read_entries(sink)
}

struct Unpack<'a> {
    archive: &'a Path,
    strip: usize,
    tree: TreeWriter,
}

impl Unpack<'_> {
    fn stripped(&self, path: &RelPath) -> Result<RelPath, ArchiveError> {
        path.strip(self.strip).ok_or_else(|| ArchiveError::Refused {
            archive: self.archive.to_owned(),
            entry: path.to_string(),
            problem: format!("of whose name nothing is left when {} leading components are stripped; use strip = 0", self.strip),
        })
    }
}

impl EntrySink for Unpack<'_> {
    type Error = ArchiveError;

    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), ArchiveError> {
        if entry.kind == EntryKind::Directory {
            return entry.path.strip(self.strip).map_or(Ok(()), |path| self.tree.directory(&path));
        }
        let path = self.stripped(&entry.path)?;
        match &entry.kind {
            EntryKind::Directory => Ok(()),
            EntryKind::File { executable, .. } => self.tree.file(&path, *executable, content),
            EntryKind::Link { target } => self.tree.link(&path, target),
            EntryKind::HardLink { target } => self.tree.copy(&self.stripped(target)?, &path),
        }
    }

    fn take_copied(&mut self) -> u64 {
        self.tree.take_copied()
    }
}

#[cfg(test)]
mod tests;
