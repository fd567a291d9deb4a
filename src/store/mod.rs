//! The physical store: where objects lie, which of them are valid, what refers to what, how they came to be, and what keeps them.
//!
//! ```text
//! <store>/
//!   format                            the layout's version, one line
//!   db.sqlite (-wal, -shm)            objects, references, traces, records, derivations, out-links, pins
//!   objects/<digest>-<name>           the objects; valid are those that the database names, all others are leftovers or not yet registered
//!   logs/<2 hex>/<hash>-<n>.zst       compressed logs, by hash of the resolved derivation, counted from 1
//!   builds/<pid>-<n>/                 scratch of running builds and adds; its maker holds a lock on the directory
//!   failed/<label>/                   scratch of failed builds that was kept to be looked at
//!   roots/run/<pid>-<n>               temporary roots: base names, one a line; the maker holds a lock on the file
//!   locks/gc                          shared by who takes a temporary root, exclusive while the collector decides
//!   trash/<pid>-<n>/                  what the collector took out and is still deleting
//!   reserve                           room for the collector on a full disk
//! ```
//!
//! In: finished trees, files and NARs; traces and records. Out: valid objects under [`Store::physical`], and answers about them.
//!
//! **The way in.** A tree is made in a [`ScratchDir`], *staged* (brought into canonical form, hashed, renamed to its final name in
//! `objects/`, still not valid) and *registered*: one `syncfs` for the files, then one transaction for any number of objects with their
//! traces and records. What the database calls valid is therefore on the disk, whole, whenever a process is killed or the power goes.
//!
//! **The way out.** The collector deletes rows first, in a durable transaction, then renames the files to `trash/`, then deletes them.
//! It keeps the closure of out-links, pins and temporary roots. Staging takes a temporary root *before* a name in `objects/` comes into
//! being.
//!
//! Any number of threads and processes may use one store. Not here: what to build and whether a policy allows it (`build`), NAR and archive
//! formats (`archive`), signatures and caches (`cache`).

mod add;
mod canonical;
mod copy;
mod database;
mod error;
mod forget;
mod gc;
mod history;
mod links;
mod logs;
mod place;
mod query;
mod reaper;
mod register;
mod remove;
mod reserve;
mod roots;
mod scratch;
mod stage;
mod sweep;
mod temp_roots;
#[cfg(test)]
mod tests;
mod verify;

pub use add::References;
pub use error::StoreError;
pub use gc::{GcOptions, GcReport};
pub use history::{NewDerivation, StoredDerivation, StoredTrace, TraceView};
pub use links::LinkState;
pub use register::{ForeignTrace, Registration};
pub use roots::{OutLink, Pin};
pub use scratch::{KeptScratch, ScratchDir};
pub use stage::{Found, OutputTree, Staged};
pub use sweep::Doubt;
pub use temp_roots::TempRoots;
pub use verify::{Problem, VerifyOptions, VerifyReport};

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use reaper::Reaper;
use rusqlite::Connection;
use rustix::io::Errno;

use crate::fsio::{IoResultExt, PathError};
use crate::model::StorePath;

/// Version of the layout and of the database's tables, as the file `format` states it.
const FORMAT: u32 = 2;

/// The format that is brought to [`FORMAT`] when a store is opened.
const FORMER: u32 = 1;

/// An open store. Cheap to open; may be shared between threads.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    database: Mutex<Connection>,
    /// Open from the start: `syncfs` reports the write-back errors that happened since the descriptor was made.
    objects: File,
    /// Set when a sync failed: what was written before cannot be trusted to reach the disk any more.
    sync_failed: AtomicBool,
    /// The roots that staging and [`Store::hold`] take, let go when the store is closed.
    held: OnceLock<TempRoots>,
    /// Deletes scratch directories; closing the store waits for it.
    reaper: Reaper,
    /// The owner that all objects get: that of the store's directory.
    owner: (u32, u32),
}

