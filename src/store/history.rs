//! How objects came to be: build traces, build records and derivations. They outlive the objects they speak of.

use std::sync::MutexGuard;

use rusqlite::{Connection, OptionalExtension as _, Params, Transaction, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::DatabaseResultExt as _;
use super::{ForeignTrace, Store, StoreError};
use crate::model::{BuildRecord, BuildStatus, BuildTrace, DerivationHash, StorePath};

/// Body, time, origin and number of missing outputs of traces; a condition and an order follow.
const TRACES: &str = "SELECT body, built_ms, local, (SELECT count(*) FROM trace_outputs AS made WHERE made.trace = traces.id \
     AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.digest = made.digest)) AS missing FROM traces";

/// A build trace, and what this store knows about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTrace {
    /// The trace.
    pub trace: BuildTrace,
    /// Milliseconds since 1970 when it came into this store.
    pub built_ms: u64,
    /// Whether this store's own builds made it.
    pub local: bool,
    /// Whether all its outputs are valid objects here.
    pub present: bool,
}

/// A derivation to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDerivation {
    /// Its hash.
    pub hash: DerivationHash,
    /// Its canonical JSON.
    pub canonical: String,
    /// Its hints, as JSON.
    pub hints: String,
}

/// A kept derivation, as JSON texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDerivation {
    /// Its canonical JSON.
    pub canonical: String,
    /// Its hints, as they were when it was last registered.
    pub hints: String,
}

/// Reads a JSON column.
fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::BadRow { what: format!("{what}: {error}") })
}

fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::BadRow { what: format!("{what}: {error}") })
}

fn query_traces(connection: &Connection, rest: &str, arguments: impl Params) -> Result<Vec<StoredTrace>, StoreError> {
    let action = "read build traces";
    let mut statement = connection.prepare_cached(&format!("{TRACES} {rest}")).doing(action)?;
    let mut rows = statement.query(arguments).doing(action)?;
    let mut traces = Vec::new();
    while let Some(row) = rows.next().doing(action)? {
        let body: String = row.get(0).doing(action)?;
        traces.push(StoredTrace {
            trace: parse("build trace", &body)?,
            built_ms: row.get::<_, i64>(1).doing(action)?.unsigned_abs(),
            local: row.get(2).doing(action)?,
            present: row.get::<_, i64>(3).doing(action)? == 0,
        });
    }
    Ok(traces)
}

fn query_records(connection: &Connection, rest: &str, arguments: impl Params) -> Result<Vec<BuildRecord>, StoreError> {
    let action = "read build records";
    let mut statement = connection.prepare_cached(&format!("SELECT body FROM records {rest}")).doing(action)?;
    let mut rows = statement.query(arguments).doing(action)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().doing(action)? {
        let body: String = row.get(0).doing(action)?;
        records.push(parse("build record", &body)?);
    }
    Ok(records)
}

/// Keeps a trace; the same statement twice is kept once, with its first date. A local build outweighs an earlier copy from elsewhere.
pub(super) fn insert_trace(transaction: &Transaction<'_>, trace: &BuildTrace, built_ms: u64, local: bool) -> Result<(), StoreError> {
    let action = "register a build trace";
    let body = to_json("build trace", trace)?;
    let built = i64::try_from(built_ms).unwrap_or(i64::MAX);
    let sql = "INSERT INTO traces (resolved, body, built_ms, local) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (resolved, body) DO UPDATE SET built_ms = excluded.built_ms, local = 1 WHERE excluded.local > local \
               RETURNING id";
    let id: Option<i64> = transaction
        .prepare_cached(sql)
        .and_then(|mut insert| insert.query_row(params![trace.resolved.0.as_bytes(), body, built, local], |row| row.get(0)).optional())
        .doing(action)?;
    let Some(id) = id else { return Ok(()) };
    let mut insert =
        transaction.prepare_cached("INSERT OR IGNORE INTO trace_outputs (trace, digest, output) VALUES (?1, ?2, ?3)").doing(action)?;
    for (output, path) in &trace.outputs {
        insert.execute(params![id, path.digest().as_str(), output.as_str()]).doing(action)?;
    }
    Ok(())
}

