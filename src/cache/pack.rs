//! An object as it lies in a cache: its NAR, compressed, and the description that leads to it.
//!
//! In: a valid object. Out: packed bytes in a temporary file, or in memory if they are few, with all hashes known. The object is hashed on the way:
//! one that was damaged on the disk is not published.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::backend::Source;
use super::entry::EntryName;
use super::error::CacheError;
use super::signing::SecretKey;
use crate::archive::dump;
use crate::fsio::IoResultExt as _;
use crate::model::{Compression, Hasher, NarInfo, PathInfo, Sha256};
use crate::store::{Store, StoreError};

/// A NAR up to this size is packed in memory.
const SMALL: u64 = 512 << 10;

/// An object's NAR, packed.
pub(super) struct Packed {
    body: Body,
    hash: Sha256,
    size: u64,
}

enum Body {
    Memory(Vec<u8>),
    File(PathBuf),
}

impl Source for Packed {
    fn length(&self) -> u64 {
        self.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &self.body {
            Body::Memory(bytes) => Ok(Box::new(bytes.as_slice())),
            Body::File(path) => Ok(Box::new(File::open(path)?)),
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        if let Body::File(path) = &self.body {
            // What stays goes with the scratch directory.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Packed {
    /// Where the packed NAR belongs.
    pub(super) fn entry(&self) -> EntryName {
        EntryName::nar(&self.hash, Compression::Zstd)
    }

    /// The description that leads to it, signed if there is a key.
    pub(super) fn describe(&self, info: &PathInfo, key: Option<&SecretKey>) -> NarInfo {
        let mut narinfo = NarInfo {
            path: info.path.clone(),
            url: self.entry().to_string(),
            compression: Compression::Zstd,
            file_hash: Some(self.hash),
            file_size: Some(self.size),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references.clone(),
            deriver: None,
            signatures: Vec::new(),
            ca: Some(info.ca),
        };
        narinfo.signatures.extend(key.map(|key| key.sign(narinfo.fingerprint().as_bytes()).to_string()));
        narinfo
    }
}

/// Packs a valid object; `dir` is for temporary files.
pub(super) fn pack(store: &Store, info: &PathInfo, level: i32, dir: &Path) -> Result<Packed, CacheError> {
    let tree = store.physical(&info.path);
    if info.nar_size <= SMALL {
        let (bytes, hash, size) = compress(&tree, info, level, Vec::new())?;
        return Ok(Packed { body: Body::Memory(bytes), hash, size });
    }
    let path = dir.join(info.path.base_name());
    let (_, hash, size) = compress(&tree, info, level, File::create(&path).at("create", &path)?)?;
    Ok(Packed { body: Body::File(path), hash, size })
}

fn compress<W: Write>(tree: &Path, info: &PathInfo, level: i32, out: W) -> Result<(W, Sha256, u64), CacheError> {
    let packed = Hashing { inner: out, hasher: Hasher::default(), count: 0 };
    let mut encoder = zstd::Encoder::new(packed, level).at("compress", tree)?;
    encoder.set_pledged_src_size(Some(info.nar_size)).at("compress", tree)?;
    let mut nar = Hashing { inner: encoder, hasher: Hasher::default(), count: 0 };
    let dumped = dump(tree, &mut nar);
    let (encoder, hash, count) = nar.finish();
    // Fewer or more bytes than were promised are an error of the compressor too; what the object has become says more.
    if count != info.nar_size || (dumped.is_ok() && hash != info.nar_hash) {
        let what = format!("it has changed on the disk: {count} bytes with the hash {hash}, not {} with {}", info.nar_size, info.nar_hash);
        dumped.map_err(StoreError::from)?;
        return Err(StoreError::NarMismatch { path: info.path.clone(), what }.into());
    }
    dumped.map_err(StoreError::from)?;
    let packed = encoder.finish().at("compress", tree)?;
    Ok(packed.finish())
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W> Hashing<W> {
    fn finish(self) -> (W, Sha256, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
