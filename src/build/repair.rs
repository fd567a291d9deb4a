//! Which derivations made objects that are damaged, so that they can be made again.
//!
//! In: a graph, and the objects. Out: the derivations, those that others need first, so that none is made again from damaged inputs. Not here:
//! finding what is damaged (`store::verify`), and making it (`schedule`, with the derivation forced).

use std::collections::BTreeSet;

use super::plan::{Knowledge, PlanError, Planner};
use crate::model::{DerivationGraph, Input, StorePath};

/// For each of `objects` that a derivation of the graph is known to give: that output, in topological order. A file to be fetched is known by
/// its hash, anything else by its build trace.
///
/// # Errors
/// If the store cannot be read.
pub fn makers<K: Knowledge>(
    graph: &DerivationGraph,
    goals: &[Input],
    knowledge: K,
    objects: &BTreeSet<StorePath>,
) -> Result<Vec<(Input, StorePath)>, PlanError<K::Error>> {
    let planner = Planner::new(graph, goals, &[], knowledge)?;
    let mut makers = Vec::new();
    let mut left = objects.clone();
    for node in graph.nodes() {
        for output in node.derivation.outputs.keys() {
            let path = node.derivation.known_path().or_else(|| planner.known_output(&node.hash, output).cloned());
            if let Some(path) = path.and_then(|path| left.take(&path)) {
                makers.push((Input::Output { derivation: node.hash, output: output.clone() }, path));
            }
        }
    }
    Ok(makers)
}
