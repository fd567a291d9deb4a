//! Where things are: the project, its physical store, its configuration.

use std::path::{Path, PathBuf};

use super::env;
use super::failure::Failure;

/// What makes a directory a project.
const MARK: &str = "derivations/default.star";

/// Finds the project: `--project`, `$KILN_PROJECT`, or the nearest directory upwards with `derivations/default.star`.
///
/// # Errors
/// If there is none.
pub fn find_project(chosen: Option<&Path>) -> Result<PathBuf, Failure> {
    let named = chosen.map(Path::to_owned).or_else(env::project);
    if let Some(project) = named {
        return canonical(&project);
    }
    let here = canonical(Path::new("."))?;
    let found = here.ancestors().find(|dir| dir.join(MARK).is_file()).map(Path::to_owned);
    found.ok_or_else(|| {
        Failure::request(format!("no `{MARK}` in `{}` or above it", here.display()))
            .hint("go into a kiln project, or name it with `--project DIR`")
    })
}

/// Finds the physical store: `--store`, `$KILN_STORE`, the project's `store/`, or the user's data directory.
///
/// # Errors
/// If none of these is known.
pub fn find_store(chosen: Option<&Path>, project: Option<&Path>) -> Result<PathBuf, Failure> {
    let in_project = || project.map(|project| project.join("store")).filter(|store| store.is_dir());
    let in_home = || env::data_dir().map(|data| data.join("kiln/store"));
    let store = chosen.map(Path::to_owned).or_else(env::store).or_else(in_project).or_else(in_home);
    let store = store.ok_or_else(|| {
        Failure::request("no store: neither a project's `store/` nor a home directory is known").hint("name one with `--store DIR`")
    })?;
    std::path::absolute(&store).map_err(|error| Failure::request(format!("`{}` cannot be a store: {error}", store.display())))
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::request(format!("cannot open `{}`: {error}", path.display())))
}
