//! Bringing a tree into canonical form, so that nothing but names, bytes and the owner's execute bit tells two objects apart.
//!
//! Files 0444 or 0555, directories 0555, modification time 1 s after 1970, the store's owner, no extended attributes, no file under two
//! names. What cannot be an object is an error: sockets, pipes, devices, files with a setuid or setgid bit.
//!
//! Works by path: who made the tree is gone, nobody changes it any more.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{StoreError, unique_name};
use crate::archive::MAX_DEPTH;
use crate::fsio::{IoResultExt as _, PathError};

/// Attributes that the machine puts on every file, and that no process can remove.
const IMPOSED: [&[u8]; 2] = [b"security.selinux", b"system.nfs4_acl"];

/// Access and modification time of every object.
pub(super) const TIMES: Timestamps =
    Timestamps { last_access: Timespec { tv_sec: 1, tv_nsec: 0 }, last_modification: Timespec { tv_sec: 1, tv_nsec: 0 } };

/// The mode of a file or directory.
pub(super) const fn canonical_mode(executable: bool) -> Mode {
    if executable { Mode::from_raw_mode(0o555) } else { Mode::from_raw_mode(0o444) }
}

/// Brings `tree` into canonical form; everything in it gets the owner `owner` (user and group).
pub(super) fn canonicalise(tree: &Path, owner: (u32, u32)) -> Result<(), StoreError> {
    Walk { path: tree.to_owned(), owner }.entry(0)
}

struct Walk {
    /// What is being looked at.
    path: PathBuf,
    owner: (u32, u32),
}

impl Walk {
    fn entry(&mut self, depth: usize) -> Result<(), StoreError> {
        let path = &self.path;
        let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).at("look at", path)?;
        let special = |kind| StoreError::SpecialFile { path: path.clone(), kind };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(&stat),
            FileType::Directory => self.directory(&stat, depth),
            FileType::Symlink => self.link(&stat),
            FileType::Socket => Err(special("a socket")),
            FileType::Fifo => Err(special("a named pipe")),
            FileType::CharacterDevice | FileType::BlockDevice => Err(special("a device")),
            FileType::Unknown => Err(special("of an unknown kind")),
        }
    }

    fn file(&self, stat: &Stat) -> Result<(), StoreError> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        for (bit, name) in [(Mode::SUID, "setuid"), (Mode::SGID, "setgid")] {
            if mode.contains(bit) {
                return Err(StoreError::SpecialBit { path: self.path.clone(), bit: name });
            }
        }
        let canonical = canonical_mode(mode.contains(Mode::XUSR));
        if stat.st_nlink > 1 {
            self.break_hard_link(mode)?;
            return self.finish(&self.stat()?, Some(canonical));
        }
        self.finish(stat, Some(canonical))
    }

    fn directory(&mut self, stat: &Stat, depth: usize) -> Result<(), StoreError> {
        if depth >= MAX_DEPTH {
            return Err(StoreError::TooDeep { path: self.path.clone(), limit: MAX_DEPTH });
        }
        if !Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU) {
            rustix::fs::chmod(&self.path, Mode::RWXU).at("change the mode of", &self.path)?;
        }
        for entry in fs::read_dir(&self.path).at("list", &self.path)? {
            let name = entry.at("list", &self.path)?.file_name();
            self.path.push(name);
            self.entry(depth + 1)?;
            self.path.pop();
        }
        // Changes of the entries may have changed the time.
        self.finish(&self.stat()?, Some(canonical_mode(true)))
    }

    fn link(&self, stat: &Stat) -> Result<(), StoreError> {
        self.finish(stat, None)
    }

    fn stat(&self) -> Result<Stat, PathError> {
        rustix::fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).at("look at", &self.path)
    }

    /// Owner, attributes, mode and time. What is right already is left alone.
    fn finish(&self, stat: &Stat, mode: Option<Mode>) -> Result<(), StoreError> {
        let path = &self.path;
        let (user, group) = self.owner;
        let foreign = (stat.st_uid, stat.st_gid) != self.owner;
        if foreign {
            let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            rustix::fs::chownat(CWD, path, user, group, AtFlags::SYMLINK_NOFOLLOW).at("change the owner of", path)?;
        }
        remove_attributes(path)?;
        if let Some(mode) = mode.filter(|mode| foreign || Mode::from_raw_mode(stat.st_mode) != *mode) {
            rustix::fs::chmod(path, mode).at("change the mode of", path)?;
        }
        if (stat.st_mtime, stat.st_mtime_nsec) != (1, 0) {
            rustix::fs::utimensat(CWD, path, &TIMES, AtFlags::SYMLINK_NOFOLLOW).at("change the time of", path)?;
        }
        Ok(())
    }

    /// Gives the file bytes of its own: rewriting one of its names must not change the others.
    fn break_hard_link(&self, mode: Mode) -> Result<(), PathError> {
        if !mode.contains(Mode::RUSR) {
            rustix::fs::chmod(&self.path, Mode::RUSR).at("change the mode of", &self.path)?;
        }
        let own = self.path.with_file_name(format!("..own-{}", unique_name()));
        let copied = File::open(&self.path).and_then(|mut source| {
            let mut copy = File::options().write(true).create_new(true).open(&own)?;
            io::copy(&mut source, &mut copy)
        });
        copied.at("copy the hard-linked file", &self.path)?;
        fs::rename(&own, &self.path).at("replace", &self.path)
    }
}

/// Removes extended attributes, access lists among them.
fn remove_attributes(path: &Path) -> Result<(), StoreError> {
    let mut list = match rustix::fs::llistxattr_query(path) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        found => vec![0; found.at("list the extended attributes of", path)?],
    };
    let used = rustix::fs::llistxattr(path, list.as_mut_slice()).at("list the extended attributes of", path)?;
    for name in list[..used].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !IMPOSED.contains(name)) {
        match rustix::fs::lremovexattr(path, std::ffi::OsStr::from_bytes(name)) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => {
                let attribute = String::from_utf8_lossy(name).into_owned();
                return Err(StoreError::Attribute { path: path.to_owned(), attribute, source: error.into() });
            }
        }
    }
    Ok(())
}
