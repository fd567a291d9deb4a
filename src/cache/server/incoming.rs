//! The body of a request as it comes over a socket: framed, and not slower than is bearable.

use std::io::{self, BufRead, ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::answer::Server;
use super::chunked::Chunked;
use super::head::{Framing, Head};
use super::upload::is_too_slow;

/// An unread body up to this length is read to its end, so that the connection can stay.
const DRAINED: u64 = 256 << 10;

/// Reads, however often a signal comes between.
pub(super) fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// What a client sends after a head: bytes that came with the head, then the socket's.
struct Raw<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
    at: usize,
    /// Whether the client waits to be told to go on.
    waits: bool,
    start: Instant,
    patience: Duration,
    total: u64,
}

impl Raw<'_> {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.waits) {
            (&mut &*self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let count = retried(|| (&mut &*self.stream).read(into))?;
        self.total += count as u64;
        if is_too_slow(self.total, self.start.elapsed(), self.patience) {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(count)
    }

    fn into_rest(mut self) -> Vec<u8> {
        self.buffer.drain(..self.at);
        self.buffer
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            return self.receive(into);
        }
        let count = into.len().min(self.buffer.len() - self.at);
        into[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl BufRead for Raw<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(4 << 10, 0);
            let count = self.receive(&mut buffer)?;
            buffer.truncate(count);
            (self.buffer, self.at) = (buffer, 0);
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

/// A body that comes.
pub(super) struct Incoming<'a> {
    raw: Raw<'a>,
    left: Left,
}

enum Left {
    Bytes(u64),
    Chunks(Chunked),
    /// It broke off.
    Broken,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(server: &Server, stream: &'a TcpStream, rest: &[u8], head: &Head) -> Self {
        let (start, patience) = (Instant::now(), server.limits.stall);
        let raw = Raw { stream, buffer: rest.to_vec(), at: 0, waits: head.expects && rest.is_empty(), start, patience, total: 0 };
        let left = match head.framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks(Chunked::Size),
        };
        Self { raw, left }
    }

    pub(super) fn length(&self) -> Option<u64> {
        match self.left {
            Left::Bytes(length) => Some(length),
            _ => None,
        }
    }

    /// What follows the body, as far as it has come.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.raw.into_rest()
    }

    /// Reads a short rest to its end. Gives whether the next request follows.
    pub(super) fn drain(&mut self) -> bool {
        let is_short = match self.left {
            Left::Bytes(0) | Left::Chunks(Chunked::Done) => return true,
            // The client has not begun to send it, and does not if told no.
            _ if self.raw.waits => false,
            Left::Bytes(left) => left <= DRAINED,
            Left::Chunks(_) => true,
            Left::Broken => false,
        };
        let copied = if is_short { io::copy(&mut self.take(DRAINED + 1), &mut io::sink()).ok() } else { None };
        copied.is_some_and(|count| count <= DRAINED) && matches!(self.left, Left::Bytes(0) | Left::Chunks(Chunked::Done))
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.left {
            Left::Broken => Err(ErrorKind::UnexpectedEof.into()),
            Left::Bytes(0) => Ok(0),
            Left::Chunks(chunked) => chunked.read(&mut self.raw, into),
            Left::Bytes(left) => {
                let wanted = into.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                match self.raw.read(&mut into[..wanted]) {
                    Ok(0) if wanted > 0 => Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => {
                        *left -= count as u64;
                        Ok(count)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if read.is_err() {
            self.left = Left::Broken;
        }
        read
    }
}
