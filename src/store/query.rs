//! Questions about valid objects.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error::DatabaseResultExt as _;
use super::{Store, StoreError};
use crate::model::{DIGEST_LEN, PathInfo, STORE_DIR, Sha256, StoreDigest, StorePath};

/// Columns of `objects`, as [`Stored::read`] expects them.
const COLUMNS: &str = "id, digest, name, nar_hash, nar_size, ca, registered";

/// How many objects are read at once when all are wanted.
const PAGE: usize = 512;

/// How many candidates an error about an ambiguous name lists.
const LISTED: usize = 5;

/// A row of `objects`, as it stands there.
struct Stored {
    id: i64,
    digest: String,
    name: String,
    nar_hash: [u8; 32],
    nar_size: i64,
    ca: String,
    registered: i64,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            digest: row.get(1)?,
            name: row.get(2)?,
            nar_hash: row.get(3)?,
            nar_size: row.get(4)?,
            ca: row.get(5)?,
            registered: row.get(6)?,
        })
    }

    fn into_info(self, references: BTreeSet<StorePath>) -> Result<PathInfo, StoreError> {
        let ca = self.ca.parse().map_err(|error| StoreError::BadRow { what: format!("object {}: {error}", self.digest) })?;
        Ok(PathInfo {
            path: path_from_row(&self.digest, &self.name)?,
            nar_hash: Sha256::from_bytes(self.nar_hash),
            nar_size: self.nar_size.unsigned_abs(),
            references,
            ca,
            registered: self.registered.unsigned_abs(),
        })
    }
}

/// The store path whose parts stand in two columns.
pub(super) fn path_from_row(digest: &str, name: &str) -> Result<StorePath, StoreError> {
    let bad = || StoreError::BadRow { what: format!("`{digest}-{name}` is no store path") };
    let digest = StoreDigest::parse(digest.as_bytes()).ok_or_else(bad)?;
    Ok(StorePath::new(digest, name.parse().map_err(|_| bad())?))
}

/// The row of a valid object: its number and its NAR hash.
pub(super) fn row_of(connection: &Connection, path: &StorePath) -> Result<Option<(i64, Sha256)>, StoreError> {
    let action = "look up an object";
    let mut statement = connection.prepare_cached("SELECT id, name, nar_hash FROM objects WHERE digest = ?1").doing(action)?;
    let row = statement
        .query_row([path.digest().as_str()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, [u8; 32]>(2)?)))
        .optional()
        .doing(action)?;
    Ok(row.filter(|(_, name, _)| name == path.name().as_str()).map(|(id, _, hash)| (id, Sha256::from_bytes(hash))))
}

/// The paths that a query for (digest, name) gives for one object's number.
fn related(connection: &Connection, sql: &str, id: i64) -> Result<BTreeSet<StorePath>, StoreError> {
    let action = "read references";
    let mut statement = connection.prepare_cached(sql).doing(action)?;
    let mut rows = statement.query([id]).doing(action)?;
    let mut paths = BTreeSet::new();
    while let Some(row) = rows.next().doing(action)? {
        let (digest, name): (String, String) = (row.get(0).doing(action)?, row.get(1).doing(action)?);
        paths.insert(path_from_row(&digest, &name)?);
    }
    Ok(paths)
}

fn references_of(connection: &Connection, id: i64) -> Result<BTreeSet<StorePath>, StoreError> {
    related(connection, "SELECT digest, name FROM refs JOIN objects ON id = reference WHERE referrer = ?1", id)
}

fn info_of(connection: &Connection, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
    let action = "look up an object";
    let sql = format!("SELECT {COLUMNS} FROM objects WHERE digest = ?1");
    let mut statement = connection.prepare_cached(&sql).doing(action)?;
    let stored = statement.query_row([path.digest().as_str()], Stored::read).optional().doing(action)?;
    match stored {
        Some(stored) if stored.name == path.name().as_str() => {
            let references = references_of(connection, stored.id)?;
            stored.into_info(references).map(Some)
        }
        _ => Ok(None),
    }
}

/// An object's references: staged, or read from the database.
fn any_references(
    connection: &Connection,
    path: &StorePath,
    staged: &HashMap<StorePath, PathInfo>,
) -> Result<BTreeSet<StorePath>, StoreError> {
    if let Some(info) = staged.get(path) {
        return Ok(info.references.clone());
    }
    let (id, _) = row_of(connection, path)?.ok_or_else(|| StoreError::NotValid { path: path.clone() })?;
    references_of(connection, id)
}

