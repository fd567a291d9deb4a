//! `docs/recipes.md` tells the truth: its examples are evaluated, and its message is what a user reads.

use super::*;

const PAGE: &str = include_str!("../../../docs/recipes.md");

/// The code blocks with this info string, joined.
fn blocks(info: &str) -> String {
    let fence = format!("```{info}");
    let (mut text, mut inside) = (String::new(), false);
    for line in PAGE.lines() {
        match line {
            "```" => inside = false,
            line if line == fence => inside = true,
            line if inside => text.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    text
}

fn project(default: &str) -> Project {
    let package = |name: &str| format!(r#""{name}": {{"path": "pool/main/{name}.deb", "sha256": "{}", "depends": []}}"#, "0".repeat(64));
    let packages = ["dash", "coreutils", "make", "gawk"].map(package).join(",");
    Project::new("")
        .file("derivations/default.star", default)
        .file("derivations/lib/greetings.star", &blocks("python lib/greetings.star"))
        .file("derivations/locks/debian.json", &format!(r#"{{"version": 1, "packages": {{{packages}}}}}"#))
        .file("derivations/locks/pypi.json", r#"{"files": {"six": {"version": "1.16.0"}}}"#)
        .file("derivations/hello.sh", "echo hello > $out\n")
        .file("functions/hello.py", "")
}

#[test]
fn the_examples_of_the_documentation_work() {
    let evaluated = project(&blocks("python")).evaluate().unwrap();
    let names: Vec<&str> = evaluated.targets.keys().map(String::as_str).collect();
    assert_eq!(names, ["greeter.doc", "hello", "hello.3.11", "runtime", "site-packages.six", "toolchain"]);
    assert_eq!(lowered(&evaluated, &names).sources.len(), 1);
    assert_eq!(evaluated.targets["runtime"].description, "everything together");
}

#[test]
fn the_message_of_the_documentation_is_real() {
    let broken = blocks("python").replace("python, toolchain, build_script", "python, \"toolchain\", build_script");
    let failure = project(&broken).failure();
    assert_eq!(format!("error: {}\n{}", failure.message, failure.traceback()), blocks("text"));
}

#[test]
fn every_name_that_kiln_adds_is_documented() {
    for name in
        ["derivation", "fetch_url", "fetch_pypi", "fetch_debian", "source", "unpack", "debian_root", "merge", "file", "read_json", "param"]
    {
        assert!(blocks("python").contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn the_recipes_of_this_repository_can_be_lowered() {
    // Where another user runs the tests, a copy of the repository.
    let project = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let evaluated = evaluate(std::path::Path::new(&project), &BTreeMap::new()).unwrap();
    let names: Vec<&str> = evaluated.targets.keys().map(String::as_str).collect();
    lowered(&evaluated, &names);
    assert!(evaluated.targets.values().all(|target| !target.description.is_empty()));
}
