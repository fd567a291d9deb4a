//! NAR, Nix's archive format: the one serialisation of a file tree, so that equal trees give equal bytes.
//!
//! A NAR is the string `nix-archive-1` and a node. A string is its length (64 bits, little-endian), its bytes, and zeros up to a multiple
//! of 8. A node is one of
//!
//! ```text
//! "(" "type" "regular" ["executable" ""] "contents" <bytes> ")"
//! "(" "type" "symlink" "target" <bytes> ")"
//! "(" "type" "directory" { "entry" "(" "name" <bytes> "node" <node> ")" } ")"
//! ```
//!
//! with entries in byte order of their names. Only the owner's execute bit is kept of a mode; times and owners are not in it.

mod block;
mod hash;
mod read;
mod scan;
mod write;

pub use read::{Inspected, Restored, inspect, restore};
pub use scan::{ScanRequest, Scanned, scan, scan_kept};
pub use write::dump;

/// The string that a NAR starts with.
const MAGIC: &[u8] = b"nix-archive-1";

#[cfg(test)]
mod tests;
