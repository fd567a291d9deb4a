//! Two builds of one resolved derivation that came out differently: which files differ, and how.
//!
//! An object's own digest differs whenever anything in it does, so two files that differ in nothing else count as equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use crate::fsio::{IoResultExt, PathError};
use crate::model::{DIGEST_LEN, OutputName, ResolvedDerivation, StoreDigest, StorePath};
use crate::store::{Store, VerifyOptions};

use super::error::BuildError;

/// An output that came out in two ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The derivation's name.
    pub name: String,
    /// The output.
    pub output: OutputName,
    /// What it came out as before.
    pub before: StorePath,
    /// What it came out as now.
    pub now: StorePath,
    /// Whether the former object is here and no longer has the bytes that it had.
    pub damaged: bool,
    /// The files that differ, `""` if the output is no directory; empty if the former object is no longer here.
    pub files: Vec<FileDifference>,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// Where, relative to the output.
    pub path: PathBuf,
    /// How.
    pub kind: DifferenceKind,
}

/// How a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It was there before and is not now.
    Gone,
    /// It is there now and was not before.
    New,
    /// One is a directory, file or link, the other is not.
    Type,
    /// One can be executed, the other cannot.
    Mode,
    /// A link points elsewhere.
    Target,
    /// The bytes differ.
    Content,
}

/// Compares outputs that were known with those that were just built.
///
/// # Errors
/// If an object cannot be read.
pub fn compare_outputs(
    store: &Store,
    resolved: &ResolvedDerivation,
    before: &BTreeMap<OutputName, StorePath>,
    now: &BTreeMap<OutputName, StorePath>,
) -> Result<Vec<Difference>, BuildError> {
    let mut differences = Vec::new();
    for (output, now) in now {
        let Some(before) = before.get(output).filter(|before| *before != now) else { continue };
        let valid = store.is_valid(before)?;
        let damaged = valid && !store.verify(&VerifyOptions { contents: true, paths: Some(vec![before.clone()]) })?.problems.is_empty();
        let files = if valid && !(damaged && store.physical(before).symlink_metadata().is_err()) {
            let own = (before.digest(), now.digest());
            compare_trees(&store.physical(before), &store.physical(now), own).map_err(crate::store::StoreError::from)?
        } else {
            Vec::new()
        };
        let (name, output) = (resolved.name.to_string(), output.clone());
        differences.push(Difference { name, output, before: before.clone(), now: now.clone(), damaged, files });
    }
    Ok(differences)
}

type Own<'a> = (&'a StoreDigest, &'a StoreDigest);

fn compare_trees(before: &Path, now: &Path, own: Own<'_>) -> Result<Vec<FileDifference>, PathError> {
    let (old, new) = (paths(before)?, paths(now)?);
    let mut differences = Vec::new();
    for path in old.union(&new) {
        let kind = match (old.contains(path), new.contains(path)) {
            (true, false) => Some(DifferenceKind::Gone),
            (false, true) => Some(DifferenceKind::New),
            _ => compare_entries(&below(before, path), &below(now, path), own)?,
        };
        differences.extend(kind.map(|kind| FileDifference { path: path.clone(), kind }));
    }
    Ok(differences)
}

/// A place in a tree. The tree itself may be a file or a link, which a slash at the end would follow to somewhere on this machine.
fn below(tree: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { tree.to_owned() } else { tree.join(path) }
}

fn paths(tree: &Path) -> Result<BTreeSet<PathBuf>, PathError> {
    let relative = |entry: walkdir::DirEntry| entry.path().strip_prefix(tree).unwrap_or(Path::new("")).to_owned();
    WalkDir::new(tree)
        .follow_root_links(false)
        .into_iter()
        .map(|entry| entry.map(relative).map_err(|error| PathError::new("read", tree, error)))
        .collect()
}

fn compare_entries(before: &Path, now: &Path, own: Own<'_>) -> Result<Option<DifferenceKind>, PathError> {
    let (old, new) = (before.symlink_metadata().at("look at", before)?, now.symlink_metadata().at("look at", now)?);
    if old.file_type() != new.file_type() {
        return Ok(Some(DifferenceKind::Type));
    }
    if old.is_symlink() {
        let (old, new) = (fs::read_link(before).at("read", before)?, fs::read_link(now).at("read", now)?);
        let text = old.to_string_lossy().replace(own.0.as_str(), own.1.as_str());
        return Ok((text != new.to_string_lossy()).then_some(DifferenceKind::Target));
    }
    if !old.is_file() {
        return Ok(None);
    }
    if old.len() != new.len() || !same_bytes(before, now, own)? {
        return Ok(Some(DifferenceKind::Content));
    }
    let executable = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o100 != 0;
    Ok((executable(&old) != executable(&new)).then_some(DifferenceKind::Mode))
}

fn same_bytes(before: &Path, now: &Path, own: Own<'_>) -> Result<bool, PathError> {
    let open = |path: &Path| File::open(path).map(BufReader::new).at("open", path);
    let (mut old, mut new) = (open(before)?.bytes(), open(now)?.bytes());
    // Bytes of the own digest that the last equal bytes may be the start of.
    loop {
        match (old.next().transpose().at("read", before)?, new.next().transpose().at("read", now)?) {
            (None, None) => return Ok(true),
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                // Digests differ in their first byte almost always; where they share a start, the rest is compared from the first difference on.
                let Some(start) = (0..DIGEST_LEN).find(|at| own.0.as_bytes()[*at] != own.1.as_bytes()[*at]) else { return Ok(false) };
                if (a, b) != (own.0.as_bytes()[start], own.1.as_bytes()[start]) {
                    return Ok(false);
                }
                for at in start + 1..DIGEST_LEN {
                    let pair = (old.next().transpose().at("read", before)?, new.next().transpose().at("read", now)?);
                    if pair != (Some(own.0.as_bytes()[at]), Some(own.1.as_bytes()[at])) {
                        return Ok(false);
                    }
                }
            }
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_is_named_and_own_digests_are_not() {
        let digest = |text: &str| *StorePath::scratch(&text.parse().unwrap()).digest();
        let (one, two) = (digest("one"), digest("two"));
        let dir = tempfile::tempdir().unwrap();
        let tree = |name: &str, own: &StoreDigest, extra: &str, content: &str, target: &str| {
            let tree = dir.path().join(name);
            fs::create_dir(&tree).unwrap();
            fs::write(tree.join("own"), format!("at {own} and {own}.")).unwrap();
            fs::write(tree.join(extra), "").unwrap();
            fs::write(tree.join("content"), content).unwrap();
            std::os::unix::fs::symlink(target, tree.join("link")).unwrap();
            fs::write(tree.join("mode"), "").unwrap();
            tree
        };
        let (before, now) = (tree("a", &one, "old", "1", "x"), tree("b", &two, "young", "2", "y"));
        fs::set_permissions(now.join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
        let found: Vec<_> = compare_trees(&before, &now, (&one, &two)).unwrap();
        let found: Vec<_> = found.iter().map(|file| (file.path.to_str().unwrap(), file.kind)).collect();
        use DifferenceKind::{Content, Gone, Mode, New, Target};
        assert_eq!(found, [("content", Content), ("link", Target), ("mode", Mode), ("old", Gone), ("young", New)]);
    }
}
