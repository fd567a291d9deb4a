//! Binary caches, with directories as caches: what one machine pushes, another one takes, and what it does not believe.

mod lies;
mod pushing;
mod sharing;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};

use kiln::cache::signing::{PublicKey, SecretKey};
use kiln::model::NarInfo;
use walkdir::WalkDir;

use crate::support::{Outcome, Project, Scratch};

/// A library, a program that refers to it, and a tool that is only used on the way.
const RECIPE: &str = r#"
tool = sh("tool", "echo making the tool; printf 'echo tooled' > $out")
lib = sh("lib", "mkdir $out; echo library > $out/lib; ln -s lib $out/link; echo $out > $out/self", inputs = {"tool": tool})
app = sh("app", "echo making the app; sh $tool > $out; echo $lib >> $out", inputs = {"tool": tool, "lib": lib})
targets = {"app": app, "lib": lib, "tool": tool}
"#;

/// A cache in a directory, and a key.
struct Shared {
    dir: Scratch,
    key: SecretKey,
}

impl Shared {
    fn new() -> Self {
        let shared = Self { dir: Scratch::new(), key: SecretKey::generate("team-1".parse().unwrap()).unwrap() };
        fs::write(shared.key_file(), shared.key.secret_text()).unwrap();
        shared
    }

    /// A cache to which a first machine has pushed the targets of [`RECIPE`]; and that machine.
    fn filled() -> (Self, Project) {
        let shared = Self::new();
        let first = Project::new().recipe(RECIPE);
        first.kiln(["build", "app"]).success().built(&["tool", "lib", "app"]);
        shared.push(&first, &["app"]).success();
        (shared, first)
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn url(&self) -> String {
        format!("file://{}", self.cache().display())
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    fn public(&self) -> String {
        self.key.public().to_string()
    }

    fn push(&self, project: &Project, more: &[&str]) -> Outcome {
        let (url, key) = (self.url(), self.key_file());
        project.kiln([&["cache", "push", "--json", "--to", &url, "--key", key.to_str().unwrap()], more].concat())
    }

    /// `kiln build` with this cache and its key trusted.
    fn build(&self, project: &Project, more: &[&str]) -> Outcome {
        project.kiln([&["build", "--json", "--cache", &self.url(), "--trusted-key", &self.public()], more].concat())
    }

    /// The description of the object with this name, and where it lies.
    fn narinfo(&self, name: &str) -> (PathBuf, NarInfo) {
        let all = narinfos(&self.cache());
        all.into_iter().find(|(_, info)| info.path.name().as_str() == name).unwrap_or_else(|| panic!("no description of {name}"))
    }

    /// All entries below a directory of the cache.
    fn entries(&self, below: &str) -> Vec<PathBuf> {
        files(&self.cache().join(below))
    }

    /// The only entry of traces about a derivation that gave an object of this name.
    fn traces_of(&self, name: &str) -> PathBuf {
        let is_it = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(&format!("-{name}\""));
        self.entries("kiln/traces").into_iter().find(is_it).unwrap()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let found = WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    found.map(walkdir::DirEntry::into_path).collect()
}

fn narinfos(cache: &Path) -> Vec<(PathBuf, NarInfo)> {
    let described = files(cache).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "narinfo"));
    described.map(|path| (path.clone(), fs::read_to_string(&path).unwrap().parse().unwrap())).collect()
}

fn verifies(key: &PublicKey, info: &NarInfo) -> bool {
    info.signatures.iter().any(|text| key.verifies(info.fingerprint().as_bytes(), &text.parse().unwrap()))
}

/// The names of derivations that a build with `--json` made.
#[track_caller]
fn made(outcome: &Outcome) -> Vec<String> {
    let mut names: Vec<String> = outcome.json()["built"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}
