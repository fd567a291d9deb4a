//! What is in the cache, in memory: enough to search 100 000 objects, follow references both ways and add up closures.
//!
//! Built from the descriptions when the server starts, kept current by what is written and removed through it, and by looking again from time
//! to time ([`scan`](super::scan)). Only people's questions are answered from it: whether an entry is there, the directory says.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cache::entry::EntryName;
use crate::model::{NarInfo, StoreDigest};

use super::builds::Builds;
use super::content::Content;
use super::files::Files;
use super::options::Limits;

/// Which object: its place in [`Objects`].
pub(super) type Id = u32;

/// What tells a version of a file from others: nanoseconds since 1970 and its length.
pub(super) type Stamp = (u128, u64);

/// One object, as far as it is remembered.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: Box<str>,
    pub(super) nar_size: u64,
    pub(super) packed_size: u64,
    pub(super) references: Vec<Id>,
    pub(super) signers: Vec<Arc<str>>,
    pub(super) stamp: Stamp,
}

/// An object that is here, or that others refer to.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) digest: StoreDigest,
    pub(super) object: Option<Object>,
    pub(super) referrers: Vec<Id>,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    slots: Vec<Slot>,
    ids: HashMap<StoreDigest, Id>,
    signers: HashSet<Arc<str>>,
    count: usize,
    packed: u64,
}

/// What a closure adds up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Closure {
    pub(super) members: Vec<Id>,
    pub(super) nar_size: u64,
    pub(super) packed_size: u64,
    /// Objects that are referred to and not here.
    pub(super) missing: usize,
}

impl Objects {
    /// The object of an id.
    pub(super) fn slot(&self, id: Id) -> Option<&Slot> {
        self.slots.get(id as usize)
    }

    /// Which id an object has.
    pub(super) fn id(&self, digest: &StoreDigest) -> Option<Id> {
        self.ids.get(digest).copied()
    }

    /// All that are here.
    pub(super) fn present(&self) -> impl Iterator<Item = (Id, &Slot, &Object)> {
        self.slots.iter().zip(0..).filter_map(|(slot, id)| Some((id, slot, slot.object.as_ref()?)))
    }

    fn id_or_new(&mut self, digest: StoreDigest) -> Id {
        let next = Id::try_from(self.slots.len()).unwrap_or(Id::MAX);
        let id = *self.ids.entry(digest).or_insert(next);
        if id == next {
            self.slots.push(Slot { digest, object: None, referrers: Vec::new() });
        }
        id
    }

    fn signer(&mut self, signature: &str) -> Arc<str> {
        let name = signature.split(':').next().unwrap_or_default();
        match self.signers.get(name) {
            Some(known) => known.clone(),
            None => {
                let name: Arc<str> = name.into();
                self.signers.insert(name.clone());
                name
            }
        }
    }

    /// Takes in a description, in place of an older one of the same object.
    pub(super) fn insert(&mut self, info: &NarInfo, stamp: Stamp) {
        self.remove(info.path.digest());
        let id = self.id_or_new(*info.path.digest());
        let references: Vec<Id> = info.references.iter().map(|reference| self.id_or_new(*reference.digest())).collect();
        for reference in &references {
            if let Some(slot) = self.slots.get_mut(*reference as usize) {
                slot.referrers.push(id);
            }
        }
        let mut signers: Vec<_> = info.signatures.iter().map(|signature| self.signer(signature)).collect();
        signers.dedup();
        let packed_size = info.file_size.unwrap_or(info.nar_size);
        let object = Object { name: info.path.name().as_str().into(), nar_size: info.nar_size, packed_size, references, signers, stamp };
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.object = Some(object);
            self.count += 1;
            self.packed += packed_size;
        }
    }

    /// Forgets an object. Its place stays: others may refer to it.
    pub(super) fn remove(&mut self, digest: &StoreDigest) {
        let Some(id) = self.id(digest) else { return };
        let Some(object) = self.slots.get_mut(id as usize).and_then(|slot| slot.object.take()) else { return };
        for reference in &object.references {
            if let Some(slot) = self.slots.get_mut(*reference as usize) {
                slot.referrers.retain(|referrer| *referrer != id);
            }
        }
        self.count -= 1;
        self.packed -= object.packed_size;
    }

    /// Everything that an object needs, itself included.
    pub(super) fn closure(&self, of: Id) -> Closure {
        let (mut closure, mut seen, mut next) = (Closure::default(), HashSet::from([of]), vec![of]);
        while let Some(id) = next.pop() {
            let Some(object) = self.slot(id).and_then(|slot| slot.object.as_ref()) else {
                closure.missing += 1;
                continue;
            };
            closure.members.push(id);
            closure.nar_size += object.nar_size;
            closure.packed_size += object.packed_size;
            next.extend(object.references.iter().filter(|reference| seen.insert(**reference)));
        }
        closure
    }
}

