//! Sources of the project: which files belong to one, what store path it gets, and how it gets into the store.
//!
//! In a git work tree a source consists of the files that git tracks and of those it neither tracks nor ignores; git is asked once, for
//! names only. Elsewhere it is everything. Links are kept as links. Empty directories do not count, as they do not for git.
//!
//! Not here: what a recipe may name (`recipe`), which has refused paths outside the project before they come here.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use walkdir::WalkDir;

use crate::archive::{ArchiveError, ReferenceIndex, ScanRequest, scan};
use crate::fsio::{IoResultExt, PathError};
use crate::model::{SourceSpan, StoreName, StorePath, recursive_path};
use crate::store::{OutputTree, Staged, Store, StoreError};

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there.
    #[error("the source `{0}` does not exist in the project, or git ignores it")]
    Missing(PathBuf),
    /// git could not list the project's files.
    #[error("cannot list the project's files with git: {0}")]
    Git(String),
    /// Its bytes are not those that the derivation was made from.
    #[error("the source `{path}` changed while it was being read: it was {before} and is {now}")]
    Changed {
        /// Where it lies.
        path: PathBuf,
        /// The store path at evaluation.
        before: StorePath,
        /// The store path of the copy.
        now: StorePath,
    },
    /// It holds something that no object may hold.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The copy could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// A tree or file of the project.
pub struct SourceTree {
    /// Relative to the project.
    pub path: PathBuf,
    /// The store name it gets.
    pub name: StoreName,
    /// Where a recipe names it.
    pub span: Option<SourceSpan>,
    /// Whether a path relative to the source is left out.
    pub excludes: Box<dyn Fn(&Path) -> bool + Send + Sync>,
}

/// The sources of one project.
pub struct Sources {
    project: PathBuf,
    /// All files that git would put into a commit; none outside a work tree.
    listed: OnceLock<Option<BTreeSet<PathBuf>>>,
    known: Mutex<HashMap<StorePath, SourceTree>>,
}

impl Sources {
    /// The sources of the project at `project`.
    pub fn new(project: &Path) -> Self {
        Self { project: project.to_owned(), listed: OnceLock::new(), known: Mutex::default() }
    }

    /// Works out the store path of a source, and remembers it so that it can be staged when something needs it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn path_of(&self, source: SourceTree) -> Result<StorePath, SourceError> {
        let path = self.hash(&source)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), source);
        Ok(path)
    }

    /// Whether `path` is that of a remembered source.
    pub fn holds(&self, path: &StorePath) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path)
    }

    /// Where a recipe names a remembered source.
    pub fn span(&self, path: &StorePath) -> Option<SourceSpan> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path)?.span.clone()
    }

    /// Copies a remembered source into the store; it is not registered yet.
    ///
    /// # Errors
    /// If it cannot be read, or has changed since it was hashed.
    pub fn stage(&self, path: &StorePath, store: &Store) -> Result<Staged, SourceError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let source = known.get(path).ok_or_else(|| SourceError::Missing(PathBuf::from(path.name().as_str())))?;
        let scratch = store.new_scratch()?;
        let tree = scratch.path().join("source");
        self.copy(source, &tree)?;
        let output = OutputTree { tree, name: source.name.clone(), scratch: None };
        let staged = store.stage(vec![output], &BTreeSet::new())?.into_iter().next();
        match staged {
            Some(staged) if staged.info.path == *path => Ok(staged),
            Some(staged) => Err(SourceError::Changed { path: source.path.clone(), before: path.clone(), now: staged.info.path }),
            None => Err(SourceError::Missing(source.path.clone())),
        }
    }

    fn hash(&self, source: &SourceTree) -> Result<StorePath, SourceError> {
        let physical = self.project.join(&source.path);
        if physical.symlink_metadata().is_err() {
            return Err(SourceError::Missing(source.path.clone()));
        }
        if self.is_whole(source)? {
            return hash_tree(&physical, &source.name);
        }
        let copy = tempfile::tempdir().at("create a directory for a copy of", &physical)?;
        let tree = copy.path().join("source");
        self.copy(source, &tree)?;
        hash_tree(&tree, &source.name)
    }

    /// Whether nothing below the source is left out, so that it can be hashed where it lies.
    fn is_whole(&self, source: &SourceTree) -> Result<bool, SourceError> {
        let base = self.project.join(&source.path);
        for entry in WalkDir::new(&base).follow_root_links(false) {
            let entry = entry.map_err(|error| PathError::new("read", &base, error))?;
            let relative = entry.path().strip_prefix(&base).unwrap_or(Path::new(""));
            let wanted = match entry.file_type().is_dir() {
                true => fs::read_dir(entry.path()).at("list", entry.path())?.next().is_some(),
                false => self.wants(source, relative)?,
            };
            if !wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wants(&self, source: &SourceTree, relative: &Path) -> Result<bool, SourceError> {
        let in_project = if relative.as_os_str().is_empty() { source.path.clone() } else { source.path.join(relative) };
        // What a user put there by hand is outside of the project, so git does not know it.
        let listed = source.path.is_absolute() || self.listed()?.is_none_or(|listed| listed.contains(&in_project));
        Ok(listed && !(source.excludes)(relative))
    }

    fn copy(&self, source: &SourceTree, dest: &Path) -> Result<(), SourceError> {
        let base = self.project.join(&source.path);
        let mut any = false;
        for entry in WalkDir::new(&base).follow_root_links(false).sort_by_file_name() {
            let entry = entry.map_err(|error| PathError::new("read", &base, error))?;
            let relative = entry.path().strip_prefix(&base).unwrap_or(Path::new(""));
            if entry.file_type().is_dir() || !self.wants(source, relative)? {
                continue;
            }
            any = true;
            let target = if relative.as_os_str().is_empty() { dest.to_owned() } else { dest.join(relative) };
            copy_entry(entry.path(), &target)?;
        }
        if any { Ok(()) } else { Err(SourceError::Missing(source.path.clone())) }
    }

    fn listed(&self) -> Result<Option<&BTreeSet<PathBuf>>, SourceError> {
        if let Some(listed) = self.listed.get() {
            return Ok(listed.as_ref());
        }
        let in_git = self.project.ancestors().any(|dir| dir.join(".git").exists());
        let files = if in_git { Some(git_files(&self.project)?) } else { None };
        Ok(self.listed.get_or_init(|| files).as_ref())
    }
}

fn hash_tree(tree: &Path, name: &StoreName) -> Result<StorePath, SourceError> {
    let scanned = scan(tree, &ScanRequest { own: None, candidates: &ReferenceIndex::default() })?;
    Ok(recursive_path(name, &scanned.nar_hash, &BTreeSet::new(), false))
}

fn copy_entry(from: &Path, to: &Path) -> Result<(), PathError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    if from.symlink_metadata().at("look at", from)?.is_symlink() {
        let target = fs::read_link(from).at("read the link", from)?;
        return std::os::unix::fs::symlink(target, to).at("create the link", to);
    }
    fs::copy(from, to).at("copy", from).map(|_| ())
}

