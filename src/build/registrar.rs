//! Registers what steps have staged, many at once: while one batch reaches the disk, the next one gathers. Steps go on meanwhile, as they can
//! read what is staged; only the end of the build waits.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::store::{Registration, Store, StoreError};

use super::stop::Stop;

/// The thread that registers.
pub(super) struct Registrar<'scope> {
    queue: Sender<Registration>,
    thread: ScopedJoinHandle<'scope, Result<(), StoreError>>,
}

impl<'scope> Registrar<'scope> {
    /// Starts it. If a batch cannot be registered, it asks the build to stop.
    pub(super) fn start<'env>(scope: &'scope Scope<'scope, 'env>, store: &'env Store, stop: Stop) -> Self {
        let (queue, incoming) = channel();
        let thread = scope.spawn(move || work(store, &incoming).inspect_err(|_| stop.request()));
        Self { queue, thread }
    }

    /// Hands something over.
    pub(super) fn register(&self, registration: Registration) {
        // If the thread has failed, its error comes out at the end.
        let _ = self.queue.send(registration);
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

fn work(store: &Store, incoming: &Receiver<Registration>) -> Result<(), StoreError> {
    while let Ok(mut batch) = incoming.recv() {
        for next in incoming.try_iter() {
            batch.objects.extend(next.objects);
            batch.traces.extend(next.traces);
            batch.records.extend(next.records);
            batch.derivations.extend(next.derivations);
        }
        store.register(&batch)?;
    }
    Ok(())
}
