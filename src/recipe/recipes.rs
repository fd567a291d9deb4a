//! What an evaluation gives: recipes, targets and parameters as plain data, without a trace of Starlark in them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{FetchSource, Label, OutputName, OutputPolicy, Sha256, SourceSpan, StoreName};

/// A recipe's place in [`Evaluated::recipes`]. A recipe names only recipes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipeId(pub(super) u32);

impl RecipeId {
    /// The index into [`Evaluated::recipes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One output of a recipe: what recipes pass around as a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactRef {
    /// Which recipe makes it.
    pub recipe: RecipeId,
    /// Which of its outputs it is.
    pub output: OutputName,
}

/// How to make something, as a call in a `.star` file declared it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The store name of its result.
    pub name: StoreName,
    /// One line for people; may be empty.
    pub description: String,
    /// The call that declared it.
    pub span: SourceSpan,
    /// Its outputs and what they may hold.
    pub outputs: BTreeMap<OutputName, OutputPolicy>,
    /// What is done.
    pub kind: RecipeKind,
}

/// The kinds of recipes.
#[derive(Clone, Debug, PartialEq)]
pub enum RecipeKind {
    /// `derivation(...)`: a script in the sandbox.
    Script {
        /// The tree that becomes `/`.
        root: ArtifactRef,
        /// What the script sees as `$label`.
        inputs: BTreeMap<Label, ArtifactRef>,
        /// Variables beside the fixed ones.
        env: BTreeMap<String, String>,
        /// Program and first arguments.
        interpreter: Vec<String>,
        /// The script's text.
        script: String,
        /// Seconds that a build may take.
        timeout: Option<u64>,
        /// Seconds that a build may print nothing.
        silence: Option<u64>,
    },
    /// `merge`, `unpack`, `debian_root`: one of kiln's own builders.
    Builtin {
        /// Name and version of the builder.
        kind: &'static str,
        /// What the builder is told.
        arguments: serde_json::Value,
        /// What it reads.
        inputs: BTreeMap<Label, ArtifactRef>,
    },
    /// `fetch_*`: a file with a declared hash.
    Fetch {
        /// The declared hash.
        sha256: Sha256,
        /// Where it comes from.
        source: FetchSource,
    },
    /// `source(...)`: a tree or file of the project.
    Source(SourceRequest),
}

/// A tree or file of the project that a recipe names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRequest {
    /// Where it lies, relative to the project, with `/` between components and no `.` or `..`; empty for the project itself.
    pub path: String,
    /// Glob patterns of what to leave out; see [`super::SourceFilter`].
    pub exclude: BTreeSet<String>,
    /// The store name it gets.
    pub name: StoreName,
    /// The call that asked for it first.
    pub span: SourceSpan,
}

/// Something a user can ask for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is.
    pub artifact: ArtifactRef,
    /// One line for people, from the recipe that makes it.
    pub description: String,
}

/// A knob that recipes declare with `param(name, default)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its value unless the command line says otherwise.
    pub default: String,
    /// Its value in this evaluation.
    pub value: String,
    /// Where it was declared first.
    pub span: SourceSpan,
}

/// What the recipe files of a project declare.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The members of `targets` in `derivations/default.star`.
    pub targets: BTreeMap<String, Target>,
    /// All recipes, each behind those it names.
    pub recipes: Vec<Recipe>,
    /// The declared parameters.
    pub params: BTreeMap<String, Param>,
    /// The files that were read, relative to the project, with the hash of what was read.
    pub files: BTreeMap<String, Sha256>,
    /// What `print()` was given, in order.
    pub printed: Vec<String>,
}

impl Evaluated {
    /// The recipe with this id.
    pub fn recipe(&self, id: RecipeId) -> &Recipe {
        &self.recipes[id.index()]
    }
}
