//! Registers what steps have staged, many at once: a batch gathers for a moment, and while it reaches the disk the next one gathers. Steps go on
//! meanwhile, as they can read what is staged; only the end of the build waits. What a killed build loses is the last moment's work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::fsio::RangeLock;
use crate::store::{Registration, Store, StoreError};

use super::stop::Stop;

/// Registrations that may wait; each holds a descriptor for its lock, and a process has only so many.
const QUEUE: usize = 200;

/// How long a batch gathers: in a chain of quick steps, a sync after each would take longer than the steps.
const GATHER: Duration = Duration::from_millis(200);

/// What is to be registered, and the lock that keeps other processes from building the same until they can see it.
type Entry = (Registration, Option<RangeLock>);

/// The thread that registers.
pub(super) struct Registrar<'scope> {
    queue: SyncSender<Entry>,
    thread: ScopedJoinHandle<'scope, Result<(), StoreError>>,
}

impl<'scope> Registrar<'scope> {
    /// Starts it. If a batch cannot be registered, it asks the build to stop.
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, store: &'env Store, stop: Stop) -> Self {
        let (queue, incoming) = sync_channel(QUEUE);
        let thread = scope.spawn(move || {
            // Not only an error: a panic, too, leaves nobody to register what comes.
            let outcome = catch_unwind(AssertUnwindSafe(|| work(store, &incoming)));
            if !matches!(outcome, Ok(Ok(()))) {
                stop.request();
            }
            outcome.unwrap_or_else(|panic| resume_unwind(panic))
        });
        Self { queue, thread }
    }

    /// Hands something over; the lock is let go once it is registered.
    pub(super) fn register(&self, registration: Registration, lock: Option<RangeLock>) {
        // If the thread has failed, its error comes out at the end.
        let _ = self.queue.send((registration, lock));
    }

    /// Waits until everything is registered.
    ///
    /// # Errors
    /// If something could not be.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        drop(self.queue);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn work(store: &Store, incoming: &Receiver<Entry>) -> Result<(), StoreError> {
    while let Ok((mut batch, lock)) = incoming.recv() {
        let (mut locks, until) = (vec![lock], Instant::now() + GATHER);
        // At the end of the build the queue is closed, and nobody waits for more.
        while locks.len() < QUEUE
            && let Ok((next, lock)) = incoming.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            locks.push(lock);
            batch.extend(next);
        }
        store.register(&batch)?;
        drop(locks);
    }
    Ok(())
}
