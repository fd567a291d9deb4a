//! A small HTTP server for tests: it does what a script says, faults included.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Lower-cased names.
    pub(crate) headers: Vec<(String, String)>,
    /// As long as its `Content-Length`; no other is read.
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How long its body says that it is.
    fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }

    /// The first byte that is asked for.
    pub(crate) fn start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is sent, and what happens then.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

pub(crate) enum Then {
    Close,
    /// The connection is torn down, unread input and all: the client sees a reset.
    Reset,
    /// Nothing comes for so long.
    Stall(Duration),
    /// One byte comes now and then, without end.
    Drip,
}

impl Reply {
    /// A whole answer with status, headers and body.
    pub(crate) fn new(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend(headers);
        Self::raw(status, &all, body)
    }

    /// An answer that says no length by itself.
    pub(crate) fn raw(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        Self { bytes, then: Then::Close }
    }

    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", &[], body)
    }

    pub(crate) fn status(status: &str) -> Self {
        Self::new(status, &[], b"")
    }

    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The same answer, of which the last bytes are missing.
    pub(crate) fn without_last(mut self, missing: usize) -> Self {
        self.bytes.truncate(self.bytes.len() - missing);
        self
    }
}

/// A running server; it lives as long as the test.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    heads: Arc<AtomicUsize>,
}

impl Server {
    /// Answers the n-th request (from 0) with what `script` says.
    pub(crate) fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (script, seen, heads) = (Arc::new(script), Arc::clone(&requests), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, seen, counter) = (Arc::clone(&script), Arc::clone(&seen), Arc::clone(&counter));
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &seen, &counter));
            }
        });
        Self { address, requests, heads }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests that have come, bodies and all.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests' heads have come, their bodies perhaps not.
    pub(crate) fn await_heads(&self, count: usize) {
        let patience = Instant::now() + Duration::from_secs(10);
        while self.heads.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < patience, "no request came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn serve(
    mut stream: TcpStream,
    script: &(dyn Fn(&Request, usize) -> Reply + Send + Sync),
    seen: &Mutex<Vec<Request>>,
    heads: &AtomicUsize,
) {
    let Some((mut request, head)) = peek_head(&stream) else { return };
    heads.fetch_add(1, Ordering::SeqCst);
    let Some(body) = take_all_but_one(&mut stream, head, request.length()) else { return };
    request.body = body;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let reply = script(&request, number);
    let _ = stream.write_all(&reply.bytes);
    match reply.then {
        Then::Close => stream.read_exact(&mut [0]).unwrap(),
        Then::Stall(time) => std::thread::sleep(time),
        Then::Drip => {
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        // Closing a socket that holds unread bytes sends a reset. What was sent should arrive first.
        Then::Reset => std::thread::sleep(Duration::from_millis(50)),
    }
}

/// Reads a request's head, but leaves it in the socket. Returns its length too.
fn peek_head(stream: &TcpStream) -> Option<(Request, usize)> {
    let mut buffer = vec![0u8; 16 << 10];
    let (text, length) = loop {
        let count = stream.peek(&mut buffer).ok().filter(|count| *count > 0)?;
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            break (text[..end].to_owned(), end + 4);
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some((Request { method, target, headers: lines.filter_map(header).collect(), body: Vec::new() }, length))
}

/// Takes a request out of the socket, but for its last byte, which only a look is taken at: [`Then::Reset`] needs one that is unread.
fn take_all_but_one(stream: &mut TcpStream, head: usize, body: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; head + body];
    let last = bytes.len() - 1;
    stream.read_exact(&mut bytes[..last]).ok()?;
    stream.peek(&mut bytes[last..]).ok().filter(|count| *count > 0)?;
    Some(bytes.split_off(head))
}
