//! The bytes of one entry.

use std::io::{self, ErrorKind, Read};

use super::meter::Meter;
use super::{Entry, EntrySink};
use crate::archive::ArchiveError;

/// Exactly so many bytes of a stream. Remembers its own failure, so that it is not mistaken for one of the reader's.
pub(super) struct Content<'a> {
    source: &'a mut dyn Read,
    left: u64,
    failure: Option<String>,
}

impl<'a> Content<'a> {
    pub(super) fn new(source: &'a mut dyn Read, len: u64) -> Self {
        Self { source, left: len, failure: None }
    }

    /// Reads what is left.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let result = match self.source.read(&mut buffer[..room]) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "it ends in the middle of a file")),
            other => other,
        };
        match result {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                if error.kind() != ErrorKind::Interrupted {
                    self.failure = Some(error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// Gives an entry and the next `len` bytes of `source` to `sink`, and skips what it leaves.
pub(super) fn deliver<S: EntrySink>(
    meter: &mut Meter,
    name: &[u8],
    entry: &Entry,
    source: &mut dyn Read,
    len: u64,
    sink: &mut S,
) -> Result<(), S::Error> {
    meter.bytes(len)?;
    let mut content = Content::new(source, len);
    let result = if meter.is_for_sink(name, entry)? { sink.entry(entry, &mut content) } else { Ok(()) };
    if result.is_ok() {
        // Its failure is looked at just below.
        drop(content.skip());
    }
    match content.failure {
        Some(problem) => Err(meter.malformed(problem).into()),
        None => result.and_then(|()| Ok(meter.bytes(sink.take_copied())?)),
    }
}

/// Reads a small piece of an archive's own data whole.
pub(super) fn read_small(meter: &mut Meter, source: &mut dyn Read, len: u64, what: &str) -> Result<Vec<u8>, ArchiveError> {
    /// Long names and extended headers are far smaller.
    const MAX: u64 = 1 << 20;
    if len > MAX {
        return Err(meter.malformed(format!("{what} of {len} bytes")));
    }
    meter.bytes(len)?;
    let mut bytes = Vec::new();
    Content::new(source, len).read_to_end(&mut bytes).map_err(|error| meter.malformed(error))?;
    Ok(bytes)
}
