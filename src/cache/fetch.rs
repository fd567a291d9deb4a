//! The bytes of one object: read from a cache, taken up again where a transfer broke, decompressed, and unpacked into the store, which checks
//! every word of the description on the way.
//!
//! In: a description that [`Cache::narinfo`] gave. Out: a staged object, or an error that says whose fault it is. Memory is constant: the
//! decompressor's window and a few blocks; a bomb ends one byte behind the size that was claimed.

use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::backend::{Backend, Reading};
use super::entry::EntryName;
use super::error::CacheError;
use super::reader::Cache;
use crate::archive::ArchiveError;
use crate::model::{Compression, NarInfo};
use crate::store::{Staged, Store, StoreError};

/// How often in a row a transfer may break without a byte having come.
const ATTEMPTS: u32 = 4;

/// Bytes that an xz stream may ask for: the strongest preset needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

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
        let entry: EntryName = narinfo.url.parse()?;
        let claimed = narinfo.path_info().ok_or_else(|| self.lie(&entry, "the object cannot prove itself"))?;
        let trouble = Trouble::default();
        let packed =
            Resuming { backend: self.backend(), entry: &entry, open: None, at: 0, length: None, trouble: trouble.clone(), stop, received };
        let mut nar = decompress(narinfo.compression, packed).map_err(|error| self.lie(&entry, error.to_string()))?;
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

fn decompress<'a>(compression: Compression, packed: Resuming<'a>) -> io::Result<Box<dyn Read + 'a>> {
    let packed = BufReader::with_capacity(BUFFER, packed);
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        Compression::Xz => {
            let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, decoder))
        }
    })
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

/// An entry from its start to its end, over as many transfers as that takes.
struct Resuming<'a> {
    backend: &'a dyn Backend,
    entry: &'a EntryName,
    open: Option<Box<dyn Read + Send>>,
    /// Bytes that have come.
    at: u64,
    /// Bytes in all, once the cache has said.
    length: Option<u64>,
    trouble: Trouble,
    stop: &'a AtomicBool,
    received: &'a (dyn Fn(u64) + Sync),
}

impl Resuming<'_> {
    fn unavailable(&self, reason: impl Into<String>) -> CacheError {
        CacheError::Unavailable { cache: self.backend.location(), action: "send", entry: self.entry.to_string(), reason: reason.into() }
    }

    fn open(&mut self) -> Result<(), CacheError> {
        let Some(Reading { body, length }) = self.backend.read(self.entry, self.at)? else {
            let problem = "it is described, but not there".to_owned();
            return Err(CacheError::Lie { cache: self.backend.location(), entry: self.entry.clone(), problem });
        };
        let length = length.map(|rest| self.at + rest);
        if self.at > 0 && length != self.length {
            return Err(self.unavailable("it changed while it was being read"));
        }
        self.length = length;
        self.open = Some(body);
        Ok(())
    }

    /// One try: the bytes that came; 0 is the end.
    fn attempt(&mut self, buffer: &mut [u8]) -> Result<usize, CacheError> {
        if self.open.is_none() {
            self.open()?;
        }
        let Some(open) = &mut self.open else { return Ok(0) };
        match open.read(buffer) {
            Ok(0) if self.length.is_some_and(|length| self.at < length) => Err(self.unavailable("the connection ended early")),
            Ok(count) => Ok(count),
            Err(error) => Err(self.unavailable(error.to_string())),
        }
    }
}

impl Read for Resuming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut failed = 0;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(self.trouble.put(CacheError::Stopped));
            }
            match self.attempt(buffer) {
                Ok(count) => {
                    self.at += count as u64;
                    (self.received)(count as u64);
                    return Ok(count);
                }
                Err(error) => {
                    self.open = None;
                    failed += 1;
                    if failed == ATTEMPTS || !matches!(error, CacheError::Unavailable { .. }) {
                        return Err(self.trouble.put(error));
                    }
                }
            }
        }
    }
}
