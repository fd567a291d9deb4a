//! What a builder sees, and what becomes of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln::model::{LayerState, SandboxLevel};
use kiln::sandbox::{Bind, SandboxError};
use nix::sys::resource::{UsageWho, getrusage};

use crate::sealed::{Sealed, prints};

#[test]
fn a_script_runs_and_its_exit_code_is_known() {
    assert_eq!(prints("echo hello"), "hello\n");
    let outcome = Sealed::script("exit 7").run();
    assert_eq!((outcome.exit.code, outcome.exit.signal), (Some(7), None));
    let outcome = Sealed::script("kill -TERM $$").run();
    assert_eq!((outcome.exit.code, outcome.exit.signal), (None, Some(15)));
}

#[test]
fn the_top_of_the_tree_holds_the_root_and_nothing_of_the_host() {
    assert_eq!(prints("ls -A /"), "bin\nbuild\ndev\netc\nkiln\nlib\nlib64\nproc\ntmp\nusr\n");
    assert_eq!(
        prints("cat /etc/declared; readlink /bin; ls -A /etc /kiln"),
        "declared\nusr/bin\n/etc:\ndeclared\n\n/kiln:\nscript\nstore\n"
    );
    assert_eq!(prints("ls -A /dev /dev/shm /build /tmp /kiln/store"), {
        "/build:\n\n/dev:\nfd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n\n/dev/shm:\n\n/kiln/store:\n\n/tmp:\n"
    });
}

#[test]
fn the_builder_is_user_1000_without_groups_capabilities_or_new_privileges() {
    assert_eq!(prints("id"), "uid=1000 gid=1000 groups=1000\n");
    let status = prints("cat /proc/self/status");
    for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{line}:\t0000000000000000")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    assert!(status.contains("SigBlk:\t0000000000000000") && status.contains("SigIgn:\t0000000000000000"), "{status}");
    assert!(status.contains("Umask:\t0022"), "{status}");
}

#[test]
fn names_personality_and_limits_are_fixed() {
    assert_eq!(prints("uname -n; cat /proc/sys/kernel/hostname"), "localhost\nlocalhost\n");
    assert_eq!(prints("cat /proc/self/personality"), "00040000\n");
    assert_eq!(prints("ulimit -c; ulimit -s; ulimit -n; umask"), "0\n8192\n1024\n0022\n");
    let limits = prints("cat /proc/self/limits");
    for (limit, value) in [("Max processes", "4096"), ("Max pending signals", "4096"), ("Max msgqueue size", "819200")] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert_eq!(line[limit.len()..].split_whitespace().take(2).collect::<Vec<_>>(), [value, value], "{limits}");
    }
    assert_eq!(prints("env"), "PATH=/usr/bin:/bin\nPWD=/build\n");
}

#[test]
fn only_the_sandbox_s_own_processes_are_there() {
    assert_eq!(prints("echo $$; for p in /proc/[0-9]*; do echo $p; done"), "2\n/proc/1\n/proc/2\n");
}

#[test]
fn proc_tells_nothing_about_the_machine() {
    assert_eq!(prints("cat /proc/cmdline /proc/devices /proc/interrupts /proc/partitions /proc/diskstats"), "");
    assert_eq!(
        prints("ls -A /proc/sys /proc/bus /proc/fs; cat /proc/uptime"),
        "/proc/bus:\n\n/proc/fs:\n\n/proc/sys:\nkernel\nvm\n1.00 1.00\n"
    );
    assert_eq!(prints("cat /proc/self/cgroup | while IFS=: read n c p; do echo $p; done | head -n 1"), "/\n");
    let refused = prints("for f in /proc/stat /proc/sys/kernel/hostname; do (echo x > $f) 2>/dev/null || echo no; done");
    assert_eq!(refused, "no\nno\n");
}

#[test]
fn descriptors_of_kiln_are_closed_and_input_is_empty() {
    assert_eq!(prints("ls /proc/self/fd"), "0\n1\n2\n3\n");
    assert_eq!(prints("cat; readlink /proc/self/fd/0"), "/dev/null\n");
    assert_eq!(prints("echo out > /dev/stdout; echo err > /dev/stderr"), "out\nerr\n");
}

