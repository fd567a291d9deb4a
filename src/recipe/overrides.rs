//! Sources by hand: a named source is replaced by a file or tree of this machine, for one evaluation.
//!
//! What is replaced is a fetched file (`fetch_*`), by a file; or an unpacked one (`unpack`) or a tree of the project (`source`), by either. It becomes a
//! source like those of the project, so the hashes of all derivations that read it say what was put there.

use std::collections::BTreeSet;
use std::path::Path;

use super::primitives::UNPACK;
use super::recipes::{Evaluated, Recipe, RecipeKind, SourceRequest};
use super::suggest::{DidYouMean, nearest};

/// Why a source cannot be replaced.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// No source has this name.
    #[error("no source is called `{name}`{}", DidYouMean(.near))]
    Unknown {
        /// The name.
        name: String,
        /// Similar names that exist.
        near: Vec<String>,
    },
    /// A file is fetched, and a tree was given, or nothing.
    #[error("`{name}` is a file, so `{path}` cannot stand for it: it is {found}")]
    NotAFile {
        /// The source.
        name: String,
        /// What was to replace it.
        path: String,
        /// What that is.
        found: &'static str,
    },
    /// Nothing is there.
    #[error("`{path}`, which is to replace `{name}`, cannot be read: {reason}")]
    Unreadable {
        /// The source.
        name: String,
        /// What was to replace it.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl Evaluated {
    /// Replaces the sources called `name` by what is at `path`, an absolute path. What git keeps for itself (`.git`) is left out of a tree.
    ///
    /// # Errors
    /// If no source has that name, or `path` cannot stand for it.
    pub fn override_source(&mut self, name: &str, path: &Path) -> Result<(), OverrideError> {
        let shown = path.display().to_string();
        let metadata = path.metadata().map_err(|error| OverrideError::Unreadable {
            name: name.to_owned(),
            path: shown.clone(),
            reason: error.to_string(),
        })?;
        let mut any = false;
        for recipe in self.recipes.iter_mut().filter(|recipe| recipe.name.as_str() == name && is_source(recipe)) {
            if matches!(recipe.kind, RecipeKind::Fetch { .. }) && !metadata.is_file() {
                let found = if metadata.is_dir() { "a directory" } else { "something else" };
                return Err(OverrideError::NotAFile { name: name.to_owned(), path: shown, found });
            }
            let exclude = BTreeSet::from([".git".to_owned()]);
            let request = SourceRequest { path: shown.clone(), exclude, name: recipe.name.clone(), span: recipe.span.clone() };
            recipe.kind = RecipeKind::Source(request);
            any = true;
        }
        if any {
            return Ok(());
        }
        let names = self.recipes.iter().filter(|recipe| is_source(recipe)).map(|recipe| recipe.name.as_str());
        Err(OverrideError::Unknown { name: name.to_owned(), near: nearest(name, names) })
    }
}

fn is_source(recipe: &Recipe) -> bool {
    match &recipe.kind {
        RecipeKind::Fetch { .. } | RecipeKind::Source(_) => true,
        RecipeKind::Builtin { kind, .. } => *kind == UNPACK,
        RecipeKind::Script { .. } => false,
    }
}
