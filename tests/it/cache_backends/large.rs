//! A large entry takes little memory, whichever way it goes. Each measurement is a process of its own: this test program again.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::Command;

use kiln::cache::{Access, Existing, Location, ResumingReader, Source, open};
use kiln::net::Machine;

use super::dav::Dav;
use super::servers::{self, S3Server};
use super::suite;
use crate::support::{Scratch, skip};

/// More than any buffer, and enough for several parts.
const LENGTH: u64 = (64 << 20) + 12_345;

/// KiB that a process which moves it may take, itself included.
const MOST_MEMORY: u64 = 40 << 10;

/// Tells a process that it is the one that is measured: the cache's address.
const MEASURED: &str = "KILN_TEST_MEASURED";

/// Bytes that are nowhere, until somebody reads them.
struct Made {
    at: u64,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(usize::try_from(LENGTH - self.at).unwrap());
        for byte in &mut buffer[..count] {
            // The multiplication mixes all bits of the place into the topmost ones.
            *byte = (self.at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
            self.at += 1;
        }
        Ok(count)
    }
}

struct Making;

impl Source for Making {
    fn length(&self) -> u64 {
        LENGTH
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Made { at: 0 }))
    }
}

fn same(mut one: impl Read, mut other: impl Read) -> bool {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut left).unwrap();
        if count == 0 {
            return other.read(&mut right).unwrap() == 0;
        }
        if other.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return false;
        }
    }
}

/// What the measured process does; nothing in any other.
#[test]
fn the_measured_process() {
    let Ok(url) = std::env::var(MEASURED) else { return };
    let cache = open(&Location::parse(&url).unwrap(), &Access::new(Machine::current())).unwrap();
    let name = suite::name("nar/large.nar");
    cache.write(&name, &Making, Existing::Keep).unwrap();
    assert_eq!(cache.size(&name).unwrap(), Some(LENGTH));
    cache.write(&name, &Making, Existing::Replace).unwrap();
    let reader = ResumingReader::open(&*cache, &name, Some(LENGTH)).unwrap().unwrap();
    assert!(same(reader, Made { at: 0 }), "other bytes came back");
    let mut tail = Vec::new();
    cache.read(&name, LENGTH - 1_000).unwrap().unwrap().body.read_to_end(&mut tail).unwrap();
    assert!(same(tail.as_slice(), Made { at: LENGTH - 1_000 }));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()).unwrap();
    std::io::stdout().write_all(format!("\npeak {peak}\n").as_bytes()).unwrap();
}

/// KiB that the process takes at most.
fn measure(url: &str, env: &[(&str, &str)]) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cache_backends::large::the_measured_process", "--nocapture"]).env(MEASURED, url);
    let output = command.envs(env.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{url}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap().parse().unwrap()
}

fn check(what: &str, url: &str, env: &[(&str, &str)]) {
    let peak = measure(url, env);
    println!("{what}: {peak} KiB at most");
    assert!(peak < MOST_MEMORY, "{what}: {peak} KiB for an entry of {} KiB", LENGTH >> 10);
}

#[test]
fn a_large_entry_takes_little_memory() {
    let dir = Scratch::new();
    check("directory", dir.path().join("c").to_str().unwrap(), &[]);
    let dir = Scratch::new();
    check("web server", &Dav::start(Path::new(dir.path())).url("/c"), &[]);
}

#[test]
fn a_large_entry_in_a_bucket_takes_little_memory() {
    for which in &servers::S3 {
        match S3Server::start(which) {
            Ok(server) => check(which.name, &server.url("bucket/p"), &server.env()),
            Err(reason) => skip(&format!("{}: {reason}", which.name)),
        }
    }
}
