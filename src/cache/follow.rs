//! Follow: pushes what a store's builds give, as they finish.
//!
//! In: a pusher, and a mark in the store's list of builds. It ends when its stop flag is set. A cache that cannot be reached is tried again;
//! what was built meanwhile waits.

use std::collections::BTreeSet;
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

/// Pushes the outputs of all strictly sealed builds behind `mark` (see `Store::record_mark`), until asked to stop.
///
/// # Errors
/// If the store fails, or the cache is none. That it cannot be reached is reported, and it is tried again.
pub fn follow(pusher: &Pusher<'_>, mark: i64, on: OnPush<'_>) -> Result<Pushed, CacheError> {
    let mut follower = Follower { pusher, mark, waiting: BTreeSet::new(), total: Pushed::default() };
    let mut pause = Duration::ZERO;
    while follower.sleep(pause) {
        pause = POLL;
        follower.look()?;
        match follower.push(on) {
            Ok(()) => {}
            Err(CacheError::Stopped) => break,
            Err(error @ (CacheError::Unavailable { .. } | CacheError::Refused { .. })) => {
                on(&PushEvent::Trouble(&error));
                pause = REST;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(follower.total)
}

struct Follower<'a> {
    pusher: &'a Pusher<'a>,
    mark: i64,
    waiting: BTreeSet<StorePath>,
    total: Pushed,
}

impl Follower<'_> {
    /// Waits; false if asked to stop.
    fn sleep(&self, pause: Duration) -> bool {
        let start = Instant::now();
        while self.pusher.check_stop().is_ok() {
            let left = pause.saturating_sub(start.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
        false
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
            Ok(pushed) => self.add(pushed),
            // One at a time, then: what is gone, or must not be sent, keeps the others back no longer.
            Err(error) if leaves_out(&error) => {
                for path in &waiting {
                    match self.pusher.push(std::slice::from_ref(path), on) {
                        Ok(pushed) => self.add(pushed),
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

    fn add(&mut self, pushed: Pushed) {
        self.total.objects += pushed.objects;
        self.total.present += pushed.present;
        self.total.sent += pushed.sent;
        self.total.traces += pushed.traces;
        self.total.known_traces += pushed.known_traces;
    }
}

/// Whether an error is about one object only.
fn leaves_out(error: &CacheError) -> bool {
    is_gone(error) || matches!(error, CacheError::Unsealed { .. })
}
