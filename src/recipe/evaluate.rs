//! Runs recipe files.
//!
//! A file's `load()`s are followed before the file itself runs, each file once. All of it happens on a thread of its own with a large
//! stack, since the interpreter recurses along the nesting of what it reads. What the limits guard against is a mistake in a recipe,
//! not an attack: they are checked between statements, and a single operation may go beyond them.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::thread;

use starlark::PrintHandler;
use starlark::codemap::FileSpanRef;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::{BeforeStmtFunc, BeforeStmtFuncDyn, Evaluator, ReturnFileLoader};
use starlark::syntax::AstModule;
use starlark::values::dict::DictRef;

use crate::fsio::IoResultExt;

use super::artifact::Artifact;
use super::failure::{failure, refused, top_level};
use super::globals::{dialect, globals};
use super::paths::{Area, resolve};
use super::refusal::Refusal;
use super::session::Session;
use super::suggest::nearest;
use super::{Evaluated, Frame, RecipeError, RecipeFailure, Target};

/// The file that declares the targets.
const ENTRY: &str = "derivations/default.star";

/// Steps (calls and turns of loops) of one evaluation.
const MOST_TICKS: u64 = 20_000_000;

/// Steps between two looks of the interpreter at its limits.
const CHECK_PERIOD: u64 = 1_000;

/// Bytes of the values of one file.
const MOST_HEAP: usize = 512 << 20;

/// Nested calls.
const DEEPEST_CALL: usize = 200;

/// Nested `load()`s.
const DEEPEST_LOAD: usize = 100;

/// Lines that `print()` may give.
const MOST_PRINTED: usize = 10_000;

/// Stack of the evaluating thread; the system gives memory only to what is used of it.
const STACK: usize = 512 << 20;

/// Evaluates `derivations/default.star` of `project`. `params` are the command line's.
///
/// # Errors
/// If a recipe is wrong, goes beyond its limits, or does not declare one of the given parameters.
pub fn evaluate(project: &Path, params: &BTreeMap<String, String>) -> Result<Evaluated, RecipeError> {
    thread::scope(|scope| {
        let work = || evaluate_here(project, params);
        let thread = thread::Builder::new().name("evaluate".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        thread.at("start the evaluation of", project)?.join().unwrap_or_else(|panic| Err(panicked(&*panic)))
    })
}

fn panicked(panic: &(dyn Any + Send)) -> RecipeError {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let message = format!("the Starlark interpreter gave up: {}", text.unwrap_or("no reason given"));
    RecipeError::Failed(Box::new(RecipeFailure { message, frames: Vec::new(), hint: None, printed: Vec::new() }))
}

fn evaluate_here(project: &Path, params: &BTreeMap<String, String>) -> Result<Evaluated, RecipeError> {
    if !project.join(ENTRY).exists() {
        return Err(RecipeError::NoRecipes(project.to_owned()));
    }
    let session = Session::new(project, params).at("open the project", project)?;
    let mut files = Files { session: &session, done: HashMap::new(), loading: Vec::new() };
    let targets = files.module(ENTRY).and_then(|module| targets(&module, &session)).map_err(|mut failure| {
        failure.printed = session.printed.take();
        RecipeError::Failed(failure)
    })?;
    check_params(params, &session)?;
    Ok(Evaluated {
        targets,
        recipes: session.recipes.take(),
        params: session.params.take(),
        files: session.files.take(),
        printed: session.printed.take(),
    })
}

/// The recipe files, evaluated as they are asked for.
struct Files<'a> {
    session: &'a Session,
    done: HashMap<String, FrozenModule>,
    loading: Vec<String>,
}

impl Files<'_> {
    /// The values of one file. An error has no frame for the place that asked.
    fn module(&mut self, path: &str) -> Result<FrozenModule, Box<RecipeFailure>> {
        if let Some(module) = self.done.get(path) {
            return Ok(module.clone());
        }
        if let Some(start) = self.loading.iter().position(|loading| loading == path) {
            let cycle = self.loading[start..].iter().cloned().chain([path.to_owned()]).collect();
            return Err(refused(&Refusal::LoadCycle { cycle }));
        }
        if self.loading.len() >= DEEPEST_LOAD {
            return Err(refused(&Refusal::TooMany { most: DEEPEST_LOAD, what: "nested load()s" }));
        }
        self.loading.push(path.to_owned());
        let text = self.session.read(path, Area::Recipe).map_err(|refusal| refused(&refusal))?;
        let ast = AstModule::parse(path, text.to_string(), &dialect()).map_err(|error| failure(&error))?;
        let loaded = self.loads(path, &ast)?;
        let module = run(self.session, ast, &loaded)?;
        self.loading.pop();
        self.done.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// The files that `ast` loads, by the text it names them with.
    fn loads(&mut self, path: &str, ast: &AstModule) -> Result<HashMap<String, FrozenModule>, Box<RecipeFailure>> {
        let mut loaded = HashMap::new();
        for load in ast.loads() {
            let module = resolve(path, load.module_id).map_err(|refusal| refused(&refusal)).and_then(|wanted| self.module(&wanted));
            let module = module.map_err(|mut failure| {
                failure.frames.insert(0, top_level(&load.span));
                failure
            })?;
            loaded.insert(load.module_id.to_owned(), module);
        }
        Ok(loaded)
    }
}

