//! Where steps are carried out: everything a worker thread needs, and what it does with one step.
//!
//! In: a [`Step`] whose inputs are all in the store. Out: [`Finished`], staged but not registered, or a [`StepFailure`]. One step runs on one
//! thread; the lock on its resolved derivation keeps other processes from doing the same work.
//!
//! Not here: the sandbox of a script (`script`), and what is kept of a result (`keep`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use crate::cache::Pulled;
use crate::fsio::{RangeLock, is_disk_full};
use crate::model::{Builder, DerivationHash, OutputName, PathInfo, SandboxLevel, StorePath};
use crate::sandbox::Limits;
use crate::store::{OutputTree, Registration, ScratchDir, Staged, Store, StoreError};

use super::builtin::{self, BuiltinInput, BuiltinJob};
use super::download::{Wanted, download};
use super::error::{StepError, StepFailure};
use super::event::{Event, Outcome, Reporter, StepId, Work};
use super::fetch::{Fetcher, Progress};
use super::outputs::ScratchLayout;
use super::plan::{Realise, Reason, Step, Substitute};
use super::record::{Evidence, Stopwatch};
use super::source::Sources;
use super::stop::{LOOK, Stop};
use super::substitute::Substituter;

/// How to build.
#[derive(Clone, Debug)]
pub struct Options {
    /// Builders that run at once.
    pub jobs: usize,
    /// Cores that each is told to use (`KILN_CORES`).
    pub cores: usize,
    /// Whether steps that do not need a failed one still run.
    pub keep_going: bool,
    /// Seconds a builder may take, in place of what its recipe says.
    pub timeout: Option<u64>,
    /// Seconds a builder may print nothing, in place of what its recipe says.
    pub silence: Option<u64>,
    /// How well builds must be sealed.
    pub level: SandboxLevel,
    /// What one builder may use up.
    pub limits: Limits,
    /// Ends the build when requested.
    pub stop: Stop,
}

/// Everything a worker needs.
pub struct Workshop<'a> {
    /// The store.
    pub store: &'a Store,
    /// The project's sources.
    pub sources: &'a Sources,
    /// Makes a fetcher when the first file must be fetched: reading the machine's configuration costs time.
    pub fetcher: &'a (dyn Fn() -> Fetcher + Sync),
    /// Hears what happens.
    pub reporter: &'a dyn Reporter,
    /// How to build.
    pub options: &'a Options,
    /// Caches that may have what is wanted.
    pub substituter: Option<&'a Substituter<'a>>,
    made_fetcher: OnceLock<Arc<Fetcher>>,
    /// Objects of this run that may not be registered yet.
    staged: RwLock<HashMap<StorePath, PathInfo>>,
}

/// A step that ended well.
#[derive(Debug)]
pub struct Finished {
    /// What it came out as.
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// What is to be registered.
    pub registration: Registration,
    /// Whether it ran.
    pub outcome: Outcome,
    /// Keeps other processes from building the same; to be let go when it is registered, since only then can they see it.
    pub lock: Option<RangeLock>,
    /// What came from caches.
    pub pulled: Pulled,
}

impl<'a> Workshop<'a> {
    /// A workshop.
    pub fn new(
        store: &'a Store,
        sources: &'a Sources,
        fetcher: &'a (dyn Fn() -> Fetcher + Sync),
        reporter: &'a dyn Reporter,
        options: &'a Options,
    ) -> Self {
        let (made_fetcher, staged) = (OnceLock::new(), RwLock::default());
        Self { store, sources, fetcher, reporter, options, substituter: None, made_fetcher, staged }
    }

    /// The same, with caches.
    #[must_use]
    pub fn with_caches(self, substituter: Option<&'a Substituter<'a>>) -> Self {
        Self { substituter, ..self }
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, id: StepId, step: &Step, waiting: usize) -> Result<Finished, Box<StepFailure>> {
        let (name, work, reason) = describe(step);
        let started = || self.reporter.report(&Event::Started { id, name, work, reason, waiting });
        // Whether there is anything to pull is found out first.
        if work != Work::Pull {
            started();
        }
        let start = Instant::now();
        let result = match step {
            Step::AddSource(path) => self.add_source(path).map_err(|error| failure(step, error)),
            Step::Realise(realise) => self.realise(id, step, realise),
            Step::Substitute(substitute) => self.substitute(id, substitute, &started).map_err(|error| failure(step, error)),
        };
        match &result {
            Ok(finished) => self.reporter.report(&Event::Finished { id, outcome: finished.outcome, duration: start.elapsed() }),
            Err(failure) => self.reporter.report(&Event::Failed { id, failure }),
        }
        result
    }

    /// What became of a step whose worker panicked: its sandbox and its locks are gone with the worker's stack.
    pub fn panicked(&self, id: StepId, step: &Step, panic: &(dyn std::any::Any + Send)) -> Box<StepFailure> {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let failure = failure(step, StepError::Panicked(text.unwrap_or("no reason given").to_owned()));
        self.reporter.report(&Event::Failed { id, failure: &failure });
        failure
    }

