//! Trying again: what may pass is repeated after a pause that doubles, and servers that all but stall are given up.
//!
//! In: work that says by [`Trouble`] why it failed. Out: its result, or why it failed in the end. A `Retry-After` is heeded up to the longest
//! pause. Whoever waits looks at the stop flag ten times a second.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::CacheError;
use crate::net::Trouble;

/// Between two looks at the flag, during a pause.
const LOOK: Duration = Duration::from_millis(100);

/// A server that sends fewer bytes than this in the time after which it counts as stalled might as well send none.
const FEWEST: u64 = 4 << 10;

/// How patient requests are.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Tries in all.
    pub attempts: u32,
    /// The first pause; each later one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest_pause: Duration,
    /// Ends everything that waits, or would try again.
    pub stop: Arc<AtomicBool>,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(500), Duration::from_secs(60));
        Self { attempts: 4, first_pause, longest_pause, stop: Arc::default() }
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server did not do it.
    Trouble(Trouble),
    /// It answered what cannot be true.
    Lie(String),
    /// Asked to stop.
    Stopped,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Patience {
    /// Fails if it was asked to stop.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::SeqCst) { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Does `work` until it succeeds, fails for good, or has failed too often.
    pub(super) fn run<T>(&self, mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut failures = 0;
        loop {
            self.go_on()?;
            let (reason, after) = match work() {
                Err(Failure::Trouble(Trouble::Passing { reason, after })) => (reason, after),
                other => return other,
            };
            failures += 1;
            self.rest(failures, reason, after)?;
        }
    }

    /// Waits after the so-manieth failure in a row.
    ///
    /// # Errors
    /// If that was one too many, or it was asked to stop.
    pub(super) fn rest(&self, failures: u32, reason: String, after: Option<Duration>) -> Result<(), Failure> {
        if failures >= self.attempts {
            let tries = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
            return Err(Trouble::Passing { reason: format!("{reason} (tried {tries})"), after }.into());
        }
        let doubled = self.first_pause.saturating_mul(1 << (failures - 1).min(16));
        let until = Instant::now() + after.unwrap_or(doubled).max(doubled).min(self.longest_pause);
        loop {
            self.go_on()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

impl Failure {
    /// The error that says it: what was asked of which cache, and about which entry.
    pub(super) fn into_error(self, cache: &str, action: &'static str, entry: impl ToString) -> CacheError {
        let (cache, entry) = (cache.to_owned(), entry.to_string());
        match self {
            Self::Stopped => CacheError::Stopped,
            Self::Lie(problem) => match entry.parse() {
                Ok(entry) => CacheError::Lie { cache, entry, problem },
                // What was asked is not about one entry.
                Err(_) => CacheError::Refused { cache, action, entry, reason: format!("its answer cannot be true: {problem}") },
            },
            Self::Trouble(Trouble::Setup(error)) => error.into(),
            Self::Trouble(Trouble::Passing { reason, .. }) => CacheError::Unavailable { cache, action, entry, reason },
            Self::Trouble(Trouble::Gone(reason) | Trouble::Refused(reason) | Trouble::Status { reason, .. }) => {
                CacheError::Refused { cache, action, entry, reason }
            }
        }
    }
}

/// A body that is given up if next to nothing comes. Only time spent waiting for it counts, not what its reader does in between.
///
/// It ends with an error if nothing said beforehand where it ends: a connection that broke looks the same.
pub(super) struct Steady<R> {
    body: R,
    has_end: bool,
    stall: Duration,
    waited: Duration,
    came: u64,
}

impl<R> Steady<R> {
    pub(super) fn new(body: R, has_end: bool, stall: Duration) -> Self {
        Self { body, has_end, stall, waited: Duration::ZERO, came: 0 }
    }
}

impl<R: Read> Read for Steady<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waited > self.stall {
            if self.came < FEWEST {
                return Err(io::Error::other("it sends next to nothing"));
            }
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        let start = Instant::now();
        let count = self.body.read(buffer)?;
        self.waited += start.elapsed();
        self.came += count as u64;
        if count == 0 && !self.has_end && !buffer.is_empty() {
            return Err(io::Error::other("it ends without having said where"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(attempts: u32) -> Patience {
        let first_pause = Duration::from_millis(10);
        Patience { attempts, first_pause, longest_pause: Duration::from_millis(40), ..Patience::default() }
    }

    fn passing<T>(after: Option<u64>) -> Result<T, Failure> {
        Err(Trouble::Passing { reason: "it is asleep".to_owned(), after: after.map(Duration::from_secs) }.into())
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let (started, mut tries) = (Instant::now(), 0);
        let failed = patience(5).run::<()>(|| {
            tries += 1;
            passing(None)
        });
        // 10, 20, 40, 40.
        assert!(started.elapsed() >= Duration::from_millis(110) && started.elapsed() < Duration::from_secs(2));
        assert_eq!(tries, 5);
        let error = failed.unwrap_err().into_error("file:///c", "read", "x").to_string();
        assert_eq!(error, "file:///c could not read x: it is asleep (tried 5 times)");
    }

    #[test]
    fn a_server_says_when_to_come_back_but_not_after_the_longest_pause() {
        let started = Instant::now();
        patience(2).run::<()>(|| passing(Some(3_600))).unwrap_err();
        assert!(started.elapsed() >= Duration::from_millis(40) && started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_stop_ends_the_pause() {
        let patience = Patience { first_pause: Duration::from_secs(60), ..patience(9) };
        let stop = Arc::clone(&patience.stop);
        let (started, stopper) = (Instant::now(), std::thread::spawn(move || stop.store(true, Ordering::SeqCst)));
        assert!(matches!(patience.run::<()>(|| passing(None)), Err(Failure::Stopped)));
        assert!(started.elapsed() < Duration::from_secs(5));
        stopper.join().unwrap();
    }

    #[test]
    fn what_does_not_pass_is_not_repeated() {
        let mut tries = 0;
        let failed = patience(5).run::<()>(|| {
            tries += 1;
            Err(Trouble::Refused("no".to_owned()).into())
        });
        assert!(matches!(failed, Err(Failure::Trouble(Trouble::Refused(_)))) && tries == 1);
    }
}
