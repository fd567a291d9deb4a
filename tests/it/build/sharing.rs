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
    let quiet = project.start(["build", "slow", "--quiet"]);
    let (first, second) = (first.wait().success().built(&["slow"]), second.wait().success());
    quiet.wait().success().stdout(&first.out).stderr("");
    second.built(&["user"]).stderr_has("waiting for slow: another kiln is at it").stderr_has("found slow");
    // The bytes are random: had it been built twice, there would be two of them.
    assert_eq!(project.objects(), ["busybox", "slow", "user"]);
    project.kiln(["build", "slow"]).success().stdout(&first.out);
    project.sound();
}

/// Each step gives other bytes each time: one that is built twice is there twice.
#[test]
fn many_kilns_at_a_new_store_build_each_step_once() {
    let recipe = r#"
steps = {"s%d" % n: sh("s%d" % n, "head -c 8 /dev/urandom > $out") for n in range(16)}
all = sh("all", "echo done > $out", inputs = steps)
targets = {"all": all}
"#;
    let project = Project::new().recipe(recipe);
    let kilns: Vec<Running> = (0..4).map(|_| project.start(["build", "all", "--jobs", "2"])).collect();
    let outputs: Vec<String> = kilns.into_iter().map(|running| running.wait().success().out).collect();
    assert!(outputs.iter().all(|output| *output == outputs[0]), "{outputs:?}");
    let objects = project.objects();
    assert_eq!(objects.len(), 16 + 2, "{objects:?}");
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
