//! `kiln build`: makes targets, or says what that would take.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::build::compare::{Difference, DifferenceKind};
use crate::build::event::Reporter;
use crate::build::plan::{Knowledge, Planner, Reason, Step, Substitute};
use crate::build::substitute::Disagreement;
use crate::build::{self, BuildError, Options, Report, Stop, StoreKnowledge, Substituter, Workshop};
use crate::cache::Pulled;
use crate::model::{Builder, DerivationHash, Input, OutputName, SandboxLevel, StorePath};
use crate::sandbox::Limits;
use crate::store::Store;

use super::cache::open::{CacheArgs, Opener};
use super::cache::push::{self, PushArgs};
use super::errors::step_failure;
use super::exit;
use super::failure::Failure;
use super::progress::Progress;
use super::session::{self, Globals, Lowering, ParamArgs};
use super::ui::{self, DIM, GREEN, YELLOW, paint, table};
use super::{Exit, failure, signals};

/// Build targets
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kiln build runtime --out-link result\n  kiln build libpython func --dry-run\n  kiln build func --rebuild\n  \
                  kiln build runtime --cache file:///srv/cache --trusted-key team-1:…"
)]
pub struct Args {
    /// What to build; `kiln eval` lists the targets
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    how: BuildArgs,
    /// Make a symbolic link to the result, which also keeps it; several targets get `P-<target>`
    #[arg(long, value_name = "P")]
    out_link: Option<PathBuf>,
    /// Say what would be fetched and built, and why
    #[arg(long)]
    dry_run: bool,
    /// Build the targets again and name every file that differs
    #[arg(long, conflicts_with = "dry_run")]
    rebuild: bool,
    /// Send what is built to the caches of `--cache` as it finishes
    #[arg(long, requires = "urls", conflicts_with = "dry_run")]
    push: bool,
    #[command(flatten)]
    pushing: PushArgs,
}

/// How to build; shared by the commands that may have to.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Building")]
pub struct BuildArgs {
    /// Builders that run at once [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Cores that each builder is told to use [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    cores: Option<u16>,
    /// Go on with what does not need a failed step
    #[arg(short, long)]
    keep_going: bool,
    /// Seconds a builder may take [default: what its recipe says]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Seconds a builder may print nothing [default: what its recipe says]
    #[arg(long, value_name = "SECONDS")]
    silence: Option<u64>,
    /// Memory one builder may use, in MiB
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    /// Processes one builder may have
    #[arg(long, value_name = "N")]
    processes: Option<u64>,
    /// How well builds must be sealed; `relaxed` is put on record and never published
    #[arg(long, value_name = "LEVEL", default_value = "strict", value_parser = ["strict", "relaxed"])]
    sandbox: Option<String>,
    #[command(flatten)]
    caches: CacheArgs,
}

impl BuildArgs {
    /// The caches to take from.
    pub fn caches(&self) -> &CacheArgs {
        &self.caches
    }

    /// How well builds must be sealed.
    pub fn level(&self) -> SandboxLevel {
        if self.sandbox.as_deref() == Some("relaxed") { SandboxLevel::Relaxed } else { SandboxLevel::Strict }
    }

    /// The options of a build that ends on Ctrl-C.
    ///
    /// # Errors
    /// If the signal cannot be caught.
    pub fn options(&self) -> Result<Options, Failure> {
        let machine = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Options {
            jobs: self.jobs.map_or(machine, usize::from),
            cores: self.cores.map_or(machine, usize::from),
            keep_going: self.keep_going,
            timeout: self.timeout,
            silence: self.silence,
            level: self.level(),
            limits: Limits { memory_bytes: self.memory.map(|mib| mib << 20), processes: self.processes, ..Limits::default() },
            stop: signals::stop(),
        })
    }
}

/// One line of the result.
#[derive(Serialize)]
struct Built {
    target: String,
    path: StorePath,
    physical: PathBuf,
}

#[derive(Serialize)]
struct Outcome {
    targets: Vec<Built>,
    built: Vec<String>,
    fetched: usize,
    pulled: Pulled,
    seconds: f64,
    differences: Vec<Difference>,
    mended: Vec<StorePath>,
    disagreements: Vec<Disagreement>,
}

