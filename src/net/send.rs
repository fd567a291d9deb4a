//! What a request may send along.

use std::fmt;
use std::io::{self, Read};

/// What is asked of a server, beside giving a file ([`Client::get`](super::Client::get)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Tell about a file without giving it.
    Head,
    /// Take a file under this name.
    Put,
    /// Do something with what is sent.
    Post,
    /// Forget a file.
    Delete,
}

impl Method {
    /// Whether its requests say a body's length even if there is none.
    pub(super) fn expects_body(self) -> bool {
        matches!(self, Self::Put | Self::Post)
    }

    pub(super) fn of_library(self) -> ureq::http::Method {
        match self {
            Self::Head => ureq::http::Method::HEAD,
            Self::Put => ureq::http::Method::PUT,
            Self::Post => ureq::http::Method::POST,
            Self::Delete => ureq::http::Method::DELETE,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of_library().as_str())
    }
}

/// A request's body.
pub enum Body<'a> {
    /// These bytes. They can be sent again where a redirect leads.
    Bytes(&'a [u8]),
    /// A stream, of which one buffer is held at a time. It can be sent once.
    Reader {
        /// Where the bytes come from.
        reader: &'a mut dyn Read,
        /// So many are sent: more are not read, fewer are an error.
        length: u64,
    },
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader { length, .. } => write!(f, "Reader({length})"),
        }
    }
}

/// Exactly so many bytes of a reader. The client library would wait for ever for those that a short one lacks, and would blame the
/// connection for a reader that fails.
pub(super) struct Exactly<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    /// Why the reader gave no more.
    failure: Option<io::Error>,
}

impl<'a> Exactly<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, length: u64) -> Self {
        Self { reader, left: length, failure: None }
    }

    /// Why it could not be read to its end, if that is so.
    pub(super) fn into_failure(self) -> Option<io::Error> {
        self.failure
    }
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = loop {
            match self.reader.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let failure = match read {
            Ok(0) => io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends {} bytes before its length", self.left)),
            Ok(count) => {
                self.left -= count as u64;
                return Ok(count);
            }
            Err(error) => error,
        };
        self.failure = Some(failure);
        Err(io::ErrorKind::Other.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_not_read_and_less_is_an_error() {
        let mut long: &[u8] = b"abcdef";
        let mut read = Vec::new();
        Exactly::new(&mut long, 4).read_to_end(&mut read).unwrap();
        assert_eq!((read.as_slice(), long), (b"abcd".as_slice(), b"ef".as_slice()));
        let mut short: &[u8] = b"ab";
        let mut exactly = Exactly::new(&mut short, 4);
        exactly.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(exactly.into_failure().unwrap().to_string(), "it ends 2 bytes before its length");
    }
}
