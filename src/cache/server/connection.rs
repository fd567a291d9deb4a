//! One connection of clear HTTP/1.1: a thread, blocking calls, requests one after the other.
//!
//! Pipelined requests wait in the buffer until the one before is answered. All waiting has limits: for the next request, for a head that has
//! begun, for each piece of a body and for its average rate.

use std::io::{self, BufRead, ErrorKind, Read, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::access_log::Exchange;
use super::answer::Server;
use super::chunked::Chunked;
use super::head::{self, Bad, Framing, Head};
use super::options::Limits;
use super::request::{Method, Upload};
use super::response::Response;
use super::send::{Manner, Sender};
use super::upload::is_too_slow;

/// An unread body up to this length is read to its end, so that the connection can stay.
const DRAINED: u64 = 256 << 10;
/// How long and how much of what a client still sends is swallowed after the last response: hanging up at once could lose the response.
const LINGER: (Duration, usize) = (Duration::from_secs(3), 4 << 20);

/// One connection.
pub(super) struct Connection<'a> {
    server: &'a Server,
    stream: &'a TcpStream,
    client: IpAddr,
    /// Whether it waits for a request: then it may be ended at any time.
    idle: &'a AtomicBool,
    buffer: Vec<u8>,
    sender: Sender<'a>,
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    End,
    /// The client may still be sending.
    Linger,
}

impl<'a> Connection<'a> {
    /// A connection that has just come.
    pub(super) fn new(server: &'a Server, stream: &'a TcpStream, client: IpAddr, idle: &'a AtomicBool) -> Self {
        Self { server, stream, client, idle, buffer: Vec::with_capacity(4 << 10), sender: Sender::new(stream) }
    }

