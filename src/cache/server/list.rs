//! Questions about many entries at once.

use std::io::{self, Write};

use crate::cache::backend::Backend as _;
use crate::cache::directory::Directory;
use crate::cache::entry::EntryName;
use crate::cache::error::CacheError;
use crate::cache::wire::ListedLine;

use super::answer::{Server, now};
use super::request::{Request, Upload};
use super::response::{Body, Response};

impl Server {
    /// Answers which of the named entries are not here: a JSON list in, a JSON list out. Those that are here count as used: whoever asks
    /// relies on them.
    pub(super) fn missing(&self, upload: Upload) -> Response {
        let bytes = match self.read_document(upload) {
            Ok(bytes) => bytes,
            Err(response) => return response,
        };
        let names: Vec<String> = match serde_json::from_slice(&bytes) {
            Ok(names) => names,
            Err(error) => return Response::text(400, format!("expected a JSON list of names: {error}")),
        };
        let now = now();
        let mut missing = Vec::new();
        for name in names {
            let entry: EntryName = match name.parse() {
                Ok(entry) => entry,
                Err(error) => return Response::text(400, error.to_string()),
            };
            match self.files.find(&entry) {
                Ok(Some(found)) => found.note_use(now),
                Ok(None) => missing.push(name),
                Err(error) => return Response::trouble(&error),
            }
        }
        Response::json(&missing)
    }

    /// Answers which entries there are whose names begin with `prefix`: a JSON document a line, while they are found.
    pub(super) fn list(&self, request: &Request) -> Response {
        let prefix = request.parameter("prefix").unwrap_or_default();
        // A prefix of a name, or one up to a slash: nothing else can match, nor lead the walk elsewhere.
        let directory = prefix.strip_suffix('/').unwrap_or(&prefix);
        if !directory.is_empty() && directory.parse::<EntryName>().is_err() {
            return Response::empty(200).with("Content-Type", "application/jsonl");
        }
        let cache = Directory::new(self.files.dir().to_owned());
        let write = move |out: &mut dyn Write| {
            cache
                .list(&prefix, &mut |listed| {
                    let written = serde_json::to_writer(&mut *out, &ListedLine::from(&listed))
                        .map_err(io::Error::from)
                        .and_then(|()| out.write_all(b"\n"));
                    written.map_err(|error| CacheError::Io(crate::fsio::PathError::new("send", "a listing", error)))
                })
                .map_err(|error| io::Error::other(error.to_string()))
        };
        Response::empty(200).with("Content-Type", "application/jsonl").body(Body::Stream(Box::new(write)))
    }
}
