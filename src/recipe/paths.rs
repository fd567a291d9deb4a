//! Paths in recipes: `//a/b` is relative to the project, anything else to the directory of the recipe file.
//!
//! In: the text a recipe gives. Out: a path relative to the project without `.` and `..`, and the bytes that lie there. A path that
//! leaves the project, or a link that does, is refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::refusal::{PathProblem, Refusal};
use super::suggest::nearest;

/// Largest file that a recipe may read, in MiB.
const LARGEST_FILE_MIB: u64 = 16;

/// What a file is read for, which decides where it may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    /// A recipe file: under `derivations/`, ending in `.star`.
    Recipe,
    /// A text: under `derivations/` or `patches/`, or `VERSION`.
    Text,
}

impl Area {
    fn check(self, path: &str) -> Result<(), PathProblem> {
        let below = |area: &str| path.strip_prefix(area).is_some_and(|rest| rest.starts_with('/'));
        match self {
            Self::Recipe if !below("derivations") => Err(PathProblem::OutsideDerivations),
            Self::Recipe if !path.ends_with(".star") => Err(PathProblem::NoRecipeFile),
            Self::Text if path != "VERSION" && !below("derivations") && !below("patches") => Err(PathProblem::OutsideAreas),
            _ => Ok(()),
        }
    }
}

/// The directory of the project.
#[derive(Debug)]
pub(super) struct Project {
    root: PathBuf,
}

impl Project {
    /// The project in `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { root: fs::canonicalize(directory)? })
    }

    /// The text of a file that may lie in `area`. `path` comes from [`resolve`].
    pub(super) fn read(&self, path: &str, area: Area) -> Result<String, Refusal> {
        let problem = |problem| Refusal::Path { path: path.to_owned(), problem };
        area.check(path).map_err(problem)?;
        let real = self.real(path).map_err(problem)?;
        area.check(&real).map_err(|_| problem(PathProblem::LinkOutsideAreas(real.clone())))?;
        read_text(&self.root.join(&real)).map_err(problem)
    }

    /// Checks that a source exists and lies in the project; links are not followed at its end.
    pub(super) fn check_source(&self, path: &str) -> Result<(), Refusal> {
        let problem = |problem| Refusal::Path { path: path.to_owned(), problem };
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
        self.real(parent).map_err(problem)?;
        let metadata = fs::symlink_metadata(self.root.join(path)).map_err(|error| problem(self.missing(path, error)))?;
        let kind = metadata.file_type();
        if kind.is_file() || kind.is_dir() || kind.is_symlink() { Ok(()) } else { Err(problem(PathProblem::Special)) }
    }

    /// Where `path` leads after all links, relative to the project.
    fn real(&self, path: &str) -> Result<String, PathProblem> {
        let real = fs::canonicalize(self.root.join(path)).map_err(|error| self.missing(path, error))?;
        let relative = real.strip_prefix(&self.root).map_err(|_| PathProblem::LinkLeaves(real.display().to_string()))?;
        relative.to_str().map(str::to_owned).ok_or(PathProblem::NotText)
    }

    fn missing(&self, path: &str, error: io::Error) -> PathProblem {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            return PathProblem::Unreadable(error);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = fs::read_dir(self.root.join(parent)).into_iter().flatten().flatten();
        let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        PathProblem::Missing(near.into_iter().map(|near| if parent.is_empty() { near } else { format!("{parent}/{near}") }).collect())
    }
}

fn read_text(path: &Path) -> Result<String, PathProblem> {
    let file = File::open(path).map_err(PathProblem::Unreadable)?;
    let metadata = file.metadata().map_err(PathProblem::Unreadable)?;
    if metadata.is_dir() {
        return Err(PathProblem::Directory);
    }
    if !metadata.is_file() {
        return Err(PathProblem::Special);
    }
    let most = LARGEST_FILE_MIB << 20;
    let mut bytes = Vec::with_capacity(metadata.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes).map_err(PathProblem::Unreadable)?;
    if bytes.len() as u64 > most {
        return Err(PathProblem::TooLarge(LARGEST_FILE_MIB));
    }
    String::from_utf8(bytes).map_err(|_| PathProblem::NotText)
}

