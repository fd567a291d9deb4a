//! The planner over a world in memory.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use super::*;
use crate::model::{Builder, BuiltinBuilder, Derivation, Hints, OutputPolicy};

/// A world of traces and objects, in memory.
#[derive(Default)]
struct World {
    traces: HashMap<DerivationHash, BTreeMap<OutputName, StorePath>>,
    valid: BTreeSet<StorePath>,
    sources: BTreeSet<StorePath>,
    asked: usize,
    /// Traces that others know, objects that they have, how many were asked for at a time, and what came.
    others: Option<HashMap<DerivationHash, BTreeMap<OutputName, StorePath>>>,
    shared: BTreeSet<StorePath>,
    rounds: Vec<usize>,
    pulled: Rc<RefCell<BTreeSet<StorePath>>>,
}

impl Knowledge for &mut World {
    type Error = Infallible;

    fn trace(&mut self, resolved: &DerivationHash) -> Result<Option<BTreeMap<OutputName, StorePath>>, Infallible> {
        self.asked += 1;
        Ok(self.traces.get(resolved).cloned())
    }

    fn hold_if_valid(&mut self, path: &StorePath) -> Result<bool, Infallible> {
        Ok(self.valid.contains(path) || self.pulled.borrow().contains(path))
    }

    fn can_ask(&self) -> bool {
        self.others.is_some()
    }

    fn ask(&mut self, asked: &[Asked]) -> Result<Vec<Option<BTreeMap<OutputName, StorePath>>>, Infallible> {
        self.rounds.push(asked.len());
        Ok(asked.iter().map(|asked| self.others.as_ref()?.get(&asked.resolved).cloned()).collect())
    }

    fn can_substitute(&self) -> bool {
        self.others.is_some()
    }

    fn is_source(&self, path: &StorePath) -> bool {
        self.sources.contains(path)
    }
}

fn object(name: &str) -> StorePath {
    StorePath::scratch(&name.parse().unwrap())
}

/// A derivation with an argument that stands for its script.
fn add(graph: &mut DerivationGraph, name: &str, script: &str, inputs: &[Input]) -> Input {
    let inputs = inputs.iter().enumerate().map(|(index, input)| (format!("in{index}").parse().unwrap(), input.clone())).collect();
    let outputs = BTreeMap::from([(OutputName::out(), OutputPolicy::default())]);
    let builder = Builder::Builtin(BuiltinBuilder { kind: "test/1".into(), arguments: script.into() });
    let derivation = Derivation::new(name.parse().unwrap(), "x".into(), inputs, outputs, builder);
    let hash = derivation.hash().unwrap();
    graph.add(Node { hash, derivation, hints: Hints::default() }).unwrap();
    Input::Output { derivation: hash, output: OutputName::out() }
}

/// Builds everything; an output's bytes, and so its path, follow from `content`. Gives the names in building order.
fn build(graph: &DerivationGraph, goal: &Input, world: &mut World, content: impl Fn(&Realise) -> String) -> Vec<String> {
    let mut built = Vec::new();
    let mut done: Vec<(DerivationHash, BTreeMap<OutputName, StorePath>)> = Vec::new();
    let mut added = Vec::new();
    let (shared, pulled) = (world.shared.clone(), world.pulled.clone());
    let mut planner = Planner::new(graph, std::slice::from_ref(goal), &[], &mut *world).unwrap();
    while let Some(step) = planner.next_step() {
        let path = match &step {
            Step::AddSource(path) => path.clone(),
            Step::Substitute(substitute) => {
                pulled.borrow_mut().extend(substitute.paths.iter().filter(|path| shared.contains(path)).cloned());
                planner.substituted(&step).unwrap();
                continue;
            }
            Step::Realise(realise) => {
                built.push(realise.node.derivation.name.to_string());
                object(&content(realise))
            }
        };
        let outputs = BTreeMap::from([(OutputName::out(), path.clone())]);
        if let Step::Realise(realise) = &step {
            done.push((realise.resolved_hash, outputs.clone()));
        }
        added.push(path);
        planner.finished(&step, outputs).unwrap();
    }
    assert!(planner.output_of(goal).is_some());
    drop(planner);
    world.traces.extend(done);
    world.valid.extend(added);
    built
}

fn by_script(realise: &Realise) -> String {
    let Builder::Builtin(builtin) = &realise.node.derivation.builder else { unreachable!() };
    let script = builtin.arguments.as_str().unwrap().split('#').next().unwrap();
    format!("{}-{script}-{}", realise.node.derivation.name, realise.resolved.all_inputs().count())
}

fn chain(first_script: &str) -> (DerivationGraph, Input) {
    let mut graph = DerivationGraph::default();
    let a = add(&mut graph, "a", first_script, &[]);
    let b = add(&mut graph, "b", "b", &[a]);
    let c = add(&mut graph, "c", "c", &[b]);
    (graph, c)
}

#[test]
fn everything_is_built_once_and_then_nothing() {
    let (graph, goal) = chain("a");
    let mut world = World::default();
    assert_eq!(build(&graph, &goal, &mut world, by_script), ["a", "b", "c"]);
    assert!(build(&graph, &goal, &mut world, by_script).is_empty());
}

#[test]
fn a_comment_rebuilds_one_step_and_cuts_off_the_rest() {
    let mut world = World::default();
    let (graph, goal) = chain("a");
    build(&graph, &goal, &mut world, by_script);
    let (graph, goal) = chain("a#comment");
    assert_eq!(build(&graph, &goal, &mut world, by_script), ["a"]);
}

