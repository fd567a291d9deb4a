//! The listening socket: how many connections at a time, who gets them, and an end that lets running responses finish.

use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer::Server;
use super::connection::Connection;
use super::error::ServerError;
use super::streams::Streams;
use super::tls::Tls;
use super::waiting::Waiting;

/// What those beyond the limit are told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Counts a connection for as long as it lives.
pub(super) struct Counted {
    open: Arc<AtomicUsize>,
    server: Arc<Server>,
}

impl Counted {
    fn new(open: &Arc<AtomicUsize>, server: &Arc<Server>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        server.metrics.connection(1);
        Self { open: open.clone(), server: server.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.server.metrics.connection(-1);
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Those who take connections on.
struct Takers {
    open: Arc<AtomicUsize>,
    waiting: Arc<Waiting>,
    streams: Arc<Streams>,
}

impl Server {
    /// Accepts connections until something can be read from `stop`; then lets running responses finish. With `tls` all connections use it,
    /// without it none does.
    ///
    /// # Errors
    /// If connections cannot be accepted.
    pub fn run(self: &Arc<Self>, listener: &TcpListener, tls: Option<Tls>, stop: impl AsFd) -> Result<(), ServerError> {
        listener.set_nonblocking(true).map_err(ServerError::Accept)?;
        let streams = Arc::new(Streams::new(self.clone(), tls).map_err(ServerError::Accept)?);
        let waiting = Waiting::start(self.clone(), streams.clone()).map_err(ServerError::Accept)?;
        let takers = Takers { open: Arc::default(), waiting, streams };
        self.keep_house();
        let accepted = self.accept(listener, stop.as_fd(), &takers);
        self.stop();
        takers.streams.stop();
        while takers.open.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(10));
        }
        self.flush_log();
        accepted.map_err(ServerError::Accept)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, stop: BorrowedFd, takers: &Takers) -> io::Result<()> {
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
                Ok((stream, address)) => self.take_on(stream, address.ip(), takers),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client has gone, or there are no file descriptors left: some will be free in a while.
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn take_on(self: &Arc<Self>, stream: TcpStream, client: IpAddr, takers: &Takers) {
        if takers.open.load(Ordering::SeqCst) >= self.limits.connections {
            let _ = stream.set_nonblocking(true).and_then(|()| (&stream).write_all(FULL));
            return;
        }
        let counted = Counted::new(&takers.open, self);
        if takers.streams.is_tls() {
            takers.streams.serve(stream, client, counted);
        } else if let Ok(connection) = Connection::new(self.clone(), stream, client, counted) {
            takers.waiting.put(connection);
        }
    }
}
