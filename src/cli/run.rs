//! `kiln run`: runs a function on the built runtime, in a sandbox.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use crate::build::outputs::{ROOT_MARK, ScratchLayout};
use crate::fsio::IoResultExt;
use crate::model::StorePath;
use crate::sandbox::{BUILD_PATH, Bind, HostIdentity, SandboxSpec, base_environment};
use crate::store::Store;

use super::Exit;
use super::build::{BuildArgs, goals, realise};
use super::failure::Failure;
use super::session::{self, Globals, ParamArgs};
use super::shell::run_with_input;

/// Run a function on the built runtime, inside a sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln run hello\n  kiln run echo --input 'some text'\n  kiln run echo < data.bin")]
pub struct Args {
    /// The function: NAME, or USER/NAME
    function: String,
    /// The function's input
    #[arg(long, value_name = "TEXT", conflicts_with = "input_file")]
    input: Option<String>,
    /// A file with the function's input [default: what is piped into kiln]
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// Call this entry, with the input as its argument, instead of `faasm_main`
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The target that is the runtime; a target RUNTIME.compiled beside it is its program, compiled ahead
    #[arg(long, value_name = "TARGET", default_value = "runtime")]
    runtime: String,
    /// The target whose `bin/run-function` drives it
    #[arg(long, value_name = "TARGET", default_value = "runner")]
    runner: String,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    how: BuildArgs,
}

/// Runs the command; its exit code is the function's.
///
/// # Errors
/// If runtime or runner cannot be built, or the sandbox cannot be entered.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let evaluation = session::evaluate(globals, &args.params)?;
    let compiled = format!("{}.compiled", args.runtime);
    let compiled = evaluation.evaluated.targets.contains_key(&compiled).then_some(compiled);
    let targets: Vec<String> = [args.runtime.clone(), args.runner.clone()].into_iter().chain(compiled).collect();
    let lowering = session::lower_evaluated(evaluation, &targets)?;
    let store = globals.open_store()?;
    let report = realise(globals, &lowering, &store, &goals(&lowering, &targets), &[], &args.how)?;
    let outputs: Option<Vec<StorePath>> = report.outputs.into_iter().collect();
    let Some([runtime, runner, compiled @ ..]) = outputs.as_deref() else {
        return Err(Failure::new("the runtime or its runner is missing"));
    };
    let scratch = store.new_scratch()?;
    let layout = ScratchLayout::below(scratch.path());
    layout.create()?;
    let stdin = input(args)?;
    run_with_input(&spec(&store, args, [runtime, runner], compiled.first(), layout)?, stdin)
}

/// What the function reads: the text or file that was named, else what is piped into kiln.
fn input(args: &Args) -> Result<OwnedFd, Failure> {
    if let Some(text) = &args.input {
        let mut file = tempfile::tempfile().at("create a file for", "the input")?;
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).at("write", "the input")?;
        return Ok(file.into());
    }
    let stdin = std::io::stdin();
    match &args.input_file {
        Some(path) if path.as_os_str() != "-" => Ok(File::open(path).at("open", path)?.into()),
        None if stdin.is_terminal() => Ok(File::open("/dev/null").at("open", "/dev/null")?.into()),
        _ => Ok(stdin.as_fd().try_clone_to_owned().at("copy", "standard input")?),
    }
}

fn spec(
    store: &Store,
    args: &Args,
    [runtime, runner]: [&StorePath; 2],
    compiled: Option<&StorePath>,
    layout: ScratchLayout,
) -> Result<SandboxSpec, Failure> {
    let root = root_of(store, runner)?;
    let env = base_environment(1, &root);
    let mut argv = vec![format!("{runner}/bin/run-function"), runtime.to_string(), args.function.clone()];
    if let Some(entry) = &args.entry {
        argv.extend(["--entry".to_owned(), entry.clone()]);
    }
    if let Some(compiled) = compiled {
        argv.extend(["--compiled".to_owned(), compiled.to_string()]);
    }
    let closure = store.closure([runtime, runner].into_iter().chain(compiled))?;
    Ok(SandboxSpec {
        root: store.physical(&root),
        binds: closure.iter().map(|path| Bind::object(store.physical(path), path)).collect(),
        store_dir: layout.store,
        build_dir: layout.build,
        tmp_dir: layout.tmp,
        script: None,
        argv,
        env,
        cwd: PathBuf::from(BUILD_PATH),
        level: crate::model::SandboxLevel::Strict,
        host: HostIdentity::for_this_process(),
        limits: args.how.options()?.limits,
        terminal: false,
    })
}

/// The root that the runner says it needs.
fn root_of(store: &Store, runner: &StorePath) -> Result<StorePath, Failure> {
    let mark = store.physical(runner).join(ROOT_MARK);
    let text = fs::read_to_string(&mark).at("read", &mark)?;
    text.trim_end().parse().map_err(|error| Failure::new(format!("`{}` does not name a root: {error}", mark.display())))
}
