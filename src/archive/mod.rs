//! Streaming readers and writers of archives: NAR (with hash and reference scan in one pass), tar, zip and deb.
//!
//! In: file trees, or archives that nobody vouches for. Out: bytes and hashes, or file trees. Memory is constant whatever the size.
//! A tree is always reached through directory handles, never through a path that a link could bend; what is read is checked before
//! anything is written.
//!
//! Not here: what a reference means and where an object lies (`store`), which file of two wins (`build::builtin`), fetching.
//!
//! - [`dump`], [`restore`], [`inspect`]: NAR out of a tree, a tree out of a NAR, or only what a NAR's bytes say.
//! - [`scan`]: what a store must know about a tree, in one pass; [`rewrite()`]: replaces digests in it; [`find_digest`]: where one occurs.
//! - [`unpack()`], [`read_entries`]: archives of other formats, found by content.
//! - [`Streams`]: what is packed by gzip, bzip2 or xz, however many streams there are and whatever pads them.

mod error;
mod listing;
mod nar;
mod place;
mod references;
mod rewrite;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod unpack;

pub use error::ArchiveError;
pub use listing::MAX_DEPTH;
pub use nar::{Inspected, Restored, ScanRequest, Scanned, dump, inspect, restore, scan, scan_kept};
pub use references::ReferenceIndex;
pub use rewrite::{find_digest, rewrite};
pub use streams::{Packing, Streams};
pub use unpack::{Entry, EntryKind, EntrySink, Existing, Limits, OpenArchive, RelPath, TreeWriter, UnpackOptions, read_entries, unpack};