    /// The closure of `paths` among valid and staged objects.
    ///
    /// # Errors
    /// If one of them is neither.
    pub fn closure<'p>(&self, paths: impl IntoIterator<Item = &'p StorePath>) -> Result<Vec<StorePath>, StoreError> {
        self.store.closure_with(paths, &self.staged.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note_staged(&self, objects: &[Staged]) {
        let mut staged = self.staged.write().unwrap_or_else(PoisonError::into_inner);
        staged.extend(objects.iter().map(|object| (object.info.path.clone(), object.info.clone())));
    }

    /// Takes objects from caches; whether they came is for the planner to see.
    fn substitute(&self, id: StepId, substitute: &Substitute, started: &(dyn Fn() + Sync)) -> Result<Finished, StepError> {
        let received = |bytes| self.reporter.report(&Event::Received { id, bytes, total: None });
        let pulled = match self.substituter {
            Some(substituter) => substituter.pull(&substitute.paths, started, &received)?,
            None => None,
        };
        let history = || self.substituter.map(|substituter| substituter.history(substitute)).unwrap_or_default();
        Ok(Finished {
            outputs: BTreeMap::new(),
            registration: pulled.map(|_| history()).unwrap_or_default(),
            outcome: if pulled.is_some() { Outcome::Done } else { Outcome::Elsewhere },
            lock: None,
            pulled: pulled.unwrap_or_default(),
        })
    }

    fn add_source(&self, path: &StorePath) -> Result<Finished, StepError> {
        let staged = self.sources.stage(path, self.store)?;
        self.note_staged(std::slice::from_ref(&staged));
        Ok(Finished {
            outputs: BTreeMap::from([(OutputName::out(), path.clone())]),
            registration: Registration { objects: vec![staged], ..Registration::default() },
            outcome: Outcome::Done,
            lock: None,
            pulled: Pulled::default(),
        })
    }

    fn realise(&self, id: StepId, step: &Step, realise: &Realise) -> Result<Finished, Box<StepFailure>> {
        let fail = |error: StepError| failure(step, error);
        let lock = self.lock(id, &realise.resolved_hash).map_err(fail)?;
        if let Some(outputs) = self.made_meanwhile(realise).map_err(|error| fail(error.into()))? {
            return Ok(Finished {
                outputs,
                registration: Registration::default(),
                outcome: Outcome::Found,
                lock: None,
                pulled: Pulled::default(),
            });
        }
        let finished = match &realise.resolved.builder {
            Builder::Fetch(fetch) => self.fetch(id, realise, fetch).map_err(fail),
            Builder::Builtin(builtin) => {
                let scratch = self.store.new_scratch().map_err(|error| fail(error.into()))?;
                let timer = Stopwatch::start();
                let trees = self.run_builtin(realise, builtin, &scratch).map_err(fail)?;
                self.keep(realise, trees, &timer, &Evidence::default()).map_err(fail)
            }
            Builder::Script(script) => self.realise_script(id, step, realise, script),
        }?;
        Ok(Finished { lock: Some(lock), ..finished })
    }

    /// Waits until no other process is at this derivation.
    fn lock(&self, id: StepId, resolved: &DerivationHash) -> Result<RangeLock, StepError> {
        let path = self.store.dir().join("locks/builds");
        let mut key = [0u8; 8];
        key.copy_from_slice(&resolved.0.as_bytes()[..8]);
        let mut told = false;
        loop {
            if let Some(lock) = RangeLock::try_take(&path, u64::from_le_bytes(key))? {
                return Ok(lock);
            }
            if !std::mem::replace(&mut told, true) {
                self.reporter.report(&Event::Blocked { id });
            }
            if self.options.stop.is_requested() {
                return Err(StepError::Stopped);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What another process, or the user, has put into the store since the plan was made.
    fn made_meanwhile(&self, realise: &Realise) -> Result<Option<BTreeMap<OutputName, StorePath>>, StoreError> {
        if realise.reason == Reason::Requested {
            return Ok(None);
        }
        if let Some(path) = realise.node.derivation.known_path() {
            let found = !self.store.hold([&path])?.is_empty();
            return Ok(found.then(|| BTreeMap::from([(OutputName::out(), path)])));
        }
        for stored in self.store.traces_for(&realise.resolved_hash)? {
            let usable = stored.present && stored.trace.level >= self.options.level;
            if usable && self.store.hold(stored.trace.outputs.values())?.len() == stored.trace.outputs.len() {
                return Ok(Some(stored.trace.outputs));
            }
        }
        Ok(None)
    }

    fn fetch(&self, id: StepId, realise: &Realise, fetch: &crate::model::Fetch) -> Result<Finished, StepError> {
        let source = realise.node.hints.fetch.as_ref().ok_or(StepError::NowhereToFetch)?;
        let fetcher = self.made_fetcher.get_or_init(|| Arc::new((self.fetcher)()));
        let name = &realise.resolved.name;
        let scratch = self.store.new_scratch()?;
        let file = scratch.path().join("file");
        let wanted = Wanted { source: source.clone(), name: name.to_string(), sha256: fetch.sha256 };
        download(fetcher, wanted, &file, &self.options.stop, |progress| {
            if let Progress::Received { bytes, total } = progress {
                self.reporter.report(&Event::Received { id, bytes, total });
            }
        })?;
        let staged = self.store.stage_flat(file, name.clone(), &fetch.sha256)?;
        self.note_staged(std::slice::from_ref(&staged));
        Ok(Finished {
            outputs: BTreeMap::from([(OutputName::out(), staged.info.path.clone())]),
            registration: Registration { objects: vec![staged], ..Registration::default() },
            outcome: Outcome::Done,
            lock: None,
            pulled: Pulled::default(),
        })
    }

    fn run_builtin(
        &self,
        realise: &Realise,
        builtin: &crate::model::BuiltinBuilder,
        scratch: &ScratchDir,
    ) -> Result<Vec<OutputTree>, StepError> {
        let physical = |path: &StorePath| BuiltinInput { logical: path.clone(), physical: self.store.physical(path) };
        let inputs = realise.resolved.inputs.iter().map(|(label, path)| (label.clone(), physical(path))).collect();
        let out = scratch.path().join("out");
        builtin::run(&BuiltinJob { kind: &builtin.kind, arguments: &builtin.arguments, inputs: &inputs, out: &out })?;
        // The tree outlives the scratch directory only once it is staged, so it is moved next to where staging expects it.
        Ok(vec![OutputTree { tree: out, name: realise.resolved.name.clone(), scratch: None }])
    }

    fn realise_script(
        &self,
        id: StepId,
        step: &Step,
        realise: &Realise,
        script: &crate::model::ScriptBuilder<StorePath>,
    ) -> Result<Finished, Box<StepFailure>> {
        let fail = |error: StepError| failure(step, error);
        let here = crate::build::system();
        if realise.resolved.system != here {
            return Err(fail(StepError::OtherSystem { wanted: realise.resolved.system.clone(), here }));
        }
        let closure = self.closure(realise.resolved.all_inputs()).map_err(|error| fail(error.into()))?;
        let scratch = self.store.new_scratch().map_err(|error| fail(error.into()))?;
        let timer = Stopwatch::start();
        let run = self.run_script(id, realise, script, &closure, &scratch).map_err(fail)?;
        let mut evidence = Evidence { exit: run.exit, log: None };
        // What fills the disk is this build's own. It is not worth more than the log, the record, and whatever comes next.
        let has_filled_disk = |error: &StepError| !matches!(error, StepError::Stopped) && (is_disk_full(error) || self.store.is_full());
        let make_room = |scratch: &ScratchDir| ScratchLayout::ENTRIES.iter().for_each(|entry| scratch.remove(entry));
        let mut disk_full = run.result.as_ref().is_err_and(has_filled_disk);
        if disk_full {
            make_room(&scratch);
        }
        let kept = self.keep_log(realise, run.log).and_then(|log| {
            evidence.log = log;
            self.keep(realise, run.result?, &timer, &evidence)
        });
        kept.map_err(|error| {
            // The next build of the same derivation would fail too, so what it left is worth a look.
            let stopped = matches!(error, StepError::Stopped);
            if !disk_full && has_filled_disk(&error) {
                disk_full = true;
                make_room(&scratch);
            }
            self.record_failure(realise, &error, &timer, &evidence);
            let kept = !stopped && !disk_full && self.store.keep_failed(scratch, &realise.node.hash.to_string()).is_ok();
            Box::new(StepFailure { tail: run.tail, kept, disk_full, ..*failure(step, error) })
        })
    }
}

fn describe(step: &Step) -> (&str, Work, Option<&Reason>) {
    match step {
        Step::AddSource(path) => (path.name().as_str(), Work::AddSource, None),
        Step::Substitute(substitute) => {
            let of_node = substitute.node.as_ref().map(|node| node.derivation.name.as_str());
            (of_node.or(substitute.paths.first().map(|path| path.name().as_str())).unwrap_or_default(), Work::Pull, None)
        }
        Step::Realise(realise) => {
            let work = match &realise.resolved.builder {
                Builder::Script(_) => Work::Build,
                Builder::Builtin(_) => Work::Builtin,
                Builder::Fetch(_) => Work::Fetch,
            };
            (realise.resolved.name.as_str(), work, Some(&realise.reason))
        }
    }
}

fn failure(step: &Step, error: StepError) -> Box<StepFailure> {
    let (name, ..) = describe(step);
    let node = match step {
        Step::Realise(realise) => Some(&realise.node),
        Step::Substitute(substitute) => substitute.node.as_ref(),
        Step::AddSource(_) => None,
    };
    Box::new(StepFailure {
        name: name.to_owned(),
        derivation: node.map(|node| node.hash),
        span: node.and_then(|node| node.hints.span.clone()),
        error,
        tail: Vec::new(),
        kept: false,
        disk_full: false,
    })
}
