//! How long things count. Pushers and collectors of one cache must agree, so these are part of the format.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The periods that leases and marks are judged by; see the page of [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A lease counts for that long after it was last written.
    pub lease: Duration,
    /// Its holder writes it anew that often.
    pub renewal: Duration,
    /// Its holder believes in it for that long after.
    pub trust: Duration,
    /// What a collector has read counts for that long.
    pub knowledge: Duration,
    /// A slice of removals is over after that.
    pub slice: Duration,
    /// How often a push that waits for a slice looks again.
    pub look: Duration,
    /// Between writing a mark and seeing whether another collector did, too.
    pub settle: Duration,
}

impl Timing {
    /// What all kilns use.
    pub const STANDARD: Self = Self {
        lease: Duration::from_secs(60 * 60),
        renewal: Duration::from_secs(5 * 60),
        trust: Duration::from_secs(20 * 60),
        knowledge: Duration::from_secs(30 * 60),
        slice: Duration::from_secs(60),
        look: Duration::from_millis(500),
        settle: Duration::from_millis(500),
    };
}

/// A moment, by a clock that runs on while the machine sleeps and that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Duration);

impl Moment {
    pub(super) fn now() -> Self {
        // A kernel without this clock is too old for kiln; time would then seem to stand still.
        Self(clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default())
    }

    pub(super) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_under_a_lease_is_seen_by_a_collector_that_did_not_know_it() {
        let t = Timing::STANDARD;
        assert!(t.trust + t.knowledge + t.slice < t.lease && t.renewal < t.trust);
    }
}