#[test]
fn inputs_are_read_only_and_outputs_can_be_written() {
    let sealed = Sealed::script(
        "cat /kiln/store/a-file /kiln/store/b-dir/f; readlink /kiln/store/c-link\n\
         touch /kiln/store/b-dir/x 2>/dev/null || echo refused\n\
         rm /kiln/store/a-file 2>/dev/null || echo refused\n\
         mv /kiln/store/b-dir /kiln/store/z 2>/dev/null || echo refused\n\
         touch /etc/x 2>/dev/null || echo refused\n\
         touch /x 2>/dev/null || echo refused\n\
         echo made > /kiln/store/out",
    );
    let sealed = sealed
        .input("a-file", |path| fs::write(path, "a\n").unwrap())
        .input("b-dir", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("f"), "f\n").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        })
        .input("c-link", |path| symlink("elsewhere", path).unwrap());
    let outcome = sealed.run();
    assert_eq!(outcome.output, "a\nf\nelsewhere\nrefused\nrefused\nrefused\nrefused\nrefused\n");
    assert_eq!(fs::read_to_string(sealed.store().join("out")).unwrap(), "made\n");
    let left: Vec<_> = fs::read_dir(sealed.store()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "out" || sealed.spec.is_mount_point(name.as_ref())), "{left:?}");
    assert_eq!(fs::metadata(sealed.store().join("out")).unwrap().uid(), sealed.spec.host.uid);
}

#[test]
fn everything_belongs_to_the_builder_whoever_runs_kiln() {
    let sealed = Sealed::script("stat -c '%u:%g %n' /etc /etc/declared /usr/bin/sh /kiln/store /kiln/store/* /build /tmp /")
        .input("a", |path| fs::write(path, "a\n").unwrap());
    let output = sealed.run().output;
    assert!(output.lines().count() == 8 && output.lines().all(|line| line.starts_with("1000:1000 ")), "{output}");
}

#[test]
fn a_bind_outside_the_store_is_made_where_it_says() {
    let mut sealed = Sealed::script("cat /opt/deep/file; touch /opt/deep/file 2>/dev/null || echo refused")
        .input("f", |path| fs::write(path, "x\n").unwrap());
    sealed.spec.binds[0].target = "/opt/deep/file".into();
    assert_eq!(sealed.run().output, "x\nrefused\n");
}

#[test]
fn a_thousand_inputs_are_no_problem() {
    let mut sealed = Sealed::script("set -- /kiln/store/*; echo $#");
    for number in 0..1000 {
        sealed = sealed.input(&format!("object-{number}"), |path| fs::create_dir(path).unwrap());
    }
    assert_eq!(sealed.run().output, "1000\n");
}

#[test]
fn a_source_that_only_the_caller_can_reach_is_shown() {
    let sealed = Sealed::script("cat /kiln/store/x/f").input("x", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("f"), "seen\n").unwrap();
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    });
    assert_eq!(sealed.run().output, "seen\n");
}

#[test]
fn what_a_builder_leaves_running_is_killed_with_it() {
    let mark = format!("{}", 86_000 + std::process::id() % 1000);
    let begin = Instant::now();
    let outcome = Sealed::script(&format!("(sleep {mark} &) ; trap '' TERM HUP; sleep {mark} & echo done")).run();
    assert!(outcome.exit.success());
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(!is_running(&mark));
}

#[test]
fn killing_a_sandbox_takes_every_process_with_it() {
    let mark = format!("{}", 87_000 + std::process::id() % 1000);
    let sealed = Sealed::script(&format!("sleep {mark} & sleep {mark} & wait"));
    let (mut running, _log) = sealed.start().unwrap();
    assert!(!running.ended_within(Duration::from_millis(200)).unwrap());
    assert!(is_running(&mark));
    running.killer().kill();
    let exit = running.wait().unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(!is_running(&mark));
}

#[test]
fn dropping_a_sandbox_ends_it() {
    let mark = format!("{}", 88_000 + std::process::id() % 1000);
    let sealed = Sealed::script(&format!("sleep {mark}"));
    drop(sealed.start().unwrap());
    assert!(!is_running(&mark));
}

