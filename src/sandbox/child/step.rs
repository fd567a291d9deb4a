//! Errors of the child's steps, and what became of each layer.

use nix::errno::Errno;

use crate::model::{LayerOutcome, LayerState, SandboxLevel};
use crate::sandbox::Layer;
use crate::sandbox::wire::Failure;

/// Says which step of which layer a call belongs to.
pub(super) trait Step<T> {
    /// Adds layer and step to an error.
    fn step(self, layer: Layer, step: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Step<T> for nix::Result<T> {
    fn step(self, layer: Layer, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|errno| Failure { layer, step: step(), errno: errno as i32 })
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, layer: Layer, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure { layer, step: step(), errno: error.raw_os_error().unwrap_or(Errno::EIO as i32) })
    }
}

/// What became of each layer so far.
pub(super) struct Layers {
    level: SandboxLevel,
    outcomes: Vec<LayerOutcome>,
}

impl Layers {
    pub(super) fn new(level: SandboxLevel, outcomes: Vec<LayerOutcome>) -> Self {
        Self { level, outcomes }
    }

    /// Records a layer that is in force.
    pub(super) fn active(&mut self, layer: Layer) {
        self.outcomes.push(LayerOutcome { layer: layer.name().to_owned(), state: LayerState::Active });
    }

    /// Records an extra that cannot be had.
    pub(super) fn absent(&mut self, layer: Layer, why: impl Into<String>) {
        self.outcomes.push(LayerOutcome { layer: layer.name().to_owned(), state: LayerState::Absent(why.into()) });
    }

    /// Whether a layer is known to be missing.
    pub(super) fn is_absent(&self, layer: Layer) -> bool {
        self.outcomes.iter().any(|outcome| outcome.layer == layer.name() && matches!(outcome.state, LayerState::Absent(_)))
    }

    /// Records what became of a mandatory layer; without it, only a relaxed sandbox goes on.
    pub(super) fn mandatory(&mut self, layer: Layer, outcome: Result<(), Failure>) -> Result<bool, Failure> {
        match outcome {
            Ok(()) => {
                self.active(layer);
                Ok(true)
            }
            Err(failure) if self.level == SandboxLevel::Relaxed => {
                self.absent(layer, format!("{}: {}", failure.step, Errno::from_raw(failure.errno)));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn into_outcomes(self) -> Vec<LayerOutcome> {
        self.outcomes
    }
}
