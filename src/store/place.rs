//! The last step of staging: a tree whose hash is known is renamed to its final name in `objects/`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::canonical::canonicalise;
use super::remove::remove_tree;
use super::stage::Found;
use super::{Staged, Store, StoreError, failpoint, unique_name};
use crate::archive::{ReferenceIndex, ScanRequest, dump, scan};
use crate::fsio::{IoResultExt as _, PathError};
use crate::model::{Hasher, PathInfo, Sha256};

/// How often something wrong in our place is put aside before giving up. More than once only if others put it there meanwhile.
const ATTEMPTS: usize = 8;

impl Store {
    /// Moves `tree`, in canonical form, to the place of the object `info`. If that is valid and whole, or lies there whole already, `tree`
    /// stays where it is, to go with its scratch directory.
    ///
    /// What lies in the place of a valid object is read and compared, for this is the moment at which the right bytes are at hand: wrong
    /// ones are replaced. That costs no more than hashing `tree` did, and only when something valid is made once more.
    pub(super) fn place(&self, tree: &Path, info: PathInfo, first_link: Option<PathBuf>) -> Result<Staged, StoreError> {
        let was_valid = self.hold([&info.path])?.contains(&info.path);
        let dest = self.physical(&info.path);
        let found = match dest.symlink_metadata() {
            _ if !was_valid => Found::Nothing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
            _ if is_whole(&dest, &info) => Found::Whole,
            _ => Found::Damaged,
        };
        match found {
            Found::Whole => {}
            Found::Nothing | Found::Missing => self.move_into_place(tree, &dest, &info)?,
            Found::Damaged => self.replace(tree, &dest, &info)?,
        }
        Ok(Staged { info, first_link, found })
    }

    /// Puts `tree` in the place of a valid object that is damaged. Whoever reads it meanwhile goes on reading the old files. The new ones are
    /// on the disk before they are seen: there is no moment at which a crash leaves less than there was.
    fn replace(&self, tree: &Path, dest: &Path, info: &PathInfo) -> Result<(), StoreError> {
        self.sync()?;
        failpoint("before-exchange");
        if exchange(tree, dest)? {
            failpoint("after-exchange");
            return Ok(());
        }
        self.discard(dest)?;
        self.move_into_place(tree, dest, info)
    }

    fn move_into_place(&self, tree: &Path, dest: &Path, info: &PathInfo) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            failpoint("before-rename");
            if rename_new(tree, dest)? {
                failpoint("after-rename");
                return Ok(());
            }
            // Another process is staging the same object, or one died between staging and registering. Whoever uses it may go on using
            // it, if it is whole.
            if is_whole(dest, info) {
                return canonicalise(dest, self.owner);
            }
            self.discard(dest)?;
        }
        Err(PathError::new("replace", dest, io::Error::from(io::ErrorKind::AlreadyExists)).into())
    }

    /// Takes something out of `objects/` in one step, and then removes it.
    fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let trash = self.dir.join("trash").join(unique_name());
        match move_away(path, &trash) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
        Ok(remove_tree(&trash)?)
    }
}

/// Whether what lies at `path` has the bytes of `info`.
pub(super) fn is_whole(path: &Path, info: &PathInfo) -> bool {
    let nothing = ReferenceIndex::default();
    scan(path, &ScanRequest { own: None, candidates: &nothing }).is_ok_and(|scanned| scanned.nar_hash == info.nar_hash)
}

/// Renames `tree` to `dest`; false if that is taken.
fn rename_new(tree: &Path, dest: &Path) -> Result<bool, PathError> {
    let renamed = with_writable_top(tree, dest, || match rustix::fs::renameat_with(CWD, tree, CWD, dest, RenameFlags::NOREPLACE) {
        // A file system without this; an empty directory or a file with the same bytes may then be replaced.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(tree, dest),
        done => done,
    })?;
    match renamed {
        Ok(()) => Ok(true),
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::ISDIR | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(PathError::new("move into the store", tree, error)),
    }
}

/// Exchanges two trees in one step; false if the file system cannot.
fn exchange(tree: &Path, dest: &Path) -> Result<bool, PathError> {
    let exchanged = with_writable_top(tree, dest, || {
        let both = with_writable_top(dest, tree, || rustix::fs::renameat_with(CWD, tree, CWD, dest, RenameFlags::EXCHANGE));
        both.unwrap_or_else(|error| Err(Errno::from_io_error(&error.source).unwrap_or(Errno::IO)))
    })?;
    match exchanged {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS) => Ok(false),
        Err(error) => Err(PathError::new("replace", dest, error)),
    }
}

/// Renames something of `objects/` to a place in `trash/`.
pub(super) fn move_away(path: &Path, trash: &Path) -> Result<(), PathError> {
    with_writable_top(path, trash, || rustix::fs::rename(path, trash))?.at("move to the trash", path)
}

/// Renaming a directory changes its entry `..`, so its owner must be allowed to write it meanwhile.
fn with_writable_top(from: &Path, to: &Path, rename: impl FnOnce() -> Result<(), Errno>) -> Result<Result<(), Errno>, PathError> {
    let metadata = fs::symlink_metadata(from).at("look at", from)?;
    if !metadata.is_dir() || metadata.permissions().mode() & 0o200 != 0 || rustix::process::geteuid().is_root() {
        return Ok(rename());
    }
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(from, mode(0o755)).at("change the mode of", from)?;
    let renamed = rename();
    let now = if renamed.is_ok() { to } else { from };
    fs::set_permissions(now, mode(0o555)).at("change the mode of", now)?;
    Ok(renamed)
}

/// Drops the execute bits of a file that is addressed by its bytes alone, and refuses everything that is no file.
pub(super) fn make_plain_file(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    if !metadata.is_file() {
        return Err(StoreError::SpecialFile { path: path.to_owned(), kind: "no regular file" });
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).at("change the mode of", path)?;
    Ok(())
}

/// The hash of a plain file's bytes, and the hash and length of its NAR, in one pass. Only files that are not executable have a flat
/// address.
pub(super) fn flat_hashes(path: &Path) -> Result<(Sha256, Sha256, u64), StoreError> {
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o100 != 0 {
        return Err(StoreError::SpecialFile { path: path.to_owned(), kind: "no plain file" });
    }
    let mut sink = FlatSink { flat: Hasher::default(), nar: Hasher::default(), seen: 0, size: metadata.len() };
    dump(path, &mut sink)?;
    Ok((sink.flat.finish(), sink.nar.finish(), sink.seen))
}

/// Hashes a NAR, and the bytes of the one plain file in it.
struct FlatSink {
    flat: Hasher,
    nar: Hasher,
    seen: u64,
    size: u64,
}

impl FlatSink {
    /// Bytes of a NAR before the content of a plain file: eight framed strings and the content's length.
    const BEFORE: u64 = 96;
}

impl Write for FlatSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = |at: u64| usize::try_from(at.saturating_sub(self.seen)).unwrap_or(usize::MAX).min(bytes.len());
        self.flat.update(&bytes[part(Self::BEFORE)..part(Self::BEFORE + self.size)]);
        self.nar.update(bytes);
        self.seen += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
