//! A response on its way: the head and a small body in one call, a file's bytes from the page cache to the socket by `sendfile`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::chunked::Chunks;
use super::response::{Body, Response, Streaming, reason};

/// A part of a file up to this length is read and sent with the head.
const SMALL: u64 = 32 << 10;
/// Bytes that one call of `sendfile` is asked for.
const PIECE: u64 = 64 << 20;

/// How a response is sent.
pub(super) struct Manner {
    /// Whether the connection stays.
    pub(super) keep: bool,
    /// Whether only the head is wanted.
    pub(super) is_head: bool,
    /// Whether the client understands chunks.
    pub(super) is_modern: bool,
}

/// Bytes of the body that were sent, and in what it broke off.
type Sent = Result<u64, (u64, io::Error)>;

/// Whether a response takes longer than a call or two.
pub(super) fn is_long(response: &Response, manner: &Manner) -> bool {
    match response.body {
        Body::File { length, .. } => length > SMALL && !manner.is_head,
        Body::Stream(_) => true,
        Body::Empty | Body::Bytes(_) => false,
    }
}

/// Sends the responses of one connection.
#[derive(Default)]
pub(super) struct Sender {
    /// What is to be sent.
    out: Vec<u8>,
    second: u64,
    date: String,
}

impl Sender {
    /// Puts a response that is not long together. Gives the bytes of its body.
    pub(super) fn compose(&mut self, response: Response, manner: &Manner) -> io::Result<u64> {
        self.head(&response, manner);
        let head = self.out.len();
        if !manner.is_head && !matches!(response.status, 204 | 304) {
            match response.body {
                Body::Bytes(bytes) => self.out.extend_from_slice(&bytes),
                Body::File { file, from, length } => {
                    self.out.resize(head + usize::try_from(length).unwrap_or(0), 0);
                    file.read_exact_at(&mut self.out[head..], from)?;
                }
                Body::Empty | Body::Stream(_) => {}
            }
        }
        Ok((self.out.len() - head) as u64)
    }

    /// Sends what was put together, as far as that goes without waiting. Gives whether that was all.
    pub(super) fn try_flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut sent = 0;
        while sent < self.out.len() {
            match rustix::net::send(stream, &self.out[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.out.drain(..sent);
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.clear();
        Ok(true)
    }

    /// Sends what was put together.
    pub(super) fn flush(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        let sent = stream.write_all(&self.out);
        self.clear();
        sent
    }

    /// Sends a response.
    pub(super) fn send(&mut self, stream: &TcpStream, response: Response, manner: &Manner) -> Sent {
        if !is_long(&response, manner) {
            let composed = self.compose(response, manner);
            return composed.and_then(|count| self.flush(stream).map(|()| count)).map_err(|error| (0, error));
        }
        self.head(&response, manner);
        let sent = match response.body {
            Body::File { file, from, length } => self.large(stream, &file, from, length),
            Body::Stream(write) if !manner.is_head => self.stream(stream, write, manner),
            _ => self.flush(stream).map(|()| 0).map_err(|error| (0, error)),
        };
        self.clear();
        sent
    }

    /// One large page must not stay in memory for as long as its reader does.
    fn clear(&mut self) {
        self.out.clear();
        self.out.shrink_to(64 << 10);
    }

    fn head(&mut self, response: &Response, manner: &Manner) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if self.second != since.as_secs() || self.date.is_empty() {
            self.second = since.as_secs();
            self.date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(self.second));
        }
        let mut head = Text(&mut self.out);
        // Writing to memory does not fail.
        let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason(response.status), self.date);
        for (name, value) in &response.headers {
            head.add(name);
            head.add(": ");
            head.add(value);
            head.add("\r\n");
        }
        match response.body.length() {
            _ if matches!(response.status, 204 | 304) => {}
            Some(length) => drop(write!(head, "Content-Length: {length}\r\n")),
            None if manner.is_modern => head.add("Transfer-Encoding: chunked\r\n"),
            None => {}
        }
        let is_open_ended = response.body.length().is_none() && !manner.is_modern;
        if !manner.keep || is_open_ended {
            head.add("Connection: close\r\n");
        } else if !manner.is_modern {
            head.add("Connection: keep-alive\r\n");
        }
        head.add("\r\n");
    }

    fn large(&mut self, stream: &TcpStream, file: &File, from: u64, length: u64) -> Sent {
        self.announce(stream).map_err(|error| (0, error))?;
        let (mut at, end) = (from, from + length);
        while at < end {
            let count = usize::try_from((end - at).min(PIECE)).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(stream, file, Some(&mut at), count) {
                // Somebody cut the file.
                Ok(0) => return Err((at - from, ErrorKind::UnexpectedEof.into())),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err((at - from, error.into())),
            }
        }
        Ok(length)
    }

    /// Sends the head, and says that more follows: it shares a segment with the body's beginning.
    fn announce(&self, stream: &TcpStream) -> io::Result<()> {
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            match rustix::net::send(stream, rest, SendFlags::MORE | SendFlags::NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stream(&mut self, mut stream: &TcpStream, write: Streaming, manner: &Manner) -> Sent {
        self.flush(stream).map_err(|error| (0, error))?;
        if !manner.is_modern {
            return write(&mut stream).map(|()| 0).map_err(|error| (0, error));
        }
        let mut chunks = Chunks::new(stream);
        match write(&mut chunks).and_then(|()| chunks.finish()) {
            Ok(()) => Ok(chunks.sent),
            Err(error) => Err((chunks.sent, error)),
        }
    }
}

/// Text at the end of bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    fn add(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.add(text);
        Ok(())
    }
}
