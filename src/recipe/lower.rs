//! Recipes → derivations.
//!
//! A recipe names only recipes before it, so one pass backwards finds what the wanted targets need, and one pass forwards makes
//! derivations of it, inputs first. Nothing recurses, however long a chain is.

use std::collections::{BTreeMap, HashMap};

use crate::model::{
    Builder, BuiltinBuilder, Derivation, DerivationGraph, DerivationHash, EPOCH, Fetch, Hints, Input, Label, Node, ScriptBuilder, StorePath,
};

use super::recipes::{ArtifactRef, Recipe, RecipeKind, SourceRequest};
use super::suggest::nearest;
use super::{Evaluated, RecipeError};

/// What the wanted targets need.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// All derivations, inputs before their users.
    pub graph: DerivationGraph,
    /// What each wanted target is.
    pub targets: BTreeMap<String, Input>,
    /// The sources that were asked for, in the order of their recipes.
    pub sources: Vec<(SourceRequest, StorePath)>,
}

/// The system that derivations are made for: that of this machine, such as `x86_64-linux`.
pub fn system() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// Turns the recipes that `targets` need into derivations. `sources` puts a source into the store, or just computes its path; it is
/// asked once for each distinct one.
///
/// # Errors
/// If a target does not exist, or `sources` fails.
pub fn lower<E>(
    evaluated: &Evaluated,
    targets: &[impl AsRef<str>],
    sources: &mut dyn FnMut(&SourceRequest) -> Result<StorePath, E>,
) -> Result<Lowered, RecipeError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    lower_for(&system(), evaluated, targets, sources)
}

/// [`lower`] for a given system.
pub(super) fn lower_for<E>(
    system: &str,
    evaluated: &Evaluated,
    targets: &[impl AsRef<str>],
    sources: &mut dyn FnMut(&SourceRequest) -> Result<StorePath, E>,
) -> Result<Lowered, RecipeError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let wanted = wanted(evaluated, targets)?;
    let needed = needed(evaluated, wanted.values().copied());
    let mut state = Lowering { system, lowered: Lowered::default(), done: vec![None; evaluated.recipes.len()], asked: HashMap::new() };
    for (index, recipe) in evaluated.recipes.iter().enumerate().filter(|(index, _)| needed[*index]) {
        let result = match &recipe.kind {
            RecipeKind::Source(request) => Step::Object(state.source(request, sources)?),
            _ => Step::Derivation(state.derivation(recipe)?),
        };
        state.done[index] = Some(result);
    }
    state.lowered.targets = wanted.into_iter().map(|(name, artifact)| (name, state.input(artifact))).collect();
    Ok(state.lowered)
}

fn wanted<'a>(evaluated: &'a Evaluated, targets: &[impl AsRef<str>]) -> Result<BTreeMap<String, &'a ArtifactRef>, RecipeError> {
    let find = |name: &str| match evaluated.targets.get(name) {
        Some(target) => Ok((name.to_owned(), &target.artifact)),
        None => {
            let near = nearest(name, evaluated.targets.keys().map(String::as_str));
            Err(RecipeError::UnknownTarget { name: name.to_owned(), near })
        }
    };
    targets.iter().map(|name| find(name.as_ref())).collect()
}

/// For each recipe, whether one of `wanted` needs it.
fn needed<'a>(evaluated: &Evaluated, wanted: impl Iterator<Item = &'a ArtifactRef>) -> Vec<bool> {
    let mut needed = vec![false; evaluated.recipes.len()];
    for artifact in wanted {
        needed[artifact.recipe.index()] = true;
    }
    for (index, recipe) in evaluated.recipes.iter().enumerate().rev() {
        if needed[index] {
            for input in recipe.inputs() {
                needed[input.recipe.index()] = true;
            }
        }
    }
    needed
}

/// What a recipe became.
#[derive(Clone, Debug)]
enum Step {
    Derivation(DerivationHash),
    Object(StorePath),
}

