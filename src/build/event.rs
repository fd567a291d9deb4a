//! What happens during a build, as values. Nothing under `build/` prints: whoever starts a build passes a [`Reporter`].

use std::time::Duration;

use crate::model::{DerivationHash, StorePath};

use super::error::StepFailure;
use super::plan::Reason;
use super::substitute::Disagreement;
use crate::cache::CacheError;
use crate::store::Found;

/// Names a running step; counts up from 0 within one build.
pub type StepId = usize;

/// What kind of work a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A script in a sandbox.
    Build,
    /// A builder that is part of kiln.
    Builtin,
    /// A download.
    Fetch,
    /// A source of the project, copied into the store.
    AddSource,
    /// Objects that come from a cache.
    Pull,
}

impl Work {
    /// The verb for progress lines: "building", "fetching" …
    pub fn verb(self) -> &'static str {
        match self {
            Self::Build => "building",
            Self::Builtin => "making",
            Self::Fetch => "fetching",
            Self::AddSource => "adding",
            Self::Pull => "pulling",
        }
    }
}

/// How a step ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Done,
    /// Another process had done it meanwhile, or the user had put the file there.
    Found,
    /// It could not be done, and something else is tried instead.
    Elsewhere,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins.
    Started {
        /// Which.
        id: StepId,
        /// The derivation's or source's name.
        name: &'a str,
        /// What kind of work.
        work: Work,
        /// Why it has to run; none for sources.
        reason: Option<&'a Reason>,
        /// Derivations that wait behind what is running.
        waiting: usize,
    },
    /// Another process is at the same derivation; this one waits for it.
    Blocked {
        /// Which.
        id: StepId,
    },
    /// Bytes of a download have arrived.
    Received {
        /// Which.
        id: StepId,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// The builder printed a line.
    Line {
        /// Which.
        id: StepId,
        /// The line, without its end; bytes that are no UTF-8 are replaced.
        text: &'a str,
    },
    /// A step ended well.
    Finished {
        /// Which.
        id: StepId,
        /// How.
        outcome: Outcome,
        /// Wall time.
        duration: Duration,
    },
    /// A step failed.
    Failed {
        /// Which.
        id: StepId,
        /// How.
        failure: &'a StepFailure,
    },
    /// A build gave other bytes than a former one of the same resolved derivation.
    Differs {
        /// The derivation's name.
        name: &'a str,
        /// The resolved derivation.
        resolved: DerivationHash,
        /// What it came out as before.
        before: StorePath,
        /// What it came out as now.
        now: StorePath,
    },
    /// A valid object was damaged or missing, and has the right bytes again.
    Mended {
        /// The object.
        path: &'a StorePath,
        /// What was there.
        found: Found,
    },
    /// Trusted keys say different things about one build.
    Disagreement {
        /// What about, and who says what.
        disagreement: &'a Disagreement,
    },
    /// A cache failed; the build goes on without it.
    Trouble {
        /// How.
        error: &'a CacheError,
    },
}

/// Receives events, from several threads at once.
pub trait Reporter: Sync {
    /// Takes note of an event.
    fn report(&self, event: &Event<'_>);
}

/// A reporter that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: &Event<'_>) {}
}
