//! What every back end must do.

use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::time::{Duration, SystemTime};

use crate::support::eventually;
use kiln::cache::entry::EntryName;
use kiln::cache::{Backend, Existing, Listed, read_small};

/// What a back end or its server can do.
#[derive(Clone, Copy)]
pub(crate) struct Abilities {
    /// Lists its entries.
    pub(crate) lists: bool,
    /// Leaves alone what is there, if asked to.
    pub(crate) keeps: bool,
    /// What one writer of many has written can be read at once, also while the others still write it.
    pub(crate) settles: bool,
}

impl Abilities {
    pub(crate) fn all() -> Self {
        Self { lists: true, keeps: true, settles: true }
    }
}

/// Names that a server or a client might trip over.
const ODD: [&str; 6] = ["a+b=c~d_e.f-g", "nar/x/y/z.nar.zst", "kiln/logs/0/team-1.zst", "~", "-", "+"];

pub(crate) fn name(text: &str) -> EntryName {
    text.parse().unwrap()
}

/// So many names of descriptions.
pub(crate) fn names(count: usize) -> Vec<EntryName> {
    (0..count).map(|number| name(&format!("{number:032}.narinfo"))).collect()
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ seed).collect()
}

fn get(cache: &dyn Backend, entry: &str) -> Option<Vec<u8>> {
    read_small(cache, &name(entry), 1 << 24).unwrap()
}

fn put(cache: &dyn Backend, entry: &str, content: &[u8], existing: Existing) {
    cache.write(&name(entry), &content.to_vec(), existing).unwrap();
}

/// All of it.
pub(crate) fn run(cache: &dyn Backend, abilities: Abilities) {
    nothing_is_there_at_first(cache, abilities);
    what_is_written_is_read(cache, cache);
    an_entry_is_kept_or_replaced(cache, abilities);
    many_are_asked_for(cache, cache);
    writers_race(cache, abilities);
    if abilities.lists {
        all_are_listed(cache);
    }
    what_is_removed_is_gone(cache);
}

/// What a server that is only read from must do; `other` writes for it.
pub(crate) fn run_reading(other: &dyn Backend, cache: &dyn Backend) {
    assert!(get(cache, "x").is_none());
    what_is_written_is_read(other, cache);
    many_are_asked_for(other, cache);
    let error = cache.list("", &mut |_| Ok(())).unwrap_err().to_string();
    assert!(error.ends_with("over HTTP only kiln's own server can be listed"), "{error}");
    cache.write(&name("y"), &b"y".to_vec(), Existing::Replace).unwrap_err();
    assert!(get(cache, "y").is_none());
}

fn nothing_is_there_at_first(cache: &dyn Backend, abilities: Abilities) {
    assert!(cache.read(&name("nar/x"), 0).unwrap().is_none());
    assert!(cache.read(&name("nar/x"), 5).unwrap().is_none());
    assert_eq!(cache.size(&name("nar/x")).unwrap(), None);
    assert!(cache.present(&names(40)).unwrap().is_empty() && cache.present(&[]).unwrap().is_empty());
    cache.remove(&name("nar/x")).unwrap();
    if abilities.lists {
        assert!(listed(cache, "").is_empty());
    }
}

fn what_is_written_is_read(writer: &dyn Backend, cache: &dyn Backend) {
    let content = bytes(100_000, 0);
    for entry in ["nar/x.nar.zst", "empty"].into_iter().chain(ODD) {
        let content = if entry == "empty" { &[] } else { content.as_slice() };
        put(writer, entry, content, Existing::Keep);
        assert!(get(cache, entry).as_deref() == Some(content), "{entry} at {}", cache.location());
        assert_eq!(cache.size(&name(entry)).unwrap(), Some(content.len() as u64), "{entry}");
    }
    let long = format!("nar/{}", "l".repeat(200));
    put(writer, &long, b"long", Existing::Keep);
    assert_eq!(get(cache, &long).unwrap(), b"long");
    for from in [0, 1, 50_000, 99_999, 100_000, 100_005] {
        let reading = cache.read(&name("nar/x.nar.zst"), from).unwrap().unwrap();
        let rest = &content[content.len().min(from as usize)..];
        assert!(reading.length.is_none_or(|length| length == rest.len() as u64), "from {from}: {:?}", reading.length);
        let mut read = Vec::new();
        { reading.body }.read_to_end(&mut read).unwrap();
        assert!(read == rest, "from {from}: {} bytes of {}", read.len(), rest.len());
    }
    // A directory is no entry.
    assert!(!matches!(cache.read(&name("nar"), 0), Ok(Some(_))) || cache.location().starts_with("http"), "nar");
}

fn an_entry_is_kept_or_replaced(cache: &dyn Backend, abilities: Abilities) {
    put(cache, "k", b"first", Existing::Keep);
    put(cache, "k", b"second", Existing::Keep);
    if abilities.keeps {
        assert_eq!(get(cache, "k").unwrap(), b"first");
    }
    put(cache, "k", b"third", Existing::Replace);
    assert_eq!(get(cache, "k").unwrap(), b"third");
    put(cache, "k", b"", Existing::Replace);
    assert_eq!(get(cache, "k").unwrap(), b"");
    // A large one is asked for before it is sent, which any server can answer.
    let (one, other) = (bytes(2 << 20, 1), bytes(2 << 20, 2));
    put(cache, "large", &one, Existing::Keep);
    put(cache, "large", &other, Existing::Keep);
    assert!(get(cache, "large").unwrap() == one);
}

