//! A small HTTP server for tests: it does what a script says, faults included.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request's head.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) target: String,
    /// Lower-cased names.
    pub(super) headers: Vec<(String, String)>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for.
    pub(super) fn start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is sent, and what happens then.
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

pub(super) enum Then {
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
    pub(super) fn new(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend(headers);
        Self::raw(status, &all, body)
    }

    /// An answer that says no length by itself.
    pub(super) fn raw(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        Self { bytes, then: Then::Close }
    }

    pub(super) fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", &[], body)
    }

    pub(super) fn status(status: &str) -> Self {
        Self::new(status, &[], b"")
    }

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The same answer, of which the last bytes are missing.
    pub(super) fn without_last(mut self, missing: usize) -> Self {
        self.bytes.truncate(self.bytes.len() - missing);
        self
    }
}

/// A running server; it lives as long as the test.
pub(super) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request (from 0) with what `script` says.
    pub(super) fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (script, seen) = (Arc::new(script), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &seen));
            }
        });
        Self { address, requests }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, script: &(dyn Fn(&Request, usize) -> Reply + Send + Sync), seen: &Mutex<Vec<Request>>) {
    let Some((request, length)) = peek_head(&stream) else { return };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let reply = script(&request, number);
    let _ = stream.write_all(&reply.bytes);
    match reply.then {
        Then::Close => stream.read_exact(&mut vec![0; length]).unwrap(),
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

/// Reads a request's head, but leaves it in the socket.
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
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some((Request { target, headers: lines.filter_map(header).collect() }, length))
}
