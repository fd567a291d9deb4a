//! What the merged tree will hold: found out from directories alone, before anything is copied.
//!
//! Only where two layers have one path are file contents read here, to see whether they are equal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::{BuiltinError, LinkProblem};
use super::MANIFEST;
use super::layers::{LayerIndex, Layers, Target};
use crate::archive::{ArchiveError, MAX_DEPTH};
use crate::fsio::IoResultExt;

/// Links to directories can multiply; no real tree comes near this.
const MAX_ENTRIES: usize = 4_000_000;

/// The merged tree, path by path. Paths are text, since the manifest is; a directory comes before what is in it.
pub(super) struct Plan(BTreeMap<String, Planned>);

/// What will lie at a path.
pub(super) enum Planned {
    Directory { layer: LayerIndex },
    File(PlannedFile),
}

/// A file and where its bytes come from.
pub(super) struct PlannedFile {
    pub(super) layer: LayerIndex,
    /// The path in that layer.
    pub(super) source: PathBuf,
    pub(super) executable: bool,
    pub(super) size: u64,
}

impl Plan {
    /// Plans the merge of all layers.
    pub(super) fn of(layers: &Layers<'_>) -> Result<Self, BuiltinError> {
        let mut planner = Planner { layers, plan: BTreeMap::new(), within: Vec::new() };
        for layer in layers.indices() {
            planner.directory(layer, Path::new(""), "")?;
        }
        if let Some(planned) = planner.plan.get(MANIFEST) {
            let first = layers.label(planned.layer()).to_string();
            let second = "the merge's own manifest".to_owned();
            return Err(BuiltinError::Conflict { path: MANIFEST.to_owned(), first, second, difference: "so there is no place for it" });
        }
        Ok(Self(planner.plan))
    }

    /// All entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Planned)> {
        self.0.iter().map(|(path, planned)| (path.as_str(), planned))
    }

    /// The files in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &PlannedFile)> {
        self.entries().filter_map(|(path, planned)| match planned {
            Planned::File(file) => Some((path, file)),
            Planned::Directory { .. } => None,
        })
    }
}

impl Planned {
    fn layer(&self) -> LayerIndex {
        match self {
            Self::Directory { layer } => *layer,
            Self::File(file) => file.layer,
        }
    }
}

struct Planner<'a> {
    layers: &'a Layers<'a>,
    plan: BTreeMap<String, Planned>,
    /// The directories (in their layers) that are being laid out, one in the other.
    within: Vec<(LayerIndex, PathBuf)>,
}

impl Planner<'_> {
    /// Lays the directory `source` of `layer` out at `path`.
    fn directory(&mut self, layer: LayerIndex, source: &Path, path: &str) -> Result<(), BuiltinError> {
        let physical = self.layers.physical(layer, source);
        if self.within.len() > MAX_DEPTH {
            return Err(ArchiveError::TooDeep { path: physical, limit: MAX_DEPTH }.into());
        }
        self.within.push((layer, source.to_owned()));
        let mut names = Vec::new();
        for entry in fs::read_dir(&physical).at("list", &physical)? {
            names.push(entry.at("list", &physical)?.file_name());
        }
        names.sort_unstable();
        for name in names {
            let source = source.join(&name);
            let Some(name) = name.to_str() else {
                let layer = self.layers.label(layer).to_string();
                return Err(BuiltinError::NotUtf8 { path: source.display().to_string(), layer });
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            self.entry(layer, source, path)?;
        }
        self.within.pop();
        Ok(())
    }

    fn entry(&mut self, layer: LayerIndex, source: PathBuf, path: String) -> Result<(), BuiltinError> {
        let physical = self.layers.physical(layer, &source);
        let metadata = fs::symlink_metadata(&physical).at("read", &physical)?;
        if metadata.is_symlink() {
            self.link(layer, &source, path)
        } else if metadata.is_dir() {
            self.put(path.clone(), Planned::Directory { layer })?;
            self.directory(layer, &source, &path)
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            self.put(path, Planned::File(PlannedFile { layer, source, executable, size: metadata.len() }))
        } else {
            Err(BuiltinError::Unsupported(physical))
        }
    }

    /// A link becomes a copy of what it leads to.
    fn link(&mut self, layer: LayerIndex, source: &Path, path: String) -> Result<(), BuiltinError> {
        match self.layers.resolve(layer, source)? {
            Target::File(layer, source) => self.entry(layer, source, path),
            Target::Directory(directory) => {
                for having in self.layers.with_directory(&directory)? {
                    if self.within.iter().any(|(layer, within)| *layer == having && *within == directory) {
                        let physical = self.layers.physical(layer, source);
                        let target = fs::read_link(&physical).at("read the link", &physical)?;
                        return Err(self.layers.link_problem(layer, source, &target, LinkProblem::Loops));
                    }
                    self.put(path.clone(), Planned::Directory { layer: having })?;
                    self.directory(having, &directory, &path)?;
                }
                Ok(())
            }
        }
    }

    fn put(&mut self, path: String, new: Planned) -> Result<(), BuiltinError> {
        let Some(first) = self.plan.get(&path) else {
            self.plan.insert(path, new);
            return if self.plan.len() > MAX_ENTRIES { Err(BuiltinError::TooMany { limit: MAX_ENTRIES }) } else { Ok(()) };
        };
        let difference = match (first, &new) {
            (Planned::Directory { .. }, Planned::Directory { .. }) => None,
            (Planned::File(first), Planned::File(second)) => self.difference(first, second)?,
            _ => Some("once as a directory and once as a file"),
        };
        difference.map_or(Ok(()), |difference| {
            let [first, second] = [first, &new].map(|planned| self.layers.label(planned.layer()).to_string());
            Err(BuiltinError::Conflict { path, first, second, difference })
        })
    }

    fn difference(&self, first: &PlannedFile, second: &PlannedFile) -> Result<Option<&'static str>, BuiltinError> {
        Ok(if first.size != second.size || !self.same_bytes(first, second)? {
            Some("with different bytes")
        } else if first.executable != second.executable {
            Some("once executable and once not")
        } else {
            None
        })
    }

    fn same_bytes(&self, first: &PlannedFile, second: &PlannedFile) -> Result<bool, BuiltinError> {
        if first.layer == second.layer && first.source == second.source {
            return Ok(true);
        }
        let open = |file: &PlannedFile| {
            let physical = self.layers.physical(file.layer, &file.source);
            File::open(&physical).map(BufReader::new).at("open", physical)
        };
        let mut others = open(second)?.bytes();
        for byte in open(first)?.bytes() {
            let physical = || self.layers.physical(first.layer, &first.source);
            if others.next().transpose().at("read", physical())? != Some(byte.at("read", physical())?) {
                return Ok(false);
            }
        }
        Ok(others.next().is_none())
    }
}
