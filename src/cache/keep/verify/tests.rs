//! Each way in which a cache can be wrong, and what is said of it.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::super::pin::set_pin;
use super::super::testing::{Fixture, nar};
use super::*;
use crate::cache::signing::SecretKey;
use crate::cache::statement::{SignedTrace, write_traces};
use crate::model::{BuildTrace, DerivationHash, OutputName, SandboxLevel, Sha256, StorePath};

fn found(cache: &Fixture, options: &VerifyOptions) -> Vec<String> {
    verify(&cache.backend, options).unwrap().findings.into_iter().map(|finding| format!("{}: {}", finding.entry, finding.problem)).collect()
}

fn quick(cache: &Fixture) -> Vec<String> {
    found(cache, &VerifyOptions::default())
}

fn reading(cache: &Fixture) -> Vec<String> {
    found(cache, &VerifyOptions { read: true, ..VerifyOptions::default() })
}

fn edit(cache: &Fixture, path: &StorePath, from: &str, to: &str) {
    let entry = format!("{}.narinfo", path.digest());
    let text = String::from_utf8(cache.get(&entry)).unwrap();
    assert!(text.contains(from), "{text}");
    cache.put(&entry, text.replace(from, to));
}

fn field(cache: &Fixture, path: &StorePath, name: &str) -> String {
    let text = String::from_utf8(cache.get(&format!("{}.narinfo", path.digest()))).unwrap();
    text.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
}

#[test]
fn a_sound_cache_has_no_findings() {
    let cache = Fixture::new();
    let a = cache.object("a", &[]);
    cache.object("b", &[&a]);
    set_pin(&cache.backend, "x", &[a]).unwrap();
    cache.put("nar/orphan.nar.zst", b"abc");
    let report = verify(&cache.backend, &VerifyOptions { read: true, ..VerifyOptions::default() }).unwrap();
    assert_eq!((report.objects, report.statements, report.orphan_bytes), (2, 1, 3));
    assert_eq!((report.orphans, report.findings), (vec!["nar/orphan.nar.zst".to_owned()], vec![]));
    assert!(report.bytes_read > 0);
}

