//! Taking validity away from objects whose bytes cannot be had again.

use std::collections::BTreeSet;

use rusqlite::params;

use super::error::DatabaseResultExt as _;
use super::{Store, StoreError, database, query};
use crate::model::StorePath;

impl Store {
    /// Makes `path` no longer valid, with everything that refers to it: what is valid has only valid references. The files stay where they
    /// are until the collector runs; whole ones are taken back when they are made again. Gives all that is no longer valid.
    ///
    /// # Errors
    /// If the database cannot be changed; then nothing is.
    pub fn forget(&self, path: &StorePath) -> Result<BTreeSet<StorePath>, StoreError> {
        let action = "forget a damaged object";
        let mut connection = self.database();
        let transaction = database::begin(&mut connection)?;
        let sql = "WITH RECURSIVE gone (id) AS (SELECT id FROM objects WHERE digest = ?1 AND name = ?2 \
                   UNION SELECT referrer FROM refs JOIN gone ON reference = gone.id) \
                   SELECT id, digest, name FROM objects WHERE id IN gone";
        let mut gone = Vec::new();
        {
            let mut statement = transaction.prepare(sql).doing(action)?;
            let mut rows = statement.query(params![path.digest().as_str(), path.name().as_str()]).doing(action)?;
            while let Some(row) = rows.next().doing(action)? {
                let (id, digest, name): (i64, String, String) =
                    (row.get(0).doing(action)?, row.get(1).doing(action)?, row.get(2).doing(action)?);
                gone.push((id, query::path_from_row(&digest, &name)?));
            }
        }
        for sql in ["DELETE FROM refs WHERE referrer = ?1", "DELETE FROM objects WHERE id = ?1"] {
            let mut delete = transaction.prepare(sql).doing(action)?;
            for (id, _) in &gone {
                delete.execute([id]).doing(action)?;
            }
        }
        transaction.commit().doing(action)?;
        Ok(gone.into_iter().map(|(_, path)| path).collect())
    }
}
