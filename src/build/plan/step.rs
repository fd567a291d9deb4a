//! What a plan hands out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Builder, DerivationHash, LeafInput, Node, OutputName, ResolvedDerivation, StorePath};

/// Why a step has to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No build trace is known for these inputs and this recipe.
    NeverBuilt,
    /// It was built before, but this object of it is no longer here.
    ObjectMissing(StorePath),
    /// The user asked for it to be built again.
    Requested,
}

/// Something that can be done now.
#[derive(Clone, Debug)]
pub enum Step {
    /// Copy a source of the project into the store.
    AddSource(StorePath),
    /// Fetch or build.
    Realise(Box<Realise>),
    /// Take objects whose paths are known from somebody who has them; if nobody does, something else is tried.
    Substitute(Box<Substitute>),
}

/// Objects that somebody else may have.
#[derive(Clone, Debug)]
pub struct Substitute {
    /// The derivation that makes them; none for a source object.
    pub node: Option<Arc<Node>>,
    /// The resolved derivation, if its outputs are known from a trace.
    pub resolved: Option<DerivationHash>,
    /// The objects.
    pub paths: Vec<StorePath>,
}

/// A derivation whose inputs are all there.
#[derive(Clone, Debug)]
pub struct Realise {
    /// The derivation in the graph.
    pub node: Arc<Node>,
    /// The same, resolved.
    pub resolved: ResolvedDerivation,
    /// Hash of that.
    pub resolved_hash: DerivationHash,
    /// Why it has to run.
    pub reason: Reason,
    /// The fetched files and sources that it reads.
    pub leaves: Vec<LeafInput>,
    /// The outputs that a former build gave.
    pub known: Option<BTreeMap<OutputName, StorePath>>,
}

/// Whether a step is a download or a copy rather than work for the processor.
pub fn is_transfer(step: &Step) -> bool {
    match step {
        Step::AddSource(_) | Step::Substitute(_) => true,
        Step::Realise(realise) => matches!(realise.node.derivation.builder, Builder::Fetch(_)),
    }
}
