//! The same trees and objects, given to both.

use std::collections::BTreeSet;
use std::path::Path;

use super::nix::Nix;
use super::objects::{Cache, Recipes};
use super::trees::{Numbers, generated, remarkable};
use super::{Kiln, succeeded};
use crate::support::Scratch;

/// Compares everything that both can say about a tree, and exchanges NARs in both directions.
fn same_for_both(kiln: &Kiln, nix: &Nix, tree: &Path, work: &Path) {
    let what = tree.file_name().unwrap().to_string_lossy();
    let nar = kiln.dump(tree);
    assert!(nar == nix.dump(tree), "the NARs of `{what}` differ");

    let dry = kiln.add("tree", tree, &["--dry-run"]);
    assert_eq!(dry["path"], nix.path_of("add-path", "tree", tree), "{what}");
    assert_eq!(dry["nar_hash"], nix.hash(tree), "{what}");
    assert_eq!(dry["nar_size"], nar.len(), "{what}");

    let (by_kiln, by_nix) = (work.join(format!("{what}-by-kiln")), work.join(format!("{what}-by-nix")));
    kiln.feed(["store".as_ref(), "restore".as_ref(), by_kiln.as_os_str()], &nar);
    nix.restore(&nar, &by_nix);
    assert!(nix.dump(&by_kiln) == nar, "Nix reads another `{what}` than kiln restored");
    assert!(kiln.dump(&by_nix) == nar, "kiln reads another `{what}` than Nix restored");

    let added = kiln.add("tree", tree, &[]);
    assert_eq!(added["path"], dry["path"], "{what}");
    let object = kiln.store().join("objects").join(base_name(&added["path"]));
    assert!(nix.dump(&object) == nar, "the object of `{what}` is not the tree");
}

fn base_name(path: &serde_json::Value) -> &str {
    path.as_str().unwrap().strip_prefix("/kiln/store/").unwrap()
}

#[test]
fn remarkable_trees_are_the_same_to_nix() {
    let Some(nix) = Nix::find() else { return };
    let (kiln, work) = (Kiln::new(), Scratch::new());
    remarkable(work.path()).iter().for_each(|tree| same_for_both(&kiln, &nix, tree, work.path()));
    assert_eq!(kiln.json(["store", "verify"])["problems"], serde_json::json!([]));
}

#[test]
fn generated_trees_are_the_same_to_nix() {
    let Some(nix) = Nix::find() else { return };
    let (kiln, work) = (Kiln::new(), Scratch::new());
    (1..=12).for_each(|seed| same_for_both(&kiln, &nix, &generated(work.path(), seed), work.path()));
}

#[test]
fn a_file_under_flat_addressing_is_the_same_to_nix() {
    let Some(nix) = Nix::find() else { return };
    let kiln = Kiln::new();
    for (index, len) in [0, 6, 4096, 300_000].into_iter().enumerate() {
        let file = kiln.dir().join("file");
        std::fs::write(&file, Numbers::new(len as u64).bytes(len)).unwrap();
        let name = format!("python3.{index}+dfsg_=?.tar.gz");
        assert_eq!(kiln.add(&name, &file, &["--flat"])["path"], nix.path_of("add-file", &name, &file));
    }
}

/// Exports objects of kiln's store and has Nix check and import them unsigned.
fn nix_accepts(kiln: &Kiln, nix: &Nix, owned: &[String]) {
    let paths: Vec<&str> = owned.iter().map(String::as_str).collect();
    succeeded(nix.import(Cache::of(kiln, owned).dir(), &paths));
    let infos = nix.path_infos(&paths);
    for info in infos.as_array().unwrap() {
        let ours = kiln.json(["store", "info", info["path"].as_str().unwrap()]);
        for field in ["ca", "references"] {
            assert_eq!(info[field], ours[field], "{ours}");
        }
        assert_eq!(info["narSize"], ours["nar_size"], "{ours}");
    }
}

