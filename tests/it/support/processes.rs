//! Processes of this machine, found by their arguments.

use std::fs;
use std::time::{Duration, Instant};

/// Ids of the processes whose command line contains `text`.
pub(crate) fn processes(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(text) {
            found.push(pid);
        }
    }
    found
}

/// Waits until a condition holds; fails after some seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fails if a process whose command line contains `text` is still there after some seconds.
#[track_caller]
pub(crate) fn await_no_process(text: &str) {
    let start = Instant::now();
    while !processes(text).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "processes with `{text}` are still there: {:?}", processes(text));
        std::thread::sleep(Duration::from_millis(10));
    }
}
