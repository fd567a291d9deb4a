//! Builders that fail, hide, or leave what no object may hold.

use std::time::{Duration, Instant};

use crate::support::{Outcome, Project, processes, unique};

/// Builds `x` with this script; it must fail as a builder does, and leave the store sound.
#[track_caller]
fn fails(script: &str) -> (Project, Outcome) {
    let project = Project::new().file("derivations/script.sh", script).recipe(r#"targets = {"x": sh("x", file("script.sh"))}"#);
    let failed =
        project.kiln(["build", "x"]).code(1).stdout("").stderr_has("error: cannot make x: ").stderr_has("declared at derivations/");
    assert_eq!(project.objects(), ["busybox"]);
    project.sound();
    (project, failed)
}

#[test]
fn a_failing_builder_shows_the_end_of_its_log() {
    let (project, failed) = fails("seq 1 100; echo the reason >&2; exit 42");
    failed
        .stderr_has("the builder ended with exit code 42")
        .stderr_has("  the log ends with\n  | 77\n")
        .stderr_has("  | 100\n  | the reason\n")
        .stderr_lacks("| 76\n")
        .hint("`kiln log x` shows the whole log")
        .hint("`kiln shell --failed x` opens the sandbox as it was left");
    assert_eq!(project.kiln(["log", "x"]).success().out.lines().count(), 101);
}

#[test]
fn a_builder_that_is_killed_is_told_from_one_that_fails() {
    let (_, failed) = fails("kill -TERM $$");
    failed.stderr_has("the builder was ended by signal 15");
}

#[test]
fn what_a_log_says_cannot_drive_the_terminal() {
    let (_, failed) = fails(r"printf 'a\033]0;title\007b\n'; exit 1");
    failed.stderr_has("| a\\u{1b}]0;title\\u{7}b");
}

#[test]
fn a_builder_without_an_interpreter_is_told_which_one() {
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "", interpreter = ["/bin/nosuch"])}"#);
    project.kiln(["build", "x"]).code(1).stderr_has("cannot make x: cannot execute `/bin/nosuch` in the sandbox");
    project.sound();
}

