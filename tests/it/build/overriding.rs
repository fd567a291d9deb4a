//! `--override-source`: a file or tree of this machine in place of a source.

use std::fs;

use crate::support::{Project, sha256};

/// A file that no server has, a tree unpacked from another, and a tree of the project; each is read by a step of its own.
fn recipe() -> String {
    let file = |name: &str| format!("fetch_url([\"http://localhost:1/{name}\"], sha256 = \"{}\")", sha256(name.as_bytes()));
    let read =
        |name: &str, input: &str, command: &str| format!("\"{name}\": sh(\"{name}\", \"{command} > $out\", inputs = {{\"in\": {input}}})");
    format!(
        "targets = {{{}, {}, {}}}\n",
        read("file", &file("data.txt"), "cat $in"),
        read("unpacked", &format!("unpack({}, name = \"lib-1.0\")", file("lib-1.0.tar.gz")), "cat $in/text"),
        read("own", "source(\"//own\")", "ls -A $in"),
    )
}

fn project() -> Project {
    let project = Project::new().recipe(&recipe()).file("own/original", "");
    project.write("../elsewhere/text", "by hand\n");
    project.write("../elsewhere/.git/HEAD", "of git\n");
    project
}

#[test]
fn a_source_by_hand_stands_for_what_cannot_be_fetched_and_the_hash_says_so() {
    let project = project();
    let hash = |more: &[&str]| project.kiln([&["show", "--json", "file"], more].concat()).success().json()["hash"].clone();
    let by_hand = format!("data.txt={}", project.at("../elsewhere/text").display());
    project.kiln(["build", "file"]).code(1);
    let built = project.kiln(["build", "file", "--override-source", &by_hand]).success();
    assert_eq!(project.read(built.path()), "by hand\n");
    assert_ne!(hash(&[]), hash(&["--override-source", &by_hand]));
    project.write("../elsewhere/text", "changed\n");
    let again = project.kiln(["build", "file", "--override-source", &by_hand]).success().built(&["file"]);
    assert_eq!(project.read(again.path()), "changed\n");
    project.sound();
}

#[test]
fn trees_are_replaced_whole_without_what_git_keeps_for_itself() {
    let project = project();
    let tree = project.at("../elsewhere");
    let with = |name: &str| format!("{name}={}", tree.display());
    let built = project.kiln(["build", "unpacked", "--override-source", &with("lib-1.0")]).success();
    assert_eq!(project.read(built.path()), "by hand\n");
    let built = project.kiln(["build", "own", "--override-source", &with("own")]).success();
    assert_eq!(project.read(built.path()), "text\n");
}

#[test]
fn what_cannot_stand_for_a_source_is_told() {
    let project = project();
    let tree = project.at("../elsewhere").display().to_string();
    let tried = |value: &str| project.kiln(["build", "file", "--override-source", value]).code(2);
    tried(&format!("data.tx={tree}/text")).stderr_has("no source is called `data.tx`").stderr_has("data.txt");
    tried(&format!("data.txt={tree}")).stderr_has("it is a directory");
    tried(&format!("data.txt={tree}/none")).stderr_has("cannot be read");
    tried("data.txt").stderr_has("expected NAME=PATH");
    // A step is no source.
    tried(&format!("own-step={tree}")).stderr_has("no source is called");
    assert!(fs::read_dir(project.at("store")).is_err());
}
