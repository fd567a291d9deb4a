//! The namespaces that the parent makes with its one `clone`.

use std::sync::OnceLock;

use super::{Layer, sys};
use crate::model::{LayerOutcome, LayerState, SandboxLevel};

/// Without these nothing can be shown, hidden or ended: not even a relaxed sandbox goes without.
const ALWAYS: [(Layer, i32); 3] = [(Layer::User, libc::CLONE_NEWUSER), (Layer::Mount, libc::CLONE_NEWNS), (Layer::Pid, libc::CLONE_NEWPID)];
/// A relaxed sandbox does without one of these if it cannot be had.
const SEALING: [(Layer, i32); 3] =
    [(Layer::Network, libc::CLONE_NEWNET), (Layer::Ipc, libc::CLONE_NEWIPC), (Layer::Uts, libc::CLONE_NEWUTS)];

/// Which namespaces a sandbox gets.
#[derive(Clone, Debug)]
pub(super) struct Namespaces {
    layers: Vec<(Layer, i32, Option<String>)>,
}

impl Namespaces {
    /// The flags for `clone`.
    pub(super) fn flags(&self) -> i32 {
        self.layers.iter().filter(|(_, _, missing)| missing.is_none()).fold(0, |flags, (_, flag, _)| flags | flag)
    }

    /// For the record.
    pub(super) fn outcomes(&self) -> Vec<LayerOutcome> {
        let outcome = |(layer, _, missing): &(Layer, i32, Option<String>)| LayerOutcome {
            layer: layer.name().to_owned(),
            state: missing.clone().map_or(LayerState::Active, LayerState::Absent),
        };
        self.layers.iter().map(outcome).collect()
    }
}

/// All of them; at level `relaxed`, those that this kernel allows (found out once).
pub(super) fn for_level(level: SandboxLevel) -> Namespaces {
    static RELAXED: OnceLock<Namespaces> = OnceLock::new();
    let all = || ALWAYS.into_iter().chain(SEALING).map(|(layer, flag)| (layer, flag, None));
    match level {
        SandboxLevel::Strict => Namespaces { layers: all().collect() },
        SandboxLevel::Relaxed => RELAXED
            .get_or_init(|| {
                let missing = |flag| SEALING.iter().any(|(_, sealing)| *sealing == flag).then(|| attempt(flag).err()).flatten();
                let layers = all().map(|(layer, flag, _)| (layer, flag, missing(flag).map(|errno| errno.desc().to_owned())));
                Namespaces { layers: layers.collect() }
            })
            .clone(),
    }
}

/// Every namespace, for `kiln doctor`.
pub(super) fn each() -> impl Iterator<Item = (Layer, nix::Result<()>)> {
    ALWAYS.into_iter().chain(SEALING).map(|(layer, flag)| (layer, attempt(flag)))
}

/// The first namespace that cannot be had, after a `clone` with all of them has failed.
pub(super) fn culprit() -> Layer {
    each().find(|(_, outcome)| outcome.is_err()).map_or(Layer::User, |(layer, _)| layer)
}

/// Makes one namespace, in a user namespace of its own, for a process that ends at once.
fn attempt(flag: i32) -> nix::Result<()> {
    let cloned = sys::clone_and_run(libc::CLONE_NEWUSER | flag, false, &mut || sys::exit_now(0))?;
    sys::wait_any(cloned.pid, true).map(drop)
}