fn is_running(argument: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    })
}

#[test]
fn time_and_memory_of_every_process_are_measured() {
    let exit = Sealed::script(
        "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; (dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null &); sleep 0.3",
    )
    .run()
    .exit;
    assert!(exit.cpu_ms > 20, "{exit:?}");
    assert!(exit.peak_kib > 60 * 1024, "{exit:?}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Sealed::command(&["/bin/nothing"]).start().unwrap_err();
    assert_eq!(error.to_string(), "cannot execute `/bin/nothing` in the sandbox: No such file or directory (os error 2)");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let mut sealed = Sealed::script("true");
    sealed.spec.binds.push(Bind { source: "/nowhere/at/all".into(), target: "/kiln/store/x".into(), writable: false });
    let error = sealed.start().unwrap_err();
    assert!(matches!(error, SandboxError::Layer { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere/at"), "{error}");
}

#[test]
fn mandatory_layers_are_on_record_and_extras_say_why_they_are_missing() {
    let exit = Sealed::script("true").run().exit;
    let state = |name: &str| exit.layers.iter().find(|outcome| outcome.layer == name).map(|outcome| outcome.state.clone());
    for layer in [
        "user namespace",
        "mount namespace",
        "pid namespace",
        "network namespace",
        "ipc namespace",
        "uts namespace",
        "proc",
        "syscall filter",
    ] {
        assert_eq!(state(layer), Some(LayerState::Active), "{layer}");
    }
    for extra in ["cgroup namespace", "cgroup limits", "landlock"] {
        assert!(state(extra).is_some(), "{extra}");
    }
}

#[test]
fn a_relaxed_sandbox_has_every_layer_that_can_be_had() {
    let mut sealed = Sealed::script("id -u");
    sealed.spec.level = SandboxLevel::Relaxed;
    let outcome = sealed.run();
    assert_eq!(outcome.output, "1000\n");
    assert!(outcome.exit.layers.iter().any(|outcome| outcome.layer == "network namespace" && outcome.state == LayerState::Active));
}

#[test]
fn memory_and_processes_can_be_limited() {
    let mut sealed = Sealed::script("dd if=/dev/zero of=/dev/null bs=512M count=1 2>/dev/null || echo refused");
    sealed.spec.limits.memory_bytes = Some(256 << 20);
    assert_eq!(sealed.run().output, "refused\n");
    let mut sealed = Sealed::script("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait");
    sealed.spec.limits.processes = Some(8);
    assert!(sealed.run().output.contains("fork"));
    let mut sealed = Sealed::script("dd if=/dev/zero of=big bs=1M count=2 2>/dev/null || echo refused");
    sealed.spec.limits.file_bytes = Some(1 << 20);
    assert!(!sealed.run().exit.success() || sealed.run().output.contains("refused"));
}

#[test]
fn sandboxes_run_side_by_side() {
    let run = |number: usize| move || prints(&format!("echo {number} > /tmp/x; sleep 0.1; cat /tmp/x"));
    let threads: Vec<_> = (0..8).map(|number| std::thread::spawn(run(number))).collect();
    for (number, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), format!("{number}\n"));
    }
}

/// Not a check but a measurement: `cargo test --test it -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr)]
fn cost_of_a_sandbox() {
    for (inputs, count) in [(0, 300), (100, 50), (1000, 20)] {
        let make = |_| {
            (0..inputs).fold(Sealed::command(&["/bin/true"]), |sealed, number| {
                sealed.input(&format!("i{number}"), |path| fs::create_dir(path).unwrap())
            })
        };
        let sealed: Vec<Sealed> = (0..=count).map(make).collect();
        sealed[0].run();
        let cpu = || {
            [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| getrusage(who).unwrap()).map(|usage| {
                let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
                (micros(usage.user_time()) + micros(usage.system_time())) / count
            })
        };
        let (before, begin) = (cpu(), Instant::now());
        let mut fastest = Duration::MAX;
        for one in &sealed[1..] {
            let begin = Instant::now();
            assert!(one.run().exit.success());
            fastest = fastest.min(begin.elapsed());
        }
        let (wall, after) = (begin.elapsed() / count as u32, cpu());
        let [parent, child] = [after[0] - before[0], after[1] - before[1]];
        eprintln!("{inputs} inputs: wall {wall:?} (fastest {fastest:?}), processor: parent {parent} us, children {child} us");
    }
}

#[test]
fn a_sandbox_ends_with_the_kiln_that_started_it_even_by_kill_9() {
    let mark = format!("{}", 89_000 + std::process::id() % 1000);
    // What is killed cannot clean up.
    let scratch = tempfile::tempdir().unwrap();
    let mut kiln = Command::new(std::env::current_exe().unwrap());
    kiln.args(["--ignored", "--exact", "sandbox::a_kiln_that_waits", "--nocapture"]).stdout(Stdio::null());
    kiln.env("KILN_TEST_MARK", &mark).env("TMPDIR", scratch.path());
    let mut kiln = kiln.spawn().unwrap();
    wait_until(|| is_running_inside(&mark));
    kiln.kill().unwrap();
    kiln.wait().unwrap();
    wait_until(|| !is_running_inside(&mark));
}

/// Started by the test before.
#[test]
#[ignore = "part of another test"]
fn a_kiln_that_waits() {
    let mark = std::env::var("KILN_TEST_MARK").unwrap();
    Sealed::command(&["/bin/sleep", &mark]).run();
}

fn is_running_inside(mark: &str) -> bool {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == format!("/bin/sleep\0{mark}\0").into_bytes()))
}

