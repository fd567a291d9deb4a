//! The collector: removes what no root holds.
//!
//! It begins with what needs no database and no room ([`sweep`]), for a full disk is what it is called for. Then, under the exclusive lock: read
//! the roots, mark their closure, delete the rows of everything else in one durable transaction, then
//! rename to `trash/` whatever lies in `objects/` and is neither valid nor a temporary root. So a path is never valid without its
//! files, whenever the collector is killed; files without a row are taken by the next run. Deleting the trash takes longest, and holds
//! nobody up. If the disk has no room for that transaction, there are many small ones, the first of them in the room of [`reserve`].
//!
//! Nothing is removed because of an error: what cannot be looked at stays, and the report names it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::error::DatabaseResultExt as _;
use super::sweep::{Trash, sweep};
use super::{Doubt, FORMAT, LinkState, OutLink, Store, StoreError, database, failpoint, query, read_format, reserve};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};
use crate::model::{StoreDigest, StorePath};

/// How much of what is dead goes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Portion {
    All,
    /// As much as the room that was set aside allows for.
    Few,
    /// Only what has no rows.
    Leftovers,
}

impl Portion {
    fn limit(self) -> Option<u32> {
        match self {
            Self::All => None,
            Self::Few => Some(reserve::PORTION),
            Self::Leftovers => Some(0),
        }
    }
}

/// What was found dead.
struct Dead {
    objects: u64,
    bytes: u64,
    kept: u64,
}

/// How to collect.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcOptions {
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was collected, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// Objects removed.
    pub objects: u64,
    /// Bytes of their NARs.
    pub bytes: u64,
    /// Objects kept.
    pub kept: u64,
    /// Unregistered leftovers in `objects/` removed.
    pub leftovers: u64,
    /// Scratch directories of dead processes and failed builds removed.
    pub scratch: u64,
    /// Whether nothing was removed, only counted.
    pub dry_run: bool,
    /// What stays although it could not be found out whether it is needed.
    pub doubts: Vec<Doubt>,
}

impl Store {
    /// As [`Store::gc`], for the store at `dir`, which must exist. On a full disk it makes room before it opens the database, which needs some
    /// even for reading.
    ///
    /// # Errors
    /// As [`Store::open_existing`] and [`Store::gc`].
    pub fn gc_at(dir: &Path, options: GcOptions) -> Result<GcReport, StoreError> {
        let is_store = read_format(dir)? == Some(FORMAT);
        if options.dry_run || !is_store || !reserve::is_short(dir) {
            return Self::open_existing(dir)?.gc(options);
        }
        let swept = sweep(dir, false)?;
        if reserve::is_short(dir) {
            reserve::give_back(dir);
        }
        let mut report = Self::open_existing(dir)?.gc(options)?;
        report.scratch += swept.scratch;
        Ok(report)
    }

    /// Removes all objects outside the closure of out-links, pins and temporary roots, and whatever dead processes left. Traces,
    /// records and logs stay.
    ///
    /// # Errors
    /// If the database or a directory cannot be changed. What has been removed until then is gone, the rest is whole.
    pub fn gc(&self, options: GcOptions) -> Result<GcReport, StoreError> {
        let swept = sweep(&self.dir, options.dry_run)?;
        let mut report = GcReport { dry_run: options.dry_run, scratch: swept.scratch, doubts: swept.doubts, ..GcReport::default() };
        let links = self.out_links()?;
        report.doubts.extend(links.iter().filter_map(doubt));
        match self.collect(Portion::All, options, &mut report) {
            Err(error) if error.is_disk_full() && !options.dry_run => self.collect_without_room(&mut report)?,
            collected => collected?,
        }
        if !options.dry_run {
            reserve::set_aside(&self.dir);
        }
        Ok(report)
    }

    /// Collects on a disk on which the rows of all dead objects cannot be deleted at once: first what has no rows, then few at a time.
    pub(super) fn collect_without_room(&self, report: &mut GcReport) -> Result<(), StoreError> {
        let options = GcOptions::default();
        self.collect(Portion::Leftovers, options, report)?;
        reserve::give_back(&self.dir);
        loop {
            let before = report.objects;
            self.collect(Portion::Few, options, report)?;
            if report.objects == before {
                return Ok(());
            }
        }
    }

    fn collect(&self, portion: Portion, options: GcOptions, report: &mut GcReport) -> Result<(), StoreError> {
        let lock = FileLock::take(&self.gc_lock_path(), LockKind::Exclusive)?;
        let held = self.read_temp_roots()?;
        let dead = self.collect_rows(&held, portion, options)?;
        (report.objects, report.bytes, report.kept) = (report.objects + dead.objects, report.bytes + dead.bytes, dead.kept);
        failpoint("gc-after-commit");
        if options.dry_run {
            report.leftovers = self.unregistered(&held, |_| Ok(()))?;
            return Ok(());
        }
        let trash = Trash::new(&self.dir)?;
        let moved = self.unregistered(&held, |path| trash.take(path, path.file_name().unwrap_or_default()))?;
        report.leftovers += moved.saturating_sub(dead.objects);
        let stays = trash.empty(lock)?;
        report.doubts.extend(stays.filter(|doubt| !report.doubts.contains(doubt)));
        Ok(())
    }

