//! The state of one evaluation, which kiln's primitives add to.

// `starlark`'s own derive writes `unsafe impl ProvidesStaticType`, which a value needs to travel with an evaluation.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use starlark::any::ProvidesStaticType;
use starlark::codemap::FileSpan;
use starlark::eval::Evaluator;

use crate::model::{OutputName, OutputPolicy, Sha256, SourceSpan, StoreName};

use super::artifact::Artifact;
use super::debian::DebianLock;
use super::evaluate::Limit;
use super::paths::{Area, Project, resolve};
use super::recipes::{Param, Recipe, RecipeId, RecipeKind};
use super::refusal::Refusal;

/// Most recipes of one project.
const MOST_RECIPES: usize = 1_000_000;

/// Most bytes of text that one evaluation may read, in MiB.
const MOST_TEXT_MIB: usize = 256;

/// One evaluation's state. Values in it are only ever added.
#[derive(Debug, ProvidesStaticType)]
pub(super) struct Session {
    project: Project,
    given: BTreeMap<String, String>,
    texts: RefCell<HashMap<String, Rc<str>>>,
    text_bytes: Cell<usize>,
    locks: RefCell<HashMap<String, Rc<DebianLock>>>,
    known: RefCell<HashMap<String, RecipeId>>,
    pub(super) files: RefCell<BTreeMap<String, Sha256>>,
    pub(super) recipes: RefCell<Vec<Recipe>>,
    pub(super) params: RefCell<BTreeMap<String, Param>>,
    pub(super) printed: RefCell<Vec<String>>,
    /// Steps done so far, about.
    pub(super) ticks: Cell<u64>,
    /// The limit that the evaluation went beyond.
    pub(super) exceeded: Cell<Option<Limit>>,
}

impl Session {
    /// A session of the project in `directory` with the command line's parameters.
    pub(super) fn new(directory: &Path, given: &BTreeMap<String, String>) -> std::io::Result<Self> {
        Ok(Self {
            project: Project::new(directory)?,
            given: given.clone(),
            texts: RefCell::default(),
            text_bytes: Cell::default(),
            locks: RefCell::default(),
            known: RefCell::default(),
            files: RefCell::default(),
            recipes: RefCell::default(),
            params: RefCell::default(),
            printed: RefCell::default(),
            ticks: Cell::default(),
            exceeded: Cell::default(),
        })
    }

    /// The session that `eval` belongs to.
    pub(super) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> starlark::Result<&'a Self> {
        let session = eval.extra.and_then(|extra| extra.downcast_ref());
        session.ok_or_else(|| starlark::Error::new_other(std::io::Error::other("a primitive was called outside an evaluation")))
    }

    /// The project, for checks of its paths.
    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    /// The text of a file, read once. `path` comes from [`resolve`].
    pub(super) fn read(&self, path: &str, area: Area) -> Result<Rc<str>, Refusal> {
        if let Some(text) = self.texts.borrow().get(path).filter(|_| area == Area::Text) {
            return Ok(Rc::clone(text));
        }
        let text: Rc<str> = self.project.read(path, area)?.into();
        self.text_bytes.set(self.text_bytes.get() + text.len());
        if self.text_bytes.get() > MOST_TEXT_MIB << 20 {
            return Err(Refusal::TooMany { most: MOST_TEXT_MIB, what: "MiB of text read" });
        }
        self.files.borrow_mut().insert(path.to_owned(), Sha256::of(text.as_bytes()));
        self.texts.borrow_mut().insert(path.to_owned(), Rc::clone(&text));
        Ok(text)
    }

    /// The lock at `path`, parsed once.
    pub(super) fn debian_lock(&self, path: &str) -> Result<Rc<DebianLock>, Refusal> {
        if let Some(lock) = self.locks.borrow().get(path) {
            return Ok(Rc::clone(lock));
        }
        let lock = Rc::new(DebianLock::parse(path, &self.read(path, Area::Text)?)?);
        self.locks.borrow_mut().insert(path.to_owned(), Rc::clone(&lock));
        Ok(lock)
    }

    /// Adds a recipe whose only output is `out`.
    pub(super) fn add(&self, name: StoreName, description: String, span: SourceSpan, kind: RecipeKind) -> Result<Artifact, Refusal> {
        self.add_with(name, description, span, BTreeMap::from([(OutputName::out(), OutputPolicy::default())]), kind)
    }

    /// Adds a recipe.
    pub(super) fn add_with(
        &self,
        name: StoreName,
        description: String,
        span: SourceSpan,
        outputs: BTreeMap<OutputName, OutputPolicy>,
        kind: RecipeKind,
    ) -> Result<Artifact, Refusal> {
        let mut recipes = self.recipes.borrow_mut();
        if recipes.len() >= MOST_RECIPES {
            return Err(Refusal::TooMany { most: MOST_RECIPES, what: "recipes" });
        }
        let artifact = Artifact::new(RecipeId(recipes.len() as u32), name.to_string(), outputs.keys().cloned().collect());
        recipes.push(Recipe { name, description, span, outputs, kind });
        Ok(artifact)
    }

    /// The recipe that `key` identifies; `add` makes it the first time.
    pub(super) fn known_or(&self, key: String, add: impl FnOnce() -> Result<Artifact, Refusal>) -> Result<Artifact, Refusal> {
        let known = self.known.borrow().get(&key).copied();
        if let Some(id) = known {
            let recipes = self.recipes.borrow();
            let recipe = &recipes[id.index()];
            return Ok(Artifact::new(id, recipe.name.to_string(), recipe.outputs.keys().cloned().collect()));
        }
        let artifact = add()?;
        self.known.borrow_mut().insert(key, artifact.reference().recipe);
        Ok(artifact)
    }

    /// The value of a parameter, declaring it.
    pub(super) fn param(&self, name: &str, default: &str, span: SourceSpan) -> Result<String, Refusal> {
        let mut params = self.params.borrow_mut();
        if let Some(param) = params.get(name) {
            if param.default != default {
                let (first, second) = (param.default.clone(), default.to_owned());
                return Err(Refusal::ParamDefaults { name: name.to_owned(), first, second, span: param.span.to_string() });
            }
            return Ok(param.value.clone());
        }
        let value = self.given.get(name).map_or(default, String::as_str).to_owned();
        params.insert(name.to_owned(), Param { default: default.to_owned(), value: value.clone(), span });
        Ok(value)
    }
}

/// A place in a recipe file, in kiln's terms.
pub(super) fn span_of(place: &FileSpan) -> SourceSpan {
    let resolved = place.resolve_span();
    SourceSpan { file: place.filename().to_owned(), line: resolved.begin.line as u32 + 1, column: resolved.begin.column as u32 + 1 }
}

/// The call that a primitive is being called by.
pub(super) fn call_span(eval: &Evaluator<'_, '_, '_>) -> SourceSpan {
    let place = eval.call_stack_top_location();
    place.map_or_else(|| SourceSpan { file: String::new(), line: 1, column: 1 }, |place| span_of(&place))
}

/// The project path that `text` means in the file that the current call stands in.
pub(super) fn path_of_call(eval: &Evaluator<'_, '_, '_>, text: &str) -> Result<String, Refusal> {
    let place = eval.call_stack_top_location();
    resolve(place.as_ref().map_or("", |place| place.filename()), text)
}