/// What is in the cache.
#[derive(Debug, Default)]
pub(super) struct Index {
    objects: RwLock<Objects>,
    builds: RwLock<Builds>,
    /// Whether everything was looked at once.
    ready: AtomicBool,
}

impl Index {
    /// The objects, to be read.
    pub(super) fn objects(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects, to be changed.
    pub(super) fn objects_mut(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The builds, to be read.
    pub(super) fn builds(&self) -> RwLockReadGuard<'_, Builds> {
        self.builds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The builds, to be changed.
    pub(super) fn builds_mut(&self) -> RwLockWriteGuard<'_, Builds> {
        self.builds.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything was looked at once.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Everything was looked at.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// How many objects there are, and bytes of their packed NARs.
    pub(super) fn totals(&self) -> (usize, u64) {
        let objects = self.objects();
        (objects.count, objects.packed)
    }

    /// Looks at an entry that was written.
    pub(super) fn written(&self, files: &Files, name: &EntryName) {
        let content = Content::of(name);
        if let Content::NarInfo(_) = content {
            if let Some((info, stamp)) = read_narinfo(files, name) {
                self.objects_mut().insert(&info, stamp);
            }
        } else if let Some(found) = super::builds::read(files, name, &content) {
            self.builds_mut().insert(&content, found);
        }
    }

    /// Forgets an entry that was removed.
    pub(super) fn removed(&self, name: &EntryName) {
        let content = Content::of(name);
        match content {
            Content::NarInfo(digest) => self.objects_mut().remove(&digest),
            content => self.builds_mut().remove(&content),
        }
    }
}

/// A description and which version of it; none if it is gone or none.
pub(super) fn read_narinfo(files: &Files, name: &EntryName) -> Option<(NarInfo, Stamp)> {
    let stamp = files.find(name).ok()??.stamp();
    let text = String::from_utf8(files.read(name, Limits::DOCUMENT).ok()??).ok()?;
    let info: NarInfo = text.parse().ok()?;
    (Some(*info.path.digest()) == name.described()).then_some((info, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sha256, StorePath};

    fn path(name: &str) -> StorePath {
        StorePath::scratch(&name.parse().unwrap())
    }

    fn info(name: &str, references: &[&str], size: u64) -> NarInfo {
        NarInfo {
            path: path(name),
            url: "nar/x".to_owned(),
            compression: crate::model::Compression::Zstd,
            file_hash: None,
            file_size: Some(size / 2),
            nar_hash: Sha256::of(name),
            nar_size: size,
            references: references.iter().map(|name| path(name)).collect(),
            deriver: None,
            signatures: vec!["a-1:x".to_owned()],
            ca: None,
        }
    }

    fn diamond() -> Objects {
        let mut objects = Objects::default();
        for (name, references) in [("top", &["left", "right", "top"][..]), ("left", &["base"]), ("right", &["base"]), ("base", &[])] {
            objects.insert(&info(name, references, 10), (0, 0));
        }
        objects
    }

    fn id(objects: &Objects, name: &str) -> Id {
        objects.id(path(name).digest()).unwrap()
    }

    #[test]
    fn a_closure_counts_each_object_once() {
        let objects = diamond();
        let closure = objects.closure(id(&objects, "top"));
        assert_eq!((closure.members.len(), closure.nar_size, closure.packed_size, closure.missing), (4, 40, 20, 0));
    }

    #[test]
    fn what_is_removed_is_missing_and_what_comes_again_is_counted_once() {
        let mut objects = diamond();
        objects.remove(path("base").digest());
        objects.remove(path("base").digest());
        let closure = objects.closure(id(&objects, "top"));
        assert_eq!((closure.members.len(), closure.missing, objects.count, objects.packed), (3, 1, 3, 15));
        objects.insert(&info("base", &[], 30), (0, 0));
        objects.insert(&info("base", &[], 30), (0, 0));
        assert_eq!((objects.count, objects.packed), (4, 30));
        let base = objects.slot(id(&objects, "base")).unwrap();
        assert_eq!(base.referrers.len(), 2);
        objects.insert(&info("left", &[], 10), (0, 0));
        assert_eq!(objects.slot(id(&objects, "base")).unwrap().referrers, [id(&objects, "right")]);
    }
}
