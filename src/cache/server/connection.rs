//! One connection of clear HTTP/1.1, requests one after the other.
//!
//! It lives in two ways. While it waits, and for as long as its requests are quickly answered, many share a thread ([`waiting`](super::waiting)):
//! nothing here blocks then. What takes longer, a large body, an upload, a stream, gets a thread of its own and blocking calls, which cost less
//! a byte; after it the connection goes back to wait with the others.
//!
//! Pipelined requests wait in the buffer until the one before is answered. All waiting has limits: for the next request, for a head that has
//! begun, for each piece of a body and for its average rate.

use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::access_log::Exchange;
use super::answer::Server;
use super::head::{self, Bad, Framing, Head};
use super::incoming::{Incoming, retried};
use super::listen::Counted;
use super::options::Limits;
use super::request::{Method, Upload};
use super::response::Response;
use super::send::{Manner, Sender, is_long};
use super::streams::Streams;

/// How long and how much of what a client still sends is swallowed after the last response: hanging up at once could lose the response.
const LINGER: (Duration, usize) = (Duration::from_secs(3), 4 << 20);
/// How long a thread waits for the next request before the connection goes back to the others.
const QUIET: Duration = Duration::from_millis(250);
/// After so many quick answers in a row it goes back as well.
const QUICK: u32 = 4;
/// Bytes that are read at a time.
const PIECE: usize = 4 << 10;

/// One connection.
pub(super) struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    client: IpAddr,
    buffer: Vec<u8>,
    /// How much of the buffer was searched for the end of a head.
    looked: usize,
    sender: Sender,
    /// When the last response was sent, or a head began to come.
    since: Instant,
    /// Whether nothing has come yet: it may turn out to be HTTP/2.
    is_new: bool,
    /// Whether it ends once everything is sent.
    is_ending: bool,
    /// The answer to the request in the buffer, and since when that is worked on, if it is decided and not sent.
    decided: Option<(Response, Instant)>,
    counted: Counted,
}

/// What becomes of a connection that had something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quick {
    /// It waits.
    Wait,
    /// It is over.
    Gone,
    /// It needs a thread.
    Slow,
    /// It speaks HTTP/2.
    Http2,
}

/// What becomes of a connection after it had a thread.
pub(super) enum After {
    /// It waits.
    Wait(Connection),
    /// It speaks HTTP/2.
    Http2(Connection),
    /// It is over.
    Over,
}

/// Whether the connection goes on.
enum Next {
    /// With the next request; the answer was a quick one or not.
    Request(bool),
    End,
    /// The client may still be sending.
    Linger,
}

/// What came while a thread waited for a request.
enum Came {
    Head,
    Nothing,
    End,
    Bad(Bad),
}

