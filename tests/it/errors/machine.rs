//! Machines that cannot build: no namespaces, no room, a store from the future.

use crate::support::{Project, Running};

const SIMPLE: &str = r#"
small = sh("small", "echo small > $out")
behind = sh("behind", "cat $small > $out", inputs = {"small": small})
targets = {"small": small, "behind": behind}
"#;

/// `kiln` in a user namespace that allows no further ones.
fn without_namespaces(project: &Project, args: &str) -> Running {
    let mut command = project.program("/usr/bin/unshare");
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces; exec {} {args}", crate::support::kiln().display());
    command.args(["-Ur", "sh", "-euc", &script]);
    Running::start(command)
}

#[test]
fn without_user_namespaces_the_build_fails_and_says_how_to_enable_them() {
    let project = Project::new().recipe(SIMPLE);
    let failed = without_namespaces(&project, "build small").wait().code(3).stdout("");
    failed
        .stderr_has("error: cannot make small: cannot seal the build: the user namespace layer failed")
        .hint("sysctl -w user.max_user_namespaces=15000")
        .hint("kiln doctor")
        .hint("--sandbox=relaxed");
    let doctor = without_namespaces(&project, "doctor").wait().code(3);
    doctor.stdout_has("missing").stdout_has("max_user_namespaces");
    project.sound();
    // What needs no builder still works there, and what was put into the store is of use later.
    without_namespaces(&project, "build small --dry-run").wait().success().stdout_has("would be built (1)\n  small");
    project.kiln(["build", "small"]).success().built(&["small"]);
}

/// The store on a file system of 12 MiB, in a mount namespace of its own, which busybox half fills.
fn on_a_small_disk(project: &Project, body: &str) -> crate::support::Outcome {
    std::fs::create_dir_all(project.store()).unwrap();
    project.in_namespaces("mount -t tmpfs -o size=12m none $KILN_STORE", body)
}

const THEN_GO_ON: &str = "
echo code $?
$KILN store verify
rm -f $KILN_STORE/filler
$KILN gc > /dev/null
$KILN build behind > /dev/null && echo built
$KILN store verify
";

#[test]
fn a_source_that_does_not_fit_the_disk_is_a_clear_error() {
    let project = Project::new()
        .file("big", vec![7; 16 << 20])
        .recipe(&format!("{SIMPLE}\ntargets[\"big\"] = sh(\"big\", \"wc -c $big > $out\", inputs = {{\"big\": source(\"//big\")}})"));
    let outcome = on_a_small_disk(&project, &format!("$KILN build small > /dev/null; $KILN build big{THEN_GO_ON}"));
    let outcome = outcome.success().stdout_has("code 1\n").stdout_has("built\n");
    assert_eq!(outcome.out.matches("all sound").count(), 2, "{outcome}");
    outcome.stderr_has("error: cannot make big: ").stderr_has("No space left on device").hint("`kiln gc` removes what nothing holds");
}

#[test]
fn a_builder_that_fills_the_disk_fails_alone() {
    let project = Project::new().recipe(&format!("{SIMPLE}\ntargets[\"big\"] = sh(\"big\", \"dd if=/dev/zero of=$out bs=1M count=32\")"));
    let outcome = on_a_small_disk(&project, &format!("$KILN build small > /dev/null; $KILN build big{THEN_GO_ON}"));
    let outcome = outcome.success().stdout_has("code 1\n").stdout_has("built\n");
    assert_eq!(outcome.out.matches("all sound").count(), 2, "{outcome}");
    // Not even its log fits.
    outcome.stderr_has("error: cannot make big: ").stderr_has("No space left on device").hint("`kiln gc` removes what nothing holds");
}

#[test]
fn a_disk_without_a_single_free_block_loses_nothing() {
    let project = Project::new().recipe(SIMPLE);
    let fill = "$KILN build small > /dev/null; dd if=/dev/zero of=$KILN_STORE/filler bs=4k 2> /dev/null; $KILN build behind";
    let outcome = on_a_small_disk(&project, &format!("{fill}{THEN_GO_ON}"));
    let outcome = outcome.success().stdout_has("code 1\n").stdout_has("built\n").hint("the disk is full: make room");
    assert_eq!(outcome.out.matches("all sound").count(), 2, "{outcome}");
}

/// A builder that only sees its own shell's error, and leaves much that is small.
const MANY_FILES: &str = r#"
targets["full"] = sh("full", "mkdir $out; i=0; while echo aaaaaaaaaaaaaaaaaaaa > $out/$i; do i=$((i+1)); done 2> /dev/null; exit 1")
"#;

#[test]
fn a_failure_that_filled_the_disk_keeps_nothing() {
    let project = Project::new().recipe(&format!("{SIMPLE}{MANY_FILES}"));
    let after = "echo code $?; ls $KILN_STORE/failed | wc -l; $KILN build behind > /dev/null && echo built; $KILN log full > /dev/null; echo log $?";
    let outcome = on_a_small_disk(&project, &format!("$KILN build full; {after}"));
    outcome.success().stdout_has("code 1\n0\nbuilt\n").stderr_has("the disk was full by then").hint("the disk is full: make room");
}

