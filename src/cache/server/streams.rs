//! HTTP/2, and everything under TLS, by hyper. The only async code of kiln: nothing of it is seen outside of this file.
//!
//! What is answered is decided on a thread that may block, as everywhere; here bytes only come and go.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as HyperBody, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::access_log::Exchange;
use super::answer::Server;
use super::listen::Counted;
use super::options::Limits;
use super::request::{Headers, Method, Request, Upload};
use super::response::{Body, Response};
use super::tls::Tls;
use super::upload::is_too_slow;

/// Bytes of a file that are read at a time.
const PIECE: u64 = 128 << 10;
/// An unread body up to this length is read to its end.
const DRAINED: u64 = 256 << 10;
/// Requests of one connection that are answered at a time.
const AT_ONCE: u32 = 64;

/// Serves connections that speak HTTP/2 or TLS.
pub(super) struct Streams {
    server: Arc<Server>,
    tls: Option<TlsAcceptor>,
    /// Comes into being with the first connection: most servers never need it.
    runtime: OnceLock<Runtime>,
    stop: watch::Sender<bool>,
}

impl Streams {
    pub(super) fn new(server: Arc<Server>, tls: Option<Tls>) -> io::Result<Self> {
        let tls = tls.map(|tls| TlsAcceptor::from(tls.0));
        let streams = Self { server, tls, runtime: OnceLock::new(), stop: watch::Sender::new(false) };
        if streams.is_tls() {
            streams.runtime()?;
        }
        Ok(streams)
    }

    /// Whether all connections use TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn runtime(&self) -> io::Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name("streams").enable_all().build()?;
        // If two came at once, one runtime is dropped here; nothing runs on it.
        if let Err(spare) = self.runtime.set(runtime) {
            spare.shutdown_background();
        }
        self.runtime.get().ok_or_else(|| ErrorKind::Other.into())
    }

    /// Serves a connection, on other threads than the caller's.
    pub(super) fn serve(&self, stream: TcpStream, client: IpAddr, counted: Counted) {
        let Ok(runtime) = self.runtime() else { return };
        if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        let (server, tls, stop) = (self.server.clone(), self.tls.clone(), self.stop.subscribe());
        runtime.spawn(async move {
            let _counted = counted;
            let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
            match tls {
                None => speak(server, stream, client, stop).await,
                Some(tls) => {
                    let patience = server.limits.head;
                    if let Ok(Ok(stream)) = timeout(patience, tls.accept(stream)).await {
                        speak(server, stream, client, stop).await;
                    }
                }
            }
        });
    }

    /// Lets running responses finish; nothing new begins.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

