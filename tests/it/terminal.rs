//! Sandboxes with a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use kiln::sandbox::{Stdio3, run_at_terminal, spawn_program};
use nix::pty::{OpenptyResult, openpty};

use crate::escapes;
use crate::sealed::Sealed;
use crate::support::kiln;

/// Everything that is written to the other side of a terminal.
fn read_all(master: OwnedFd) -> String {
    let mut bytes = Vec::new();
    // It ends in an error, when the last one who has it open closes it.
    let _ = File::from(master).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn run_with_terminal(sealed: &mut Sealed) -> (i32, String) {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    sealed.spec.terminal = true;
    let stdio = Stdio3 { stdin: Some(slave.try_clone().unwrap()), stdout: slave.try_clone().unwrap(), stderr: slave };
    let running = spawn_program(kiln(), &sealed.spec, stdio).unwrap();
    let text = read_all(master);
    (running.wait().unwrap().code.unwrap(), text)
}

#[test]
fn a_terminal_that_is_passed_in_is_the_controlling_one() {
    let mut sealed = Sealed::script("test -t 0 && echo direct; echo by name > /dev/tty; cut=$(ls /dev); echo ${cut}");
    let (code, text) = run_with_terminal(&mut sealed);
    assert_eq!(code, 0);
    assert_eq!(text, "direct\r\nby name\r\nfd full null random shm stderr stdin stdout tty urandom zero\r\n");
}

#[test]
fn without_a_terminal_a_terminal_is_refused() {
    let mut sealed = Sealed::script("true");
    sealed.spec.terminal = true;
    let error = sealed.start().unwrap_err();
    assert!(error.to_string().contains("a terminal is wanted"), "{error}");
}

#[test]
fn typing_into_the_terminal_succeeds_outside_and_is_refused_inside() {
    let mut sealed = Sealed::command(&["/probe", "type_into_terminal"]);
    let root = escapes::probe_root();
    sealed.spec.root = root.path().to_owned();
    let (code, text) = run_with_terminal(&mut sealed);
    assert_eq!((code, text.as_str()), (1, "Operation not permitted\r\n"));

    let allowed = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|value| value.trim() == "1");
    let OpenptyResult { master: _master, slave } = openpty(None, None).unwrap();
    let control = Command::new("setsid").args(["-c", "-w"]).arg(escapes::probe()).arg("type_into_terminal").stdin(slave).output().unwrap();
    assert!(control.status.success() || !allowed, "{control:?}");
}

/// Started by the next test, at a terminal.
#[test]
#[ignore = "part of another test"]
fn at_terminal() {
    let sealed = Sealed::command(&["/bin/sh"]);
    let exit = run_at_terminal(&sealed.spec, &AtomicBool::new(false), |spec, stdio| spawn_program(kiln(), spec, stdio)).unwrap();
    assert_eq!(exit.code, Some(3));
}

#[test]
fn a_shell_at_the_user_s_terminal_takes_what_is_typed() {
    let this = std::env::current_exe().unwrap();
    let command = format!("{} --ignored --exact terminal::at_terminal --nocapture", this.display());
    let mut script =
        Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keys = script.stdin.take().unwrap();
    keys.write_all(b"echo $((40+2))\nid -u\nexit 3\n").unwrap();
    // The terminal must stay until the shell has read it all.
    let output = std::thread::spawn(move || {
        let mut text = String::new();
        script.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (script.wait().unwrap().success(), text)
    });
    let (success, text) = output.join().unwrap();
    drop(keys);
    assert!(success && text.contains("\r\n42\r\n") || text.contains("42\r\n"), "{text}");
    assert!(text.contains("1000\r\n"), "{text}");
}
