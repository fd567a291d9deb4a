//! Carries out a plan: hands ready steps to worker threads, tells the planner what came of them, and registers results as they come.
//!
//! Two kinds of work have threads of their own, so that neither waits for the other: builders (`jobs` threads) and transfers (a fixed number).
//! Threads are started when there is work for them; a build that has nothing to do starts none.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use crate::cache::Pulled;
use crate::model::{DerivationGraph, DerivationHash, Input, StorePath};

use super::compare::{Difference, compare_outputs};
use super::error::{BuildError, StepFailure};
use super::event::{Event, Outcome, StepId};
use super::knowledge::StoreKnowledge;
use super::plan::{Planner, Realise, Step, is_transfer};
use super::registrar::Registrar;
use super::substitute::Disagreement;
use super::workshop::{Finished, Workshop};
use crate::store::Registration;

/// Downloads and copies that run at once.
const TRANSFERS: usize = 8;

/// Bytes of a worker's stack: trees are walked to their full depth on it.
const STACK: usize = 8 << 20;

/// What came of a build.
#[derive(Debug, Default)]
pub struct Report {
    /// Where each goal came out, in the order of the goals; none if it did not.
    pub outputs: Vec<Option<StorePath>>,
    /// Derivations built, by name, in the order in which they ended.
    pub built: Vec<String>,
    /// Files fetched.
    pub fetched: usize,
    /// Steps that failed.
    pub failures: Vec<StepFailure>,
    /// Derivations that were not tried because something they need failed.
    pub blocked: Vec<String>,
    /// Outputs that came out otherwise than before.
    pub differences: Vec<Difference>,
    /// Valid objects that were damaged or missing, and have the right bytes again.
    pub mended: Vec<StorePath>,
    /// What came from caches.
    pub pulled: Pulled,
    /// Builds about which trusted keys say different things.
    pub disagreements: Vec<Disagreement>,
}

/// Builds the goals; those derivations that are in `forced` are built even if they are there.
///
/// # Errors
/// If the store cannot be read or written. Steps that fail are in the [`Report`].
pub fn build(workshop: &Workshop<'_>, graph: &DerivationGraph, goals: &[Input], forced: &[DerivationHash]) -> Result<Report, BuildError> {
    let knowledge = StoreKnowledge::new(workshop.store, workshop.sources, workshop.options.level).with_caches(workshop.substituter);
    let planner = Planner::new(graph, goals, forced, knowledge)?;
    std::thread::scope(|scope| {
        let mut schedule = Schedule::new(scope, workshop, planner);
        let outcome = schedule.run();
        schedule.finish(goals, outcome)
    })
}

type Job = (StepId, Step, usize);
type Answer = (Step, Result<Finished, Box<StepFailure>>);

struct Schedule<'scope, 'env, 'g> {
    scope: &'scope Scope<'scope, 'env>,
    workshop: &'env Workshop<'env>,
    planner: Planner<'g, StoreKnowledge<'env>>,
    builders: Pool<'scope, 'env>,
    transfers: Pool<'scope, 'env>,
    answers: Receiver<Answer>,
    registrar: Option<Registrar<'scope>>,
    started: StepId,
    report: Report,
}

impl<'scope, 'env, 'g> Schedule<'scope, 'env, 'g> {
    fn new(scope: &'scope Scope<'scope, 'env>, workshop: &'env Workshop<'env>, planner: Planner<'g, StoreKnowledge<'env>>) -> Self {
        let (answer, answers) = channel();
        Self {
            scope,
            workshop,
            planner,
            builders: Pool::new(scope, workshop, workshop.options.jobs.max(1), answer.clone()),
            transfers: Pool::new(scope, workshop, TRANSFERS, answer),
            answers,
            registrar: None,
            started: 0,
            report: Report::default(),
        }
    }

