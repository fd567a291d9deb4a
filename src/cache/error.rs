//! What can go wrong with a cache.

use crate::fsio::PathError;
use crate::model::{NarInfoError, StorePath};
use crate::net::NetError;
use crate::store::StoreError;

use super::entry::{EntryName, EntryNameError};
use super::signing::KeyError;

/// An error of a cache, or on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// An address that no back end serves.
    #[error("`{url}` is no address of a cache: {reason}")]
    BadAddress {
        /// The address, without credentials.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It holds objects of another store directory, or is no cache at all.
    #[error("{cache} is not a cache for kiln: {problem}")]
    NotACache {
        /// Its address.
        cache: String,
        /// What it says or lacks.
        problem: String,
    },
    /// It could not do what was asked, and may another time.
    #[error("{cache} could not {action} {entry}: {reason}")]
    Unavailable {
        /// Its address.
        cache: String,
        /// What was asked of it: a verb.
        action: &'static str,
        /// Of which entry.
        entry: String,
        /// Why not.
        reason: String,
    },
    /// It will not do what was asked.
    #[error("{cache} refuses to {action} {entry}: {reason}")]
    Refused {
        /// Its address.
        cache: String,
        /// What was asked of it: a verb.
        action: &'static str,
        /// Of which entry.
        entry: String,
        /// Why.
        reason: String,
    },
    /// An entry is not what its name says.
    #[error("{cache} lies about {entry}: {problem}")]
    Lie {
        /// Its address.
        cache: String,
        /// Which entry.
        entry: EntryName,
        /// What is wrong with it.
        problem: String,
    },
    /// An object is not there.
    #[error("{path} is not in {cache}")]
    Absent {
        /// The object.
        path: StorePath,
        /// Whose address was asked.
        cache: String,
    },
    /// No cache is left to ask.
    #[error("{path} cannot be looked for: {caches} cannot be used")]
    NoneUsable {
        /// The object.
        path: StorePath,
        /// The addresses of those that failed.
        caches: String,
    },
    /// Only an unsealed build made it.
    #[error("{path} was made by a build that was not strictly sealed, so it is not published")]
    Unsealed {
        /// The object.
        path: StorePath,
    },
    /// Somebody else is collecting it.
    #[error("another process is collecting {cache}")]
    Collecting {
        /// Its address.
        cache: String,
    },
    /// A description that cannot be read, so that it is not known what it needs.
    #[error("{entry} in {cache} cannot be read ({problem}), so it is not known what it needs; nothing was removed")]
    Unreadable {
        /// The cache's address.
        cache: String,
        /// Which entry.
        entry: EntryName,
        /// What is wrong with it.
        problem: String,
    },
    /// A statement that has no written form; so it is not signed.
    #[error("cannot write down {what}: {problem}")]
    Unwritable {
        /// What it is.
        what: String,
        /// Why not.
        problem: String,
    },
    /// Asked to stop.
    #[error("stopped")]
    Stopped,
    /// A name that no entry has.
    #[error(transparent)]
    Name(#[from] EntryNameError),
    /// A key or signature that is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No request could be made.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A local file failed.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl CacheError {
    /// A description that cannot be read.
    pub(super) fn narinfo(cache: &str, entry: EntryName, error: &NarInfoError) -> Self {
        Self::Lie { cache: cache.to_owned(), entry, problem: error.to_string() }
    }
}
