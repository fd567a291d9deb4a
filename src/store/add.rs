//! Adding what comes from outside the store: trees, files and NARs.
//!
//! A tree is hashed where it is: if the object is valid and whole, nothing is written at all. Otherwise it is copied, and the copy is
//! hashed, because the source may have changed in between; the copy's hash is what counts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::canonical::canonicalise;
use super::copy::copy_tree;
use super::stage::Found;
use super::{Registration, Staged, Store, StoreError, now, place};
use crate::archive::{Limits, ReferenceIndex, ScanRequest, restore, scan};
use crate::fsio::IoResultExt as _;
use crate::model::{ContentAddress, Hasher, PathInfo, Sha256, StoreName, StorePath};

/// What an added tree is said to refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// Nothing, as Nix's `add-path` does it.
    #[default]
    None,
    /// Whatever valid object's digest occurs in it.
    Scan,
    /// These.
    Declared(BTreeSet<StorePath>),
}

impl Store {
    /// Copies the tree at `source` into the store and registers it.
    ///
    /// # Errors
    /// If it cannot be read, holds what no object may hold, or a declared reference is not valid.
    pub fn add_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<PathInfo, StoreError> {
        let staged = self.stage_tree(name, source, references)?;
        self.register_one(staged)
    }

    /// As [`Store::add_tree`], but leaves the registration to the caller.
    ///
    /// # Errors
    /// As [`Store::add_tree`].
    pub fn stage_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<Staged, StoreError> {
        let index = self.index_for(references)?;
        let (info, first_link) = self.describe_tree(name, source, references, &index)?;
        if self.hold([&info.path])?.contains(&info.path) && place::is_whole(&self.physical(&info.path), &info) {
            let info = self.info(&info.path)?.unwrap_or(info);
            return Ok(Staged { info, first_link, found: Found::Whole });
        }
        let scratch = self.new_scratch()?;
        let copy = scratch.path().join("tree");
        copy_tree(source, &copy, self.owner, info.nar_size)?;
        let (info, first_link) = self.describe_tree(name, &copy, references, &index)?;
        self.hold(&info.references)?;
        self.place(&copy, info, first_link)
    }