/// The path that `text` means in the file `from` (relative to the project): relative to the project, without `.` and `..`.
pub(super) fn resolve(from: &str, text: &str) -> Result<String, Refusal> {
    let problem = |problem| Refusal::Path { path: text.to_owned(), problem };
    let (base, relative) = match text.strip_prefix("//") {
        Some(rest) => ("", rest),
        None => (from.rsplit_once('/').map_or("", |(directory, _)| directory), text),
    };
    if relative.starts_with('/') || text.is_empty() || text.contains('\0') {
        return Err(problem(PathProblem::Malformed));
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for component in Path::new(relative).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            Component::ParentDir if parts.pop().is_some() => {}
            _ => return Err(problem(PathProblem::Leaves)),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_relative_to_the_project_or_the_file() {
        let from = "derivations/lib/lane.star";
        assert_eq!(resolve(from, "//patches/a").unwrap(), "patches/a");
        assert_eq!(resolve(from, "a.sh").unwrap(), "derivations/lib/a.sh");
        assert_eq!(resolve(from, "./x/../a.sh").unwrap(), "derivations/lib/a.sh");
        assert_eq!(resolve(from, "../../patches").unwrap(), "patches");
        assert_eq!(resolve(from, "//").unwrap(), "");
    }

    #[test]
    fn paths_that_leave_the_project_are_refused() {
        for text in ["../../../x", "//..", "//a/../../b"] {
            let error = resolve("derivations/lib/lane.star", text).unwrap_err();
            assert!(error.to_string().ends_with("leaves the project"), "{error}");
        }
        for text in ["/etc/passwd", "", "///etc/passwd", "a\0b"] {
            assert!(resolve("derivations/x.star", text).unwrap_err().to_string().ends_with("is not a path of the project"), "{text}");
        }
    }

    fn project() -> (tempfile::TempDir, Project) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["derivations/lib", "patches", "src"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("derivations/a.sh"), "true\n").unwrap();
        fs::write(directory.path().join("src/b.txt"), "b").unwrap();
        fs::write(directory.path().join("VERSION"), "1\n").unwrap();
        let project = Project::new(directory.path()).unwrap();
        (directory, project)
    }

    #[test]
    fn only_the_areas_of_recipes_are_read() {
        let (_directory, project) = project();
        assert_eq!(project.read("derivations/a.sh", Area::Text).unwrap(), "true\n");
        assert_eq!(project.read("VERSION", Area::Text).unwrap(), "1\n");
        for path in ["src/b.txt", "derivationsx", "VERSION2", "derivations"] {
            assert!(project.read(path, Area::Text).unwrap_err().to_string().contains("the only places"), "{path}");
        }
        assert!(project.read("derivations/a.sh", Area::Recipe).unwrap_err().to_string().contains("`.star`"));
        assert!(project.read("patches/a.star", Area::Recipe).unwrap_err().to_string().contains("loaded from"));
    }

    #[test]
    fn links_that_leave_are_refused() {
        let (directory, project) = project();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        symlink(outside.path().join("secret"), directory.path().join("derivations/out")).unwrap();
        symlink(outside.path(), directory.path().join("derivations/dir")).unwrap();
        symlink("../src/b.txt", directory.path().join("derivations/sideways")).unwrap();
        symlink("a.sh", directory.path().join("derivations/fine")).unwrap();
        for path in ["derivations/out", "derivations/dir/secret"] {
            assert!(project.read(path, Area::Text).unwrap_err().to_string().contains("out of the project"), "{path}");
        }
        assert!(project.read("derivations/sideways", Area::Text).unwrap_err().to_string().contains("is a link to `src/b.txt`"));
        assert_eq!(project.read("derivations/fine", Area::Text).unwrap(), "true\n");
        assert!(project.check_source("derivations/dir/secret").unwrap_err().to_string().contains("out of the project"));
        project.check_source("derivations/out").unwrap();
    }

    #[test]
    fn a_missing_file_gets_a_suggestion() {
        let (_directory, project) = project();
        let error = project.read("derivations/b.sh", Area::Text).unwrap_err();
        assert_eq!(error.to_string(), "`derivations/b.sh` does not exist; did you mean `derivations/a.sh`?");
        assert!(project.check_source("src/nothing").is_err());
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let (directory, project) = project();
        fs::write(directory.path().join("derivations/binary"), [0xff, 0xfe]).unwrap();
        assert!(project.read("derivations/binary", Area::Text).unwrap_err().to_string().ends_with("is not UTF-8 text"));
        assert!(project.read("derivations/lib", Area::Text).unwrap_err().to_string().ends_with("is a directory"));
    }
}