/// The files below `project` that git tracks, or that it would offer to add.
fn git_files(project: &Path) -> Result<BTreeSet<PathBuf>, SourceError> {
    // The recipes' owner may be another user than the one who builds; git only lists names here, so that is no danger.
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C"]).arg(project);
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.output().map_err(|error| SourceError::Git(error.to_string()))?;
    if !output.status.success() {
        return Err(SourceError::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(|name| PathBuf::from(OsStr::from_bytes(name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str) -> SourceTree {
        SourceTree { path: path.into(), name: "src".parse().unwrap(), span: None, excludes: Box::new(|path| path.ends_with("skip")) }
    }

    fn git(project: &Path, args: &[&str]) {
        assert!(Command::new("git").arg("-C").arg(project).args(args).status().unwrap().success());
    }

    #[test]
    fn what_is_left_out_does_not_change_the_path() {
        let project = tempfile::tempdir().unwrap();
        fs::create_dir(project.path().join("s")).unwrap();
        fs::write(project.path().join("s/a"), "a").unwrap();
        let before = Sources::new(project.path()).path_of(source("s")).unwrap();
        fs::write(project.path().join("s/skip"), "b").unwrap();
        fs::create_dir(project.path().join("s/empty")).unwrap();
        assert_eq!(Sources::new(project.path()).path_of(source("s")).unwrap(), before);
        fs::write(project.path().join("s/b"), "b").unwrap();
        assert_ne!(Sources::new(project.path()).path_of(source("s")).unwrap(), before);
    }

    #[test]
    fn in_a_work_tree_ignored_files_are_left_out() {
        let project = tempfile::tempdir().unwrap();
        git(project.path(), &["init", "-q"]);
        fs::create_dir(project.path().join("s")).unwrap();
        fs::write(project.path().join("s/a"), "a").unwrap();
        let before = Sources::new(project.path()).path_of(source("s")).unwrap();
        fs::write(project.path().join(".gitignore"), "*.o\n").unwrap();
        fs::write(project.path().join("s/a.o"), "b").unwrap();
        assert_eq!(Sources::new(project.path()).path_of(source("s")).unwrap(), before);
    }

    #[test]
    fn a_missing_source_is_named() {
        let project = tempfile::tempdir().unwrap();
        let error = Sources::new(project.path()).path_of(source("nowhere")).unwrap_err().to_string();
        assert!(error.contains("`nowhere`"), "{error}");
    }

    #[test]
    fn a_single_file_is_a_source_too() {
        let project = tempfile::tempdir().unwrap();
        fs::write(project.path().join("f"), "dep\n").unwrap();
        let source = SourceTree { path: "f".into(), name: "dep".parse().unwrap(), span: None, excludes: Box::new(|_| false) };
        let path = Sources::new(project.path()).path_of(source).unwrap();
        assert_eq!(path.to_string(), "/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep");
    }
}
