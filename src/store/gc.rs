//! The collector: removes what no root holds.
//!
//! Under the exclusive lock: read the roots, mark their closure, delete the rows of everything else in one durable transaction, then
//! rename to `trash/` whatever lies in `objects/` and is neither valid nor a temporary root. So a path is never valid without its
//! files, whenever the collector is killed; files without a row are taken by the next run. Deleting the trash takes longest, and holds
//! nobody up.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize};

use super::error::DatabaseResultExt as _;
use super::place::move_away;
use super::reaper::DELETERS;
use super::remove::remove_tree;
use super::{Store, StoreError, database, failpoint, query, unique_name};
use crate::fsio::{FileLock, IoResultExt as _, LockKind, PathError};
use crate::model::{StoreDigest, StorePath};

/// Pieces of work among which the deletion of the trash is divided, at least.
const SHARES: usize = 64;

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
}

impl Store {
    /// Removes all objects outside the closure of out-links, pins and temporary roots, and whatever dead processes left. Traces,
    /// records and logs stay.
    ///
    /// # Errors
    /// If the database or a directory cannot be changed. What has been removed until then is gone, the rest is whole.
    pub fn gc(&self, options: GcOptions) -> Result<GcReport, StoreError> {
        let mut report = GcReport { dry_run: options.dry_run, ..GcReport::default() };
        let lock = FileLock::take(&self.gc_lock_path(), LockKind::Exclusive)?;
        let held = self.read_temp_roots()?;
        self.collect_rows(&held, options, &mut report)?;
        failpoint("gc-after-commit");
        let scratch = self.dead_scratch()?;
        report.scratch = scratch.len() as u64;
        if options.dry_run {
            report.leftovers = self.unregistered(&held, |_| Ok(()))?;
            return Ok(report);
        }
        let trash = self.dir.join("trash").join(unique_name());
        // A process of the same number may have died here.
        remove_tree(&trash)?;
        fs::create_dir(&trash).at("create", &trash)?;
        let moved = self.unregistered(&held, |path| move_away(path, &trash.join(path.file_name().unwrap_or_default())))?;
        report.leftovers = moved.saturating_sub(report.objects);
        for (index, path) in scratch.iter().enumerate() {
            match move_away(path, &trash.join(format!("scratch-{index}"))) {
                // Its own process has removed it meanwhile.
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        // Whoever else moves something here has the lock, so everything that is there now is complete.
        let runs = list(&self.dir.join("trash"))?;
        drop(lock);
        failpoint("gc-before-deletion");
        empty_trash(&runs)?;
        Ok(report)
    }

    /// Marks, and deletes the rows of what is not marked.
    fn collect_rows(&self, held: &HashSet<StoreDigest>, options: GcOptions, report: &mut GcReport) -> Result<(), StoreError> {
        let links = self.out_links()?;
        let (alive, dead): (Vec<_>, Vec<_>) = links.into_iter().partition(|link| link.alive);
        let mut roots: Vec<StoreDigest> = held.iter().copied().collect();
        roots.extend(alive.iter().map(|link| *link.path.digest()));
        roots.extend(self.pins()?.iter().map(|pin| *pin.path.digest()));
        let mut connection = self.database();
        let transaction = database::begin(&mut connection)?;
        let marked = mark(&transaction, &roots)?;
        list_dead(&transaction, &marked, report)?;
        if options.dry_run {
            return transaction.rollback().doing("end a dry run");
        }
        let action = "delete collected objects";
        transaction
            .execute_batch(
                "DELETE FROM refs WHERE referrer IN (SELECT id FROM temp.dead);
                 DELETE FROM objects WHERE id IN (SELECT id FROM temp.dead);
                 DROP TABLE temp.dead;",
            )
            .doing(action)?;
        for link in dead {
            transaction.execute("DELETE FROM out_links WHERE link = ?1", [link.link.as_os_str().as_bytes()]).doing(action)?;
        }
        transaction.commit().doing(action)
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

/// Deletes these directories of `trash/`, what an earlier collector left included.
fn empty_trash(runs: &[PathBuf]) -> Result<(), PathError> {
    let mut entries = Vec::new();
    for run in runs {
        entries.extend(list(run)?);
    }
    // A few large trees are shared out as well.
    while entries.len() < SHARES && entries.iter().any(|path| is_dir(path)) {
        let mut below = Vec::new();
        for path in entries.into_iter().filter(|path| is_dir(path)) {
            below.extend(list(&path)?);
        }
        entries = below;
    }
    if entries.is_empty() {
        return runs.iter().try_for_each(|run| remove_tree(run));
    }
    let entries = Mutex::new(entries);
    let next = || entries.lock().ok().and_then(|mut entries| entries.pop());
    let work = || {
        while let Some(path) = next() {
            remove_tree(&path)?;
        }
        Ok::<_, PathError>(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..DELETERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(Ok(()))).fold(Ok(()), Result::and)
    })?;
    runs.iter().try_for_each(|run| remove_tree(run))
}

/// Whether there is a directory, and no link to one.
fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// The entries of a directory in the trash, which becomes writable; none if it is no directory, or cannot be read.
fn list(dir: &Path) -> Result<Vec<PathBuf>, PathError> {
    if !is_dir(dir) || fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).is_err() {
        return Ok(Vec::new());
    }
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry.at("list", dir)?.path())).collect()
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

/// Puts everything that is not marked into the table `temp.dead`, and counts.
fn list_dead(transaction: &Transaction<'_>, marked: &HashSet<i64>, report: &mut GcReport) -> Result<(), StoreError> {
    let action = "list dead objects";
    transaction.execute_batch("CREATE TEMP TABLE dead (id INTEGER PRIMARY KEY)").doing(action)?;
    let mut insert = transaction.prepare("INSERT INTO temp.dead VALUES (?1)").doing(action)?;
    let mut all = transaction.prepare_cached("SELECT id, nar_size FROM objects").doing(action)?;
    let mut rows = all.query([]).doing(action)?;
    while let Some(row) = rows.next().doing(action)? {
        let (id, size): (i64, i64) = (row.get(0).doing(action)?, row.get(1).doing(action)?);
        if marked.contains(&id) {
            report.kept += 1;
        } else {
            insert.execute([id]).doing(action)?;
            report.objects += 1;
            report.bytes += size.unsigned_abs();
        }
    }
    Ok(())
}