    fn run(&mut self) -> Result<(), BuildError> {
        loop {
            self.start_ready()?;
            if self.builders.running + self.transfers.running == 0 {
                return Ok(());
            }
            let (step, result) = self.answers.recv().map_err(|_| BuildError::Threads("all workers have gone".to_owned()))?;
            self.pool(&step).running -= 1;
            match result {
                Ok(finished) => self.finished(&step, finished)?,
                Err(failure) => {
                    self.report.failures.push(*failure);
                    self.planner.failed(&step)?;
                }
            }
        }
    }

    fn pool(&mut self, step: &Step) -> &mut Pool<'scope, 'env> {
        if is_transfer(step) { &mut self.transfers } else { &mut self.builders }
    }

    fn start_ready(&mut self) -> Result<(), BuildError> {
        while let Some(step) = self.planner.next_step() {
            self.pool(&step).ready.push_back(step);
        }
        let options = self.workshop.options;
        if options.stop.is_requested() || !(options.keep_going || self.report.failures.is_empty()) {
            return Ok(());
        }
        let waiting = self.planner.pending();
        for pool in [&mut self.builders, &mut self.transfers] {
            self.started += pool.start_ready(self.started, waiting)?;
        }
        Ok(())
    }

    fn finished(&mut self, step: &Step, finished: Finished) -> Result<(), BuildError> {
        if let Step::Realise(realise) = step {
            match (is_transfer(step), finished.outcome) {
                (_, Outcome::Found) => {}
                (true, _) => self.report.fetched += 1,
                (false, _) => self.report.built.push(realise.resolved.name.to_string()),
            }
            self.compare(realise, &finished)?;
        }
        self.tell_mended(&finished.registration);
        let registrar = self.registrar.get_or_insert_with(|| {
            let Workshop { store, options, .. } = self.workshop;
            Registrar::start(self.scope, store, options.stop.clone())
        });
        registrar.register(finished.registration, finished.lock);
        match step {
            Step::Substitute(_) => {
                self.report.pulled.add(finished.pulled);
                self.planner.substituted(step)?;
            }
            _ => self.planner.finished(step, finished.outputs)?,
        }
        Ok(())
    }

    fn tell_mended(&mut self, registration: &Registration) {
        for object in registration.objects.iter().filter(|object| object.found.is_mended()) {
            self.workshop.reporter.report(&Event::Mended { path: &object.info.path, found: object.found });
            self.report.mended.push(object.info.path.clone());
        }
    }

    fn compare(&mut self, realise: &Realise, finished: &Finished) -> Result<(), BuildError> {
        let Some(known) = realise.known.as_ref().filter(|known| **known != finished.outputs) else { return Ok(()) };
        let differences = compare_outputs(self.workshop.store, &realise.resolved, known, &finished.outputs)?;
        for difference in &differences {
            self.workshop.reporter.report(&Event::Differs {
                name: &difference.name,
                resolved: realise.resolved_hash,
                before: difference.before.clone(),
                now: difference.now.clone(),
            });
        }
        self.report.differences.extend(differences);
        Ok(())
    }

    /// Waits for what still runs, registers everything, and sums up.
    fn finish(self, goals: &[Input], outcome: Result<(), BuildError>) -> Result<Report, BuildError> {
        let Self { workshop, builders, transfers, answers, registrar, mut report, planner, .. } = self;
        drop((builders, transfers));
        let late: Vec<Answer> = answers.iter().collect();
        if let Some(registrar) = registrar {
            late.into_iter()
                .filter_map(|(_, result)| result.ok())
                .for_each(|finished| registrar.register(finished.registration, finished.lock));
            registrar.finish()?;
        }
        outcome?;
        if let Some(substituter) = workshop.substituter {
            report.disagreements = substituter.take_disagreements();
            substituter.keep_believed()?;
        }
        report.blocked = planner.blocked().iter().map(|node| node.derivation.name.to_string()).collect();
        report.outputs = goals.iter().map(|goal| planner.output_of(goal)).collect();
        Ok(report)
    }
}