fn many_are_asked_for(writer: &dyn Backend, cache: &dyn Backend) {
    let all = names(200);
    let there: Vec<EntryName> = all.iter().step_by(7).cloned().collect();
    for name in &there {
        writer.write(name, &b"StorePath: x\n".to_vec(), Existing::Keep).unwrap();
    }
    for count in [1, 2, 20, 200] {
        let expected: HashSet<EntryName> = there.iter().filter(|name| all[..count].contains(name)).cloned().collect();
        assert_eq!(cache.present(&all[..count]).unwrap(), expected, "{count} at {}", cache.location());
    }
}

fn writers_race(cache: &dyn Backend, abilities: Abilities) {
    let content = bytes(200_000, 9);
    let contents: BTreeMap<u8, Vec<u8>> = (0..16).map(|writer| (writer, bytes(200_000 + usize::from(writer), writer))).collect();
    std::thread::scope(|scope| {
        for (writer, own) in &contents {
            let content = &content;
            scope.spawn(move || {
                // Half of them begin by looking: what they see is whole.
                if writer % 2 == 0 && abilities.settles {
                    assert!(get(cache, "race").is_none_or(|read| read == *content), "half an entry");
                }
                put(cache, "race", content, Existing::Keep);
                assert!(!abilities.settles || get(cache, "race").unwrap() == *content);
                put(cache, "replaced", own, Existing::Replace);
            });
        }
    });
    eventually("the entry that all wrote", || get(cache, "race").is_some_and(|read| read == content));
    let last = get(cache, "replaced").unwrap();
    assert!(contents.values().any(|own| *own == last), "a mixture of {} bytes", last.len());
}

fn listed(cache: &dyn Backend, prefix: &str) -> BTreeMap<String, Listed> {
    let mut found = BTreeMap::new();
    cache
        .list(prefix, &mut |listed| {
            let twice = found.insert(listed.name.to_string(), listed);
            assert!(twice.is_none(), "{twice:?} is listed twice at {}", cache.location());
            Ok(())
        })
        .unwrap();
    found
}

fn all_are_listed(cache: &dyn Backend) {
    let all = listed(cache, "");
    for entry in ODD {
        assert!(all.contains_key(entry), "{entry}: {:?}", all.keys());
    }
    assert_eq!(all.values().filter(|listed| listed.name.as_str().ends_with(".narinfo")).count(), 29);
    let entry = &all["nar/x.nar.zst"];
    let age = SystemTime::now().duration_since(entry.modified).unwrap_or_default();
    assert!(entry.size == 100_000 && age < Duration::from_secs(600), "{entry:?} is {age:?} old");
    for prefix in ["nar/", "nar/x", "kiln/logs/", "0000", "none/"] {
        let some: Vec<&String> = all.keys().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(listed(cache, prefix).keys().collect::<Vec<_>>(), some, "{prefix}");
    }
    let stopped = cache.list("", &mut |_| Err(kiln::cache::CacheError::Stopped));
    assert!(matches!(stopped, Err(kiln::cache::CacheError::Stopped)));
}

fn what_is_removed_is_gone(cache: &dyn Backend) {
    cache.remove(&name("nar/x.nar.zst")).unwrap();
    assert!(get(cache, "nar/x.nar.zst").is_none());
    assert_eq!(cache.size(&name("nar/x.nar.zst")).unwrap(), None);
    assert!(get(cache, "nar/x/y/z.nar.zst").is_some());
    put(cache, "nar/x.nar.zst", b"again", Existing::Keep);
    assert_eq!(get(cache, "nar/x.nar.zst").unwrap(), b"again");
}

/// Two caches in one bucket do not see each other, though the name of one begins like the other's.
pub(crate) fn beside_each_other(one: &dyn Backend, other: &dyn Backend) {
    put(other, "nar/x", b"other", Existing::Keep);
    assert!(get(one, "nar/x").is_none() && listed(one, "").is_empty());
    put(one, "nar/x", b"one", Existing::Keep);
    assert_eq!((get(one, "nar/x").unwrap(), get(other, "nar/x").unwrap()), (b"one".to_vec(), b"other".to_vec()));
    assert_eq!((listed(one, "nar/").len(), listed(other, "").len()), (1, 1));
}

/// More entries than one answer of an S3 server lists.
pub(crate) fn more_than_a_page(cache: &dyn Backend) {
    let all = names(1_050);
    let (there, absent) = all.split_at(1_030);
    std::thread::scope(|scope| {
        for some in there.chunks(there.len().div_ceil(8)) {
            scope.spawn(|| some.iter().for_each(|name| put(cache, name.as_str(), b"x", Existing::Replace)));
        }
    });
    assert_eq!(listed(cache, "").len(), there.len());
    assert_eq!(cache.present(&all).unwrap(), there.iter().cloned().collect());
    assert!(cache.present(absent).unwrap().is_empty());
}
