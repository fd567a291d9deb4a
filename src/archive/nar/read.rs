//! A NAR in, a file tree out, or only what its bytes say. The parser accepts exactly what [`super::dump`] writes.
//!
//! Not here: whether the hash is the wanted one; nobody may see the tree before its caller has compared it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;

use super::MAGIC;
use super::block::{BLOCK, BlockSink as _};
use super::hash::Hashes;
use super::scan::{ScanRequest, Scanner};
use crate::archive::listing::{MAX_DEPTH, open_dir};
use crate::archive::place::{create_file, seal};
use crate::archive::{ArchiveError, Limits, ReferenceIndex};
use crate::fsio::PathError;
use crate::model::{Hasher, Sha256, StoreDigest};

/// What [`restore`] read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// SHA-256 of the NAR.
    pub nar_hash: Sha256,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// The first symbolic link in it, relative to the tree, if there is any (empty if the tree is a link itself).
    pub first_link: Option<PathBuf>,
}

/// Reads a NAR to its end and lays it out at `dest`, which must not exist: files 0444 or 0555 with mtime 1, directories writable.
///
/// After an error, what was written so far is the caller's to remove. Of `limits`, bytes and entries count.
///
/// # Errors
/// If the NAR breaks a rule, ends early, is followed by something or exceeds the limits; if `dest` exists or cannot be written.
pub fn restore(nar: &mut dyn Read, dest: &Path, limits: &Limits) -> Result<Restored, ArchiveError> {
    let name = CString::new(dest.as_os_str().as_bytes()).map_err(|_| PathError::new("create", dest, Errno::EINVAL))?;
    let nothing = ReferenceIndex::default();
    let mut restore = Restore::new(nar, ScanRequest { own: None, candidates: &nothing }, dest, limits);
    restore.input.expect(MAGIC)?;
    restore.node(Some(AT_FDCWD), &name)?;
    let hashes = restore.input.finish()?;
    Ok(Restored { nar_size: hashes.len, nar_hash: hashes.plain.finish(), first_link: restore.first_link })
}

/// What [`inspect`] found a NAR to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// SHA-256 of the NAR.
    pub nar_hash: Sha256,
    /// Bytes of the NAR.
    pub nar_size: u64,
    /// The hash modulo the own digest; equals `nar_hash` if that does not occur.
    pub modulo_hash: Sha256,
    /// If the NAR is one file that is not executable: the SHA-256 of its bytes.
    pub file_hash: Option<Sha256>,
}

/// Reads a NAR to its end as [`restore`] does, but writes nothing. `own` is the digest that stands for the object in its own bytes.
///
/// # Errors
/// If the NAR breaks a rule, ends early, is followed by something or exceeds the limits.
pub fn inspect(nar: &mut dyn Read, own: Option<&StoreDigest>, limits: &Limits) -> Result<Inspected, ArchiveError> {
    let nothing = ReferenceIndex::default();
    let mut restore = Restore::new(nar, ScanRequest { own, candidates: &nothing }, Path::new(""), limits);
    restore.input.expect(MAGIC)?;
    restore.node(None, c"")?;
    let file_hash = restore.file_hash.take();
    let hashes = restore.input.finish()?;
    let modulo_hash = hashes.modulo_hash();
    Ok(Inspected { nar_size: hashes.len, modulo_hash, nar_hash: hashes.plain.finish(), file_hash })
}

/// The longest file name.
const MAX_NAME: u64 = 255;

/// The longest link target.
const MAX_TARGET: u64 = 4095;

/// The stream, in blocks that are hashed as they are used up.
struct Input<'a> {
    source: &'a mut dyn Read,
    scanner: Scanner<'a>,
    block: Vec<u8>,
    filled: usize,
    position: usize,
    /// Bytes in the blocks before this one.
    before: u64,
}

impl<'a> Input<'a> {
    fn new(source: &'a mut dyn Read, request: ScanRequest<'a>) -> Self {
        Self { source, scanner: Scanner::new(request), block: vec![0; BLOCK], filled: 0, position: 0, before: 0 }
    }

    fn malformed(&self, problem: impl Into<String>) -> ArchiveError {
        ArchiveError::Nar { offset: self.before + self.position as u64, problem: problem.into() }
    }

