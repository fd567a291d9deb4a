//! The listening socket: who gets a thread, who goes to hyper, how many at a time, and an end that lets running responses finish.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer::Server;
use super::connection::Connection;
use super::error::ServerError;
use super::streams::Streams;
use super::tls::Tls;

/// Stacks of connections' threads: nothing deep happens on them.
const STACK: usize = 256 << 10;
/// What those beyond the limit are told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The connections that are open.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Arc<Open>>>,
    ended: Condvar,
    next: AtomicU64,
}

struct Open {
    stream: TcpStream,
    idle: AtomicBool,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn enter(&self, stream: TcpStream) -> (u64, Arc<Open>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let open = Arc::new(Open { stream, idle: AtomicBool::new(false) });
        self.lock().insert(number, open.clone());
        (number, open)
    }

    fn leave(&self, number: u64) {
        self.lock().remove(&number);
        self.ended.notify_all();
    }

    /// Ends those that wait for a request, and waits for the others to finish theirs.
    fn finish(&self) {
        let mut open = self.lock();
        while !open.is_empty() {
            for one in open.values().filter(|one| one.idle.load(Ordering::SeqCst)) {
                let _ = one.stream.shutdown(Shutdown::Both);
            }
            let waited = self.ended.wait_timeout(open, Duration::from_millis(200));
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Server {
    /// Accepts connections until something can be read from `stop`; then lets running responses finish. With `tls` all connections use it,
    /// without it none does.
    ///
    /// # Errors
    /// If connections cannot be accepted.
    pub fn run(self: &Arc<Self>, listener: &TcpListener, tls: Option<Tls>, stop: impl AsFd) -> Result<(), ServerError> {
        let connections = Arc::new(Connections::default());
        let streams = Arc::new(Streams::new(self.clone(), tls).map_err(ServerError::Accept)?);
        listener.set_nonblocking(true).map_err(ServerError::Accept)?;
        self.keep_house();
        let accepted = self.accept(listener, stop.as_fd(), &connections, &streams);
        self.stop();
        streams.finish();
        connections.finish();
        self.flush_log();
        accepted.map_err(ServerError::Accept)
    }

    fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        stop: std::os::fd::BorrowedFd,
        connections: &Arc<Connections>,
        streams: &Arc<Streams>,
    ) -> io::Result<()> {
        loop {
            let mut ready = [PollFd::new(stop, PollFlags::POLLIN), PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            if ready[0].any() == Some(true) {
                return Ok(());
            }
            match listener.accept() {
                Ok((stream, address)) => self.admit_connection(stream, address.ip(), connections, streams),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client has gone, or there are no file descriptors left: some will be free in a while.
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn admit_connection(self: &Arc<Self>, stream: TcpStream, client: IpAddr, connections: &Arc<Connections>, streams: &Arc<Streams>) {
        if connections.count() + streams.count() >= self.limits.connections {
            let _ = stream.set_nonblocking(true).and_then(|()| (&stream).write_all(FULL));
            return;
        }
        if streams.is_tls() {
            streams.serve(stream, client);
            return;
        }
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let (number, open) = connections.enter(stream);
        let (server, entered, streams) = (self.clone(), connections.clone(), streams.clone());
        let served = thread::Builder::new().name("connection".to_owned()).stack_size(STACK).spawn(move || {
            server.metrics.connection(1);
            serve(&server, &open, client, &streams);
            server.metrics.connection(-1);
            entered.leave(number);
        });
        if served.is_err() {
            connections.leave(number);
        }
    }
}

/// Serves one connection to its end, by the protocol that its first bytes say.
fn serve(server: &Server, open: &Open, client: IpAddr, streams: &Streams) {
    open.idle.store(true, Ordering::SeqCst);
    if server.is_stopping() || open.stream.set_read_timeout(Some(server.limits.idle)).is_err() {
        return;
    }
    // The shortest request is longer. No method of HTTP/1 begins like HTTP/2's preface.
    let mut first = [0; 4];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::WAITALL;
    let peeked = rustix::net::recv(&open.stream, &mut first, flags);
    open.idle.store(false, Ordering::SeqCst);
    match peeked {
        Ok((4, _)) if first == *b"PRI " => {
            if let Ok(stream) = open.stream.try_clone() {
                streams.serve(stream, client);
            }
        }
        Ok((0, _)) | Err(_) => {}
        Ok(_) => {
            let _ = Connection::new(server, &open.stream, client, &open.idle).serve();
        }
    }
}
