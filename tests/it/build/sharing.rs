//! Several kilns at one store.

use crate::support::{Project, Running, eventually, processes, unique};

#[test]
fn two_kilns_that_want_the_same_build_it_once() {
    let mark = unique();
    let recipe = r#"
slow = sh("slow", "sh -c 'sleep 2; : MARK'; head -c 8 /dev/urandom > $out")
targets = {"slow": slow, "user": sh("user", "cat $slow > $out", inputs = {"slow": slow})}
"#;
    let project = Project::new().recipe(&recipe.replace("MARK", &mark));
    let first = project.start(["build", "slow"]);
    eventually("the first kiln builds", || !processes(&mark).is_empty());
    let second = project.start(["build", "user"]);
    let (first, second) = (first.wait().success().built(&["slow"]), second.wait().success());
    second.built(&["user"]).stderr_has("waiting for slow: another kiln is at it").stderr_has("found slow");
    // The bytes are random: had it been built twice, there would be two of them.
    assert_eq!(project.objects(), ["busybox", "slow", "user"]);
    project.kiln(["build", "slow"]).success().stdout(&first.out);
    project.sound();
}

#[test]
fn many_kilns_at_a_new_store_agree() {
    let recipe = r#"
base = sh("base", "head -c 8 /dev/urandom > $out")
targets = {"t%d" % n: sh("t%d" % n, "cat $base > $out; echo NUMBER >> $out".replace("NUMBER", str(n)), inputs = {"base": base}) for n in range(4)}
"#;
    let project = Project::new().recipe(recipe);
    let all: Vec<Running> = (0..4).map(|n| project.start(["build", &format!("t{n}"), "t0"])).collect();
    for running in all {
        running.wait().success();
    }
    assert_eq!(project.objects(), ["base", "busybox", "t0", "t1", "t2", "t3"]);
    project.sound();
}

#[test]
fn the_second_kiln_builds_what_the_first_one_failed() {
    let mark = unique();
    let recipe = r#"targets = {"x": sh("x", "sh -c 'sleep 1; : MARK'; exit 5")}"#;
    let project = Project::new().recipe(&recipe.replace("MARK", &mark));
    let first = project.start(["build", "x"]);
    eventually("the first kiln builds", || !processes(&mark).is_empty());
    let second = project.start(["build", "x"]);
    first.wait().code(1).stderr_has("exit code 5");
    second.wait().code(1).stderr_has("exit code 5");
    project.sound();
}
