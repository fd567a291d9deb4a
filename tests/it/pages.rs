//! The README and the pages of `docs/`: what they point to is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::kiln;

fn project() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

/// Every page, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let named = ["README.md", "store/README.md"].map(|name| project().join(name));
    docs.chain(named).map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn links_lead_somewhere() {
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            let place = page.parent().unwrap().join(file);
            assert!(place.exists(), "{}: `{link}` leads nowhere", page.display());
        }
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(project().join("docs/README.md")).unwrap();
    for (page, _) in pages().into_iter().filter(|(page, _)| page.parent().unwrap().ends_with("docs")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "docs/README.md does not list {name}");
    }
}

#[test]
fn commands_exist() {
    let texts: Vec<String> = pages().into_iter().map(|(_, text)| text).collect();
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let commands = texts.iter().flat_map(|text| text.lines()).flat_map(|line| {
        // In an indented block, or between backquotes.
        let shown = line
            .strip_prefix("    kiln ")
            .into_iter()
            .chain(line.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("kiln ")));
        shown.map(|rest| {
            let words: Vec<&str> = rest.split(' ').take_while(is_word).collect();
            let depth = if ["store", "lock", "cache"].contains(words.first().unwrap_or(&"")) { 2 } else { 1 };
            words.into_iter().take(depth).map(str::to_owned).collect::<Vec<_>>()
        })
    });
    let commands: BTreeSet<Vec<String>> = commands.filter(|words| words.first().is_some_and(|word| word != "help")).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for words in commands {
        let output = Command::new(kiln()).arg("help").args(&words).output().unwrap();
        assert!(output.status.success(), "there is no `kiln {}`", words.join(" "));
    }
}

#[test]
fn ci_runs_the_command_that_the_readme_names() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let ci = fs::read_to_string(project().join(Path::new(".ci/run"))).unwrap();
    assert!(readme.contains("\n    tests/run\n") && ci.contains("\nexec tests/run "));
    let packages = ci.lines().find_map(|line| line.strip_prefix("packages=(")?.strip_suffix(')')).unwrap();
    let line = readme.lines().find(|line| line.contains("apt-get install")).unwrap();
    for package in packages.split(' ') {
        assert!(line.contains(package), "the README does not name {package}");
    }
}
