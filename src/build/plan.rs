//! What to do next: a state machine without I/O of its own.
//!
//! In: a derivation graph, the wanted outputs, and [`Knowledge`] of traces and valid objects. Out: [`Step`]s that are ready to run, one at
//! a time, as results come in. The scheduler carries the steps out and tells what they came to; a dry run only lists them.
//!
//! How it decides. Every derivation is an *item*, and so is every source object. An item is wanted for its *paths* (a user must be
//! resolved) or for its *objects* (a step that runs reads them, or it is a goal).
//!
//! 1. To know a derivation's paths, know those of its inputs, resolve it, and look for a build trace. Only if there is none must it be
//!    built, and only then are the objects of its inputs wanted. Others who may know a trace are asked for many at once: whatever can be
//!    resolved without their answers is resolved first.
//! 2. To have an object whose path is known: if it is valid, done; otherwise others are asked for it, if there are any; otherwise its
//!    derivation is built once more.
//! 3. A fetched file's path is known from its declared hash, so a file that no running step reads is never fetched.
//!
//! An unchanged output stops a rebuild by itself (early cutoff): its users resolve to what they were before and find their trace.
//! Not here: how steps are run (`schedule`), and what they cost.

mod step;

pub use step::{Realise, Reason, Step, Substitute, is_transfer};

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::model::{CanonicalError, DerivationGraph, DerivationHash, Input, LeafInput, Node, OutputName, ResolvedDerivation, StorePath};

/// What the planner asks about the world.
pub trait Knowledge {
    /// Why it could not be asked.
    type Error;

    /// The outputs that a trusted build trace gives for a resolved derivation; the preferred trace if there are several.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn trace(&mut self, resolved: &DerivationHash) -> Result<Option<BTreeMap<OutputName, StorePath>>, Self::Error>;

    /// Whether the object is valid, closure and all; from then on it must stay so until the build ends.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn hold_if_valid(&mut self, path: &StorePath) -> Result<bool, Self::Error>;

    /// Whether the project can provide this source object.
    fn is_source(&self, path: &StorePath) -> bool;

    /// Whether others can be asked for traces that are not known here.
    fn can_ask(&self) -> bool {
        false
    }

    /// What others say that these derivations came out as, in their order; many at once, as an answer may take a while. An answer may lack
    /// outputs: then it is none.
    ///
    /// # Errors
    /// If the store cannot be read. That others cannot be asked is none.
    fn ask(&mut self, asked: &[Asked]) -> Result<Vec<Option<BTreeMap<OutputName, StorePath>>>, Self::Error> {
        Ok(vec![None; asked.len()])
    }

    /// Whether others may have objects whose paths are known.
    fn can_substitute(&self) -> bool {
        false
    }

    /// There are no more questions for now: what was kept to answer them quickly can go.
    fn rest(&mut self) {}
}

/// A question to others.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The derivation, resolved.
    pub resolved: DerivationHash,
    /// Its name.
    pub name: String,
}

/// Why planning cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PlanError<E> {
    /// The world could not be asked.
    #[error(transparent)]
    Knowledge(E),
    /// A derivation has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// An input object is neither in the store nor a source of the project.
    #[error("derivation `{derivation}` needs {path}, which is not in the store and which no recipe makes")]
    MissingObject {
        /// The derivation that names it.
        derivation: String,
        /// The object.
        path: StorePath,
    },
}

/// Index of a derivation or source object.
type Item = usize;

#[derive(Clone, Debug, Default)]
struct State {
    /// Output paths, once known. A source object has one under `out`.
    outputs: Option<BTreeMap<OutputName, StorePath>>,
    /// Outputs whose objects somebody reads.
    wanted: BTreeSet<OutputName>,
    /// Outputs whose objects are here.
    present: BTreeSet<OutputName>,
    /// Whether it was handed out as a step and has not come back.
    running: bool,
    /// Whether it, or something that it needs, failed.
    failed: bool,
    /// Whether it must be built although it is known.
    forced: bool,
    /// Whether it has been reached from a goal.
    reached: bool,
    /// Items to look at again when this one changes.
    waiters: Vec<Item>,
    /// Whether it is counted as pending.
    pending: bool,
    /// Whether a trace has been looked for.
    looked_up: bool,
    /// Whether others are to be asked for a trace.
    asking: bool,
    /// Hash of the resolved derivation, once a trace has given its outputs.
    resolved: Option<DerivationHash>,
    /// Objects of it that others have been asked for.
    substituted: BTreeSet<StorePath>,
    /// Its inputs as items, filled in at the first visit.
    inputs: Option<Arc<[(Item, OutputName)]>>,
    /// Inputs whose paths, and inputs whose objects, have been seen to be there. An item waits for one input at a time and goes on from
    /// here, so that a derivation with many inputs costs no more than their number.
    paths_seen: usize,
    objects_seen: usize,
}

