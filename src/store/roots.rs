//! What people keep: out-links and pins.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::error::DatabaseResultExt as _;
use super::links::LinkState;
use super::{Store, StoreError, failpoint, now, unique_name};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};
use crate::model::StorePath;

/// A symbolic link outside the store that keeps an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutLink {
    /// The link.
    pub link: PathBuf,
    /// What it keeps.
    pub path: StorePath,
    /// What became of it.
    #[serde(flatten)]
    pub state: LinkState,
}

/// A name that keeps an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The name.
    pub name: String,
    /// What it keeps.
    pub path: StorePath,
    /// Seconds since 1970 when it was pinned.
    pub pinned: u64,
}

impl Store {
    /// Makes or replaces the symbolic link at `link`, so that it points to the valid object `path` and keeps it.
    ///
    /// # Errors
    /// If `path` is not valid, or something that is no link stands there.
    pub fn add_out_link(&self, link: &Path, path: &StorePath) -> Result<(), StoreError> {
        self.require_held(path)?;
        let link = absolute(link)?;
        match fs::symlink_metadata(&link) {
            Ok(metadata) if !metadata.is_symlink() => return Err(StoreError::LinkOccupied { path: link }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(PathError::new("look at", link, error).into()),
        }
        // The row comes first: a link without one would dangle one day. A collector that comes between the two would see no link, and forget the
        // row.
        let _shared = FileLock::take(&self.gc_lock_path(), LockKind::Shared)?;
        let values = params![link.as_os_str().as_bytes(), path.base_name()];
        let sql = "INSERT INTO out_links (link, path) VALUES (?1, ?2) \
                   ON CONFLICT (link) DO UPDATE SET path = excluded.path WHERE path != excluded.path";
        self.database().prepare_cached(sql).and_then(|mut insert| insert.execute(values)).doing("register an out-link")?;
        failpoint("out-link-row");
        replace_link(&link, &self.physical(path))?;
        Ok(())
    }

    /// All out-links that were made.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn out_links(&self) -> Result<Vec<OutLink>, StoreError> {
        let action = "read out-links";
        let connection = self.database();
        let mut statement = connection.prepare_cached("SELECT link, path FROM out_links ORDER BY link").doing(action)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?))).doing(action)?;
        let rows: Vec<_> = rows.collect::<Result<_, _>>().doing(action)?;
        let link = |(link, base): (Vec<u8>, String)| {
            let (link, path) = (PathBuf::from(OsString::from_vec(link)), root_path(&base)?);
            let state = LinkState::of(&link, &self.physical(&path), &self.dir);
            Ok(OutLink { link, path, state })
        };
        rows.into_iter().map(link).collect()
    }

    /// Keeps the valid object `path` under `name`, in place of what the name kept before.
    ///
    /// # Errors
    /// If `path` is not valid.
    pub fn pin(&self, name: &str, path: &StorePath) -> Result<(), StoreError> {
        self.require_held(path)?;
        let pinned = i64::try_from(now()).unwrap_or(i64::MAX);
        let sql = "INSERT OR REPLACE INTO pins (name, path, pinned) VALUES (?1, ?2, ?3)";
        self.database()
            .prepare_cached(sql)
            .and_then(|mut insert| insert.execute(params![name, path.base_name(), pinned]))
            .doing("register a pin")?;
        Ok(())
    }

    /// Lets go of a pin; says whether there was one.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn unpin(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.database().execute("DELETE FROM pins WHERE name = ?1", [name]).doing("remove a pin")? > 0)
    }

    /// All pins, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let action = "read pins";
        let connection = self.database();
        let mut statement = connection.prepare_cached("SELECT name, path, pinned FROM pins ORDER BY name").doing(action)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))).doing(action)?;
        let rows: Vec<_> = rows.collect::<Result<_, _>>().doing(action)?;
        rows.into_iter().map(|(name, base, pinned)| Ok(Pin { name, path: root_path(&base)?, pinned: pinned.unsigned_abs() })).collect()
    }

    /// Holds `path`, which must be valid, so that it cannot go before its new root is written.
    fn require_held(&self, path: &StorePath) -> Result<(), StoreError> {
        if self.hold([path])?.contains(path) { Ok(()) } else { Err(StoreError::NotValid { path: path.clone() }) }
    }
}

fn root_path(base: &str) -> Result<StorePath, StoreError> {
    StorePath::from_base_name(base).map_err(|error| StoreError::BadRow { what: format!("root: {error}") })
}

/// `link` with its directory made absolute and free of links; the link itself is not followed.
fn absolute(link: &Path) -> Result<PathBuf, PathError> {
    let parent = link.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let no_name = || PathError::new("make a link at", link, io::Error::from(io::ErrorKind::InvalidInput));
    Ok(fs::canonicalize(parent).at("resolve", parent)?.join(link.file_name().ok_or_else(no_name)?))
}

/// Makes `link` point to `target`, in one step if there is an older link.
fn replace_link(link: &Path, target: &Path) -> Result<(), PathError> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let mut name = OsString::from(".kiln-link-");
    name.push(unique_name());
    let beside = link.with_file_name(name);
    symlink(target, &beside).at("make the link", &beside)?;
    fs::rename(&beside, link).at("replace", link).inspect_err(|_| drop(fs::remove_file(&beside)))
}
