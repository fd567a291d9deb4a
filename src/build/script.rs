//! A script derivation: its sandbox as plain data, its run, and what is kept of it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::fsio::IoResultExt;
use crate::model::{OutputName, ScriptBuilder, StorePath};
use crate::sandbox::{BUILD_PATH, Bind, HostIdentity, SCRIPT_PATH, SandboxExit, SandboxSpec, Stdio3, base_environment, spawn};
use crate::store::{OutputTree, ScratchDir};

use super::error::StepError;
use super::event::{Event, StepId};
use super::log::LogWriter;
use super::outputs::{ScratchLayout, check_input_roots, collect, remove_mount_points, scratch_paths};
use super::plan::Realise;
use super::supervise::{TimeLimits, supervise};
use super::workshop::Workshop;

/// A run of a builder, whatever came of it.
pub(super) struct Run {
    /// The outputs, or why there are none.
    pub(super) result: Result<Vec<OutputTree>, StepError>,
    /// How the sandbox ended, if it was entered.
    pub(super) exit: Option<SandboxExit>,
    /// The last lines that the builder printed.
    pub(super) tail: Vec<String>,
    /// The log, in the scratch directory; none if the builder printed nothing.
    pub(super) log: Option<PathBuf>,
}

impl Workshop<'_> {
    /// Runs a script in its sandbox, below `scratch`. `closure` is what the builder may see.
    ///
    /// # Errors
    /// If the sandbox cannot be prepared. How the builder fared is in the [`Run`].
    pub(super) fn run_script(
        &self,
        id: StepId,
        step: &Realise,
        script: &ScriptBuilder<StorePath>,
        closure: &[StorePath],
        scratch: &ScratchDir,
    ) -> Result<Run, StepError> {
        check_input_roots(self.store, &step.resolved.inputs, &script.root)?;
        let layout = ScratchLayout::below(scratch.path());
        layout.create()?;
        let outputs = scratch_paths(&step.resolved)?;
        let spec = self.sandbox_spec(step, script, closure, &outputs, &layout)?;
        let (reader, writer) = std::io::pipe().at("make a pipe for", "the builder's output")?;
        let errors: OwnedFd = writer.try_clone().at("make a pipe for", "the builder's output")?.into();
        let sandbox = spawn(&spec, Stdio3 { stdin: None, stdout: writer.into(), stderr: errors })?;
        let mut log = LogWriter::new(&layout.log);
        let hints = &step.node.hints;
        let limits = TimeLimits { total: self.options.timeout.or(hints.timeout), silence: self.options.silence.or(hints.silence) };
        let mut on_line = |text: &str| self.reporter.report(&Event::Line { id, text });
        let reader = std::fs::File::from(OwnedFd::from(reader));
        let exit = supervise(sandbox, reader, &mut log, limits, &self.options.stop, &mut on_line);
        let log = log.finish(&mut on_line)?;
        remove_mount_points(&layout.store, closure);
        let (result, exit) = match exit {
            Ok(exit) => (judge(&exit, &layout, &outputs), Some(exit)),
            Err(error) => (Err(error), None),
        };
        Ok(Run { result, exit, tail: log.tail, log: log.file })
    }

    /// The sandbox of a step: data only. Also used to enter it by hand.
    ///
    /// # Errors
    /// If the root is no directory.
    pub fn sandbox_spec(
        &self,
        step: &Realise,
        script: &ScriptBuilder<StorePath>,
        closure: &[StorePath],
        outputs: &BTreeMap<OutputName, StorePath>,
        layout: &ScratchLayout,
    ) -> Result<SandboxSpec, StepError> {
        let root = self.store.physical(&script.root);
        if !root.is_dir() {
            return Err(StepError::RootIsNoDirectory(script.root.clone()));
        }
        let mut env = base_environment(self.options.cores, &script.root);
        env.extend(script.env.clone());
        env.extend(step.resolved.inputs.iter().map(|(label, path)| (label.to_string(), path.to_string())));
        env.extend(outputs.iter().map(|(output, path)| (output.to_string(), path.to_string())));
        let mut argv = script.interpreter.clone();
        argv.push(SCRIPT_PATH.to_owned());
        Ok(SandboxSpec {
            root,
            binds: closure.iter().map(|path| Bind::object(self.store.physical(path), path)).collect(),
            store_dir: layout.store.clone(),
            build_dir: layout.build.clone(),
            tmp_dir: layout.tmp.clone(),
            script: Some(script.script.clone()),
            argv,
            env,
            cwd: PathBuf::from(BUILD_PATH),
            level: self.options.level,
            host: HostIdentity::for_this_process(),
            limits: self.options.limits,
            terminal: false,
        })
    }
}

fn judge(exit: &SandboxExit, layout: &ScratchLayout, outputs: &BTreeMap<OutputName, StorePath>) -> Result<Vec<OutputTree>, StepError> {
    if let Some(signal) = exit.signal {
        return Err(StepError::Signal(signal));
    }
    if !exit.success() {
        return Err(StepError::ExitCode(exit.code.unwrap_or(-1)));
    }
    collect(&layout.store, outputs)
}
