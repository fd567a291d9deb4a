//! What a cache can be kept in: one trait, several back ends. They move bytes under names; nothing here knows what the bytes mean.
//!
//! A reader never sees half an entry: a back end makes a whole one visible in one step. All of it may be used from many threads.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::Read;
use std::time::{Duration, SystemTime};

use super::entry::EntryName;
use super::error::CacheError;
use super::patient::Patience;

/// An entry that is being read.
pub struct Reading {
    /// Its bytes, from the asked offset on.
    pub body: Box<dyn Read + Send>,
    /// How many that will be, if the back end knows.
    pub length: Option<u64>,
}

/// Bytes to be written, from the start, as often as a try needs: a broken transfer begins again.
pub trait Source: Send + Sync {
    /// How many bytes there are.
    fn length(&self) -> u64;

    /// A reader from the start.
    ///
    /// # Errors
    /// If they cannot be read.
    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>>;
}

/// What becomes of an entry that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is left alone: entries named by their content are all alike.
    Keep,
    /// It is replaced.
    Replace,
}

/// What a listing says of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: EntryName,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// When it was last read, where the back end knows.
    pub read: Option<SystemTime>,
}

/// A place that keeps entries.
pub trait Backend: Debug + Send + Sync {
    /// Its address as it may be shown: without credentials.
    fn location(&self) -> String;

    /// How often something is tried here that may pass.
    fn patience(&self) -> &Patience;

    /// An entry from byte `from` on; none if it is not there.
    ///
    /// # Errors
    /// If that cannot be found out, or the entry cannot be opened. Reading may fail later, and then be taken up again with a larger `from`.
    fn read(&self, name: &EntryName, from: u64) -> Result<Option<Reading>, CacheError>;

    /// The length of an entry; none if it is not there.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn size(&self, name: &EntryName) -> Result<Option<u64>, CacheError>;

    /// Those of the objects that have a description here. One question for many, where the back end can.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn present(&self, names: &[EntryName]) -> Result<HashSet<EntryName>, CacheError>;

    /// Writes an entry, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written, or this is a place to read from only.
    fn write(&self, name: &EntryName, source: &dyn Source, existing: Existing) -> Result<(), CacheError>;

    /// How many small entries are best written at once, by [`Backend::write_all`].
    fn batch(&self) -> usize {
        1
    }

    /// Writes several entries, each whole or not at all. All are there when this returns, and some may be if it fails.
    ///
    /// # Errors
    /// If one cannot be written.
    fn write_all(&self, entries: &[(EntryName, &dyn Source)], existing: Existing) -> Result<(), CacheError> {
        entries.iter().try_for_each(|(name, source)| self.write(name, *source, existing))
    }

    /// Calls `each` for every entry whose name starts with `prefix`, in no particular order.
    ///
    /// # Errors
    /// If this place cannot be listed, or the first error of `each`.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed) -> Result<(), CacheError>) -> Result<(), CacheError>;

    /// Removes an entry; no error if it is not there.
    ///
    /// # Errors
    /// If it stays.
    fn remove(&self, name: &EntryName) -> Result<(), CacheError>;

    /// Removes what writers left that were killed longer ago than this; gives how many pieces. Some places do that themselves.
    ///
    /// # Errors
    /// If something stays.
    fn tidy(&self, _older: Duration) -> Result<usize, CacheError> {
        Ok(0)
    }
}

/// Bytes in memory.
impl Source for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.as_slice()))
    }
}

/// A file on disk.
impl Source for std::path::PathBuf {
    fn length(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(std::fs::File::open(self)?))
    }
}
