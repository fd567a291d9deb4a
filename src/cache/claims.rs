//! Who fetches what: several pulls at once, each object once, and not too many at a time.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::StorePath;
use crate::store::Staged;

/// Objects that are being fetched or have been.
#[derive(Debug, Default)]
pub(super) struct Claims {
    state: Mutex<HashMap<StorePath, Option<Staged>>>,
    changed: Condvar,
}

/// The answer to a claim.
pub(super) enum Claimed<'a> {
    /// It is the caller's to fetch.
    Mine(Claim<'a>),
    /// Somebody has fetched it.
    Done(Staged),
}

/// The right to fetch an object; dropped without a result, the next one may try.
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    path: StorePath,
}

impl Claims {
    fn state(&self) -> MutexGuard<'_, HashMap<StorePath, Option<Staged>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else is at this object.
    pub(super) fn claim(&self, path: &StorePath) -> Claimed<'_> {
        let mut state = self.state();
        loop {
            match state.get(path) {
                Some(Some(staged)) => return Claimed::Done(staged.clone()),
                Some(None) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                None => {
                    state.insert(path.clone(), None);
                    return Claimed::Mine(Claim { claims: self, path: path.clone() });
                }
            }
        }
    }
}

impl Claim<'_> {
    /// The object is staged.
    pub(super) fn done(self, staged: &Staged) {
        self.claims.state().insert(self.path.clone(), Some(staged.clone()));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.claims.state();
        if state.get(&self.path).is_some_and(Option::is_none) {
            state.remove(&self.path);
        }
        drop(state);
        self.claims.changed.notify_all();
    }
}

/// How many may work at once, over all pulls.
#[derive(Debug)]
pub(super) struct Permits {
    free: Mutex<usize>,
    changed: Condvar,
}

/// The permission to work, as long as it lives.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), changed: Condvar::new() }
    }

    /// Waits for a permission.
    pub(super) fn take(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}
