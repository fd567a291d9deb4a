//! A client of HTTP/1.1 that sends exactly what a test says and hides nothing of the answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes that the server may not want to hear.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends a request without a body.
    pub(super) fn ask(&mut self, method: &str, path: &str, headers: &str) -> Reply {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
        self.reply_to(method)
    }

    /// Sends a request with a body.
    pub(super) fn put(&mut self, path: &str, headers: &str, body: &[u8]) -> Reply {
        self.send(format!("PUT {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{headers}\r\n", body.len()));
        self.try_send(body);
        self.reply_to("PUT")
    }

    /// Reads an answer.
    pub(super) fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    /// Reads an answer without its body.
    pub(super) fn reply_head(&mut self) -> Reply {
        let line = self.line().expect("the server hung up before it answered");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {line}"));
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
            headers.push((name.to_owned(), value.to_owned()));
        }
        Reply { status, headers, body: Vec::new() }
    }

    fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.reply_head();
        if method == "HEAD" || [204, 304].contains(&reply.status) || reply.status < 200 {
            return reply;
        }
        if let Some(length) = reply.header("Content-Length").map(|length| length.parse().unwrap()) {
            reply.body = self.bytes(length);
        } else if reply.header("Transfer-Encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line().unwrap(), 16).unwrap();
                let piece = self.bytes(size);
                assert_eq!(self.line().as_deref(), Some(""));
                if size == 0 {
                    break;
                }
                reply.body.extend(piece);
            }
        } else {
            self.stream.read_to_end(&mut reply.body).unwrap();
        }
        reply
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the server has hung up, or does soon, without another word.
    pub(super) fn is_over(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
