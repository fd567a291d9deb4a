//! The index that an installed pip asks when nobody tells it otherwise, read from its own source text. pip is not run.
//!
//! pip carries it in `pip/_internal/models/index.py`, in the line `PyPI = PackageIndex("…", …)`. Looked for are, in this order, the
//! active environment's pip, those of the Pythons on `PATH` (a version manager's shims lead to its versions), the user's, the system's,
//! and last the wheel that Python's own `ensurepip` would install.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::net::Machine;

/// pip's file that holds the index, from its package directory's parent.
const INDEX_FILE: &str = "pip/_internal/models/index.py";

/// No file of pip's that is longer than this is looked into.
const LONGEST: u64 = 1 << 20;

/// The default index of the first pip that is found, as pip's `index-url` would say it.
pub(super) fn index_url(machine: &Machine) -> Option<String> {
    let libraries: Vec<PathBuf> = prefixes(machine).iter().flat_map(|prefix| libraries(machine, prefix)).collect();
    let installed = libraries.iter().flat_map(|library| ["site-packages", "dist-packages"].map(|dir| library.join(dir).join(INDEX_FILE)));
    let from_installed = installed.filter_map(|file| machine.read(file).ok().flatten());
    let wheel_dirs = libraries.iter().map(|library| library.join("ensurepip/_bundled"));
    let wheel_dirs = wheel_dirs.chain([PathBuf::from("/usr/share/python-wheels")]);
    let wheels = wheel_dirs.flat_map(|dir| machine.list(dir)).filter(|file| is_pip_wheel(file));
    let from_wheels = wheels.filter_map(|wheel| read_from_wheel(&machine.path(wheel)));
    from_installed.chain(from_wheels).find_map(|text| default_in(&text))
}

/// `simple` below the address in `PyPI = PackageIndex("…"`.
fn default_in(text: &str) -> Option<String> {
    let call = text.lines().position(|line| line.starts_with("PyPI = PackageIndex("))?;
    let rest = text.lines().skip(call).collect::<Vec<_>>().join("\n");
    let argument = rest.split_once('(')?.1.trim_start();
    let quote = argument.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let url = argument[1..].split(quote).next()?;
    (url.starts_with("https://") && !url.contains(char::is_whitespace)).then(|| format!("{}/simple", url.trim_end_matches('/')))
}

/// Directories under which Pythons are installed: those that have `lib/python3…`.
fn prefixes(machine: &Machine) -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(|name| machine.var(name)).map(PathBuf::from).collect();
    for dir in machine.var("PATH").unwrap_or_default().split(':').map(Path::new).filter(|dir| dir.is_absolute()) {
        let Some(parent) = dir.parent() else { continue };
        if dir.ends_with("shims") {
            prefixes.extend(newest_first(machine, parent.join("versions")));
        } else if dir.ends_with("bin") || dir.ends_with("sbin") {
            prefixes.push(parent.to_owned());
        }
    }
    let managed = machine.var("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(machine.home()?.join(".pyenv")));
    prefixes.extend(managed.into_iter().flat_map(|root| newest_first(machine, root.join("versions"))));
    prefixes.extend(machine.home().map(|home| home.join(".local")));
    prefixes.extend(["/usr/local", "/usr"].map(PathBuf::from));
    let mut seen = std::collections::HashSet::new();
    prefixes.retain(|prefix| seen.insert(prefix.clone()));
    prefixes
}

fn newest_first(machine: &Machine, versions: PathBuf) -> impl Iterator<Item = PathBuf> {
    machine.list(versions).into_iter().rev()
}

fn libraries(machine: &Machine, prefix: &Path) -> Vec<PathBuf> {
    let is_python = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3"));
    ["lib", "lib64"].into_iter().flat_map(|lib| machine.list(prefix.join(lib))).filter(is_python).collect()
}

fn is_pip_wheel(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("pip-") && name.ends_with(".whl")
}

fn read_from_wheel(wheel: &Path) -> Option<String> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).ok()?).ok()?;
    let mut text = String::new();
    archive.by_name(INDEX_FILE).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "class PackageIndex:\n    pass\n\nPyPI = PackageIndex(\n    \"https://index.example/\", file_storage_domain=\"x\"\n)\nTestPyPI = PackageIndex(\"https://test.example/\")\n";

    fn machine(file: &str, env: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, TEXT).unwrap();
        let machine = Machine::at(root.path(), env);
        (root, machine)
    }

    #[test]
    fn the_default_is_read_from_pips_text() {
        assert_eq!(default_in(TEXT).unwrap(), "https://index.example/simple");
        assert_eq!(default_in("PyPI = PackageIndex('https://index.example', x)").unwrap(), "https://index.example/simple");
    }

    #[test]
    fn other_texts_give_nothing() {
        for text in
            ["", "PyPI = PackageIndex(", "PyPI = PackageIndex(URL)", "PyPI = PackageIndex('x y')", "# PyPI = PackageIndex('https://x')"]
        {
            assert_eq!(default_in(text), None, "{text}");
        }
    }

    #[test]
    fn pip_is_found_wherever_it_is_installed() {
        let found = |file: &str, env: &[(&str, &str)]| {
            let (_root, machine) = machine(&format!("{file}/{INDEX_FILE}"), env);
            index_url(&machine).is_some()
        };
        assert!(found("usr/lib/python3/dist-packages", &[]));
        assert!(found("usr/local/lib/python3.12/site-packages", &[]));
        assert!(found("home/me/.local/lib/python3.11/site-packages", &[("HOME", "/home/me")]));
        assert!(found("venv/lib/python3.11/site-packages", &[("VIRTUAL_ENV", "/venv")]));
        assert!(found("opt/py/lib/python3.11/site-packages", &[("PATH", "/bin:/opt/py/bin")]));
        assert!(found("opt/env/versions/3.11.7/lib/python3.11/site-packages", &[("PATH", "/opt/env/shims:/bin")]));
        assert!(!found("opt/py/lib/python3.11/site-packages", &[("PATH", "/bin")]));
    }

    #[test]
    fn the_wheel_of_ensurepip_will_do() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("usr/share/python-wheels");
        std::fs::create_dir_all(&dir).unwrap();
        let mut wheel = zip::ZipWriter::new(std::fs::File::create(dir.join("pip-23.0.1-py3-none-any.whl")).unwrap());
        wheel.start_file(INDEX_FILE, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut wheel, TEXT.as_bytes()).unwrap();
        wheel.finish().unwrap();
        assert_eq!(index_url(&Machine::at(root.path(), &[])).unwrap(), "https://index.example/simple");
    }
}
