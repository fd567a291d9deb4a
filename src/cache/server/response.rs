//! A response, as a value: a status, headers, and where its bytes come from.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

/// Writes a body piece by piece.
pub(super) type Streaming = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// Where a body comes from.
pub(super) enum Body {
    /// There is none.
    Empty,
    /// It is here.
    Bytes(Cow<'static, [u8]>),
    /// So many bytes of a file, from a place on.
    File { file: File, from: u64, length: u64 },
    /// It is made while it is sent; how long it will be is not known.
    Stream(Streaming),
}

impl Body {
    /// Its length, if known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File { length, .. } => Some(*length),
            Self::Stream(_) => None,
        }
    }
}

/// A header of a response.
pub(super) type Header = (&'static str, Cow<'static, str>);

/// What is answered.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<Header>,
    pub(super) body: Body,
    /// Whose token came with the request.
    pub(super) by: Option<Arc<str>>,
}

impl Response {
    /// A response without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::with_capacity(8), body: Body::Empty, by: None }
    }

    /// A text, which ends with a line break.
    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        text.push('\n');
        Self::empty(status).with("Content-Type", "text/plain; charset=utf-8").body(Body::Bytes(text.into_bytes().into()))
    }

    /// A JSON document.
    pub(super) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Self::empty(200).with("Content-Type", "application/json").body(Body::Bytes(bytes.into())),
            Err(error) => Self::text(500, format!("cannot write JSON: {error}")),
        }
    }

    /// Something on this machine failed. What exactly is for its owner, not for clients.
    pub(super) fn trouble(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::text(507, "the cache's disk is full"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::text(403, "the server may not do that in its directory")
            }
            _ => Self::text(500, "the server cannot read or write its directory"),
        }
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// What a status is called.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}