fn wait_until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_machine_without_user_namespaces_is_told_how_to_enable_them() {
    let forbid =
        "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" --ignored --exact sandbox::a_kiln_without_namespaces --nocapture";
    let mut kiln = Command::new("unshare");
    kiln.args(["--user", "--map-root-user", "sh", "-c", forbid]).arg(std::env::current_exe().unwrap());
    let output = kiln.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Started by the test before.
#[test]
#[ignore = "part of another test"]
fn a_kiln_without_namespaces() {
    for level in [SandboxLevel::Strict, SandboxLevel::Relaxed] {
        let mut sealed = Sealed::script("true");
        sealed.spec.level = level;
        let error = sealed.start().unwrap_err();
        assert!(error.to_string().starts_with("cannot seal the build: the user namespace layer failed at clone: "), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("sysctl -w user.max_user_namespaces=15000")), "{error:?}");
    }
}

#[test]
fn a_machine_with_a_masked_proc_builds_only_if_weaker_isolation_is_chosen() {
    let mask = "mount -t tmpfs none /proc/sys && exec \"$0\" --ignored --exact sandbox::a_kiln_with_a_masked_proc --nocapture";
    let mut kiln = Command::new("unshare");
    kiln.args(["--user", "--map-root-user", "--mount", "sh", "-c", mask]).arg(std::env::current_exe().unwrap());
    let output = kiln.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Started by the test before.
#[test]
#[ignore = "part of another test"]
fn a_kiln_with_a_masked_proc() {
    let mut sealed = Sealed::script("echo built");
    let error = sealed.start().unwrap_err();
    assert!(error.to_string().starts_with("cannot seal the build: the proc layer failed"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--sandbox=relaxed")), "{error:?}");
    sealed = Sealed::script("echo built");
    sealed.spec.level = SandboxLevel::Relaxed;
    let outcome = sealed.run();
    assert_eq!(outcome.output, "built\n");
    let proc = outcome.exit.layers.iter().find(|outcome| outcome.layer == "proc").unwrap();
    assert!(matches!(proc.state, LayerState::Absent(_)), "{proc:?}");
}

#[test]
fn a_root_of_one_user_only_runs_builds_too() {
    let mut kiln = Command::new("unshare");
    kiln.args(["--user", "--map-root-user"]).arg(std::env::current_exe().unwrap());
    kiln.args(["--exact", "sandbox::the_builder_is_user_1000_without_groups_capabilities_or_new_privileges"]);
    let output = kiln.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