/// Gives Nix the same objects under other digests, and has it work out the content addresses by itself. `paths` must hold all references. Nix
/// replaces references only where a whole store path stands.
fn nix_finds_the_same_addresses(kiln: &Kiln, nix: &Nix, paths: &[String]) {
    let (cache, disguised) = Cache::disguised(kiln, paths);
    let disguised: Vec<&str> = disguised.iter().map(String::as_str).collect();
    succeeded(nix.import_unchecked(cache.dir(), &disguised));
    let said = nix.readdress(&disguised);
    for (before, path) in disguised.iter().zip(paths) {
        assert!(said.contains(&format!("rewriting '{before}' to '{path}'")), "{path}\n{said}");
    }
}

#[test]
fn declared_and_found_references_are_addressed_as_nix_does_it() {
    let Some(nix) = Nix::find() else { return };
    let kiln = Kiln::new();
    let file = kiln.dir().join("tree");
    let mut numbers = Numbers::new(77);
    let mut paths: Vec<String> = Vec::new();
    for index in 0..12 {
        let known: Vec<String> = (0..index.min(4)).map(|_| paths[numbers.below(paths.len())].clone()).collect();
        let mut content = numbers.bytes(100);
        known.iter().for_each(|path| content.extend(path.as_bytes()));
        std::fs::write(&file, content).unwrap();
        let declared: Vec<&str> = known.iter().flat_map(|path| ["--reference", path.as_str()]).collect();
        let flags = if index % 2 == 0 { vec!["--scan"] } else { declared };
        let added = kiln.add(&format!("object-{index}"), &file, &flags);
        let distinct: BTreeSet<_> = known.iter().collect();
        assert_eq!(added["references"], serde_json::json!(distinct));
        paths.push(added["path"].as_str().unwrap().to_owned());
    }
    nix_accepts(&kiln, &nix, &paths);
    nix_finds_the_same_addresses(&kiln, &nix, &paths);
}

#[test]
fn builds_that_name_themselves_their_siblings_and_their_inputs_are_addressed_as_nix_does_it() {
    let Some(nix) = Nix::find() else { return };
    for bare in [false, true] {
        let kiln = Kiln::new();
        let mut recipes = Recipes::new(&kiln);
        let names = recipes.generated(14, 3, bare);
        let paths = recipes.build(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let refers_to_itself = |path: &&String| kiln.json(["store", "refs", path]).to_string().contains(path.as_str());
        assert!(paths.iter().filter(refers_to_itself).count() >= 5, "too few of the generated objects refer to themselves");
        let closure = String::from_utf8(paths.iter().flat_map(|path| kiln.run(["store", "closure", path])).collect()).unwrap();
        let all: BTreeSet<String> = closure.lines().map(str::to_owned).collect();
        let all: Vec<String> = all.into_iter().collect();
        nix_accepts(&kiln, &nix, &all);
        if !bare {
            nix_finds_the_same_addresses(&kiln, &nix, &all);
        }
    }
}

#[test]
fn nix_refuses_an_object_whose_self_reference_or_address_was_changed() {
    // The control: that Nix takes our objects would show nothing if it took any.
    let Some(nix) = Nix::find() else { return };
    let kiln = Kiln::new();
    let mut recipes = Recipes::new(&kiln);
    recipes.derivation("me", &[], &["out"], "echo $out > $out");
    let paths = recipes.build(&["me"]);
    let path = paths[0].as_str();
    let nothing = |_: &str| String::new();
    for (field, change) in [("References", nothing as fn(&str) -> String), ("CA", another_hash), ("NarHash", another_hash)] {
        let cache = Cache::of(&kiln, &paths);
        cache.edit(path, field, change);
        let output = nix.import(cache.dir(), &[path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "taken although {field} is wrong\n{said}");
    }
    succeeded(nix.import(Cache::of(&kiln, &paths).dir(), &[path]));
}

fn another_hash(value: &str) -> String {
    let last = if value.ends_with('0') { "1" } else { "0" };
    value[..value.len() - 1].to_owned() + last
}
