//! A cache in a directory (`file://`): what any static web server can serve.
//!
//! A file is written under a name that no entry has and renamed when it is whole, so readers, this program's or a web server's, see whole
//! entries only. It is synced before: an entry that is there survives a power cut. Many small ones are synced all at once (`syncfs`).

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempPath;
use walkdir::WalkDir;

use super::backend::{Backend, Existing, Listed, Reading, Source};
use super::entry::EntryName;
use super::error::CacheError;
use super::patient::Patience;
use crate::fsio::{IoResultExt as _, PathError, sync_dir};

/// What files that are still being written are called; no entry's name starts with a dot.
pub(super) const PARTIAL: &str = ".kiln-";

/// Bytes that are copied at once.
const BUFFER: usize = 256 << 10;

/// Small entries that are written at once.
const BATCH: usize = 128;

/// From so many on one `syncfs` costs less than syncing each.
const MANY: usize = 8;

/// A directory.
#[derive(Debug)]
pub struct Directory {
    dir: PathBuf,
    patience: Patience,
}

impl Directory {
    /// The cache in `dir`, which comes into being with the first entry.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, patience: Patience::default() }
    }

    /// Where an entry lies.
    pub fn path(&self, name: &EntryName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    fn open(&self) -> Result<File, PathError> {
        fs::create_dir_all(&self.dir).at("create", &self.dir)?;
        File::open(&self.dir).at("open", &self.dir)
    }

    fn walk(&self, prefix: &str) -> WalkDir {
        // Only the directories that can hold such names are looked at.
        let below = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
        WalkDir::new(self.dir.join(below)).min_depth(1)
    }
}

impl Backend for Directory {
    fn location(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    fn patience(&self) -> &Patience {
        &self.patience
    }

    fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError> {
        let path = self.path(name);
        let Some(mut file) = present(File::open(&path)).at("open", &path)? else { return Ok(None) };
        let metadata = file.metadata().at("look at", &path)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(from)).at("seek in", &path)?;
        Ok(Some(Reading { body: Box::new(file), length: Some(metadata.len().saturating_sub(from)) }))
    }

    fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError> {
        let path = self.path(name);
        let metadata = present(fs::metadata(&path)).at("look at", &path)?;
        Ok(metadata.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError> {
        let mut found = HashSet::new();
        for name in names {
            if self.size(name)?.is_some() {
                found.insert(name.clone());
            }
        }
        Ok(found)
    }

    fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError> {
        self.write_all(&[(name.clone(), source)], existing)
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn write_all(&self, entries: &[(EntryName, &dyn Source)], existing: Existing) -> Result<(), CacheError> {
        // Opened before anything is written: `syncfs` reports the write-back errors that happened since.
        let whole = if entries.len() < MANY { None } else { Some(self.open()?) };
        let mut written = Vec::with_capacity(entries.len());
        for (name, source) in entries {
            if existing == Existing::Keep && self.size(name)?.is_some() {
                continue;
            }
            let path = self.path(name);
            written.push((write_aside(&path, *source, whole.is_none())?, path));
        }
        if let Some(whole) = whole.filter(|_| !written.is_empty()) {
            nix::unistd::syncfs(&whole).at("sync the file system of", &self.dir)?;
        }
        let parents: BTreeSet<PathBuf> = written.iter().map(|(_, path)| parent(path).to_owned()).collect();
        written.into_iter().try_for_each(|(file, path)| place(file, &path, existing))?;
        parents.iter().try_for_each(|parent| Ok(sync_dir(parent)?))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError> {
        for found in self.walk(prefix) {
            let found = match found {
                Ok(found) => found,
                // Removed meanwhile, or there is no cache yet.
                Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => continue,
                Err(error) => return Err(PathError::new("list", &self.dir, error).into()),
            };
            let relative = found.path().strip_prefix(&self.dir).ok().and_then(Path::to_str);
            let Some(name) = relative.filter(|name| name.starts_with(prefix)).and_then(|name| name.parse().ok()) else { continue };
            let Some(metadata) = present(fs::metadata(found.path())).at("look at", found.path())? else { continue };
            if metadata.is_file() {
                let modified = metadata.modified().at("look at", found.path())?;
                each(Listed { name, size: metadata.len(), modified, read: metadata.accessed().ok() })?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &EntryName) -> Result<(), CacheError> {
        let path = self.path(name);
        present(fs::remove_file(&path)).at("remove", &path)?;
        Ok(())
    }

    fn tidy(&self, older: Duration) -> Result<usize, CacheError> {
        let mut removed = 0;
        // What cannot be seen is not this cache's to tidy.
        for found in self.walk("").into_iter().filter_map(Result::ok) {
            let is_partial = found.file_name().as_encoded_bytes().starts_with(PARTIAL.as_bytes()) && found.file_type().is_file();
            let age = || found.metadata().ok()?.modified().ok()?.elapsed().ok();
            if is_partial && age().is_some_and(|age| age >= older) {
                present(fs::remove_file(found.path())).at("remove", found.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Writes what is to become the entry at `path` beside it.
fn write_aside(path: &Path, source: &dyn Source, sync: bool) -> Result<TempPath, PathError> {
    let parent = parent(path);
    fs::create_dir_all(parent).at("create", parent)?;
    let mut file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(parent).at("create a file in", parent)?;
    let buffer = usize::try_from(source.length()).map_or(BUFFER, |length| length.min(BUFFER));
    let copied = source.open().and_then(|bytes| io::copy(&mut BufReader::with_capacity(buffer, bytes), &mut file)).at("write", path)?;
    if copied != source.length() {
        return Err(PathError::new("write", path, io::Error::other("its source changed meanwhile")));
    }
    // Made for its owner alone; a web server is somebody else.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).at("change the mode of", path)?;
    if sync {
        file.as_file().sync_all().at("sync", path)?;
    }
    Ok(file.into_temp_path())
}

/// Makes an entry of what is whole.
fn place(file: TempPath, path: &Path, existing: Existing) -> Result<(), PathError> {
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    match placed.map_err(|error| error.error) {
        Err(error) if existing == Existing::Keep && error.kind() == ErrorKind::AlreadyExists => Ok(()),
        placed => placed.at("move into place", path),
    }
}

/// What is there; nothing if it is not.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