/// Threads for one kind of work. A thread is started only when all others are busy.
struct Pool<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    workshop: &'env Workshop<'env>,
    /// Steps that wait for a thread.
    ready: VecDeque<Step>,
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    answer: Sender<Answer>,
    threads: usize,
    running: usize,
    most: usize,
}

impl<'scope, 'env> Pool<'scope, 'env> {
    fn new(scope: &'scope Scope<'scope, 'env>, workshop: &'env Workshop<'env>, most: usize, answer: Sender<Answer>) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        Self { scope, workshop, ready: VecDeque::new(), jobs, queue, answer, threads: 0, running: 0, most }
    }

    /// Starts as many steps as may run; gives their number.
    fn start_ready(&mut self, first: StepId, waiting: usize) -> Result<usize, BuildError> {
        let mut started = 0;
        while self.running < self.most
            && let Some(step) = self.ready.pop_front()
        {
            if self.running == self.threads {
                self.start_thread()?;
            }
            // The queue outlives its senders: this pool holds it too.
            let _ = self.jobs.send((first + started, step, waiting));
            self.running += 1;
            started += 1;
        }
        Ok(started)
    }

    fn start_thread(&mut self) -> Result<(), BuildError> {
        let (workshop, queue, answer) = (self.workshop, self.queue.clone(), self.answer.clone());
        let work = move || {
            loop {
                let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((id, step, waiting)) = job else { return };
                // A worker that is gone would be waited for.
                let run = AssertUnwindSafe(|| workshop.run(id, &step, waiting));
                let result = catch_unwind(run).unwrap_or_else(|panic| Err(workshop.panicked(id, &step, &*panic)));
                if answer.send((step, result)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(STACK);
        thread.spawn_scoped(self.scope, work).map_err(|error| BuildError::Threads(error.to_string()))?;
        self.threads += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::build::Options;
    use crate::build::error::StepError;
    use crate::build::event::Reporter;
    use crate::build::source::Sources;
    use crate::build::stop::Stop;
    use crate::model::{Builder, BuiltinBuilder, Derivation, Hints, Node, OutputName, OutputPolicy, SandboxLevel};
    use crate::sandbox::Limits;
    use crate::store::Store;

    /// Stands for anything that may panic on a worker's thread.
    struct Panics;

    impl Reporter for Panics {
        fn report(&self, event: &Event<'_>) {
            assert!(!matches!(event, Event::Started { .. }), "made to fail");
        }
    }

    fn build_with_a_panic() -> Report {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut graph = DerivationGraph::default();
        let outputs = BTreeMap::from([(OutputName::out(), OutputPolicy::default())]);
        let builder = Builder::Builtin(BuiltinBuilder { kind: "test/1".into(), arguments: "x".into() });
        let derivation = Derivation::new("x".parse().unwrap(), "x".into(), BTreeMap::new(), outputs, builder);
        let hash = derivation.hash().unwrap();
        graph.add(Node { hash, derivation, hints: Hints::default() }).unwrap();
        let options = Options {
            jobs: 2,
            cores: 1,
            keep_going: false,
            timeout: None,
            silence: None,
            level: SandboxLevel::Strict,
            limits: Limits::default(),
            stop: Stop::default(),
        };
        let (sources, no_fetcher) = (Sources::new(dir.path()), || unreachable!("nothing is fetched"));
        let workshop = Workshop::new(&store, &sources, &no_fetcher, &Panics, &options);
        build(&workshop, &graph, &[Input::Output { derivation: hash, output: OutputName::out() }], &[]).unwrap()
    }

    #[test]
    fn a_worker_that_panics_fails_its_step_and_the_build_ends() {
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || ended.send(build_with_a_panic()));
        let report = end.recv_timeout(Duration::from_secs(60)).expect("the build ends");
        let [failure] = &report.failures[..] else { panic!("{:?}", report.failures) };
        assert!(matches!(&failure.error, StepError::Panicked(why) if why == "made to fail"), "{failure:?}");
    }
}