/// Runs the command.
///
/// # Errors
/// If a recipe is wrong, or a step fails.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let lowering = session::lower(globals, &args.params, &args.targets)?;
    let store = globals.open_store()?;
    let goals = goals(&lowering, &args.targets);
    if args.dry_run {
        return dry_run(globals, &lowering, &store, &goals, &args.how);
    }
    let forced = if args.rebuild { derivations(&goals) } else { Vec::new() };
    let start = Instant::now();
    let build = || realise(globals, &lowering, &store, &goals, &forced, &args.how);
    let report = if args.push {
        let to = Opener::new(globals, &Stop::default())?.destinations(args.how.caches.urls())?;
        let outputs = |report: &Report| report.outputs.iter().flatten().cloned().collect();
        push::while_building(globals.ui(), &store, &to, &args.pushing, outputs, build)?
    } else {
        build()?
    };
    let outcome = Outcome {
        targets: results(&store, &args.targets, &report),
        seconds: start.elapsed().as_secs_f64(),
        built: report.built,
        fetched: report.fetched,
        pulled: report.pulled,
        disagreements: report.disagreements,
        differences: report.differences,
        mended: report.mended,
    };
    if let Some(link) = &args.out_link {
        make_links(&store, link, &outcome.targets)?;
    }
    globals.ui().print(&outcome, |outcome| outcome.targets.iter().map(|built| format!("{}\n", built.physical.display())).collect())?;
    summarise(globals, &outcome, start.elapsed());
    // As with the recipes: nothing in it outlives the process.
    std::mem::forget(lowering);
    if outcome.differences.is_empty() { Ok(exit::OK) } else { Err(not_reproducible(&outcome.differences)) }
}

/// The goals of the named targets.
pub fn goals(lowering: &Lowering, targets: &[String]) -> Vec<Input> {
    targets.iter().filter_map(|target| lowering.lowered.targets.get(target).cloned()).collect()
}

fn derivations(goals: &[Input]) -> Vec<DerivationHash> {
    goals.iter().filter_map(|goal| if let Input::Output { derivation, .. } = goal { Some(*derivation) } else { None }).collect()
}

/// Builds the goals and shows progress. All of them are there afterwards.
///
/// # Errors
/// If a step fails.
pub fn realise(
    globals: &Globals,
    lowering: &Lowering,
    store: &Store,
    goals: &[Input],
    forced: &[DerivationHash],
    how: &BuildArgs,
) -> Result<Report, Failure> {
    let options = how.options()?;
    let config = session::configure(&lowering.project)?;
    let progress = Progress::new(globals.ui());
    let reporter: &dyn Reporter = &progress;
    let fetcher = || session::fetcher(&config);
    let caches = Opener::new(globals, &options.stop)?.caches(&how.caches)?;
    let substituter = (!caches.is_empty()).then(|| Substituter::new(store, &caches, reporter, &options.stop));
    let workshop = Workshop::new(store, &lowering.sources, &fetcher, reporter, &options).with_caches(substituter.as_ref());
    let report = build::build(&workshop, &lowering.lowered.graph, goals, forced)?;
    if options.stop.is_requested() {
        return Err(signals::stopped());
    }
    fail_if_any(lowering, report)
}

fn fail_if_any(lowering: &Lowering, mut report: Report) -> Result<Report, Failure> {
    let mut failures = std::mem::take(&mut report.failures).into_iter();
    let Some(first) = failures.next() else { return Ok(report) };
    let named = |hash: Option<DerivationHash>| {
        let is_it = |input: &Input| matches!(input, Input::Output { derivation, .. } if Some(*derivation) == hash);
        lowering.lowered.targets.iter().find(|(_, input)| is_it(input)).map(|(name, _)| name.clone())
    };
    let target = named(first.derivation);
    let mut failure = step_failure(first, target.as_deref());
    for other in failures {
        let target = named(other.derivation);
        failure.details.push(step_failure(other, target.as_deref()).message);
    }
    if !report.blocked.is_empty() {
        failure.details.push(format!("not tried, because they need it: {}", report.blocked.join(", ")));
    }
    Err(failure)
}

fn results(store: &Store, targets: &[String], report: &Report) -> Vec<Built> {
    let named = targets.iter().zip(&report.outputs);
    named
        .filter_map(|(target, path)| {
            path.as_ref().map(|path| Built { target: target.clone(), path: path.clone(), physical: store.physical(path) })
        })
        .collect()
}

fn make_links(store: &Store, link: &std::path::Path, built: &[Built]) -> Result<(), Failure> {
    for one in built {
        let mut place = link.to_owned();
        if built.len() > 1 {
            place.as_mut_os_string().push(format!("-{}", one.target));
        }
        store.add_out_link(&place, &one.path)?;
    }
    Ok(())
}

fn summarise(globals: &Globals, outcome: &Outcome, duration: Duration) {
    let counts = [(outcome.built.len(), "built"), (outcome.fetched, "fetched"), (outcome.pulled.objects, "pulled")];
    let done: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if globals.json || (done.is_empty() && !std::io::stderr().is_terminal()) {
        return;
    }
    let text = if done.is_empty() { "nothing to do".to_owned() } else { done.join(", ") };
    globals.ui().note(format!("{} {}", paint(GREEN, text), paint(DIM, format!("in {}", ui::seconds(duration)))));
}

