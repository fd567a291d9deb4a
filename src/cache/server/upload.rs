//! Taking an entry in: streamed to a file beside its place, checked, and made the entry in one step; or nothing is kept.

use std::io::{self, ErrorKind, Write as _};
use std::time::Duration;

use crate::cache::backend::Existing;
use crate::cache::entry::EntryName;
use crate::model::Hasher;

use super::answer::Server;
use super::claims::{self, Refusal};
use super::content::Content;
use super::metrics::Uploaded;
use super::options::Limits;
use super::request::{Request, Upload};
use super::response::Response;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

impl Server {
    /// Answers a `PUT`.
    pub(super) fn put(&self, request: &Request, name: &EntryName, upload: Upload) -> Response {
        let (response, how) = match self.take_in(request, name, upload) {
            Ok(true) => (Response::empty(201), Uploaded::Stored),
            Ok(false) => (Response::empty(204), Uploaded::Kept),
            Err(response) => (response, Uploaded::Refused),
        };
        self.metrics.uploaded(how);
        if matches!(how, Uploaded::Stored) {
            self.index.written(&self.files, name);
        }
        response
    }

    /// Gives whether something was stored.
    fn take_in(&self, request: &Request, name: &EntryName, upload: Upload) -> Result<bool, Response> {
        let content = Content::of(name);
        let Some(limit) = content.limit(&self.limits) else {
            return Err(Response::text(403, "no entry of this name is taken in"));
        };
        if let Content::Traces(_, key) | Content::Record(_, key) | Content::Log(_, key) = &content {
            claims::may_sign(key, &self.trusted).map_err(refused)?;
        }
        let there = self.files.find(name).map_err(|error| Response::trouble(&error))?;
        if there.is_some() && request.headers.if_none_match == Some("*") {
            return Err(Response::text(412, "it is here already"));
        }
        if let Some(found) = there
            && content.existing() == Existing::Keep
        {
            found.renew();
            return Ok(false);
        }
        if upload.length.is_some_and(|length| length > limit) {
            return Err(too_long(limit));
        }
        // Somebody else may write the entry while this body comes.
        let only_first = request.headers.if_none_match == Some("*");
        let existing = if only_first { Existing::Keep } else { content.existing() };
        let stored = if limit == Limits::DOCUMENT && content.hash().is_none() {
            self.take_document(name, &content, upload, existing)?
        } else {
            self.take_stream(name, &content, upload, limit, existing)?
        };
        if only_first && !stored { Err(Response::text(412, "it is here already")) } else { Ok(stored) }
    }

    fn take_document(&self, name: &EntryName, content: &Content, upload: Upload, existing: Existing) -> Result<bool, Response> {
        let bytes = self.read_document(upload)?;
        claims::check(content, &bytes, &self.files, &self.trusted).map_err(refused)?;
        let stored = self.files.begin(name).and_then(|mut file| {
            file.write_all(&bytes)?;
            self.files.finish(file, name, existing)
        });
        self.stored(stored, existing)
    }

    fn take_stream(&self, name: &EntryName, content: &Content, upload: Upload, limit: u64, existing: Existing) -> Result<bool, Response> {
        let mut file = self.files.begin(name).map_err(|error| Response::trouble(&error))?;
        let mut hasher = content.hash().map(|_| Hasher::default());
        self.receive(upload, limit, &mut |piece| {
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
            }
            file.write_all(piece)
        })?;
        let found = hasher.map(Hasher::finish);
        if found.as_ref() != content.hash() {
            return Err(Response::text(422, "the bytes are not those that the name says"));
        }
        self.stored(self.files.finish(file, name, existing), existing)
    }

    fn stored(&self, finished: io::Result<bool>, existing: Existing) -> Result<bool, Response> {
        let is_new = finished.map_err(|error| Response::trouble(&error))?;
        Ok(is_new || existing == Existing::Replace)
    }

    /// Reads a document into memory.
    pub(super) fn read_document(&self, upload: Upload) -> Result<Vec<u8>, Response> {
        if upload.length.is_some_and(|length| length > Limits::DOCUMENT) {
            return Err(too_long(Limits::DOCUMENT));
        }
        let mut bytes = Vec::new();
        self.receive(upload, Limits::DOCUMENT, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn receive(&self, upload: Upload, limit: u64, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Response> {
        let size = upload.length.map_or(PIECE, |length| PIECE.min(usize::try_from(length).unwrap_or(PIECE)));
        let mut piece = vec![0; size.max(1)];
        let mut total = 0u64;
        loop {
            let count = match upload.bytes.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken_off(&error)),
            };
            total += count as u64;
            self.metrics.received(count as u64);
            if total > limit {
                return Err(too_long(limit));
            }
            each(&piece[..count]).map_err(|error| Response::trouble(&error))?;
        }
    }
}

fn broken_off(error: &io::Error) -> Response {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Response::text(408, "the body came too slowly"),
        _ => Response::text(400, "the body ends early or is badly framed"),
    }
}

fn too_long(limit: u64) -> Response {
    Response::text(413, format!("at most {limit} bytes are taken in under this name"))
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Wrong(problem) => Response::text(422, problem),
        Refusal::Untrusted(problem) => Response::text(403, problem),
        Refusal::Trouble(error) => Response::trouble(&error),
    }
}

/// Whether a body that has brought `total` bytes in `elapsed` is too slow to wait for.
pub(super) fn is_too_slow(total: u64, elapsed: Duration, patience: Duration) -> bool {
    elapsed > patience.saturating_add(Duration::from_secs(total / Limits::SLOWEST))
}
