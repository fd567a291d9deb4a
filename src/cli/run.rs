//! `kiln run`: runs a function on the built runtime, in a sandbox.

use std::fs::{self, File};
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
use super::shell::run_here;

/// Run a function on the built runtime, inside a sandbox
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln run hello\n  kiln run echo --input 'some text'\n  kiln run echo --input-file data.bin")]
pub struct Args {
    /// The function: NAME, or USER/NAME
    function: String,
    /// The function's input
    #[arg(long, value_name = "TEXT", conflicts_with = "input_file")]
    input: Option<String>,
    /// A file with the function's input; `-` is standard input
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// Call this entry, with the input as its argument, instead of `faasm_main`
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The target that is the runtime
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

/// What the sandbox runs: standard input of a sandbox is closed, so the function's input comes from a file.
const COMMAND: &str = r#"exec "$runner/bin/run-function" "$runtime" "$@" < /build/input"#;

/// Runs the command; its exit code is the function's.
///
/// # Errors
/// If runtime or runner cannot be built, or the sandbox cannot be entered.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let targets = [args.runtime.clone(), args.runner.clone()];
    let lowering = session::lower(globals, &args.params, &targets)?;
    let store = globals.open_store()?;
    let report = realise(globals, &lowering, &store, &goals(&lowering, &targets), &[], &args.how)?;
    let [Some(runtime), Some(runner)] = report.outputs.as_slice() else {
        return Err(Failure::new("the runtime or its runner is missing"));
    };
    let scratch = store.new_scratch()?;
    let layout = ScratchLayout::below(scratch.path());
    layout.create()?;
    write_input(args, &layout)?;
    let mut spec = spec(&store, args, runtime, runner, layout)?;
    run_here(&mut spec)
}

fn write_input(args: &Args, layout: &ScratchLayout) -> Result<(), Failure> {
    let path = layout.build.join("input");
    let mut file = File::create(&path).at("create", &path)?;
    match (&args.input, &args.input_file) {
        (Some(text), _) => fs::write(&path, text).at("write", &path)?,
        (None, Some(from)) if from.as_os_str() == "-" => {
            std::io::copy(&mut std::io::stdin().lock(), &mut file).at("read", "standard input")?;
        }
        (None, Some(from)) => {
            let mut from_file = File::open(from).at("open", from)?;
            std::io::copy(&mut from_file, &mut file).at("copy", from)?;
        }
        (None, None) => {}
    }
    Ok(())
}

fn spec(store: &Store, args: &Args, runtime: &StorePath, runner: &StorePath, layout: ScratchLayout) -> Result<SandboxSpec, Failure> {
    let root = root_of(store, runner)?;
    let mut env = base_environment(1, &root);
    env.insert("runtime".to_owned(), runtime.to_string());
    env.insert("runner".to_owned(), runner.to_string());
    let mut argv: Vec<String> = ["/bin/sh", "-euc", COMMAND, "run-function", &args.function].map(str::to_owned).into();
    if let Some(entry) = &args.entry {
        argv.extend(["--entry".to_owned(), entry.clone()]);
    }
    let closure = store.closure([runtime, runner])?;
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