/// Keeps who vouches for a trace that is there.
pub(super) fn insert_signatures(transaction: &Transaction<'_>, foreign: &ForeignTrace) -> Result<(), StoreError> {
    let action = "register a signature";
    let body = to_json("build trace", &foreign.trace)?;
    let sql = "INSERT OR REPLACE INTO signatures (trace, signer, signature) \
               SELECT id, ?3, ?4 FROM traces WHERE resolved = ?1 AND body = ?2";
    let mut insert = transaction.prepare_cached(sql).doing(action)?;
    for (signer, signature) in &foreign.signatures {
        insert.execute(params![foreign.trace.resolved.0.as_bytes(), body, signer, signature]).doing(action)?;
    }
    Ok(())
}

/// Keeps a record; one from elsewhere that is known is kept once.
pub(super) fn insert_record(transaction: &Transaction<'_>, record: &BuildRecord, local: bool) -> Result<(), StoreError> {
    let action = "register a build record";
    let body = to_json("build record", record)?;
    let started = i64::try_from(record.started_ms).unwrap_or(i64::MAX);
    let sql = "INSERT INTO records (resolved, derivation, name, started_ms, body, local) SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
               WHERE ?6 OR NOT EXISTS (SELECT 1 FROM records WHERE resolved = ?1 AND body = ?5)";
    let values = params![record.resolved.0.as_bytes(), record.derivation.0.as_bytes(), record.name, started, body, local];
    transaction.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).doing(action)?;
    Ok(())
}

/// Keeps a derivation; if it is known, its hints are replaced.
pub(super) fn insert_derivation(transaction: &Transaction<'_>, derivation: &NewDerivation) -> Result<(), StoreError> {
    let sql = "INSERT INTO derivations (hash, body, hints) VALUES (?1, ?2, ?3) \
               ON CONFLICT (hash) DO UPDATE SET hints = excluded.hints WHERE hints != excluded.hints";
    let values = params![derivation.hash.0.as_bytes(), derivation.canonical, derivation.hints];
    transaction.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).doing("register a derivation")?;
    Ok(())
}

fn traces_for(connection: &Connection, resolved: &DerivationHash) -> Result<Vec<StoredTrace>, StoreError> {
    let mut traces = query_traces(connection, "WHERE resolved = ?1", [resolved.0.as_bytes()])?;
    traces.sort_by(|one, other| {
        let rank = |trace: &StoredTrace| (!trace.present, !trace.local, trace.built_ms);
        rank(one).cmp(&rank(other)).then_with(|| one.trace.outputs.cmp(&other.trace.outputs))
    });
    Ok(traces)
}

/// The traces at one moment. While it lives, its store answers nobody else.
#[derive(Debug)]
pub struct TraceView<'a> {
    connection: MutexGuard<'a, Connection>,
}

impl TraceView<'_> {
    /// As [`Store::traces_for`], at that moment.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn traces_for(&self, resolved: &DerivationHash) -> Result<Vec<StoredTrace>, StoreError> {
        traces_for(&self.connection, resolved)
    }
}

impl Drop for TraceView<'_> {
    fn drop(&mut self) {
        // Nothing was written, so nothing can be lost.
        let _ = self.connection.execute_batch("ROLLBACK");
    }
}

