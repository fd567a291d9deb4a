//! The bytes of one object: read from a cache, taken up again where a transfer broke, decompressed, and unpacked into the store, which checks
//! every word of the description on the way.
//!
//! In: a description that [`Cache::narinfo`] gave. Out: a staged object, or an error that says whose fault it is. Memory is constant: the
//! decompressor's window and a few blocks; a bomb ends one byte behind the size that was claimed.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::EntryName;
use super::error::CacheError;
use super::reader::Cache;
use super::resume::ResumingReader;
use super::unpack::unpacked;
use crate::archive::ArchiveError;
use crate::model::NarInfo;
use crate::store::{Staged, Store, StoreError};

/// Packed bytes that are read at once.
const BUFFER: usize = 128 << 10;

impl Cache {
    /// Fetches an object and stages it; `received` hears how many packed bytes came.
    ///
    /// # Errors
    /// [`CacheError::Lie`] if it is not what its description says; another error if it cannot be read or stored.
    pub fn fetch_object(
        &self,
        store: &Store,
        narinfo: &NarInfo,
        stop: &AtomicBool,
        received: &(dyn Fn(u64) + Sync),
    ) -> Result<Staged, CacheError> {
        let entry = EntryName::packed(&narinfo.url)?;
        let claimed = narinfo.path_info().ok_or_else(|| self.lie(&entry, "the object cannot prove itself"))?;
        let trouble = Trouble::default();
        let inner = ResumingReader::open(self.backend(), &entry, narinfo.file_size)?
            .ok_or_else(|| self.lie(&entry, "it is described, but not there"))?;
        let packed = BufReader::with_capacity(BUFFER, Watched { inner, trouble: trouble.clone(), stop, received });
        let mut nar = unpacked(packed, narinfo.compression).map_err(|error| self.lie(&entry, error.to_string()))?;
        let staged = store.stage_nar(&mut nar, &claimed);
        // Whatever went wrong with the transfer spoils the NAR too, so it comes first.
        if let Some(error) = trouble.take() {
            return Err(error);
        }
        staged.map_err(|error| self.blame(&entry, error))
    }

    /// Whether bad bytes or this machine made staging fail.
    fn blame(&self, entry: &EntryName, error: StoreError) -> CacheError {
        match error {
            StoreError::NarMismatch { what, .. } => self.lie(entry, what),
            StoreError::Archive(ArchiveError::Io(error)) => StoreError::Io(error).into(),
            StoreError::Archive(error) => self.lie(entry, error.to_string()),
            error @ (StoreError::SpecialFile { .. } | StoreError::SpecialBit { .. } | StoreError::TooDeep { .. }) => {
                self.lie(entry, error.to_string())
            }
            other => other.into(),
        }
    }
}

/// What went wrong on the way from the cache, past readers that know I/O errors only.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<CacheError>>>);

impl Trouble {
    fn put(&self, error: CacheError) -> io::Error {
        let text = error.to_string();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other(text)
    }

    fn take(&self) -> Option<CacheError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A transfer that can be stopped, is counted, and whose errors are kept.
struct Watched<'a> {
    inner: ResumingReader<'a>,
    trouble: Trouble,
    stop: &'a AtomicBool,
    received: &'a (dyn Fn(u64) + Sync),
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(self.trouble.put(CacheError::Stopped));
        }
        let count = self.inner.read(buffer).map_err(|error| match CacheError::of_reading(error) {
            Ok(error) => self.trouble.put(error),
            Err(error) => error,
        })?;
        (self.received)(count as u64);
        Ok(count)
    }
}
