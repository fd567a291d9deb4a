//! Connections that wait for a request, many on one thread, and the quick answers that are given on the spot.
//!
//! A thread sleeps in `epoll` until one of its connections has something to say. What cannot be answered at once leaves for a thread of its own
//! and comes back afterwards.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::answer::Server;
use super::connection::{After, Connection, Quick};
use super::streams::Streams;

/// Stacks of connections' threads: nothing deep happens on them.
const STACK: usize = 256 << 10;
/// Milliseconds between looks at the clock.
const TICK: u16 = 200;
/// Connections that are attended to at a time.
const BATCH: usize = 64;
/// Threads at most.
const THREADS: usize = 8;

type Held = HashMap<u64, Connection>;

/// One thread's connections; none once no further ones are taken.
struct Place {
    epoll: Epoll,
    held: Mutex<Option<Held>>,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that wait.
pub(super) struct Waiting {
    server: Arc<Server>,
    streams: Arc<Streams>,
    places: Vec<Place>,
    next: AtomicU64,
}

impl Waiting {
    /// Starts the threads. They end with the server.
    pub(super) fn start(server: Arc<Server>, streams: Arc<Streams>) -> io::Result<Arc<Self>> {
        let count = thread::available_parallelism().map_or(2, usize::from).min(THREADS);
        let place = |_| Ok(Place { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, held: Mutex::new(Some(Held::new())) });
        let places = (0..count).map(place).collect::<io::Result<_>>()?;
        let waiting = Arc::new(Self { server, streams, places, next: AtomicU64::new(0) });
        for index in 0..count {
            let waiting = waiting.clone();
            thread::Builder::new().name("waiting".to_owned()).stack_size(STACK).spawn(move || waiting.attend(index))?;
        }
        Ok(waiting)
    }

    /// Takes a connection in. If that fails, or nothing is taken any more, it ends.
    pub(super) fn put(&self, connection: Connection) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let index = usize::try_from(number).unwrap_or(0) % self.places.len();
        let Some(place) = self.places.get(index) else { return };
        let mut held = place.lock();
        let Some(held) = held.as_mut() else { return };
        if place.epoll.add(connection.stream(), EpollEvent::new(EpollFlags::EPOLLIN, number)).is_ok() {
            held.insert(number, connection);
        }
    }

    fn attend(self: &Arc<Self>, index: usize) {
        let Some(place) = self.places.get(index) else { return };
        let (mut events, mut swept) = ([EpollEvent::empty(); BATCH], Instant::now());
        loop {
            let count = match place.epoll.wait(&mut events, TICK) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                // Cannot happen while the place is there; connections that wait for ever would be worse than none.
                Err(_) => return drop(place.lock().take()),
            };
            let mut locked = place.lock();
            if self.server.is_stopping() {
                // None of these is in the middle of a response.
                return drop(locked.take());
            }
            let Some(held) = locked.as_mut() else { return };
            for event in &events[..count] {
                let outcome = held.get_mut(&event.data()).map_or(Quick::Wait, Connection::attend);
                self.settle(place, held, event.data(), outcome);
            }
            if swept.elapsed() >= Duration::from_millis(TICK.into()) {
                swept = Instant::now();
                let overdue = |(number, connection): (&u64, &Connection)| (*number, connection.overdue());
                let late: Vec<_> = held.iter().map(overdue).filter(|(_, outcome)| *outcome != Quick::Wait).collect();
                late.into_iter().for_each(|(number, outcome)| self.settle(place, held, number, outcome));
            }
        }
    }

    fn settle(self: &Arc<Self>, place: &Place, held: &mut Held, number: u64, outcome: Quick) {
        if outcome == Quick::Wait {
            return;
        }
        let Some(connection) = held.remove(&number) else { return };
        let _ = place.epoll.delete(connection.stream());
        match outcome {
            Quick::Wait | Quick::Gone => {}
            Quick::Http2 => connection.hand_over(&self.streams),
            Quick::Slow => self.lend_thread(connection),
        }
    }

    fn lend_thread(self: &Arc<Self>, connection: Connection) {
        let waiting = self.clone();
        // Without a thread the connection ends: the machine has none left.
        let _ = thread::Builder::new().name("connection".to_owned()).stack_size(STACK).spawn(move || match connection.serve() {
            After::Wait(connection) => waiting.put(connection),
            After::Http2(connection) => connection.hand_over(&waiting.streams),
            After::Over => {}
        });
    }
}