    /// Serves it to its end. An error is the client's, or the way's to it: nobody is left to be told.
    pub(super) fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(self.server.limits.stall))?;
        self.stream.set_read_timeout(Some(self.server.limits.idle))?;
        loop {
            match self.await_head()? {
                Some(Ok(())) => {}
                Some(Err(bad)) => {
                    self.refuse(&bad)?;
                    return self.linger();
                }
                None => return Ok(()),
            }
            match self.exchange()? {
                Next::Request => {}
                Next::End => return Ok(()),
                Next::Linger => return self.linger(),
            }
        }
    }

    /// Reads until a whole head is in the buffer. None: the client has gone, is silent, or no more requests are taken.
    fn await_head(&mut self) -> io::Result<Option<Result<(), Bad>>> {
        let mut begun: Option<Instant> = None;
        let mut looked = 0;
        loop {
            if has_head(&self.buffer, looked) {
                if begun.is_some() {
                    self.stream.set_read_timeout(Some(self.server.limits.idle))?;
                }
                return Ok(Some(Ok(())));
            }
            looked = self.buffer.len();
            if looked >= Limits::HEAD {
                return Ok(Some(Err(Bad(431, "the head is too long"))));
            }
            if looked > 0 {
                let start = *begun.get_or_insert_with(Instant::now);
                let left = self.server.limits.head.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return Ok(Some(Err(Bad(408, "the head came too slowly"))));
                }
                self.stream.set_read_timeout(Some(left))?;
            }
            match self.fill(looked == 0) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if is_timeout(&error) && looked == 0 => return Ok(None),
                Err(error) if is_timeout(&error) => return Ok(Some(Err(Bad(408, "the head came too slowly")))),
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self, is_idle: bool) -> io::Result<usize> {
        let old = self.buffer.len();
        self.buffer.resize((old + (4 << 10)).min(Limits::HEAD.max(old + 1)), 0);
        if is_idle {
            self.idle.store(true, Ordering::SeqCst);
            if self.server.is_stopping() {
                return Ok(0);
            }
        }
        let read = retried(|| (&mut &*self.stream).read(&mut self.buffer[old..]));
        if is_idle {
            self.idle.store(false, Ordering::SeqCst);
        }
        self.buffer.truncate(old + read.as_ref().copied().unwrap_or(0));
        read
    }

    /// Answers the request whose head is in the buffer.
    fn exchange(&mut self) -> io::Result<Next> {
        let buffer = std::mem::take(&mut self.buffer);
        let head = match head::parse(&buffer) {
            Ok(Some(head)) => head,
            Ok(None) => return self.refuse(&Bad(400, "this is no request of HTTP")).map(|()| Next::Linger),
            Err(bad) => return self.refuse(&bad).map(|()| Next::Linger),
        };
        let rest = &buffer[head.length..];
        if head.framing == Framing::Length(0) {
            let (next, length) = (self.answer(&head, None)?, head.length);
            self.buffer = buffer;
            self.buffer.drain(..length);
            return Ok(next);
        }
        self.stream.set_read_timeout(Some(self.server.limits.stall))?;
        let mut body = Incoming::new(self.server, self.stream, rest, &head);
        let next = self.answer(&head, Some(&mut body))?;
        self.buffer = body.raw.into_rest();
        self.stream.set_read_timeout(Some(self.server.limits.idle))?;
        Ok(next)
    }

    fn answer(&mut self, head: &Head, body: Option<&mut Incoming>) -> io::Result<Next> {
        let start = Instant::now();
        self.server.metrics.begin();
        let (mut keep, mut linger) = (head.keep && !self.server.is_stopping(), false);
        let response = match body {
            None => self.server.answer(&head.request, Upload { length: Some(0), bytes: &mut io::empty() }),
            Some(body) => {
                let length = body.length();
                let response = self.server.answer(&head.request, Upload { length, bytes: body });
                if !body.drain() {
                    (keep, linger) = (false, true);
                }
                response
            }
        };
        let manner = Manner { keep, is_head: head.request.method == Method::Head, is_modern: head.is_modern };
        let (status, by) = (response.status, response.by.clone());
        let sent = self.sender.send(response, &manner);
        let (client, took) = (self.client, start.elapsed());
        let (bytes, outcome) = sent.map_or_else(|(bytes, error)| (bytes, Err(error)), |bytes| (bytes, Ok(())));
        let (method, path) = (head.request.method, head.request.path);
        self.server.note(&Exchange { client, token: by.as_deref(), method, path, status, bytes, took });
        outcome?;
        Ok(if linger {
            Next::Linger
        } else if keep {
            Next::Request
        } else {
            Next::End
        })
    }

    fn refuse(&mut self, bad: &Bad) -> io::Result<()> {
        let start = Instant::now();
        self.server.metrics.begin();
        let manner = Manner { keep: false, is_head: false, is_modern: true };
        let sent = self.sender.send(Response::text(bad.0, bad.1), &manner);
        let bytes = *sent.as_ref().unwrap_or_else(|(bytes, _)| bytes);
        let exchange =
            Exchange { client: self.client, token: None, method: Method::Other, path: "", status: bad.0, bytes, took: start.elapsed() };
        self.server.note(&exchange);
        sent.map(drop).map_err(|(_, error)| error)
    }

    fn linger(self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let (start, mut swallowed, mut piece) = (Instant::now(), 0, [0; 8 << 10]);
        while swallowed < LINGER.1 {
            let left = LINGER.0.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            self.stream.set_read_timeout(Some(left))?;
            match (&mut &*self.stream).read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(count) => swallowed += count,
            }
        }
        Ok(())
    }
}

/// Whether a head ends in these bytes, of which the first `looked` were looked at before.
fn has_head(bytes: &[u8], looked: usize) -> bool {
    let from = looked.saturating_sub(3);
    bytes[from..].windows(2).enumerate().any(|(at, pair)| pair == b"\n\n" || (pair == b"\n\r" && bytes.get(from + at + 2) == Some(&b'\n')))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
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
struct Incoming<'a> {
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
    fn new(server: &Server, stream: &'a TcpStream, rest: &[u8], head: &Head) -> Self {
        let (start, patience) = (Instant::now(), server.limits.stall);
        let raw = Raw { stream, buffer: rest.to_vec(), at: 0, waits: head.expects && rest.is_empty(), start, patience, total: 0 };
        let left = match head.framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks(Chunked::Size),
        };
        Self { raw, left }
    }

    fn length(&self) -> Option<u64> {
        match self.left {
            Left::Bytes(length) => Some(length),
            _ => None,
        }
    }

    /// Reads a short rest to its end. Gives whether the next request follows.
    fn drain(&mut self) -> bool {
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
