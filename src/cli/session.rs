//! What most commands share: global options, and the way from arguments to recipes, derivations and an open store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::build::config::Config;
use crate::build::fetch::{Fetcher, Mirrors};
use crate::build::source::{SourceTree, Sources};
use crate::model::{DerivationGraph, DerivationHash, Input, Node, OutputName, StorePath};
use crate::net::Machine;
use crate::recipe::{self, Evaluated, Lowered, OverrideError, RecipeError, SourceFilter, SourceRequest};
use crate::store::Store;

use super::failure::Failure;
use super::project::{find_project, find_store};
use super::ui::{self, Ui};

/// Options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The project's directory [default: the nearest one upwards with derivations/default.star]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// The physical store [default: $KILN_STORE, the project's store/, or the user's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Print facts as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Show builders' output as it comes
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Globals {
    /// How to speak.
    pub fn ui(&self) -> Ui {
        Ui { json: self.json, verbose: self.verbose, quiet: self.quiet }
    }

    /// The project.
    ///
    /// # Errors
    /// If there is none.
    pub fn project(&self) -> Result<PathBuf, Failure> {
        find_project(self.project.as_deref())
    }

    /// Where the store is.
    ///
    /// # Errors
    /// If no place for one is known.
    pub fn store_dir(&self) -> Result<PathBuf, Failure> {
        let project = self.project().ok();
        find_store(self.store.as_deref(), project.as_deref())
    }

    /// Opens the store, and makes one if there is none.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open_store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.store_dir()?)?)
    }

    /// Opens the store, which must exist.
    ///
    /// # Errors
    /// If there is none.
    pub fn open_existing_store(&self) -> Result<Store, Failure> {
        Ok(Store::open_existing(&self.store_dir()?)?)
    }
}

/// The knobs of the recipes.
#[derive(Debug, Default, clap::Args)]
pub struct ParamArgs {
    /// Set a parameter that the recipes declare; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    params: Vec<(String, String)>,
    /// Take a source from this machine: a fetched file by its name, an unpacked or project's tree likewise; may be repeated
    #[arg(long = "override-source", value_name = "NAME=PATH", value_parser = parse_override)]
    overrides: Vec<(String, PathBuf)>,
}

