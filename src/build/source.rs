//! Sources of the project: which files belong to one, what store path it gets, and how it gets into the store.
//!
//! In a git work tree a source consists of the files that git tracks and of those it neither tracks nor ignores; git is asked once, for
//! names only; submodules and repositories inside are asked likewise. Elsewhere it is everything. Links are kept as links. Empty directories do
//! not count, as they do not for git. A source is hashed where it lies.
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

use crate::archive::{ArchiveError, ReferenceIndex, ScanRequest, scan, scan_kept};
use crate::fsio::{IoResultExt, PathError};
use crate::model::{SourceSpan, StoreName, StorePath, recursive_path};
use crate::store::{OutputTree, Staged, Store, StoreError};

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there.
    #[error("the source `{0}` does not exist in the project, or git ignores it")]
    Missing(PathBuf),
    /// A submodule was never checked out.
    #[error("the files of the submodule `{}` are not here; `git submodule update --init` brings them", .0.display())]
    AbsentSubmodule(PathBuf),
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
    /// What git knows of the project; none outside a work tree.
    listed: OnceLock<Option<Listed>>,
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
        let (physical, selection) = (self.project.join(&source.path), self.select(source)?);
        let request = ScanRequest { own: None, candidates: &ReferenceIndex::default() };
        let scanned = match &selection {
            Selection::All => scan(&physical, &request)?,
            Selection::Some(places) => scan_kept(&physical, &request, &|place| places.contains(place))?,
        };
        Ok(recursive_path(&source.name, &scanned.nar_hash, &BTreeSet::new(), false))
    }

    /// What belongs to a source: looked at by name and kind only, so that it can be hashed where it lies.
    fn select(&self, source: &SourceTree) -> Result<Selection, SourceError> {
        let base = self.project.join(&source.path);
        if base.symlink_metadata().is_err() {
            return Err(SourceError::Missing(source.path.clone()));
        }
        self.refuse_absent_submodules(source)?;
        let (mut places, mut all, mut any) = (BTreeSet::new(), true, false);
        for entry in WalkDir::new(&base).follow_root_links(false) {
            let entry = entry.map_err(|error| PathError::new("read", &base, error))?;
            let relative = entry.path().strip_prefix(&base).unwrap_or(Path::new(""));
            if entry.file_type().is_dir() {
                all &= fs::read_dir(entry.path()).at("list", entry.path())?.next().is_some();
            } else if self.wants(source, relative)? {
                any = true;
                places.extend(relative.ancestors().map(Path::to_owned));
            } else {
                all = false;
            }
        }
        match (any, all) {
            (false, _) => Err(SourceError::Missing(source.path.clone())),
            (true, true) => Ok(Selection::All),
            (true, false) => Ok(Selection::Some(places)),
        }
    }

    /// A submodule whose files are not here would be left out without a word.
    fn refuse_absent_submodules(&self, source: &SourceTree) -> Result<(), SourceError> {
        let Some(listed) = self.listed()?.filter(|_| !source.path.is_absolute()) else { return Ok(()) };
        let inside = |place: &PathBuf| place.starts_with(&source.path) || source.path.starts_with(place);
        let absent =
            listed.absent.iter().find(|place| inside(place) && !(source.excludes)(place.strip_prefix(&source.path).unwrap_or(place)));
        absent.map_or(Ok(()), |place| Err(SourceError::AbsentSubmodule(place.clone())))
    }

    fn wants(&self, source: &SourceTree, relative: &Path) -> Result<bool, SourceError> {
        let in_project = if relative.as_os_str().is_empty() { source.path.clone() } else { source.path.join(relative) };
        // What a user put there by hand is outside of the project, so git does not know it.
        let listed = source.path.is_absolute() || self.listed()?.is_none_or(|listed| listed.files.contains(&in_project));
        Ok(listed && !(source.excludes)(relative))
    }

    fn copy(&self, source: &SourceTree, dest: &Path) -> Result<(), SourceError> {
        let (base, selection) = (self.project.join(&source.path), self.select(source)?);
        for entry in WalkDir::new(&base).follow_root_links(false).sort_by_file_name() {
            let entry = entry.map_err(|error| PathError::new("read", &base, error))?;
            let relative = entry.path().strip_prefix(&base).unwrap_or(Path::new(""));
            if entry.file_type().is_dir() || !selection.has(relative) {
                continue;
            }
            let target = if relative.as_os_str().is_empty() { dest.to_owned() } else { dest.join(relative) };
            copy_entry(entry.path(), &target)?;
        }
        Ok(())
    }

    fn listed(&self) -> Result<Option<&Listed>, SourceError> {
        if let Some(listed) = self.listed.get() {
            return Ok(listed.as_ref());
        }
        let in_git = self.project.ancestors().any(|dir| dir.join(".git").exists());
        let mut listed = Listed::default();
        if in_git {
            listed.add(&self.project, Path::new(""))?;
        }
        Ok(self.listed.get_or_init(|| in_git.then_some(listed)).as_ref())
    }
}

