//! Registers what steps have staged, many at once: while one batch reaches the disk, the next one gathers. Steps go on meanwhile, as they can
//! read what is staged; only the end of the build waits.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::fsio::RangeLock;
use crate::store::{Registration, Store, StoreError};

use super::stop::Stop;

/// Registrations that may wait; each holds a descriptor for its lock, and a process has only so many.
const QUEUE: usize = 200;

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
        let thread = scope.spawn(move || work(store, &incoming).inspect_err(|_| stop.request()));
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
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn work(store: &Store, incoming: &Receiver<Entry>) -> Result<(), StoreError> {
    while let Ok((mut batch, lock)) = incoming.recv() {
        let mut locks = vec![lock];
        for (next, lock) in incoming.try_iter().take(QUEUE) {
            locks.push(lock);
            batch.extend(next);
        }
        store.register(&batch)?;
        drop(locks);
    }
    Ok(())
}
