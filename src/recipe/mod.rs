//! Recipes: Starlark files under `derivations/` in, derivations out.
//!
//! ```text
//! derivations/default.star ──evaluate──▶ Evaluated { recipes, targets, params } ──lower──▶ Lowered { graph, targets, sources }
//! ```
//!
//! [`evaluate()`] runs the recipe files under resource limits and collects what they declare as plain data. [`lower()`] turns what the
//! wanted targets need into a graph of hashed derivations; it asks its caller to put source trees into the store.
//!
//! Evaluation reads files under `derivations/`, `patches/` and the file `VERSION`, follows no link out of them, and sees no clock,
//! environment or network. Not here: what a source tree consists of (ignored files, hashing), and anything that builds.

mod artifact;
mod debian;
mod error;
mod evaluate;
mod failure;
mod globals;
mod lower;
mod overrides;
mod paths;
mod primitives;
mod recipes;
mod refusal;
mod session;
mod source_filter;
mod suggest;

pub use error::{Frame, RecipeError, RecipeFailure};
pub use evaluate::evaluate;
pub use globals::prepare;
pub use lower::{Lowered, lower, system};
pub use overrides::OverrideError;
pub use recipes::{ArtifactRef, Evaluated, Param, Recipe, RecipeId, RecipeKind, SourceRequest, Target};
pub use source_filter::{SourceFilter, SourceFilterError};
pub use suggest::nearest;

#[cfg(test)]
mod tests;