    /// Marks, and deletes the rows of what is not marked, as much as `portion` says.
    fn collect_rows(&self, held: &HashSet<StoreDigest>, portion: Portion, options: GcOptions) -> Result<Dead, StoreError> {
        let (alive, gone): (Vec<_>, Vec<_>) = self.out_links()?.into_iter().partition(|link| link.state.keeps());
        let mut roots: Vec<StoreDigest> = held.iter().copied().collect();
        roots.extend(alive.iter().map(|link| *link.path.digest()));
        roots.extend(self.pins()?.iter().map(|pin| *pin.path.digest()));
        let mut connection = self.database();
        let transaction = database::begin(&mut connection)?;
        let marked = mark(&transaction, &roots)?;
        let dead = list_dead(&transaction, &marked, portion)?;
        if options.dry_run || portion == Portion::Leftovers {
            transaction.rollback().doing("end a dry run")?;
            return Ok(dead);
        }
        let action = "delete collected objects";
        transaction
            .execute_batch(
                "DELETE FROM refs WHERE referrer IN (SELECT id FROM temp.dead);
                 DELETE FROM objects WHERE id IN (SELECT id FROM temp.dead);
                 DROP TABLE temp.dead;",
            )
            .doing(action)?;
        for link in gone {
            let row = params![link.link.as_os_str().as_bytes(), link.path.base_name()];
            transaction.execute("DELETE FROM out_links WHERE link = ?1 AND path = ?2", row).doing(action)?;
        }
        transaction.commit().doing(action)?;
        Ok(dead)
    }

    /// Calls `visit` with everything in `objects/` that is neither valid nor a temporary root, and counts it.
    fn unregistered(&self, held: &HashSet<StoreDigest>, mut visit: impl FnMut(&Path) -> Result<(), PathError>) -> Result<u64, StoreError> {
        let dir = self.objects_dir();
        let connection = self.database();
        let mut count = 0;
        for entry in fs::read_dir(&dir).at("list", &dir)? {
            let name = entry.at("list", &dir)?.file_name();
            let object = name.to_str().and_then(|name| StorePath::from_base_name(name).ok());
            let stays = match &object {
                Some(path) => held.contains(path.digest()) || query::row_of(&connection, path)?.is_some(),
                None => false,
            };
            if !stays {
                visit(&dir.join(&name))?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The numbers of all objects that can be reached from `roots`.
fn mark(connection: &Connection, roots: &[StoreDigest]) -> Result<HashSet<i64>, StoreError> {
    let action = "follow references";
    let mut by_digest = connection.prepare_cached("SELECT id FROM objects WHERE digest = ?1").doing(action)?;
    let mut references = connection.prepare_cached("SELECT reference FROM refs WHERE referrer = ?1").doing(action)?;
    let mut marked = HashSet::new();
    let mut waiting: Vec<i64> = Vec::new();
    for root in roots {
        waiting.extend(by_digest.query_row([root.as_str()], |row| row.get::<_, i64>(0)).optional().doing(action)?);
    }
    while let Some(id) = waiting.pop() {
        if marked.insert(id) {
            for reference in references.query_map([id], |row| row.get(0)).doing(action)? {
                waiting.push(reference.doing(action)?);
            }
        }
    }
    Ok(marked)
}

/// Puts what is not marked, as much as `portion` says, into the table `temp.dead`, and counts.
fn list_dead(transaction: &Transaction<'_>, marked: &HashSet<i64>, portion: Portion) -> Result<Dead, StoreError> {
    let action = "list dead objects";
    transaction.execute_batch("CREATE TEMP TABLE dead (id INTEGER PRIMARY KEY, size INTEGER NOT NULL)").doing(action)?;
    let mut insert = transaction.prepare("INSERT INTO temp.dead VALUES (?1, ?2)").doing(action)?;
    let mut all = transaction.prepare_cached("SELECT id, nar_size FROM objects").doing(action)?;
    let mut rows = all.query([]).doing(action)?;
    while let Some(row) = rows.next().doing(action)? {
        let (id, size): (i64, i64) = (row.get(0).doing(action)?, row.get(1).doing(action)?);
        if !marked.contains(&id) {
            insert.execute([id, size]).doing(action)?;
        }
    }
    if let Some(most) = portion.limit() {
        // Nothing goes before what refers to it. All of that is dead, too.
        let others = "DELETE FROM temp.dead WHERE id NOT IN (SELECT id FROM temp.dead WHERE NOT EXISTS \
                      (SELECT 1 FROM refs WHERE reference = dead.id AND referrer != dead.id) LIMIT ?1)";
        transaction.execute(others, [most]).doing(action)?;
    }
    let counted = "SELECT count(*), coalesce(sum(size), 0) FROM temp.dead";
    let (objects, bytes): (i64, i64) = transaction.query_row(counted, [], |row| Ok((row.get(0)?, row.get(1)?))).doing(action)?;
    Ok(Dead { objects: objects.unsigned_abs(), bytes: bytes.unsigned_abs(), kept: marked.len() as u64 })
}

/// What an out-link that keeps its object leaves open, if anything.
fn doubt(link: &OutLink) -> Option<Doubt> {
    let why = match &link.state {
        LinkState::Alive | LinkState::Gone => return None,
        LinkState::Moved { at, target } if *at == link.link => {
            format!("points to `{}`, where the store is not (any more)", target.display())
        }
        LinkState::Moved { at, .. } => format!("is now at `{}`", at.display()),
        LinkState::Unknown { why } => format!("cannot be looked at: {why}"),
    };
    Some(Doubt { path: link.link.clone(), why })
}
