//! A cache that lies: each lie ends in an error or a build here, never in a wrong object.

use std::fs;
use std::path::Path;

use kiln::cache::entry::EntryName;
use kiln::model::{Compression, NarInfo, Sha256};

use super::{RECIPE, Shared, made};
use crate::support::Project;

/// Changes a description.
fn describe(place: &Path, change: impl Fn(&mut NarInfo)) {
    let mut info: NarInfo = fs::read_to_string(place).unwrap().parse().unwrap();
    change(&mut info);
    fs::write(place, info.to_string()).unwrap();
}

/// Replaces the packed NAR that a description leads to.
fn repack(shared: &Shared, place: &Path, packed: &[u8]) {
    let entry = EntryName::nar(&Sha256::of(packed), Compression::Zstd);
    let nar = shared.cache().join(entry.as_str());
    fs::write(nar, packed).unwrap();
    describe(place, |info| {
        info.url = entry.to_string();
        info.file_hash = Some(Sha256::of(packed));
        info.file_size = Some(packed.len() as u64);
    });
}

fn replace(place: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(place).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(place, text.replace(from, to)).unwrap();
}

type Lie = (&'static str, fn(&Shared, &Path), &'static str);

/// What is done to the description of `lib`, and what is said then.
const LIES: [Lie; 16] = [
    ("a wrong NAR hash", |_, place| describe(place, |info| info.nar_hash = Sha256::of("x")), "lies about"),
    ("a size too small", |_, place| describe(place, |info| info.nar_size -= 8), "lies about"),
    ("a size too large", |_, place| describe(place, |info| info.nar_size += 8), "lies about"),
    ("an enormous size", |_, place| describe(place, |info| info.nar_size = u64::MAX), "lies about"),
    (
        "a truncated NAR",
        |shared, place| {
            let info: NarInfo = fs::read_to_string(place).unwrap().parse().unwrap();
            let nar = shared.cache().join(info.url);
            let bytes = fs::read(&nar).unwrap();
            fs::write(nar, &bytes[..bytes.len() - 5]).unwrap();
        },
        "lies about",
    ),
    ("a missing NAR", |_, place| describe(place, |info| info.url = "nar/none.nar.zst".into()), "it is described, but not there"),
    ("other bytes", |shared, place| repack(shared, place, &zstd::encode_all(&b"some other bytes"[..], 3).unwrap()), "lies about"),
    ("no zstd at all", |shared, place| repack(shared, place, b"garbage"), "lies about"),
    (
        "a bomb",
        |shared, place| {
            let zeros = std::io::Read::take(std::io::repeat(0), 1 << 30);
            repack(shared, place, &zstd::encode_all(zeros, 1).unwrap());
        },
        "lies about",
    ),
    (
        "the right NAR with more behind it",
        |shared, place| {
            let info: NarInfo = fs::read_to_string(place).unwrap().parse().unwrap();
            let mut nar = zstd::decode_all(fs::read(shared.cache().join(info.url)).unwrap().as_slice()).unwrap();
            nar.extend([0; 64]);
            repack(shared, place, &zstd::encode_all(nar.as_slice(), 3).unwrap());
        },
        "something follows its end",
    ),
    (
        "the description of another object",
        |shared, place| {
            fs::copy(shared.narinfo("app").0, place).unwrap();
        },
        "it describes",
    ),
    (
        "a name that leads out",
        |_, place| {
            let info: NarInfo = fs::read_to_string(place).unwrap().parse().unwrap();
            replace(place, &info.url, "../../../../etc/passwd");
        },
        "no name within the cache",
    ),
    (
        "another server's address",
        |_, place| {
            let info: NarInfo = fs::read_to_string(place).unwrap().parse().unwrap();
            replace(place, &info.url, "http://localhost:1/nar");
        },
        "no name within the cache",
    ),
    ("no content address", |_, place| describe(place, |info| info.ca = None), "cannot prove itself"),
    ("a dropped self-reference", |_, place| describe(place, |info| info.references.clear()), "does not give its path"),
    (
        "a reference to what is nowhere",
        |_, place| {
            describe(place, |info| info.references.extend(["/kiln/store/8k90pkn2fan0wl15k96v2md0n20vgdrp-dep".parse().unwrap()]));
        },
        "does not give its path",
    ),
];

#[test]
fn no_lie_ends_in_a_wrong_object() {
    let (shared, first) = Shared::filled();
    let place = shared.narinfo("lib").0;
    let path = shared.narinfo("lib").1.path.to_string();
    let (good, nars) = (fs::read(&place).unwrap(), shared.entries("nar").into_iter().map(|nar| (nar.clone(), fs::read(nar).unwrap())));
    let nars: Vec<_> = nars.collect();
    let second = Project::new().recipe(RECIPE);
    for (lie, tell, message) in LIES {
        tell(&shared, &place);
        let pulled = second.kiln(["cache", "pull", "--from", &shared.url(), &path]);
        assert!(!pulled.status.success() && pulled.err.contains(message), "{lie}: {pulled}");
        assert!(second.objects().is_empty(), "{lie}");
        let built = shared.build(&second, &["lib"]).success();
        assert_eq!(made(&built), ["lib", "tool"], "{lie}: {built}");
        assert_eq!(built.json()["targets"][0]["path"], path, "{lie}");
        second.sound();
        second.delete_store();
        fs::write(&place, &good).unwrap();
        nars.iter().for_each(|(nar, bytes)| fs::write(nar, bytes).unwrap());
    }
    first.sound();
    assert!(made(&shared.build(&second, &["lib"]).success()).is_empty());
}

#[test]
fn an_object_whose_reference_is_missing_is_not_taken() {
    let (shared, _first) = Shared::filled();
    let app = shared.narinfo("app").1.path.to_string();
    fs::remove_file(shared.narinfo("lib").0).unwrap();
    let second = Project::new().recipe(RECIPE);
    second.kiln(["cache", "pull", "--from", &shared.url(), &app]).code(1).stderr_has("-lib is not in file://");
    assert!(second.objects().is_empty());
    let outcome = shared.build(&second, &["app"]).success();
    assert_eq!(made(&outcome), ["app", "lib", "tool"], "{outcome}");
    second.sound();
}

#[test]
fn a_cache_for_another_store_directory_is_none() {
    let (shared, _first) = Shared::filled();
    fs::write(shared.cache().join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let second = Project::new().recipe(RECIPE);
    let path = shared.narinfo("lib").1.path.to_string();
    second.kiln(["cache", "pull", "--from", &shared.url(), &path]).code(1).stderr_has("not a cache for kiln").stderr_has("/nix/store");
    second.kiln(["cache", "info", &shared.url()]).code(1).stderr_has("/nix/store");
    let outcome = shared.build(&second, &["lib"]).success().stderr_has("/nix/store");
    assert_eq!(made(&outcome), ["lib", "tool"], "{outcome}");
    shared.push(&second, &["lib"]).code(1).stderr_has("/nix/store");
}
