//! A file tree in, its NAR out.
//!
//! Not here: what is made of the bytes ([`super::scan()`] hashes them and looks for references).

use std::ffi::{CStr, CString, OsStr};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, readlinkat};
use nix::sys::stat::fstat;

use super::MAGIC;
use super::block::{BlockSink, Blocks, join};
use crate::archive::ArchiveError;
use crate::archive::listing::{Kind, Listing, MAX_DEPTH, open_dir, open_file, stat_at};
use crate::fsio::{IoResultExt, PathError};
use crate::model::{DIGEST_LEN, StoreDigest};

/// Writes `tree` (a directory, file or link) to `out` as a NAR.
///
/// # Errors
/// If the tree holds something else, changes meanwhile, or cannot be read; if `out` cannot be written.
pub fn dump(tree: &Path, out: &mut dyn Write) -> Result<(), ArchiveError> {
    walk(tree, None, None, &mut Output(out)).map(drop)
}

struct Output<'a>(&'a mut dyn Write);

impl BlockSink for Output<'_> {
    fn take(&mut self, block: &mut Vec<u8>, filled: usize, last: bool) -> Result<usize, ArchiveError> {
        self.0.write_all(&block[..filled]).map_err(ArchiveError::Write)?;
        if last {
            self.0.flush().map_err(ArchiveError::Write)?;
        }
        Ok(0)
    }
}

/// What a walk notices by the way; paths are relative to the tree.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    pub(super) first_link: Option<PathBuf>,
    pub(super) name_with_own: Option<PathBuf>,
}

/// Says of a place in a tree, relative to it, whether it counts; of a directory, with all that is in it.
pub type Keep<'a> = &'a dyn Fn(&Path) -> bool;

/// Walks `tree`, or what of it counts, and hands the blocks of its NAR to `sink`.
pub(super) fn walk(
    tree: &Path,
    own: Option<&StoreDigest>,
    keep: Option<Keep<'_>>,
    sink: &mut dyn BlockSink,
) -> Result<Noticed, ArchiveError> {
    let mut walk = Walk { tree, own, keep, inside: Vec::new(), depth: 0, blocks: Blocks::new(sink), noticed: Noticed::default() };
    walk.blocks.string(MAGIC)?;
    let name = CString::new(tree.as_os_str().as_bytes()).map_err(|_| PathError::new("open", tree, Errno::EINVAL))?;
    let kind = Kind::of(&stat_at(AT_FDCWD, &name).at("read", tree)?);
    walk.node(AT_FDCWD, &name, kind)?;
    walk.blocks.finish()?;
    Ok(walk.noticed)
}

struct Walk<'a> {
    tree: &'a Path,
    own: Option<&'a StoreDigest>,
    keep: Option<Keep<'a>>,
    /// Where the walk is, relative to the tree.
    inside: Vec<u8>,
    depth: usize,
    blocks: Blocks<'a>,
    noticed: Noticed,
}

fn inside_path(inside: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(inside))
}

impl Walk<'_> {
    fn path(&self) -> PathBuf {
        join(self.tree, &inside_path(&self.inside))
    }

    fn failed(&self, action: &'static str, error: Errno) -> ArchiveError {
        PathError::new(action, self.path(), error).into()
    }

    fn node(&mut self, parent: impl AsFd, name: &CStr, kind: Kind) -> Result<(), ArchiveError> {
        match kind {
            Kind::File => self.file(parent, name),
            Kind::Directory => self.directory(parent, name),
            Kind::Link => self.link(parent, name),
            Kind::Other(kind) => Err(ArchiveError::Unsupported { path: self.path(), kind }),
        }
    }

    fn file(&mut self, parent: impl AsFd, name: &CStr) -> Result<(), ArchiveError> {
        let mut file = open_file(parent, name).map_err(|error| self.failed("open", error))?;
        let stat = fstat(&file).map_err(|error| self.failed("read", error))?;
        if Kind::of(&stat) != Kind::File {
            return Err(ArchiveError::Changed(self.path()));
        }
        let executable = stat.st_mode & 0o100 != 0;
        self.blocks.words(&["(", "type", "regular"])?;
        self.blocks.words(if executable { &["executable", "", "contents"] } else { &["contents"] })?;
        let (tree, inside) = (self.tree, &self.inside);
        self.blocks.file(&mut file, stat.st_size.unsigned_abs(), || join(tree, &inside_path(inside)))?;
        self.blocks.words(&[")"])
    }

    fn link(&mut self, parent: impl AsFd, name: &CStr) -> Result<(), ArchiveError> {
        let target = readlinkat(parent, name).map_err(|error| self.failed("read the link", error))?;
        self.noticed.first_link.get_or_insert_with(|| inside_path(&self.inside));
        self.blocks.words(&["(", "type", "symlink", "target"])?;
        self.blocks.string(&target.into_vec())?;
        self.blocks.words(&[")"])
    }

    fn directory(&mut self, parent: impl AsFd, name: &CStr) -> Result<(), ArchiveError> {
        if self.depth == MAX_DEPTH {
            return Err(ArchiveError::TooDeep { path: self.path(), limit: MAX_DEPTH });
        }
        let mut dir = open_dir(parent, name).and_then(Dir::from_fd).map_err(|error| self.failed("open", error))?;
        let listing = Listing::read(&mut dir).map_err(|error| self.failed("list", error))?;
        self.depth += 1;
        self.blocks.words(&["(", "type", "directory"])?;
        for (name, kind) in listing.iter() {
            let len = self.enter(name);
            if self.keep.is_none_or(|keep| keep(Path::new(OsStr::from_bytes(&self.inside)))) {
                self.blocks.words(&["entry", "(", "name"])?;
                self.blocks.string(name.to_bytes())?;
                self.blocks.words(&["node"])?;
                self.node(&dir, name, kind)?;
                self.blocks.words(&[")"])?;
            }
            self.inside.truncate(len);
        }
        self.depth -= 1;
        self.blocks.words(&[")"])
    }

    /// Steps down to `name`; returns what to step back to.
    fn enter(&mut self, name: &CStr) -> usize {
        let len = self.inside.len();
        if len > 0 {
            self.inside.push(b'/');
        }
        self.inside.extend_from_slice(name.to_bytes());
        if let Some(own) = self.own
            && name.to_bytes().windows(DIGEST_LEN).any(|window| window == own.as_bytes())
        {
            self.noticed.name_with_own.get_or_insert_with(|| inside_path(&self.inside));
        }
        len
    }
}
