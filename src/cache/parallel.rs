//! Many small jobs on a few threads. No thread is started for a single job.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::CacheError;

/// Questions that are asked of a back end at once: most of their time they wait for it.
pub(super) const AT_ONCE: usize = 16;

/// Bytes of a worker's stack: trees are walked to their full depth on it.
const STACK: usize = 8 << 20;

/// Does `work` on all items, several at once, until the first error.
///
/// # Errors
/// The first one of `work`.
pub(super) fn each<T: Send>(
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    threads: usize,
    work: impl Fn(T) -> Result<(), CacheError> + Sync,
) -> Result<(), CacheError> {
    until_error(items, threads, work)
}

fn until_error<T: Send, E: Send>(
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    threads: usize,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let mut items = items.into_iter();
    let threads = threads.min(items.size_hint().1.unwrap_or(usize::MAX));
    if threads <= 1 {
        return items.try_for_each(work);
    }
    let (items, failure, failed) = (Mutex::new(items), Mutex::new(None), AtomicBool::new(false));
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while !failed.load(Ordering::Relaxed)
            && let Some(item) = next()
        {
            let guard = FailedByPanic(&failed);
            let outcome = work(item);
            std::mem::forget(guard);
            if let Err(error) = outcome {
                failed.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without further threads this one does all of it.
            let _ = std::thread::Builder::new().name("cache".to_owned()).stack_size(STACK).spawn_scoped(scope, run);
        }
        run();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Dropped by a panic, it keeps the other threads from beginning anything more.
struct FailedByPanic<'a>(&'a AtomicBool);

impl Drop for FailedByPanic<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` for every item, and gives the results in the items' order.
pub(super) fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let Ok(()) = until_error(items.iter().enumerate(), threads, |(index, item)| {
        let result = work(item);
        done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        Ok::<(), std::convert::Infallible>(())
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Those of the items for which `holds` says so.
///
/// # Errors
/// The first one of `holds`.
pub(super) fn filter<T: Clone + Eq + Hash + Send + Sync>(
    items: &[T],
    threads: usize,
    holds: impl Fn(&T) -> Result<bool, CacheError> + Sync,
) -> Result<HashSet<T>, CacheError> {
    let found = Mutex::new(HashSet::new());
    each(items, threads, |item| {
        if holds(item)? {
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(item.clone());
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_items_order() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(map(&items, 7, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(map(&items[..1], 7, |item| item + 1), [1]);
        assert!(map(&items[..0], 7, |item| item + 1).is_empty());
    }

    #[test]
    fn the_first_error_ends_it() {
        let done = Mutex::new(0);
        let work = |item: u32| {
            *done.lock().unwrap() += 1;
            if item == 10 { Err(item) } else { Ok(()) }
        };
        assert_eq!(until_error(0..100_000, 4, work), Err(10));
        assert!(*done.lock().unwrap() < 100_000);
    }

    #[test]
    fn a_panic_ends_it_too() {
        let done = Mutex::new(0);
        let work = |item: u32| {
            *done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            assert!(item != 10, "eleven");
            // The others are still at it when the panic has been reported.
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok::<(), CacheError>(())
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until_error(0..10_000, 4, work)));
        assert!(outcome.is_err());
        assert!(*done.lock().unwrap_or_else(PoisonError::into_inner) < 10_000);
    }

    #[test]
    fn what_does_not_hold_is_left_out() {
        let items: Vec<u32> = (0..100).collect();
        let even = filter(&items, 4, |item| Ok(item % 2 == 0)).unwrap();
        assert_eq!(even, (0..50).map(|half| half * 2).collect());
        assert!(filter(&items, 4, |item| if *item == 50 { Err(CacheError::Stopped) } else { Ok(true) }).is_err());
    }
}
