//! Ctrl-C, `kill -9`, time limits: nothing is left running, and the store is whole.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Project, Running, await_no_process, eventually, processes, unique};

/// A quick step, and a slow one that forks, behind it; `MARK` is in the arguments of the slow one's processes.
fn slow_project(mark: &str) -> Project {
    let recipe = r#"
first = sh("first", "echo first > $out")
slow = sh("slow", "echo begun; sleep MARK & setsid sleep MARK & sleep MARK; cat $first > $out", inputs = {"first": first})
quick = sh("quick", "cat $first > $out", inputs = {"first": first})
targets = {"slow": slow, "quick": quick, "first": first}
"#;
    Project::new().recipe(&recipe.replace("MARK", mark))
}

fn started(project: &Project, mark: &str) -> Running {
    let running = project.start(["build", "slow"]);
    eventually("three sleeping processes in the sandbox", || processes(mark).len() == 3);
    running
}

fn scratch_dirs(project: &Project) -> usize {
    fs::read_dir(project.store().join("builds")).unwrap().count()
}

#[test]
fn ctrl_c_ends_the_build_and_leaves_a_clean_store() {
    let mark = unique();
    let project = slow_project(&mark);
    let running = started(&project, &mark);
    running.signal(Signal::SIGINT);
    running.wait().code(130).stderr_has("error: stopped; what was finished is kept");
    assert_eq!(processes(&mark), Vec::<u32>::new());
    assert_eq!(scratch_dirs(&project), 0);
    assert_eq!(project.objects(), ["busybox", "first"]);
    project.sound();
    project.kiln(["build", "quick"]).success().built(&["quick"]);
}

#[test]
fn a_second_ctrl_c_ends_kiln_at_once() {
    let mark = unique();
    let project = slow_project(&mark);
    let mut running = started(&project, &mark);
    // As fast as a user can: whether the first has been served yet must not matter.
    running.signal(Signal::SIGINT);
    if running.is_running() {
        running.signal(Signal::SIGINT);
    }
    running.wait().code(130);
    await_no_process(&mark);
    project.sound();
    project.kiln(["build", "quick"]).success();
}

#[test]
fn after_a_kill_nothing_runs_and_the_store_is_sound() {
    let mark = unique();
    let project = slow_project(&mark);
    let running = started(&project, &mark);
    running.signal(Signal::SIGKILL);
    assert!(!running.wait().status.success());
    await_no_process(&mark);
    project.sound();
    // What is left of the dead build is no obstacle, and garbage.
    project.kiln(["build", "quick"]).success();
    assert_eq!(scratch_dirs(&project), 1);
    project.kiln(["gc"]).success();
    assert_eq!(scratch_dirs(&project), 0);
    project.sound();
}

#[test]
fn a_kill_at_any_moment_leaves_a_store_that_goes_on() {
    let recipe: String = (0..12).map(|n| format!("s{n} = sh(\"s{n}\", \"mkdir $out; echo $out {n} > $out/x\")\n")).collect();
    let inputs: String = (0..12).map(|n| format!("\"s{n}\": s{n}, ")).collect();
    let last = format!("last = sh(\"last\", \"echo $s0 > $out\", inputs = {{{inputs}}})\ntargets = {{\"last\": last}}");
    let project = Project::new().recipe(&format!("{recipe}{last}"));
    // Not two moments are alike; a machine of any speed is hit in the middle by some of these.
    for delay in [5, 15, 30, 50, 80, 120, 170, 230, 300, 400] {
        let running = project.start(["build", "last"]);
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(Signal::SIGKILL);
        running.wait();
        if project.store().join("format").exists() {
            project.sound();
        }
    }
    let built = project.kiln(["build", "last"]).success();
    project.sound();
    project.delete_store();
    project.kiln(["build", "last"]).success().stdout(&built.out);
}

#[test]
fn a_builder_that_takes_too_long_is_ended() {
    let mark = unique();
    let recipe = r#"
targets = {
    "limited": sh("limited", "echo begun; setsid sleep MARK & sleep MARK", timeout = 1),
    "free": sh("free", "echo begun; sleep MARK"),
}
"#;
    let project = Project::new().recipe(&recipe.replace("MARK", &mark));
    let start = Instant::now();
    let failed = project.kiln(["build", "limited"]).code(1);
    failed
        .stderr_has("error: cannot make limited: the builder took longer than 1 s")
        .stderr_has("| begun")
        .hint("`--timeout SECONDS` allows more")
        .hint("`kiln shell --failed limited`");
    assert_eq!(processes(&mark), Vec::<u32>::new());
    project.kiln(["build", "free", "--timeout", "1"]).code(1).stderr_has("took longer than 1 s");
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(processes(&mark), Vec::<u32>::new());
    project.sound();
}

#[test]
fn a_builder_that_says_nothing_is_ended_and_one_that_talks_is_not() {
    let mark = unique();
    let recipe = r#"
targets = {
    "mute": sh("mute", "echo begun; sleep MARK", silence = 1),
    "closed": sh("closed", "exec > /dev/null 2>&1; sleep MARK", silence = 1),
    "talkative": sh("talkative", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done; echo > $out", silence = 2),
}
"#;
    let project = Project::new().recipe(&recipe.replace("MARK", &mark));
    for target in ["mute", "closed"] {
        let failed = project.kiln(["build", target]).code(1);
        failed
            .stderr_has(&format!("error: cannot make {target}: the builder printed nothing for 1 s"))
            .hint("`--silence SECONDS` allows more");
        assert_eq!(processes(&mark), Vec::<u32>::new());
    }
    project.kiln(["build", "talkative"]).success();
    project.sound();
}

/// Time limits are no part of what a derivation is.
#[test]
fn limits_do_not_change_what_is_built() {
    let with = |limits: &str| format!("targets = {{\"x\": sh(\"x\", \"echo > $out\"{limits})}}");
    let project = Project::new().recipe(&with(""));
    project.kiln(["build", "x"]).success().built(&["x"]);
    project.set_recipe(&with(", timeout = 60, silence = 30, description = \"words\""));
    project.kiln(["build", "x"]).success().built(&[]);
}
