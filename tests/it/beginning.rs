//! `kiln init`: a project to begin with. That it builds is shown in `flagship/beginning.rs`, where the registries are asked.

use std::fs;

use crate::support::Project;

#[test]
fn a_new_project_has_everything_but_what_the_registries_know() {
    let place = Project::bare();
    let made = place.kiln(["init", "--no-lock", "new"]).success();
    made.stdout_has("new/derivations/default.star\n").stdout_has("  kiln lock debian coreutils dash gcc libc6-dev\n");
    assert!(place.at("new/store").is_dir());
    let eval = place.kiln(["--project", "new", "eval"]).code(2);
    eval.stderr_has("`derivations/locks/debian.json` does not exist").hint("kiln lock debian PACKAGE");
}

#[test]
fn nothing_is_overwritten() {
    let place = Project::bare();
    place.write("new/share/greeting.txt", "mine");
    place.kiln(["init", "--no-lock", "new"]).code(2).stderr_has("`new/share/greeting.txt` is there already; nothing was written");
    assert_eq!(fs::read_dir(place.at("new")).unwrap().count(), 1);
    assert_eq!(place.read(place.at("new/share/greeting.txt")), "mine");
}

#[test]
fn what_git_ignores_already_stays() {
    let place = Project::bare();
    place.write("new/.gitignore", "mine\n");
    place.kiln(["init", "--no-lock", "new"]).success().stderr("");
    assert_eq!(place.read(place.at("new/.gitignore")), "mine\n");
}

#[test]
fn a_root_without_a_shell_is_told_what_brings_one() {
    let place = Project::new()
        .file("empty/readme", "")
        .recipe(r#"targets = {"x": derivation(name = "x", root = source("//empty"), script = "true")}"#);
    place.kiln(["build", "x"]).code(1).stderr_has("cannot execute `/bin/sh`").hint("in the package `dash`");
}
