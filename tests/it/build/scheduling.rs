//! In what order and how many at once; what happens beside a failure; what a dry run tells.

use crate::support::Project;

const FAILING: &str = r#"
bad = sh("bad", "echo trouble; exit 3")
behind = sh("behind", "cat $bad > $out", inputs = {"bad": bad})
further = sh("further", "cat $behind > $out", inputs = {"behind": behind})
good = sh("good", "echo good > $out")
better = sh("better", "cat $good > $out", inputs = {"good": good})
targets = {"further": further, "better": better, "bad": bad}
"#;

#[test]
fn after_a_failure_nothing_new_is_started() {
    let project = Project::new().recipe(FAILING);
    let failed = project.kiln(["build", "bad", "better", "--jobs", "1"]).code(1);
    failed.stderr_has("error: cannot make bad: the builder ended with exit code 3").built(&[]);
}

#[test]
fn keep_going_builds_what_does_not_need_the_failed_step() {
    let project = Project::new().recipe(FAILING);
    let failed = project.kiln(["build", "further", "better", "--keep-going", "--jobs", "1"]).code(1);
    failed
        .built(&["good", "better"])
        .stderr_has("error: cannot make bad: the builder ended with exit code 3")
        .stderr_has("not tried, because they need it: behind, further");
    project.kiln(["build", "better"]).success().built(&[]);
    project.sound();
}

#[test]
fn keep_going_tells_of_every_failure() {
    let recipe = r#"targets = {"a": sh("a", "exit 1"), "b": sh("b", "exit 2"), "c": sh("c", "exit 3")}"#;
    let failed = Project::new().recipe(recipe).kiln(["build", "a", "b", "c", "-k"]).code(1);
    failed
        .stderr_has("a: the builder ended with exit code 1")
        .stderr_has("b: the builder ended with exit code 2")
        .stderr_has("c: the builder ended with exit code 3");
}

const PAIR: &str = r#"
one = sh("one", "sleep 1; echo 1 > $out")
two = sh("two", "sleep 1; echo 2 > $out")
targets = {"one": one, "two": two}
"#;

/// The steps' beginnings and ends, in order.
fn steps(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| ["building", "built"].contains(word)).collect()
}

#[test]
fn as_many_builders_run_at_once_as_there_are_jobs() {
    let (alone, together) = (Project::new().recipe(PAIR), Project::new().recipe(PAIR));
    let built = alone.kiln(["build", "one", "two", "--jobs", "1"]).success();
    assert_eq!(steps(&built.err), ["building", "built", "building", "built"], "{built}");
    let built = together.kiln(["build", "one", "two", "--jobs", "2"]).success();
    assert_eq!(steps(&built.err), ["building", "building", "built", "built"], "{built}");
}

#[test]
fn cores_are_told_to_the_builder_and_change_nothing_else() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo cores=$KILN_CORES; echo > $out")}"#);
    let built = project.kiln(["build", "x", "--cores", "5"]).success();
    project.kiln(["log", "x"]).success().stdout("cores=5\n");
    project.kiln(["build", "x", "--cores", "3"]).success().built(&[]).stdout(&built.out);
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_why() {
    let recipe = r#"
fetched = fetch_url(["http://127.0.0.1:1/data"], sha256 = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7")
base = sh("base", "cat $data > $out", inputs = {"data": fetched})
top = sh("top", "cat $base > $out", inputs = {"base": base})
targets = {"top": top, "base": base}
"#;
    let project = Project::new().recipe(recipe).file("data", "a\n");
    let plan = "\
would be fetched (1)
  data
would be copied from the project (1)
  busybox
would be built (1)
  base  no build of it with these inputs is known
would be built, unless their inputs come out as before (1)
  top
";
    project.kiln(["build", "top", "--dry-run"]).success().stdout(plan).stderr("");
    let json = project.kiln(["build", "top", "--dry-run", "--json"]).success().json();
    let why = "no build of it with these inputs is known";
    let expected = serde_json::json!({"pull": [], "fetch": ["data"], "add": ["busybox"], "build": [{"name": "base", "why": why}], "may_build": ["top"]});
    assert_eq!(json, expected);
    assert_eq!(project.objects(), [""; 0]);
    project.kiln(["store", "add", "--flat", "data"]).success();
    project.kiln(["build", "top"]).success().built(&["base", "top"]);
    project.kiln(["build", "top", "--dry-run"]).success().stdout("nothing to do\n");
    project.kiln(["gc"]).success();
    let plan = project.kiln(["build", "base", "--dry-run"]).success();
    plan.stdout_has("  base  it was built, but /kiln/store/")
        .stdout_has("-base is no longer here\n")
        .stdout_has("would be fetched (1)\n  data\n");
}

#[test]
fn what_a_relaxed_build_made_counts_for_a_relaxed_dry_run_only() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo > $out")}"#);
    project.kiln(["build", "x", "--sandbox=relaxed"]).success().built(&["x"]);
    project.kiln(["build", "x", "--sandbox=relaxed", "--dry-run"]).success().stdout("nothing to do\n");
    project.kiln(["build", "x", "--dry-run"]).success().stdout_has("would be built (1)");
    project.kiln(["build", "x"]).success().built(&["x"]);
    project.kiln(["info", "x"]).success().stdout_has("sandbox strict");
}