    /// What [`Store::add_tree`] would register. Nothing is written.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn hash_tree(&self, name: &StoreName, source: &Path, references: &References) -> Result<PathInfo, StoreError> {
        let index = self.index_for(references)?;
        Ok(self.describe_tree(name, source, references, &index)?.0)
    }

    /// Writes a file into the store under flat addressing, as fetched files are, and registers it.
    ///
    /// # Errors
    /// If its hash is not `expected`.
    pub fn add_flat(&self, name: &StoreName, content: &mut dyn Read, expected: Option<&Sha256>) -> Result<PathInfo, StoreError> {
        let scratch = self.new_scratch()?;
        let path = scratch.path().join("file");
        let mut file = File::create_new(&path).at("create", &path)?;
        let mut tee = HashingReader { inner: content, hasher: Hasher::default() };
        io::copy(&mut tee, &mut file).at("write", &path)?;
        let got = tee.hasher.finish();
        if let Some(wanted) = expected.filter(|wanted| **wanted != got) {
            return Err(StoreError::HashMismatch { name: name.to_string(), wanted: *wanted, got });
        }
        let staged = self.stage_flat(path, name.clone(), &got)?;
        self.register_one(staged)
    }

    /// Unpacks a NAR that is said to be the object `claimed`, checks every word of that, and stages it.
    ///
    /// # Errors
    /// If the NAR is malformed or is not that object.
    pub fn stage_nar(&self, nar: &mut dyn Read, claimed: &PathInfo) -> Result<Staged, StoreError> {
        let wrong = |what: String| StoreError::NarMismatch { path: claimed.path.clone(), what };
        if !claimed.path_is_consistent() {
            return Err(wrong(format!("its content address {} does not give that path", claimed.ca)));
        }
        let scratch = self.new_scratch()?;
        let tree = scratch.path().join("tree");
        // The length is known, so nothing beyond it is ever unpacked; a byte more shows that there is more.
        let restored = restore(&mut nar.take(claimed.nar_size.saturating_add(1)), &tree, &Limits::default())?;
        if (restored.nar_hash, restored.nar_size) != (claimed.nar_hash, claimed.nar_size) {
            let (got, wanted) = (restored.nar_hash, claimed.nar_hash);
            return Err(wrong(format!("it has {} bytes with the hash {got}, not {} with {wanted}", restored.nar_size, claimed.nar_size)));
        }
        canonicalise(&tree, self.owner)?;
        let (found, first_link) = match claimed.ca {
            // The NAR's hash is the address, and it was just computed.
            ContentAddress::Recursive(_) if !claimed.refers_to_itself() => {
                (ContentAddress::Recursive(restored.nar_hash), restored.first_link)
            }
            _ => addressed(&tree, claimed)?,
        };
        if found != claimed.ca {
            return Err(wrong(format!("its bytes have the content address {found}, not {}", claimed.ca)));
        }
        self.place(&tree, PathInfo { registered: now(), ..claimed.clone() }, first_link)
    }

    /// Stages the object `claimed` if it lies in its place already, whole but not valid: what somebody left who was interrupted. It is checked
    /// as a NAR is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn stage_leftover(&self, claimed: &PathInfo) -> Result<Option<Staged>, StoreError> {
        let place = self.physical(&claimed.path);
        let valid = self.hold([&claimed.path])?.contains(&claimed.path);
        if valid || place.symlink_metadata().is_err() || !claimed.path_is_consistent() {
            return Ok(None);
        }
        let Ok((found, first_link)) = addressed(&place, claimed) else { return Ok(None) };
        if found != claimed.ca || !place::is_whole(&place, claimed) {
            return Ok(None);
        }
        canonicalise(&place, self.owner)?;
        Ok(Some(Staged { info: PathInfo { registered: now(), ..claimed.clone() }, first_link, found: Found::Nothing }))
    }

    fn register_one(&self, staged: Staged) -> Result<PathInfo, StoreError> {
        let info = staged.info.clone();
        self.register(&Registration { objects: vec![staged], ..Registration::default() })?;
        Ok(info)
    }

    /// What to look for in an added tree.
    fn index_for(&self, references: &References) -> Result<ReferenceIndex, StoreError> {
        match references {
            References::Scan => Ok(self.all_digests()?.into_iter().collect()),
            References::None | References::Declared(_) => Ok(ReferenceIndex::default()),
        }
    }

    fn describe_tree(
        &self,
        name: &StoreName,
        tree: &Path,
        references: &References,
        index: &ReferenceIndex,
    ) -> Result<(PathInfo, Option<PathBuf>), StoreError> {
        let scanned = scan(tree, &ScanRequest { own: None, candidates: index })?;
        let references = match references {
            References::Declared(declared) => declared.clone(),
            References::None | References::Scan => self.paths_of(&scanned.references)?,
        };
        let ca = ContentAddress::Recursive(scanned.nar_hash);
        let path = ca.store_path(name, &references, false);
        let (nar_hash, nar_size) = (scanned.nar_hash, scanned.nar_size);
        Ok((PathInfo { path, nar_hash, nar_size, references, ca, registered: now() }, scanned.first_link))
    }
}

/// The content address that the bytes at `tree` have, of the kind that `claimed` has; and the first link.
pub(super) fn addressed(tree: &Path, claimed: &PathInfo) -> Result<(ContentAddress, Option<PathBuf>), StoreError> {
    match claimed.ca {
        ContentAddress::Flat(_) => Ok((ContentAddress::Flat(place::flat_hashes(tree)?.0), None)),
        ContentAddress::Recursive(_) => {
            let own = claimed.refers_to_itself().then_some(claimed.path.digest());
            let scanned = scan(tree, &ScanRequest { own, candidates: &ReferenceIndex::default() })?;
            Ok((ContentAddress::Recursive(scanned.modulo_hash), scanned.first_link))
        }
    }
}

/// Hashes what is read through it.
struct HashingReader<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
}

impl Read for HashingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
