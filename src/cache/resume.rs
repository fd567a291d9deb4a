//! Reading one entry through whatever breaks on the way.
//!
//! In: a back end, a name, perhaps the length that the entry must have. Out: exactly its bytes, from as many connections as that takes; or an
//! error. What came is not checked here against any hash: the bytes of two connections may be of two versions, if the entry was replaced
//! meanwhile.

use std::io::{self, Read};

use super::backend::Backend;
use super::entry::EntryName;
use super::error::CacheError;
use super::patient::{Failure, Patience};
use crate::net::{Trouble, classify_io};

/// A connection that brought this many bytes was worth it: patience starts anew.
const WORTHWHILE: u64 = 64 << 10;

/// An entry's bytes. Errors of [`Read`] hold a [`CacheError`]; [`CacheError::of_reading`] takes it out.
pub struct ResumingReader<'a> {
    backend: &'a dyn Backend,
    name: EntryName,
    patience: &'a Patience,
    /// How long the entry is, if anybody said.
    length: Option<u64>,
    at: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Connections in a row that were not worth it.
    failures: u32,
    /// Where the last one began that was.
    mark: u64,
    ended: bool,
}

impl<'a> ResumingReader<'a> {
    /// Opens an entry, which must have this length if one is given; none if it is not there.
    ///
    /// # Errors
    /// If that cannot be found out, or the entry has another length.
    pub fn open(backend: &'a dyn Backend, name: &EntryName, length: Option<u64>) -> Result<Option<Self>, CacheError> {
        let patience = backend.patience();
        let mut reader = Self { backend, name: name.clone(), patience, length, at: 0, body: None, failures: 0, mark: 0, ended: false };
        Ok(reader.connect()?.then_some(reader))
    }

    /// How long the entry is, if anybody said.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the entry is there; it is being read from where the last connection broke then.
    fn connect(&mut self) -> Result<bool, CacheError> {
        let Some(reading) = self.backend.read(&self.name, self.at)? else { return Ok(false) };
        if let Some(rest) = reading.length {
            let said = self.at.saturating_add(rest);
            if let Some(length) = self.length.filter(|length| *length != said) {
                return Err(self.lie(format!("it has {said} bytes, not {length}")));
            }
            self.length = Some(said);
        }
        self.body = Some(reading.body);
        Ok(true)
    }

    fn lie(&self, problem: String) -> CacheError {
        CacheError::Lie { cache: self.backend.location(), entry: self.name.clone(), problem }
    }

    fn failed(&self, failure: Failure) -> CacheError {
        failure.into_error(&self.backend.location(), "read", &self.name)
    }

    /// After a connection broke: waits, if there is still hope.
    fn broke(&mut self, trouble: Trouble) -> Result<(), CacheError> {
        self.body = None;
        let (reason, after) = match trouble {
            Trouble::Passing { reason, after } => (reason, after),
            other => return Err(self.failed(other.into())),
        };
        if self.length.is_none() && self.at > 0 {
            // Nobody said where the end is, so the rest could not be told from another version's.
            return Err(self.failed(Trouble::passing(reason).into()));
        }
        self.failures = if self.at >= self.mark + WORTHWHILE { 1 } else { self.failures + 1 };
        self.mark = self.at;
        self.patience.rest(self.failures, reason, after).map_err(|failure| self.failed(failure))
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, CacheError> {
        while !self.ended {
            self.patience.go_on().map_err(|failure| self.failed(failure))?;
            if self.body.is_none() && !self.connect()? {
                return Err(self.failed(Trouble::passing("it is gone meanwhile").into()));
            }
            let Some(body) = &mut self.body else { continue };
            let left = self.length.map(|length| length - self.at);
            if left == Some(0) {
                // Whatever comes now is too much; that nothing comes lets the connection be used again.
                self.ended = true;
                return match body.read(&mut [0]) {
                    Ok(1..) => Err(self.lie(format!("it goes on after its {} bytes", self.at))),
                    _ => Ok(0),
                };
            }
            let most = left.map_or(buffer.len(), |left| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            match body.read(&mut buffer[..most]) {
                Ok(0) if left.is_none() => self.ended = true,
                Ok(0) => self.broke(Trouble::passing("it ended before the entry did"))?,
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.broke(classify_io(&error))?,
            }
        }
        Ok(0)
    }
}

impl Read for ResumingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.read_some(buffer).map_err(io::Error::other) }
    }
}

impl CacheError {
    /// The error that a [`ResumingReader`] gave, out of what became of it on the way.
    ///
    /// # Errors
    /// The same, if it was another's.
    pub fn of_reading(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }
}

/// A whole entry of at most `limit` bytes; none if it is not there.
///
/// # Errors
/// If it cannot be read, or is longer.
pub fn read_small(backend: &dyn Backend, name: &EntryName, limit: u64) -> Result<Option<Vec<u8>>, CacheError> {
    let Some(reader) = ResumingReader::open(backend, name, None)? else { return Ok(None) };
    let too_long = || CacheError::Lie {
        cache: backend.location(),
        entry: name.clone(),
        problem: format!("it is longer than the {limit} bytes that it may have"),
    };
    if reader.length().is_some_and(|length| length > limit) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let read = reader.take(limit + 1).read_to_end(&mut bytes);
    match read.map_err(CacheError::of_reading) {
        Ok(_) if bytes.len() as u64 > limit => Err(too_long()),
        Ok(_) => Ok(Some(bytes)),
        Err(Ok(error)) => Err(error),
        Err(Err(error)) => Err(Failure::from(classify_io(&error)).into_error(&backend.location(), "read", name)),
    }
}