#[test]
fn descriptions_that_contradict_themselves_or_the_cache_are_named() {
    let cache = Fixture::new();
    let (a, b, c) = (cache.object("a", &[]), cache.object("b", &[]), cache.object("c", &[]));
    let d = cache.object("d", &[&a]);
    edit(&cache, &b, &field(&cache, &b, "CA"), "");
    edit(&cache, &c, "References: ", &format!("References: {}", a.base_name()));
    cache.backend.remove(&EntryName::narinfo(a.digest())).unwrap();
    cache.backend.remove(&cache.nar_of(&d)).unwrap();
    cache.put("nix-cache-info", b"StoreDir: /nix/store\n");
    let mut expected = vec![
        format!("{}.narinfo: the content address {} does not give the path {c}", c.digest(), &field(&cache, &c, "CA")[4..]),
        format!("{}.narinfo: it refers to an object with the digest {}, which is not there", c.digest(), a.digest()),
        format!("{}.narinfo: {} is not there", d.digest(), cache.nar_of(&d)),
        format!("{}.narinfo: it refers to an object with the digest {}, which is not there", d.digest(), a.digest()),
        "nix-cache-info: its store directory is `/nix/store`, not `/kiln/store`".to_owned(),
    ];
    let found: Vec<String> = quick(&cache).into_iter().filter(|line| !line.contains("is no `.narinfo`")).collect();
    // Without its line an empty one is left, which is none.
    expected.push(format!("{}.narinfo: line 9 is not of the form `Key: value`", b.digest()));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn an_object_without_a_content_address_cannot_prove_itself() {
    let cache = Fixture::new();
    let a = cache.object("a", &[]);
    edit(&cache, &a, &format!("{}\n", field(&cache, &a, "CA")), "");
    assert_eq!(quick(&cache), [format!("{}.narinfo: it has no content address, so the object cannot prove itself", a.digest())]);
}

#[test]
fn a_nar_of_another_size_is_found_without_and_other_bytes_with_reading() {
    let cache = Fixture::new();
    let a = cache.object("a", &[]);
    let name = cache.nar_of(&a);
    let mut bytes = cache.get(name.as_str());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    cache.put(name.as_str(), bytes.clone());
    assert!(quick(&cache).is_empty());
    let problems = reading(&cache);
    assert!(problems[0].contains("which is not the one stated"), "{problems:?}");
    bytes.push(0);
    cache.put(name.as_str(), bytes);
    assert!(quick(&cache)[0].contains("bytes, not"), "{:?}", quick(&cache));
}

/// Replaces an object's NAR, and tells the truth about the packed file.
fn replace_nar(cache: &Fixture, path: &StorePath, packed: &[u8]) {
    cache.put(cache.nar_of(path).as_str(), packed);
    edit(cache, path, &field(cache, path, "FileSize"), &format!("FileSize: {}", packed.len()));
    edit(cache, path, &field(cache, path, "FileHash"), &format!("FileHash: sha256:{}", Sha256::of(packed).base32()));
}

#[test]
fn another_nar_a_broken_one_and_a_bomb_are_found_by_reading() {
    let cache = Fixture::new();
    let (a, b, c, d) = (cache.object("a", &[]), cache.object("b", &[]), cache.object("c", &[]), cache.object("d", &[]));
    replace_nar(&cache, &a, &zstd::encode_all(nar("other").as_slice(), 1).unwrap());
    replace_nar(&cache, &b, b"no zstd");
    replace_nar(&cache, &c, &zstd::encode_all(std::io::repeat(0).take(1 << 30), 1).unwrap());
    let other = nar("other");
    replace_nar(&cache, &d, &zstd::encode_all(other.as_slice(), 1).unwrap());
    edit(&cache, &d, &field(&cache, &d, "NarHash"), &format!("NarHash: sha256:{}", Sha256::of(&other).base32()));
    edit(&cache, &d, &field(&cache, &d, "NarSize"), &format!("NarSize: {}", other.len()));
    let problems = reading(&cache);
    let has = |path: &StorePath, text: &str| problems.iter().any(|line| line.starts_with(path.digest().as_str()) && line.contains(text));
    assert!(has(&a, "which is not what is stated") && has(&b, "nar/") && has(&c, "malformed"), "{problems:#?}");
    assert!(has(&d, "do not have the content address") && !has(&d, "not what is stated"), "{problems:#?}");
}

#[test]
fn every_packing_that_nix_knows_is_read() {
    let cache = Fixture::new();
    let nar_of = |path: &StorePath, cache: &Fixture| zstd::decode_all(cache.get(cache.nar_of(path).as_str()).as_slice()).unwrap();
    let mut encoded = Vec::new();
    for name in ["none", "xz", "bzip2", "gzip"] {
        let path = cache.object(name, &[]);
        let nar = nar_of(&path, &cache);
        let mut packed = Vec::new();
        match name {
            "none" => packed.clone_from(&nar),
            "xz" => drop(liblzma::read::XzEncoder::new(nar.as_slice(), 1).read_to_end(&mut packed).unwrap()),
            "bzip2" => drop(bzip2::read::BzEncoder::new(nar.as_slice(), bzip2::Compression::fast()).read_to_end(&mut packed).unwrap()),
            _ => drop(flate2::read::GzEncoder::new(nar.as_slice(), flate2::Compression::fast()).read_to_end(&mut packed).unwrap()),
        }
        replace_nar(&cache, &path, &packed);
        edit(&cache, &path, "Compression: zstd", &format!("Compression: {name}"));
        encoded.push(path);
    }
    assert_eq!(reading(&cache), [""; 0]);
}

#[test]
fn statements_are_about_their_own_names_and_signed_by_who_they_say() {
    let cache = Fixture::new();
    let key = SecretKey::generate("team-1".parse().unwrap()).unwrap();
    let imposter = SecretKey::generate("team-1".parse().unwrap()).unwrap();
    let a = cache.object("a", &[]);
    let signed = |name: &str, key: &SecretKey, level| {
        let outputs = BTreeMap::from([(OutputName::out(), a.clone())]);
        let resolved = DerivationHash(Sha256::of(name));
        SignedTrace::new(BuildTrace { resolved, outputs, system: "x86_64-linux".into(), level }, key)
    };
    let put = |name: &str, key: &str, traces: &[SignedTrace]| {
        cache.put(&format!("kiln/traces/{}/{key}", Sha256::of(name)), write_traces(traces).unwrap());
    };
    put("good", "team-1", &[signed("good", &key, SandboxLevel::Strict)]);
    let trusted = || VerifyOptions { keys: vec![key.public()], ..VerifyOptions::default() };
    let report = verify(&cache.backend, &trusted()).unwrap();
    assert_eq!((report.vouched, report.findings), (1, vec![]));
    put("renamed", "team-1", &[signed("good", &key, SandboxLevel::Strict)]);
    put("relaxed", "team-1", &[signed("relaxed", &key, SandboxLevel::Relaxed)]);
    put("other", "team-2", &[signed("other", &key, SandboxLevel::Strict)]);
    put("forged", "team-1", &[signed("forged", &imposter, SandboxLevel::Strict)]);
    put("empty", "team-1", &[]);
    cache.put(&format!("kiln/records/{}/team-1", Sha256::of("x")), b"{}");
    cache.put(&format!("kiln/derivations/{}.json", Sha256::of("x")), b"y");
    cache.put(&format!("kiln/derivations/{}.json", Sha256::of("z")), b"z");
    cache.put("kiln/something/else", b"");
    cache.put("kiln/pins/x", format!("{}\n", Fixture::path("gone", &[])));
    let problems = found(&cache, &trusted());
    let wanted = [
        "it is about",
        "not strictly sealed",
        "it is signed by team-1",
        "the signature is not of the key team-1",
        "it is empty",
        "it is no record",
        "its bytes have the hash",
        "nothing has such a name",
        "which is not there",
    ];
    assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
    assert!(wanted.iter().all(|wanted| problems.iter().any(|line| line.contains(wanted))), "{problems:#?}");
    assert_eq!(quick(&cache).len(), wanted.len() - 1, "without the key nobody knows of the forgery");
}