async fn speak(
    server: Arc<Server>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: IpAddr,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    let limits = server.limits.clone();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_headers(Limits::HEADERS).max_buf_size(Limits::HEAD);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(AT_ONCE).keep_alive_interval(limits.stall).keep_alive_timeout(limits.stall);
    http2.max_header_list_size(u32::try_from(Limits::HEAD).unwrap_or(u32::MAX)).max_pending_accept_reset_streams(AT_ONCE as usize);
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { exchange(server, request, client).await }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut told = pin!(async { stop.wait_for(|stop| *stop).await.map(drop) });
    let is_over = std::future::poll_fn(|context| match (connection.as_mut().poll(context), told.as_mut().poll(context)) {
        (Poll::Ready(_), _) => Poll::Ready(true),
        (Poll::Pending, Poll::Ready(_)) => Poll::Ready(false),
        (Poll::Pending, Poll::Pending) => Poll::Pending,
    });
    if is_over.await {
        return;
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// What is known of a request until its response has gone out; then it is counted and written down, however that ended.
struct Running {
    server: Arc<Server>,
    client: IpAddr,
    token: Option<Arc<str>>,
    method: Method,
    path: String,
    status: u16,
    bytes: u64,
    start: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self { client, method, status, bytes, .. } = *self;
        let (token, path, took) = (self.token.as_deref(), self.path.as_str(), self.start.elapsed());
        self.server.note(&Exchange { client, token, method, path, status, bytes, took });
    }
}

async fn exchange(server: Arc<Server>, request: hyper::Request<Incoming>, client: IpAddr) -> io::Result<hyper::Response<Outgoing>> {
    let (parts, body) = request.into_parts();
    server.metrics.begin();
    let (method, path, start) = (Method::of(parts.method.as_str()), parts.uri.path().to_owned(), Instant::now());
    let mut running = Running { server: server.clone(), client, token: None, method, path, status: 500, bytes: 0, start };
    let patience = server.limits.stall;
    let decide = move || {
        let mut headers = Headers::default();
        for (name, value) in &parts.headers {
            headers.note(name.as_str(), value.as_bytes());
        }
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let length = body.size_hint().exact();
        let mut reader = Reader { body, piece: Bytes::new(), start, patience, total: 0 };
        let response = server.answer(&Request::new(method, target, headers), Upload { length, bytes: &mut reader });
        // Some clients take a body that is not wanted any more for a failure of the whole.
        let _ = io::copy(&mut reader.take(DRAINED), &mut io::sink());
        response
    };
    let mut response = tokio::task::spawn_blocking(decide).await.map_err(io::Error::other)?;
    running.status = response.status;
    running.token = response.by.take();
    Ok(outgoing(response, running))
}

fn outgoing(response: Response, running: Running) -> hyper::Response<Outgoing> {
    let has_body = running.method != Method::Head && !matches!(response.status, 204 | 304);
    let patience = running.server.limits.stall;
    let mut head = hyper::Response::new(());
    *head.status_mut() = hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let length = response.body.length();
    for (name, value) in response.headers {
        if let Ok(value) = hyper::header::HeaderValue::from_str(&value) {
            head.headers_mut().insert(name_of(name), value);
        }
    }
    if let (false, Some(length), false) = (has_body, length, matches!(response.status, 204 | 304)) {
        head.headers_mut().insert(hyper::header::CONTENT_LENGTH, length.into());
    }
    let from = match response.body {
        _ if !has_body => From::Memory(Bytes::new()),
        Body::Empty => From::Memory(Bytes::new()),
        Body::Bytes(bytes) => From::Memory(Bytes::from(bytes.into_owned())),
        Body::File { file, from, length } => From::Channel(send_file(file, from, length, patience)),
        Body::Stream(write) => From::Channel(send_stream(write, patience)),
    };
    let left = if has_body { length } else { Some(0) };
    head.map(|()| Outgoing { from, left, running })
}

fn name_of(name: &'static str) -> hyper::header::HeaderName {
    hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap_or(hyper::header::WARNING)
}

type Piece = io::Result<Bytes>;

/// Reads a file piece by piece, as the client takes them.
fn send_file(file: File, mut from: u64, length: u64, patience: Duration) -> mpsc::Receiver<Piece> {
    let (sender, receiver) = mpsc::channel(2);
    let (file, end) = (Arc::new(file), from + length);
    tokio::spawn(async move {
        while from < end {
            let (file, size) = (file.clone(), (end - from).min(PIECE));
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(size).unwrap_or(0)];
                file.read_exact_at(&mut piece, from).map(|()| Bytes::from(piece))
            });
            let piece = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            let failed = piece.is_err();
            if !matches!(timeout(patience, sender.send(piece)).await, Ok(Ok(()))) || failed {
                return;
            }
            from += size;
        }
    });
    receiver
}

/// Lets a body be written on a thread of its own.
fn send_stream(write: super::response::Streaming, patience: Duration) -> mpsc::Receiver<Piece> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut writer = io::BufWriter::with_capacity(32 << 10, Writer { sender, patience });
        if let Err(error) = write(&mut writer).and_then(|()| writer.flush()) {
            let _ = writer.get_mut().send(Err(error));
        }
        // What could not be sent is not tried again.
        drop(writer.into_parts());
    });
    receiver
}

struct Writer {
    sender: mpsc::Sender<Piece>,
    patience: Duration,
}

impl Writer {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match Handle::current().block_on(timeout(self.patience, self.sender.send(piece))) {
            Ok(Ok(())) => Ok(()),
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes))).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum From {
    Memory(Bytes),
    Channel(mpsc::Receiver<Piece>),
}

/// The body of a response on its way.
struct Outgoing {
    from: From,
    left: Option<u64>,
    running: Running,
}

impl HyperBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = match &mut self.from {
            From::Memory(bytes) if bytes.is_empty() => None,
            From::Memory(bytes) => Some(Ok(std::mem::take(bytes))),
            From::Channel(receiver) => match receiver.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(piece) => piece,
            },
        };
        let short = piece.is_none() && self.left.is_some_and(|left| left > 0);
        if let Some(Ok(bytes)) = &piece {
            let count = bytes.len() as u64;
            self.running.bytes += count;
            self.left = self.left.map(|left| left.saturating_sub(count));
        }
        Poll::Ready(if short { Some(Err(ErrorKind::UnexpectedEof.into())) } else { piece.map(|piece| piece.map(Frame::data)) })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The body of a request, for a thread that may block.
struct Reader {
    body: Incoming,
    piece: Bytes,
    start: Instant,
    patience: Duration,
    total: u64,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            match Handle::current().block_on(timeout(self.patience, next)) {
                Err(_) => return Err(ErrorKind::TimedOut.into()),
                Ok(None) => return Ok(0),
                Ok(Some(Err(error))) => return Err(io::Error::new(ErrorKind::UnexpectedEof, error)),
                Ok(Some(Ok(frame))) => self.piece = frame.into_data().unwrap_or_default(),
            }
            self.total += self.piece.len() as u64;
            if is_too_slow(self.total, self.start.elapsed(), self.patience) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        let count = into.len().min(self.piece.len());
        into[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
