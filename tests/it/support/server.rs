//! A small HTTP server on loopback: paths and what they answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// An answer.
#[derive(Clone)]
pub(crate) struct Reply {
    status: &'static str,
    kind: &'static str,
    body: Vec<u8>,
    /// Bytes after which nothing more comes, and the connection stays open.
    stalls_after: Option<usize>,
}

impl Reply {
    /// A file.
    pub(crate) fn file(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", kind: "application/octet-stream", body: body.into(), stalls_after: None }
    }

    /// The same, but after so many bytes the server falls silent.
    pub(crate) fn stalling(self, after: usize) -> Self {
        Self { stalls_after: Some(after), ..self }
    }

    /// A project's page on a Python package index, with these files: name, address, SHA-256.
    pub(crate) fn index(files: &[(&str, &str, &str)]) -> Self {
        let file = |(filename, url, sha256): &(&str, &str, &str)| serde_json::json!({"filename": filename, "url": url, "hashes": {"sha256": sha256}});
        let page = serde_json::json!({"meta": {"api-version": "1.0"}, "name": "x", "files": files.iter().map(file).collect::<Vec<_>>()});
        Self { status: "200 OK", kind: "application/vnd.pypi.simple.v1+json", body: page.to_string().into_bytes(), stalls_after: None }
    }
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    address: SocketAddr,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server that answers 404 to everything that [`Server::serve`] was not told of.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (replies, requests, stop) =
            (Arc::<Mutex<BTreeMap<String, Reply>>>::default(), Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (replies, requests, stop) = (replies.clone(), requests.clone(), stop.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (replies, requests) = (replies.clone(), requests.clone());
                    std::thread::spawn(move || answer(stream, &replies, &requests));
                }
            })
        };
        Self { address, replies, requests, stop, thread: Some(thread) }
    }

    /// Answers requests for `path` with `reply` from now on.
    pub(crate) fn serve(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The paths that were asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers one request and hangs up.
fn answer(mut stream: TcpStream, replies: &Mutex<BTreeMap<String, Reply>>, requests: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(path) = lines.next().and_then(|line| Some(line.split_whitespace().nth(1)?.to_owned())) else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    requests.lock().unwrap().push(path.clone());
    let missing = Reply { status: "404 Not Found", kind: "text/plain", body: Vec::new(), stalls_after: None };
    let reply = replies.lock().unwrap().get(&path).cloned().unwrap_or(missing);
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.status,
        reply.kind,
        reply.body.len()
    );
    let now = &reply.body[..reply.stalls_after.unwrap_or(reply.body.len())];
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(now));
    if sent.is_ok() && reply.stalls_after.is_some() {
        // Until the client hangs up.
        let _ = std::io::Read::read(&mut stream, &mut [0]);
    }
}