/// What of a tree belongs to a source.
enum Selection {
    All,
    /// These places, relative to it; directories are among them.
    Some(BTreeSet<PathBuf>),
}

impl Selection {
    fn has(&self, place: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Some(places) => places.contains(place),
        }
    }
}

fn copy_entry(from: &Path, to: &Path) -> Result<(), PathError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    let kind = from.symlink_metadata().at("look at", from)?.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).at("read the link", from)?;
        return std::os::unix::fs::symlink(target, to).at("create the link", to);
    }
    // Opening a pipe would wait for somebody who writes into it.
    if !kind.is_file() {
        return Err(PathError::new("copy", from, std::io::Error::other("it is neither a file nor a link")));
    }
    fs::copy(from, to).at("copy", from).map(|_| ())
}

/// What git knows of a project, relative to it.
#[derive(Default)]
struct Listed {
    /// Files that git tracks, or that it would offer to add; those of submodules and of repositories inside, too.
    files: BTreeSet<PathBuf>,
    /// Submodules that are not checked out.
    absent: BTreeSet<PathBuf>,
}

impl Listed {
    /// Adds the files of the repository that `dir` belongs to, as far as they lie in `dir`, which is `place` in the project.
    fn add(&mut self, dir: &Path, place: &Path) -> Result<(), SourceError> {
        for name in git_files(dir)? {
            let (inner, here) = (dir.join(&name), place.join(&name));
            // A directory is a repository of its own: a submodule, or one that git does not look into.
            if !inner.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                self.files.insert(here);
            } else if inner.join(".git").symlink_metadata().is_ok() {
                self.add(&inner, &here)?;
            } else {
                self.absent.insert(here);
            }
        }
        Ok(())
    }
}

/// The names below `dir` that git tracks, or that it would offer to add. Nothing of the caller's reaches git: neither the variables by which a
/// hook's git tells its repository, nor a user's own list of what to ignore, for what comes out is hashed.
fn git_files(dir: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut command = Command::new("git");
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs([("LC_ALL", "C"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
    // The recipes' owner may be another user than the one who builds; git only lists names here, so that is no danger.
    command.args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C"]).arg(dir);
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

    #[test]
    fn a_pipe_is_named_and_not_read() {
        let project = tempfile::tempdir().unwrap();
        fs::create_dir_all(project.path().join("s/empty")).unwrap();
        fs::write(project.path().join("s/a"), "a").unwrap();
        nix::unistd::mkfifo(&project.path().join("s/p"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = Sources::new(project.path()).path_of(source("s")).unwrap_err().to_string();
        assert!(error.contains("s/p` is a named pipe"), "{error}");
        fs::rename(project.path().join("s/p"), project.path().join("s/skip")).unwrap();
        Sources::new(project.path()).path_of(source("s")).unwrap();
    }

    #[test]
    fn a_submodule_and_a_repository_inside_belong_to_the_source() {
        let project = tempfile::tempdir().unwrap();
        let (lib, top) = (project.path().join("lib"), project.path().join("top"));
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        for dir in [&lib, &top] {
            fs::create_dir_all(dir.join("s")).unwrap();
            git(dir, &["init", "-q"]);
            fs::write(dir.join("s/file"), "text").unwrap();
            git(dir, &["add", "."]);
            git(dir, &[&identity[..], &["commit", "-qm", "x"]].concat());
        }
        let path = || Sources::new(&top).path_of(source("s"));
        let alone = path().unwrap();
        git(&top, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", lib.to_str().unwrap(), "s/lib"]);
        let with_submodule = path().unwrap();
        assert_ne!(with_submodule, alone);
        fs::write(top.join("s/lib/s/file"), "changed").unwrap();
        assert_ne!(path().unwrap(), with_submodule);
        fs::create_dir(top.join("s/n")).unwrap();
        git(&top.join("s/n"), &["init", "-q"]);
        let before = path().unwrap();
        fs::write(top.join("s/n/file"), "text").unwrap();
        assert_ne!(path().unwrap(), before);
        fs::remove_dir_all(top.join("s/lib")).unwrap();
        fs::create_dir(top.join("s/lib")).unwrap();
        let error = path().unwrap_err().to_string();
        assert!(error.starts_with("the files of the submodule `s/lib` are not here"), "{error}");
    }
}
