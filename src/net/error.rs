//! Why no request could be made at all.

use std::io;

use crate::fsio::PathError;

/// What is wrong on this side of the connection.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address that cannot be used.
    #[error("`{url}` cannot be fetched from: {reason}")]
    BadAddress {
        /// The address, without credentials.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// TLS could not be set up at all.
    #[error("cannot set up encrypted connections: {0}")]
    Tls(String),
    /// What should be sent could not be read, or ended before its length.
    #[error("cannot read what is to be sent: {0}")]
    Body(#[source] io::Error),
    /// A file of the machine's configuration could not be read.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl NetError {
    /// What to try, for the command line's `hint:` line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tls(_) => Some("install `ca-certificates`, or set SSL_CERT_FILE to a file of certificate authorities".to_owned()),
            Self::BadAddress { .. } | Self::Body(_) | Self::Io(_) => None,
        }
    }
}