struct Lowering<'a> {
    system: &'a str,
    lowered: Lowered,
    done: Vec<Option<Step>>,
    asked: HashMap<(&'a str, &'a std::collections::BTreeSet<String>, &'a str), StorePath>,
}

impl<'a> Lowering<'a> {
    fn source<E>(
        &mut self,
        request: &'a SourceRequest,
        sources: &mut dyn FnMut(&SourceRequest) -> Result<StorePath, E>,
    ) -> Result<StorePath, RecipeError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = (request.path.as_str(), &request.exclude, request.name.as_str());
        if let Some(path) = self.asked.get(&key) {
            return Ok(path.clone());
        }
        let path = sources(request).map_err(|source| {
            let (path, span) = (request.path.clone(), request.span.clone());
            RecipeError::Source { path, span, source: source.into() }
        })?;
        self.asked.insert(key, path.clone());
        self.lowered.sources.push((request.clone(), path.clone()));
        Ok(path)
    }

    fn derivation(&mut self, recipe: &Recipe) -> Result<DerivationHash, RecipeError> {
        let inputs = recipe.labelled().iter().map(|(label, artifact)| (label.clone(), self.input(artifact))).collect();
        let derivation = Derivation::new(recipe.name.clone(), self.system.to_owned(), inputs, recipe.outputs.clone(), self.builder(recipe));
        let hash = derivation.hash().map_err(|source| RecipeError::Canonical { name: recipe.name.to_string(), source })?;
        self.lowered.graph.add(Node { hash, derivation, hints: hints(recipe) })?;
        Ok(hash)
    }

    fn builder(&self, recipe: &Recipe) -> Builder {
        match &recipe.kind {
            RecipeKind::Script { root, env, interpreter, script, .. } => Builder::Script(ScriptBuilder {
                root: self.input(root),
                interpreter: interpreter.clone(),
                script: script.clone(),
                env: env.clone(),
                epoch: EPOCH,
            }),
            RecipeKind::Builtin { kind, arguments, .. } => {
                Builder::Builtin(BuiltinBuilder { kind: (*kind).to_owned(), arguments: arguments.clone() })
            }
            RecipeKind::Fetch { sha256, .. } => Builder::Fetch(Fetch { sha256: *sha256 }),
            RecipeKind::Source(_) => unreachable!("a source is no derivation"),
        }
    }

    /// What an artifact is called in a derivation. Its recipe stands before the one that names it, so it is done.
    fn input(&self, artifact: &ArtifactRef) -> Input {
        match &self.done[artifact.recipe.index()] {
            Some(Step::Derivation(hash)) => Input::Output { derivation: *hash, output: artifact.output.clone() },
            Some(Step::Object(path)) => Input::Object(path.clone()),
            None => unreachable!("a recipe names only recipes before it"),
        }
    }
}

fn hints(recipe: &Recipe) -> Hints {
    let (timeout, silence) = match &recipe.kind {
        RecipeKind::Script { timeout, silence, .. } => (*timeout, *silence),
        _ => (None, None),
    };
    let fetch = match &recipe.kind {
        RecipeKind::Fetch { source, .. } => Some(source.clone()),
        _ => None,
    };
    Hints { description: recipe.description.clone(), timeout, silence, span: Some(recipe.span.clone()), fetch }
}

impl Recipe {
    /// The artifacts it names, with their labels; the root is not among them.
    pub fn labelled(&self) -> &BTreeMap<Label, ArtifactRef> {
        static NONE: BTreeMap<Label, ArtifactRef> = BTreeMap::new();
        match &self.kind {
            RecipeKind::Script { inputs, .. } | RecipeKind::Builtin { inputs, .. } => inputs,
            RecipeKind::Fetch { .. } | RecipeKind::Source(_) => &NONE,
        }
    }

    /// All artifacts it names, the root included.
    pub fn inputs(&self) -> impl Iterator<Item = &ArtifactRef> {
        let root = match &self.kind {
            RecipeKind::Script { root, .. } => Some(root),
            _ => None,
        };
        self.labelled().values().chain(root)
    }
}
