//! What of a cache goes: decided from a catalogue, without I/O. The page of [`super`] says why the order makes it safe.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use super::catalogue::{Catalogue, Object};
use crate::model::StoreDigest;

/// How much may stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// What was not used for longer goes.
    pub older_than: Option<Duration>,
    /// Of what is packed, no more bytes than this stay.
    pub max_size: Option<u64>,
    /// Of the objects that nothing refers to, this many stay whatever the others say, with their closures. If it is the only limit, all
    /// others go.
    pub keep_last: Option<usize>,
}

/// What stays and what goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What goes, each before everything that it refers to.
    pub remove: Vec<StoreDigest>,
    /// Packed bytes of what stays.
    pub kept_bytes: u64,
    /// How many objects stay.
    pub kept: usize,
    /// How many of those stay whatever the budget says.
    pub held: usize,
}

/// Decides what goes. `held` are digests that stay with their closures; `now` is the time by the clock that dated the entries.
pub fn plan(catalogue: &Catalogue, held: &HashSet<StoreDigest>, grace: Duration, budget: &Budget, now: SystemTime) -> Plan {
    let mut order = Order::new(catalogue);
    let is_young = |used: SystemTime| now.duration_since(used).map_or(true, |age| age < grace);
    let by_use = order.by_use.clone();
    for (used, index) in &by_use {
        if is_young(*used) || held.contains(&order.digests[*index]) {
            order.place(*index, *used);
        }
    }
    if let Some(last) = budget.keep_last {
        let referred: HashSet<StoreDigest> = catalogue.objects.values().flat_map(|object| object.references.iter().copied()).collect();
        let is_top = |index: usize| !referred.contains(&order.digests[index]);
        let tops: Vec<_> = by_use.iter().filter(|(_, index)| is_top(*index)).take(last).collect();
        tops.into_iter().for_each(|(used, index)| order.place(*index, *used));
    }
    let held = order.placed.len();
    by_use.iter().for_each(|(used, index)| order.place(*index, *used));
    order.cut(catalogue, held, budget, now)
}

/// All objects in an order of which every beginning is closed under references.
struct Order<'a> {
    digests: Vec<StoreDigest>,
    objects: Vec<&'a Object>,
    index: HashMap<StoreDigest, usize>,
    /// Latest use first.
    by_use: Vec<(SystemTime, usize)>,
    seen: Vec<bool>,
    /// With the use that counts: the latest of its own and all its referrers'.
    placed: Vec<(SystemTime, usize)>,
}

impl<'a> Order<'a> {
    fn new(catalogue: &'a Catalogue) -> Self {
        let mut digests: Vec<StoreDigest> = catalogue.objects.keys().copied().collect();
        digests.sort_unstable();
        let objects: Vec<&Object> = digests.iter().filter_map(|digest| catalogue.objects.get(digest)).collect();
        let index = digests.iter().enumerate().map(|(index, digest)| (*digest, index)).collect();
        let mut by_use: Vec<_> = objects.iter().enumerate().map(|(index, object)| (catalogue.last_use(object), index)).collect();
        by_use.sort_by(|a, b| b.cmp(a));
        let seen = vec![false; digests.len()];
        Self { digests, objects, index, by_use, seen, placed: Vec::new() }
    }

