//! Small entries, read whole; and work done by several threads.

use std::io::Read as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::backend::Backend;
use super::entry::EntryName;
use super::error::CacheError;

/// Threads that ask a back end: most of their time they wait for it.
pub(super) const THREADS: usize = 16;

/// The bytes of an entry; none if it is not there.
///
/// # Errors
/// If it cannot be read, or is larger than `limit`.
pub(super) fn read_small(backend: &dyn Backend, name: &EntryName, limit: u64) -> Result<Option<Vec<u8>>, CacheError> {
    let Some(reading) = backend.read(name, 0)? else { return Ok(None) };
    let mut bytes = Vec::new();
    reading.body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| CacheError::Unavailable {
        cache: backend.location(),
        action: "send",
        entry: name.to_string(),
        reason: error.to_string(),
    })?;
    if bytes.len() as u64 > limit {
        let problem = format!("it is larger than {limit} bytes");
        return Err(CacheError::Lie { cache: backend.location(), entry: name.clone(), problem });
    }
    Ok(Some(bytes))
}

/// Does `work` on all items, several at once, until the first error.
///
/// # Errors
/// The first one of `work`.
pub(super) fn in_parallel<T: Send>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), CacheError> + Sync,
) -> Result<(), CacheError> {
    let (items, failure, failed) = (Mutex::new(items), Mutex::new(None), AtomicBool::new(false));
    let next = || items.lock().ok().and_then(|mut items| items.next());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed)
                    && let Some(item) = next()
                {
                    if let Err(error) = work(item) {
                        failed.store(true, Ordering::Relaxed);
                        failure.lock().map(|mut first| first.get_or_insert(error).to_string()).ok();
                    }
                }
            });
        }
    });
    failure.into_inner().unwrap_or(None).map_or(Ok(()), Err)
}
