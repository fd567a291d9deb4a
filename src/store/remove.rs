//! Removing trees of any shape: read-only directories, nesting beyond the length of a path, entries that vanish meanwhile.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::fsio::PathError;

/// How many directories are held open at once. What lies deeper is first moved up to the top.
const DEPTH: usize = 64;

/// Removes `path`, whatever it is, links themselves and not what they point to. No error if it does not exist.
pub(super) fn remove_tree(path: &Path) -> Result<(), PathError> {
    match remove_top(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(PathError::new("remove", path, io::Error::from(error))),
    }
}

fn remove_top(path: &Path) -> Result<(), Errno> {
    match rustix::fs::unlink(path) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return done,
    }
    let top = open_dir(CWD, path)?;
    let mut moved = 0;
    loop {
        remove_content(top.as_fd(), 1, top.as_fd(), &mut moved)?;
        match rustix::fs::rmdir(path) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            done => return done,
        }
    }
}

/// Opens a directory that is going to be removed, and makes it writable for its owner.
fn open_dir(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // Not readable for its owner: the name is a directory's, as links are always accessible.
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    rustix::fs::fchmod(&dir, Mode::RWXU)?;
    Ok(dir)
}

fn remove_content(dir: BorrowedFd<'_>, depth: usize, top: BorrowedFd<'_>, moved: &mut u64) -> Result<(), Errno> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let removed = match entry.file_type() {
            FileType::Directory => remove_subdir(dir, name, depth, top, moved),
            _ => match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => remove_subdir(dir, name, depth, top, moved),
                done => done,
            },
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove_subdir(dir: BorrowedFd<'_>, name: &CStr, depth: usize, top: BorrowedFd<'_>, moved: &mut u64) -> Result<(), Errno> {
    let child = open_dir(dir, name)?;
    if depth >= DEPTH {
        loop {
            *moved += 1;
            let lifted = format!("..deep-{moved}");
            match rustix::fs::renameat_with(dir, name, top, lifted.as_str(), rustix::fs::RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                done => return done,
            }
        }
    }
    remove_content(child.as_fd(), depth + 1, top, moved)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            // An entry that the listing missed; once more, from the start.
            remove_content(child.as_fd(), depth + 1, top, moved)?;
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn read_only_directories_and_links_are_removed_but_not_what_links_point_to() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        for (name, mode) in [("a/b", 0o000), ("a", 0o555), ("", 0o555)] {
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.join("precious").exists());
        remove_tree(&tree).unwrap();
        let link = dir.path().join("link");
        symlink(&outside, &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(link.symlink_metadata().is_err() && outside.exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut current = open_dir(CWD, &tree).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&current, "nested", Mode::RWXU).unwrap();
            current = open_dir(current.as_fd(), c"nested").unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
