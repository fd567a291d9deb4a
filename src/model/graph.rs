//! The derivation graph: all steps that the wanted targets can need, inputs before their users.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Derivation, DerivationHash, Input};

/// A place in a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpan {
    /// File, relative to the project.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for SourceSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where a declared file can be fetched. Registries are named, servers are the machine's own configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchSource {
    /// These addresses, in turn.
    Urls(Vec<String>),
    /// A file of a project on the configured Python package index.
    Pypi {
        /// Project, such as `six`.
        project: String,
        /// File name, such as `six-1.16.0.tar.gz`.
        file: String,
    },
    /// A file in the pool of the configured Debian archives.
    Debian {
        /// Path from the archive's top, such as `pool/main/d/dash/…`.
        pool_path: String,
    },
}

/// What goes along with a derivation but cannot change its result, and so is not hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    /// One line for people.
    pub description: String,
    /// Seconds that a build may take.
    pub timeout: Option<u64>,
    /// Seconds that a build may print nothing.
    pub silence: Option<u64>,
    /// Where the recipe made it.
    pub span: Option<SourceSpan>,
    /// Where a fetched file comes from.
    pub fetch: Option<FetchSource>,
}

/// One derivation of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its hash.
    pub hash: DerivationHash,
    /// What to do.
    pub derivation: Derivation,
    /// What goes along.
    pub hints: Hints,
}

/// Derivations in topological order: what a node names stands before it.
#[derive(Clone, Debug, Default)]
pub struct DerivationGraph {
    nodes: Vec<Arc<Node>>,
    index: HashMap<DerivationHash, usize>,
}

/// A node that does not fit into a graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// An input names a derivation that is not there.
    #[error("derivation `{name}` names {input}, which is not part of the graph")]
    UnknownInput {
        /// The derivation's name.
        name: String,
        /// The missing input's hash.
        input: DerivationHash,
    },
    /// An input names an output that the derivation does not have.
    #[error("derivation `{name}` names the output `{output}` of `{input}`, which has no such output")]
    UnknownOutput {
        /// The derivation's name.
        name: String,
        /// The input's name.
        input: String,
        /// The missing output.
        output: String,
    },
}

impl DerivationGraph {
    /// Adds a derivation whose inputs are in the graph already. Adding an equal one again changes nothing.
    ///
    /// # Errors
    /// If an input is not in the graph: as nodes are only ever added behind their inputs, a graph has no cycle.
    pub fn add(&mut self, node: Node) -> Result<(), GraphError> {
        if self.index.contains_key(&node.hash) {
            return Ok(());
        }
        for input in node.derivation.all_inputs() {
            let Input::Output { derivation, output } = input else { continue };
            let name = || node.derivation.name.to_string();
            let known = self.get(derivation).ok_or_else(|| GraphError::UnknownInput { name: name(), input: *derivation })?;
            if !known.derivation.outputs.contains_key(output) {
                let input = known.derivation.name.to_string();
                return Err(GraphError::UnknownOutput { name: name(), input, output: output.to_string() });
            }
        }
        self.index.insert(node.hash, self.nodes.len());
        self.nodes.push(Arc::new(node));
        Ok(())
    }

    /// The node with this hash.
    pub fn get(&self, hash: &DerivationHash) -> Option<&Arc<Node>> {
        self.index.get(hash).map(|index| &self.nodes[*index])
    }

    /// The position of a node in topological order.
    pub fn position(&self, hash: &DerivationHash) -> Option<usize> {
        self.index.get(hash).copied()
    }

    /// All nodes, inputs before their users.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }
}