/// What an item waits for in an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Path,
    Object,
}

/// The state machine; see the module's documentation.
pub struct Planner<'a, K> {
    graph: &'a DerivationGraph,
    knowledge: K,
    states: Vec<State>,
    objects: Vec<StorePath>,
    object_index: HashMap<StorePath, Item>,
    /// Source object → the first derivation that reads it.
    users: HashMap<Item, Item>,
    queue: VecDeque<Item>,
    ready: VecDeque<Step>,
    /// What others are to be asked when nothing else can be found out.
    questions: Vec<(Item, Asked)>,
    pending: usize,
}

impl<'a, K: Knowledge> Planner<'a, K> {
    /// A planner for these goals; the ones in `forced` are built even if nothing would need it.
    ///
    /// # Errors
    /// If the store cannot be read, or a source is missing.
    pub fn new(graph: &'a DerivationGraph, goals: &[Input], forced: &[DerivationHash], knowledge: K) -> Result<Self, PlanError<K::Error>> {
        let mut planner = Self {
            graph,
            knowledge,
            states: vec![State::default(); graph.nodes().len()],
            objects: Vec::new(),
            object_index: HashMap::new(),
            users: HashMap::new(),
            queue: VecDeque::new(),
            ready: VecDeque::new(),
            questions: Vec::new(),
            pending: 0,
        };
        for hash in forced {
            if let Some(item) = graph.position(hash) {
                planner.states[item].forced = true;
            }
        }
        for goal in goals {
            let (item, output) = planner.item(goal);
            planner.want(item, Some(output));
        }
        planner.settle()?;
        Ok(planner)
    }

    /// The next step that is ready; `None` if none is, for now or for good.
    pub fn next_step(&mut self) -> Option<Step> {
        self.ready.pop_front()
    }

    /// A step came to an end with these outputs.
    ///
    /// # Errors
    /// As [`Planner::new`].
    pub fn finished(&mut self, step: &Step, outputs: BTreeMap<OutputName, StorePath>) -> Result<(), PlanError<K::Error>> {
        let item = self.step_item(step);
        let state = &mut self.states[item];
        state.running = false;
        state.forced = false;
        state.present = outputs.keys().cloned().collect();
        state.outputs = Some(outputs);
        self.set_pending(item, false);
        self.wake(item);
        self.settle()
    }

    /// A step failed; what needs it will not run.
    ///
    /// # Errors
    /// As [`Planner::new`].
    pub fn failed(&mut self, step: &Step) -> Result<(), PlanError<K::Error>> {
        let item = self.step_item(step);
        self.states[item].running = false;
        self.fail(item);
        self.settle()
    }

    /// Others were asked for objects; those that came are valid, or staged and held.
    ///
    /// # Errors
    /// As [`Planner::new`].
    pub fn substituted(&mut self, step: &Step) -> Result<(), PlanError<K::Error>> {
        let item = self.step_item(step);
        self.states[item].running = false;
        self.set_pending(item, false);
        self.queue.push_back(item);
        self.settle()
    }

    /// How many derivations wait for an input, or have been handed out and not come back.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Where a goal came out, if it is there.
    pub fn output_of(&self, goal: &Input) -> Option<StorePath> {
        let (item, output) = match goal {
            Input::Output { derivation, output } => (self.graph.position(derivation)?, output.clone()),
            Input::Object(path) => (*self.object_index.get(path)?, OutputName::out()),
        };
        let state = &self.states[item];
        (state.present.contains(&output) && !state.failed).then(|| state.outputs.as_ref()?.get(&output).cloned()).flatten()
    }

    /// Where a derivation's output is known to come out, whether or not it is there.
    pub fn known_output(&self, derivation: &DerivationHash, output: &OutputName) -> Option<&StorePath> {
        self.states[self.graph.position(derivation)?].outputs.as_ref()?.get(output)
    }

