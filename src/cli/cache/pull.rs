//! `kiln cache pull`: targets or objects from a cache. Nothing is built or fetched elsewhere.

use std::time::Instant;

use serde::Serialize;

use crate::build::Stop;
use crate::cache::{CacheSet, Pulled, Puller};
use crate::cli::failure::Failure;
use crate::cli::session::{self, Globals, ParamArgs};
use crate::cli::ui::{DIM, GREEN, bytes, paint};
use crate::cli::{Exit, exit, signals};
use crate::model::StorePath;
use crate::store::Store;

use super::ask;
use super::open::{Opener, TrustArgs};
use super::progress::Transfer;

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Targets, or whole store paths
    #[arg(value_name = "TARGET|OBJECT", required = true)]
    what: Vec<String>,
    /// The cache; may be repeated [default: those of kiln.toml]
    #[arg(long, value_name = "URL")]
    from: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    params: ParamArgs,
}

#[derive(Serialize)]
struct Outcome {
    paths: Vec<StorePath>,
    #[serde(flatten)]
    pulled: Pulled,
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// If something is in no cache, or nobody who is trusted says what a target is.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let start = Instant::now();
    let store = globals.open_store()?;
    let stop = signals::stop();
    let caches = Opener::new(globals, &stop)?.sources(&args.from, &args.trust)?;
    if caches.is_empty() {
        return Err(
            Failure::request("there is no cache to pull from").hint("`--from URL` names one, and so does a `[[cache]]` in kiln.toml")
        );
    }
    let find = |text: &String| object(globals, args, &store, &caches, &stop, text);
    let paths = args.what.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let progress = Transfer::new(globals.ui(), "pulling");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let puller = Puller::new(&store, &caches, (2 * cores).clamp(4, 16), stop.as_flag());
    let pulled = puller.pull(&paths, &|event| progress.pull(event))?;
    drop(progress);
    let outcome = Outcome { paths, pulled, seconds: start.elapsed().as_secs_f64() };
    globals.ui().print(&outcome, |outcome| outcome.paths.iter().map(|path| format!("{}\n", store.physical(path).display())).collect())?;
    let text = format!("{} pulled ({} received)", pulled.objects, bytes(pulled.received));
    globals.ui().note(format!("{} {}", paint(GREEN, text), paint(DIM, format!("in {:.1} s", outcome.seconds))));
    Ok(exit::OK)
}

/// The object that a person means: a store path, or what trusted keys say that a target is.
fn object(globals: &Globals, args: &Args, store: &Store, caches: &CacheSet, stop: &Stop, text: &str) -> Result<StorePath, Failure> {
    if let Ok(path) = text.parse().or_else(|_| StorePath::from_base_name(text)) {
        return Ok(path);
    }
    let found = session::find(globals, &args.params, text)?;
    let unknown = match ask::output(globals, store, &found, caches, stop)? {
        Ok(path) => return Ok(path),
        Err(unknown) => unknown,
    };
    let reason = if unknown.is_empty() { unknown } else { format!(": `{unknown}` with these inputs is unknown to them") };
    let failure = Failure::new(format!("no trusted key in these caches says what `{text}` is{reason}"));
    Err(failure.hint("`--trusted-key NAME:KEY` says whom to believe; `kiln build --cache URL` builds what is missing"))
}