impl Connection {
    /// A connection that has just come.
    pub(super) fn new(server: Arc<Server>, stream: TcpStream, client: IpAddr, counted: Counted) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let (buffer, sender, since) = (Vec::with_capacity(PIECE), Sender::default(), Instant::now());
        Ok(Self { server, stream, client, buffer, looked: 0, sender, since, is_new: true, is_ending: false, decided: None, counted })
    }

    /// Its socket.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Leaves it to those who speak HTTP/2.
    pub(super) fn hand_over(self, streams: &Streams) {
        streams.serve(self.stream, self.client, self.counted);
    }

    /// Takes in what has come and answers what is quickly answered, without ever waiting.
    pub(super) fn attend(&mut self) -> Quick {
        if self.is_new {
            match self.peek(RecvFlags::DONTWAIT) {
                Ok(Some(is_http2)) if is_http2 => return Quick::Http2,
                Ok(Some(_)) => self.is_new = false,
                Ok(None) => return Quick::Slow,
                Err(Errno::AGAIN) => return Quick::Wait,
                Err(_) => return Quick::Gone,
            }
        }
        let old = self.buffer.len();
        if old == 0 {
            self.since = Instant::now();
        }
        self.buffer.resize(old + PIECE, 0);
        let received = rustix::net::recv(&self.stream, &mut self.buffer[old..], RecvFlags::DONTWAIT).map(|(count, _)| count);
        self.buffer.truncate(old + received.unwrap_or(0));
        match received {
            Ok(0) => return Quick::Gone,
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Quick::Wait,
            Err(_) => return Quick::Gone,
        }
        self.answer_quickly()
    }

    /// What has waited too long is over, or told so.
    pub(super) fn overdue(&self) -> Quick {
        let waited = self.since.elapsed();
        if self.buffer.is_empty() && waited > self.server.limits.idle {
            Quick::Gone
        } else if !self.buffer.is_empty() && waited > self.server.limits.head {
            Quick::Slow
        } else {
            Quick::Wait
        }
    }

    /// Whether it begins as HTTP/2 does, which no request of HTTP/1 does; none if too little has come.
    fn peek(&self, flags: RecvFlags) -> Result<Option<bool>, Errno> {
        let mut first = [0; 4];
        match rustix::net::recv(&self.stream, &mut first, RecvFlags::PEEK | flags)? {
            (4, _) => Ok(Some(first == *b"PRI ")),
            (0, _) => Err(Errno::CONNRESET),
            _ => Ok(None),
        }
    }

    fn answer_quickly(&mut self) -> Quick {
        loop {
            if !self.has_head() {
                return if self.buffer.len() < Limits::HEAD { Quick::Wait } else { Quick::Slow };
            }
            let buffer = std::mem::take(&mut self.buffer);
            let answered = match head::parse(&buffer) {
                Ok(Some(head)) if is_quick(&head) => self.try_answer(&head),
                _ => Err(Quick::Slow),
            };
            self.buffer = buffer;
            match answered {
                Ok(Answered { length, keep, is_sent }) => {
                    self.forget(length);
                    self.is_ending = !keep;
                    if !is_sent {
                        return Quick::Slow;
                    }
                    if !keep {
                        return Quick::Gone;
                    }
                }
                Err(outcome) => return outcome,
            }
        }
    }

    /// Answers a request if that can be done at once.
    fn try_answer(&mut self, head: &Head) -> Result<Answered, Quick> {
        let start = Instant::now();
        self.server.metrics.begin();
        let response = self.server.answer(&head.request, Upload { length: Some(0), bytes: &mut io::empty() });
        let manner = self.manner(head);
        if is_long(&response, &manner) {
            self.decided = Some((response, start));
            return Err(Quick::Slow);
        }
        let (status, by) = (response.status, response.by.clone());
        let composed = self.sender.compose(response, &manner);
        self.note(head, by.as_deref(), status, composed.as_ref().copied().unwrap_or(0), start);
        match composed.and_then(|_| self.sender.try_flush(&self.stream)) {
            Ok(is_sent) => Ok(Answered { length: head.length, keep: manner.keep, is_sent }),
            Err(_) => Err(Quick::Gone),
        }
    }

    /// Serves it on this thread, for as long as there is something to do.
    pub(super) fn serve(mut self) -> After {
        match self.serve_on() {
            Ok(Some(true)) => After::Http2(self),
            Ok(Some(false)) => After::Wait(self),
            // An error is the client's, or the way's to it: nobody is left to be told.
            Ok(None) | Err(_) => After::Over,
        }
    }

    /// Gives whether it speaks HTTP/2; none if it is over.
    fn serve_on(&mut self) -> io::Result<Option<bool>> {
        self.stream.set_write_timeout(Some(self.server.limits.stall))?;
        self.sender.flush(&self.stream)?;
        if self.is_ending {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_new) {
            self.stream.set_read_timeout(Some(self.server.limits.head))?;
            if self.peek(RecvFlags::WAITALL)? == Some(true) {
                return Ok(Some(true));
            }
        }
        let mut quick = 0;
        loop {
            match self.await_head()? {
                Came::Head => {}
                Came::Nothing => return Ok(Some(false)),
                Came::End => return Ok(None),
                Came::Bad(bad) => {
                    self.refuse(&bad)?;
                    return self.linger();
                }
            }
            match self.exchange()? {
                Next::Request(is_quick) => quick = if is_quick { quick + 1 } else { 0 },
                Next::End => return Ok(None),
                Next::Linger => return self.linger(),
            }
            if quick >= QUICK && self.buffer.is_empty() {
                return Ok(Some(false));
            }
        }
    }

    /// Reads until a whole head is in the buffer.
    fn await_head(&mut self) -> io::Result<Came> {
        loop {
            if self.has_head() {
                return Ok(Came::Head);
            }
            let is_idle = self.buffer.is_empty();
            if self.buffer.len() >= Limits::HEAD {
                return Ok(Came::Bad(Bad(431, "the head is too long")));
            }
            if is_idle && self.server.is_stopping() {
                return Ok(Came::End);
            }
            let patience = if is_idle { QUIET } else { self.server.limits.head.saturating_sub(self.since.elapsed()) };
            if patience.is_zero() {
                return Ok(Came::Bad(Bad(408, "the head came too slowly")));
            }
            self.stream.set_read_timeout(Some(patience))?;
            let old = self.buffer.len();
            self.buffer.resize(old + PIECE, 0);
            let read = retried(|| (&mut &self.stream).read(&mut self.buffer[old..]));
            self.buffer.truncate(old + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Ok(Came::End),
                Ok(_) if is_idle => self.since = Instant::now(),
                Ok(_) => {}
                Err(error) if is_timeout(&error) && is_idle => return Ok(Came::Nothing),
                Err(error) if is_timeout(&error) => return Ok(Came::Bad(Bad(408, "the head came too slowly"))),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a whole head is in the buffer. What was searched before is not searched again.
    fn has_head(&mut self) -> bool {
        let has = ends_in(&self.buffer, self.looked);
        if !has {
            self.looked = self.buffer.len();
        }
        has
    }

    /// So many bytes of the buffer are dealt with.
    fn forget(&mut self, count: usize) {
        self.buffer.drain(..count);
        (self.looked, self.since) = (0, Instant::now());
    }

    /// Answers the request whose head is in the buffer.
    fn exchange(&mut self) -> io::Result<Next> {
        let buffer = std::mem::take(&mut self.buffer);
        let head = match head::parse(&buffer) {
            Ok(Some(head)) => head,
            Ok(None) => return self.refuse(&Bad(400, "this is no request of HTTP")).map(|()| Next::Linger),
            Err(bad) => return self.refuse(&bad).map(|()| Next::Linger),
        };
        if head.framing == Framing::Length(0) {
            let (response, start) = self.decided.take().unwrap_or_else(|| {
                let start = Instant::now();
                self.server.metrics.begin();
                (self.server.answer(&head.request, Upload { length: Some(0), bytes: &mut io::empty() }), start)
            });
            let manner = self.manner(&head);
            let is_quick = is_quick(&head) && !is_long(&response, &manner);
            self.deliver(&head, response, &manner, start)?;
            let length = head.length;
            self.buffer = buffer;
            self.forget(length);
            return Ok(if manner.keep { Next::Request(is_quick) } else { Next::End });
        }
        self.take_in(&head, &buffer[head.length..])
    }

    /// Answers a request with a body.
    fn take_in(&mut self, head: &Head, rest: &[u8]) -> io::Result<Next> {
        let start = Instant::now();
        self.server.metrics.begin();
        self.stream.set_read_timeout(Some(self.server.limits.stall))?;
        let (server, stream) = (self.server.clone(), self.stream.try_clone()?);
        let mut body = Incoming::new(&server, &stream, rest, head);
        let length = body.length();
        let response = server.answer(&head.request, Upload { length, bytes: &mut body });
        let is_whole = body.drain();
        let mut manner = self.manner(head);
        manner.keep &= is_whole;
        self.deliver(head, response, &manner, start)?;
        self.buffer = body.into_rest();
        (self.looked, self.since) = (0, Instant::now());
        Ok(match (is_whole, manner.keep) {
            (false, _) => Next::Linger,
            (true, true) => Next::Request(false),
            (true, false) => Next::End,
        })
    }

    fn manner(&self, head: &Head) -> Manner {
        let keep = head.keep && !self.server.is_stopping();
        Manner { keep, is_head: head.request.method == Method::Head, is_modern: head.is_modern }
    }

    fn deliver(&mut self, head: &Head, response: Response, manner: &Manner, start: Instant) -> io::Result<()> {
        let (status, by) = (response.status, response.by.clone());
        let sent = self.sender.send(&self.stream, response, manner);
        let (bytes, outcome) = sent.map_or_else(|(bytes, error)| (bytes, Err(error)), |bytes| (bytes, Ok(())));
        self.note(head, by.as_deref(), status, bytes, start);
        outcome
    }

    fn note(&self, head: &Head, token: Option<&str>, status: u16, bytes: u64, start: Instant) {
        let (client, took) = (self.client, start.elapsed());
        let (method, path) = (head.request.method, head.request.path);
        self.server.note(&Exchange { client, token, method, path, status, bytes, took });
    }

    fn refuse(&mut self, bad: &Bad) -> io::Result<()> {
        let start = Instant::now();
        self.server.metrics.begin();
        let manner = Manner { keep: false, is_head: false, is_modern: true };
        let sent = self.sender.send(&self.stream, Response::text(bad.0, bad.1), &manner);
        let bytes = *sent.as_ref().unwrap_or_else(|(bytes, _)| bytes);
        let (client, took) = (self.client, start.elapsed());
        self.server.note(&Exchange { client, token: None, method: Method::Other, path: "", status: bad.0, bytes, took });
        sent.map(drop).map_err(|(_, error)| error)
    }

    /// Swallows what the client still sends, for a while.
    fn linger(&self) -> io::Result<Option<bool>> {
        self.stream.shutdown(Shutdown::Write)?;
        let (start, mut swallowed, mut piece) = (Instant::now(), 0, [0; 8 << 10]);
        while swallowed < LINGER.1 {
            let left = LINGER.0.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            self.stream.set_read_timeout(Some(left))?;
            match (&mut &self.stream).read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(count) => swallowed += count,
            }
        }
        Ok(None)
    }
}

/// A request that was answered at once.
struct Answered {
    /// Bytes of its head.
    length: usize,
    keep: bool,
    /// Whether all of the response is on its way.
    is_sent: bool,
}

/// Whether a request may be answered while others wait: it asks for an entry, and has no body.
fn is_quick(head: &Head) -> bool {
    let path = head.request.path;
    head.framing == Framing::Length(0) && head.request.method.reads() && !path.starts_with("/kiln/view/") && !path.starts_with("/kiln/list")
}

/// Whether a head ends in these bytes, of which the first `looked` were looked at before.
fn ends_in(bytes: &[u8], looked: usize) -> bool {
    let from = looked.saturating_sub(3);
    bytes[from..].windows(2).enumerate().any(|(at, pair)| pair == b"\n\n" || (pair == b"\n\r" && bytes.get(from + at + 2) == Some(&b'\n')))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
