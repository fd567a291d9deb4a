//! A web server that takes `PUT` and `DELETE`, as those with WebDAV do; and, if asked to, answers the questions that kiln's own server does.
//!
//! Connections are kept, bodies are streamed, a file is there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kiln::cache::{Backend as _, Directory, wire};

/// A running server; it lives as long as the test program.
pub(crate) struct Dav {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    is_kilns: AtomicBool,
    authorization: Mutex<Option<String>>,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self { method, target, headers })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Dav {
    /// Serves `root`, in which every path of an address is a file.
    pub(crate) fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (is_kilns, authorization, connections, requests) = Default::default();
        let shared = Arc::new(Shared { root: root.to_owned(), is_kilns, authorization, connections, requests });
        let (address, served) = (listener.local_addr().unwrap(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                served.connections.fetch_add(1, Ordering::SeqCst);
                let served = Arc::clone(&served);
                std::thread::spawn(move || {
                    let _ = served.talk(stream);
                });
            }
        });
        Self { address, shared }
    }

    /// It answers kiln's questions about what lies under `/c`, and says so.
    pub(crate) fn into_kilns(self) -> Self {
        self.shared.is_kilns.store(true, Ordering::SeqCst);
        self
    }

    /// It lets only those in who send this.
    pub(crate) fn for_authorization(self, value: &str) -> Self {
        *self.shared.authorization.lock().unwrap() = Some(value.to_owned());
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Methods and targets, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

impl Shared {
    fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream.try_clone()?);
        while let Some(request) = Request::read(&mut input) {
            self.requests.lock().unwrap().push(format!("{} {}", request.method, request.target));
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = (&mut input).take(length);
            let wanted = self.authorization.lock().unwrap().clone();
            if wanted.is_some() && request.header("authorization").map(str::to_owned) != wanted {
                io::copy(&mut body, &mut io::sink())?;
                answer(&mut stream, "401 Unauthorized", "", b"who are you?")?;
            } else {
                self.serve(&request, &mut body, &mut stream)?;
            }
        }
        Ok(())
    }

    fn serve(&self, request: &Request, body: &mut dyn Read, stream: &mut TcpStream) -> io::Result<()> {
        let path = self.root.join(unescaped(&request.target).trim_start_matches('/'));
        let is_kilns = self.is_kilns.load(Ordering::SeqCst);
        match request.method.as_str() {
            "GET" if is_kilns && request.target == "/c/nix-cache-info" => {
                answer(stream, "200 OK", "", format!("StoreDir: /kiln/store\n{}\n", wire::KILN).as_bytes())
            }
            "GET" if is_kilns && request.target.starts_with("/c/kiln/list?prefix=") => self.list(&request.target, stream),
            "POST" if is_kilns && request.target == "/c/kiln/missing" => self.missing(body, stream),
            "GET" | "HEAD" => Self::give(request, &path, stream),
            "PUT" => Self::take(request, &path, body, stream),
            "DELETE" if fs::remove_file(&path).is_ok() => answer(stream, "204 No Content", "", b""),
            "DELETE" => answer(stream, "404 Not Found", "", b""),
            _ => answer(stream, "405 Method Not Allowed", "", b""),
        }
    }

    fn give(request: &Request, path: &Path, stream: &mut TcpStream) -> io::Result<()> {
        let is_head = request.method == "HEAD";
        let Some(mut file) = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file())) else {
            return answer(stream, "404 Not Found", "", if is_head { b"" } else { b"<html>it is not here</html>" });
        };
        let length = file.metadata()?.len();
        let from =
            request.header("range").map_or(0, |range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap());
        if from > 0 && from >= length {
            return answer(stream, "416 Range Not Satisfiable", &format!("Content-Range: bytes */{length}\r\n"), b"");
        }
        let (status, range) = match from {
            0 => ("200 OK", String::new()),
            _ => ("206 Partial Content", format!("Content-Range: bytes {from}-{}/{length}\r\n", length - 1)),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}\r\n", length - from)?;
        file.seek(SeekFrom::Start(from))?;
        if !is_head {
            io::copy(&mut file, stream)?;
        }
        Ok(())
    }

    fn take(request: &Request, path: &Path, body: &mut dyn Read, stream: &mut TcpStream) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap())?;
        let mut file = tempfile::Builder::new().prefix(".put-").tempfile_in(path.parent().unwrap())?;
        io::copy(body, &mut file)?;
        let keeps = request.header("if-none-match") == Some("*");
        let placed = if keeps { file.persist_noclobber(path).is_ok() } else { file.persist(path).is_ok() };
        answer(stream, if placed { "201 Created" } else { "412 Precondition Failed" }, "", b"")
    }

    fn missing(&self, body: &mut dyn Read, stream: &mut TcpStream) -> io::Result<()> {
        let names: Vec<String> = serde_json::from_reader(body)?;
        let missing: Vec<&String> = names.iter().filter(|name| !self.root.join("c").join(name).exists()).collect();
        answer(stream, "200 OK", "", &serde_json::to_vec(&missing)?)
    }

    fn list(&self, target: &str, stream: &mut TcpStream) -> io::Result<()> {
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let prefix = unescaped(target.split_once('=').unwrap().1);
        let each = &mut |listed: kiln::cache::Listed| {
            let line = serde_json::to_string(&wire::ListedLine::from(&listed)).unwrap();
            let _ = write!(stream, "{:x}\r\n{line}\n\r\n", line.len() + 1);
            Ok(())
        };
        Directory::new(self.root.join("c")).list(&prefix, each).unwrap();
        write!(stream, "0\r\n\r\n")
    }
}

fn unescaped(text: &str) -> String {
    kiln::net::unescape(text)
}
