//! Registration: staged objects become valid, together with the traces, records and derivations that belong to them.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::error::DatabaseResultExt as _;
use super::stage::Found;
use super::{NewDerivation, Staged, Store, StoreError, database, failpoint, history, now_ms, query};
use crate::fsio::PathError;
use crate::model::{BuildRecord, BuildTrace, PathInfo, StorePath};

/// A trace of a build that was made elsewhere, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTrace {
    /// The trace.
    pub trace: BuildTrace,
    /// Names of keys, and what they signed it with.
    pub signatures: Vec<(String, String)>,
}

/// What becomes valid at once.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Objects; each may refer to valid ones and to others of this batch.
    pub objects: Vec<Staged>,
    /// Traces of builds made here.
    pub traces: Vec<BuildTrace>,
    /// Records of builds, failed ones too.
    pub records: Vec<BuildRecord>,
    /// Derivations to be kept.
    pub derivations: Vec<NewDerivation>,
    /// Traces of builds made elsewhere. Whether to believe them was decided before.
    pub foreign: Vec<ForeignTrace>,
    /// Records of builds made elsewhere.
    pub foreign_records: Vec<BuildRecord>,
}

impl Registration {
    /// Adds what another one holds.
    pub fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.traces.extend(other.traces);
        self.records.extend(other.records);
        self.derivations.extend(other.derivations);
        self.foreign.extend(other.foreign);
        self.foreign_records.extend(other.foreign_records);
    }
}

impl Store {
    /// Makes a batch durable and valid: all of it or nothing. Objects that are valid already are left as they are.
    ///
    /// # Errors
    /// If something does not reach the disk, or an object refers to one that is not valid.
    pub fn register(&self, batch: &Registration) -> Result<(), StoreError> {
        failpoint("before-sync");
        if batch.objects.iter().any(|object| object.found != Found::Whole) {
            self.sync()?;
        }
        failpoint("before-transaction");
        let mut connection = self.database();
        let transaction = database::begin(&mut connection)?;
        insert_objects(&transaction, &batch.objects)?;
        failpoint("inside-transaction");
        let now = now_ms();
        for trace in &batch.traces {
            history::insert_trace(&transaction, trace, now, true)?;
        }
        for foreign in &batch.foreign {
            history::insert_trace(&transaction, &foreign.trace, now, false)?;
            history::insert_signatures(&transaction, foreign)?;
        }
        for (records, local) in [(&batch.records, true), (&batch.foreign_records, false)] {
            records.iter().try_for_each(|record| history::insert_record(&transaction, record, local))?;
        }
        for derivation in &batch.derivations {
            history::insert_derivation(&transaction, derivation)?;
        }
        transaction.commit().doing("commit a registration")?;
        failpoint("after-transaction");
        Ok(())
    }

    /// Brings everything that was written so far to the disk. After a failure nobody can say what is there, so nothing is registered
    /// any more.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(StoreError::SyncFailed { dir: self.dir.clone() });
        }
        nix::unistd::syncfs(&self.objects).map_err(|error| {
            self.sync_failed.store(true, Ordering::Release);
            StoreError::from(PathError::new("sync the file system of", &self.dir, error))
        })?;
        failpoint("synced");
        Ok(())
    }
}

/// First all rows, then all references, so that the order within a batch is free.
fn insert_objects(transaction: &Transaction<'_>, objects: &[Staged]) -> Result<(), StoreError> {
    let mut numbers = HashMap::new();
    let mut fresh = Vec::new();
    for object in objects {
        let info = &object.info;
        match query::row_of(transaction, &info.path)? {
            Some((id, registered)) if registered == info.nar_hash => {
                numbers.insert(&info.path, id);
            }
            Some((_, registered)) => {
                return Err(StoreError::Conflict { path: info.path.clone(), registered, got: info.nar_hash });
            }
            None => {
                let id = insert_object(transaction, info)?;
                numbers.insert(&info.path, id);
                fresh.push((id, info));
            }
        }
    }
    fresh.into_iter().try_for_each(|(id, info)| insert_references(transaction, id, info, &numbers))
}

fn insert_object(transaction: &Transaction<'_>, info: &PathInfo) -> Result<i64, StoreError> {
    let sql = "INSERT INTO objects (digest, name, nar_hash, nar_size, ca, registered) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        info.path.digest().as_str(),
        info.path.name().as_str(),
        info.nar_hash.as_bytes(),
        i64::try_from(info.nar_size).unwrap_or(i64::MAX),
        info.ca.to_string(),
        i64::try_from(info.registered).unwrap_or(i64::MAX),
    ];
    transaction.prepare_cached(sql).and_then(|mut insert| insert.insert(values)).doing("register an object")
}

fn insert_references(
    transaction: &Transaction<'_>,
    id: i64,
    info: &PathInfo,
    numbers: &HashMap<&StorePath, i64>,
) -> Result<(), StoreError> {
    let action = "register a reference";
    let mut insert = transaction.prepare_cached("INSERT INTO refs (referrer, reference) VALUES (?1, ?2)").doing(action)?;
    for reference in &info.references {
        let number = match numbers.get(reference) {
            Some(number) => *number,
            None => {
                let row = query::row_of(transaction, reference)?;
                row.ok_or_else(|| StoreError::InvalidReference { object: info.path.clone(), reference: reference.clone() })?.0
            }
        };
        insert.execute([id, number]).doing(action)?;
    }
    Ok(())
}
