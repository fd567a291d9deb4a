//! The layers, and where a link in one of them leads.
//!
//! Links are resolved over all layers as if they lay in one directory already; where several have a name, the link's own layer counts. An
//! absolute target means a layer if it lies below that layer's store path.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::{BuiltinError, BuiltinInput, LinkProblem};
use crate::fsio::{IoResultExt, PathError};
use crate::model::Label;

/// All layers, in the order of their labels.
pub(super) struct Layers<'a> {
    layers: Vec<(&'a Label, &'a BuiltinInput)>,
}

/// Which layer.
pub(super) type LayerIndex = usize;

/// What a link leads to.
pub(super) enum Target {
    /// A file in one layer.
    File(LayerIndex, PathBuf),
    /// A directory, which any number of layers may have.
    Directory(PathBuf),
}

/// As many links as a kernel follows.
const MAX_LINKS: usize = 40;

impl<'a> Layers<'a> {
    pub(super) fn open(inputs: &'a BTreeMap<Label, BuiltinInput>) -> Result<Self, BuiltinError> {
        for (label, input) in inputs {
            let metadata = fs::symlink_metadata(&input.physical).at("read", &input.physical)?;
            if !metadata.is_dir() {
                return Err(BuiltinError::NotADirectory { layer: label.to_string(), object: input.logical.to_string() });
            }
        }
        Ok(Self { layers: inputs.iter().collect() })
    }

    pub(super) fn indices(&self) -> std::ops::Range<LayerIndex> {
        0..self.layers.len()
    }

    pub(super) fn label(&self, layer: LayerIndex) -> &'a Label {
        self.layers[layer].0
    }

    /// Where a layer's path lies; the top for an empty one.
    pub(super) fn physical(&self, layer: LayerIndex, path: &Path) -> PathBuf {
        let top = &self.layers[layer].1.physical;
        if path.as_os_str().is_empty() { top.clone() } else { top.join(path) }
    }

    /// What a layer has at `path`, whose parents are real directories wherever they are.
    pub(super) fn metadata(&self, layer: LayerIndex, path: &Path) -> Result<Option<fs::Metadata>, BuiltinError> {
        let physical = self.physical(layer, path);
        match fs::symlink_metadata(&physical) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(PathError::new("read", physical, error).into()),
        }
    }

    /// The layers in which all of `path` consists of real directories.
    pub(super) fn with_directory(&self, path: &Path) -> Result<Vec<LayerIndex>, BuiltinError> {
        let mut having = Vec::new();
        for layer in self.indices() {
            if self.has_directory(layer, path)? {
                having.push(layer);
            }
        }
        Ok(having)
    }

    fn has_directory(&self, layer: LayerIndex, path: &Path) -> Result<bool, BuiltinError> {
        let mut partial = PathBuf::new();
        for component in path.components() {
            partial.push(component);
            if !self.metadata(layer, &partial)?.is_some_and(|metadata| metadata.is_dir()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Follows the link at `path` in `layer` to the end.
    pub(super) fn resolve(&self, layer: LayerIndex, path: &Path) -> Result<Target, BuiltinError> {
        let physical = self.physical(layer, path);
        let first = fs::read_link(&physical).at("read the link", &physical)?;
        let problem = |problem| self.link_problem(layer, path, &first, problem);
        let mut at = path.parent().unwrap_or(Path::new("")).to_owned();
        // What is still to be walked; the last component comes first.
        let mut ahead = Vec::new();
        if !self.push_target(&first, &mut at, &mut ahead) {
            return Err(problem(LinkProblem::Leaves));
        }
        let mut links = 1;
        while let Some(component) = ahead.pop() {
            match component.as_slice() {
                b"." => continue,
                b".." if !at.pop() => return Err(problem(LinkProblem::Leaves)),
                b".." => continue,
                _ => at.push(OsStr::from_bytes(&component)),
            }
            let Some((found_in, metadata)) = self.find(layer, &at)? else {
                return Err(problem(LinkProblem::Dangles));
            };
            if metadata.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Err(problem(LinkProblem::Loops));
                }
                let physical = self.physical(found_in, &at);
                let target = fs::read_link(&physical).at("read the link", &physical)?;
                at.pop();
                if !self.push_target(&target, &mut at, &mut ahead) {
                    return Err(problem(LinkProblem::Leaves));
                }
            } else if !metadata.is_dir() {
                return if ahead.is_empty() { Ok(Target::File(found_in, at)) } else { Err(problem(LinkProblem::Dangles)) };
            }
        }
        Ok(Target::Directory(at))
    }

    /// The error for a link that cannot be replaced.
    pub(super) fn link_problem(&self, layer: LayerIndex, path: &Path, target: &Path, problem: LinkProblem) -> BuiltinError {
        BuiltinError::Link {
            path: path.display().to_string(),
            layer: self.label(layer).to_string(),
            target: target.display().to_string(),
            problem,
        }
    }

    /// Who has `path`: the given layer if it does, else the first other one.
    fn find(&self, own: LayerIndex, path: &Path) -> Result<Option<(LayerIndex, fs::Metadata)>, BuiltinError> {
        let above = path.parent().unwrap_or(Path::new(""));
        for layer in std::iter::once(own).chain(self.indices()) {
            if self.has_directory(layer, above)?
                && let Some(metadata) = self.metadata(layer, path)?
            {
                return Ok(Some((layer, metadata)));
            }
        }
        Ok(None)
    }

    /// Puts the components of a link's target before what is to be walked; `false` if it leads outside the layers.
    fn push_target(&self, target: &Path, at: &mut PathBuf, ahead: &mut Vec<Vec<u8>>) -> bool {
        let mut rest = target.as_os_str().as_bytes();
        if target.is_absolute() {
            let inside = self.layers.iter().find_map(|(_, input)| target.strip_prefix(input.logical.to_string()).ok());
            let Some(inside) = inside else {
                return false;
            };
            rest = inside.as_os_str().as_bytes();
            *at = PathBuf::new();
        }
        ahead.extend(rest.split(|byte| *byte == b'/').rev().filter(|component| !component.is_empty()).map(<[u8]>::to_vec));
        true
    }
}
