//! Directories and files reached through handles: what the walkers of this folder share.
//!
//! A name is only ever looked up in an open directory, and never through a link, so a tree that changes meanwhile can make a
//! walk fail but not leave the tree.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

/// How many directories may lie in each other. Each level of a walk holds one file descriptor.
pub const MAX_DEPTH: usize = 256;

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Link,
    /// What no store object may hold.
    Other(&'static str),
}

impl Kind {
    /// The kind that `st_mode` says.
    pub(super) fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFLNK => Self::Link,
            SFlag::S_IFIFO => Self::Other("named pipe"),
            SFlag::S_IFSOCK => Self::Other("socket"),
            _ => Self::Other("device"),
        }
    }

    fn of_entry(kind: Option<Type>) -> Option<Self> {
        Some(match kind? {
            Type::Directory => Self::Directory,
            Type::File => Self::File,
            Type::Symlink => Self::Link,
            Type::Fifo => Self::Other("named pipe"),
            Type::Socket => Self::Other("socket"),
            Type::CharacterDevice | Type::BlockDevice => Self::Other("device"),
        })
    }
}

/// The entries of one directory in byte order of their names, packed: a directory may have a million.
pub(super) struct Listing {
    names: Vec<u8>,
    entries: Vec<(u32, Kind)>,
}

impl Listing {
    /// Reads `dir` to its end.
    pub(super) fn read(dir: &mut Dir) -> Result<Self, Errno> {
        let mut listing = Self { names: Vec::new(), entries: Vec::new() };
        let mut unknown = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let start = u32::try_from(listing.names.len()).map_err(|_| Errno::EOVERFLOW)?;
            let kind = Kind::of_entry(entry.file_type());
            if kind.is_none() {
                unknown.push(listing.entries.len());
            }
            listing.names.extend_from_slice(name.to_bytes_with_nul());
            listing.entries.push((start, kind.unwrap_or(Kind::File)));
        }
        for index in unknown {
            let stat = fstatat(dir.as_fd(), listing.name(index), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            listing.entries[index].1 = Kind::of(&stat);
        }
        let Self { names, entries } = &mut listing;
        entries.sort_unstable_by(|(left, _), (right, _)| name_at(names, *left).cmp(name_at(names, *right)));
        Ok(listing)
    }

    /// The entries, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&CStr, Kind)> {
        (0..self.entries.len()).map(|index| (self.name(index), self.entries[index].1))
    }

    fn name(&self, index: usize) -> &CStr {
        name_at(&self.names, self.entries[index].0)
    }
}

fn name_at(names: &[u8], start: u32) -> &CStr {
    CStr::from_bytes_until_nul(&names[start as usize..]).unwrap_or_default()
}

/// Opens the directory `name` in `parent`; a link is refused.
pub(super) fn open_dir(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Opens the file `name` in `parent` for reading; a link is refused, and a pipe does not block.
pub(super) fn open_file(parent: impl AsFd, name: &CStr) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    openat(parent, name, flags, Mode::empty()).map(File::from)
}

/// What `name` in `parent` is, links not followed.
pub(super) fn stat_at(parent: impl AsFd, name: &CStr) -> Result<FileStat, Errno> {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::AT_FDCWD;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn entries_come_in_byte_order_with_their_kinds() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a.c", "a", "a-"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("B")).unwrap();
        std::os::unix::fs::symlink("x", dir.path().join("é")).unwrap();
        let path = CString::new(dir.path().as_os_str().as_bytes()).unwrap();
        let mut opened = Dir::from_fd(open_dir(AT_FDCWD, &path).unwrap()).unwrap();
        let listing = Listing::read(&mut opened).unwrap();
        let entries: Vec<_> = listing.iter().map(|(name, kind)| (name.to_str().unwrap(), kind)).collect();
        let file = Kind::File;
        assert_eq!(entries, [("B", Kind::Directory), ("a", file), ("a-", file), ("a.c", file), ("b", file), ("é", Kind::Link)]);
    }

    #[test]
    fn a_link_is_not_opened_as_what_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let link = CString::new(link.as_os_str().as_bytes()).unwrap();
        assert!(open_dir(AT_FDCWD, &link).is_err());
        assert_eq!(open_file(AT_FDCWD, &link).unwrap_err(), Errno::ELOOP);
    }
}
