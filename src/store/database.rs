//! The database: its tables, and how a connection is set up.
//!
//! SQLite with a write-ahead log, so that readers do not wait for a writer. `synchronous=FULL`: a committed transaction is on the disk.
//! The log is not folded back when a connection closes: a command that only reads must not sync anything.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::StoreError;
use super::error::DatabaseResultExt as _;

/// How long a transaction waits for another process's. The collector's is the longest; it takes seconds.
const BUSY: Duration = Duration::from_secs(300);

/// Bytes of a write-ahead log that is worth folding back: reading so much takes a tenth of a millisecond.
const LONG_LOG: u64 = 256 << 10;

/// All tables. `objects.digest` is the text of the digest, so that prefixes can be looked up.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS objects (
    id         INTEGER PRIMARY KEY,
    digest     TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    nar_hash   BLOB NOT NULL,
    nar_size   INTEGER NOT NULL,
    ca         TEXT NOT NULL,
    registered INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS refs (
    referrer  INTEGER NOT NULL REFERENCES objects(id) DEFERRABLE INITIALLY DEFERRED,
    reference INTEGER NOT NULL REFERENCES objects(id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (referrer, reference)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refs_by_reference ON refs(reference);
CREATE TABLE IF NOT EXISTS traces (
    id       INTEGER PRIMARY KEY,
    resolved BLOB NOT NULL,
    body     TEXT NOT NULL,
    built_ms INTEGER NOT NULL,
    local    INTEGER NOT NULL,
    UNIQUE (resolved, body)
);
CREATE TABLE IF NOT EXISTS trace_outputs (
    trace  INTEGER NOT NULL REFERENCES traces(id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (trace, output)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trace_outputs_by_digest ON trace_outputs(digest);
CREATE TABLE IF NOT EXISTS signatures (
    trace     INTEGER NOT NULL REFERENCES traces(id) ON DELETE CASCADE,
    signer    TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (trace, signer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    id         INTEGER PRIMARY KEY,
    resolved   BLOB NOT NULL,
    derivation BLOB NOT NULL,
    name       TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    body       TEXT NOT NULL,
    local      INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS records_by_resolved ON records(resolved);
CREATE INDEX IF NOT EXISTS records_by_derivation ON records(derivation);
CREATE INDEX IF NOT EXISTS records_by_name ON records(name, started_ms);
CREATE TABLE IF NOT EXISTS derivations (
    hash  BLOB PRIMARY KEY,
    body  TEXT NOT NULL,
    hints TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS out_links (
    link BLOB PRIMARY KEY,
    path TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pins (
    name   TEXT PRIMARY KEY,
    path   TEXT NOT NULL,
    pinned INTEGER NOT NULL
) WITHOUT ROWID;
";

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("db.sqlite")
}

/// Makes the database of a new store.
pub(super) fn create(dir: &Path) -> Result<(), StoreError> {
    let action = "create the tables";
    let connection = Connection::open(file(dir)).doing("create a file")?;
    connection.busy_timeout(BUSY).doing(action)?;
    connection.pragma_update(None, "journal_mode", "wal").doing("turn on the write-ahead log")?;
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).doing(action)
}

/// Brings the tables of format 1 to format 2: who vouches for a trace, and which records come from elsewhere. It may have been begun before.
pub(super) fn migrate(dir: &Path) -> Result<(), StoreError> {
    let action = "bring the tables to the present format";
    let mut connection = open(dir)?;
    let transaction = begin(&mut connection)?;
    transaction.execute_batch(SCHEMA).doing(action)?;
    let has_origin = "SELECT count(*) FROM pragma_table_info('records') WHERE name = 'local'";
    if transaction.query_row(has_origin, [], |row| row.get::<_, i64>(0)).doing(action)? == 0 {
        transaction.execute_batch("ALTER TABLE records ADD COLUMN local INTEGER NOT NULL DEFAULT 1").doing(action)?;
    }
    transaction.commit().doing(action)
}

/// Opens the database of an existing store.
pub(super) fn open(dir: &Path) -> Result<Connection, StoreError> {
    let action = "set up a connection";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file(dir), flags).doing("open the file")?;
    connection.busy_timeout(BUSY).doing(action)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).doing(action)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;").doing(action)?;
    Ok(connection)
}

/// Folds the write-ahead log back into the database if this connection has written and the log has become long: whoever opens the database
/// next, alone, reads the whole log first.
pub(super) fn fold_log(connection: &Connection, dir: &Path) {
    let log = dir.join("db.sqlite-wal");
    if connection.total_changes() > 0 && log.metadata().is_ok_and(|log| log.len() > LONG_LOG) {
        let fold = || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        // While others read, it stays as long as it is; nothing is lost by that.
        let _ = connection.busy_timeout(Duration::ZERO).and_then(|()| fold());
    }
}

/// Begins a transaction that may write; waits for other writers first, so that it cannot fail half-way for their sake.
pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin a transaction")
}