impl Store {
    /// Opens the store at `dir` and makes one if there is none.
    ///
    /// # Errors
    /// If it cannot be made, or is of a newer format.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).at("create the store directory", dir)?;
        let dir = fs::canonicalize(dir).at("resolve", dir)?;
        if read_format(&dir)? != Some(FORMAT) {
            prepare(&dir)?;
        }
        Self::open_at(dir)
    }

    /// Opens the store at `dir`, which must exist.
    ///
    /// # Errors
    /// If there is none, or it is of a newer format.
    pub fn open_existing(dir: &Path) -> Result<Self, StoreError> {
        match fs::canonicalize(dir) {
            Ok(real) => match read_format(&real)? {
                None => Err(StoreError::NotAStore { dir: dir.to_owned() }),
                Some(FORMAT) => Self::open_at(real),
                Some(_) => {
                    prepare(&real)?;
                    Self::open_at(real)
                }
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(StoreError::NotAStore { dir: dir.to_owned() })
            }
            Err(error) => Err(PathError::new("resolve", dir, error).into()),
        }
    }

    fn open_at(dir: PathBuf) -> Result<Self, StoreError> {
        use std::os::unix::fs::MetadataExt as _;
        let objects_path = dir.join("objects");
        let objects = File::open(&objects_path).at("open", &objects_path)?;
        let metadata = objects.metadata().at("look at", &objects_path)?;
        let database = Mutex::new(database::open(&dir)?);
        Ok(Self {
            owner: (metadata.uid(), metadata.gid()),
            dir,
            database,
            objects,
            sync_failed: AtomicBool::new(false),
            held: OnceLock::new(),
            reaper: Reaper::default(),
        })
    }

    /// The store's directory, absolute and without links.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where `path` lies, whether or not it is valid.
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.objects_dir().join(path.base_name())
    }

    /// The directory of all objects.
    pub fn objects_dir(&self) -> PathBuf {
        self.dir.join("objects")
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves the connection usable: its transaction was rolled back when it was dropped.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.reaper.finish();
        database::fold_log(&self.database(), &self.dir);
    }
}

/// The version in the file `format`; `None` if there is no such file.
fn read_format(dir: &Path) -> Result<Option<u32>, StoreError> {
    let path = dir.join("format");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PathError::new("read", path, error).into()),
    };
    match text.trim().parse() {
        Ok(found) if [FORMAT, FORMER].contains(&found) => Ok(Some(found)),
        _ => Err(StoreError::OtherFormat { dir: dir.to_owned(), found: text.trim().to_owned(), supported: FORMAT }),
    }
}

/// Makes a new store, or brings an older one to the present format; `format` is written last. Of several processes that want to, one does it
/// while the others wait: SQLite's own waiting does not cover turning on the write-ahead log.
fn prepare(dir: &Path) -> Result<(), StoreError> {
    let lock = File::open(dir).at("open", dir)?;
    lock.lock().at("lock", dir)?;
    let prepared = match read_format(dir)? {
        None => create_alone(dir),
        Some(FORMAT) => Ok(()),
        Some(_) => database::migrate(dir).and_then(|()| write_format(dir)),
    };
    lock.unlock().at("unlock", dir)?;
    prepared
}

fn write_format(dir: &Path) -> Result<(), StoreError> {
    Ok(crate::fsio::write_atomically(&dir.join("format"), format!("{FORMAT}\n").as_bytes())?)
}

/// Directories of things that are nobody else's business, with their modes. Scratch itself is for its maker alone; but root, who builds in another
/// user's store, enters its sandboxes without root's privileges, and must get that far.
const PRIVATE: [(&str, u32); 3] = [("builds", 0o711), ("failed", 0o711), ("trash", 0o700)];

fn create_alone(dir: &Path) -> Result<(), StoreError> {
    for name in ["objects", "logs", "builds", "failed", "roots/run", "locks", "trash"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).at("create", &path)?;
        // An access list that everything made in the directory would inherit.
        match rustix::fs::lremovexattr(&path, "system.posix_acl_default") {
            Err(error) if ![Errno::NODATA, Errno::NOTSUP].contains(&error) => {
                return Err(PathError::new("remove the default access list of", path, error).into());
            }
            _ => {}
        }
    }
    for (name, mode) in PRIVATE {
        let path = dir.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).at("change the mode of", &path)?;
    }
    database::create(dir)?;
    reserve::set_aside(dir);
    write_format(dir)
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
fn now() -> u64 {
    now_ms() / 1000
}

/// `<pid>-<n>`: a name that no other thread of this process uses. Another process may have left it, so who makes it must cope with that.
fn unique_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where a test may have its way: the process ends here if it asks for it, as in a crash, or this thread does something else first. It is
/// also written down that the thread has come here.
fn failpoint(_name: &'static str) {
    #[cfg(test)]
    {
        if std::env::var("KILN_TEST_FAILPOINT").is_ok_and(|wanted| wanted == _name) {
            std::process::abort();
        }
        tests::pass(_name);
    }
}
