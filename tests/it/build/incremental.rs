//! What a second build does: nothing, or no more than it must.

use std::time::Duration;

use crate::support::{OTHER_USER, Project, is_root, skip};

const CHAIN: &str = r#"
base = sh("base", "echo base > $out")
middle = sh("middle", "cat $base > $out", inputs = {"base": base})
top = sh("top", "mkdir $out; cat $middle > $out/text", inputs = {"middle": middle})
targets = {"base": base, "middle": middle, "top": top}
"#;

#[test]
fn a_second_build_builds_nothing() {
    let project = Project::new().recipe(CHAIN);
    let first = project.kiln(["build", "top"]).success().built(&["base", "middle", "top"]);
    assert_eq!(project.read(first.path().join("text")), "base\n");
    project.kiln(["build", "top"]).success().stdout(&first.out).stderr("");
    project.sound();
}

#[test]
fn a_comment_in_a_script_rebuilds_that_step_only() {
    let project = Project::new().recipe(CHAIN);
    let first = project.kiln(["build", "top"]).success();
    project.set_recipe(&CHAIN.replace("echo base >", "# a comment\\necho base >"));
    project.kiln(["build", "top"]).success().built(&["base"]).stdout(&first.out);
    project.set_recipe(&CHAIN.replace("cat $base >", "# another\\ncat $base >"));
    project.kiln(["build", "top"]).success().built(&["middle"]).stdout(&first.out);
}

#[test]
fn a_change_that_matters_is_followed_to_the_end() {
    let project = Project::new().recipe(CHAIN);
    let first = project.kiln(["build", "top"]).success();
    project.set_recipe(&CHAIN.replace("echo base >", "echo other >"));
    let second = project.kiln(["build", "top"]).success().built(&["base", "middle", "top"]);
    assert_ne!(first.path(), second.path());
    assert_eq!(project.read(second.path().join("text")), "other\n");
    // Both are known now, so that going back costs nothing.
    project.set_recipe(CHAIN);
    project.kiln(["build", "top"]).success().built(&[]).stdout(&first.out);
}

#[test]
fn a_changed_source_is_a_changed_input() {
    let recipe = r#"targets = {"x": sh("x", "cat $src/a > $out", inputs = {"src": source("//src", exclude = ["*.o"])})}"#;
    let project = Project::new().recipe(recipe).file("src/a", "1\n");
    let first = project.kiln(["build", "x"]).success().built(&["x"]);
    project.write("src/noise.o", "");
    project.kiln(["build", "x"]).success().built(&[]);
    project.write("src/a", "2\n");
    let second = project.kiln(["build", "x"]).success().built(&["x"]);
    assert_eq!((project.read(first.path()), project.read(second.path())), ("1\n".into(), "2\n".into()));
}

#[test]
fn with_everything_but_the_target_collected_nothing_is_built() {
    let project = Project::new().recipe(CHAIN);
    let first = project.kiln(["build", "top", "--out-link", "result"]).success();
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), ["top"]);
    project.kiln(["build", "top"]).success().built(&[]).stdout(&first.out);
    assert_eq!(project.objects(), ["top"]);
    // Something that does read a collected object brings back what that takes, and no more.
    project.kiln(["build", "middle"]).success().built(&["base", "middle"]);
    project.sound();
}

#[test]
fn a_file_that_no_running_step_reads_is_not_fetched() {
    let recipe = |url: &str| {
        let sha256 = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
        format!(
            "fetched = fetch_url([\"{url}\"], sha256 = \"{sha256}\")\n\
             targets = {{\"x\": sh(\"x\", \"cat $fetched > $out\", inputs = {{\"fetched\": fetched}})}}"
        )
    };
    let nowhere = recipe("http://127.0.0.1:1/data");
    let project = Project::new().recipe(&nowhere).file("data", "a\n");
    project.kiln(["store", "add", "--flat", "data"]).success();
    let first = project.kiln(["build", "x", "--out-link", "result"]).success().built(&["x"]);
    project.kiln(["gc"]).success();
    assert_eq!(project.objects(), ["x"]);
    project.kiln(["build", "x"]).success().built(&[]).stdout(&first.out);
    // Where a file comes from is no part of what it is.
    project.set_recipe(&recipe("http://127.0.0.1:2/data"));
    project.kiln(["build", "x"]).success().built(&[]).stdout(&first.out);
}

const SENSITIVE: &str = r#"
base = sh("base", "mkdir $out; echo $out > $out/own; date > /build/now; ls -l / /build > /tmp/list; id; echo $KILN_CORES; hostname > $out/host")
top = sh("top", "mkdir $out; cp -r $base/. $out/copy; echo $base > $out/ref; pwd > $out/pwd; env | grep -v KILN_CORES | sort > $out/env; id > $out/id; touch $out/new", inputs = {"base": base})
targets = {"top": top}
"#;

/// Store paths are compared, so everything below them is.
#[test]
fn a_deleted_store_comes_back_with_the_same_paths() {
    let project = Project::new().recipe(SENSITIVE);
    let first = project.kiln(["build", "top", "--cores", "1"]).success();
    project.delete_store();
    std::thread::sleep(Duration::from_millis(1100));
    let again = project.kiln(["build", "top", "--cores", "7", "--jobs", "1"]).success().built(&["base", "top"]);
    assert_eq!(first.object(), again.object());
}

#[test]
fn another_place_on_the_disk_gives_the_same_paths() {
    let (here, there) = (Project::new().recipe(SENSITIVE), Project::new().recipe(SENSITIVE));
    let store = there.dir().join("a rather longer name/of a store");
    std::fs::create_dir_all(store.parent().unwrap()).unwrap();
    let first = here.kiln(["build", "top"]).success();
    let second = there.kiln(["build", "top", "--store", store.to_str().unwrap()]).success();
    assert_eq!(first.object(), second.object());
    assert!(second.path().starts_with(store));
}

#[test]
fn another_user_gets_the_same_paths() {
    if !is_root() {
        return skip("only root can build as another user");
    }
    let (root, user) = (Project::new().recipe(SENSITIVE), Project::new().recipe(SENSITIVE).user(OTHER_USER));
    let first = root.kiln(["build", "top"]).success();
    let second = user.kiln(["build", "top"]).success();
    assert_eq!(first.object(), second.object());
    user.sound();
}
