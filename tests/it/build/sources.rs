//! What `source()` takes, and what it does not depend on.

use std::fs;
use std::path::Path;

use crate::support::Project;

fn git(project: &Project, place: &str, args: &[&str]) {
    let done = project.program("git").arg("-C").arg(project.at(place)).args(args).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A work tree in which a file is tracked although it is ignored.
fn work_tree() -> Project {
    let project = Project::bare()
        .file("derivations/default.star", "targets = {\"m\": merge(layers = {\"a\": source(\"//s\")}, name = \"m\")}")
        .file(".gitignore", "*.lock\n")
        .file("s/a", "a")
        .file("s/x.lock", "l");
    git(&project, ".", &["init", "-q"]);
    git(&project, ".", &["add", "-A"]);
    git(&project, ".", &["add", "-f", "s/x.lock"]);
    project
}

#[test]
fn the_variables_of_a_hooks_git_do_not_reach_a_source() {
    let project = work_tree();
    let built = project.kiln(["build", "m"]).success();
    assert!(built.path().join("x.lock").exists());
    fs::create_dir(project.at("../other")).unwrap();
    git(&project, "../other", &["init", "-q"]);
    let other = project.at("../other/.git");
    for (name, value) in [("GIT_DIR", other.as_path()), ("GIT_DIR", Path::new(".")), ("GIT_INDEX_FILE", Path::new("/nowhere"))] {
        let mut command = project.command(["build", "m"]);
        let again = command.env(name, value).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&again.stdout), built.out, "{name}={}", value.display());
    }
}

#[test]
fn a_users_own_list_of_ignored_names_does_not_count() {
    let project = work_tree();
    project.write("s/notes.txt", "new");
    let built = project.kiln(["build", "m"]).success();
    project.write("../home/.config/git/ignore", "*.txt\n");
    project.kiln(["build", "m"]).success().stdout(&built.out);
    assert!(built.path().join("notes.txt").exists());
}

#[test]
fn a_source_needs_no_room_for_temporary_files() {
    let project = Project::bare()
        .file("derivations/default.star", "targets = {\"m\": merge(layers = {\"a\": source(\"//s\", exclude = [\"x\"])}, name = \"m\")}")
        .file("s/a", "a")
        .file("s/x", "x")
        .env("TMPDIR", "/nowhere");
    fs::create_dir(project.at("s/empty")).unwrap();
    let built = project.kiln(["build", "m"]).success();
    assert_eq!(fs::read_dir(built.path()).unwrap().count(), 2);
}
