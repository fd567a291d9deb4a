//! Merges of small layers.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use super::super::testing::Bench;
use super::*;

fn bench(layers: &[(&str, &[(&str, &str)])]) -> Bench {
    let mut bench = Bench::new(KIND, json!({}));
    layers.iter().for_each(|(label, entries)| bench.layer(label, entries));
    bench
}

fn merged(layers: &[(&str, &[(&str, &str)])]) -> Bench {
    let bench = bench(layers);
    bench.run().unwrap();
    bench
}

fn manifest(bench: &Bench) -> Value {
    serde_json::from_str(&bench.read(MANIFEST)).unwrap()
}

fn layer_of(bench: &Bench, path: &str) -> String {
    manifest(bench)["files"][path]["layer"].as_str().unwrap().to_owned()
}

#[test]
fn layers_lie_in_one_tree_with_a_manifest() {
    let bench = merged(&[("python", &[("lib/a.py", "a"), ("bin/run!", "r"), ("empty/", "")]), ("six", &[("lib/six.py", "six\n")])]);
    assert_eq!((bench.read("lib/a.py"), bench.read("lib/six.py")), ("a".to_owned(), "six\n".to_owned()));
    assert!(bench.out().join("empty").is_dir());
    assert_eq!(
        manifest(&bench),
        json!({"version": 1, "files": {
            "bin/run": {"layer": "python", "mode": "0555", "sha256": Sha256::of("r"), "size": 1},
            "lib/a.py": {"layer": "python", "mode": "0444", "sha256": Sha256::of("a"), "size": 1},
            "lib/six.py": {"layer": "six", "mode": "0444", "sha256": Sha256::of("six\n"), "size": 4},
        }})
    );
    for (path, mode) in [("bin/run", 0o555), ("lib/a.py", 0o444), (MANIFEST, 0o444)] {
        let metadata = fs::metadata(bench.out().join(path)).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.mtime()), (mode, 1), "{path}");
    }
}

#[test]
fn the_result_depends_on_nothing_but_the_layers() {
    let names: Vec<_> = (0..200).map(|index| format!("d{}/f{index}", index % 7)).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let reversed: Vec<_> = entries.iter().rev().copied().collect();
    let [one, two] = [merged(&[("a", &entries)]), merged(&[("a", &reversed)])];
    assert_eq!(one.nar_hash(), two.nar_hash());
    assert_eq!(manifest(&one)["files"].as_object().unwrap().len(), 200);
}

#[test]
fn an_empty_merge_has_an_empty_manifest() {
    assert_eq!(manifest(&merged(&[("a", &[])])), json!({"version": 1, "files": {}}));
}

#[test]
fn equal_files_of_two_layers_are_one() {
    let bench = merged(&[("a", &[("x", "same")]), ("b", &[("x", "same")])]);
    assert_eq!(layer_of(&bench, "x"), "a");
}

#[test]
fn a_conflict_names_the_path_and_both_layers() {
    for (first, second, words) in [
        (("x", "one"), ("x", "two"), "with different bytes"),
        (("x", "one"), ("x", "longer"), "with different bytes"),
        (("x", "one"), ("x!", "one"), "once executable and once not"),
        (("x", "one"), ("x/y", "one"), "once as a directory and once as a file"),
    ] {
        let message = bench(&[("left", &[first]), ("right", &[second])]).error();
        assert_eq!(message, format!("`x` comes from both left and right, {words}"));
    }
    let message = bench(&[("left", &[(MANIFEST, "{}")])]).error();
    assert!(message.contains("left and the merge's own manifest"), "{message}");
}

#[test]
fn nothing_is_written_when_the_plan_fails() {
    let bench = bench(&[("a", &[("x", "1")]), ("b", &[("x", "2")])]);
    assert!(bench.run().is_err() && !bench.out().exists());
}

#[test]
fn links_become_copies_of_what_they_lead_to() {
    let other = Bench::logical("b");
    let bench = merged(&[
        (
            "a",
            &[
                ("bin/python3.11!", "py"),
                ("bin/python3@", "python3.11"),
                ("bin/python@", "./python3"),
                ("lib/real/m.py", "m"),
                ("lib64@", "lib"),
                ("abs@", &format!("{other}/data/f")),
                ("near@", "data/../data/f"),
                ("merged@", "data"),
            ],
        ),
        ("b", &[("data/f", "from b"), ("lib/real/n.py", "n")]),
    ]);
    assert_eq!(bench.nar_hash().1, None);
    for (path, content) in [
        ("bin/python", "py"),
        ("bin/python3", "py"),
        ("lib64/real/m.py", "m"),
        ("lib64/real/n.py", "n"),
        ("abs", "from b"),
        ("near", "from b"),
        ("merged/f", "from b"),
    ] {
        assert_eq!(bench.read(path), content, "{path}");
    }
    assert_eq!(manifest(&bench)["files"]["bin/python"]["mode"], "0555");
    assert_eq!((layer_of(&bench, "lib64/real/n.py"), layer_of(&bench, "lib64/real/m.py")), ("b".to_owned(), "a".to_owned()));
}

#[test]
fn a_link_that_leaves_dangles_or_loops_is_refused() {
    for (entries, problem) in [
        (&[("l@", "/etc/passwd")][..], "outside the merged layers"),
        (&[("l@", "..")], "outside the merged layers"),
        (&[("d/l@", "../../x")], "outside the merged layers"),
        (&[("l@", &Bench::logical("absent"))], "outside the merged layers"),
        (&[("l@", "missing")], "in none of the layers"),
        (&[("l@", "f/x"), ("f", "")], "in none of the layers"),
        (&[("l@", "l")], "leads back"),
        (&[("l@", "m"), ("m@", "l")], "leads back"),
        (&[("l@", ".")], "leads back"),
        (&[("d/l@", "../d")], "leads back"),
        (&[("d/e/l@", "../..")], "leads back"),
        (&[("a/l@", "../b"), ("b/l@", "../a")], "leads back"),
    ] {
        let message = bench(&[("only", entries)]).error();
        assert!(message.contains(problem) && message.contains("in layer only"), "{entries:?}: {message}");
    }
}

#[test]
fn a_link_that_conflicts_with_a_file_is_a_conflict() {
    assert!(bench(&[("a", &[("x@", "y"), ("y", "1")]), ("b", &[("x", "2")])]).error().contains("`x` comes from both a and b"));
}

#[test]
fn layers_that_are_files_and_names_that_are_no_text_are_refused() {
    let mut bench = Bench::new(KIND, json!({}));
    bench.file("single", b"");
    assert!(bench.error().starts_with("layer single (/kiln/store/"));
    let mut bench = Bench::new(KIND, json!({}));
    bench.layer("odd", &[]);
    fs::write(bench.physical("odd").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(bench.error().contains("not UTF-8"));
}

#[test]
fn links_that_chain_directories_together_without_end_are_refused() {
    let names: Vec<_> = (0..500).map(|index| (format!("d{index}/l@"), format!("../d{}", index + 1))).collect();
    let mut entries: Vec<_> = names.iter().map(|(name, target)| (name.as_str(), target.as_str())).collect();
    entries.push(("d500/", ""));
    assert!(bench(&[("a", &entries)]).error().contains("more than 256 directories deep"));
}
