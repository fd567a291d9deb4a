//! NAR bytes, collected into blocks.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::archive::ArchiveError;
use crate::fsio::PathError;

/// Bytes of a block: small enough for a processor's cache, large enough that handing it over costs nothing.
pub(super) const BLOCK: usize = 256 * 1024;

/// Takes blocks, one after the other.
pub(super) trait BlockSink {
    /// Takes the first `filled` bytes of `block`; may exchange the block for another of the same length. Returns how many bytes it
    /// left at the start of the block to be seen again with the next ones: fewer than a block, and none when this is the `last`.
    fn take(&mut self, block: &mut Vec<u8>, filled: usize, last: bool) -> Result<usize, ArchiveError>;
}

/// Collects NAR strings into blocks; files are read straight into them.
pub(super) struct Blocks<'a> {
    sink: &'a mut dyn BlockSink,
    block: Vec<u8>,
    filled: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(sink: &'a mut dyn BlockSink) -> Self {
        Self { sink, block: vec![0; BLOCK], filled: 0 }
    }

    fn flush(&mut self, last: bool) -> Result<(), ArchiveError> {
        self.filled = self.sink.take(&mut self.block, self.filled, last)?;
        Ok(())
    }

    fn raw(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            if self.filled == BLOCK {
                self.flush(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.block[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn padding(&mut self, len: u64) -> Result<(), ArchiveError> {
        self.raw(&[0; 8][..(len.wrapping_neg() % 8) as usize])
    }

    /// One string.
    pub(super) fn string(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let len = bytes.len() as u64;
        self.raw(&len.to_le_bytes())?;
        self.raw(bytes)?;
        self.padding(len)
    }

    /// Several strings of the format's own words.
    pub(super) fn words(&mut self, words: &[&str]) -> Result<(), ArchiveError> {
        words.iter().try_for_each(|word| self.string(word.as_bytes()))
    }

    /// One string that is the content of `file`, which is `len` bytes long and lies at `path`.
    pub(super) fn file(&mut self, file: &mut File, len: u64, path: impl Fn() -> std::path::PathBuf) -> Result<(), ArchiveError> {
        self.raw(&len.to_le_bytes())?;
        let mut left = len;
        while left > 0 {
            if self.filled == BLOCK {
                self.flush(false)?;
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK - self.filled);
            match file.read(&mut self.block[self.filled..self.filled + room]) {
                Ok(0) => return Err(ArchiveError::Changed(path())),
                Ok(read) => {
                    self.filled += read;
                    left -= read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(PathError::new("read", path(), error).into()),
            }
        }
        self.padding(len)
    }

    /// Hands the last block over.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        self.flush(true)
    }
}

/// The path of a node for messages: `tree` itself, or what lies in it.
pub(super) fn join(tree: &Path, inside: &Path) -> std::path::PathBuf {
    if inside.as_os_str().is_empty() { tree.to_owned() } else { tree.join(inside) }
}