    /// Derivations that wait for a step, in topological order: they will be built unless an input comes out as it was before.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Node>> {
        let unsettled = |state: &State| state.reached && !state.failed && !state.running && !Self::is_settled(state);
        self.graph.nodes().iter().zip(&self.states).filter(move |(_, state)| unsettled(state)).map(|(node, _)| node)
    }

    /// Derivations that were not built because something they need failed, in topological order.
    pub fn blocked(&self) -> Vec<Arc<Node>> {
        let mut doomed: BTreeSet<Item> = BTreeSet::new();
        let mut blocked = Vec::new();
        for (item, node) in self.graph.nodes().iter().enumerate() {
            let state = &self.states[item];
            let by_input = node.derivation.all_inputs().any(|input| match input {
                Input::Output { derivation, .. } => self.graph.position(derivation).is_some_and(|input| doomed.contains(&input)),
                Input::Object(path) => self.object_index.get(path).is_some_and(|object| self.states[*object].failed),
            });
            if state.reached && !Self::is_settled(state) && (by_input || state.failed) {
                doomed.insert(item);
                if by_input {
                    blocked.push(node.clone());
                }
            }
        }
        blocked
    }

    fn is_settled(state: &State) -> bool {
        state.outputs.is_some() && !state.forced && state.wanted.is_subset(&state.present)
    }

    fn item(&mut self, input: &Input) -> (Item, OutputName) {
        match input {
            // The graph refuses nodes whose inputs it does not hold.
            Input::Output { derivation, output } => (self.graph.position(derivation).unwrap_or_default(), output.clone()),
            Input::Object(path) => (self.object_item(path), OutputName::out()),
        }
    }

    fn object_item(&mut self, path: &StorePath) -> Item {
        if let Some(item) = self.object_index.get(path) {
            return *item;
        }
        let item = self.states.len();
        let outputs = Some(BTreeMap::from([(OutputName::out(), path.clone())]));
        self.states.push(State { outputs, ..State::default() });
        self.objects.push(path.clone());
        self.object_index.insert(path.clone(), item);
        item
    }

    fn step_item(&mut self, step: &Step) -> Item {
        match step {
            Step::AddSource(path) => self.object_item(path),
            Step::Realise(realise) => self.graph.position(&realise.node.hash).unwrap_or_default(),
            Step::Substitute(substitute) => match (&substitute.node, substitute.paths.first()) {
                (None, Some(path)) => self.object_item(path),
                (node, _) => node.as_ref().and_then(|node| self.graph.position(&node.hash)).unwrap_or_default(),
            },
        }
    }

    /// Marks an item as wanted, for its object if `output` is given, and queues it if that is news.
    fn want(&mut self, item: Item, output: Option<OutputName>) {
        let state = &mut self.states[item];
        let news = output.is_some_and(|output| state.wanted.insert(output)) | !std::mem::replace(&mut state.reached, true);
        if news {
            self.queue.push_back(item);
        }
    }

    fn wake(&mut self, item: Item) {
        self.queue.extend(std::mem::take(&mut self.states[item].waiters));
    }

    fn set_pending(&mut self, item: Item, pending: bool) {
        let was = std::mem::replace(&mut self.states[item].pending, pending);
        self.pending = self.pending + usize::from(pending) - usize::from(was);
    }

    fn fail(&mut self, item: Item) {
        self.set_pending(item, false);
        self.states[item].failed = true;
        self.wake(item);
    }

    fn settle(&mut self) -> Result<(), PlanError<K::Error>> {
        let outcome = self.visit_queued();
        self.knowledge.rest();
        outcome
    }

    fn visit_queued(&mut self) -> Result<(), PlanError<K::Error>> {
        loop {
            while let Some(item) = self.queue.pop_front() {
                self.visit(item)?;
            }
            if self.questions.is_empty() {
                return Ok(());
            }
            self.ask()?;
        }
    }

    /// Asks others all that has gathered, and goes on with the answers.
    fn ask(&mut self) -> Result<(), PlanError<K::Error>> {
        let (items, asked): (Vec<Item>, Vec<Asked>) = std::mem::take(&mut self.questions).into_iter().unzip();
        let answers = self.knowledge.ask(&asked).map_err(PlanError::Knowledge)?;
        for ((item, asked), answer) in items.into_iter().zip(asked).zip(answers.into_iter().chain(std::iter::repeat(None))) {
            let declared = self.graph.nodes().get(item).map(|node| node.derivation.outputs.keys());
            let answer = answer.filter(|outputs| declared.is_some_and(|declared| declared.eq(outputs.keys())));
            self.states[item].asking = false;
            self.learnt(item, asked.resolved, answer);
            self.queue.push_back(item);
        }
        Ok(())
    }

    /// A trace was found, or there is none.
    fn learnt(&mut self, item: Item, resolved: DerivationHash, outputs: Option<BTreeMap<OutputName, StorePath>>) {
        let state = &mut self.states[item];
        state.looked_up = true;
        state.resolved = Some(resolved);
        state.outputs = outputs;
        self.set_pending(item, false);
        if self.states[item].outputs.is_some() {
            self.wake(item);
        }
    }

    fn visit(&mut self, item: Item) -> Result<(), PlanError<K::Error>> {
        if self.states[item].running || self.states[item].failed || self.states[item].asking {
            return Ok(());
        }
        match self.graph.nodes().get(item) {
            Some(node) => self.visit_node(item, &node.clone()),
            None => self.visit_object(item),
        }
    }

    fn visit_object(&mut self, item: Item) -> Result<(), PlanError<K::Error>> {
        let path = self.objects[item - self.graph.nodes().len()].clone();
        if self.states[item].wanted.is_empty() || !self.states[item].present.is_empty() {
            return Ok(());
        }
        if self.knowledge.hold_if_valid(&path).map_err(PlanError::Knowledge)? {
            self.states[item].present.insert(OutputName::out());
            self.wake(item);
        } else if self.knowledge.is_source(&path) {
            self.states[item].running = true;
            self.ready.push_back(Step::AddSource(path));
        } else if !self.substitute(item, None, std::slice::from_ref(&path)) {
            let user = self.users.get(&item).and_then(|user| self.graph.nodes().get(*user));
            let derivation = user.map_or("the target", |node| node.derivation.name.as_str()).to_owned();
            return Err(PlanError::MissingObject { derivation, path });
        }
        Ok(())
    }

    fn visit_node(&mut self, item: Item, node: &Arc<Node>) -> Result<(), PlanError<K::Error>> {
        if !self.states[item].looked_up && !self.learn_paths(item, node)? {
            return Ok(());
        }
        if self.states[item].outputs.is_some() && !self.states[item].forced {
            let mut missing = self.missing(item)?;
            if missing.is_empty() || self.substitute(item, Some(node), &missing) {
                return Ok(());
            }
            return self.prepare(item, node, Reason::ObjectMissing(missing.swap_remove(0)));
        }
        let reason = if self.states[item].outputs.is_some() { Reason::Requested } else { Reason::NeverBuilt };
        self.prepare(item, node, reason)
    }

    /// Finds out the output paths from a declared hash or a trace. `false` if the paths of inputs must be known first.
    fn learn_paths(&mut self, item: Item, node: &Arc<Node>) -> Result<bool, PlanError<K::Error>> {
        if let Some(path) = node.derivation.known_path() {
            self.states[item].outputs = Some(BTreeMap::from([(OutputName::out(), path)]));
            self.states[item].looked_up = true;
            self.set_pending(item, false);
            self.wake(item);
            return Ok(true);
        }
        if !self.inputs_ready(item, Need::Path) {
            return Ok(false);
        }
        let (_, resolved) = self.resolve(node)?;
        let outputs = self.knowledge.trace(&resolved).map_err(PlanError::Knowledge)?;
        if outputs.is_none() && self.knowledge.can_ask() {
            self.states[item].asking = true;
            self.questions.push((item, Asked { resolved, name: node.derivation.name.to_string() }));
            return Ok(false);
        }
        self.learnt(item, resolved, outputs);
        Ok(true)
    }

    /// Hands out a step that asks others for these objects of an item; false if they cannot be asked, or have been.
    fn substitute(&mut self, item: Item, node: Option<&Arc<Node>>, missing: &[StorePath]) -> bool {
        let state = &mut self.states[item];
        let paths: Vec<StorePath> = missing.iter().filter(|path| !state.substituted.contains(*path)).cloned().collect();
        if paths.is_empty() || !self.knowledge.can_substitute() {
            return false;
        }
        state.running = true;
        state.substituted.extend(paths.iter().cloned());
        let step = Substitute { node: node.cloned(), resolved: state.resolved, paths };
        self.set_pending(item, node.is_some());
        self.ready.push_back(Step::Substitute(Box::new(step)));
        true
    }

    fn resolve(&mut self, node: &Node) -> Result<(ResolvedDerivation, DerivationHash), PlanError<K::Error>> {
        let resolved = node.derivation.map_inputs(|input| {
            let (item, output) = self.item(input);
            let path = self.states[item].outputs.as_ref().and_then(|outputs| outputs.get(&output)).cloned();
            // A trace that lacks an output is no answer; the graph has checked that the derivation has it.
            path.ok_or_else(|| PlanError::MissingObject {
                derivation: node.derivation.name.to_string(),
                path: StorePath::scratch(&node.derivation.name),
            })
        })?;
        let hash = resolved.hash()?;
        Ok((resolved, hash))
    }

    /// Checks which wanted objects are here; those that are not.
    fn missing(&mut self, item: Item) -> Result<Vec<StorePath>, PlanError<K::Error>> {
        let mut missing = Vec::new();
        let wanted: Vec<_> = self.states[item].wanted.difference(&self.states[item].present).cloned().collect();
        for output in wanted {
            let Some(path) = self.states[item].outputs.as_ref().and_then(|outputs| outputs.get(&output)).cloned() else { continue };
            if self.knowledge.hold_if_valid(&path).map_err(PlanError::Knowledge)? {
                self.states[item].present.insert(output);
            } else {
                missing.push(path);
            }
        }
        if missing.is_empty() {
            self.wake(item);
        }
        Ok(missing)
    }

    /// Hands out the step if all objects it reads are here; asks for them otherwise.
    fn prepare(&mut self, item: Item, node: &Arc<Node>, reason: Reason) -> Result<(), PlanError<K::Error>> {
        if self.inputs_ready(item, Need::Object) {
            let (resolved, resolved_hash) = self.resolve(node)?;
            let known = self.states[item].outputs.clone();
            self.states[item].running = true;
            self.set_pending(item, true);
            let leaves = self.leaves(node);
            let step = Realise { node: node.clone(), resolved, resolved_hash, reason, leaves, known };
            self.ready.push_back(Step::Realise(Box::new(step)));
        }
        Ok(())
    }

    /// The inputs of a derivation that no builder made.
    fn leaves(&self, node: &Node) -> Vec<LeafInput> {
        let leaf = |input: &Input| match input {
            Input::Object(path) => Some(LeafInput { path: path.clone(), span: None }),
            Input::Output { derivation, .. } => {
                let node = self.graph.get(derivation)?;
                Some(LeafInput { path: node.derivation.known_path()?, span: node.hints.span.clone() })
            }
        };
        node.derivation.all_inputs().filter_map(leaf).collect()
    }

    /// Whether all inputs of a derivation are there. Otherwise the item waits for the first that is not, or fails with it.
    fn inputs_ready(&mut self, item: Item, need: Need) -> bool {
        let inputs = self.inputs_of(item);
        let start = if need == Need::Path { self.states[item].paths_seen } else { self.states[item].objects_seen };
        if start == 0 {
            for (needed, output) in inputs.iter() {
                if need == Need::Object {
                    self.users.entry(*needed).or_insert(item);
                }
                self.want(*needed, (need == Need::Object).then(|| output.clone()));
            }
        }
        for (index, (needed, output)) in inputs.iter().enumerate().skip(start) {
            let state = &mut self.states[*needed];
            if state.failed {
                self.fail(item);
                return false;
            }
            let there = if need == Need::Path { state.outputs.is_some() } else { state.present.contains(output) };
            if !there {
                state.waiters.push(item);
                self.set_pending(item, true);
                return false;
            }
            match need {
                Need::Path => self.states[item].paths_seen = index + 1,
                Need::Object => self.states[item].objects_seen = index + 1,
            }
        }
        true
    }

    fn inputs_of(&mut self, item: Item) -> Arc<[(Item, OutputName)]> {
        if let Some(inputs) = &self.states[item].inputs {
            return inputs.clone();
        }
        let node = self.graph.nodes()[item].clone();
        let inputs: Arc<[_]> = node.derivation.all_inputs().map(|input| self.item(input)).collect();
        self.states[item].inputs = Some(inputs.clone());
        inputs
    }
}

#[cfg(test)]
mod tests;
