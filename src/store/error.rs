//! What can go wrong in a store.

use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::fsio::{PathError, is_disk_full};
use crate::model::{Sha256, StorePath};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory holds no store.
    #[error("`{}` is not a kiln store", dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
    },
    /// Another version of kiln made the store.
    #[error("the store `{}` has format {found}, and this kiln reads format {supported}", dir.display())]
    OtherFormat {
        /// The store.
        dir: PathBuf,
        /// What its file `format` says.
        found: String,
        /// What this program can read.
        supported: u32,
    },
    /// Neither a file, nor a directory, nor a link.
    #[error("`{}` is {kind}; a store object may hold files, directories and links only", path.display())]
    SpecialFile {
        /// Which file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file would run with another user's or group's rights.
    #[error("`{}` has the {bit} bit, which no store object may have", path.display())]
    SpecialBit {
        /// Which file.
        path: PathBuf,
        /// `setuid` or `setgid`.
        bit: &'static str,
    },
    /// An extended attribute that stays.
    #[error("`{}` has the extended attribute `{attribute}`, which cannot be removed: {source}", path.display())]
    Attribute {
        /// Which file.
        path: PathBuf,
        /// Its attribute.
        attribute: String,
        /// Why it stays.
        source: std::io::Error,
    },
    /// More nested directories than are handled.
    #[error("`{}` is nested more than {limit} directories deep", path.display())]
    TooDeep {
        /// Which directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A name that cannot be rewritten.
    #[error("`{}` of {name} has a digest of the outputs in its file name, which cannot be rewritten", file.display())]
    DigestInFileName {
        /// The output's name.
        name: String,
        /// Which file, relative to the output.
        file: PathBuf,
    },
    /// An output still names a scratch path after rewriting.
    #[error("{name} still holds the scratch digest of {other} after rewriting")]
    ScratchRemains {
        /// The output's name.
        name: String,
        /// Whose digest it holds.
        other: String,
    },
    /// Outputs refer to each other.
    #[error("the outputs {} refer to each other in a circle, so none of them can be named by its content", names.join(", "))]
    OutputCycle {
        /// Their names.
        names: Vec<String>,
    },
    /// A file has other bytes than declared.
    #[error("`{name}` has the hash {got}, but {wanted} was declared")]
    HashMismatch {
        /// The file's name.
        name: String,
        /// What was declared.
        wanted: Sha256,
        /// What it has.
        got: Sha256,
    },
    /// A NAR that does not make the object that it was said to be.
    #[error("the NAR of {path} is not what its description says: {what}")]
    NarMismatch {
        /// The claimed object.
        path: StorePath,
        /// What differs.
        what: String,
    },
    /// An object may only refer to valid objects.
    #[error("{object} refers to {reference}, which is not valid in this store")]
    InvalidReference {
        /// Which object.
        object: StorePath,
        /// What it refers to.
        reference: StorePath,
    },
    /// Two different objects claim one path.
    #[error("{path} is registered with another NAR hash: {registered}, not {got}")]
    Conflict {
        /// The path.
        path: StorePath,
        /// What the database has.
        registered: Sha256,
        /// What was to be registered.
        got: Sha256,
    },
    /// Nothing valid has this name.
    #[error("{path} is not in the store")]
    NotValid {
        /// The path.
        path: StorePath,
    },
    /// Nothing valid begins like this.
    #[error("`{text}` names nothing in the store")]
    NoMatch {
        /// What was asked for.
        text: String,
    },
    /// Several objects begin like this.
    #[error("`{text}` could be any of {}", matches.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// What it could be, the first few.
        matches: Vec<StorePath>,
    },
    /// The database holds something that this program did not write.
    #[error("the store's database holds a row that cannot be read: {what}")]
    BadRow {
        /// Which row, and why.
        what: String,
    },
    /// A living process holds what nobody can read.
    #[error("cannot tell what the process of `{}` holds: {why}", file.display())]
    BadRoots {
        /// Its list of temporary roots.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An earlier sync failed, so nothing may be called valid any more.
    #[error("an earlier write to the store `{}` did not reach the disk; nothing more is registered by this process", dir.display())]
    SyncFailed {
        /// The store.
        dir: PathBuf,
    },
    /// The link's place is taken by something else.
    #[error("`{}` exists and is no link, so it is left alone", path.display())]
    LinkOccupied {
        /// Where the link was to be.
        path: PathBuf,
    },
    /// The database failed.
    #[error("cannot {action} in the store's database: {source}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// Reading or writing a NAR failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An operation on a file failed.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl StoreError {
    /// Whether the disk (or a quota) is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            // The log's index is grown by itself, with an error of its own.
            Self::Database { source: rusqlite::Error::SqliteFailure(error, _), .. } => {
                error.code == rusqlite::ErrorCode::DiskFull || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }
            error => is_disk_full(error),
        }
    }
}

/// Says what was being done with the database.
pub(super) trait DatabaseResultExt<T> {
    /// `statement.execute(..).doing("register an object")`.
    fn doing(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> DatabaseResultExt<T> for rusqlite::Result<T> {
    fn doing(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { action, source })
    }
}
