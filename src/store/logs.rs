//! Where build logs lie. Their bytes are the builder's business.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;

use super::{Store, StoreError};
use crate::fsio::{IoResultExt as _, PathError};
use crate::model::DerivationHash;

impl Store {
    fn log_dir(&self, resolved: &DerivationHash) -> (PathBuf, String) {
        let hash = resolved.to_string();
        (self.dir.join("logs").join(&hash[..2]), hash)
    }

    /// Makes the next, empty log file for a build of `resolved`, and says where it is.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new_log(&self, resolved: &DerivationHash) -> Result<PathBuf, StoreError> {
        let (dir, hash) = self.log_dir(resolved);
        fs::create_dir_all(&dir).at("create", &dir)?;
        let mut number = self.numbered_logs(resolved)?.last().map_or(1, |(number, _)| number + 1);
        loop {
            let path = dir.join(format!("{hash}-{number}.zst"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(PathError::new("create", path, error).into()),
            }
        }
    }

    /// The logs of all builds of `resolved`, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn logs(&self, resolved: &DerivationHash) -> Result<Vec<PathBuf>, StoreError> {
        Ok(self.numbered_logs(resolved)?.into_iter().map(|(_, path)| path).collect())
    }

    fn numbered_logs(&self, resolved: &DerivationHash) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        let (dir, hash) = self.log_dir(resolved);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(PathError::new("list", dir, error).into()),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let name = entry.at("list", &dir)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&hash)?.strip_prefix('-')?.strip_suffix(".zst")?.parse().ok());
            if let Some(number) = number {
                logs.push((number, dir.join(&name)));
            }
        }
        logs.sort_unstable();
        Ok(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sha256;

    #[test]
    fn logs_are_counted_and_listed_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let hash = DerivationHash(Sha256::of("x"));
        assert!(store.logs(&hash).unwrap().is_empty());
        let made: Vec<_> = (0..11).map(|_| store.new_log(&hash).unwrap()).collect();
        assert_eq!(store.logs(&hash).unwrap(), made);
        assert!(made[10].ends_with(format!("2d/{hash}-11.zst")));
        assert!(store.logs(&DerivationHash(Sha256::of("y"))).unwrap().is_empty());
    }
}
