//! Staging: a finished tree gets its canonical form, its hash, its references and its final place. It is not valid yet.
//!
//! An output that names itself has a path that depends on its own bytes: those are hashed modulo the scratch digest, then that digest
//! is replaced by the final one, which has the same length. An output that names a sibling is named after it, so siblings go in the
//! order of their references.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::canonical::canonicalise;
use super::{Store, StoreError, now, place};
use crate::archive::{ReferenceIndex, ScanRequest, Scanned, rewrite, scan};
use crate::model::{ContentAddress, PathInfo, Sha256, StoreDigest, StoreName, StorePath};

/// A finished output of a build.
#[derive(Clone, Debug)]
pub struct OutputTree {
    /// Where it lies, within a [`super::ScratchDir`]. Staging moves it away, unless the object is there already.
    pub tree: PathBuf,
    /// The name that its store path gets.
    pub name: StoreName,
    /// The path it had while it was built. Its digest is replaced by the final one, here and in the sibling outputs.
    pub scratch: Option<StorePath>,
}

/// What the store had of an object when it was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was not valid.
    Nothing,
    /// It was valid and whole, and stayed as it was.
    Whole,
    /// It was valid, but not on the disk.
    Missing,
    /// It was valid, with other bytes than its name says, or bytes that could not be read.
    Damaged,
}

impl Found {
    /// Whether it was valid and is mended now.
    pub fn is_mended(self) -> bool {
        matches!(self, Self::Missing | Self::Damaged)
    }
}

/// An object in its final place, waiting for registration.
#[derive(Clone, Debug)]
pub struct Staged {
    /// What it will be registered as.
    pub info: PathInfo,
    /// The first symbolic link in it, relative to it, if there is any (empty if the object is a link itself).
    pub first_link: Option<PathBuf>,
    /// What was there before. Unless that was whole, files were written, and registration has to sync them.
    pub found: Found,
}

/// The outputs of one build on their way into the store.
struct Siblings<'a> {
    outputs: &'a [OutputTree],
    /// What can occur in their bytes, by digest: the objects of `look_for`, and the finished outputs.
    known: BTreeMap<StoreDigest, StorePath>,
    /// Scratch digest → index of the output.
    scratch: BTreeMap<StoreDigest, usize>,
    /// The final digests of finished outputs.
    finished: BTreeMap<usize, StoreDigest>,
}

impl Siblings<'_> {
    fn own(&self, index: usize) -> Option<StoreDigest> {
        self.outputs[index].scratch.as_ref().map(|path| *path.digest())
    }

    /// One pass over an output that still has its scratch digests, or those left that should not be.
    fn scan(&self, index: usize) -> Result<Scanned, StoreError> {
        let candidates: ReferenceIndex = self.known.keys().chain(self.scratch.keys()).copied().collect();
        let own = self.own(index);
        let scanned = scan(&self.outputs[index].tree, &ScanRequest { own: own.as_ref(), candidates: &candidates })?;
        match scanned.name_with_own {
            Some(file) => Err(StoreError::DigestInFileName { name: self.outputs[index].name.to_string(), file }),
            None => Ok(scanned),
        }
    }

    /// The other outputs that `scanned` names by their scratch paths.
    fn siblings_in(&self, index: usize, scanned: &Scanned) -> BTreeSet<usize> {
        scanned.references.iter().filter_map(|digest| self.scratch.get(digest).copied()).filter(|other| *other != index).collect()
    }

    /// Replaces the scratch digests of finished siblings by their final ones, and looks again.
    fn rewrite_siblings(&self, index: usize, siblings: &BTreeSet<usize>) -> Result<Scanned, StoreError> {
        let pairs: Vec<_> = siblings.iter().filter_map(|other| Some((self.own(*other)?, *self.finished.get(other)?))).collect();
        rewrite(&self.outputs[index].tree, &pairs)?;
        let scanned = self.scan(index)?;
        match self.siblings_in(index, &scanned).first() {
            Some(other) => {
                Err(StoreError::ScratchRemains { name: self.outputs[index].name.to_string(), other: self.outputs[*other].name.to_string() })
            }
            None => Ok(scanned),
        }
    }

    /// The final description of an output whose siblings have been replaced; rewrites its own digest.
    fn describe(&self, index: usize, scanned: &Scanned) -> Result<PathInfo, StoreError> {
        let output = &self.outputs[index];
        let mut references: BTreeSet<StorePath> = scanned.references.iter().filter_map(|digest| self.known.get(digest).cloned()).collect();
        let ca = ContentAddress::Recursive(scanned.modulo_hash);
        let names_itself = scanned.own_count > 0;
        let path = ca.store_path(&output.name, &references, names_itself);
        let mut nar_hash = scanned.nar_hash;
        if let Some(own) = self.own(index).filter(|_| names_itself) {
            rewrite(&output.tree, &[(own, *path.digest())])?;
            let candidates: ReferenceIndex = [own].into_iter().collect();
            let again = scan(&output.tree, &ScanRequest { own: Some(path.digest()), candidates: &candidates })?;
            if again.modulo_hash != scanned.modulo_hash {
                return Err(StoreError::ScratchRemains { name: output.name.to_string(), other: output.name.to_string() });
            }
            nar_hash = again.nar_hash;
            references.insert(path.clone());
        }
        Ok(PathInfo { path, nar_hash, nar_size: scanned.nar_size, references, ca, registered: now() })
    }
}

