//! One pass over a file tree: its NAR, and of that the SHA-256, the length and the store digests that occur in it.
//!
//! In: a tree and the digests to look for. Out: [`Scanned`]. Memory is constant: a few blocks. In a large tree a second thread hashes what the
//! first has read and looked through.
//!
//! The hash modulo self needs no second pass: both hashes are one until the own digest first occurs; there the state is copied. A digest
//! that lies across two blocks is seen because the end of each block comes again at the start of the next.
//!
//! Not here: what a reference means (`store`), and reading NARs back ([`super::read`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::block::BlockSink;
use super::hash::{HashPipe, Hashes, LookedThrough};
use super::write::{Keep, walk};
use crate::archive::references::{Next, each_window};
use crate::archive::{ArchiveError, ReferenceIndex};
use crate::model::{DIGEST_LEN, Sha256, StoreDigest};

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

/// Hashes `tree` and finds the references in it, in one pass.
///
/// # Errors
/// If the tree holds something other than files, directories and links, changes meanwhile, or cannot be read.
pub fn scan(tree: &Path, request: &ScanRequest<'_>) -> Result<Scanned, ArchiveError> {
    scan_all(tree, request, None)
}

/// As [`scan`], of a tree that consists of what `keep` says of `tree`.
///
/// # Errors
/// As [`scan`]; what does not count is not looked at.
pub fn scan_kept(tree: &Path, request: &ScanRequest<'_>, keep: Keep<'_>) -> Result<Scanned, ArchiveError> {
    scan_all(tree, request, Some(keep))
}

fn scan_all(tree: &Path, request: &ScanRequest<'_>, keep: Option<Keep<'_>>) -> Result<Scanned, ArchiveError> {
    let mut scanner = Scanner::new(*request);
    let noticed = walk(tree, request.own, keep, &mut scanner)?;
    let Scanner { references, pipe, .. } = scanner;
    let hashes = pipe.finish();
    Ok(Scanned {
        nar_size: hashes.len,
        own_count: hashes.offsets.len() as u64,
        modulo_hash: hashes.modulo_hash(),
        nar_hash: hashes.plain.finish(),
        references,
        first_link: noticed.first_link,
        name_with_own: noticed.name_with_own,
    })
}

/// Looks through blocks and passes them on to the hashes.
pub(super) struct Scanner<'a> {
    request: ScanRequest<'a>,
    references: BTreeSet<StoreDigest>,
    pipe: HashPipe,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(request: ScanRequest<'a>) -> Self {
        Self { request, references: BTreeSet::new(), pipe: HashPipe::new() }
    }

    /// The hashes of everything that was taken.
    pub(super) fn finish(self) -> Hashes {
        self.pipe.finish()
    }

    /// Notes the references in `bytes`; returns where the own digest starts.
    fn look_through(&mut self, bytes: &[u8]) -> Vec<u32> {
        let mut own_starts = Vec::new();
        let ScanRequest { own, candidates } = self.request;
        if own.is_none() && candidates.is_empty() {
            return own_starts;
        }
        each_window(bytes, |start, window| {
            if own.is_some_and(|own| own.as_bytes() == window) {
                own_starts.push(start as u32);
                return Next::Window;
            }
            if let Some(found) = candidates.find(window) {
                self.references.insert(*found);
            }
            Next::Byte
        });
        own_starts
    }
}

impl BlockSink for Scanner<'_> {
    fn take(&mut self, block: &mut Vec<u8>, filled: usize, last: bool) -> Result<usize, ArchiveError> {
        let own_starts = self.look_through(&block[..filled]);
        // A digest may have begun in the last 31 bytes, so they come again. One that was found is not cut in two.
        let cut = if last { filled } else { filled.saturating_sub(DIGEST_LEN - 1) };
        let cut = own_starts.last().map_or(cut, |start| cut.max(*start as usize + DIGEST_LEN));
        let kept = filled - cut;
        let mut next = self.pipe.spare();
        next[..kept].copy_from_slice(&block[cut..filled]);
        self.pipe.push(LookedThrough { block: std::mem::replace(block, next), filled: cut, own_starts });
        Ok(kept)
    }
}