/// `$1` bytes at a time until nothing fits any more.
const FILL: &str = "fill() { for size in 1M 4k; do dd if=/dev/zero bs=$size >> $KILN_STORE/filler 2> /dev/null; done; }\n";

#[test]
fn on_a_full_disk_the_collector_makes_room() {
    let project = Project::new().recipe(SIMPLE);
    // What a killed process left, and objects that nothing holds; then objects alone, on a disk without a free block.
    let left = "mkdir -p $KILN_STORE/builds/1-1; dd if=/dev/zero of=$KILN_STORE/builds/1-1/x bs=1M count=1 2> /dev/null; fill; $KILN gc; echo code $?";
    let alone = "$KILN build small > /dev/null; fill; $KILN gc; echo code $?; $KILN store ls; $KILN store verify";
    let fresh = "$KILN build small > /dev/null; rm -f $KILN_STORE/db.sqlite-shm; fill; $KILN gc; echo code $?";
    let outcome = on_a_small_disk(&project, &format!("{FILL}$KILN build behind > /dev/null; {left}; {alone}; {fresh}"));
    let outcome = outcome.success();
    assert_eq!(outcome.out.matches("code 0\n").count(), 3, "{outcome}");
    outcome.stdout_has("removed 3 objects").stdout_has("1 scratch directories").stdout_has("removed 2 objects").stdout_has("all sound");
}

#[test]
fn a_collector_without_any_room_does_not_advise_to_collect() {
    let project = Project::new().recipe(SIMPLE);
    let body = format!("{FILL}$KILN build behind > /dev/null; rm -f $KILN_STORE/reserve; fill; $KILN gc; echo code $?");
    let outcome = on_a_small_disk(&project, &body).success();
    assert!(!outcome.err.contains("the disk is full: make room"), "{outcome}");
    outcome.stdout_has("code 1").hint("make room on the disk of");
}

#[test]
fn where_an_archive_does_not_fit_is_not_the_stores_matter() {
    let project = Project::new().recipe(SIMPLE);
    let small = project.kiln(["build", "small"]).success().object();
    let mut dump = project.command(["store", "dump", &small]);
    dump.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).stderr(std::process::Stdio::piped());
    let output = dump.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && !said.contains("kiln gc"), "{said}");
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let project = Project::new().recipe(SIMPLE);
    project.kiln(["build", "small"]).success();
    let format = project.read(project.store().join("format"));
    std::fs::write(project.store().join("format"), "99\n").unwrap();
    let before = std::fs::read(project.store().join("db.sqlite")).unwrap();
    for command in [&["build", "behind"][..], &["store", "ls"], &["store", "verify"], &["gc"], &["log", "small"], &["info", "small"]] {
        let failed = project.kiln(command).code(2).stdout("");
        failed.stderr_has("99").stderr_has(project.store().to_str().unwrap()).hint("nothing was changed");
    }
    assert_eq!(std::fs::read(project.store().join("db.sqlite")).unwrap(), before);
    std::fs::write(project.store().join("format"), format).unwrap();
    project.kiln(["build", "behind"]).success().built(&["behind"]);
    project.sound();
}

#[test]
fn a_changed_object_is_found_and_named() {
    let project = Project::new().recipe(SIMPLE);
    let built = project.kiln(["build", "small"]).success();
    let mode = |mode| std::fs::set_permissions(built.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    std::fs::write(built.path(), "SMALL\n").unwrap();
    mode(0o444);
    let found = project.kiln(["store", "verify"]).code(4);
    found.stdout_has(&format!("damaged: /kiln/store/{} has changed", built.object())).stdout_has("1 damaged");
    project.kiln(["store", "verify", "--json"]).code(4).stdout_has(&built.object());
}

#[test]
fn where_no_store_is_reading_commands_say_so_and_make_none() {
    let project = Project::new().recipe(SIMPLE);
    for command in [&["store", "ls"][..], &["store", "verify"], &["gc"], &["log", "small"]] {
        project.kiln(command).code(2).stderr_has("is not a kiln store").hint("--store DIR");
    }
    assert!(!project.store().exists());
}

/// User 0 of a namespace, as in a container with fewer capabilities: namespaces can be made there, and no map of users written.
#[test]
fn doctor_tries_what_a_build_does() {
    let project = Project::new().recipe(SIMPLE);
    let without_map = |args: &str| {
        let mut command = project.program("/usr/bin/unshare");
        let kiln = crate::support::kiln().to_str().unwrap();
        command.args(["-Ur", "/usr/bin/setpriv", "--bounding-set", "-setfcap", kiln]).args(args.split(' '));
        Running::start(command).wait()
    };
    without_map("build small").code(3).stderr_has("the user namespace layer failed");
    without_map("doctor").code(3).stdout_has("missing  a build's sandbox").stdout_has("builds cannot be sealed here");
    project.kiln(["doctor"]).success().stdout_has("ok       a build's sandbox");
}
