//! Layers that cannot be one tree.

use crate::support::Project;

#[test]
fn two_layers_with_different_bytes_for_one_path_are_refused() {
    let project = Project::new().recipe(
        r#"
a = sh("a", "mkdir -p $out/dir; echo same > $out/dir/same; echo one > $out/dir/file")
b = sh("b", "mkdir -p $out/dir; echo same > $out/dir/same; echo two > $out/dir/file")
targets = {"x": merge({"base": a, "extra": b}, name = "x"), "fine": merge({"base": a, "again": a}, name = "fine")}
"#,
    );
    let failed = project.kiln(["build", "x"]).code(1);
    failed
        .stderr_has("error: cannot make x: `dir/file` comes from both base and extra, with different bytes")
        .hint("only one of the layers");
    let fine = project.kiln(["build", "fine"]).success();
    assert_eq!(project.read(fine.path().join("dir/file")), "one\n");
    project.sound();
}

#[test]
fn an_execute_permission_is_a_difference_too() {
    let project = Project::new().recipe(
        r#"
a = sh("a", "mkdir $out; echo text > $out/file")
b = sh("b", "mkdir $out; echo text > $out/file; chmod +x $out/file")
targets = {"x": merge({"a": a, "b": b}, name = "x")}
"#,
    );
    project.kiln(["build", "x"]).code(1).stderr_has("`file` comes from both a and b");
}

#[test]
fn links_that_dangle_loop_or_leave_are_refused_and_others_become_copies() {
    let project = Project::new().recipe(
        r#"
def one(name, link):
    return merge({"layer": sh("layer", "mkdir $out; echo text > $out/file; " + link)}, name = name)

targets = {
    "dangles": one("dangles", "ln -s nowhere $out/link"),
    "loops": one("loops", "ln -s link $out/link"),
    "leaves": one("leaves", "ln -s /etc/passwd $out/link"),
    "climbs": one("climbs", "ln -s ../../../../../etc/passwd $out/link"),
    "fine": one("fine", "ln -s file $out/link"),
}
"#,
    );
    for (target, why) in [
        ("dangles", "is in none of the layers"),
        ("loops", "leads back to the link itself"),
        ("leaves", "is outside the merged layers"),
        ("climbs", "is outside the merged layers"),
    ] {
        project.kiln(["build", target]).code(1).stderr_has(&format!("cannot make {target}: ")).stderr_has("`link`").stderr_has(why);
    }
    let fine = project.kiln(["build", "fine"]).success();
    assert!(fine.path().join("link").symlink_metadata().unwrap().is_file());
    assert_eq!(project.read(fine.path().join("link")), "text\n");
    project.sound();
}
