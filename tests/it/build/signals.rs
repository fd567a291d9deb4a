//! Ctrl-C and SIGTERM, whatever kiln is doing: it ends with 130, and nothing goes on.

use nix::sys::signal::Signal;

use crate::support::{Project, Running, await_no_process, eventually, processes, unique};

/// A runtime that is nothing, and a runner that sleeps; `MARK` is in its arguments.
const RUN: &str = r#"
runner = sh("runner", """mkdir -p $out/bin; printf '#!/bin/sh\nsleep MARK\n' > $out/bin/run-function
chmod +x $out/bin/run-function; echo $KILN_ROOT > $out/.kiln-root""")
targets = {"runtime": sh("runtime", "mkdir $out"), "runner": runner}
"#;

#[track_caller]
fn ends(mut running: Running, signal: Signal) {
    running.signal(signal);
    eventually("kiln has ended", || !running.is_running());
    running.wait().code(130).stderr_has("error: stopped; what was finished is kept");
}

#[test]
fn a_function_that_runs_is_ended() {
    let mark = unique();
    let project = Project::new().recipe(&RUN.replace("MARK", &mark));
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let running = project.start(["run", "f"]);
        eventually("the function runs", || !processes(&mark).is_empty());
        ends(running, signal);
        await_no_process(&mark);
        project.sound();
    }
}

#[test]
fn a_command_in_a_shell_is_ended() {
    let mark = unique();
    let project = Project::new().recipe("targets = {\"x\": sh(\"x\", \"echo > $out\")}");
    let running = project.start(["shell", "x", "--", "/bin/sleep", &mark]);
    // Kiln itself and the command.
    eventually("the command runs", || processes(&mark).len() > 1);
    ends(running, Signal::SIGTERM);
    await_no_process(&mark);
    project.sound();
}

#[test]
fn a_wait_for_a_lock_is_announced_and_ended() {
    let project = Project::new().recipe("targets = {\"x\": sh(\"x\", \"echo > $out\"), \"y\": sh(\"y\", \"echo y > $out\")}");
    project.kiln(["build", "x"]).success();
    let lock = project.store().join("locks/gc");
    let held = std::fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    let mut running = project.start(["build", "y"]);
    let waits = || std::fs::read_to_string(format!("/proc/{}/wchan", running.id())).unwrap_or_default();
    // Not every kernel says what a thread waits for; the announcement comes within a second.
    let begin = std::time::Instant::now();
    eventually("kiln waits", || waits().contains("lock") && begin.elapsed().as_secs() >= 1 || begin.elapsed().as_secs() >= 3);
    running.signal(Signal::SIGINT);
    eventually("kiln has ended", || !running.is_running());
    let ended = running.wait().code(130);
    drop(held);
    ended.stderr_has("waiting for another process, which holds the lock").stderr_has("locks/gc");
    project.kiln(["build", "y"]).success();
    project.sound();
}

#[test]
fn hashing_is_ended() {
    let project =
        Project::new().recipe("targets = {\"x\": sh(\"x\", \"dd if=/dev/zero of=$out bs=1 count=1 seek=60000000000 2>&1; echo begun\")}");
    let mut running = project.start(["build", "x"]);
    let outputs = || std::fs::read_dir(project.store().join("builds")).map_or(0, Iterator::count);
    eventually("a build is there", || outputs() > 0);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(running.is_running());
    ends(running, Signal::SIGINT);
    project.kiln(["gc"]).success();
    assert_eq!(outputs(), 0);
}