impl Store {
    /// All traces of a resolved derivation, in order of preference: those whose objects are present, then local ones, then earlier
    /// ones, then by their outputs' paths. More than one means that builds disagree.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn traces_for(&self, resolved: &DerivationHash) -> Result<Vec<StoredTrace>, StoreError> {
        traces_for(&self.database(), resolved)
    }

    /// The traces as they are now, for many questions in a row.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn trace_view(&self) -> Result<TraceView<'_>, StoreError> {
        let connection = self.database();
        connection.execute_batch("BEGIN").doing("begin to read")?;
        Ok(TraceView { connection })
    }

    /// The traces that have `path` among their outputs.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn producers(&self, path: &StorePath) -> Result<Vec<StoredTrace>, StoreError> {
        let rest = "WHERE id IN (SELECT trace FROM trace_outputs WHERE digest = ?1) ORDER BY built_ms, id";
        query_traces(&self.database(), rest, [path.digest().as_str()])
    }

    /// The records of all builds of a resolved derivation, latest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_resolved(&self, resolved: &DerivationHash) -> Result<Vec<BuildRecord>, StoreError> {
        let rest = "WHERE resolved = ?1 ORDER BY started_ms DESC, id DESC";
        query_records(&self.database(), rest, [resolved.0.as_bytes()])
    }

    /// Who vouches for a trace: names of keys, and what they signed it with.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn signatures_of(&self, trace: &BuildTrace) -> Result<Vec<(String, String)>, StoreError> {
        let action = "read signatures";
        let connection = self.database();
        let sql = "SELECT signer, signature FROM signatures JOIN traces ON trace = id WHERE resolved = ?1 AND body = ?2 ORDER BY signer";
        let mut statement = connection.prepare_cached(sql).doing(action)?;
        let values = params![trace.resolved.0.as_bytes(), to_json("build trace", trace)?];
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?))).doing(action)?;
        rows.collect::<Result<_, _>>().doing(action)
    }

    /// The record of this store's own latest build that gave what `trace` says.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn own_record(&self, trace: &BuildTrace) -> Result<Option<BuildRecord>, StoreError> {
        let rest = "WHERE resolved = ?1 AND local ORDER BY started_ms DESC, id DESC";
        let records = query_records(&self.database(), rest, [trace.resolved.0.as_bytes()])?;
        Ok(records.into_iter().find(|record| record.status == BuildStatus::Built && record.outputs == trace.outputs))
    }

    /// A mark behind all records that are there now, for [`Store::own_records_since`].
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn record_mark(&self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce(max(id), 0) FROM records";
        self.database().query_row(sql, [], |row| row.get(0)).doing("read build records")
    }

    /// The records of this store's own builds behind a mark, in their order.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn own_records_since(&self, mark: i64) -> Result<Vec<BuildRecord>, StoreError> {
        query_records(&self.database(), "WHERE id > ?1 AND local ORDER BY id", [mark])
    }

    /// The records of all builds that made `path`, latest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_output(&self, path: &StorePath) -> Result<Vec<BuildRecord>, StoreError> {
        let rest = "WHERE resolved IN (SELECT resolved FROM traces JOIN trace_outputs ON trace = traces.id WHERE digest = ?1) \
                    ORDER BY started_ms DESC, id DESC";
        let mut records = query_records(&self.database(), rest, [path.digest().as_str()])?;
        records.retain(|record| record.outputs.values().any(|output| output == path));
        Ok(records)
    }

    /// The records of the latest builds of derivations with this name, latest first, at most `limit`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn records_of_name(&self, name: &str, limit: usize) -> Result<Vec<BuildRecord>, StoreError> {
        let rest = "WHERE name = ?1 ORDER BY started_ms DESC, id DESC LIMIT ?2";
        query_records(&self.database(), rest, params![name, i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The derivation with this hash.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn derivation(&self, hash: &DerivationHash) -> Result<Option<StoredDerivation>, StoreError> {
        let action = "read a derivation";
        let connection = self.database();
        let mut statement = connection.prepare_cached("SELECT body, hints FROM derivations WHERE hash = ?1").doing(action)?;
        let read = |row: &rusqlite::Row<'_>| Ok(StoredDerivation { canonical: row.get(0)?, hints: row.get(1)? });
        statement.query_row([hash.0.as_bytes()], read).optional().doing(action)
    }
}
