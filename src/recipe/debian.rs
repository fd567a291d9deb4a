//! The Debian lock as recipes see it: which packages a set of packages needs, and where their files are.
//!
//! Not here: making a lock, which is `kiln lock debian`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::Sha256;

use super::refusal::Refusal;
use super::suggest::nearest;

/// The version of the document that is understood.
const VERSION: u32 = 1;

/// A lock, parsed.
#[derive(Debug, Deserialize)]
pub(super) struct DebianLock {
    #[serde(skip)]
    path: String,
    version: u32,
    packages: BTreeMap<String, LockedPackage>,
}

/// One package of a lock.
#[derive(Debug, Deserialize)]
pub(super) struct LockedPackage {
    /// Where its file is in the archive's pool.
    pub(super) path: String,
    /// The file's hash.
    pub(super) sha256: Sha256,
    /// The packages of the lock that it needs.
    depends: Vec<String>,
}

impl DebianLock {
    /// Reads a lock; `path` is for messages.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Refusal> {
        let error = |reason: String| Refusal::DebianLock { lock: path.to_owned(), reason };
        let mut lock: Self = serde_json::from_str(text).map_err(|source| error(source.to_string()))?;
        if lock.version != VERSION {
            return Err(error(format!("its version is {}, this kiln reads version {VERSION}", lock.version)));
        }
        path.clone_into(&mut lock.path);
        Ok(lock)
    }

    /// `requested` and all that they need, sorted by name.
    pub(super) fn closure(&self, requested: &[String]) -> Result<BTreeMap<&str, &LockedPackage>, Refusal> {
        let mut closure = BTreeMap::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut waiting: Vec<(&str, Option<&str>)> = requested.iter().map(|name| (name.as_str(), None)).collect();
        while let Some((name, needed_by)) = waiting.pop() {
            if !seen.insert(name) {
                continue;
            }
            let (name, package) = self.packages.get_key_value(name).ok_or_else(|| self.not_locked(name, needed_by))?;
            waiting.extend(package.depends.iter().map(|dependency| (dependency.as_str(), Some(name.as_str()))));
            closure.insert(name.as_str(), package);
        }
        Ok(closure)
    }

    fn not_locked(&self, name: &str, needed_by: Option<&str>) -> Refusal {
        let (lock, name) = (self.path.clone(), name.to_owned());
        match needed_by {
            Some(package) => Refusal::LockIncomplete { lock, package: package.to_owned(), dependency: name },
            None => Refusal::NotLocked { lock, near: nearest(&name, self.packages.keys().map(String::as_str)), package: name },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(depends: &[&str]) -> serde_json::Value {
        serde_json::json!({"version": "1", "path": "pool/main/x/x.deb", "size": 1, "sha256": "0".repeat(64), "depends": depends})
    }

    fn lock() -> DebianLock {
        let packages = serde_json::json!({
            "bash": package(&["libc6", "libtinfo6"]), "libc6": package(&["libgcc-s1"]), "libgcc-s1": package(&["libc6"]),
            "libtinfo6": package(&["libc6"]), "make": package(&["libc6"]), "broken": package(&["gone"]),
        });
        let text = serde_json::json!({"version": 1, "suite": "s", "architecture": "amd64", "requested": [], "packages": packages});
        DebianLock::parse("locks/debian.json", &text.to_string()).unwrap()
    }

    fn closure(requested: &[&str]) -> Result<Vec<String>, String> {
        let requested: Vec<String> = requested.iter().map(|name| (*name).to_owned()).collect();
        lock().closure(&requested).map(|all| all.keys().map(|name| (*name).to_owned()).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_closure_holds_what_is_needed_and_survives_cycles() {
        assert_eq!(closure(&["bash"]).unwrap(), ["bash", "libc6", "libgcc-s1", "libtinfo6"]);
        assert_eq!(closure(&["make", "libc6", "make"]).unwrap(), ["libc6", "libgcc-s1", "make"]);
    }

    #[test]
    fn a_package_that_is_not_locked_gets_a_suggestion() {
        assert_eq!(closure(&["bsh"]).unwrap_err(), "`locks/debian.json` does not lock the package `bsh`; did you mean `bash`?");
        let error = closure(&["broken"]).unwrap_err();
        assert_eq!(error, "`locks/debian.json` is not complete: `broken` depends on `gone`, which is not in it");
    }

    #[test]
    fn a_lock_of_another_version_is_refused() {
        let error = DebianLock::parse("l", r#"{"version":2,"packages":{}}"#).unwrap_err();
        assert!(error.to_string().contains("its version is 2"), "{error}");
        assert!(DebianLock::parse("l", "[").unwrap_err().to_string().starts_with("`l` is not a Debian lock"));
    }
}
