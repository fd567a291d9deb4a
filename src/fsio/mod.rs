//! File system helpers that every layer shares: errors that carry a path, atomic and durable writes, locks.
//!
//! Not here: anything that knows what a store is.

mod atomic;
mod error;
mod lock;
mod range_lock;

pub use atomic::{create_folder_of, sync_dir, sync_file_system, write_atomically};
pub use error::{IoResultExt, PathError, is_disk_full};
pub use lock::{FileLock, LockKind, announce_waiting};
pub use range_lock::RangeLock;