/// Processes that outlive the builder: in another session, without its output, deaf to signals.
#[test]
fn processes_that_hide_are_gone_when_the_build_ends() {
    let mark = unique();
    let script = r#"
setsid sh -c 'exec > /dev/null 2>&1 < /dev/null; trap "" TERM HUP INT; sleep MARK; : x' &
(setsid sh -c 'setsid sleep MARK & sleep MARK' > /dev/null 2>&1 &)
sleep MARK &
(sleep 1; echo late >> $out) &
echo early > $out
"#;
    let project = Project::new()
        .file("derivations/script.sh", script.replace("MARK", &mark))
        .recipe(r#"targets = {"x": sh("x", file("script.sh"))}"#);
    let start = Instant::now();
    let built = project.kiln(["build", "x"]).success();
    // One of them holds the builder's output open: that must not be waited for.
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(processes(&mark), Vec::<u32>::new());
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(project.read(built.path()), "early\n");
    project.sound();
}

#[test]
fn a_builder_that_ignores_signals_is_ended_too() {
    let mark = unique();
    let script = "trap '' TERM HUP INT; setsid sleep MARK & sleep MARK".replace("MARK", &mark);
    let project =
        Project::new().file("derivations/script.sh", script).recipe(r#"targets = {"x": sh("x", file("script.sh"), timeout = 1)}"#);
    project.kiln(["build", "x"]).code(1).stderr_has("the builder took longer than 1 s");
    assert_eq!(processes(&mark), Vec::<u32>::new());
    project.sound();
}

#[test]
fn something_beside_the_outputs_is_refused() {
    let (_, failed) = fails("echo > $out; echo > /kiln/store/extra");
    failed.stderr_has("the builder left `extra` in the store directory, which is none of its outputs");
}

#[test]
fn nothing_can_be_written_outside_the_outputs() {
    let script = r#"
for place in /file /etc/file /bin/busybox /bin/new /dev/new /proc/sys/kernel/hostname $dep $dep/new $KILN_ROOT/new /kiln/new /kiln/script; do
    if (echo changed > $place) 2> /dev/null; then echo "$place can be written"; exit 1; fi
    if rm -rf $place 2> /dev/null && [ ! -e $place ] && [ $place = $dep ]; then echo "$place can be removed"; exit 1; fi
done
if chmod 777 $dep 2> /dev/null; then echo "an input's mode can be changed"; exit 1; fi
echo fine > /build/file; echo fine > /tmp/file
echo fine > $out
"#;
    let project = Project::new().file("derivations/script.sh", script).recipe(
        r#"
dep = sh("dep", "mkdir $out; echo dep > $out/file")
targets = {"x": sh("x", file("script.sh"), inputs = {"dep": dep})}
"#,
    );
    project.kiln(["build", "x"]).success();
    project.sound();
}

#[test]
fn an_output_that_is_missing_is_named() {
    let (_, failed) = fails("true");
    failed.stderr_has("the builder made no output `out` (nothing is at `$out`)").hint("must create every output");
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo > $out", outputs = ["out", "lib"])}"#);
    project.kiln(["build", "x"]).code(1).stderr_has("the builder made no output `lib` (nothing is at `$lib`)");
    assert_eq!(project.objects(), ["busybox"]);
    project.sound();
}

#[test]
fn a_pipe_in_an_output_is_refused() {
    let (_, failed) = fails("mkdir -p $out/dir; mkfifo $out/dir/pipe");
    failed.stderr_has("dir/pipe` is a named pipe; a store object may hold files, directories and links only");
}

/// A static program that makes the socket `socket` in its current directory: `socket`, `bind`, `_exit`.
#[cfg(target_arch = "x86_64")]
fn socket_maker() -> Vec<u8> {
    const CODE: &[u8] =
        b"\xb8\x29\0\0\0\xbf\x01\0\0\0\xbe\x01\0\0\0\x31\xd2\x0f\x05\x89\xc7\x48\x8d\x35\x15\0\0\0\xba\x09\0\0\0\xb8\x31\0\0\0\x0f\x05\
                         \x89\xc7\xb8\x3c\0\0\0\x0f\x05\x01\0socket\0";
    let (base, start) = (0x40_0000_u64, 120_u64);
    let length = start + CODE.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    [base + start, 64, 0].iter().for_each(|word| elf.extend(word.to_le_bytes()));
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\x40\0\0\0\0\0\x01\0\0\0\x05\0\0\0");
    [0, base, base, length, length, 0x1000].iter().for_each(|word| elf.extend(word.to_le_bytes()));
    elf.extend(CODE);
    elf
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_socket_in_an_output_is_refused() {
    let project = Project::new().file("tool", socket_maker()).recipe(
        r#"targets = {"x": sh("x", "cp $tool /build/tool; chmod +x /build/tool; mkdir $out; cd $out; /build/tool; ls -l", inputs = {"tool": source("//tool")})}"#,
    );
    let failed = project.kiln(["build", "x"]).code(1);
    failed.stderr_has("/socket` is a socket; a store object may hold files, directories and links only");
    project.sound();
}

#[test]
fn no_file_can_be_made_setuid_or_a_device() {
    for change in ["chmod u+s $out/file", "chmod g+s $out/file", "chmod 6755 $out", "mknod $out/null c 1 3", "mkdir -m 2755 $out/dir"] {
        let (_, failed) = fails(&format!("mkdir $out; echo > $out/file; {change}"));
        failed.stderr_has("ermi");
    }
    // Who ignores the refusal gets an object without the bits.
    let project = Project::new().recipe(r#"targets = {"x": sh("x", "echo > $out; chmod 6755 $out || chmod 755 $out")}"#);
    let built = project.kiln(["build", "x"]).success();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(built.path()).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o555);
    project.sound();
}