#[test]
fn with_everything_but_the_goal_collected_nothing_is_built() {
    let mut world = World::default();
    let (graph, goal) = chain("a");
    build(&graph, &goal, &mut world, by_script);
    world.valid.retain(|path| path.name().as_str().starts_with('c'));
    assert!(build(&graph, &goal, &mut world, by_script).is_empty());
}

#[test]
fn a_collected_goal_brings_back_only_what_it_reads() {
    let mut world = World::default();
    let (graph, goal) = chain("a");
    build(&graph, &goal, &mut world, by_script);
    world.valid.retain(|path| path.name().as_str().starts_with('b'));
    assert_eq!(build(&graph, &goal, &mut world, by_script), ["c"]);
}

#[test]
fn a_source_is_added_only_when_something_reads_it() {
    let source = object("source");
    let mut graph = DerivationGraph::default();
    let goal = add(&mut graph, "a", "a", &[Input::Object(source.clone())]);
    let mut world = World { sources: BTreeSet::from([source.clone()]), ..World::default() };
    build(&graph, &goal, &mut world, by_script);
    assert!(world.valid.remove(&source));
    build(&graph, &goal, &mut world, by_script);
    assert!(!world.valid.contains(&source));
}

#[test]
fn an_object_that_nobody_makes_is_an_error_that_names_its_user() {
    let mut graph = DerivationGraph::default();
    let goal = add(&mut graph, "a", "a", &[Input::Object(object("lost"))]);
    let error = Planner::new(&graph, &[goal], &[], &mut World::default()).err().unwrap().to_string();
    assert!(error.contains("`a`") && error.contains("lost"), "{error}");
}

#[test]
fn what_needs_a_failed_step_is_blocked_and_the_rest_goes_on() {
    let mut graph = DerivationGraph::default();
    let bad = add(&mut graph, "bad", "bad", &[]);
    let user = add(&mut graph, "user", "user", &[bad]);
    let good = add(&mut graph, "good", "good", &[]);
    let goal = add(&mut graph, "goal", "goal", &[good, user]);
    let mut world = World::default();
    let mut planner = Planner::new(&graph, std::slice::from_ref(&goal), &[], &mut world).unwrap();
    while let Some(step) = planner.next_step() {
        let Step::Realise(realise) = &step else { unreachable!() };
        if realise.node.derivation.name.as_str() == "bad" {
            planner.failed(&step).unwrap();
        } else {
            assert_eq!(realise.node.derivation.name.as_str(), "good");
            planner.finished(&step, BTreeMap::from([(OutputName::out(), object("good"))])).unwrap();
        }
    }
    assert_eq!(planner.output_of(&goal), None);
    let blocked: Vec<_> = planner.blocked().iter().map(|node| node.derivation.name.to_string()).collect();
    assert_eq!(blocked, ["user", "goal"]);
}

#[test]
fn a_wide_fan_asks_for_each_trace_once() {
    let mut graph = DerivationGraph::default();
    let leaves: Vec<_> = (0..1000).map(|index| add(&mut graph, &format!("leaf{index}"), "x", &[])).collect();
    let goal = add(&mut graph, "goal", "goal", &leaves);
    let mut world = World::default();
    assert_eq!(build(&graph, &goal, &mut world, by_script).len(), 1001);
    assert_eq!(world.asked, 1001);
}

/// A fan of builds, made elsewhere; which of its objects others have.
fn fan_elsewhere(shares: impl Fn(&str) -> bool) -> (DerivationGraph, Input, World) {
    let mut graph = DerivationGraph::default();
    let leaves: Vec<_> = (0..1000).map(|index| add(&mut graph, &format!("leaf{index}"), "x", &[])).collect();
    let middle = add(&mut graph, "middle", "middle", &leaves);
    let goal = add(&mut graph, "goal", "goal", &[middle]);
    let mut elsewhere = World::default();
    build(&graph, &goal, &mut elsewhere, by_script);
    let shared = elsewhere.valid.into_iter().filter(|path| shares(path.name().as_str())).collect();
    (graph, goal, World { others: Some(elsewhere.traces), shared, ..World::default() })
}

#[test]
fn what_was_built_elsewhere_is_taken_and_asked_for_many_at_once() {
    let (graph, goal, mut world) = fan_elsewhere(|name| name.starts_with("goal"));
    assert!(build(&graph, &goal, &mut world, by_script).is_empty());
    assert_eq!(world.rounds, [1000, 1, 1]);
    assert_eq!(world.pulled.borrow().len(), 1);
}

#[test]
fn an_object_that_others_lack_is_built_from_those_they_have() {
    let (graph, goal, mut world) = fan_elsewhere(|name| name.starts_with("middle"));
    assert_eq!(build(&graph, &goal, &mut world, by_script), ["goal"]);
    let (graph, goal, mut world) = fan_elsewhere(|_| false);
    assert_eq!(build(&graph, &goal, &mut world, by_script).len(), 1002);
}

#[test]
fn an_answer_without_all_outputs_is_none() {
    let (graph, goal, mut world) = fan_elsewhere(|name| name.starts_with("goal"));
    world.others.iter_mut().flat_map(|traces| traces.values_mut()).for_each(BTreeMap::clear);
    assert_eq!(build(&graph, &goal, &mut world, by_script).len(), 1002);
}

#[test]
fn others_are_not_asked_for_what_is_known_here() {
    let (graph, goal, mut world) = fan_elsewhere(|_| true);
    world.traces = world.others.clone().unwrap();
    world.valid = world.shared.clone();
    assert!(build(&graph, &goal, &mut world, by_script).is_empty());
    assert!(world.rounds.is_empty() && world.pulled.borrow().is_empty());
}
