//! What keeps a server from starting or going on.

use std::io;
use std::path::PathBuf;

use crate::fsio::PathError;

/// What keeps a server from starting or going on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The directory cannot be served.
    #[error("cannot serve {}: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret would be served with everything else.
    #[error("{} lies in the directory that is served", .0.display())]
    Exposed(PathBuf),
    /// A certificate or key that TLS cannot use.
    #[error("cannot use {} for TLS: {problem}", path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The socket cannot be used.
    #[error("cannot accept connections: {0}")]
    Accept(io::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] PathError),
}