impl Store {
    /// The description of `path`, if it is valid.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn info(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        info_of(&self.database(), path)
    }

    /// The descriptions of those of `paths` that are valid, in their order.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn infos<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        let connection = self.database();
        paths.into_iter().filter_map(|path| info_of(&connection, path).transpose()).collect()
    }

    /// Whether `path` is valid.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn is_valid(&self, path: &StorePath) -> Result<bool, StoreError> {
        Ok(row_of(&self.database(), path)?.is_some())
    }

    /// Those of `paths` that are valid. Nothing keeps them so: see [`Store::hold`].
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn valid_among<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<HashSet<StorePath>, StoreError> {
        let connection = self.database();
        let mut valid = HashSet::new();
        for path in paths {
            if row_of(&connection, path)?.is_some() {
                valid.insert(path.clone());
            }
        }
        Ok(valid)
    }

    /// Calls `visit` with every valid object, ordered by path. What is registered or collected meanwhile may be among them or not.
    ///
    /// # Errors
    /// If the database cannot be read, or the first error of `visit`.
    pub fn for_each<E: From<StoreError>>(&self, mut visit: impl FnMut(PathInfo) -> Result<(), E>) -> Result<(), E> {
        let mut last = String::new();
        loop {
            let page = self.page_after(&last)?;
            let Some(end) = page.last() else { return Ok(()) };
            last = end.path.digest().to_string();
            page.into_iter().try_for_each(&mut visit)?;
        }
    }

    /// Some of the valid objects whose digests stand behind `digest`, the next ones; none at the end.
    pub(super) fn page_after(&self, digest: &str) -> Result<Vec<PathInfo>, StoreError> {
        let action = "list objects";
        let connection = self.database();
        let sql = format!("SELECT {COLUMNS} FROM objects WHERE digest > ?1 ORDER BY digest LIMIT {PAGE}");
        let mut statement = connection.prepare_cached(&sql).doing(action)?;
        let rows: Vec<_> = statement.query_map([digest], Stored::read).doing(action)?.collect::<Result<_, _>>().doing(action)?;
        rows.into_iter().map(|stored| references_of(&connection, stored.id).and_then(|references| stored.into_info(references))).collect()
    }

    /// The digests of all valid objects.
    pub(super) fn all_digests(&self) -> Result<Vec<StoreDigest>, StoreError> {
        let action = "list objects";
        let connection = self.database();
        let mut statement = connection.prepare("SELECT digest FROM objects").doing(action)?;
        let mut rows = statement.query([]).doing(action)?;
        let mut digests = Vec::new();
        while let Some(row) = rows.next().doing(action)? {
            digests.extend(StoreDigest::parse(row.get_ref(0).doing(action)?.as_bytes().unwrap_or_default()));
        }
        Ok(digests)
    }

    /// The full paths of those digests that belong to valid objects.
    pub(super) fn paths_of<'a>(&self, digests: impl IntoIterator<Item = &'a StoreDigest>) -> Result<BTreeSet<StorePath>, StoreError> {
        let action = "look up an object";
        let connection = self.database();
        let mut statement = connection.prepare_cached("SELECT name FROM objects WHERE digest = ?1").doing(action)?;
        let mut paths = BTreeSet::new();
        for digest in digests {
            let name: Option<String> = statement.query_row([digest.as_str()], |row| row.get(0)).optional().doing(action)?;
            if let Some(name) = name {
                paths.insert(path_from_row(digest.as_str(), &name)?);
            }
        }
        Ok(paths)
    }

    /// `paths` and everything they refer to, directly or not; references stand before what refers to them.
    ///
    /// # Errors
    /// If one of them is not valid.
    pub fn closure<'a>(&self, paths: impl IntoIterator<Item = &'a StorePath>) -> Result<Vec<StorePath>, StoreError> {
        self.closure_with(paths, &HashMap::new())
    }

    /// As [`Store::closure`]; objects in `staged` need not be registered yet.
    ///
    /// # Errors
    /// If one of them is neither valid nor in `staged`.
    pub fn closure_with<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a StorePath>,
        staged: &HashMap<StorePath, PathInfo>,
    ) -> Result<Vec<StorePath>, StoreError> {
        let connection = self.database();
        let mut seen: HashSet<StorePath> = HashSet::new();
        let mut ordered = Vec::new();
        // Depth first, without recursion: each level is an object and those of its references that are still to be visited.
        let mut levels: Vec<(StorePath, Vec<StorePath>)> = Vec::new();
        for start in paths {
            let mut next = Some(start.clone());
            loop {
                if let Some(path) = next.take().filter(|path| seen.insert(path.clone())) {
                    let references = any_references(&connection, &path, staged)?;
                    levels.push((path, references.into_iter().rev().collect()));
                }
                match levels.last_mut() {
                    None => break,
                    Some((_, waiting)) => next = waiting.pop(),
                }
                if next.is_none() {
                    ordered.extend(levels.pop().map(|(path, _)| path));
                }
            }
        }
        Ok(ordered)
    }

    /// The objects that refer to `path`, itself left out.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn referrers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>, StoreError> {
        let connection = self.database();
        let Some((id, _)) = row_of(&connection, path)? else { return Ok(BTreeSet::new()) };
        let sql = "SELECT digest, name FROM refs JOIN objects ON id = referrer WHERE reference = ?1 AND referrer != reference";
        related(&connection, sql, id)
    }

    /// The valid object that a person means by `text`: a store path, its last component, a beginning of its digest, or its place on
    /// this machine.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn resolve(&self, text: &str) -> Result<StorePath, StoreError> {
        let action = "look up a digest";
        let no_match = || StoreError::NoMatch { text: text.to_owned() };
        let objects = self.objects_dir();
        let base = [STORE_DIR, objects.to_str().unwrap_or(STORE_DIR)].into_iter().find_map(|dir| text.strip_prefix(dir)?.strip_prefix('/'));
        let base = base.unwrap_or(text);
        if let Ok(path) = StorePath::from_base_name(base) {
            return if self.is_valid(&path)? { Ok(path) } else { Err(no_match()) };
        }
        if base.is_empty() || base.len() > DIGEST_LEN || !base.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(no_match());
        }
        let connection = self.database();
        let sql = "SELECT digest, name FROM objects WHERE digest >= ?1 AND digest < ?1 || '~' ORDER BY digest LIMIT ?2";
        let mut statement = connection.prepare_cached(sql).doing(action)?;
        let limit = i64::try_from(LISTED).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![base, limit], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        let rows: Vec<_> = rows.doing(action)?.collect::<Result<_, _>>().doing(action)?;
        let mut matches = rows.iter().map(|(digest, name)| path_from_row(digest, name)).collect::<Result<Vec<_>, _>>()?;
        match matches.len() {
            0 => Err(no_match()),
            1 => Ok(matches.remove(0)),
            _ => Err(StoreError::Ambiguous { text: text.to_owned(), matches }),
        }
    }
}
