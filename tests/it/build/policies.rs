//! What recipes forbid their outputs, and how programs stay with the root that they need.

use crate::support::Project;

#[test]
fn a_reference_that_the_recipe_does_not_allow_is_refused() {
    let project = Project::new().recipe(
        r#"
dep = sh("dep", "echo dep > $out")
other = sh("other", "echo other > $out")
inputs = {"dep": dep, "other": other}
targets = {
    "none": sh("none", "mkdir $out; echo $dep > $out/file", inputs = inputs, references = []),
    "wrong": sh("wrong", "mkdir $out; echo $dep > $out/fine; echo $other > $out/file", inputs = inputs, references = ["dep"]),
    "own": sh("own", "mkdir $out; echo $out > $out/file", references = []),
    "root": sh("root", "mkdir $out; echo $KILN_ROOT > $out/file", references = ["self"]),
    "bare": sh("bare", "echo $dep > $out", inputs = inputs, references = []),
    "right": sh("right", "mkdir $out; echo $dep $out $KILN_ROOT > $out/file", inputs = inputs, references = ["dep", "self", "root"]),
}
"#,
    );
    for (target, reference) in [("none", "dep"), ("wrong", "other"), ("own", "own"), ("root", "busybox")] {
        let failed = project.kiln(["build", target]).code(1);
        failed
            .stderr_has(&format!("error: cannot make {target}: output `out` refers to /kiln/store/"))
            .stderr_has(&format!("-{reference} (in `file`), which its recipe does not allow"))
            .hint("allow the reference with `references = [...]`");
    }
    project.kiln(["build", "bare"]).code(1).stderr_has("-dep, which its recipe does not allow");
    project.kiln(["build", "right"]).success();
    project.sound();
}

#[test]
fn links_are_refused_where_the_recipe_allows_none() {
    let project = Project::new().recipe(
        r#"
targets = {
    "x": sh("x", "mkdir -p $out/deep; echo text > $out/file; ln -s ../file $out/deep/link", links = False),
    "fine": sh("fine", "mkdir $out; echo text > $out/file", links = False),
}
"#,
    );
    let failed = project.kiln(["build", "x"]).code(1);
    failed.stderr_has("output `out` holds the symbolic link `deep/link`, and its recipe allows none").hint("`links = True`");
    project.kiln(["build", "fine"]).success();
    project.sound();
}

const TOOLS: &str = r#"
other = source("//other", name = "other-root")
script = "mkdir -p $out/bin; printf '#!/bin/sh\necho hi\n' > $out/bin/tool; chmod +x $out/bin/tool"
unmarked = sh("unmarked", script)
marked = sh("marked", script + "; echo $KILN_ROOT > $out/.kiln-root")
plain = sh("plain", "mkdir $out; printf '#!/bin/sh\necho hi\n' > $out/text")
same = sh("same", "$tool/bin/tool > $out", inputs = {"tool": marked})
foreign = derivation(name = "foreign", root = other, script = "$tool/bin/tool > $out", inputs = {"tool": marked})
targets = {"unmarked": unmarked, "marked": marked, "plain": plain, "same": same, "foreign": foreign}
"#;

fn tools() -> Project {
    let project = Project::new().recipe(TOOLS).file("other/etc/which", "the other root\n");
    crate::support::busybox_root(&project.at("other"));
    project
}

#[test]
fn a_program_of_the_root_must_name_its_root() {
    let project = tools();
    let failed = project.kiln(["build", "unmarked"]).code(1);
    failed
        .stderr_has("`bin/tool` in output `out` is run by `/bin/sh` of the root, but the output has no file `.kiln-root`")
        .hint("`$KILN_ROOT`");
    project.kiln(["build", "plain"]).success();
    let marked = project.kiln(["build", "marked"]).success();
    let root = project.read(marked.path().join(".kiln-root"));
    project.kiln(["store", "refs", &format!("/kiln/store/{}", marked.object())]).success().stdout(&root);
    project.sound();
}

#[test]
fn a_program_is_run_in_its_own_root_only() {
    let project = tools();
    let same = project.kiln(["build", "same"]).success();
    assert_eq!(project.read(same.path()), "hi\n");
    let failed = project.kiln(["build", "foreign"]).code(1);
    failed
        .stderr_has("error: cannot make foreign: input `tool` needs the root /kiln/store/")
        .stderr_has("-busybox, but this derivation's root is /kiln/store/")
        .stderr_has("-other-root")
        .hint("give both derivations the same `root`");
    project.sound();
}