fn parse_override(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    let path = Path::new(path).canonicalize().map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    Ok((name.to_owned(), path))
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.is_empty() { Err("the name is empty".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// A project with its recipes evaluated.
pub struct Evaluation {
    /// Where it is.
    pub project: PathBuf,
    /// What its recipes declare.
    pub evaluated: Evaluated,
}

/// A project with the wanted targets as derivations.
pub struct Lowering {
    /// Where it is.
    pub project: PathBuf,
    /// The derivations.
    pub lowered: Lowered,
    /// The project's sources, those that were named remembered.
    pub sources: Sources,
}

/// Evaluates the project's recipes.
///
/// # Errors
/// If there is no project, or a recipe is wrong.
pub fn evaluate(globals: &Globals, params: &ParamArgs) -> Result<Evaluation, Failure> {
    let project = globals.project()?;
    let overrides = &params.overrides;
    let params: BTreeMap<String, String> = params.params.iter().cloned().collect();
    let mut evaluated = recipe::evaluate(&project, &params)?;
    for (name, path) in overrides {
        evaluated.override_source(name, path)?;
    }
    for line in &evaluated.printed {
        globals.ui().note(ui::harmless(line));
    }
    Ok(Evaluation { project, evaluated })
}

/// Evaluates the project's recipes and lowers the wanted targets.
///
/// # Errors
/// As [`evaluate`]; or a target is unknown, or a source cannot be read.
pub fn lower(globals: &Globals, params: &ParamArgs, targets: &[String]) -> Result<Lowering, Failure> {
    lower_evaluated(evaluate(globals, params)?, targets)
}

/// Lowers the wanted targets of what was evaluated.
///
/// # Errors
/// As [`lower`].
pub fn lower_evaluated(evaluation: Evaluation, targets: &[String]) -> Result<Lowering, Failure> {
    let Evaluation { project, evaluated } = evaluation;
    let sources = Sources::new(&project);
    let lowered = recipe::lower(&evaluated, targets, &mut |request| hash_source(&sources, request))?;
    // The process ends soon; taking thousands of recipes apart before would cost more than planning them.
    std::mem::forget(evaluated);
    Ok(Lowering { project, lowered, sources })
}

/// A derivation that the user named.
pub struct Found {
    /// The project and its derivations.
    pub lowering: Lowering,
    /// Which one is meant.
    pub derivation: DerivationHash,
    /// The output that the name stands for.
    pub output: OutputName,
}

/// Finds what `name` stands for: a target, or else a derivation of that name that some target needs.
///
/// # Errors
/// As [`lower`]; or it stands for a source.
pub fn find(globals: &Globals, params: &ParamArgs, name: &str) -> Result<Found, Failure> {
    let evaluation = evaluate(globals, params)?;
    if evaluation.evaluated.targets.contains_key(name) {
        let lowering = lower_evaluated(evaluation, &[name.to_owned()])?;
        return match lowering.lowered.targets.get(name).cloned() {
            Some(Input::Output { derivation, output }) => Ok(Found { lowering, derivation, output }),
            _ => Err(Failure::request(format!("`{name}` is a source of the project, not a derivation"))),
        };
    }
    let unknown = recipe::lower(&evaluation.evaluated, &[name], &mut |_| Err::<StorePath, _>("not reached")).err();
    let all: Vec<String> = evaluation.evaluated.targets.keys().cloned().collect();
    let lowering = lower_evaluated(evaluation, &all)?;
    let named = lowering.lowered.graph.nodes().iter().rev().find(|node| node.derivation.name.as_str() == name).map(|node| node.hash);
    match (named, unknown) {
        (Some(derivation), _) => Ok(Found { lowering, derivation, output: OutputName::out() }),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(Failure::request(format!("there is no target `{name}`"))),
    }
}

fn hash_source(sources: &Sources, request: &SourceRequest) -> Result<StorePath, Box<dyn std::error::Error + Send + Sync>> {
    let filter = SourceFilter::new(&request.exclude)?;
    let tree = SourceTree {
        path: PathBuf::from(&request.path),
        name: request.name.clone(),
        span: Some(request.span.clone()),
        excludes: Box::new(move |path: &Path| filter.excludes(path)),
    };
    Ok(sources.path_of(tree)?)
}

/// A derivation of the graph.
///
/// # Errors
/// If it is not in the graph.
pub fn node<'g>(graph: &'g DerivationGraph, hash: &DerivationHash) -> Result<&'g Node, Failure> {
    graph.get(hash).map(|node| &**node).ok_or_else(|| Failure::new(format!("derivation {hash} is not in the graph")))
}

/// A fetcher as this machine and project configure it.
///
/// # Errors
/// If a configuration file is wrong.
pub fn configure(project: &Path) -> Result<Config, Failure> {
    Ok(Config::load(Some(project), &Machine::current())?)
}

/// The fetcher that a configuration describes.
pub fn fetcher(config: &Config) -> Fetcher {
    Fetcher::new(Mirrors::from_machine(config), config.fetch_options())
}

impl From<OverrideError> for Failure {
    fn from(error: OverrideError) -> Self {
        let failure = Self::request(&error);
        match error {
            OverrideError::Unknown { .. } => failure.hint("`kiln eval` lists the targets; `kiln show TARGET` the names of what they read"),
            _ => failure,
        }
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        let failure = Self::request(&error);
        match error {
            RecipeError::Failed(failed) => {
                let mut failure = Self::request(&failed.message);
                failure.details = failed.traceback().lines().map(ui::harmless).collect();
                failure.hints.extend(failed.hint);
                failure
            }
            RecipeError::UnknownParam { declared, .. } if !declared.is_empty() => {
                failure.hint(format!("declared parameters: {}", declared.join(", ")))
            }
            RecipeError::UnknownTarget { .. } => failure.hint("`kiln eval` lists all targets"),
            RecipeError::NoRecipes(_) => failure.hint("a project has a file `derivations/default.star` that sets `targets`"),
            _ => failure,
        }
    }
}
