//! Several caches as one: asked by priority, a failing one left alone from then on.
//!
//! A cache that lies about one entry is asked for others; one that cannot be reached, or is none, is not asked again by this process: a build must
//! not wait for it a thousand times. Whoever uses the set hears of each trouble as it comes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::CacheError;
use super::parallel::{self, AT_ONCE};
use super::reader::Cache;

/// Hears what is wrong with a cache while another one is asked, or none.
pub type Trouble<'a> = &'a (dyn Fn(&CacheError) + Sync);

/// Caches to read from.
#[derive(Debug, Default)]
pub struct CacheSet {
    members: Vec<Member>,
    order: OnceLock<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) cache: Cache,
    broken: AtomicBool,
}

impl Member {
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl CacheSet {
    /// These caches. None of them is asked yet.
    pub fn new(caches: Vec<Cache>) -> Self {
        let members = caches.into_iter().map(|cache| Member { cache, broken: AtomicBool::new(false) }).collect();
        Self { members, order: OnceLock::new() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether one of them may decide what a build gives.
    pub fn is_trusted(&self) -> bool {
        self.members.iter().any(|member| !member.cache.keys().is_empty())
    }

    /// Those that can be asked, first the one with the lowest priority.
    pub fn caches(&self, trouble: Trouble<'_>) -> Vec<&Cache> {
        self.usable(trouble).into_iter().map(|member| &member.cache).collect()
    }

    /// Those that failed among them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    pub(super) fn usable(&self, trouble: Trouble<'_>) -> Vec<&Member> {
        let order = self.order.get_or_init(|| {
            let priorities = parallel::map(&self.members, AT_ONCE, |member| self.heed(member, member.cache.priority(), trouble));
            let mut known: Vec<_> = priorities.into_iter().enumerate().filter_map(|(index, priority)| Some((priority?, index))).collect();
            known.sort_unstable();
            known.into_iter().map(|(_, index)| index).collect()
        });
        order.iter().map(|index| &self.members[*index]).filter(|member| !member.is_broken()).collect()
    }

    /// What a cache gave; nothing if it failed, which is reported.
    pub(super) fn heed<T>(&self, member: &Member, result: Result<T, CacheError>, trouble: Trouble<'_>) -> Option<T> {
        result.inspect_err(|error| self.blame(member, error, trouble)).ok()
    }

    /// Takes note of a failure. That a cache cannot be used at all is reported once.
    pub(super) fn blame(&self, member: &Member, error: &CacheError, trouble: Trouble<'_>) {
        let lies = matches!(error, CacheError::Lie { .. });
        if lies || !member.broken.swap(true, Ordering::Relaxed) {
            trouble(error);
        }
    }
}