    /// The bytes that can be had without reading; empty at the end of the stream only.
    fn available(&mut self) -> Result<&[u8], ArchiveError> {
        while self.position == self.filled {
            if self.filled == BLOCK {
                let kept = self.scanner.take(&mut self.block, BLOCK, false)?;
                self.before += (BLOCK - kept) as u64;
                (self.filled, self.position) = (kept, kept);
            }
            match self.source.read(&mut self.block[self.filled..]) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
        Ok(&self.block[self.position..self.filled])
    }

    /// Hands the next `len` bytes to `take`, in pieces.
    fn pieces(&mut self, len: u64, mut take: impl FnMut(&[u8]) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
        let mut left = len;
        while left > 0 {
            let available = self.available()?;
            if available.is_empty() {
                return Err(self.malformed("it ends in the middle"));
            }
            let now = available.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&available[..now])?;
            self.position += now;
            left -= now as u64;
        }
        Ok(())
    }

    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.pieces(len, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, ArchiveError> {
        let bytes = self.bytes(8)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn padding(&mut self, len: u64) -> Result<(), ArchiveError> {
        let padding = self.bytes(len.wrapping_neg() % 8)?;
        if padding.iter().any(|byte| *byte != 0) { Err(self.malformed("the padding is not zero")) } else { Ok(()) }
    }

    fn string(&mut self, max: u64) -> Result<Vec<u8>, ArchiveError> {
        let len = self.number()?;
        if len > max {
            return Err(self.malformed(format!("a string of {len} bytes where at most {max} may be")));
        }
        let bytes = self.bytes(len)?;
        self.padding(len)?;
        Ok(bytes)
    }

    /// One of the format's own words.
    fn word(&mut self) -> Result<Vec<u8>, ArchiveError> {
        self.string(16)
    }

    fn unexpected(&self, wanted: &str, got: &[u8]) -> ArchiveError {
        self.malformed(format!("expected {wanted}, found `{}`", got.escape_ascii()))
    }

    fn expect(&mut self, wanted: &[u8]) -> Result<(), ArchiveError> {
        let got = self.word()?;
        if got == wanted { Ok(()) } else { Err(self.unexpected(&format!("`{}`", wanted.escape_ascii()), &got)) }
    }

    fn finish(mut self) -> Result<Hashes, ArchiveError> {
        if !self.available()?.is_empty() {
            return Err(self.malformed("something follows its end"));
        }
        self.scanner.take(&mut self.block, self.filled, true)?;
        Ok(self.scanner.finish())
    }
}

struct Restore<'a> {
    input: Input<'a>,
    dest: &'a Path,
    path: PathBuf,
    limits: &'a Limits,
    bytes: u64,
    entries: u64,
    depth: usize,
    file_hash: Option<Sha256>,
    first_link: Option<PathBuf>,
}

impl<'a> Restore<'a> {
    fn new(nar: &'a mut dyn Read, request: ScanRequest<'a>, dest: &'a Path, limits: &'a Limits) -> Self {
        let input = Input::new(nar, request);
        Self { input, path: dest.to_owned(), dest, limits, bytes: 0, entries: 0, depth: 0, file_hash: None, first_link: None }
    }

    fn failed(&self, action: &'static str, error: Errno) -> ArchiveError {
        match error {
            Errno::EEXIST if self.path == self.dest => ArchiveError::DestinationExists(self.path.clone()),
            error => PathError::new(action, &self.path, error).into(),
        }
    }

    fn too_large(&self, limit: u64, unit: &'static str) -> ArchiveError {
        ArchiveError::TooLarge { archive: self.dest.to_owned(), limit, unit }
    }

    /// Without a parent nothing is written.
    fn node(&mut self, parent: Option<BorrowedFd<'_>>, name: &CStr) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_large(self.limits.entries, "entries"));
        }
        self.input.expect(b"(")?;
        self.input.expect(b"type")?;
        let kind = self.input.word()?;
        match kind.as_slice() {
            b"regular" => self.file(parent, name),
            b"symlink" => self.link(parent, name),
            b"directory" => self.directory(parent, name),
            _ => Err(self.input.unexpected("a type", &kind)),
        }
    }