/// Runs one file whose loads are done.
fn run(session: &Session, ast: AstModule, loaded: &HashMap<String, FrozenModule>) -> Result<FrozenModule, Box<RecipeFailure>> {
    let loader = ReturnFileLoader { modules: &loaded.iter().map(|(id, module)| (id.as_str(), module)).collect() };
    let printer = Printer(session);
    Module::with_temp_heap(|module| {
        {
            let mut eval = Evaluator::new(&module);
            eval.extra = Some(session);
            eval.set_loader(&loader);
            eval.set_print_handler(&printer);
            eval.set_max_callstack_size(DEEPEST_CALL).map_err(|error| failure(&starlark::Error::new_other(error)))?;
            eval.set_check_cancelled(Box::new(|| stop_at_limit(session, heap_size(&module))));
            eval.before_stmt_for_dap(BeforeStmtFunc::from_dyn(Box::new(HeapGuard)));
            eval.eval_module(ast, globals()).map_err(|error| match session.exceeded.get() {
                Some(limit) => Box::new(RecipeFailure { frames: failure(&error).frames, ..*refused(&limit.refusal()) }),
                None => failure(&error),
            })?;
        }
        module.freeze().map_err(|error| refused(&Refusal::Freeze { reason: error.err_msg }))
    })
}

/// A limit that an evaluation can go beyond while it runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Ticks,
    Heap,
}

impl Limit {
    fn refusal(self) -> Refusal {
        match self {
            Self::Ticks => Refusal::Steps { most: MOST_TICKS },
            Self::Heap => Refusal::Memory { most_mib: MOST_HEAP >> 20 },
        }
    }
}

fn heap_size(module: &Module<'_>) -> usize {
    module.heap().peak_allocated_bytes() + module.frozen_heap().allocated_bytes()
}

/// Asked by the interpreter each [`CHECK_PERIOD`] steps and once more at the end of a file. It says "stop" only once: it is asked again
/// while the error makes its way out, and a second one would take the place of the first, which knows where it happened.
fn stop_at_limit(session: &Session, heap: usize) -> bool {
    let ticks = session.ticks.get() + CHECK_PERIOD;
    session.ticks.set(ticks);
    if session.exceeded.get().is_some() {
        return false;
    }
    session.exceeded.set(match () {
        () if ticks > MOST_TICKS => Some(Limit::Ticks),
        () if heap > MOST_HEAP => Some(Limit::Heap),
        () => None,
    });
    session.exceeded.get().is_some()
}

/// Checks the size of the heap before each statement: doubling a text forty times takes few steps and fills any memory.
struct HeapGuard;

impl<'e> BeforeStmtFuncDyn<'e> for HeapGuard {
    fn call<'v>(&mut self, _span: FileSpanRef<'_>, _continued: bool, eval: &mut Evaluator<'v, '_, 'e>) -> starlark::Result<()> {
        if heap_size(eval.module()) <= MOST_HEAP {
            return Ok(());
        }
        Session::of(eval)?.exceeded.set(Some(Limit::Heap));
        Err(Limit::Heap.refusal().into())
    }
}

/// Keeps what `print()` is given.
struct Printer<'a>(&'a Session);

impl PrintHandler for Printer<'_> {
    fn println(&self, text: &str) -> starlark::Result<()> {
        let mut printed = self.0.printed.borrow_mut();
        if printed.len() >= MOST_PRINTED {
            return Err(Refusal::TooMany { most: MOST_PRINTED, what: "lines printed" }.into());
        }
        printed.push(text.to_owned());
        Ok(())
    }
}

/// Reads the global `targets`.
fn targets(module: &FrozenModule, session: &Session) -> Result<BTreeMap<String, Target>, Box<RecipeFailure>> {
    let at_definition = |refusal: &Refusal| {
        let mut failure = refused(refusal);
        failure.frames.extend(definition(session));
        failure
    };
    let value = module.get_option("targets").ok().flatten();
    let value = value.ok_or_else(|| {
        let names: Vec<String> = module.names().map(|name| name.as_str().to_owned()).collect();
        refused(&Refusal::NoTargets { near: nearest("targets", names.iter().map(String::as_str)) })
    })?;
    let wrong = |found: &str| at_definition(&Refusal::TargetsType { found: found.to_owned() });
    let dict = DictRef::from_value(value.value()).ok_or_else(|| wrong(value.value().get_type()))?;
    let recipes = session.recipes.borrow();
    let mut targets = BTreeMap::new();
    for (name, value) in dict.iter() {
        let name = name.unpack_str().ok_or_else(|| wrong("a dict with keys that are no strings"))?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(fits) {
            return Err(at_definition(&Refusal::TargetName { name: name.to_owned() }));
        }
        let artifact = Artifact::from_value(value)
            .ok_or_else(|| at_definition(&Refusal::TargetType { name: name.to_owned(), found: value.get_type().to_owned() }))?;
        let artifact = artifact.reference();
        let description = recipes[artifact.recipe.index()].description.clone();
        targets.insert(name.to_owned(), Target { artifact, description });
    }
    Ok(targets)
}

/// The last line of the entry file that gives `targets` a value.
fn definition(session: &Session) -> Option<Frame> {
    let text = session.read(ENTRY, Area::Text).ok()?;
    let assigns = |line: &str| line.strip_prefix("targets").is_some_and(|rest| rest.trim_start().starts_with(['=', '|']));
    let (index, line) = text.lines().enumerate().filter(|(_, line)| assigns(line)).last()?;
    let span = crate::model::SourceSpan { file: ENTRY.to_owned(), line: index as u32 + 1, column: 1 };
    Some(Frame { span, function: None, line: line.to_owned(), width: "targets".len() })
}

fn check_params(given: &BTreeMap<String, String>, session: &Session) -> Result<(), RecipeError> {
    let params = session.params.borrow();
    let Some(name) = given.keys().find(|name| !params.contains_key(*name)) else { return Ok(()) };
    let declared: Vec<String> = params.keys().cloned().collect();
    let near = nearest(name, declared.iter().map(String::as_str));
    Err(RecipeError::UnknownParam { name: name.clone(), near, declared })
}
