//! `kiln shell`: the very sandbox of a build, entered by hand.

use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use crate::build::event::Silent;
use crate::build::outputs::{ScratchLayout, scratch_paths};
use crate::build::plan::{Realise, Reason};
use crate::build::stop::LOOK;
use crate::build::{Options, Workshop};
use crate::fsio::IoResultExt;
use crate::model::{Builder, Input, Node, ResolvedDerivation, ScriptBuilder, StorePath};
use crate::sandbox::{SCRIPT_PATH, SandboxExit, SandboxSpec, Stdio3, run_at_terminal, spawn};
use crate::store::Store;

use super::build::{BuildArgs, realise};
use super::failure::Failure;
use super::session::{self, Globals, Lowering, ParamArgs};
use super::{Exit, exit, signals};

/// Open the sandbox of a build
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln shell libpython\n  kiln shell --failed libpython\n  kiln shell libpython -- sh -eu /kiln/script")]
pub struct Args {
    /// A target, or the name of a derivation that it needs
    target: String,
    /// As its last failed build left it
    #[arg(long)]
    failed: bool,
    /// What to run [default: /bin/bash or /bin/sh]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    how: BuildArgs,
}

/// Runs the command.
///
/// # Errors
/// If an input cannot be built, or the sandbox cannot be entered.
pub fn run(globals: &Globals, args: &Args) -> Exit {
    let found = session::find(globals, &args.params, &args.target)?;
    let node = session::node(&found.lowering.lowered.graph, &found.derivation)?.clone();
    let Builder::Script(_) = &node.derivation.builder else {
        return Err(Failure::request(format!("`{}` is not made by a script, so it has no sandbox", args.target)));
    };
    let store = globals.open_store()?;
    let resolved = resolve(globals, &found.lowering, &store, &node, &args.how)?;
    let options = args.how.options()?;
    enter(globals, args, &found.lowering, &store, node, resolved, &options)
}

/// Builds the inputs, so that the sandbox can show them.
fn resolve(globals: &Globals, lowering: &Lowering, store: &Store, node: &Node, how: &BuildArgs) -> Result<ResolvedDerivation, Failure> {
    let inputs: Vec<Input> = node.derivation.all_inputs().cloned().collect();
    let mut outputs = realise(globals, lowering, store, &inputs, &[], how)?.outputs.into_iter();
    let next = |_: &Input| outputs.next().flatten().ok_or_else(|| Failure::new(format!("an input of {} is missing", node.derivation.name)));
    node.derivation.map_inputs(next)
}

fn enter(
    globals: &Globals,
    args: &Args,
    lowering: &Lowering,
    store: &Store,
    node: Node,
    resolved: ResolvedDerivation,
    options: &Options,
) -> Exit {
    let Builder::Script(script) = resolved.builder.clone() else { return Ok(exit::OK) };
    // Held until the sandbox has ended.
    let kept = if args.failed { store.kept_failed(&node.hash.to_string())? } else { None };
    let scratch = store.new_scratch()?;
    let layout = match (args.failed, &kept) {
        (true, Some(kept)) => ScratchLayout::below(kept.path()),
        (true, None) => {
            return Err(Failure::request(format!("no failed build of {} is kept", node.derivation.name))
                .hint("a kept build goes away with `kiln gc`; leave `--failed` out to enter a fresh sandbox"));
        }
        (false, _) => {
            let layout = ScratchLayout::below(scratch.path());
            layout.create()?;
            layout
        }
    };
    let resolved_hash = resolved.hash().map_err(Failure::new)?;
    let step = Realise { node: node.into(), resolved, resolved_hash, reason: Reason::Requested, leaves: Vec::new(), known: None };
    let no_fetcher = || unreachable!("nothing is fetched to enter a sandbox");
    let workshop = Workshop::new(store, &lowering.sources, &no_fetcher, &Silent, options);
    let closure = workshop.closure(step.resolved.all_inputs())?;
    if args.failed {
        remove_mount_points(&layout.store, &closure)?;
    }
    let mut spec = workshop.sandbox_spec(&step, &script, &closure, &scratch_paths(&step.resolved)?, &layout)?;
    spec.argv = if args.command.is_empty() { vec![shell_of(store, &script)] } else { args.command.clone() };
    globals.ui().note(format!("the build's script is {SCRIPT_PATH}; leave with `exit`"));
    run_here(&spec)
}

/// A sandbox makes its mount points itself; a kept one still has those of the build.
fn remove_mount_points(dir: &Path, closure: &[StorePath]) -> Result<(), Failure> {
    for object in closure {
        let point = dir.join(object.base_name());
        let removed = match point.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => std::fs::remove_dir(&point),
            Ok(_) => std::fs::remove_file(&point),
            Err(_) => continue,
        };
        removed.at("remove the mount point", &point)?;
    }
    Ok(())
}

fn shell_of(store: &Store, script: &ScriptBuilder<StorePath>) -> String {
    let root = store.physical(&script.root);
    let bash = ["bin/bash", "usr/bin/bash"].iter().any(|place| Path::new(&root).join(place).exists());
    if bash { "/bin/bash".to_owned() } else { "/bin/sh".to_owned() }
}

/// Runs a sandbox here: at this terminal, or with standard input as it is. Gives its exit code.
fn run_here(spec: &SandboxSpec) -> Exit {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let stop = signals::stop();
        let ended = run_at_terminal(spec, stop.as_flag(), spawn)?;
        return if stop.is_requested() { Err(signals::stopped()) } else { Ok(exit_code(&ended)) };
    }
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().at("copy", "standard input")?;
    run_with_input(spec, stdin)
}

/// Runs a sandbox that reads `stdin` and writes to where kiln does; gives its exit code.
///
/// # Errors
/// If it cannot be entered.
pub fn run_with_input(spec: &SandboxSpec, stdin: OwnedFd) -> Exit {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().at("copy", "standard output")?;
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().at("copy", "standard error")?;
    let stop = signals::stop();
    let mut running = spawn(spec, Stdio3 { stdin: Some(stdin), stdout, stderr })?;
    while !running.ended_within(LOOK)? {
        if stop.is_requested() {
            running.kill();
            running.wait()?;
            return Err(signals::stopped());
        }
    }
    Ok(exit_code(&running.wait()?))
}

/// The exit code for a command that ended in a sandbox; for a signal 128 and its number, as shells have it.
fn exit_code(ended: &SandboxExit) -> u8 {
    let code = ended.code.or_else(|| ended.signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILED)
}
