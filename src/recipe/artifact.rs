//! The one value that kiln adds to Starlark: an artifact, that is, one output of a recipe.
//!
//! `a.out` and `a.<output>` are its outputs, `a.output("name")` too, `a.name` is its store name. It is opaque otherwise: a path is
//! known only inside a build.

// `starlark`'s own derives write `unsafe impl` for its marker traits; there is no other way to make a Starlark value.
#![allow(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::{Heap, NoSerialize, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::model::OutputName;

use super::recipes::{ArtifactRef, RecipeId};
use super::refusal::{Refusal, refuse};

/// What every artifact's text begins with, so that a script that holds it can be recognised.
pub(super) const MARK: &str = "<artifact ";

/// One output of a recipe.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, Allocative)]
pub(super) struct Artifact {
    #[allocative(skip)]
    recipe: RecipeId,
    #[allocative(skip)]
    output: OutputName,
    #[allocative(skip)]
    shape: Arc<Shape>,
}

/// What all outputs of a recipe share.
#[derive(Debug)]
struct Shape {
    name: String,
    outputs: Vec<OutputName>,
}

starlark_simple_value!(Artifact);

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", self.shape.name)?;
        if self.output != OutputName::out() {
            write!(f, ".{}", self.output)?;
        }
        f.write_str(">")
    }
}

#[starlark_value(type = "artifact")]
impl<'v> StarlarkValue<'v> for Artifact {
    fn get_methods() -> Option<&'static Methods> {
        static METHODS: MethodsStatic = MethodsStatic::new("artifact", methods);
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        if attribute == "name" {
            return Some(heap.alloc(self.shape.name.as_str()));
        }
        self.with_output(attribute).map(|output| heap.alloc(output))
    }

    fn dir_attr(&self) -> Vec<String> {
        self.shape.outputs.iter().map(ToString::to_string).chain(["name".to_owned()]).collect()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(Self::from_value(other).is_some_and(|other| self.reference() == other.reference()))
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// The output with this name.
    fn output(this: &Artifact, name: &str) -> starlark::Result<Artifact> {
        this.with_output(name).ok_or_else(|| {
            let outputs = this.shape.outputs.iter().map(ToString::to_string).collect();
            refuse(Refusal::NoOutput { artifact: this.shape.name.clone(), output: name.to_owned(), outputs })
        })
    }
}

impl Artifact {
    /// The default output of a recipe.
    pub(super) fn new(recipe: RecipeId, name: String, outputs: Vec<OutputName>) -> Self {
        Self { recipe, output: OutputName::out(), shape: Arc::new(Shape { name, outputs }) }
    }

    /// What it stands for.
    pub(super) fn reference(&self) -> ArtifactRef {
        ArtifactRef { recipe: self.recipe, output: self.output.clone() }
    }

    /// The store name of the recipe that makes it.
    pub(super) fn name(&self) -> &str {
        &self.shape.name
    }

    fn with_output(&self, name: &str) -> Option<Self> {
        let output = self.shape.outputs.iter().find(|output| output.as_str() == name)?.clone();
        Some(Self { recipe: self.recipe, output, shape: Arc::clone(&self.shape) })
    }
}
