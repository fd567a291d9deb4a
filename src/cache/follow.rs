//! Follow: pushes what a store's builds give, as they finish.
//!
//! In: a pusher, and a mark in the store's list of builds. It ends when it is told that all builds are done. A cache that cannot be reached is tried again;
//! what was built meanwhile waits.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::CacheError;
use super::push::{OnPush, PushEvent, Pushed, Pusher, is_gone};
use crate::model::{BuildStatus, SandboxLevel, StorePath};

/// How often the store is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long a cache that failed is left alone.
const REST: Duration = Duration::from_secs(10);
/// How often the stop flag is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Pushes the outputs of all strictly sealed builds behind `mark` (see `Store::record_mark`); ends when `done` is set and everything that was
/// built before is pushed, or when the pusher is stopped.
///
/// # Errors
/// If the store fails, or the cache is none. That it cannot be reached is reported, and it is tried again, but for the last time.
pub fn follow(pusher: &Pusher<'_>, mark: i64, done: &AtomicBool, on: OnPush<'_>) -> Result<Pushed, CacheError> {
    let mut follower = Follower { pusher, mark, waiting: BTreeSet::new(), total: Pushed::default() };
    let mut pause = Duration::ZERO;
    loop {
        follower.sleep(pause, done);
        pause = POLL;
        let last = done.load(Ordering::SeqCst);
        follower.look()?;
        match follower.push(on) {
            Ok(()) => {}
            Err(CacheError::Stopped) => return Ok(follower.total),
            Err(error @ (CacheError::Unavailable { .. } | CacheError::Refused { .. })) if !last => {
                on(&PushEvent::Trouble(&error));
                pause = REST;
            }
            Err(error) => return Err(error),
        }
        if last || pusher.check_stop().is_err() {
            return Ok(follower.total);
        }
    }
}

struct Follower<'a> {
    pusher: &'a Pusher<'a>,
    mark: i64,
    waiting: BTreeSet<StorePath>,
    total: Pushed,
}

impl Follower<'_> {
    /// Waits, unless there is nothing more to wait for.
    fn sleep(&self, pause: Duration, done: &AtomicBool) {
        let start = Instant::now();
        while self.pusher.check_stop().is_ok() && !done.load(Ordering::SeqCst) && start.elapsed() < pause {
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self) -> Result<(), CacheError> {
        let store = self.pusher.store;
        let now = store.record_mark()?;
        if now != self.mark {
            let records = store.own_records_since(self.mark)?;
            let sealed = records.into_iter().filter(|record| record.status == BuildStatus::Built && record.level == SandboxLevel::Strict);
            self.waiting.extend(sealed.flat_map(|record| record.outputs.into_values()));
            self.mark = now;
        }
        Ok(())
    }

    fn push(&mut self, on: OnPush<'_>) -> Result<(), CacheError> {
        let waiting: Vec<StorePath> = self.waiting.iter().cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        match self.pusher.push(&waiting, on) {
            Ok(pushed) => self.total.add(pushed),
            // One at a time, then: what is gone, or must not be sent, keeps the others back no longer.
            Err(error) if leaves_out(&error) => {
                for path in &waiting {
                    match self.pusher.push(std::slice::from_ref(path), on) {
                        Ok(pushed) => self.total.add(pushed),
                        Err(error) if leaves_out(&error) => on(&PushEvent::Trouble(&error)),
                        Err(error) => return Err(error),
                    }
                    self.waiting.remove(path);
                }
            }
            Err(error) => return Err(error),
        }
        self.waiting.clear();
        Ok(())
    }
}

/// Whether an error is about one object only.
fn leaves_out(error: &CacheError) -> bool {
    is_gone(error) || matches!(error, CacheError::Unsealed { .. })
}
