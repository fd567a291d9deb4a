//! A cache for tests: a directory with genuine small objects.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::timing::Timing;
use crate::cache::backend::{Backend, Existing};
use crate::cache::directory::Directory;
use crate::cache::entry::EntryName;
use crate::model::{Compression, ContentAddress, NarInfo, STORE_DIR, Sha256, StorePath};

/// As the standard, but for what tests would wait for.
pub(super) const QUICK: Timing =
    Timing { look: Duration::from_millis(5), settle: Duration::from_millis(5), slice: Duration::from_secs(20), ..Timing::STANDARD };

/// A day.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A directory that goes away with this value, and the cache in it.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
    pub(super) backend: Directory,
}

/// The NAR of one file with this content.
pub(super) fn nar(content: &str) -> Vec<u8> {
    let mut nar = Vec::new();
    for word in ["nix-archive-1", "(", "type", "regular", "contents", content, ")"] {
        nar.extend((word.len() as u64).to_le_bytes());
        nar.extend(word.as_bytes());
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let backend = Directory::new(dir.path().to_owned());
        let fixture = Self { dir, backend };
        fixture.put("nix-cache-info", format!("StoreDir: {STORE_DIR}\n"));
        fixture
    }

    fn info(name: &str, references: &[&StorePath]) -> (NarInfo, Vec<u8>) {
        let references: BTreeSet<StorePath> = references.iter().map(|path| (*path).clone()).collect();
        let nar = nar(&format!("{name} {references:?}"));
        let packed = zstd::encode_all(nar.as_slice(), 1).unwrap();
        let nar_hash = Sha256::of(&nar);
        let ca = ContentAddress::Recursive(nar_hash);
        let file_hash = Sha256::of(&packed);
        let info = NarInfo {
            path: ca.store_path(&name.parse().unwrap(), &references, false),
            url: EntryName::nar(&file_hash, Compression::Zstd).to_string(),
            compression: Compression::Zstd,
            file_hash: Some(file_hash),
            file_size: Some(packed.len() as u64),
            nar_hash,
            nar_size: nar.len() as u64,
            references,
            deriver: None,
            signatures: Vec::new(),
            ca: Some(ca),
        };
        (info, packed)
    }

    /// What [`Self::object`] would make.
    pub(super) fn path(name: &str, references: &[&StorePath]) -> StorePath {
        Self::info(name, references).0.path
    }

    /// Where its NAR would be, and the bytes of both entries.
    pub(super) fn parts(name: &str, references: &[&StorePath]) -> (StorePath, EntryName, Vec<u8>, Vec<u8>) {
        let (info, packed) = Self::info(name, references);
        (info.path.clone(), info.url.parse().unwrap(), packed, info.to_string().into_bytes())
    }

    /// An object that is in the cache.
    pub(super) fn object(&self, name: &str, references: &[&StorePath]) -> StorePath {
        let (path, nar, packed, info) = Self::parts(name, references);
        self.put(nar.as_str(), packed);
        self.put(EntryName::narinfo(path.digest()).as_str(), info);
        path
    }

    /// The same, last used that long ago.
    pub(super) fn old(&self, name: &str, references: &[&StorePath], age: Duration) -> StorePath {
        let path = self.object(name, references);
        self.age(self.nar_of(&path).as_str(), age);
        self.age(EntryName::narinfo(path.digest()).as_str(), age);
        path
    }

    pub(super) fn nar_of(&self, path: &StorePath) -> EntryName {
        let text = String::from_utf8(self.get(EntryName::narinfo(path.digest()).as_str())).unwrap();
        text.parse::<NarInfo>().unwrap().url.parse().unwrap()
    }

    pub(super) fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let bytes: Vec<u8> = bytes.into();
        self.backend.write(&name.parse().unwrap(), &bytes, Existing::Replace).unwrap();
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    pub(super) fn has(&self, path: &StorePath) -> bool {
        self.backend.size(&EntryName::narinfo(path.digest())).unwrap().is_some()
    }

    pub(super) fn has_entry(&self, name: &EntryName) -> bool {
        self.backend.size(name).unwrap().is_some()
    }

    /// Makes an entry look as if it had been written and read that long ago.
    pub(super) fn age(&self, name: &str, age: Duration) {
        let then = SystemTime::now() - age;
        let times = std::fs::FileTimes::new().set_modified(then).set_accessed(then);
        File::open(self.file(name)).unwrap().set_times(times).unwrap();
    }
}
