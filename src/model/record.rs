//! Build records: what is written down about one build, for people and for later questions. Never part of a trace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DerivationHash, OutputName, SandboxLevel, SourceSpan, StorePath};

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStatus {
    /// Its outputs are registered.
    Built,
    /// It failed; the text says how.
    Failed(String),
}

/// What became of one layer or extra of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerOutcome {
    /// Which one, such as `landlock`.
    pub layer: String,
    /// Whether it held.
    pub state: LayerState,
}

/// Whether a layer of the sandbox was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerState {
    /// In force.
    Active,
    /// Not to be had here; the text says why.
    Absent(String),
}

/// An input that no derivation made: a fetched file or a source tree of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafInput {
    /// The object.
    pub path: StorePath,
    /// Where the recipe names it.
    pub span: Option<SourceSpan>,
}

/// One build, as it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The derivation as it stood in the graph.
    pub derivation: DerivationHash,
    /// The resolved derivation.
    pub resolved: DerivationHash,
    /// The derivation's name.
    pub name: String,
    /// How it ended.
    pub status: BuildStatus,
    /// The outputs, if it was built.
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// Label → store path, as the builder saw them; `root` is among them.
    pub inputs: BTreeMap<String, StorePath>,
    /// The fetched files and sources that the derivation names directly.
    pub leaves: Vec<LeafInput>,
    /// Where the recipe made it.
    pub span: Option<SourceSpan>,
    /// How well it was sealed.
    pub level: SandboxLevel,
    /// The builder's exit code; none if it ran in no sandbox, was ended by a signal, or by kiln.
    pub exit_code: Option<i32>,
    /// Its log, relative to the store's directory; none if it printed nothing.
    pub log: Option<PathBuf>,
    /// What became of the sandbox's extras.
    pub layers: Vec<LayerOutcome>,
    /// The machine: kernel, processor, core count.
    pub machine: BTreeMap<String, String>,
    /// Milliseconds since 1970 at the start.
    pub started_ms: u64,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// Processor milliseconds, user and system, if they could be measured.
    pub cpu_ms: Option<u64>,
    /// Peak memory of its largest process in KiB, if it could be measured.
    pub peak_kib: Option<u64>,
}
