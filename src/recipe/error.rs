//! What can go wrong between a recipe file and a derivation.

use std::fmt;

use crate::fsio::PathError;
use crate::model::{CanonicalError, GraphError, SourceSpan};

use super::suggest::DidYouMean;

/// An error of evaluation or lowering.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// A recipe file is wrong: syntax, a type, a missing name, a refused path, a limit.
    #[error(transparent)]
    Failed(Box<RecipeFailure>),
    /// The project has no recipes.
    #[error("`{0}` has no `derivations/default.star`")]
    NoRecipes(std::path::PathBuf),
    /// The command line sets a parameter that no recipe declares.
    #[error("no recipe declares the parameter `{name}`{}", DidYouMean(.near))]
    UnknownParam {
        /// The unknown name.
        name: String,
        /// Similar names that are declared.
        near: Vec<String>,
        /// All declared names.
        declared: Vec<String>,
    },
    /// A target that `targets` does not hold.
    #[error("there is no target `{name}`{}", DidYouMean(.near))]
    UnknownTarget {
        /// The unknown name.
        name: String,
        /// Similar names that exist.
        near: Vec<String>,
    },
    /// A source tree could not be put into the store.
    #[error("cannot add the source `{path}` ({span}): {source}")]
    Source {
        /// The source, relative to the project.
        path: String,
        /// The call that names it.
        span: SourceSpan,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A builtin's arguments have no canonical form.
    #[error("cannot write `{name}` as a derivation: {source}")]
    Canonical {
        /// The recipe's name.
        name: String,
        /// Why.
        source: CanonicalError,
    },
    /// The recipes do not form a graph; this cannot come from a recipe file.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// An error in a recipe file, with the way that led there.
#[derive(Debug)]
pub struct RecipeFailure {
    /// What is wrong: a lower-case sentence.
    pub message: String,
    /// The calls that led there, outermost first; the last one is where it went wrong. Empty if no place is known.
    pub frames: Vec<Frame>,
    /// What to try.
    pub hint: Option<String>,
    /// What `print()` was given until then.
    pub printed: Vec<String>,
}

/// One call on the way to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where.
    pub span: SourceSpan,
    /// The function that the place is in; `None` at the top level of a file, or if it is not known.
    pub function: Option<String>,
    /// The line of source at `span`, without its newline.
    pub line: String,
    /// Characters to mark in `line`, from `span.column`; at least one.
    pub width: usize,
}

impl std::error::Error for RecipeFailure {}

impl fmt::Display for RecipeFailure {
    /// The message and its place; [`Self::traceback`] has the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(last) = self.frames.last() {
            write!(f, "{}: ", last.span)?;
        }
        f.write_str(&self.message)
    }
}

/// Calls that a traceback shows: these many innermost and outermost ones.
const INNERMOST: usize = 12;
const OUTERMOST: usize = 4;

impl RecipeFailure {
    /// The place of the error with its source line, and the calls that led there, for people: innermost first, one per line.
    pub fn traceback(&self) -> String {
        let Some((last, callers)) = self.frames.split_last() else { return String::new() };
        let mut text = last.excerpt();
        let left_out = callers.len().saturating_sub(INNERMOST + OUTERMOST);
        for (index, frame) in callers.iter().rev().enumerate() {
            match index.checked_sub(INNERMOST) {
                Some(0) if left_out > 0 => text.push_str(&format!("    {left_out} more calls\n")),
                Some(beyond) if beyond < left_out => {}
                _ => text.push_str(&format!("    called from {}\n", frame.place())),
            }
        }
        text
    }
}

impl Frame {
    fn place(&self) -> String {
        let function = self.function.as_ref().map(|name| format!(" in {name}()"));
        format!("{}{}", self.span, function.unwrap_or_default())
    }

    /// The place, its line and a mark below it.
    fn excerpt(&self) -> String {
        let number = self.span.line.to_string();
        let margin = " ".repeat(number.len());
        let before = self.line.chars().take(self.span.column as usize - 1);
        let indent: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
        let mark = "^".repeat(self.width);
        format!("  --> {}\n  {number} | {}\n  {margin} | {indent}{mark}\n", self.place(), self.line)
    }
}