impl Store {
    /// Stages the outputs of one build, and gives them back in the same order. `look_for` are the objects that they may refer to: the
    /// closure of the inputs. Unregistered, they stay in the store until the collector runs after this process has gone.
    ///
    /// # Errors
    /// If an output holds what no object may hold, the outputs refer to each other in a circle, or the disk is full.
    pub fn stage(&self, outputs: Vec<OutputTree>, look_for: &BTreeSet<StorePath>) -> Result<Vec<Staged>, StoreError> {
        let scratch = outputs.iter().enumerate().filter_map(|(index, output)| Some((*output.scratch.as_ref()?.digest(), index))).collect();
        let known = look_for.iter().map(|path| (*path.digest(), path.clone())).collect();
        let mut siblings = Siblings { outputs: &outputs, known, scratch, finished: BTreeMap::new() };
        let mut waiting = BTreeMap::new();
        for (index, output) in outputs.iter().enumerate() {
            canonicalise(&output.tree, self.owner)?;
            let scanned = siblings.scan(index)?;
            waiting.insert(index, (siblings.siblings_in(index, &scanned), scanned));
        }
        let mut staged = BTreeMap::new();
        while !waiting.is_empty() {
            let ready =
                waiting.iter().find(|(_, (needs, _))| needs.iter().all(|other| staged.contains_key(other))).map(|(index, _)| *index);
            let Some((index, (needs, mut scanned))) = ready.and_then(|index| waiting.remove_entry(&index)) else {
                return Err(StoreError::OutputCycle { names: waiting.keys().map(|index| outputs[*index].name.to_string()).collect() });
            };
            if !needs.is_empty() {
                scanned = siblings.rewrite_siblings(index, &needs)?;
            }
            let info = siblings.describe(index, &scanned)?;
            if !needs.is_empty() || info.refers_to_itself() {
                canonicalise(&outputs[index].tree, self.owner)?;
            }
            siblings.finished.insert(index, *info.path.digest());
            siblings.known.insert(*info.path.digest(), info.path.clone());
            staged.insert(index, self.place(&outputs[index].tree, info, scanned.first_link)?);
        }
        Ok(staged.into_values().collect())
    }

    /// Stages a fetched file under flat addressing. The file is moved; its hash is checked again on the way.
    ///
    /// # Errors
    /// If the file has another hash, or the disk is full.
    pub fn stage_flat(&self, file: PathBuf, name: StoreName, sha256: &Sha256) -> Result<Staged, StoreError> {
        place::make_plain_file(&file)?;
        canonicalise(&file, self.owner)?;
        let (got, nar_hash, nar_size) = place::flat_hashes(&file)?;
        if got != *sha256 {
            return Err(StoreError::HashMismatch { name: name.to_string(), wanted: *sha256, got });
        }
        let ca = ContentAddress::Flat(got);
        let path = ca.store_path(&name, &BTreeSet::new(), false);
        self.place(&file, PathInfo { path, nar_hash, nar_size, references: BTreeSet::new(), ca, registered: now() }, None)
    }
}