fn not_reproducible(differences: &[Difference]) -> failure::Failure {
    let mut failure = Failure::new("the rebuild came out differently").code(exit::DAMAGED);
    for difference in differences {
        failure.details.push(format!("{} ({}): before {}, now {}", difference.name, difference.output, difference.before, difference.now));
        if difference.damaged {
            failure.details.push("  the former result is damaged, so what follows is not only what the builds did".to_owned());
        } else if difference.files.is_empty() {
            failure.details.push("  the former result is no longer in the store, so its files cannot be compared".to_owned());
        }
        for file in &difference.files {
            let kind = match file.kind {
                DifferenceKind::Gone => "was there before only",
                DifferenceKind::New => "is new",
                DifferenceKind::Type => "is of another type",
                DifferenceKind::Mode => "differs in its execute permission",
                DifferenceKind::Target => "points elsewhere",
                DifferenceKind::Content => "has other bytes",
            };
            let name = file.path.to_string_lossy();
            let name = if name.is_empty() { "the output itself".into() } else { ui::harmless(&name) };
            failure.details.push(format!("  {name} {kind}"));
        }
    }
    failure.hint("look for times, paths, core counts and unsorted listings in these files")
}

#[derive(Default, Serialize)]
struct Planned {
    pull: Vec<String>,
    fetch: Vec<String>,
    add: Vec<String>,
    build: Vec<PlannedBuild>,
    may_build: Vec<String>,
}

#[derive(Serialize)]
struct PlannedBuild {
    name: String,
    why: String,
}

fn dry_run(globals: &Globals, lowering: &Lowering, store: &Store, goals: &[Input], how: &BuildArgs) -> Exit {
    let (progress, stop) = (Progress::new(globals.ui()), Stop::default());
    let caches = Opener::new(globals, &stop)?.caches(&how.caches)?;
    let substituter = (!caches.is_empty()).then(|| Substituter::new(store, &caches, &progress, &stop));
    let knowledge = StoreKnowledge::new(store, &lowering.sources, how.level()).with_caches(substituter.as_ref());
    let mut planner = Planner::new(&lowering.lowered.graph, goals, &[], knowledge).map_err(BuildError::from)?;
    let mut planned = Planned::default();
    while let Some(step) = planner.next_step() {
        let outputs = match &step {
            Step::AddSource(path) => {
                planned.add.push(path.name().to_string());
                Some(BTreeMap::from([(OutputName::out(), path.clone())]))
            }
            Step::Substitute(substitute) => {
                let found = substitute.paths.iter().all(|path| substituter.as_ref().is_some_and(|caches| caches.finds(path)));
                if !found {
                    planner.substituted(&step).map_err(BuildError::from)?;
                    continue;
                }
                planned.pull.extend(substitute.paths.iter().map(|path| path.name().to_string()));
                Some(outputs_of(&planner, substitute))
            }
            Step::Realise(realise) => {
                let name = realise.resolved.name.to_string();
                match &realise.resolved.builder {
                    Builder::Fetch(_) => planned.fetch.push(name),
                    _ => planned.build.push(PlannedBuild { name, why: why(&realise.reason) }),
                }
                // A fetched file's path is known, so the plan can be followed beyond it.
                realise.node.derivation.known_path().map(|path| BTreeMap::from([(OutputName::out(), path)]))
            }
        };
        if let Some(outputs) = outputs {
            planner.finished(&step, outputs).map_err(BuildError::from)?;
        }
    }
    planned.may_build = planner.waiting().map(|node| node.derivation.name.to_string()).collect();
    globals.ui().print(&planned, render_plan)?;
    Ok(exit::OK)
}

/// What a derivation's outputs are known to be, or where a source object is.
fn outputs_of<K: Knowledge>(planner: &Planner<'_, K>, substitute: &Substitute) -> BTreeMap<OutputName, StorePath> {
    match &substitute.node {
        Some(node) => {
            let outputs = node.derivation.outputs.keys();
            outputs.filter_map(|output| Some((output.clone(), planner.known_output(&node.hash, output)?.clone()))).collect()
        }
        None => substitute.paths.iter().map(|path| (OutputName::out(), path.clone())).collect(),
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::NeverBuilt => "no build of it with these inputs is known".to_owned(),
        Reason::ObjectMissing(path) => format!("it was built, but {path} is no longer here"),
        Reason::Requested => "asked for".to_owned(),
    }
}

fn render_plan(planned: &Planned) -> String {
    let Planned { pull, fetch, add, build, may_build } = planned;
    if pull.is_empty() && fetch.is_empty() && add.is_empty() && build.is_empty() && may_build.is_empty() {
        return "nothing to do\n".to_owned();
    }
    let mut text = String::new();
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            text.push_str(&format!("{}\n", paint(YELLOW, format!("{title} ({})", rows.len()))));
            text.push_str(&table(&rows.into_iter().map(|row| [vec![String::new()], row].concat()).collect::<Vec<_>>()));
        }
    };
    let one = |name: &String| vec![name.clone()];
    section("would be pulled from a cache, with all they refer to", pull.iter().map(one).collect());
    section("would be fetched", fetch.iter().map(one).collect());
    section("would be copied from the project", add.iter().map(one).collect());
    section("would be built", build.iter().map(|build| vec![build.name.clone(), build.why.clone()]).collect());
    section("would be built, unless their inputs come out as before", may_build.iter().map(one).collect());
    text
}
