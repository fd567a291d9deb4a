//! Whole projects evaluated and lowered.

mod documentation;
mod errors;
mod golden;
mod language;
mod limits;
mod lowering;
mod schema;
mod speed;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;

use crate::model::{Sha256, StorePath, recursive_path};

use super::lower::lower_for;
use super::{Evaluated, Lowered, RecipeError, RecipeFailure, SourceRequest, evaluate};

/// A project in a scratch directory.
struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    /// A project whose `derivations/default.star` is `text`. `root` and `dep` are artifacts to use.
    fn new(text: &str) -> Self {
        let project = Self { directory: tempfile::tempdir().unwrap() };
        let prelude = "root = fetch_url([\"https://example.test/root.tar\"], \"00\" * 32)\ndep = root\n";
        project.file("derivations/default.star", &format!("{prelude}{text}\n"))
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn evaluate(&self) -> Result<Evaluated, RecipeError> {
        self.evaluate_with(&[])
    }

    fn evaluate_with(&self, params: &[(&str, &str)]) -> Result<Evaluated, RecipeError> {
        let params: BTreeMap<String, String> = params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        evaluate(self.directory.path(), &params)
    }

    /// The failure that evaluation must end in.
    fn failure(&self) -> RecipeFailure {
        match self.evaluate() {
            Err(RecipeError::Failed(failure)) => *failure,
            other => panic!("expected a failure, got {other:?}"),
        }
    }
}

/// `text` evaluated as the default file.
fn evaluated(text: &str) -> Evaluated {
    Project::new(text).evaluate().unwrap()
}

/// The message that evaluating `text` must end in.
fn message(text: &str) -> String {
    Project::new(&format!("{text}\ntargets = {{}}")).failure().message
}

/// A stand-in for the store: a source's path follows from its name and place.
fn pretend_source(request: &SourceRequest) -> Result<StorePath, Infallible> {
    Ok(recursive_path(&request.name, &Sha256::of(&request.path), &Default::default(), false))
}

fn lowered(evaluated: &Evaluated, targets: &[&str]) -> Lowered {
    lower_for("x86_64-linux", evaluated, targets, &mut pretend_source).unwrap()
}