    fn file(&mut self, parent: Option<BorrowedFd<'_>>, name: &CStr) -> Result<(), ArchiveError> {
        let mut word = self.input.word()?;
        let executable = word == b"executable";
        if executable {
            self.input.expect(b"")?;
            word = self.input.word()?;
        }
        if word != b"contents" {
            return Err(self.input.unexpected("`contents`", &word));
        }
        let len = self.input.number()?;
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.limits.bytes {
            return Err(self.too_large(self.limits.bytes, "bytes"));
        }
        match parent {
            Some(parent) => {
                let mut file = create_file(parent, name).map_err(|error| self.failed("create", error))?;
                self.contents(&mut file, len)?;
                seal(&file, executable).map_err(|error| self.failed("set the mode of", error))?;
            }
            None if self.depth == 0 && !executable => self.hashed_contents(len)?,
            None => self.input.pieces(len, |_| Ok(()))?,
        }
        self.input.padding(len)?;
        self.input.expect(b")")
    }

    fn hashed_contents(&mut self, len: u64) -> Result<(), ArchiveError> {
        let mut hasher = Hasher::default();
        self.input.pieces(len, |piece| {
            hasher.update(piece);
            Ok(())
        })?;
        self.file_hash = Some(hasher.finish());
        Ok(())
    }

    fn contents(&mut self, file: &mut File, len: u64) -> Result<(), ArchiveError> {
        let path = &self.path;
        self.input.pieces(len, |piece| file.write_all(piece).map_err(|error| PathError::new("write", path, error).into()))
    }

    fn link(&mut self, parent: Option<BorrowedFd<'_>>, name: &CStr) -> Result<(), ArchiveError> {
        self.input.expect(b"target")?;
        let target = self.input.string(MAX_TARGET)?;
        let target = CString::new(target).ok().filter(|target| !target.is_empty());
        let Some(target) = target else {
            return Err(self.input.malformed("a link target that is empty or holds a NUL"));
        };
        if let Some(parent) = parent {
            symlinkat(target.as_c_str(), parent, name).map_err(|error| self.failed("create the link", error))?;
        }
        let here = self.path.strip_prefix(self.dest).unwrap_or(Path::new(""));
        self.first_link.get_or_insert_with(|| here.to_owned());
        self.input.expect(b")")
    }

    fn directory(&mut self, parent: Option<BorrowedFd<'_>>, name: &CStr) -> Result<(), ArchiveError> {
        if self.depth == MAX_DEPTH {
            return Err(ArchiveError::TooDeep { path: self.path.clone(), limit: MAX_DEPTH });
        }
        let dir = parent.map(|parent| self.create_directory(parent, name)).transpose()?;
        let handle = dir.as_ref().map(|dir| dir.as_fd());
        self.depth += 1;
        let mut previous: Option<CString> = None;
        loop {
            let word = self.input.word()?;
            match word.as_slice() {
                b")" => break,
                b"entry" => previous = Some(self.entry(handle, previous.as_deref())?),
                _ => return Err(self.input.unexpected("`entry` or `)`", &word)),
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn create_directory(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<Dir, ArchiveError> {
        mkdirat(parent, name, Mode::from_bits_truncate(0o755)).map_err(|error| self.failed("create the directory", error))?;
        open_dir(parent, name).and_then(Dir::from_fd).map_err(|error| self.failed("open", error))
    }

    fn entry(&mut self, dir: Option<BorrowedFd<'_>>, previous: Option<&CStr>) -> Result<CString, ArchiveError> {
        self.input.expect(b"(")?;
        self.input.expect(b"name")?;
        let name = self.input.string(MAX_NAME)?;
        let fits = !matches!(name.as_slice(), b"" | b"." | b"..") && !name.contains(&b'/');
        let Some(name) = CString::new(name).ok().filter(|_| fits) else {
            return Err(self.input.malformed("a name that is empty, `.`, `..` or holds `/` or NUL"));
        };
        if previous.is_some_and(|previous| previous >= name.as_c_str()) {
            return Err(self.input.malformed(format!("the name `{}` is out of order or twice there", name.as_bytes().escape_ascii())));
        }
        self.input.expect(b"node")?;
        self.path.push(std::ffi::OsStr::from_bytes(name.as_bytes()));
        self.node(dir, &name)?;
        self.path.pop();
        self.input.expect(b")")?;
        Ok(name)
    }
}
