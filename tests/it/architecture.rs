//! The code's own shape: how long files are, where `unsafe` is, who prints, and that documents agree with the program. Who may use whom: `layers`.
//!
//! These read the sources, so they are skipped where the test program was carried away from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use crate::support::{Project, sha256, skip};

/// Files whose derived code is unsafe although nothing written in them is.
const DERIVES_UNSAFE: [&str; 2] = ["recipe/artifact.rs", "recipe/session.rs"];

const LONGEST_FILE: usize = 600;

fn source_dir() -> Option<PathBuf> {
    let project = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let dir = Path::new(&project).join("src");
    dir.is_dir().then_some(dir)
}

/// All Rust files below `src/`, by their path relative to it.
fn sources(dir: &Path) -> BTreeMap<String, String> {
    let files = WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|entry| entry.path().extension().is_some_and(|kind| kind == "rs"));
    files
        .map(|entry| {
            let name = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn no_file_is_too_long_to_read() {
    let Some(dir) = source_dir() else { return skip("the sources are not here") };
    let mut all = sources(&dir);
    all.extend(sources(&dir.parent().unwrap().join("tests")));
    let long: Vec<_> = all.iter().filter(|(_, text)| text.lines().count() > LONGEST_FILE).map(|(file, _)| file).collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:?}");
}

#[test]
fn unsafe_code_is_in_the_sandbox_only_and_explained() {
    let Some(dir) = source_dir() else { return skip("the sources are not here") };
    for (file, text) in sources(&dir) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|form| code.contains(form));
            let allows = code.contains("allow(unsafe_code)") && !DERIVES_UNSAFE.contains(&file.as_str());
            assert!(!(is_unsafe || allows) || file.starts_with("sandbox/"), "src/{file}:{}: {line}", number + 1);
            if code.contains("unsafe {") || code.contains("unsafe impl") {
                let explained = lines[number.saturating_sub(6)..=number].iter().any(|line| line.contains("// SAFETY:"));
                assert!(explained, "src/{file}:{}: no `// SAFETY:` above it", number + 1);
            }
        }
    }
}

#[test]
fn nothing_but_the_command_line_prints() {
    let Some(dir) = source_dir() else { return skip("the sources are not here") };
    for (file, text) in sources(&dir) {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let prints = ["println!(", "eprintln!(", "print!(", "dbg!("].iter().any(|form| code.contains(form));
        let is_test = file.contains("/tests");
        // A build script speaks to cargo that way.
        assert!(!prints || file.starts_with("cli/") || file == "link.rs" || is_test, "src/{file} prints");
    }
}

#[cfg(target_arch = "x86_64")]
/// Hashes that may change only on purpose: then everything is built anew, everywhere.
#[test]
fn golden_derivations_keep_their_hashes() {
    let project = Project::new().file("derivations/default.star", GOLDEN).file("data/a", "a\n").file("root/bin/sh", "");
    for (target, hash) in GOLDEN_HASHES {
        let json = project.kiln(["show", target, "--json"]).success().json();
        assert_eq!(json["hash"], hash, "{target}: {json:#}");
    }
}

const GOLDEN: &str = r#"
root = source("//root")
fetched = fetch_url(["http://localhost/x.tar.gz"], sha256 = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7")
plain = derivation(name = "plain", root = root, script = "echo > $out")
full = derivation(
    name = "full-1.0",
    root = root,
    script = "cp -r $src $out\n",
    inputs = {"src": source("//data"), "dep": plain},
    env = {"CFLAGS": "-O2", "LANG": "C"},
    outputs = ["out", "lib"],
    references = ["dep", "self"],
    links = False,
    interpreter = ["/bin/sh", "-eux"],
    timeout = 5,
    description = "hashed, but for this",
)
targets = {
    "fetched": fetched,
    "plain": plain,
    "full": full,
    "unpacked": unpack(fetched, name = "unpacked"),
    "merged": merge({"a": plain, "b": full.output("lib")}, name = "merged"),
}
"#;

const GOLDEN_HASHES: [(&str, &str); 5] = [
    ("fetched", "712b153c240f04f477efd5addbd28e067d064e2f04eb6ed444b8c15be9879bef"),
    ("full", "b9b7d2895c264a36b6d41917bc7e90f20ef6c0c84f18f79566afaf7d646b0eb3"),
    ("merged", "31b4c4c5c3cfe1f9ab57090133ca609eb88229fbd8f1a94426069bb53071390c"),
    ("plain", "e6e8bbf5671276df190360d3907e7adec33497e346934220d3451051b9e66437"),
    ("unpacked", "4297c04496deef7d34d2a7586b70e6e3a8f7124bbd6a8f6511c02ceb3f76337c"),
];

/// What `kiln show` prints is what is hashed, byte for byte, once insignificant space is gone.
#[test]
fn a_derivations_hash_is_that_of_the_document_that_is_shown() {
    let project = Project::new().file("derivations/default.star", GOLDEN).file("data/a", "a\n").file("root/bin/sh", "");
    for (target, _) in GOLDEN_HASHES {
        let json = project.kiln(["show", target, "--json"]).success().json();
        let canonical = serde_json::to_string(&json["derivation"]).unwrap();
        assert_eq!(json["hash"], sha256(canonical.as_bytes()), "{canonical}");
    }
}

#[test]
fn the_schema_knows_all_that_a_real_derivation_has() {
    let Some(dir) = source_dir() else { return skip("the sources are not here") };
    let schema: Value = serde_json::from_str(&fs::read_to_string(dir.join("../docs/derivation.schema.json")).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let project = Project::new().file("derivations/default.star", GOLDEN).file("data/a", "a\n").file("root/bin/sh", "");
    let mut kinds = BTreeSet::new();
    for (target, _) in GOLDEN_HASHES {
        let derivation = &project.kiln(["show", target, "--json"]).success().json()["derivation"];
        assert_eq!(keys(derivation), keys(&schema["properties"]), "{target}");
        for policy in derivation["outputs"].as_object().unwrap().values() {
            assert_eq!(keys(policy), keys(&schema["$defs"]["outputPolicy"]["properties"]));
        }
        for (kind, builder) in derivation["builder"].as_object().unwrap() {
            assert_eq!(keys(builder), keys(&schema["$defs"][kind]["properties"]), "{target}");
            kinds.insert(kind.clone());
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["builtin", "fetch", "script"]);
}
