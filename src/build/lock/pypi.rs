//! `kiln lock pypi`: exact files of the configured Python package index.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use super::LockError;
use super::document::{LOCK_VERSION, PypiFile, PypiLock};
use crate::build::fetch::{FetchRequest, Fetcher, ListedFile, normalized_project};
use crate::fsio::IoResultExt;
use crate::model::{FetchSource, Sha256};

/// Endings of source archives, best first.
const SOURCES: [&str; 5] = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];

/// What to lock: `six==1.16.0` (its source archive, else its wheel for every platform) or a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PypiRequest {
    /// The project, as the index normalises it.
    pub project: String,
    /// Its version.
    pub version: String,
    /// The file, if it is named.
    pub file: Option<String>,
}

/// A text that names no file of an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no exact file: expected `project==version`, or the name of a wheel or source archive")]
pub struct PypiRequestError(String);

impl FromStr for PypiRequest {
    type Err = PypiRequestError;

    fn from_str(text: &str) -> Result<Self, PypiRequestError> {
        let error = || PypiRequestError(text.to_owned());
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+!".contains(&byte));
        let (project, version, file) = match text.split_once("==") {
            Some((project, version)) => (project.trim(), version.trim(), None),
            None => {
                let (project, version) = split_file_name(text).ok_or_else(error)?;
                (project, version, Some(text.to_owned()))
            }
        };
        if !plain(project) || !plain(version) {
            return Err(error());
        }
        Ok(Self { project: normalized_project(project), version: version.to_owned(), file })
    }
}

impl fmt::Display for PypiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => f.write_str(file),
            None => write!(f, "{}=={}", self.project, self.version),
        }
    }
}

impl PypiLock {
    /// Requests for exactly the files that this lock holds.
    pub fn requests(&self) -> Vec<PypiRequest> {
        let request = |(project, file): (&String, &PypiFile)| PypiRequest {
            project: project.clone(),
            version: file.version.clone(),
            file: Some(file.file.clone()),
        };
        self.files.iter().map(request).collect()
    }
}

/// Project and version in the name of a wheel or source archive.
fn split_file_name(name: &str) -> Option<(&str, &str)> {
    if let Some(stem) = name.strip_suffix(".whl") {
        let mut parts = stem.split('-');
        return Some((parts.next()?, parts.next()?));
    }
    let stem = SOURCES.iter().find_map(|ending| name.strip_suffix(ending))?;
    stem.rsplit_once('-')
}

/// Looks the requested files up on the configured index.
///
/// # Errors
/// If no index is configured or can be asked, or it has no such file.
pub fn lock_pypi(requested: &[PypiRequest], fetcher: &Fetcher) -> Result<PypiLock, LockError> {
    if requested.is_empty() {
        return Err(LockError::Nothing);
    }
    let mut lock = PypiLock { version: LOCK_VERSION, files: Default::default() };
    for request in requested {
        let listed = fetcher.project_files(&request.project)?;
        let file = choose(request, &listed)?;
        let refuse = |reason: &str| LockError::NoSuchFile { request: request.to_string(), reason: reason.to_owned() };
        let sha256 = file.sha256.ok_or_else(|| refuse("the index does not say its SHA-256"))?;
        let size = match file.size {
            Some(size) => size,
            None => measure(fetcher, request, &file.name, sha256)?,
        };
        let entry = PypiFile { version: request.version.clone(), file: file.name.clone(), size, sha256 };
        lock.files.insert(request.project.clone(), entry);
    }
    Ok(lock)
}

/// The file that a request means.
fn choose<'a>(request: &PypiRequest, listed: &'a [ListedFile]) -> Result<&'a ListedFile, LockError> {
    let of_version = |file: &&ListedFile| {
        let parts = split_file_name(&file.name);
        parts.is_some_and(|(project, version)| normalized_project(project) == request.project && version == request.version)
    };
    let found = match &request.file {
        Some(name) => listed.iter().find(|file| file.name == *name),
        None => {
            let rank = |file: &&ListedFile| SOURCES.iter().position(|ending| file.name.ends_with(ending));
            let source = listed.iter().filter(of_version).filter(|file| rank(file).is_some()).min_by_key(rank);
            source.or_else(|| listed.iter().filter(of_version).find(|file| file.name.ends_with("-none-any.whl")))
        }
    };
    found.ok_or_else(|| {
        let others: Vec<&str> = listed.iter().filter(of_version).map(|file| file.name.as_str()).collect();
        let reason = match others.as_slice() {
            [] => format!("the index has no files of version {}", request.version),
            _ => format!("the index has none such; name one of its files: {}", others.join(", ")),
        };
        LockError::NoSuchFile { request: request.to_string(), reason }
    })
}

/// The length of a file that its index does not tell.
fn measure(fetcher: &Fetcher, request: &PypiRequest, file: &str, sha256: Sha256) -> Result<u64, LockError> {
    let dir = tempfile::Builder::new().prefix("kiln-lock-").tempdir().at("create a directory in", std::env::temp_dir())?;
    let source = FetchSource::Pypi { project: request.project.clone(), file: file.to_owned() };
    let request = FetchRequest { source: &source, name: file, sha256, size: None };
    Ok(fetcher.fetch(&request, &dir.path().join("file"), &|_| ControlFlow::Continue(()))?.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<ListedFile> {
        names.iter().map(|name| ListedFile { name: (*name).to_owned(), sha256: Some(Sha256::of(name)), size: Some(1) }).collect()
    }

    #[test]
    fn requests_are_versions_or_files() {
        let parse = |text: &str| text.parse::<PypiRequest>();
        let six = parse("Six == 1.16.0").unwrap();
        assert_eq!((six.project.as_str(), six.version.as_str(), &six.file), ("six", "1.16.0", &None));
        let wheel = parse("foo_bar-50.0.1-py3-none-manylinux1_x86_64.whl").unwrap();
        assert_eq!((wheel.project.as_str(), wheel.version.as_str()), ("foo-bar", "50.0.1"));
        let source = parse("foo-bar-1.0.post1.tar.gz").unwrap();
        assert_eq!((source.project.as_str(), source.version.as_str()), ("foo-bar", "1.0.post1"));
        for bad in ["", "six", "six>=1", "==1", "six==", "six.exe", "../six==1", ".tar.gz", "six=="] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_source_archive_is_preferred_then_a_wheel_for_all() {
        let files =
            listed(&["six-1.1-py2-none-any.whl", "six-1.0-py3-none-any.whl", "six-1.0.zip", "six-1.0.tar.gz", "six-1.2-cp311-x.whl"]);
        let choose = |text: &str| choose(&text.parse().unwrap(), &files).map(|file| file.name.clone()).map_err(|error| error.to_string());
        assert_eq!(choose("six==1.0").unwrap(), "six-1.0.tar.gz");
        assert_eq!(choose("six==1.1").unwrap(), "six-1.1-py2-none-any.whl");
        assert_eq!(choose("six-1.0.zip").unwrap(), "six-1.0.zip");
        assert!(choose("six==1.2").unwrap_err().contains("name one of its files: six-1.2-cp311-x.whl"));
        assert!(choose("six==9").unwrap_err().contains("no files of version 9"));
    }
}