    /// Puts an object into the order, behind all that it refers to. Not by recursion: chains may be long.
    fn place(&mut self, top: usize, used: SystemTime) {
        if std::mem::replace(&mut self.seen[top], true) {
            return;
        }
        let mut path = vec![(top, 0)];
        while let Some((object, next)) = path.last_mut() {
            let Some(reference) = self.objects[*object].references.get(*next) else {
                self.placed.push((used, *object));
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(index) = self.index.get(reference)
                && !std::mem::replace(&mut self.seen[*index], true)
            {
                path.push((*index, 0));
            }
        }
    }

    /// Takes as much from the end as the budget says, but nothing of the first `held`.
    fn cut(self, catalogue: &Catalogue, held: usize, budget: &Budget, now: SystemTime) -> Plan {
        // Objects with the same bytes share a NAR.
        let mut sharing: HashMap<&str, u32> = HashMap::new();
        let mut bytes = 0;
        for object in &self.objects {
            let users = sharing.entry(object.nar.as_str()).or_default();
            bytes += if *users == 0 { catalogue.packed_size(object) } else { 0 };
            *users += 1;
        }
        let everything = budget.keep_last.is_some() && budget.older_than.is_none() && budget.max_size.is_none();
        let mut remove = Vec::new();
        for (used, index) in self.placed[held..].iter().rev() {
            let age = now.duration_since(*used).unwrap_or_default();
            let goes =
                everything || budget.older_than.is_some_and(|limit| age > limit) || budget.max_size.is_some_and(|limit| bytes > limit);
            if !goes {
                break;
            }
            let object = self.objects[*index];
            let users = sharing.entry(object.nar.as_str()).or_default();
            *users -= 1;
            bytes -= if *users == 0 { catalogue.packed_size(object) } else { 0 };
            remove.push(self.digests[*index]);
        }
        Plan { kept: self.placed.len() - remove.len(), remove, kept_bytes: bytes, held }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, Fixture};
    use super::*;
    use crate::model::StorePath;
    use proptest::prelude::*;

    const GRACE: Duration = Duration::from_secs(3600);

    fn removed(cache: &Fixture, held: &[&StorePath], budget: Budget) -> Vec<String> {
        let catalogue = Catalogue::read(&cache.backend, &|_, _| ()).unwrap();
        let held = held.iter().map(|path| *path.digest()).collect();
        let plan = plan(&catalogue, &held, GRACE, &budget, SystemTime::now());
        plan.remove.iter().map(|digest| catalogue.objects[digest].path.name().to_string()).collect()
    }

    #[test]
    fn what_is_used_counts_for_all_that_it_refers_to() {
        let cache = Fixture::new();
        let base = cache.old("base", &[], 90 * DAY);
        let old = cache.old("old", &[&base], 60 * DAY);
        cache.old("top", &[&base], 2 * DAY);
        cache.old("older", &[&old], 80 * DAY);
        let month = Budget { older_than: Some(30 * DAY), ..Budget::default() };
        assert_eq!(removed(&cache, &[], month), ["older", "old"]);
        assert!(removed(&cache, &[&old], month) == ["older"]);
        assert!(removed(&cache, &[], Budget::default()).is_empty());
    }

    #[test]
    fn the_least_recently_used_goes_until_the_rest_fits_and_referrers_go_first() {
        let cache = Fixture::new();
        let base = cache.old("base", &[], DAY);
        cache.old("b", &[&base], 2 * DAY);
        cache.old("c", &[&base], 3 * DAY);
        cache.object("young", &[]);
        let fits = |size| removed(&cache, &[], Budget { max_size: Some(size), ..Budget::default() });
        assert_eq!(fits(1 << 20), [""; 0]);
        assert_eq!(fits(0), ["c", "b", "base"], "what is young stays");
        let catalogue = Catalogue::read(&cache.backend, &|_, _| ()).unwrap();
        let all: u64 = catalogue.nars.values().map(|nar| nar.size).sum();
        assert_eq!(fits(all - 1), ["c"]);
    }

    #[test]
    fn the_last_ones_stay_with_their_closures() {
        let cache = Fixture::new();
        let base = cache.old("base", &[], 90 * DAY);
        for (name, age) in [("one", 50), ("two", 40), ("three", 60)] {
            cache.old(name, &[&base], age * DAY);
        }
        assert_eq!(removed(&cache, &[], Budget { keep_last: Some(2), ..Budget::default() }), ["three"]);
        let zero = Budget { keep_last: Some(1), older_than: Some(DAY), ..Budget::default() };
        assert_eq!(removed(&cache, &[], zero), ["three", "one"]);
    }

    #[test]
    fn being_read_is_being_used() {
        let cache = Fixture::new();
        let a = cache.old("a", &[], 90 * DAY);
        cache.old("b", &[], 80 * DAY);
        let file = std::fs::File::open(cache.file(cache.nar_of(&a).as_str())).unwrap();
        file.set_times(std::fs::FileTimes::new().set_accessed(SystemTime::now() - 2 * DAY)).unwrap();
        assert_eq!(removed(&cache, &[], Budget { older_than: Some(30 * DAY), ..Budget::default() }), ["b"]);
    }

    #[test]
    fn a_circle_that_somebody_claims_does_no_harm() {
        let mut catalogue = Catalogue::default();
        let (a, b) = (Fixture::path("a", &[]), Fixture::path("b", &[]));
        for (path, reference) in [(&a, &b), (&b, &a)] {
            let object = Object {
                path: path.clone(),
                nar: "nar/x".parse().unwrap(),
                nar_size: 1,
                file_size: Some(1),
                references: [*reference.digest()].into(),
                modified: SystemTime::UNIX_EPOCH,
            };
            catalogue.objects.insert(*path.digest(), object);
        }
        let budget = Budget { max_size: Some(0), ..Budget::default() };
        assert_eq!(plan(&catalogue, &HashSet::new(), GRACE, &budget, SystemTime::now()).remove.len(), 2);
    }

    /// For each object: ages in days, and which of the earlier objects it refers to.
    fn caches() -> impl Strategy<Value = Vec<(u64, Vec<prop::sample::Index>)>> {
        prop::collection::vec((0u64..60, prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..30)
    }

    proptest! {
        #[test]
        fn whatever_goes_what_stays_is_whole_and_held_objects_stay(
            cache in caches(),
            pinned in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            older_than in prop::option::of(0u64..60),
            max_size in prop::option::of(0u64..40),
            keep_last in prop::option::of(0usize..5),
        ) {
            let now = SystemTime::now();
            let mut catalogue = Catalogue::default();
            let mut digests: Vec<StoreDigest> = Vec::new();
            for (number, (age, references)) in cache.iter().enumerate() {
                let path = Fixture::path(&format!("o{number}"), &[]);
                let references = references.iter().filter(|_| number > 0).map(|index| digests[index.index(number)]).collect();
                digests.push(*path.digest());
                let modified = now - (*age as u32) * DAY;
                let object = Object { path, nar: format!("nar/{number}").parse().unwrap(), nar_size: 1, file_size: Some(1), references, modified };
                catalogue.objects.insert(*object.path.digest(), object);
            }
            let held: HashSet<StoreDigest> = pinned.iter().map(|index| digests[index.index(digests.len())]).collect();
            let budget = Budget { older_than: older_than.map(|days| (days as u32) * DAY), max_size, keep_last };
            let plan = plan(&catalogue, &held, GRACE, &budget, now);
            let mut left: HashSet<StoreDigest> = digests.iter().copied().collect();
            for digest in &plan.remove {
                prop_assert!(left.remove(digest));
                for other in &left {
                    prop_assert!(!catalogue.objects[other].references.contains(digest), "something referred to it still");
                }
            }
            prop_assert_eq!((plan.kept, plan.kept_bytes), (left.len(), left.len() as u64));
            prop_assert!(catalogue.closure(&held).iter().all(|digest| left.contains(digest)));
            let young = catalogue.objects.values().filter(|object| now.duration_since(object.modified).unwrap() < GRACE);
            prop_assert!(young.into_iter().all(|object| left.contains(object.path.digest())));
            if let Some(limit) = max_size {
                prop_assert!(plan.kept_bytes <= limit || plan.kept == plan.held);
            }
        }
    }
}
