//! Recipes that are wrong.

use crate::support::Project;

fn with(recipe: &str) -> Project {
    Project::new().recipe(recipe)
}

#[test]
fn recipes_that_load_each_other_in_a_circle_are_refused() {
    let project = with(r#"load("a.star", "a")"#)
        .file("derivations/a.star", "load(\"b.star\", \"b\")\na = b\n")
        .file("derivations/b.star", "load(\"//derivations/a.star\", \"a\")\nb = a\n");
    let failed = project.kiln(["build", "x"]).code(2).stdout("");
    failed.stderr_has("derivations/a.star").stderr_has("derivations/b.star").stderr_has("circle");
    assert!(!project.store().exists());
}

#[test]
fn a_derivation_cannot_need_itself() {
    let failed = with(r#"x = sh("x", "true", inputs = {"x": x}); targets = {"x": x}"#).kiln(["build", "x"]).code(2);
    failed.stderr_has("derivations/default.star:2").stderr_has("`x`");
}

#[test]
fn an_unknown_target_brings_near_names_to_mind() {
    let project = with(r#"targets = {"runtime": sh("runtime", "true"), "toolchain": sh("toolchain", "true")}"#);
    for command in ["build", "show", "info"] {
        let failed = project.kiln([command, "runtim"]).code(2).stdout("");
        failed.stderr_has("error: there is no target `runtim`; did you mean `runtime`?").hint("`kiln eval` lists all targets");
    }
    project.kiln(["build", "zzzzzz"]).code(2).stderr_has("there is no target `zzzzzz`\n").stderr_lacks("did you mean");
    // One wrong name spoils the whole request before anything is done.
    project.kiln(["build", "runtime", "toolchian"]).code(2).stderr_has("did you mean `toolchain`?");
    assert!(!project.store().join("objects").exists());
}

#[test]
fn an_error_shows_the_recipes_own_call_stack() {
    let project = with("load(\"lib/lane.star\", \"lane\")\ntargets = {\"x\": lane(\"3.11\")}\n").file(
        "derivations/lib/lane.star",
        "def lane(version):\n    return build(version)\n\ndef build(version):\n    return derivation(name = \"x/\" + version, root = None, script = \"\")\n",
    );
    let failed = project.kiln(["eval"]).code(2);
    failed
        .stderr_has("derivations/lib/lane.star:5:12")
        .stderr_has("derivations/lib/lane.star:2:12")
        .stderr_has("derivations/default.star:3:17");
}

#[test]
fn recipes_read_nothing_outside_the_project() {
    let attempts = [
        (r#"targets = {"x": sh("x", file("/etc/hostname"))}"#, "/etc/hostname"),
        (r#"targets = {"x": sh("x", file("//../secret"))}"#, "secret"),
        (r#"targets = {"x": sh("x", file("link"))}"#, "link"),
        (r#"targets = {"x": sh("x", "", inputs = {"s": source("//..")})}"#, ".."),
        (r#"targets = {"x": sh("x", "", inputs = {"s": source("//outside/secret")})}"#, "outside"),
        (r#"load("//../secret.star", "x")"#, "secret.star"),
    ];
    for (recipe, what) in attempts {
        let project = with(recipe);
        std::fs::write(project.dir().join("secret"), "the secret").unwrap();
        std::fs::write(project.dir().join("secret.star"), "x = 1").unwrap();
        std::os::unix::fs::symlink(project.dir().join("secret"), project.at("derivations/link")).unwrap();
        std::os::unix::fs::symlink(project.dir(), project.at("outside")).unwrap();
        project.kiln(["build", "x"]).code(2).stderr_has(what).stderr_lacks("the secret");
    }
}

/// A source that is a link itself is an object that is a link: nothing of its target is read.
#[test]
fn a_link_as_a_source_stays_a_link() {
    let project = with(r#"targets = {"x": sh("x", "readlink $s > $out", inputs = {"s": source("//link")})}"#);
    std::os::unix::fs::symlink("/etc/hostname", project.at("link")).unwrap();
    let built = project.kiln(["build", "x"]).success();
    assert_eq!(project.read(built.path()), "/etc/hostname\n");
    project.sound();
}

#[test]
fn a_recipe_that_does_not_end_is_ended() {
    let project = with(
        "def forever():\n    for a in range(1000000000):\n        for b in range(1000000000):\n            pass\nforever()\ntargets = {}\n",
    );
    project.kiln(["eval"]).code(2).stderr_has("derivations/default.star");
}

#[test]
fn a_recipe_that_fills_memory_is_ended() {
    let project = with("def fill():\n    x = [\"abcdefgh\" * 1000]\n    for a in range(100):\n        x = x + x\nfill()\ntargets = {}\n");
    project.kiln(["eval"]).code(2).stderr_has("derivations/default.star");
}

#[test]
fn where_no_project_is_kiln_says_so() {
    let project = Project::bare();
    project.kiln(["build", "x"]).code(2).stderr_has("no `derivations/default.star` in").hint("--project DIR");
    project.kiln(["build"]).code(2).stderr_has("TARGET");
    project.kiln(["bild"]).code(2).stderr_has("build");
}
